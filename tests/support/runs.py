"""Small notebooks, edits of them, and the regression run over a folder of them."""

import collections
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat

from regression import record

ROOT = Path(__file__).parents[2]
# Seconds: a run that waits for this much longer one fails itself.
PATIENCE, FOREVER = 900, 100_000

# A project's watch, for which anything that a notebook appends is a training.
WATCHER = """
import json
found, device = [], "cpu(0)"
def start():
    pass
def take():
    where = {"name": device, "hardware": "a test"}
    noted = json.dumps({"trainings": found, "results": {}, "device": where})
    found.clear()
    return noted
"""
PROFILES = """
[tool.regression]
stand-in = "BN_STANDIN"
short = { BN_PROFILE = "short" }
"""
PYTEST = "-m pytest -p regression.plugin --nbval --nbval-current-env".split()
Run = collections.namedtuple("Run", "code output faults folder")


def regression_run(folder, *options, program=PYTEST, paths=(".",), **environment):
    """Run notebooks of a folder; `faults` maps (notebook, cell) to the message."""
    switches = (
        "BN_PROFILE",
        "BN_STANDIN",
        "OMP_NUM_THREADS",
        "PYTEST_XDIST_WORKER_COUNT",
    )
    env = {name: value for name, value in os.environ.items() if name not in switches}
    settings = folder / "pyproject.toml"
    if not settings.exists():
        settings.write_text(PROFILES)
    done = subprocess.run(
        [sys.executable, *program, "--rootdir=.", "--junitxml=junit.xml"]
        + ["--color=no", f"--nbval-cell-timeout={FOREVER}"]
        + ["--regression-summary=summary.md", *options, *paths],
        cwd=folder,
        env={**env, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    faults = {}
    for case in ET.parse(folder / "junit.xml").iter("testcase"):
        for failure in (*case.iter("failure"), *case.iter("error")):
            cell = re.search(r"\((.*)\)", case.get("name"))[1]
            faults[Path(case.get("classname")).stem, cell] = failure.text
    return Run(done.returncode, done.stdout + done.stderr, faults, folder)


def write(folder, name, notebook, short=None, trainings=None):
    """Write a notebook and its record, as if refresh had given what the notebook has.

    So that an edit of what is stored tests the comparison, not the record's digests.
    """
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    text = record.text_of(notebook, short or {}, trainings or {})
    record.path_of(path).write_text(text, encoding="utf-8")


def printing(*cells):
    """A small notebook as if it had run: cells of (name, code, what it printed)."""
    made = [
        nbformat.v4.new_code_cell(code, id=name, execution_count=n)
        for n, (name, code, _) in enumerate(cells, 1)
    ]
    for cell, (_, _, text) in zip(made, cells, strict=True):
        if text:
            output = nbformat.v4.new_output("stream", name="stdout", text=text)
            cell.outputs = [output]
    return nbformat.v4.new_notebook(cells=made)


def in_cell(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def stored(cell, old, new):
    """An edit of what is stored for a cell."""

    def edit(notebook):
        outputs = in_cell(notebook, cell).outputs
        for output in outputs:
            if "text" in output:
                output.text = output.text.replace(old, new)
            elif "figure" in output.metadata:
                lines = output.metadata.figure
                output.metadata.figure = [line.replace(old, new) for line in lines]
            else:
                plain = output.data["text/plain"]
                output.data["text/plain"] = plain.replace(old, new)

    return edit


def source(cell, old, new):
    """An edit of a cell's code."""

    def edit(notebook):
        found = in_cell(notebook, cell)
        assert old in found.source
        found.source = found.source.replace(old, new)

    return edit


def tag(cell, name):
    return lambda notebook: in_cell(notebook, cell).metadata.update(tags=[name])


def more(cell, code):
    def edit(notebook):
        in_cell(notebook, cell).source += f"\n{code}"

    return edit


def metadata(cell, **settings):
    def edit(notebook):
        in_cell(notebook, cell).metadata.regression = settings

    return edit


def no_edit(notebook):
    pass
