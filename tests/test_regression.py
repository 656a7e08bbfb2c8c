"""Faults that the regression run has to notice, and changes that it has to allow.

Each fault is put into a copy of a small notebook. All copies run in one go, as
`make test-notebooks` would run them, and each test reads what that run said about
its copy.
"""

import collections
import copy
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from tests.regression import compare, plugin, refresh

ROOT = Path(__file__).parents[1]
TIMEOUT = 6  # seconds a cell

CELLS = {
    "imports": """
        import os, sys, time, warnings
        import numpy as np
        from matplotlib import pyplot as plt
        from tqdm import tqdm
        num_epochs = int(os.environ.get("BN_EPOCHS", 3))
        DATA_SEED = 42
        rng = np.random.default_rng(DATA_SEED)
    """,
    "array": "A = rng.normal(size=(3, 4)); A",
    "train": """
        for epoch in tqdm(range(num_epochs), leave=False):
            start = time.perf_counter()
            loss, acc, seen = 1 / (epoch + 1.5), 1 - 0.254 / (epoch + 1), 60000
            time.sleep(rng.uniform(0.01, 0.03))
            seconds = time.perf_counter() - start
            print(f"epoch {epoch + 1}, loss {loss:.4f}, test acc {acc:.3f}, "
                  f"{seen} images, {seconds:.3f} s")
    """,
    "accuracy": 'print("at the end:", round(acc, 3))',
    "curve": """
        fig, axs = plt.subplots(1, 2)
        axs[0].plot([1, 2, 3], A[0, :3], label="a row of A")
        axs[0].set(title="a row", xlabel="column")
        axs[1].imshow(A)
        axs[0].legend();
    """,
    "shapes": """
        plt.bar(["a", "b"], A[0, :2])
        plt.fill_between([0, 1], A[1, :2], color="C1")
        plt.scatter([0, 1], A[2, :2], c=[1, 2])
        plt.text(0.5, 1, f"{A.mean():.3f}")
        plt.show()
    """,
    "sum": 'print(f"sum {A.sum():.4f}, {A.size} numbers in {id(A):#x}")',
    "last": 'print("done")',
}
METADATA = {
    "train": {
        "log": True,
        "numbers": {"test acc": {"atol": 0.01}, "images": {"rtol": 0.5}},
        "why": "a first epoch differs by this much between processors",
    },
    "accuracy": {"short": True},
    "sum": {"data": True},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The notebook without a fault: (notebook, short reference), refreshed."""
    path = tmp_path_factory.mktemp("good") / "good.ipynb"
    cells = []
    for name, source in CELLS.items():
        lines = source.strip("\n").split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        cell = nbformat.v4.new_code_cell("\n".join(s[indent:] for s in lines).strip())
        cell.id = name
        if name in METADATA:
            cell.metadata.regression = METADATA[name]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compare.SHORT_PROFILE, raising=False)
        assert refresh.refresh(path)
    short = nbformat.read(path.with_suffix(".short.json"), as_version=4)
    return nbformat.read(path, as_version=4), short


Run = collections.namedtuple("Run", "code output faults folder seconds")


def regression_run(folder, *options, **environment):
    """Run all notebooks of a folder; `faults` maps (notebook, cell) to the message."""
    switches = (
        compare.SHORT_PROFILE,
        compare.STAND_IN,
        "OMP_NUM_THREADS",
        "PYTEST_XDIST_WORKER_COUNT",
    )
    env = {k: v for k, v in os.environ.items() if k not in switches}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.regression.plugin", "--nbval"]
        + ["--nbval-current-env", "--rootdir=.", "--junitxml=junit.xml", "--color=no"]
        + [f"--nbval-cell-timeout={TIMEOUT}", "--regression-summary=summary.md"]
        + [*options, "."],
        cwd=folder,
        env={**env, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    seconds = time.perf_counter() - start
    faults = {}
    for case in ET.parse(folder / "junit.xml").iter("testcase"):
        for failure in (*case.iter("failure"), *case.iter("error")):
            cell = re.search(r"\((.*)\)", case.get("name"))[1]
            faults[Path(case.get("classname")).stem, cell] = failure.text
    return Run(done.returncode, done.stdout + done.stderr, faults, folder, seconds)


def write(folder, name, notebook, short=None):
    nbformat.write(notebook, folder / f"{name}.ipynb")
    if short:
        nbformat.write(short, folder / f"{name}.short.json")


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


def metadata(cell, **settings):
    def edit(notebook):
        in_cell(notebook, cell).metadata.regression = settings

    return edit


def clear(notebook):
    in_cell(notebook, "array").update(outputs=[], execution_count=None)


def swap(notebook):
    notebook.cells[2].execution_count, notebook.cells[3].execution_count = 4, 3


def more(cell, code):
    def edit(notebook):
        in_cell(notebook, cell).source += f"\n{code}"

    return edit


# name: (edit, the cell that has to be red, what its message has to say)
FAULTS = {
    "accuracy_off": (
        stored("train", "0.746", "0.812"),
        "train",
        [
            "test acc 0.812",
            "0.812 became 0.746, off by 0.066, 0.01 is allowed",
            "^^^^^",
        ],
    ),
    "digit_in_array": (
        stored("array", "0.30471708", "0.30472708"),
        "array",
        ["0.30472708 became 0.30471708", "output 1, text/plain, line 1"],
    ),
    "whole_number": (
        stored("sum", "12 numbers", "13 numbers"),
        "sum",
        ["13 became 12, off by 1, it has to be equal"],
    ),
    "text": (stored("last", "done", "Done"), "last", ["| Done", "| done", "^"]),
    "log_line_added": (
        lambda nb: stored("train", line(nb, 1), "")(nb),
        "train",
        ["stdout, line 2: a line was added", "epoch 2, loss 0.4000"],
    ),
    "log_line_missing": (
        lambda nb: stored("train", line(nb, 1), line(nb, 1) * 2)(nb),
        "train",
        ["stdout, line 3: a line is missing", "epoch 2, loss 0.4000"],
    ),
    "output_vanished": (
        source("array", "; A", ""),
        "array",
        ["output 1, text/plain: is missing from the new outputs", "array([[ 0.3047"],
    ),
    "picture_vanished": (
        more("curve", "plt.close()"),
        "curve",
        ["output 1, image/png: is missing from the new outputs"],
    ),
    "output_appeared": (
        more("last", "A.shape"),
        "last",
        ["output 1, text/plain: is not among the stored outputs", "(3, 4)"],
    ),
    "wrong_curve": (
        source("curve", "A[0, :3]", "A[0, :3] * [1, 1, 1.001]"),
        "curve",
        ["output 1, figure", "line 1 'a row of A' y", "0.7504512 became 0.75120"],
    ),
    "wrong_image": (
        source("curve", "imshow(A)", "imshow(A.T)"),
        "curve",
        ["image 1 (3, 4)", "image 1 (4, 3)"],
    ),
    "wrong_bar": (
        source("shapes", "A[0, :2]", "A[0, :2] * [1, 1.001]"),
        "shapes",
        ["output 1, figure", "2 bars y", "-1.039984 became -1.04102"],
    ),
    "wrong_area": (
        source("shapes", "A[1, :2]", "A[1, :2] * [1.001, 1]"),
        "shapes",
        ["output 1, figure", "collection 1 y", "-1.951035 became -1.95298"],
    ),
    "wrong_point": (
        source("shapes", "A[2, :2]", "A[2, :2] * [1, 1.001]"),
        "shapes",
        ["output 1, figure", "collection 2 y", "-0.8530439 became -0.85389"],
    ),
    "wrong_color": (
        source("shapes", "c=[1, 2]", "c=[1, 3]"),
        "shapes",
        ["output 1, figure", "collection 2 colors", "2.0 became 3.0"],
    ),
    "wrong_label": (
        source("shapes", '["a", "b"]', '["a", "c"]'),
        "shapes",
        ["output 1, figure", "x ticks ['a', 'b']", "x ticks ['a', 'c']"],
    ),
    "wrong_text": (
        source("shapes", "A.mean()", "A.mean() + 0.001"),
        "shapes",
        ["output 1, figure", "-0.142 became -0.141"],
    ),
    "never_executed": (clear, "array", ["never executed", "Run make refresh"]),
    "out_of_order": (swap, "train", ["out of order", "number 3", "as In [4]"]),
    "exception": (
        more("last", "raise ValueError('boom')"),
        "last",
        ["Cell execution caused an exception", "ValueError", "boom"],
    ),
    "kernel_died": (more("sum", "os._exit(1)"), "sum", ["The kernel died"]),
    "hangs": (
        more("sum", "time.sleep(600)"),
        "sum",
        [f"Timeout of {TIMEOUT} seconds exceeded"],
    ),
    "hangs_stubbornly": (
        more(
            "sum",
            "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            "time.sleep(600)",
        ),
        "sum",
        [f"Timeout of {TIMEOUT} seconds exceeded", "Failed to interrupt kernel"],
    ),
    "warning": (
        more("last", "warnings.warn('this is old')"),
        "last",
        ["stderr: is not among the stored outputs", "this is old"],
    ),
    "warning_from_c": (
        more("last", "os.write(2, b'[03:14] a library complains\\n');"),
        "last",
        ["stderr: is not among the stored outputs", "a library complains"],
    ),
    "ignored": (
        tag("array", "nbval-ignore-output"),
        "array",
        ["left out of the comparison without a reason"],
    ),
    "skipped": (
        tag("array", "nbval-skip"),
        "array",
        ["left out of the comparison without a reason"],
    ),
    "ignored_by_comment": (
        source("array", "A =", "# NBVAL_IGNORE_OUTPUT\nA ="),
        "array",
        ["left out of the comparison without a reason"],
    ),
    "no_reason": (
        metadata("sum", rtol=0.1),
        "sum",
        ['a tolerance without a reason: add "why"'],
    ),
    "misspelled": (
        metadata("sum", tol=0.1, why="because"),
        "sum",
        ['the metadata "regression" knows no tol'],
    ),
    "another_seed": (
        source("imports", "SEED = 42", "SEED = 43"),
        "array",
        ["0.30471708 became "],
    ),
}
# Cells that the same fault makes red as well: they use A, or took the swapped place.
CASCADES = {
    "another_seed": {"curve", "shapes", "sum"},
    "out_of_order": {"accuracy"},
    "skipped": {"curve"},
}


def line(notebook, number):
    """A line of the stored training log."""
    return in_cell(notebook, "train").outputs[0].text.splitlines(True)[number]


@pytest.fixture(scope="module")
def faulty(good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    for name, (edit, _, _) in FAULTS.items():
        notebook = copy.deepcopy(good[0])
        edit(notebook)
        write(folder, name, notebook)
    write(folder, "good", good[0])
    return regression_run(folder, "-n", "auto", "--dist", "loadfile")


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_red_and_told(faulty, name):
    _, cell, words = FAULTS[name]
    red = {cell for notebook, cell in faulty.faults if notebook == name}
    assert red == {cell} | CASCADES.get(name, set())
    message = faulty.faults[name, cell]
    assert message.startswith(f"{name}.ipynb, cell ")
    for word in words:
        assert word in message
    assert message in faulty.output


def test_other_notebooks_run_though_some_hang(faulty):
    assert faulty.code == 1
    assert not [cell for notebook, cell in faulty.faults if notebook == "good"]
    assert re.search(r"^good.ipynb +\d+ s +7 +1 +0 +0 +0 ", faulty.output, re.M)


def test_dead_kernel_is_noticed_at_once_and_ends_the_notebook(faulty):
    row = re.search(r"^kernel_died.ipynb +(\d+) s.*", faulty.output, re.M)
    assert int(row[1]) < TIMEOUT
    assert row[0].split()[3:8] == ["5", "1", "0", "1", "1"]  # "last" was not run


def test_summary_shows_both_sides_with_the_numbers_marked(faulty):
    summary = (faulty.folder / "summary.md").read_text()
    row = next(line for line in summary.splitlines() if "<b>0.812</b>" in line)
    assert "<b>0.746</b>" in row and "off by 0.066" in row
    assert "### accuracy_off.ipynb, cell 3 (train)" in summary
    assert re.search(
        r"^\| digit_in_array.ipynb \| \d+ s \| 6 \| 1 \| 0 \|", summary, re.M
    )


def test_shows_the_share_of_the_tolerance_that_was_used(good, tmp_path):
    notebook = copy.deepcopy(good[0])
    stored("train", "0.746", "0.741")(notebook)
    write(tmp_path, "near", notebook)
    run = regression_run(tmp_path)
    assert run.code == 0, run.output
    assert re.search(r"^near.ipynb +\d+ s +7 +1 +0 +0 +0 +50%", run.output, re.M)
    assert 'name="outcome" value="tolerated"' in (tmp_path / "junit.xml").read_text()


def test_gpu_has_settings_of_its_own(good, tmp_path):
    for device in "cpu", "gpu":
        notebook = copy.deepcopy(good[0])
        more("imports", f'print("Computing on {device}(0): …")')(notebook)
        line = nbformat.v4.new_output("stream", text="Computing on cpu(0): …\n")
        in_cell(notebook, "imports").outputs.append(line)
        gpu = {"numbers": {"sum": {"atol": 7.1}}, "why": "unbiased there"}
        metadata("sum", gpu=gpu)(notebook)
        source("sum", "A.sum()", "A.sum() + 7")(notebook)
        write(tmp_path, device, notebook)
    assert list(regression_run(tmp_path).faults) == [("cpu", "sum")]


# In the short profile, with the same meaning as FAULTS; the third entry edits the
# short reference.
SHORT_FAULTS = {
    "first_line": (
        stored("train", "0.6667", "0.6567"),
        None,
        "train",
        ["0.6567 became 0.6667"],
    ),
    "log_stays_empty": (
        source("train", "range(num_epochs)", "range(0)"),
        None,
        "train",
        ["stdout: is missing from the new outputs"],
    ),
    "log_is_too_long": (
        source("train", "range(num_epochs)", "range(2)"),
        None,
        "train",
        ["stdout, line 2: a line was added", "epoch 2, loss"],
    ),
    "reference_differs": (
        lambda notebook: None,
        stored("accuracy", "0.746", "0.747"),
        "accuracy",
        ["0.747 became 0.746"],
    ),
    "reference_missing": (
        lambda notebook: None,
        lambda short: short.cells.pop(),
        "accuracy",
        ["reference_missing.short.json has no outputs", "Run make refresh"],
    ),
}


@pytest.fixture(scope="module")
def short(good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("short")
    for name, (edit, edit_short, _, _) in SHORT_FAULTS.items():
        notebook, reference = copy.deepcopy(good)
        edit(notebook)
        if edit_short:
            edit_short(reference)
        write(folder, name, notebook, reference)
    write(folder, "good", *good)
    return regression_run(folder, BN_EPOCHS="1")


@pytest.mark.parametrize("name", SHORT_FAULTS)
def test_fault_in_the_short_profile(short, name):
    _, _, cell, words = SHORT_FAULTS[name]
    message = short.faults[name, cell]
    for word in words:
        assert word in message


def test_short_profile_passes_with_its_reference(short):
    assert short.code == 1
    assert not [cell for notebook, cell in short.faults if notebook == "good"]
    assert re.search(r"^good.ipynb +\d+ s +7 +1 +0 +0 +0 ", short.output, re.M)


def test_stand_in_leaves_out_what_depends_on_the_data(good, tmp_path):
    notebook = copy.deepcopy(good[0])
    stored("sum", "sum", "total")(notebook)
    write(tmp_path, "other_data", notebook)
    run = regression_run(tmp_path, BN_STANDIN="digits")
    assert run.code == 0, run.output
    assert re.search(r"^other_data.ipynb +\d+ s +5 +0 +3 +0 +0 ", run.output, re.M)
    for cell in "3 (train)", "4 (accuracy)", "7 (sum)":
        left_out = f"left out: other_data.ipynb, cell {cell}: depends on the data, and"
        assert left_out in run.output


def test_runs_again_only_what_has_changed(good, tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils/part.py").write_text("one = 1\n")
    notebook = copy.deepcopy(good[0])
    notebook.cells = notebook.cells[:2]
    for name in "a", "b":
        write(tmp_path, name, notebook)

    def ran():
        run = regression_run(tmp_path, "--regression-changed")
        return run.code, re.findall(r"^(\w).ipynb +\d+ s", run.output, re.M)

    assert ran() == (0, ["a", "b"]), regression_run(tmp_path).output
    assert ran() == (0, [])
    stored("array", "0.3047", "0.3147")(notebook)
    write(tmp_path, "b", notebook)
    assert ran() == (1, ["b"])
    assert ran() == (1, ["b"])
    write(tmp_path, "b", nbformat.read(tmp_path / "a.ipynb", as_version=4))
    (tmp_path / "utils/part.py").write_text("one = 2\n")
    assert ran() == (0, ["a", "b"])


@pytest.mark.parametrize("gpu, workers", [(False, min(2, plugin.cores())), (True, 0)])
def test_one_process_a_core_and_one_alone_on_a_gpu(tmp_path, monkeypatch, gpu, workers):
    for name in "a.ipynb", "b.ipynb":
        (tmp_path / name).touch()
    real = os.path.exists
    monkeypatch.setattr(
        os.path, "exists", lambda path: gpu if "nvidia" in str(path) else real(path)
    )
    config = SimpleNamespace(args=[str(tmp_path)])
    assert plugin.pytest_xdist_auto_num_workers(config) == workers


def test_processes_share_the_threads(good, tmp_path):
    notebook = copy.deepcopy(good[0])
    notebook.cells = notebook.cells[:1]
    more("imports", "print(os.environ.get('OMP_NUM_THREADS'), 'threads')")(notebook)
    for names, threads in ("a", None), ("ab", plugin.cores() // 2 or None):
        for name in names:
            write(tmp_path, name, notebook)
        run = regression_run(tmp_path, "-n", "auto", "--dist", "loadfile")
        for name in names:
            assert f"{threads} threads" in run.faults[name, "imports"]
