"""Faults that the regression run has to notice, and changes that it has to allow.

Each fault is put into a copy of a small notebook. All copies run in one go, as
`make test-notebooks` would run them, and each test reads what that run said about
its copy.
"""

import collections
import copy
import json
import re

import nbformat
import pytest

from regression import project, record, refresh, spread
from tests.support.runs import (
    FOREVER,
    PATIENCE,
    PROFILES,
    WATCHER,
    in_cell,
    metadata,
    more,
    no_edit,
    printing,
    regression_run,
    source,
    stored,
    tag,
    write,
)

TIMEOUT = 6  # seconds a cell, of those that hang

CELLS = {
    "imports": """
        import os, sys, warnings
        import numpy as np
        from matplotlib import pyplot as plt
        from tqdm import tqdm
        num_epochs = 1 if os.environ.get("BN_PROFILE") == "short" else 3
        DATA_SEED = 42
        rng = np.random.default_rng(DATA_SEED)
    """,
    "array": "A = rng.normal(size=(3, 4)); A",
    "train": """
        for epoch in tqdm(range(num_epochs), leave=False):
            loss, acc, seen = 1 / (epoch + 1.5), 1 - 0.254 / (epoch + 1), 60000
            seconds = int.from_bytes(os.urandom(2), "big") / 1000
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
        "trained": True,
        "numbers": {"test acc": {"atol": 0.01}, "images": {"rtol": 0.5}},
        "why": "a first epoch differs by this much between processors",
    },
    "accuracy": {"trained": True},
    "sum": {"data": True},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The notebook without a fault: (notebook, short outputs by cell), refreshed."""
    path = tmp_path_factory.mktemp("good") / "good.ipynb"
    cells = []
    for name, code in CELLS.items():
        lines = code.strip("\n").split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        cell = nbformat.v4.new_code_cell("\n".join(s[indent:] for s in lines).strip())
        cell.id = name
        if name in METADATA:
            cell.metadata.regression = METADATA[name]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    (path.parent / "pyproject.toml").write_text(PROFILES)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BN_PROFILE", raising=False)
        refresh.refresh(path, project.read(path.parent))
    return nbformat.read(path, as_version=4), record.read(path)["short"]


# name: (an edit of the files, what the notebook's first cell says)
UNREADY = {
    "watch": (
        lambda path: path.with_name("watcher.py").write_text("1 / 0"),
        "ZeroDivisionError: division by zero",
    ),
    "record": (
        lambda path: record.path_of(path).write_text("<<<<<<<"),
        "a.record.json is damaged (",
    ),
    "spread": (
        lambda path: spread.path_of(path).write_text("<<<<<<<"),
        "a.spread.json is damaged (",
    ),
}


@pytest.mark.parametrize("name", UNREADY)
def test_a_notebook_that_can_not_be_set_up_is_red(tmp_path, name):
    (tmp_path / "pyproject.toml").write_text('[tool.regression]\nwatch = "watcher"\n')
    (tmp_path / "watcher.py").write_text(WATCHER)
    cells = ("first", "one = 1", ""), ("last", "two = 2", "")
    write(tmp_path, "a", printing(*cells))
    edit, words = UNREADY[name]
    edit(tmp_path / "a.ipynb")
    run = regression_run(tmp_path)
    assert set(run.faults) == {("a", "first")} and words in run.faults["a", "first"]
    assert re.search(r"^a.ipynb +\d+ s +0 +0 +0 +1 +1 ", run.output, re.M)


def test_copies_that_a_build_makes_are_not_run(tmp_path):
    (tmp_path / "_build").mkdir()
    write(tmp_path / "_build", "a", printing(("one", "1 / 0", "")))
    write(tmp_path, "b", printing(("one", "one = 1", "")))
    run = regression_run(tmp_path)
    assert run.code == 0 and "1 passed" in run.output


def clear(notebook):
    in_cell(notebook, "array").update(outputs=[], execution_count=None)


def swap(notebook):
    notebook.cells[2].execution_count, notebook.cells[3].execution_count = 4, 3


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
    "never_executed": (
        clear,
        "array",
        ["never executed", record.AGAIN],
    ),
    "out_of_order": (swap, "train", ["out of order", "number 3", "as In [4]"]),
    "exception": (
        more("last", "raise ValueError('boom')"),
        "last",
        ["Cell execution caused an exception", "ValueError", "boom"],
    ),
    "kernel_died": (more("sum", "os._exit(1)"), "sum", ["The kernel died"]),
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


# These concern a whole notebook. Others share one where they are in different cells,
# for a kernel takes a second or two to start.
ALONE = {"another_seed", "kernel_died", "never_executed", "out_of_order", "skipped"}


def notebooks_of_faults():
    found = {}
    for name, (_, cell, _) in FAULTS.items():
        like = [n for n in found if n not in ALONE and FAULTS[n][1] == cell]
        found[name] = name if name in ALONE else f"faults_{len(like)}"
    return found


NOTEBOOKS = notebooks_of_faults()


def line(notebook, number):
    """A line of the stored training log."""
    return in_cell(notebook, "train").outputs[0].text.splitlines(True)[number]


@pytest.fixture(scope="module")
def faulty(good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    notebooks = collections.defaultdict(lambda: copy.deepcopy(good[0]))
    for name, (edit, _, _) in FAULTS.items():
        edit(notebooks[NOTEBOOKS[name]])
    for name, notebook in notebooks.items():
        write(folder, name, notebook)
    write(folder, "good", good[0])
    return regression_run(folder, "-n", "auto", "--dist", "loadfile")


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_red_and_told(faulty, name):
    _, cell, words = FAULTS[name]
    message = faulty.faults[NOTEBOOKS[name], cell]
    assert message.startswith(f"{NOTEBOOKS[name]}.ipynb, cell ")
    for word in words:
        assert word in message
    assert message in faulty.output


def test_nothing_else_is_red(faulty):
    expected = {
        (NOTEBOOKS[name], cell)
        for name, (_, own, _) in FAULTS.items()
        for cell in {own} | CASCADES.get(name, set())
    }
    assert set(faulty.faults) == expected


def test_other_notebooks_run_though_some_fail(faulty):
    assert faulty.code == 1
    assert not [cell for notebook, cell in faulty.faults if notebook == "good"]
    assert re.search(r"^good.ipynb +\d+ s +7 +1 +0 +0 +0 ", faulty.output, re.M)


def test_dead_kernel_is_noticed_at_once_and_ends_the_notebook(faulty):
    # Not by the timeout: the whole run had not the time for it.
    assert PATIENCE < FOREVER
    row = re.search(r"^kernel_died.ipynb +\d+ s.*", faulty.output, re.M)
    assert row[0].split()[3:8] == ["5", "1", "0", "1", "1"]  # "last" was not run


# name: (what a cell does that does not end, what its message has to say)
HANGS = {
    "hangs": ("import threading; threading.Event().wait()", []),
    "hangs_stubbornly": (
        "import signal, threading; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "threading.Event().wait()",
        ["Failed to interrupt kernel"],
    ),
    "ends": ("", []),
}


@pytest.fixture(scope="module")
def hanging(tmp_path_factory):
    """Of small cells, each of which ends long before the timeout if it ends at all."""
    folder = tmp_path_factory.mktemp("hanging")
    for name, (code, _) in HANGS.items():
        cells = ("first", "one = 1", ""), ("hangs", code, ""), ("last", "two = 2", "")
        write(folder, name, printing(*cells))
    return regression_run(folder, f"--nbval-cell-timeout={TIMEOUT}")


@pytest.mark.parametrize("name", [name for name in HANGS if name != "ends"])
def test_cell_that_hangs_is_red_and_ends_the_notebook(hanging, name):
    assert {cell for notebook, cell in hanging.faults if notebook == name} == {"hangs"}
    for words in f"Timeout of {TIMEOUT} seconds exceeded", *HANGS[name][1]:
        assert words in hanging.faults[name, "hangs"]
    row = re.search(rf"^{name}.ipynb +\d+ s.*", hanging.output, re.M)
    assert row[0].split()[3:8] == ["1", "0", "0", "1", "1"]  # the last was not run


def test_other_notebooks_run_though_some_hang(hanging):
    assert re.search(r"^ends.ipynb +\d+ s +3 +0 +0 +0 +0 ", hanging.output, re.M)


EDITED = "Its stored outputs are not those that a refresh wrote: somebody edited them"
OTHER_CODE = f"Its code is not the code that gave the stored outputs. {record.AGAIN}"


def edit_both(notebook):
    stored("last", "done", "Done")(notebook)
    source("last", "done", "Done")(notebook)


# name: (edit of what refresh gave, edit of what is stored now, what is told of "last",
# whether the comparison finds a difference, too)
FORGED = {
    "output": (no_edit, stored("last", "done", "Done"), EDITED, True),
    "output_as_it_is_now": (stored("last", "done", "Done"), no_edit, EDITED, False),
    "code": (no_edit, source("last", '"done"', '"do" + "ne"'), OTHER_CODE, False),
    "code_and_output": (no_edit, edit_both, OTHER_CODE, False),
}


@pytest.fixture(scope="module")
def forged(good, tmp_path_factory):
    """What is stored was edited after the records had been written."""
    folder = tmp_path_factory.mktemp("forged")
    for name, (edit_given, edit_now, _, _) in FORGED.items():
        given, now = copy.deepcopy(good[0]), copy.deepcopy(good[0])
        edit_given(given)
        edit_now(now)
        write(folder, name, given, good[1])
        nbformat.write(now, folder / f"{name}.ipynb")
    for name in "good", "record", "nothing":
        write(folder, name, *good)
    path = record.path_of(folder / "record.ipynb")
    kept = json.loads(path.read_text())
    (output,) = kept["short"]["accuracy"]
    output["text"] = output["text"].replace("\n", " \n")
    path.write_text(json.dumps(kept))
    record.path_of(folder / "nothing.ipynb").unlink()
    return regression_run(folder, BN_PROFILE="short")


@pytest.mark.parametrize("name", FORGED)
def test_what_was_edited_is_red_though_it_may_be_right(forged, name):
    _, _, words, differs = FORGED[name]
    assert {cell for notebook, cell in forged.faults if notebook == name} == {"last"}
    message = forged.faults[name, "last"]
    assert words in message and ("stdout, line 1" in message) == differs


def test_an_edited_record_is_red(forged):
    words = (
        'The part "short" of the record was edited. Run python -m regression.refresh.'
    )
    assert words in forged.faults["record", "accuracy"]
    # Though nothing differs but a blank, which the comparison does not see.
    assert "stdout, line" not in forged.faults["record", "accuracy"]


def test_a_notebook_without_a_record_is_red(forged):
    words = "It is not in the notebook's record. Run python -m regression.refresh."
    assert words in forged.faults["nothing", "imports"]


def test_what_nobody_edited_is_green(forged):
    assert not [cell for notebook, cell in forged.faults if notebook == "good"]


def test_summary_shows_both_sides_with_the_numbers_marked(faulty):
    summary = (faulty.folder / "summary.md").read_text()
    row = next(line for line in summary.splitlines() if "<b>0.812</b>" in line)
    assert "<b>0.746</b>" in row and "off by 0.066" in row
    assert "### faults_0.ipynb, cell 3 (train)" in summary
    assert re.search(
        r"^\| another_seed.ipynb +\| +\d+ s \| +3 \| +1 \| +0 \|", summary, re.M
    )


def test_shows_the_share_of_the_tolerance_that_was_used(good, tmp_path):
    notebook = copy.deepcopy(good[0])
    stored("train", "0.746", "0.741")(notebook)
    write(tmp_path, "near", notebook)
    run = regression_run(tmp_path)
    assert run.code == 0, run.output
    assert re.search(r"^near.ipynb +\d+ s +7 +1 +0 +0 +0 +50%", run.output, re.M)
    assert 'name="outcome" value="tolerated"' in (tmp_path / "junit.xml").read_text()


def test_gpu_has_settings_of_its_own(tmp_path):
    settings = '[tool.regression]\nwatch = "watcher"\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    (tmp_path / "watcher.py").write_text(WATCHER)
    for device in "cpu", "gpu":
        use = f"import watcher\nwatcher.device = '{device}(0)'"
        cells = ("use", use, ""), ("sum", "print('sum 1.5')", "sum 1.0\n")
        notebook = printing(*cells)
        gpu = {"numbers": {"sum": {"atol": 0.6}}, "why": "other work there"}
        metadata("sum", gpu=gpu)(notebook)
        write(tmp_path, device, notebook)
    assert list(regression_run(tmp_path).faults) == [("cpu", "sum")]


def short_output(cell, old, new):
    """An edit of what the record has of a cell in the short profile."""

    def edit(short):
        assert old in short[cell][0].text
        short[cell][0].text = short[cell][0].text.replace(old, new)

    return edit


# In the short profile, with the same meaning as FAULTS; the second entry edits what
# the record has.
SHORT_FAULTS = {
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
    "log_differs": (
        None,
        short_output("train", "0.6667", "0.6567"),
        "train",
        ["0.6567 became 0.6667"],
    ),
    "accuracy_differs": (
        None,
        short_output("accuracy", "0.746", "0.747"),
        "accuracy",
        ["0.747 became 0.746"],
    ),
    "accuracy_missing": (
        None,
        lambda short: short.pop("accuracy"),
        "accuracy",
        [
            "accuracy_missing.record.json has no outputs",
            "Run python -m regression.refresh",
        ],
    ),
    "another_cell": (stored("last", "done", "Done"), None, "last", ["| Done"]),
}


@pytest.fixture(scope="module")
def short(good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("short")
    for name, (edit, edit_short, _, _) in SHORT_FAULTS.items():
        notebook, outputs = copy.deepcopy(good)
        if edit:
            edit(notebook)
        if edit_short:
            edit_short(outputs)
        write(folder, name, notebook, outputs)
    # Whose full outputs, of three epochs, are not those of the short profile.
    notebook = copy.deepcopy(good[0])
    stored("train", "0.6667", "0.5667")(notebook)
    write(folder, "good", notebook, good[1])
    return regression_run(folder, BN_PROFILE="short")


@pytest.mark.parametrize("name", SHORT_FAULTS)
def test_fault_in_the_short_profile(short, name):
    _, _, cell, words = SHORT_FAULTS[name]
    message = short.faults[name, cell]
    for word in words:
        assert word in message


def test_short_profile_passes_with_its_own_outputs(short):
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
