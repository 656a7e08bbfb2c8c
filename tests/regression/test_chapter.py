"""Mistakes in a chapter's own batch normalization turn its regression run red.

The chapter is cut off before its first training, run once, and then run again with
one thing changed: a mistake has to be noticed, another processor must not be.
"""

import copy
import shutil
from pathlib import Path

import nbformat
import pytest

from regression import compare, project, record, run
from tests.regression.test_run import in_cell, regression_run, source, write

pytestmark = pytest.mark.usefixtures("real_data")

CHAPTER = Path(__file__).parents[2] / "chapters/batch-norm-scratch.ipynb"
PROJECT = project.read(CHAPTER.parents[1])
LAST = "agree"  # the last cell before anything is timed or trained

UNBIASED = "((X - mean) ** 2).sum(axis=axes, keepdims=True) / (X.size / mean.size - 1)"

# name: (cell, what it says, the mistake, cells that have to be red)
MISTAKES = {
    "eps_outside_the_root": (
        "pure-batch-norm-2",
        "nd.sqrt(var + eps)",
        "(nd.sqrt(var) + eps)",
        {"check-A", "check-B"},
    ),
    "variance_unbiased": (
        "pure-batch-norm-2",
        "((X - mean) ** 2).mean(axis=axes, keepdims=True)",
        UNBIASED,
        {"check-A", "check-B"},
    ),
    "momentum_flipped": (
        "update-moving",
        "view *= momentum\n        view += (1 - momentum) * value",
        "view *= 1 - momentum\n        view += momentum * value",
        {"closed-form"},
    ),
    "updated_in_prediction": (
        "batch-norm",
        "if autograd.is_training():",
        "if True:",
        {"closed-form"},
    ),
    "fast_eps_outside_the_root": (
        "fast-batch-norm",
        "nd.sqrt(var + eps)",
        "(nd.sqrt(var) + eps)",
        {"agree"},
    ),
    "fast_variance_unbiased": (
        "fast-batch-norm",
        "var = channel_mean(nd.square(V)) - nd.square(rest)",
        "var = (channel_mean(nd.square(V)) - nd.square(rest)) * len(V) / (len(V) - 1)",
        {"agree"},
    ),
    "eps_outside_the_root_with_moving_statistics": (
        "batch-norm",
        "nd.sqrt(var + eps)",
        "(nd.sqrt(var) + eps)",
        {"agree"},
    ),
    "another_seed": ("imports", "SEED = 42", "SEED = 43", {"at-work-figure"}),
}


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """The chapter up to LAST, with the outputs of a run on this machine."""
    path = tmp_path_factory.mktemp("chapter") / "chapter.ipynb"
    notebook = nbformat.read(CHAPTER, as_version=4)
    end = [cell.id for cell in notebook.cells].index(LAST) + 1
    notebook.cells = notebook.cells[:end]
    refreshed = run.cells(notebook, path, {}, PROJECT).notebook
    nbformat.write(refreshed, path)
    record.path_of(path).write_text(record.text_of(refreshed, {}, {}))
    return path


@pytest.fixture(scope="module")
def mistaken(chapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistaken")
    good = nbformat.read(chapter, as_version=4)
    for name, (cell, old, new, _) in MISTAKES.items():
        notebook = copy.deepcopy(good)
        source(cell, old, new)(notebook)
        write(folder, name, notebook)
    write(folder, "good", good)
    shutil.copy(PROJECT.root / "pyproject.toml", folder)
    return regression_run(folder, "-n", "auto", "--dist", "loadfile")


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_red(mistaken, name):
    red = {cell for notebook, cell in mistaken.faults if notebook == name}
    assert red >= MISTAKES[name][3]


def test_right_chapter_is_green(mistaken):
    assert not [cell for notebook, cell in mistaken.faults if notebook == "good"]


# Three of them: `make test-portable` takes all.
PROCESSORS = "with SSE4.1", "two threads", "without oneDNN"


@pytest.mark.parametrize("name", PROCESSORS)
def test_another_processor_is_green(chapter, name):
    notebook = nbformat.read(chapter, as_version=4)
    run.cells(notebook, chapter, PROJECT.processors[name], PROJECT)
    for stored in nbformat.read(chapter, as_version=4).cells:
        if stored.cell_type == "code":
            new = in_cell(notebook, stored.id).outputs
            settings = compare.Settings.of(stored)
            differences, _ = compare.outputs(
                stored.outputs, new, settings, PROJECT.uncompared
            )
            assert not differences, "\n".join(map(str, differences))
