"""Checks of what readers write, which name the mistake.

    from utils import check
    check.batch_norm(my_layer)

Each takes a function, `batch_norm` a Gluon block as well, and returns a `Verdict`:
right, wrong with the mistake named, or not attempted yet. `hint()` and `solution()`
help on. A check of one's own is a `Check` of `utils.check.specification`, or what
`check_function` of `utils.check.functions` makes.
"""

from utils.check.specs.accuracy import accuracy
from utils.check.specs.batch_norm import batch_norm
from utils.check.specs.batch_norm_relu import batch_norm_relu
from utils.check.specs.fold import fold
from utils.check.specs.group_norm import group_norm
from utils.check.specs.moving_average import moving_average
from utils.check.specs.softmax_cross_entropy import softmax_cross_entropy

__all__ = [
    "accuracy",
    "batch_norm",
    "batch_norm_relu",
    "fold",
    "group_norm",
    "moving_average",
    "softmax_cross_entropy",
]
