"""Run the short profile on several processors, and compare every two of the runs.

    python -m regression.portable [NOTEBOOK …]

The project's pyproject.toml names the processors that this one can stand in for, in
[tool.regression.processors]. What is stored has to hold on each of them, and what each
would have stored has to hold on all others; ratios of durations are not looked at.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from tabulate import tabulate

from regression import compare, project, record, run, slices, spread, trainings

STORED = "stored"
KINDS = "beginnings", "outcomes", "printed", "other numbers"


# From a cell's id its outputs and the notes on its trainings.
Cells = dict[str, tuple[list, list]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m regression.portable")
    parser.add_argument("notebooks", nargs="*", type=Path)
    own = project.here()
    paths = parser.parse_args().notebooks or own.paths()
    if not (own.short and own.processors):
        sys.exit(
            "Processors are compared in the short profile: name short and processors "
            "in [tool.regression] of pyproject.toml."
        )
    runs = {STORED: {path: stored_cells(path) for path in paths}}
    for name, cells in run_all(own, paths):
        runs.setdefault(name, {}).update(cells)
    rows, faults = [], []
    for one in runs:
        for other in own.processors:
            if one != other:
                shares, found = compared(runs[one], runs[other], own)
                percents = [f"{shares[kind]:.0%}" for kind in KINDS]
                rows.append([one, other, *percents, len(found)])
                faults += [f"stored under {one}, run under {other}: {f}" for f in found]
    headers = ["stored under", "run under", *KINDS, "off"]
    print("\nThe largest share of a limit that a number used, and what is off:")
    print(tabulate(rows, headers, colalign=["left"] * 2 + ["right"] * 5))
    print("\n".join(faults))
    red = sum(row[-1] > 0 for row in rows)
    print(f"{len(rows) - red} of {len(rows)} pairs are green.")
    return red > 0


def stored_cells(path: Path) -> Cells:
    """The outputs and trainings of the short profile, by cell, as they are stored."""
    kept = record.read(path)
    if "short" not in kept.get("trainings", {}):
        sys.exit(
            f"{record.path_of(path)} has no short profile. Run "
            "python -m regression.refresh."
        )
    notes = kept["trainings"]["short"]
    return {
        cell.id: (kept["short"].get(cell.id, cell.outputs), notes.get(cell.id, []))
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    }


def run_all(
    own: project.Project, paths: list[Path]
) -> Iterator[tuple[str, dict[Path, Cells]]]:
    """Yield (processor, {path: cells}) of one run after the other, one a core."""
    jobs = {
        (name, path): (path, own.short | spread.USUAL | variables, own)
        for name, variables in own.processors.items()
        for path in paths
    }
    for (name, path), cells in spread.in_parallel(new_cells, jobs):
        print(f"ran {path.name} {name}", flush=True)
        yield name, {path: cells}


def new_cells(path: Path, environment: dict[str, str], own: project.Project) -> Cells:
    done = run.cells(nbformat.read(path, as_version=4), path, environment, own)
    cells = {}
    for cell in done.notebook.cells:
        if cell.cell_type == "code":
            noted = done.notes.get(cell.id, {"trainings": []})["trainings"]
            cells[cell.id] = cell.outputs, noted
    return cells


def compared(
    stored: dict[Path, Cells], new: dict[Path, Cells], own: project.Project
) -> tuple[dict[str, float], list[str]]:
    """(the largest share used by kind, what is off in sentences) of two runs."""
    shares, faults = dict.fromkeys(KINDS, 0.0), []
    for path in stored:
        notebook = nbformat.read(path, as_version=4)
        measured = spread.read(path, "short")
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            settings = compare.Settings.of(cell)
            if settings.timing:
                continue
            code = slices.digest(notebook, cell.id)
            kind = "other numbers"
            if settings.trained:
                kind, settings.spread = "printed", measured.printed(cell.id, code)
            old, now = stored[path][cell.id], new[path][cell.id]
            differences, share = compare.outputs(
                old[0], now[0], settings, own.uncompared
            )
            shares[kind] = max(shares[kind], share)
            words = list(map(str, differences))
            spreads = measured.trainings(cell.id, code, len(old[1]))
            if len(old[1]) != len(now[1]):
                words.append(f"{len(old[1])} trainings became {len(now[1])}")
                spreads = []
            elif spreads is None:
                words.append("the spread was measured for other code")
                spreads = []
            for group in zip(old[1], now[1], spreads, strict=False):
                for found in trainings.comparisons(*group):
                    kind = "outcomes" if found.outcome else "beginnings"
                    shares[kind] = max(shares[kind], found.share)
                    words += [found.words] if found.words else []
            faults += [f"{path.name}, {cell.id}: {w}" for w in words]
    return shares, faults


if __name__ == "__main__":
    sys.exit(main())
