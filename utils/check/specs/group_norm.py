"""The check of a group normalization: `utils.check.group_norm`."""

import numpy as np
from utils.check.functions import check_function
from utils.check.specification import Mistake
from utils.notebooks import source

WHERE = "batch-norm-predict", "Small batches, and who does not care"


def reference(
    X,
    gamma,
    beta,
    num_groups,
    eps,
    *,
    axes=(2, 3, 4),
    order="together",
    groups="number",
    ddof=0,
    root="inside",
    affine="gamma, beta",
    per="channel",
    shifted=True,
):
    """Wu & He (2018), arXiv:1803.08494, equations 1 to 7."""
    N, C, H, W = X.shape
    if groups == "size":
        num_groups = C // num_groups
    if order == "together":
        V = X.reshape(N, num_groups, C // num_groups, H, W)
    else:  # every num_groups-th channel
        V = X.reshape(N, C // num_groups, num_groups, H, W).swapaxes(1, 2)
    mean = V.mean(axis=axes, keepdims=True)
    count = V.size // mean.size
    var = ((V - mean) ** 2).sum(axis=axes, keepdims=True) / max(count - ddof, 1)
    deviation = {
        "inside": np.sqrt(var + eps),
        "outside": np.sqrt(var) + eps,
        "missing": np.sqrt(var),
        "none": var + eps,
    }[root]
    V = (V - mean * shifted) / deviation
    Y = (V if order == "together" else V.swapaxes(1, 2)).reshape(X.shape)
    shape = {"channel": (1, C, 1, 1), "column": (1, 1, 1, W), "row": (1, 1, H, 1)}[per]
    scale, offset = {
        "gamma, beta": (gamma, beta),
        "beta, gamma": (beta, gamma),
        "1, beta": (1 + 0 * gamma, beta),
        "gamma, 0": (gamma, 0 * beta),
        "1, 0": (1 + 0 * gamma, 0 * beta),
    }[affine]
    return scale.reshape(shape) * Y + offset.reshape(shape)


def case(shape, num_groups, seed, eps=0.1, spread=1.0):
    draw = np.random.RandomState(seed)
    X = draw.randint(-4, 5, shape) + 2 * np.arange(shape[1]).reshape(-1, 1, 1)
    return {
        "X": np.asarray(spread * X, "float32"),
        "gamma": np.asarray(draw.permutation(shape[1]) + 2, "float32"),
        "beta": np.asarray(draw.permutation(shape[1]) - 0.5, "float32"),
        "num_groups": num_groups,
        "eps": eps,
    }


def constant():
    """A group with equal values, where a missing eps shows."""
    found = case((2, 4, 1, 2), 2, 5)
    found["X"][0, :2] = 1
    return found


def examples():
    from hypothesis import strategies as st

    @st.composite
    def build(draw, num_groups, shape):
        def whole(size, low, high):
            numbers = [st.integers(low, high)] * int(np.prod(size))
            return np.reshape(draw(st.tuples(*numbers)), size).astype("float32")

        return {
            "X": whole(shape, 0, 5),
            "gamma": whole(shape[1], 1, 3),
            "beta": whole(shape[1], 0, 2),
            "num_groups": num_groups,
            "eps": 0.1,
        }

    shapes = (1, (1, 1, 1, 2)), (1, (1, 2, 1, 1)), (1, (1, 2, 1, 2)), (2, (1, 2, 1, 2))
    shapes += (1, (2, 1, 1, 2)), (2, (2, 4, 1, 1)), (2, (2, 4, 1, 2)), (2, (2, 4, 3, 2))
    return [build(*shape) for shape in shapes]


def mistake(name, why, *changes):
    return Mistake(name, why, WHERE, changes)


group_norm = check_function(
    name="group_norm",
    arguments=("X", "gamma", "beta", "num_groups", "eps"),
    reference=reference,
    cases=[
        case((2, 6, 2, 3), 3, 0),
        case((3, 6, 1, 2), 2, 1),
        case((2, 4, 4, 3), 2, 2),
        case((2, 4, 3, 4), 2, 3),
        case((1, 6, 2, 2), 3, 4, eps=1e-3, spread=0.03),
        case((2, 6, 1, 2), 1, 6),
        constant(),
    ],
    examples=examples,
    mistakes=(
        mistake(
            "the groups are taken across: every so-many-th channel",
            "A group is a run of neighboring channels: (N, G, C/G, H, W), in this "
            "order.",
            {"order": "across"},
        ),
        mistake(
            "num_groups is used as the number of channels in a group",
            "Six channels in 2 groups make 3 channels per group.",
            {"groups": "size"},
        ),
        mistake(
            "the statistics run over the batch, too",
            "That brings back what group normalization avoids: the company of others.",
            {"axes": (0, 2, 3, 4)},
        ),
        mistake(
            "each channel has statistics of its own",
            "That is instance normalization, with as many groups as channels.",
            {"axes": (3, 4)},
        ),
        mistake(
            "all channels share their statistics",
            "That is layer normalization, with a single group.",
            {"axes": (1, 2, 3, 4)},
        ),
        mistake(
            "the statistics run over batch and pixels, as in batch normalization",
            "Here they run over the channels and pixels of one image's group.",
            {"axes": (0, 3, 4)},
        ),
        mistake(
            "each pixel has statistics of its own",
            "They run over the channels of a group and over all pixels.",
            {"axes": (2,)},
        ),
        mistake(
            "the variance is unbiased, divided by m − 1",
            "In a small group the outputs come out too small.",
            {"ddof": 1},
        ),
        mistake(
            "the mean is not subtracted",
            "The output keeps the offset that the layer is there to remove.",
            {"shifted": False},
        ),
        mistake(
            "eps stands outside the root",
            "A group that hardly varies gets another scale.",
            {"root": "outside"},
        ),
        mistake(
            "eps is missing",
            "A group with equal values is divided by zero.",
            {"root": "missing"},
        ),
        mistake(
            "the division is by the variance and not by its root",
            "The output then depends on the unit of the input.",
            {"root": "none"},
        ),
        mistake(
            "gamma and beta are swapped",
            "At the start gamma is 1 and beta 0, so the output is 1 whatever the "
            "input.",
            {"affine": "beta, gamma"},
        ),
        mistake(
            "gamma is ignored",
            "The network can't scale the channels.",
            {"affine": "1, beta"},
        ),
        mistake(
            "beta is ignored",
            "The network can't shift the channels.",
            {"affine": "gamma, 0"},
        ),
        mistake(
            "gamma and beta are both ignored",
            "The network can neither scale nor shift the channels.",
            {"affine": "1, 0"},
        ),
        mistake(
            "gamma and beta are broadcast along the wrong axis",
            "Each channel has one of each, and axis 1 has the channels.",
            {"per": "column"},
            {"per": "row"},
        ),
    ),
    tested="outputs and gradients agree, for one to three groups.",
    hints=(
        "Which values share a mean? Those of one image, in one group of channels.",
        "Give the groups an axis of their own: reshape X to (N, G, C/G, H, W).",
        "Normalize over the last three axes of that view, reshape back, and let gamma "
        "and beta lie along the channels.",
    ),
    answer=lambda: source("batch-norm-predict", "group_norm"),
    where=WHERE,
    gradients=("X", "gamma", "beta"),
)
