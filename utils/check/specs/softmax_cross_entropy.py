"""The check of a loss: `utils.check.softmax_cross_entropy`."""

import numpy as np
from utils.check.functions import check_function
from utils.check.specification import Mistake
from utils.notebooks import source

WHERE = "batch-norm-scratch", "Loss and accuracy"
EXP_ENDS, EXP_BEGINS = 88.7, -103.9  # float32: above is infinity, below is zero


def reference(
    output,
    label,
    *,
    over="sum",
    axis=1,
    base=np.e,
    sign=-1,
    how="",
    of="scores",
    guard=0,
):
    """The loss in float64, with what float32 makes of it where `how` is not stable.

    how: "log(softmax)", "exp" of scores as they are, or "batch" for its largest score
    subtracted from all. of: "scores", "softmax" (of it, again), "shares" (no softmax).
    """
    if of == "softmax":
        output = np.exp(log_softmax(output, axis))
    logs = np.log(output) if of == "shares" else log_softmax(output, axis)
    if how == "log(softmax)":
        logs[logs < EXP_BEGINS] = -np.inf
    if how == "exp" and output.max() > EXP_ENDS:
        logs[output.max(axis=1) > EXP_ENDS] = np.nan
    if how == "batch":
        logs[output.max(axis=1) - output.max() < EXP_BEGINS] = np.nan
    if guard:
        logs = np.log(np.exp(logs) + guard)
    if how == "no log":
        logs = np.exp(logs)
    losses = sign * logs[np.arange(len(label)), label.astype(int)] / np.log(base)
    return {
        "sum": losses.sum(),
        "mean": losses.mean(),
        "classes": losses.mean() / output.shape[1],
        "each": losses,
    }[over]


def log_softmax(output, axis):
    centered = output - output.max(axis=axis, keepdims=True)
    return centered - np.log(np.exp(centered).sum(axis=axis, keepdims=True))


def case(output, label):
    return {
        "output": np.asarray(output, "float32"),
        "label": np.asarray(label, "float32"),
    }


def resized(samples):
    draw = np.random.RandomState(samples)
    return case(draw.randint(-2, 3, (samples, 3)), draw.randint(0, 3, samples))


def examples():
    from hypothesis import strategies as st

    @st.composite
    def build(draw, samples, classes):
        size = draw(st.sampled_from([1, 1, 200]))
        label = [draw(st.integers(0, classes - 1)) for _ in range(samples)]
        scores = [draw(st.integers(0, 3)) for _ in range(samples * classes)]
        return case(size * np.reshape(scores, (samples, classes)), label)

    return [build(*shape) for shape in ((1, 2), (2, 2), (1, 3), (3, 3))]


def mistake(name, why, *changes):
    return Mistake(name, why, WHERE, changes)


softmax_cross_entropy = check_function(
    name="softmax_cross_entropy",
    arguments=("output", "label"),
    reference=reference,
    cases=[
        case([[1, 2, 3], [2, 1, 0.5], [0.5, 1, 1], [3, 1, 2]], [2, 1, 0, 0]),
        case([[1, 2], [3, 0.5], [2, 2.5]], [0, 1, 1]),
        case([[1, 3, 2]], [2]),
        case([[200, 1, 2]], [0]),  # right, and sure of it
        case([[200, 1, 2]], [1]),  # wrong, and sure of it
        case([[201, 200, 199], [1, 2, 3]], [0, 1]),
    ],
    examples=examples,
    mistakes=(
        mistake(
            "it is the mean over the batch and not the sum",
            "This course sums, and its learning rates are per example.",
            {"over": "mean"},
        ),
        mistake(
            "it is the mean over batch and classes",
            "Only the label's entry of each row counts; the others are zeros that the "
            "mean should not count.",
            {"over": "classes"},
        ),
        mistake(
            "it is one loss per sample and not their sum",
            "backward() adds them up, but a printed loss has to be one number.",
            {"over": "each"},
        ),
        mistake(
            "the minus sign is missing",
            "Logarithms of shares are negative; descending such a loss makes it worse.",
            {"sign": 1},
        ),
        mistake(
            "the softmax is taken along the batch",
            "The shares of each sample's classes add up to 1: axis 1, or -1.",
            {"axis": 0},
        ),
        mistake(
            "the softmax is followed by its logarithm, in two steps",
            "The share of a class that the network rules out is rounded to 0, and its "
            "logarithm is −∞; log_softmax computes both in one step.",
            {"how": "log(softmax)"},
        ),
        mistake(
            "the exponential of large scores overflows",
            "exp(89) is too large for float32; subtract each row's largest score "
            "first, or use log_softmax.",
            {"how": "exp"},
        ),
        mistake(
            "the largest score of the whole batch is subtracted, not of each row",
            "In a row whose scores are far below, all exponentials become 0, and 0/0 "
            "is not a number.",
            {"how": "batch"},
        ),
        mistake(
            "a small number is added before the logarithm",
            "It hides infinities, but also limits the loss, and the gradient of "
            "confident mistakes vanishes.",
            *({"guard": 10.0**-n} for n in range(4, 13)),
        ),
        mistake(
            "the softmax is taken twice",
            "log_softmax expects scores; of shares it makes almost equal ones, which "
            "can't say that the network is sure.",
            {"of": "softmax"},
        ),
        mistake(
            "the softmax is missing",
            "Scores are no shares: they do not add up to 1.",
            {"of": "shares"},
        ),
        mistake(
            "the logarithm is missing",
            "The gradient of a share vanishes where the network is most wrong.",
            {"how": "no log"},
        ),
        mistake(
            "the logarithm has another base",
            "The gradient is too small or too large by a factor; the natural logarithm "
            "is usual.",
            {"base": 2},
            {"base": 10},
        ),
    ),
    tested="loss and gradient agree, for ordinary scores and for scores of 200.",
    hints=(
        "Of the shares that the softmax makes of each row, only the label's counts.",
        "Softmax and logarithm have to be one step, nd.log_softmax, or a confident "
        "mistake gives infinity.",
        "nd.pick(logs, label) takes the label's entry from each row. What remains are "
        "a sign and a sum.",
    ),
    answer=lambda: source("batch-norm-scratch", "cross_entropy"),
    where=WHERE,
    gradients=("output",),
    resized=resized,
)
