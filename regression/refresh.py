"""Run notebooks from top to bottom and store what they print and plot.

    python -m regression.refresh [NOTEBOOK …]

Each notebook runs in a fresh kernel, in full, for the outputs that readers see, and
where the project has a short profile once more in that, for NAME.record.json, which
also has digests and the notes on trainings. Nothing is written unless every cell
succeeded, the short run agrees with the full one where the regression run will expect
it to, and the notebook is still the one that was read.

Numbers that the text has from these outputs are written anew with them (`prose.py`).
What else a sentence claims is for its author: where the outputs no longer bear it out,
they are stored all the same, the sentence is printed, and the exit status is 1.
"""

import argparse
import ast
import collections
import copy
import datetime
import logging
import operator
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from regression import compare, project, prose, record, run, slices, tidy

SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


class NotRefreshed(Exception):
    """Why nothing was written, in sentences."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m regression.refresh")
    parser.add_argument("notebooks", nargs="*", type=Path)
    own, failed, done = project.here(), [], []
    paths = parser.parse_args().notebooks or own.paths()
    stop_on_doubt(own)
    for path in paths:
        try:
            seconds = refresh(path, own)
        except (NotRefreshed, OSError) as error:
            failed.append(str(path))
            print(f"{path}: nothing is written.\n{error}")
        except KeyboardInterrupt:
            # The cell that it waited for failed with its kernel, and nobody asks why.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            sys.exit(f"{path}: interrupted, nothing is written.")
        else:
            done.append(path)
            print(f"{path}: refreshed, {seconds:.0f} s.")
    said = [f"Not refreshed: {', '.join(failed)}."] if failed else []
    # Once all are stored: a notebook may quote one that came later.
    wrong = prose.left(own, done) if done else []
    if wrong:
        said += ["THE OUTPUTS NO LONGER BEAR OUT THE TEXT. Correct:", *wrong]
    if said:
        sys.exit("\n".join(said))


def stop_on_doubt(own: project.Project) -> None:
    """Exit where the outputs would not be those of the committed code and real data."""
    code = " and ".join(own.code)
    dirty = uncommitted(own.code)
    if dirty:
        sys.exit(
            f"Stored outputs have to come from committed code, but {code} has "
            f"changes:\n{dirty}Commit or undo them, then refresh again."
        )
    for switch in (*own.short, own.stand_in, own.rounding, own.seed):
        if switch in os.environ:
            sys.exit(
                "Stored outputs have to come from the whole notebook as it is, on the "
                f"real data, but {switch} is set. Unset it, then refresh again."
            )


def uncommitted(folders: list[str]) -> str:
    """What git lists of these folders, a line per file; exits where there is no git."""
    if not folders:
        return ""
    command = ["git", "status", "--porcelain", "--", *folders]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"Whether {' and '.join(folders)} is committed can't be told, for git "
            f"failed: {getattr(error, 'stderr', '') or error}"
        )
    return done.stdout


def refresh(path: Path, own: project.Project) -> float:
    """Refresh one notebook, and return the seconds; NotRefreshed says why not."""
    before = path.read_bytes()
    try:
        stored = nbformat.reads(before.decode(), as_version=4)
    except ValueError as error:
        raise NotRefreshed(f"It can't be read: {error}") from None
    for number, cell in enumerate(stored.cells, 1):
        if "id" not in cell:
            raise NotRefreshed(
                f"Cell {number} has no id, by which what is stored of it is known. "
                "Save the notebook in a JupyterLab of today, which gives each cell one."
            )
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
    stop_on_errors(full)
    doubts = profile_differences(full, short, own)
    add_provenance(full, done, stored.metadata.get("times", {}), own)
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
    kept = record.text_of(full, trained, notes)
    quoting, changes = prose.refreshed(own, path, full)
    print(*changes, sep="\n", end="\n" if changes else "")
    notebook = nbformat.writes(full) + "\n"
    # A notebook that is a link stays one.
    files = {path.resolve(): notebook, record.path_of(path): kept} | quoting
    write(files, before)
    return done.seconds


def stop_on_errors(notebook: nbformat.NotebookNode) -> None:
    """NotRefreshed where an output is an error that the cell does not announce.

    An exception ends the run, but not one while IPython makes an output of a result.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            announced = "raises-exception" in cell.metadata.get("tags", ())
            if output.output_type == "error" and not announced:
                raise NotRefreshed(
                    f"Cell {cell.id} shows an error: {output.ename}: {output.evalue}"
                )


def write(texts: dict[Path, str], before: bytes) -> None:
    """Replace files, each whole or not at all, and none where one has no room.

    before: the content that the first one has to have, else NotRefreshed is raised.
    """
    parts = {}
    try:
        for path, text in texts.items():
            handle, part = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
            parts[path] = Path(part)
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            # Those of mkstemp are for the user alone.
            parts[path].chmod(path.stat().st_mode if path.exists() else 0o644)
        if next(iter(parts)).read_bytes() != before:
            raise NotRefreshed(
                "Somebody saved it while it ran, and what was saved would be lost. "
                "Refresh again."
            )
        # The files belong together, so Ctrl-C has to wait for a moment.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        for path, part in parts.items():
            part.replace(path)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
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
    notebook: nbformat.NotebookNode,
    done: run.Run,
    times: dict[str, int],
    own: project.Project,
) -> None:
    """Put where the outputs are from into the metadata, and a line at the end.

    times: seconds by kind of device, of which this run replaces its own.
    """
    device, passed = done.device.get("name"), seeds(notebook)
    notebook.metadata.provenance = {
        "packages": done.packages,
        "seed": sorted(passed - {None}),
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
    told = [*map(str, sorted(passed - {None})), *["others"] * (None in passed)]
    seed = " and ".join(told) or "none"
    line = provenance_line(notebook.metadata.provenance, seed, own)
    tagged = [c for c in notebook.cells if "provenance" in c.metadata.get("tags", [])]
    if not tagged:
        cell = nbformat.v4.new_markdown_cell(id="provenance")
        cell.metadata.tags = ["provenance"]
        notebook.cells.append(cell)
        tagged = [cell]
    tagged[-1].source = line


def provenance_line(facts: dict, seed: str, own: project.Project) -> str:
    titles = {"python": "Python"} | own.packages
    packages = ", ".join(
        f"{titles[name]} {version}" for name, version in facts["packages"].items()
    )
    where = ""
    if "device" in facts:
        where = f" on `{facts['device']}` ({facts['processor']})"
    return (
        f"*Outputs: one run on {facts['date']}, {duration(facts['seconds'])}{where}, "
        f"with {packages}; seed: {seed}.*"
    )


def seeds(notebook: nbformat.NotebookNode) -> set[int | None]:
    """The numbers that the notebook's code passes to functions named seed.

    They may be sums of whole numbers and of names that were set to one. None stands for
    those that are something else.
    """
    bodies = [body for _, body in slices.statements_of_all(notebook)]
    nodes = [node for body in bodies for s in body for node in ast.walk(s)]
    plain = {}  # what is assigned to a name, by the id of the name's node
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                plain[id(target)] = node.value
    # From a name, all that it ever stands for; None for what comes from a loop or call.
    meanings = collections.defaultdict(list)
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            meanings[node.id].append(plain.get(id(node)))
        elif isinstance(node, ast.arg):
            meanings[node.arg].append(None)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if name == "seed" and given:
                found.add(whole_number(given[0], meanings))
    return found


def whole_number(
    node: ast.expr | None, meanings: dict[str, list[ast.expr | None]]
) -> int | None:
    """The value of an expression of whole numbers, None where it is something else."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        others = {k: v for k, v in meanings.items() if k != node.id}
        values = {whole_number(m, others) for m in meanings.get(node.id, [None])}
        return values.pop() if len(values) == 1 else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = whole_number(node.operand, meanings)
        return None if value is None else -value
    if isinstance(node, ast.BinOp) and type(node.op) in SUMS:
        sides = [whole_number(side, meanings) for side in (node.left, node.right)]
        if None not in sides:
            return SUMS[type(node.op)](*sides)
    return None


def duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


if __name__ == "__main__":
    main()
