"""Run a notebook again as it is, but for its rounding or for its random numbers.

Training amplifies rounding: two runs that begin 1e-7 apart end per cents apart. How
far apart, and how far apart two seeds end, is measured by runs that vary nothing else:

BN_ROUNDING=n  each pixel of a training batch is multiplied by 1 or by the next float32,
               drawn by a generator with seed n. A black one stays black.
BN_SEED=n      n is added to each seed: the one of the data order, and every one that
               the notebook passes to `mx.random.seed`.
"""

import os
import typing
from collections.abc import Callable

import numpy as np

if typing.TYPE_CHECKING:  # utils imports this module before MXNet
    from mxnet import nd


def chosen(variable: str) -> int | None:
    """The whole number in an environment variable, or None where it is not set."""
    text = os.environ.get(variable)
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError(
            f"{variable} has to be a whole number, but it is {text!r}. Correct it, or "
            "unset it for a run like any other."
        )
    return int(text)


def seed() -> int:
    """What BN_SEED adds to each seed, 0 where it is not set."""
    return chosen("BN_SEED") or 0


def shift_seeds() -> None:
    """Let `mx.random.seed(s)` mean `s + BN_SEED` from here on."""
    from mxnet import random

    plain = random.seed

    def shifted(seed_state, ctx="all"):
        plain(seed_state + seed(), ctx)

    random.seed = shifted


def rounding() -> Callable[["nd.NDArray"], "nd.NDArray"]:
    """A function from a batch of pixels to the batch with other last digits.

    It returns the batch unchanged where BN_ROUNDING is not set.
    """
    number = chosen("BN_ROUNDING")
    if number is None:
        return lambda pixels: pixels
    from mxnet import nd

    generator = np.random.RandomState(number)

    def rounded(pixels):
        up = generator.randint(0, 2, pixels.shape, dtype=np.uint8)
        return pixels * nd.array(1 + up * np.finfo(np.float32).eps, dtype="float32")

    return rounded
