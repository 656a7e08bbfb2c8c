"""Mistakes in Gluon's and LeNet's training show in how the training begins.

Each chapter's training runs again with one thing changed, all in one kernel, and its
beginning is compared with the stored one, as the regression run compares it.
"""

from pathlib import Path

import nbformat
import pytest

from regression import project, record, run, slices, spread, trainings

ROOT = Path(__file__).parents[2]
CHAPTERS, PROJECT = ROOT / "chapters", project.read(ROOT)

pytestmark = pytest.mark.usefixtures("real_data")

# The first steps are what is compared here; the rest of the short profile is left out.
STEPS = 3
BEGINNING = f"""
from utils import profile
profile.BATCHES, profile.PICTURES = {STEPS}, 256
"""
ENDS = "steps", "test pictures", *trainings.OUTCOMES
# As in a fresh kernel, where the first block is number 0.
FRESH_NAMES = """
from mxnet.name import NameManager
NameManager._current.value = NameManager()
"""
# Layers with a mistake, for each chapter.
PURE = """
def wrong(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
    from mxnet import nd
    axes = scratch.batch_axes(X)
    mean = X.mean(axis=axes, keepdims=True)
    var = nd.square(X - mean).mean(axis=axes, keepdims=True)
    if autograd.is_training():
        scratch.update_moving(moving_mean, mean, momentum)
        scratch.update_moving(moving_var, var, momentum)
    else:
        mean = scratch.per_feature(moving_mean, X)
        var = scratch.per_feature(moving_var, X)
    X_hat = (X - mean) / (nd.sqrt(var) + eps)
    return scratch.per_feature(gamma, X) * X_hat + scratch.per_feature(beta, X)
"""
LAYERS = """
def nothing(**settings):
    return nn.HybridSequential()

class Twice(nn.BatchNorm):
    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        state = gamma, beta, running_mean, running_var
        again = F.BatchNorm(x, *state, **self._kwargs)
        return super().hybrid_forward(F, x, *state) + 0 * again

class Outside(nn.BatchNorm):
    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        Y = super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        if not autograd.is_training():
            return Y
        shape = {"shape": (1, -1, 1, 1)}
        gamma, beta = F.reshape(gamma, **shape), F.reshape(beta, **shape)
        axes = {"axis": 1, "exclude": True, "keepdims": True}
        x = F.broadcast_sub(x, F.mean(x, **axes))
        x_hat = F.broadcast_div(x, F.sqrt(F.mean(F.square(x), **axes)) + 1e-5)
        return F.broadcast_add(F.broadcast_mul(x_hat, gamma), beta) + 0 * Y

# A trainer sorts parameters by name, and a name should not be what gives them away.
Twice.__name__ = Outside.__name__ = "BatchNorm"
"""

GLUON = {
    "layers": LAYERS,
    "cells": ["imports", "mnist-net", "fashion-net"],
    "train": "fashion-train",
    "mistakes": {
        "another data order": [("rows =", "next(iter(train_iter))\nrows =")],
        "another seed": [("seed(SEED)", "seed(SEED + 1)")],
        "another initialization": [("Normal(0.01)", "Normal(0.0101)")],
        "learning rate off by 1 %": [("0.2}", "0.202}")],
        "loss summed": [("test_iter, batch_size,", "test_iter, 1,")],
        "no batch norm": [("nn.BatchNorm(axis=1,", "nothing(")],
        "momentum 0.89": [("momentum=0.9)", "momentum=0.89)")],
        "statistics updated twice": [("nn.BatchNorm(axis=1,", "Twice(axis=1,")],
        "eps outside the root": [("nn.BatchNorm(axis=1,", "Outside(axis=1,")],
        "weight decay": [("0.2}", '0.2, "wd": 1e-4}')],
    },
}
LENET = {
    "layers": PURE,
    "cells": ["imports", "data", "train-function", "block", "net", "own-net"],
    "train": "own-train",
    "mistakes": {
        "another data order": [
            ("    settings = {", "    next(iter(train_iter))\n    settings = {")
        ],
        "another seed": [("seed(SEED)", "seed(SEED + 1)")],
        "another initialization": [("Xavier()", "Xavier(magnitude=3.06)")],
        "learning rate off by 1 %": [("1.0}", "1.01}")],
        "loss summed": [("test_iter, batch_size,", "test_iter, 1,")],
        "no batch norm": [("norm(units),", "nn.HybridSequential(),")],
        "momentum 0.89": [("self.momentum = 0.9", "self.momentum = 0.89")],
        "statistics updated twice": [
            (
                "        Y = scratch",
                "        scratch.fast_batch_norm(X.as_nd_ndarray(), *state)\n"
                "        Y = scratch",
            )
        ],
        "eps outside the root": [
            ("scratch.fast_batch_norm(X", "wrong(X"),
        ],
    },
}
CASES = [
    (chapter, mistake)
    for chapter, plan in (("gluon", GLUON), ("lenet", LENET))
    for mistake in [*plan["mistakes"], None]
]


def changed(cells, edits):
    """The code of the cells in one piece, with each edit made where it fits."""
    code = "\n\n".join(cells)
    for old, new in edits:
        assert old in code, f"no cell has {old!r} any more"
        code = code.replace(old, new)
    return code


def notebook_of(path, plan):
    """A notebook that trains once per mistake, and once without one."""
    stored = nbformat.read(path, as_version=4)
    sources = {cell.id: cell.source for cell in stored.cells}
    names = [*plan["cells"], plan["train"]]
    imports, cells = sources[names[0]], [sources[name] for name in names[1:]]
    first = nbformat.v4.new_code_cell(imports + BEGINNING + plan["layers"])
    new = nbformat.v4.new_notebook(cells=[first])
    for number, edits in enumerate([*plan["mistakes"].values(), []]):
        code = FRESH_NAMES + changed(cells, edits)
        cell = nbformat.v4.new_code_cell(code, id=f"m{number}")
        new.cells.append(cell)
    return new


@pytest.fixture(scope="module")
def found():
    """(chapter, mistake): what the comparison says of the training, in sentences."""
    words = {}
    for chapter, plan in ("gluon", GLUON), ("lenet", LENET):
        path = CHAPTERS / f"batch-norm-{chapter}.ipynb"
        done = run.cells(notebook_of(path, plan), path, PROJECT.short, PROJECT)
        cell = plan["train"]
        (stored,) = record.read(path)["trainings"]["short"][cell]
        stored["losses"] = stored["losses"][:STEPS]
        code = slices.digest(nbformat.read(path, as_version=4), cell)
        (measured,) = spread.read(path, "short").trainings(cell, code, 1)
        for number, mistake in enumerate([*plan["mistakes"], None]):
            (new,) = done.notes[f"m{number}"]["trainings"]
            new |= {name: stored[name] for name in ENDS}
            comparisons = trainings.comparisons(stored, new, measured)
            words[chapter, mistake] = [c.words for c in comparisons if c.words]
    return words


@pytest.mark.parametrize("chapter, mistake", CASES)
def test_a_mistake_shows_at_the_beginning(found, chapter, mistake):
    words = found[chapter, mistake]
    if mistake is None:
        assert words == []
    else:
        assert words
        print(f"{chapter}, {mistake}: {words[0]}")
