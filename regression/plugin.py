"""pytest plugin: nbval with the rules of `compare.py`, and a report of its own.

    python -m pytest -p regression.plugin --nbval --nbval-current-env FOLDER

nbval runs the cells. On top of it this plugin compares their outputs by our rules,
lets no cell pass that was never run, notices a dead kernel within a second, stops a
notebook at its first exception, and prints a line per notebook. With pytest-xdist,
``-n auto --dist loadfile`` runs notebooks side by side, one a core, and one at a time
where there is a GPU.
"""

import ast
import glob
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from jupyter_client.manager import KernelManager
from nbval import kernel, plugin

from regression import (
    compare,
    kernels,
    project,
    record,
    report,
    run,
    slices,
    spread,
    tidy,
    trainings,
)


def pytest_addoption(parser):
    group = parser.getgroup("regression", "comparison of re-run notebooks")
    group.addoption(
        "--regression-summary", metavar="FILE", help="write the report as Markdown"
    )
    group.addoption(
        "--regression-spoiled",
        metavar="FILE",
        help="write the notebooks that are to run again, for only ratios were off",
    )
    group.addoption(
        "--regression-only", metavar="JSON", help="run these notebooks of all, a list"
    )


def pytest_configure(config):
    try:
        project.read(config.rootpath)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    os.environ.update(kernels.environment())
    plugin.RunningKernel = WatchedKernel
    kernel.KernelManager = manage_kernel
    workers = os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if workers:
        threads = max(1, run.cores() // int(workers))
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    else:
        config.pluginmanager.register(report.Report(config), "regression-report")


def manage_kernel(**options):
    return KernelManager(**options, **kernels.own_sockets())


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config):
    """One process a notebook as far as there are cores, which share the threads.

    Training on a CPU gains little from a second thread: two notebooks side by side
    on two cores took half the time that they took one after the other.
    """
    # Two processes on one GPU would fight for its memory.
    if glob.glob("/dev/nvidia[0-9]*"):
        return 0
    paths = [Path(arg.split("::")[0]) for arg in config.args]
    notebooks = sum(
        len([n for n in p.rglob("*.ipynb") if not project.hidden(n.relative_to(p))])
        if p.is_dir()
        else 1
        for p in paths
    )
    workers = min(notebooks, run.cores())
    return workers if workers > 1 else 0


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    collectors = yield
    if file_path.suffix == ".ipynb" and project.hidden(
        Path(name_in_project(file_path, parent.config))
    ):
        return []
    return [
        Notebook.from_parent(parent, path=file_path)
        if isinstance(collector, plugin.IPyNbFile)
        else collector
        for collector in collectors
    ]


def name_in_project(path, config):
    root = config.rootpath
    return path.relative_to(root).as_posix() if root in path.parents else ""


def pytest_collection_modifyitems(config, items):
    # Not at collection: a notebook named on the command line has to be found there.
    if config.option.regression_only:
        only = json.loads(config.option.regression_only)
        items[:] = [i for i in items if name_in_project(i.path, config) in only]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    if isinstance(item, Cell):
        # A plain dict: with pytest-xdist it travels to the reporting process.
        result.regression = item.facts
    return result


NO_ID = (
    "The cell has no id, by which what is stored of it is known. Save the notebook in "
    "a JupyterLab of today, which gives each cell one."
)


class KernelDied(Exception):
    pass


class WatchedKernel(kernel.RunningKernel):
    """nbval's kernel, treated as Jupyter does and watched while it works."""

    def get_message(self, stream, timeout=None):
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            try:
                left = max(0, deadline - time.monotonic())
                return super().get_message(stream, timeout=min(1, left))
            except Empty:
                if not self.is_alive():
                    raise KernelDied from None
                if time.monotonic() >= deadline:
                    raise

    def execute_cell_input(self, cell_input, allow_stdin=None):
        # With a history, unlike nbval, so that a trailing ";" hides a result.
        return self.kc.execute(cell_input, allow_stdin=allow_stdin, stop_on_error=False)

    def reply(self, code: str, **expressions: str) -> dict:
        """What the kernel says to `code`, run aside, and to `expressions`."""
        sent = self.kc.execute(code, silent=True, user_expressions=expressions)
        while True:
            message = self.get_message("shell", timeout=60)
            if message["parent_header"].get("msg_id") == sent:
                found = message["content"]
                for answer in found, *found.get("user_expressions", {}).values():
                    if answer["status"] == "error":
                        raise Failure(without_colors("\n".join(answer["traceback"])))
                return found

    def value(self, expression: str) -> str:
        """The string that an expression has in the kernel."""
        found = self.reply("", it=expression)["user_expressions"]["it"]
        return ast.literal_eval(found["data"]["text/plain"])


class Notebook(plugin.IPyNbFile):
    """A notebook's cells and their kernel.

    stopped: why the cells that are left are not run; empty as long as they are.
    broken: why no cell can be run, which its first cell says.
    lacks: what this machine lacks for it, so that no cell is run.
    record: what is stored beside the notebook, `record.py`.
    spread: what was measured of its trainings, from a cell's id, `spread.py`.
    on_gpu: whether the cells so far computed on a GPU, as the project's watch says.
    """

    stopped = broken = lacks = ""
    on_gpu = False

    def collect(self):
        for item in super().collect():
            yield Cell.from_parent(
                self,
                name=f"cell {item.cell_num + 1} ({item.cell.get('id', 'no id')})",
                cell_num=item.cell_num,
                cell=item.cell,
                options=item.options,
            )

    def setup(self):
        # Where pytest's variable is set, ipykernel drops what C code writes to stderr.
        current = os.environ.pop("PYTEST_CURRENT_TEST")
        try:
            super().setup()
        finally:
            os.environ["PYTEST_CURRENT_TEST"] = current
        self.project = project.read(self.config.rootpath)
        self.profile = self.project.profile(os.environ)
        self.lacks = self.project.lacks(self.path.name)
        try:
            self.kernel.reply(kernels.setup(self.project))
            self.record = record.read(self.path)
            self.spread = spread.read(self.path, self.profile)
        except (Failure, ValueError) as error:
            self.broken = str(error)

    @property
    def stand_in(self):
        """The variable that replaces the data, where it is set; else empty."""
        return self.project.stand_in if self.project.stand_in in os.environ else ""


class Failure(Exception):
    """What is wrong with a cell, in words."""


def without_colors(text: str) -> str:
    """The text of a traceback without the codes that JUnit XML can't hold."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


class Cell(plugin.IPyNbCell):
    """One code cell. `facts` is what the report needs to know about it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.facts = {
            "notebook": str(self.path.relative_to(self.config.rootpath)),
            "cell": self.name,
            "outcome": "failed",
            "reason": "",
            "timing": False,
            "share": 0.0,
            "differences": [],
            "sentences": [],
        }

    def runtest(self):
        if self.parent.stopped:
            self.facts.update(outcome="not run", reason=self.parent.stopped)
            pytest.skip(self.parent.stopped)
        if self.parent.lacks:
            self.stop_for_want_of(self.parent.lacks)
        if "id" not in self.cell:
            raise Failure(NO_ID)
        if self.parent.broken:
            self.parent.stopped = "the notebook could not be set up"
            raise Failure(self.parent.broken)
        faults = list(self.stored_faults())
        edited = list(record.faults(self.parent.record, self.cell))
        # nbval compares nothing where a count is missing.
        self.cell.execution_count = self.cell_num + 1
        self.differences, words = [], []
        try:
            if not self.options["skip"]:
                super().runtest()
                words = list(self.compare_trainings())
        except Exception as error:
            # What comes after would fail because of this, and hide it.
            self.parent.stopped = f"{self.name} did not finish"
            self.parent.timed_out = False
            faults.append(self.explain(error))
        # Where the cell itself is at fault its differences say little.
        sentences = faults or [*edited, *words]
        found = sentences if faults else [*sentences, *map(str, self.differences)]
        self.facts["sentences"] = sentences
        self.facts["timing"] = self.settings.timing and not sentences
        if found:
            if self.facts["timing"]:
                found.append("A ratio of durations, which other work can spoil.")
            raise Failure("\n".join(found))
        self.user_properties.append(("outcome", self.facts["outcome"]))
        self.user_properties.append(("share of tolerance", self.facts["share"]))

    def stop_for_want_of(self, what: str) -> None:
        """Leave the cell out, and say why; with CI=true that is a failure."""
        if os.environ.get("CI") == "true":
            raise Failure(f"{what}\nWith CI=true this fails, and is not left out.")
        self.facts.update(outcome="left out", reason=what.splitlines()[-1])
        pytest.skip(what)

    def stored_faults(self) -> Iterator[str]:
        """Yield what is wrong with the stored cell, before it is run."""
        count = self.cell.execution_count
        if count is None:
            yield (
                "It was never executed, or its outputs were cleared: no execution "
                f"count is stored. {record.AGAIN}"
            )
        elif count != self.cell_num + 1:
            yield (
                f"The stored cells are out of order: this one, number "
                f"{self.cell_num + 1}, was executed as In [{count}]. {record.AGAIN}"
            )
        try:
            compare.Settings.of(self.cell, on_gpu=True)  # faults show on a CPU, too
            self.settings = compare.Settings.of(self.cell, self.parent.on_gpu)
        except ValueError as error:
            self.settings = compare.Settings()
            yield f"Cell metadata: {error}"
        if self.settings.trained:
            code = slices.digest(self.parent.nb, self.cell.id)
            self.settings.spread = self.parent.spread.printed(self.cell.id, code)
        self.facts["outcome"] = "tolerated" if self.settings.tolerant else "compared"
        if self.options["skip"] or not self.options["check"]:
            self.facts.update(outcome="left out", reason=self.settings.why)
            if not self.settings.why:
                yield (
                    "It is left out of the comparison without a reason: add one to "
                    'its metadata, "regression": {"why": "…"}, or remove the tag.'
                )

    def explain(self, error: Exception) -> str:
        if isinstance(error, KernelDied):
            return "The kernel died while this cell ran."
        if isinstance(error, plugin.NbCellError):
            return without_colors(f"{error}{error.inner_traceback or ''}")
        return f"{type(error).__name__}: {error}"

    def compare_outputs(self, test, ref, skip_compare=None):
        """nbval's hook for the comparison; what differs goes to `self.differences`."""
        settings = self.settings
        stand_in, own = self.parent.stand_in, self.parent.project
        if stand_in and (settings.data or settings.trained):
            reason = f"depends on the data, and {stand_in} is set"
            self.facts.update(outcome="left out", reason=reason)
            return True
        if self.parent.profile == "short" and settings.trained:
            short = self.parent.record.get("short", {})
            if self.cell.id not in short:
                where = (
                    f"{record.path_of(self.path).name} has no outputs of the short "
                    f"profile for this cell. {record.AGAIN}"
                )
                self.differences = [compare.Difference(where, None, None)]
                return True
            ref = short[self.cell.id]
        self.differences, self.facts["share"] = compare.outputs(
            ref, tidy.outputs(test, own.benign), settings, own.uncompared
        )
        self.facts["differences"] = [vars(found) for found in self.differences]
        return True

    def compare_trainings(self) -> Iterator[str]:
        """Yield what is off in the trainings of this cell, in sentences."""
        taken = self.parent.kernel.value(kernels.take(self.parent.project))
        noted = json.loads(taken)
        self.parent.on_gpu = noted.get("device", {}).get("name", "").startswith("gpu")
        if self.parent.stand_in or "trainings" not in noted:
            return
        new = noted["trainings"]
        notes = self.parent.record.get("trainings", {}).get(self.parent.profile, {})
        stored = notes.get(self.cell.id, [])
        if len(stored) != len(new):
            yield (
                f"{len(stored)} trainings are stored for this cell, but there were "
                f"{len(new)}. {record.AGAIN}"
            )
            return
        if not new:
            return
        code = slices.digest(self.parent.nb, self.cell.id)
        measured = self.parent.spread.trainings(self.cell.id, code, len(new))
        if measured is None:
            yield (
                "How far its trainings vary was measured for other code. Run python "
                "-m regression.spread, which takes long, in the background."
            )
            return
        for n, group in enumerate(zip(stored, new, measured, strict=True), 1):
            for found in trainings.comparisons(*group):
                self.facts["share"] = max(self.facts["share"], found.share)
                if found.words:
                    yield f"training {n}, {found.words}"

    def reportinfo(self):
        return self.path, 0, f"{self.facts['notebook']}, {self.name}"

    def repr_failure(self, excinfo):
        if not isinstance(excinfo.value, Failure):
            return super().repr_failure(excinfo)
        source = self.cell.source.strip().split("\n")[0]
        return f"{self.facts['notebook']}, {self.name}: {source}\n\n{excinfo.value}"
