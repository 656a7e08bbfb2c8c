"""Run notebooks from top to bottom and store what they print and plot.

    python -m regression.refresh [NOTEBOOK …]

Each notebook runs twice, each time in a fresh kernel: in full, for the outputs that
readers see, and in the short profile, for NAME.record.json, which also has digests and
the notes on trainings. Nothing is written unless every cell of both succeeded and the
short run agrees with the full one where the regression run will expect it to.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from regression import compare, record, run

TITLES = {"python": "Python", "numpy": "NumPy", "mxnet": "MXNet"}


def main():
    parser = argparse.ArgumentParser(prog="python -m regression.refresh")
    parser.add_argument("notebooks", nargs="*", type=Path)
    notebooks = parser.parse_args().notebooks or sorted(
        Path("chapters").glob("*.ipynb")
    )
    stop_on_doubt()
    failed = [notebook for notebook in notebooks if not refresh(notebook)]
    if failed:
        sys.exit(f"Not refreshed: {', '.join(map(str, failed))}.")


def stop_on_doubt():
    """Exit where the outputs would not be those of the committed code and real data."""
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--", "utils"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if dirty:
        sys.exit(
            "Stored outputs have to come from committed code, but utils has changes:\n"
            f"{dirty}Commit or undo them, then run make refresh again."
        )
    for switch in (compare.SHORT_PROFILE, compare.STAND_IN):
        if switch in os.environ:
            sys.exit(
                "Stored outputs have to come from full training on the real data, but "
                f"{switch} is set. Unset it, then run make refresh again."
            )


def refresh(path):
    """Refresh one notebook. Returns whether it worked; says why where it did not."""
    stored = nbformat.read(path, as_version=4)
    for cell in stored.cells:
        try:
            compare.Settings.of(cell)
        except ValueError as error:
            print(f"{path}: nothing is written.\nmetadata of cell {cell.id}: {error}")
            return False
    try:
        done = run.run(path, {})
        short = run.run(path, {compare.SHORT_PROFILE: "short"})
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        print(f"{path}: nothing is written, for a cell failed.\n{error}")
        return False
    full, where = done.notebook, done.where
    doubts = profile_differences(full, short.notebook)
    full.metadata.provenance = {
        **where,
        "processor": where["processor"] or processor(),
        "seed": seeds(full),
        "date": datetime.date.today().isoformat(),
        "seconds": round(done.seconds),
        "profile": "full",
    }
    # A run on the other kind of device leaves its time here for the map of chapters.
    kind = "gpu" if where["device"].startswith("gpu") else "cpu"
    times = stored.metadata.get("times", {})
    full.metadata.times = {**times, kind: round(done.seconds)}
    write_provenance(full)
    print_changes(path, stored, full)
    if doubts:
        print(f"{path}: nothing is written, for the short profile disagrees.")
        print("\n".join(doubts))
        return False
    nbformat.write(full, path)
    outputs = {
        cell.id: run.without_pictures(cell.outputs)
        for cell in short.notebook.cells
        if cell.cell_type == "code" and compare.Settings.of(cell).trained
    }
    notes = {
        profile: {name: noted["trainings"] for name, noted in r.notes.items()}
        for profile, r in (("full", done), ("short", short))
    }
    text = record.text_of(full, outputs, notes)
    record.path_of(path).write_text(text, encoding="utf-8")
    print(f"{path}: refreshed, {done.seconds:.0f} s.")
    return True


def profile_differences(full, short):
    """Where the short run would be red: lines of text, none where it agrees."""
    found = []
    for cell, other in zip(full.cells, short.cells, strict=True):
        if cell.cell_type != "code":
            continue
        settings = compare.Settings.of(cell)
        if not settings.trained and not settings.timing:
            differences, _ = compare.compare(cell.outputs, other.outputs, settings)
            found += [f"cell {cell.id}\n{difference}" for difference in differences]
    if found:
        found.append(
            'A cell that depends on how long the training ran needs "trained": true in '
            'its metadata "regression".'
        )
    return found


def print_changes(path, stored, new):
    """Print what readers will see change, before it is written."""
    before = {cell.id: cell.outputs for cell in stored.cells if "outputs" in cell}
    count = 0
    for cell in new.cells:
        if cell.cell_type == "code":
            differences, _ = compare.compare(
                before.get(cell.id, []), cell.outputs, compare.Settings.of(cell)
            )
            count += len(differences)
            for difference in differences:
                print(f"cell {cell.id}, {difference}")
    print(f"{path}: {count or 'no'} lines differ by more than their tolerance.")


def processor():
    """The processor's name and the number of cores that this process may use."""
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        name = "unknown processor"
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def seeds(notebook):
    """The numbers that the notebook's code passes to a function named seed."""
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    for name, number in re.findall(r"^([A-Z_]+) = (\d+)$", code, re.MULTILINE):
        code = re.sub(rf"\b{name}\b", number, code)
    return sorted({int(number) for number in re.findall(r"\bseed\((\d+)\)", code)})


def write_provenance(notebook):
    """Make the notebook's last cell the line that tells where its outputs are from."""
    facts = notebook.metadata.provenance
    packages = ", ".join(
        f"{TITLES.get(name, name)} {version}"
        for name, version in facts["packages"].items()
    )
    seed = " and ".join(map(str, facts["seed"])) or "none"
    text = (
        f"*Outputs: one run on {facts['date']}, {duration(facts['seconds'])} on "
        f"`{facts['device']}` ({facts['processor']}), with {packages}; seed: {seed}.*"
    )
    tagged = [c for c in notebook.cells if "provenance" in c.metadata.get("tags", [])]
    if not tagged:
        cell = nbformat.v4.new_markdown_cell(id="provenance")
        cell.metadata.tags = ["provenance"]
        notebook.cells.append(cell)
        tagged = [cell]
    tagged[-1].source = text


def duration(seconds):
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


if __name__ == "__main__":
    main()
