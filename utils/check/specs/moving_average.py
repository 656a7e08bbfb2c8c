"""The check of an update of moving statistics: `utils.check.moving_average`."""

import numpy as np
from utils.check.functions import check_function
from utils.check.specification import Mistake
from utils.notebooks import source

WHERE = "batch-norm-scratch", "Prediction needs statistics of its own"


def reference(moving, value, momentum, *, old="momentum", new="1 - momentum", times=1):
    """moving <- old · moving + new · value; the weights are named by their formulas."""
    weights = {
        "momentum": momentum,
        "1 - momentum": 1 - momentum,
        "1 / 2": 0.5,
        "1": 1,
        "0": 0,
        "-(1 - momentum)": momentum - 1,
    }
    for _ in range(times):
        moving = weights[old] * moving + weights[new] * value
    return moving


def case(moving, value, momentum):
    return {
        "moving": np.asarray(moving, "float32"),
        "value": np.asarray(value, "float32"),
        "momentum": momentum,
    }


def examples():
    from hypothesis import strategies as st

    @st.composite
    def build(draw, size):
        momentum = draw(st.sampled_from([0.9, 0.5, 0.75]))
        moving = [draw(st.integers(0, 3)) for _ in range(size)]
        return case(moving, [draw(st.integers(0, 3)) for _ in range(size)], momentum)

    return [build(size) for size in (1, 2, 3)]


def mistake(name, why, *changes):
    return Mistake(name, why, WHERE, changes)


moving_average = check_function(
    name="moving_average",
    arguments=("moving", "value", "momentum"),
    reference=reference,
    cases=[
        case([0, 1], [4, 7], 0.9),
        case([2, -1, 5], [3, 3, -2], 0.75),
        case([1], [3], 0.99),
        case([1, 2], [5, 3], 0.0),
        case([1, 2], [5, 3], 1.0),
    ],
    examples=examples,
    mistakes=(
        mistake(
            "momentum is flipped: it weighs the new value",
            "That is PyTorch's convention; in MXNet and here momentum weighs the old "
            "one.",
            {"old": "1 - momentum", "new": "momentum"},
        ),
        mistake(
            "nothing is written into moving",
            "An assignment, moving = …, only gives the name to a new array; write with "
            "moving[:] = …, or with *= and +=.",
            {"old": "1", "new": "0"},
        ),
        mistake(
            "moving becomes the new value",
            "Nothing is left of the batches before, so there is no average.",
            {"old": "0", "new": "1"},
        ),
        mistake(
            "the old value is not weighted",
            "The sum grows from step to step; the weights have to add up to 1.",
            {"old": "1"},
            {"old": "1", "new": "1"},
        ),
        mistake(
            "the new value is not weighted",
            "The sum grows to many times the average; the weights have to add up to 1.",
            {"new": "1"},
        ),
        mistake(
            "both values are weighted by momentum",
            "The weights have to add up to 1.",
            {"new": "momentum"},
        ),
        mistake(
            "it is updated twice",
            "It then forgets twice as fast as momentum says.",
            {"times": 2},
        ),
        mistake(
            "the two values are averaged, whatever momentum is",
            "A weight of 1/2 for the newest batch makes the average as noisy as a "
            "batch.",
            {"old": "1 / 2", "new": "1 / 2"},
        ),
        mistake(
            "the new value is subtracted",
            "The average moves away from the batches.",
            {"new": "-(1 - momentum)"},
        ),
    ),
    tested="moving is updated in place, for momenta from 0 to 1.",
    hints=(
        "momentum is the weight of the old value. What is the weight of the new one, "
        "if both add up to 1?",
        "The caller's array has to change, and not only a name: which operators write "
        "into an array?",
        "First scale the old values in place, then add the new ones, weighted.",
    ),
    answer=lambda: source("batch-norm-predict", "moving_average"),
    where=WHERE,
    in_place="moving",
)
