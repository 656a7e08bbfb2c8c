"""The check of batch normalization folded into the layer before: `utils.check.fold`."""

import numpy as np
from utils.check.functions import check_function
from utils.check.specification import Mistake
from utils.notebooks import source

WHERE = "batch-norm-speed", "A layer that disappears"


def reference(
    weight,
    bias,
    gamma,
    beta,
    moving_mean,
    moving_var,
    eps,
    *,
    root="inside",
    axis=0,
    scale_of_bias="right",
    own_bias="right",
    mean="subtracted",
    offset="beta",
    slope="gamma",
    weights="scaled",
):
    deviation = {
        "inside": np.sqrt(moving_var + eps),
        "missing": np.sqrt(moving_var),
        "outside": np.sqrt(moving_var) + eps,
        "none": moving_var + eps,
    }[root]
    scale = {"gamma": gamma, "1": 1 + 0 * gamma}[slope] / deviation
    if axis >= weight.ndim:
        raise ValueError("weight has no such axis")
    shape = [-1 if a == axis else 1 for a in range(weight.ndim)]
    own = {"right": bias, "forgotten": 0 * bias}[own_bias]
    of_mean = {"subtracted": -1, "added": 1, "forgotten": 0}[mean] * moving_mean
    by = {"right": scale, "1": 1 + 0 * scale}[scale_of_bias]
    shift = {"beta": beta, "0": 0 * beta, "scaled": beta * scale}[offset]
    if weights == "scaled":
        weight = weight * scale.reshape(shape)
    return weight, own * by + of_mean * scale + shift


def case(shape, seed, eps=0.1):
    draw = np.random.RandomState(seed)
    outputs = shape[0]

    def vector(values):
        return np.asarray(values, "float32")

    return {
        "weight": vector(draw.randint(-3, 4, shape)),
        "bias": vector(draw.randint(1, 4, outputs)),
        "gamma": vector(draw.permutation(outputs) + 2),
        "beta": vector(draw.permutation(outputs) + 0.5),
        "moving_mean": vector(draw.permutation(outputs) - 2.5),
        "moving_var": vector(draw.permutation(outputs) + 0.5),
        "eps": eps,
    }


def examples():
    from hypothesis import strategies as st

    @st.composite
    def build(draw, shape):
        def whole(size, low, high):
            numbers = [st.integers(low, high)] * int(np.prod(size))
            return np.reshape(draw(st.tuples(*numbers)), size).astype("float32")

        outputs = shape[0]
        return {
            "weight": whole(shape, 0, 3),
            "bias": whole(outputs, 0, 2),
            "gamma": whole(outputs, 1, 3),
            "beta": whole(outputs, 0, 2),
            "moving_mean": whole(outputs, 0, 2),
            "moving_var": whole(outputs, 1, 3),
            "eps": 0.1,
        }

    shapes = (1, 1), (2, 1), (2, 2), (1, 1, 1, 2), (2, 2, 1, 1), (2, 2, 1, 2)
    return [build(shape) for shape in shapes]


def mistake(name, why, *changes):
    return Mistake(name, why, WHERE, changes)


fold = check_function(
    name="fold",
    arguments=(
        "weight",
        "bias",
        "gamma",
        "beta",
        "moving_mean",
        "moving_var",
        "eps",
    ),
    reference=reference,
    results=("weight", "bias"),
    cases=[
        case((2, 3, 1, 2), 0),
        case((3, 3, 2, 1), 1),
        case((2, 1, 3, 2), 2, eps=0.01),
        case((3, 2), 3),
        case((2, 2), 4),
    ],
    examples=examples,
    mistakes=(
        mistake(
            "the mean is not subtracted",
            "The output keeps the offset that batch normalization removes.",
            {"mean": "forgotten"},
        ),
        mistake(
            "the mean is added and not subtracted",
            "The offset doubles instead of going away.",
            {"mean": "added"},
        ),
        mistake(
            "the layer's own bias is forgotten",
            "The layer adds it before the mean is subtracted, so it counts, scaled "
            "like the weights.",
            {"own_bias": "forgotten"},
        ),
        mistake(
            "the layer's own bias is not scaled",
            "The slope multiplies all that the layer computes, its bias included.",
            {"scale_of_bias": "1"},
        ),
        mistake(
            "the weights are not scaled",
            "The slope multiplies all that the layer computes, above all W·X.",
            {"weights": "as they were"},
        ),
        mistake(
            "the slope lies along the inputs and not along the outputs",
            "Batch normalization scales what comes out, and axis 0 of the weights has "
            "one entry per output.",
            {"axis": 1},
            {"axis": 2},
            {"axis": 3},
        ),
        mistake(
            "eps is missing",
            "A channel that hardly varies gets another slope than the layer gave it.",
            {"root": "missing"},
        ),
        mistake(
            "eps stands outside the root",
            "A channel that hardly varies gets another slope than the layer gave it.",
            {"root": "outside"},
        ),
        mistake(
            "the division is by the variance and not by its root",
            "The slope is gamma over the deviation.",
            {"root": "none"},
        ),
        mistake(
            "beta is missing",
            "What the layer adds has to be added by the new bias.",
            {"offset": "0"},
        ),
        mistake(
            "beta is scaled",
            "Beta is added after the scaling.",
            {"offset": "scaled"},
        ),
        mistake(
            "gamma is missing",
            "The slope is gamma over the deviation.",
            {"slope": "1"},
        ),
    ),
    tested="weight and bias agree, for convolutions and for dense layers.",
    hints=(
        "In prediction batch normalization is a line, y = s·x + t, with one s and one "
        "t per output, made of gamma, beta, and the moving statistics.",
        "Put x = W·X + b into the line and sort the terms: which belong to X?",
        "The new weight is s times the old one, along axis 0; the new bias is what the "
        "line makes of the old bias.",
    ),
    answer=lambda: source("batch-norm-speed", "fold_arrays"),
    where=WHERE,
)
