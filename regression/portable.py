"""Run the short profile on several processors, and compare every two of the runs.

    python -m regression.portable [NOTEBOOK …]

The project's pyproject.toml names the processors that this one can stand in for, in
[tool.regression.processors]. What is stored has to hold on each of them, and what each
would have stored has to hold on all others; ratios of durations are not looked at.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
from pathlib import Path

import nbformat

from regression import compare, kernels, record, run, slices, spread, trainings

STORED = "stored"
KINDS = "beginnings", "outcomes", "printed", "other numbers"


def main():
    parser = argparse.ArgumentParser(prog="python -m regression.portable")
    parser.add_argument("notebooks", nargs="*", type=Path)
    paths = parser.parse_args().notebooks or sorted(Path("chapters").glob("*.ipynb"))
    processors = kernels.project(Path.cwd()).get("processors", {})
    runs = {STORED: {path: stored_cells(path) for path in paths}}
    for name, cells in run_all(processors, paths):
        runs.setdefault(name, {}).update(cells)
    rows, faults = [["stored under", "run under", *KINDS, "red cells"]], []
    for one in runs:
        for other in processors:
            if one != other:
                shares, found = compared(runs[one], runs[other], paths)
                percents = [f"{shares[kind]:.0%}" for kind in KINDS]
                rows.append([one, other, *percents, str(len(found))])
                faults += [f"stored under {one}, run under {other}: {f}" for f in found]
    print("\nThe largest share of a limit that a number used:")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        print("  ".join(f"{cell:<{width}}" for cell, width in cells).rstrip())
    print("\n".join(faults))
    print(f"{len(rows) - 1 - len(faults)} passed, {len(faults)} failed")
    return bool(faults)


def stored_cells(path):
    """The outputs and trainings of the short profile, by cell, as they are stored."""
    kept = record.read(path)
    notes = kept["trainings"]["short"]
    return {
        cell.id: (kept["short"].get(cell.id, cell.outputs), notes.get(cell.id, []))
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    }


def run_all(processors, paths):
    """Yield (processor, {path: cells}) of one run after the other, one a core."""
    # Not forked: a kernel's sockets are in a folder of the process that starts it.
    spawned = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))
    with concurrent.futures.ProcessPoolExecutor(cores, spawned) as pool:
        jobs = {
            pool.submit(new_cells, path, variables): (name, path)
            for name, variables in processors.items()
            for path in paths
        }
        for job in concurrent.futures.as_completed(jobs):
            name, path = jobs[job]
            print(f"ran {path.name} {name}", flush=True)
            yield name, {path: job.result()}


def new_cells(path, variables):
    profile = {compare.SHORT_PROFILE: "short"}
    done = run.run(path, profile | spread.USUAL | variables)
    cells = {}
    for cell in done.notebook.cells:
        if cell.cell_type == "code":
            noted = done.notes.get(cell.id, {"trainings": []})["trainings"]
            cells[cell.id] = cell.outputs, noted
    return cells


def compared(stored, new, paths):
    """(the largest share used by kind, what is off in sentences) of two runs."""
    shares, faults = dict.fromkeys(KINDS, 0.0), []
    for path in paths:
        notebook, measured = (
            nbformat.read(path, as_version=4),
            spread.read(path, "short"),
        )
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
            differences, share = compare.compare(old[0], now[0], settings)
            shares[kind] = max(shares[kind], share)
            words = list(map(str, differences))
            spreads = measured.trainings(cell.id, code, len(old[1]))
            if len(old[1]) != len(now[1]):
                words.append(f"{len(old[1])} trainings became {len(now[1])}")
                spreads = []
            elif spreads is None:
                words.append("the spread was measured for other code: make spread")
                spreads = []
            for group in zip(old[1], now[1], spreads, strict=False):
                for found in trainings.compare(*group):
                    kind = "outcomes" if found.outcome else "beginnings"
                    shares[kind] = max(shares[kind], found.share)
                    words += [found.words] if found.words else []
            faults += [f"{path.name}, {cell.id}: {w}" for w in words]
    return shares, faults


if __name__ == "__main__":
    sys.exit(main())
