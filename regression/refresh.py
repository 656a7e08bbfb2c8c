"""Run notebooks from top to bottom and store what they print and plot.

    python -m regression.refresh [NOTEBOOK …]

Each notebook runs in a fresh kernel, in full, for the outputs that readers see, and
where the project has a short profile once more in that, for NAME.record.json, which
also has digests and the notes on trainings. Nothing is written unless every cell
succeeded, the short run agrees with the full one where the regression run will expect
it to, and the notebook is still the one that was read.
"""

import argparse
import ast
import copy
import datetime
import operator
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from regression import compare, project, record, run, slices, tidy

TITLES = {"python": "Python", "numpy": "NumPy", "mxnet": "MXNet"}
SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


class NotRefreshed(Exception):
    """Why nothing was written, in sentences."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m regression.refresh")
    parser.add_argument("notebooks", nargs="*", type=Path)
    own, failed = project.here(), []
    paths = parser.parse_args().notebooks or own.paths()
    stop_on_doubt(own)
    for path in paths:
        try:
            seconds = refresh(path, own)
        except (NotRefreshed, OSError) as error:
            failed.append(str(path))
            print(f"{path}: nothing is written.\n{error}")
        except KeyboardInterrupt:
            sys.exit(f"{path}: interrupted, nothing is written.")
        else:
            print(f"{path}: refreshed, {seconds:.0f} s.")
    if failed:
        sys.exit(f"Not refreshed: {', '.join(failed)}.")


def stop_on_doubt(own: project.Project) -> None:
    """Exit where the outputs would not be those of the committed code and real data."""
    dirty = (
        own.code
        and subprocess.run(
            ["git", "status", "--porcelain", "--", *own.code],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    if dirty:
        sys.exit(
            "Stored outputs have to come from committed code, but "
            f"{' and '.join(own.code)} has changes:\n"
            f"{dirty}Commit or undo them, then run make refresh again."
        )
    for switch in (*own.short, own.stand_in):
        if switch in os.environ:
            sys.exit(
                "Stored outputs have to come from full training on the real data, but "
                f"{switch} is set. Unset it, then run make refresh again."
            )


def refresh(path: Path, own: project.Project) -> float:
    """Refresh one notebook; the seconds that it took. NotRefreshed says why not."""
    before = path.read_bytes()
    stored = nbformat.reads(before.decode(), as_version=4)
    for cell in stored.cells:
        try:
            compare.Settings.of(cell)
        except ValueError as error:
            raise NotRefreshed(f"Metadata of cell {cell.id}: {error}") from None
    try:
        runs = {
            profile: run.cells(copy.deepcopy(stored), path, environment, own)
            for profile, environment in own.profiles().items()
        }
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        raise NotRefreshed(f"A cell failed.\n{error}") from None
    done = runs["full"]
    short = runs.get("short", done).notebook
    full = done.notebook
    doubts = profile_differences(full, short, own)
    add_provenance(full, done, stored.metadata.get("times", {}))
    print_changes(path, stored, full, own)
    if doubts:
        words = "\n".join(doubts)
        raise NotRefreshed(f"The short profile disagrees with the full one.\n{words}")
    trained = {
        cell.id: tidy.without_pictures(cell.outputs)
        for cell in short.cells
        if "short" in runs
        and cell.cell_type == "code"
        and compare.Settings.of(cell).trained
    }
    notes = {
        profile: {name: noted["trainings"] for name, noted in r.notes.items()}
        for profile, r in runs.items()
    }
    text = record.text_of(full, trained, notes)
    if path.read_bytes() != before:
        raise NotRefreshed(
            "Somebody saved it while it ran, and what was saved would be lost. Run "
            "make refresh again."
        )
    write({path: nbformat.writes(full) + "\n", record.path_of(path): text})
    return done.seconds


def write(texts: dict[Path, str]) -> None:
    """Replace files, each whole or not at all, and none where one has no room."""
    parts = {}
    try:
        for path, text in texts.items():
            handle, part = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
            parts[path] = Path(part)
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            # Those of mkstemp are for the user alone.
            parts[path].chmod(path.stat().st_mode if path.exists() else 0o644)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def profile_differences(
    full: nbformat.NotebookNode, short: nbformat.NotebookNode, own: project.Project
) -> list[str]:
    """Where the short run would be red: lines of text, none where it agrees."""
    found = []
    for cell, other in zip(full.cells, short.cells, strict=True):
        if cell.cell_type != "code":
            continue
        settings = compare.Settings.of(cell)
        if not settings.trained and not settings.timing:
            differences, _ = compare.outputs(
                cell.outputs, other.outputs, settings, own.uncompared
            )
            found += [f"cell {cell.id}\n{difference}" for difference in differences]
    if found:
        found.append(
            'A cell that depends on how long the training ran needs "trained": true in '
            'its metadata "regression".'
        )
    return found


def print_changes(
    path: Path,
    stored: nbformat.NotebookNode,
    new: nbformat.NotebookNode,
    own: project.Project,
) -> None:
    """Print what readers will see change, before it is written."""
    before = {cell.id: cell.outputs for cell in stored.cells if "outputs" in cell}
    count = 0
    for cell in new.cells:
        if cell.cell_type == "code":
            settings, old = compare.Settings.of(cell), before.get(cell.id, [])
            differences, _ = compare.outputs(
                old, cell.outputs, settings, own.uncompared
            )
            count += len(differences)
            for difference in differences:
                print(f"cell {cell.id}, {difference}")
    print(f"{path}: {count or 'no'} lines differ by more than their tolerance.")


def add_provenance(
    notebook: nbformat.NotebookNode, done: run.Run, times: dict[str, int]
) -> None:
    """Put where the outputs are from into the metadata, and a line at the end.

    times: seconds by kind of device, of which this run replaces its own.
    """
    device = done.device.get("name")
    notebook.metadata.provenance = {
        "packages": done.packages,
        "seed": seeds(notebook),
        "date": datetime.date.today().isoformat(),
        "seconds": round(done.seconds),
        "profile": "full",
    }
    if device:
        notebook.metadata.provenance |= {
            "device": device,
            "processor": done.device["hardware"],
        }
    kind = "gpu" if (device or "").startswith("gpu") else "cpu"
    notebook.metadata.times = {**times, kind: round(done.seconds)}
    line = provenance_line(notebook.metadata.provenance)
    tagged = [c for c in notebook.cells if "provenance" in c.metadata.get("tags", [])]
    if not tagged:
        cell = nbformat.v4.new_markdown_cell(id="provenance")
        cell.metadata.tags = ["provenance"]
        notebook.cells.append(cell)
        tagged = [cell]
    tagged[-1].source = line


def provenance_line(facts: dict) -> str:
    packages = ", ".join(
        f"{TITLES.get(name, name)} {version}"
        for name, version in facts["packages"].items()
    )
    seed = " and ".join(map(str, facts["seed"])) or "none"
    where = ""
    if "device" in facts:
        where = f" on `{facts['device']}` ({facts['processor']})"
    return (
        f"*Outputs: one run on {facts['date']}, {duration(facts['seconds'])}{where}, "
        f"with {packages}; seed: {seed}.*"
    )


def seeds(notebook: nbformat.NotebookNode) -> list[int]:
    """The numbers that the notebook's code passes to a function named seed.

    They may be sums of whole numbers and of names that were set to one.
    """
    statements = [
        statement
        for cell in notebook.cells
        if cell.cell_type == "code"
        for statement in slices.statements(cell.source)
    ]
    known, found = {}, set()
    for node in (node for s in statements for node in ast.walk(s)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            known[node.targets[0].id] = whole_number(node.value, known)
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "seed":
                found.add(whole_number(node.args[0], known))
    return sorted(found - {None})


def whole_number(node: ast.expr, known: dict[str, int | None]) -> int | None:
    """The value of an expression of whole numbers, None where it is something else."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in SUMS:
        sides = whole_number(node.left, known), whole_number(node.right, known)
        if None not in sides:
            return SUMS[type(node.op)](*sides)
    return None


def duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


if __name__ == "__main__":
    main()
