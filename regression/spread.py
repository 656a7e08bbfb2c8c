"""Measure by how much trainings differ where nothing but rounding, or the seed, does.

    python -m regression.spread [NOTEBOOK …]

Each notebook runs many times, and what is stored in NAME.spread.json says how far the
runs are apart: `limits.py` makes limits of it. The project's pyproject.toml names in
[tool.regression] the environment variables that perturb rounding and seeds, and sets of
variables that let this processor stand in for others. Runs are kept in _build/spread,
so that an interrupted measurement goes on, and by the code that leads to each training
(`slices.py`), so that a changed sentence or plot costs none. What the notebook calls in
other files is not in that digest: remove the folder to forget the runs.
"""

import argparse
import concurrent.futures
import copy
import json
import math
import multiprocessing
import operator
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from regression import compare, limits, project, run, slices, tidy, trainings

FOLDER = Path("_build/spread")  # one file for each run, kept for the next time
ROUNDINGS = 14  # runs of the short profile that differ in rounding only
# Runs of the full profile, beside the one as it is. They differ in rounding as well, so
# their spread is the limit there, too: rounding alone would take as many runs again.
SEEDS = 4
USUAL = {"OMP_NUM_THREADS": "1"}  # as when notebooks run side by side, one a core


class Spread:
    """What was measured of a notebook's trainings, and what it is judged by.

    cells: by cell, its code, what it prints, and its trainings' outcomes, the last two
    as arguments of `limits.limit`. beginnings: by cell, as in NAME.spread.json.
    """

    def __init__(self, cells: dict[str, dict], beginnings: dict[str, dict]) -> None:
        self.cells, self.beginnings = cells, beginnings

    def printed(self, cell: str, code: str) -> float:
        """By how much the numbers that a cell prints may differ, relative to scale.

        A cell whose code has changed since, such as a plot, or of which no two runs had
        the same words, gets the largest of all.
        """
        own = self.cells.get(cell, {})
        judged = [measured["printed"] for measured in self.cells.values()]
        if own.get("code") == code and own["printed"]:
            judged = [own["printed"]]
        return max((limits.limit(**one) for one in judged if one), default=0.0)

    def trainings(self, cell: str, code: str, count: int) -> list[dict] | None:
        """For each training of a cell what `trainings.comparisons` takes as its spread.

        None where it was measured for other code.
        """
        if cell not in self.beginnings:
            return [{}] * count
        measured = self.beginnings[cell]
        if measured["code"] != code or len(measured["trainings"]) != count:
            return None
        outcomes = self.cells[cell]["outcomes"]
        return [
            {"runs": measured["runs"], **began, "outcome": led}
            for began, led in zip(measured["trainings"], outcomes, strict=True)
        ]


def path_of(notebook: Path) -> Path:
    return notebook.with_suffix(".spread.json")


def read(notebook: Path, profile: str) -> Spread:
    """The `Spread` of a notebook's path; all notebooks beside it are pooled."""
    files = {}
    for path in sorted(notebook.parent.glob("*.spread.json")):
        try:
            files[path.name] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{path} is damaged ({error}). Run python -m regression.spread."
            ) from None
    own = path_of(notebook).name
    measured = {
        (file, name): cell
        for file, content in files.items()
        for name, cell in content.get(profile, {}).items()
    }
    printed = {
        name: (cell["printed"], cell["alike"])
        for name, cell in measured.items()
        if cell["alike"] > 1
    }
    pooled = limits.pooled(list(printed.values()), profile)
    judged = dict(zip(printed, pooled, strict=True))
    cells = {
        name: {
            "code": cell["code"],
            "printed": judged.get((file, name)),
            "outcomes": [{} for _ in cell["trainings"]],
        }
        for (file, name), cell in measured.items()
        if file == own
    }
    for outcome in trainings.OUTCOMES:
        values = {
            (file, name, n): training["outcome"][outcome]
            for (file, name), cell in measured.items()
            for n, training in enumerate(cell["trainings"])
            if outcome in training["outcome"]
        }
        deviations = [(log_deviation(v), len(v)) for v in values.values()]
        pooled = limits.pooled(deviations, profile)
        by_cell = {}
        for (file, name, _), deviation in zip(values, deviations, strict=True):
            by_cell.setdefault((file, name), []).append(deviation)
        together = {
            cell: [limits.together(found)]
            for cell, found in by_cell.items()
            if len(found) >= limits.MANY
        }
        for (file, name, n), found in zip(values, pooled, strict=True):
            if file == own:
                judges = [found, *together.get((file, name), [])]
                found = max(judges, key=operator.itemgetter("deviation"))
                cells[name]["outcomes"][n][outcome] = found
    content = files.get(own, {})
    # A short training is the beginning of the full one, but for those that go on where
    # another has ended: there the full one begins elsewhere.
    beginnings = copy.deepcopy(content.get("short", {}))
    for name, cell in beginnings.items() if profile == "full" else ():
        full = content["full"].get(name, cell)
        for n, training in enumerate(cell["trainings"]):
            if any(fact.startswith("initial") for fact in training["beginning"]):
                began = full["trainings"][n]["beginning"]
                cell["trainings"][n] = {"beginning": began, "runs": full["runs"]}
    return Spread(cells, beginnings)


def log_deviation(values: list[float]) -> float:
    return statistics.stdev(map(math.log, values))


def variations(own: project.Project, profile: str) -> dict[str, dict[str, str]]:
    """name: environment, of the runs of a profile that vary one thing."""
    named = {"as it is": {}}
    if profile == "full":
        kind, variable, count = "seed", own.seed, SEEDS
    else:
        kind, variable, count = "rounding", own.rounding, ROUNDINGS
        for name, variables in own.processors.items():
            if variables.items() - USUAL.items():  # else it is no other processor
                named[f"processor {name}"] = variables
    if variable:
        for n in range(1, count + 1):
            named[f"{kind} {n}"] = {variable: str(n)}
    return named


def measure(
    path: Path,
    profile: str,
    name: str,
    environment: dict[str, str],
    own: project.Project,
) -> dict:
    """Run a notebook with one variation, and keep what depends on its trainings."""
    target = FOLDER / profile / path.stem / f"{name}.json"
    notebook = nbformat.read(path, as_version=4)
    if target.exists():
        kept = json.loads(target.read_text(encoding="utf-8"))
        ids = {cell.id for cell in notebook.cells}
        if {cell.id for cell in notebook.cells if trained(cell)} <= set(kept) and all(
            cell in ids and slices.digest(notebook, cell) == content["code"]
            for cell, content in kept.items()
            if content["trainings"]
        ):
            return kept
    done = run.cells(notebook, path, USUAL | environment, own)
    cells = {}
    for cell in done.notebook.cells:
        if cell.id in done.notes or trained(cell):
            notes = done.notes.get(cell.id, {"trainings": [], "results": {}})
            outputs = tidy.without_pictures(cell.outputs)
            code = slices.digest(done.notebook, cell.id)
            cells[cell.id] = {"code": code, **notes, "outputs": outputs}
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps(cells), encoding="utf-8")
    temporary.replace(target)
    print(f"{profile}, {name}: {path.name}, {done.seconds:.0f} s", flush=True)
    return cells


def trained(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("regression", {}).get("trained"))


def summary(runs: dict[str, dict]) -> dict[str, dict]:
    """What NAME.spread.json has of one profile, from the runs' cells by name."""
    base = runs["as it is"]
    found = {}
    for cell, first in base.items():
        like = [r[cell] for r in runs.values() if cell in r]
        like = [c for c in like if c["code"] == first["code"]]
        if len(like) < 2:
            continue
        printed, differing = compare.deviations([c["outputs"] for c in like])
        if differing:
            print(f"cell {cell}: {differing} of {len(like)} runs print other words")
        notes = zip(*(c["trainings"] for c in like), strict=True)
        found[cell] = {
            "code": first["code"],
            "runs": len(like),
            "alike": len(like) - differing,  # whose numbers can be told
            "printed": round_up(max(printed, default=0.0)),
            "trainings": [measured_training(runs) for runs in notes],
        }
    return found


def measured_training(notes: list[dict]) -> dict[str, dict]:
    """Deviations of the facts of a training's beginning, and all of its outcomes.

    Runs with other seeds begin differently: there the deviations mean nothing.
    """
    facts = zip(*map(trainings.beginning, notes), strict=True)
    beginning = {}
    for group in trainings.until_diverged(facts):
        if not all(math.isfinite(fact.value) for fact in group):
            continue
        scale = statistics.mean(fact.scale for fact in group)
        deviation = statistics.stdev(fact.value for fact in group) / scale
        if limits.limit(deviation, len(notes) - 1) > group[0].floor:
            beginning[group[0].name] = round_up(deviation)
    outcome = {}
    for name in trainings.OUTCOMES:
        values = [note[name] for note in notes]
        if all(v is not None and math.isfinite(v) and v > 0 for v in values):
            outcome[name] = [float(f"{v:.6g}") for v in values]
    return {"beginning": beginning, "outcome": outcome}


def round_up(deviation: float) -> float:
    """Two digits, for these are estimates, and the file is read by people."""
    if not deviation:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(deviation)) - 1)
    return float(f"{math.ceil(deviation / unit) * unit:.2g}")


def distinct(runs: dict[str, dict]) -> dict[str, dict]:
    """The runs without those that repeat another to the last digit."""
    seen, found = set(), {}
    for name, cells in runs.items():
        notes = [note for cell in cells.values() for note in cell["trainings"]]
        key = json.dumps([(note["losses"], note["late loss"]) for note in notes])
        if key not in seen:
            found[name] = cells
        seen.add(key)
    return found


def results(runs: dict[str, dict]) -> dict[str, list[float]]:
    """name: values of the run as it is and of those with other seeds."""
    found = {}
    for name, cells in runs.items():
        if name == "as it is" or name.startswith("seed"):
            of_run = {}  # a result may be glued in one cell and looked up in another
            for cell in cells.values():
                of_run |= cell["results"] | glued(cell["outputs"])
            for result, value in of_run.items():
                found.setdefault(result, []).append(value)
    return found


def glued(outputs: list[NotebookNode]) -> dict[str, float]:
    """name: number of the values that a cell stores by `glue` of MyST-NB."""
    found = {}
    for output in outputs:
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        for value in output.get("data", {}).values() if name else ():
            try:
                found[name] = float(value)
            except ValueError:
                pass  # a text
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m regression.spread")
    parser.add_argument("notebooks", nargs="*", type=Path)
    own = project.here()
    paths = parser.parse_args().notebooks or [
        path
        for path in own.paths()
        if any(trained(cell) for cell in nbformat.read(path, as_version=4).cells)
    ]
    if not paths:
        sys.exit(
            'No cell has "trained": true in its metadata "regression", so there is '
            "nothing to measure."
        )
    jobs = {
        (path, profile, name): (path, profile, name, variables | environment, own)
        for profile, variables in own.profiles().items()
        for name, environment in variations(own, profile).items()
        for path in paths
    }
    done = dict(in_parallel(measure, jobs))
    for path in paths:
        content = {"runs": {}}
        for profile in own.profiles():
            names = variations(own, profile)
            runs = {name: done[path, profile, name] for name in names}
            content["runs"][profile] = list(runs)
            content[profile] = summary(distinct(runs))
            if profile == "full":
                content["seeds"] = results(runs)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        path_of(path).write_text(text, encoding="utf-8")
        print(f"{path_of(path)}: written.")


def in_parallel(function: Callable, jobs: dict[Any, tuple]) -> Iterator[tuple]:
    """Call `function` with each job's arguments, one a core: yield (name, result)."""
    # Not forked: a kernel's sockets are in a folder of the process that starts it.
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(run.cores(), spawned) as pool:
        futures = {pool.submit(function, *job): name for name, job in jobs.items()}
        try:
            for future in concurrent.futures.as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main()
