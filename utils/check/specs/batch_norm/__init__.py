"""The check of a batch normalization: `utils.check.batch_norm`."""

import numpy as np
from utils.check.specification import Check, Invariant
from utils.check.specs.batch_norm.formula import BY_X, OUTPUT, reference, tolerance
from utils.check.specs.batch_norm.inputs import cases, examples, inputs, resized
from utils.check.specs.batch_norm.layer import layer_of
from utils.check.specs.batch_norm.mistakes import MISTAKES
from utils.check.specs.batch_norm.observe import observe
from utils.notebooks import source


def by_design(layer):
    """On a GPU, cuDNN computes the moving variance, an unbiased one."""
    return ({"moving_ddof": 1},) if layer.ctx.device_type == "gpu" else ()


def feature_means(values):
    return values.mean(axis=(0, *range(2, values.ndim)))


INVARIANTS = (
    Invariant(
        "In training, each feature's mean should come out as beta; here it does not.",
        lambda case, seen: np.allclose(
            feature_means(seen[OUTPUT]), case.beta, atol=1e-2
        ),
    ),
    Invariant(
        "The gradient of X should have mean 0 for each feature; here it does not.",
        lambda case, seen: np.allclose(
            feature_means(seen[BY_X]), 0, atol=1e-2 * case.sizes[2]
        ),
    ),
)


def tested(layer):
    what = "output and gradients"
    if layer.has_statistics:
        what += ", moving statistics, and prediction"
    kinds = {2: "dense", 4: "convolutional"}
    kinds = " and ".join(kinds[n] for n in layer.dimensions)
    says = f"{what} agree with the formulas, for {kinds} batches."
    return " ".join([says, *layer.notes])


batch_norm = Check(
    name="batch_norm",
    reference=reference,
    observe=observe,
    prepare=layer_of,
    cases=cases,
    examples=examples,
    inputs=inputs,
    tolerance=tolerance,
    mistakes=MISTAKES,
    tested=tested,
    hints=(
        "Which values share a mean? In a dense batch each column, in a convolution "
        "each channel of all samples and pixels. keepdims=True makes statistics fit X.",
        "Subtract the mean first, then take the mean of the squares; divide by the "
        "root of variance plus eps. gamma and beta need a shape that puts them along "
        "axis 1.",
        "In training, also move the statistics: momentum times the old plus (1 − "
        "momentum) times the new, in place and under autograd.pause(). Otherwise, "
        "normalize by them. autograd.is_training() says which.",
    ),
    answer=lambda: source("batch-norm-scratch", "own_batch_norm"),
    invariants=INVARIANTS,
    resized=resized,
    kind=lambda case: case.X.ndim,
    by_design=by_design,
)
