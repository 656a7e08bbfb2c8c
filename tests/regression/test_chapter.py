"""Mistakes in a chapter's own batch normalization turn its regression run red.

The chapter is cut off before its first training, run once, and then run again with
one thing changed: a mistake has to be noticed, another processor must not be.
"""

import copy
from pathlib import Path

import nbformat
import pytest

from regression import compare, project, run

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


def trained(cell):
    return cell.metadata.get("regression", {}).get("trained", False)


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """The chapter up to LAST, untrained, with the outputs of a run on this machine."""
    path = tmp_path_factory.mktemp("chapter") / "chapter.ipynb"
    notebook = nbformat.read(CHAPTER, as_version=4)
    end = [cell.id for cell in notebook.cells].index(LAST) + 1
    notebook.cells = [cell for cell in notebook.cells[:end] if not trained(cell)]
    nbformat.write(run.cells(notebook, path, {}, PROJECT).notebook, path)
    return path


@pytest.fixture(scope="module")
def differing(chapter):
    """For each mistake, the cells whose outputs differ; and for none, first and last.

    One kernel runs them all, one after the other: its start takes longer than a run.
    """
    good = nbformat.read(chapter, as_version=4)
    code = [cell for cell in good.cells if cell.cell_type == "code"]
    runs = {}
    none = None, "", "", set()
    changes = {"none": none} | MISTAKES | {"none afterwards": none}
    for number, (name, (where, old, new, _)) in enumerate(changes.items()):
        runs[name] = copy.deepcopy(code)
        for cell in runs[name]:
            if cell.id == where:
                assert old in cell.source, f"{where} has no {old!r} any more"
                cell.source = cell.source.replace(old, new)
            cell.id += f"-{number}"
    every = nbformat.v4.new_notebook(cells=sum(runs.values(), []))
    run.cells(every, chapter, {}, PROJECT)
    return {name: set(differences(code, cells)) for name, cells in runs.items()}


def differences(stored, new):
    """What differs, in words, for each cell where anything does."""
    found = {}
    for old, cell in zip(stored, new, strict=True):
        settings = compare.Settings.of(old)
        words, _ = compare.outputs(
            old.outputs, cell.outputs, settings, PROJECT.uncompared
        )
        if words:
            found[old.id] = "\n".join(map(str, words))
    return found


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_red(differing, name):
    assert differing[name] >= MISTAKES[name][3]


def test_right_chapter_is_green(differing):
    assert differing["none"] == set()


def test_no_mistake_outlives_its_run(differing):
    # The first cell names the device once per kernel.
    assert differing["none afterwards"] == {"imports"}


# Three of them: `make test-portable` takes all.
PROCESSORS = "with SSE4.1", "two threads", "without oneDNN"


@pytest.mark.parametrize("name", PROCESSORS)
def test_another_processor_is_green(chapter, name):
    stored, new = (nbformat.read(chapter, as_version=4) for _ in range(2))
    run.cells(new, chapter, PROJECT.processors[name], PROJECT)
    cells = ([c for c in n.cells if c.cell_type == "code"] for n in (stored, new))
    assert differences(*cells) == {}
