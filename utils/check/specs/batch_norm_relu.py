"""The check of a batch normalization with a ReLU in it: `utils.check.batch_norm_relu`.

Forward only, for convolutional batches: what a fused loop has to write.
"""

import numpy as np
from utils.check.functions import check_function
from utils.check.specification import Mistake
from utils.notebooks import definitions

WHERE = "batch-norm-kernel", "As few sweeps as the mathematics needs"


def reference(X, gamma, beta, eps, *, relu="after", not_a_number="kept"):
    mean, var = (f(X, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
    X_hat = (X - mean) / np.sqrt(var + eps)
    gamma, beta = (v.reshape((1, -1, 1, 1)) for v in (gamma, beta))
    line = gamma * X_hat + beta
    Y = {
        "after": np.maximum(line, 0),
        "missing": line,
        "before beta": np.maximum(gamma * X_hat, 0) + beta,
        "before gamma": gamma * np.maximum(X_hat, 0) + beta,
        "upside down": np.minimum(line, 0),
        "absolute": np.abs(line),
    }[relu]
    return Y if not_a_number == "kept" else np.where(np.isnan(Y), 0, Y)


def case(shape, seed, eps=1e-5):
    draw = np.random.RandomState(seed)
    signs = np.where(np.arange(shape[1]) % 2, -1, 1)
    return {
        "X": draw.randint(-4, 5, shape).astype("float32"),
        "gamma": (signs * (draw.permutation(shape[1]) + 1)).astype("float32"),
        "beta": (draw.permutation(shape[1]) - 0.5).astype("float32"),
        "eps": eps,
    }


def with_a_gap():
    """A channel has a NaN, the other one none."""
    found = case((2, 2, 1, 3), 3)
    found["X"][0, 0, 0, 0] = np.nan
    return found


def examples():
    from hypothesis import strategies as st

    @st.composite
    def build(draw, shape, gap=False):
        def whole(size, values):
            numbers = [st.sampled_from(values)] * int(np.prod(size))
            return np.reshape(draw(st.tuples(*numbers)), size).astype("float32")

        X = whole(shape, (0, 1, 2, 3))
        if gap:
            X[-1, -1, -1, -1] = np.nan
        gamma, beta = whole(shape[1], (1, 2, -1)), whole(shape[1], (0, 1, -1))
        return {"X": X, "gamma": gamma, "beta": beta, "eps": 0.1}

    shapes = (1, 1, 1, 2), (2, 1, 1, 1), (1, 1, 1, 3), (2, 1, 1, 2), (1, 2, 1, 2)
    return [*map(build, shapes), build((1, 1, 1, 2), gap=True)]


def mistake(name, why, **changes):
    return Mistake(name, why, WHERE, (changes,))


batch_norm_relu = check_function(
    name="batch_norm_relu",
    arguments=("X", "gamma", "beta", "eps"),
    reference=reference,
    cases=[
        case((3, 4, 2, 3), 0),
        case((2, 3, 4, 4), 1),
        case((1, 2, 3, 1), 2, eps=0.1),
        with_a_gap(),
    ],
    examples=examples,
    mistakes=(
        mistake(
            "there is no ReLU",
            "Without it the next layer gets negative numbers, and two linear layers "
            "in a row are one.",
            relu="missing",
        ),
        mistake(
            "beta is added after the ReLU",
            "Beta could then no longer decide how many outputs are zero.",
            relu="before beta",
        ),
        mistake(
            "gamma and beta are applied after the ReLU",
            "The ReLU then cuts every channel at its mean, and outputs may be "
            "negative.",
            relu="before gamma",
        ),
        mistake(
            "positive numbers are cut off and negative ones kept",
            "A ReLU is the larger one of a number and zero.",
            relu="upside down",
        ),
        mistake(
            "negative numbers change their sign",
            "A ReLU makes them zero.",
            relu="absolute",
        ),
        mistake(
            "a NaN comes out as 0",
            "A run that has gone wrong would look right. std::max(y, 0) returns y "
            "where it can't compare, and std::max(0, y) returns 0.",
            not_a_number="hidden",
        ),
    ),
    tested="outputs agree for convolutional batches, and a NaN stays one.",
    hints=(
        "What does the loop write, and what would the ReLU make of it?",
        "One expression can do both, before the number is stored.",
        "std::max takes two floats: the number first, then 0.0f, so that a NaN stays.",
    ),
    answer=lambda: definitions("batch-norm-kernel").LINE_RELU.strip(),
    where=WHERE,
)
