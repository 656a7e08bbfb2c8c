"""Small batch normalizations as readers write them, and what a check says of each.

The layers themselves are in the modules zoo_check_...; importing these fills ZOO.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import utils  # noqa: F401  (it makes `import mxnet` work)
from mxnet import autograd, npx
from mxnet.util import is_np_array


class Entry(NamedTuple):
    """A layer, or what makes one, and the names of mistakes of which one is right.

    names: none for a correct layer; UNNAMED where the mistake has no name. module:
    that it was registered in.
    """

    layer: Any
    names: tuple[str, ...]
    made: bool
    numpy: bool
    module: str


ZOO: dict[str, Entry] = {}
UNNAMED = "a mistake without a name"


def wrong(*names: str, made: bool = False, numpy: bool = False) -> Callable:
    """Register a layer with a mistake, which may be called by any of `names`.

    made: what is registered makes the layer, and takes nothing. numpy: the layer is
    written for NumPy mode.
    """

    def add(layer):
        assert layer.__name__ not in ZOO, layer.__name__
        ZOO[layer.__name__] = Entry(layer, names, made, numpy, layer.__module__)
        return layer

    return add


def right(layer=None, *, made: bool = False, numpy: bool = False) -> Callable:
    """Register a layer without a mistake; the arguments are those of `wrong`."""
    add = wrong(made=made, numpy=numpy)
    return add if layer is None else add(layer)


@contextlib.contextmanager
def mode(numpy: bool):
    """Within it, MXNet is in NumPy mode or in its classic mode."""
    was = is_np_array()
    (npx.set_np if numpy else npx.reset_np)()
    try:
        yield
    finally:
        (npx.set_np if was else npx.reset_np)()


@contextlib.contextmanager
def layer_of(name: str):
    """The layer of that name, in the mode that it is written for."""
    entry = ZOO[name]
    with mode(entry.numpy):
        yield entry.layer() if entry.made else entry.layer


def names_in(*modules: str) -> list[str]:
    """Names of the layers of these modules, which have to be loaded."""
    return [n for n, e in ZOO.items() if e.module.split("zoo_check_")[1] in modules]


def fits(verdict, names: tuple[str, ...]) -> bool:
    """Whether a verdict is what a layer with one of these mistakes deserves."""
    if not names:
        return verdict.outcome == "right"
    named = set(verdict.mistakes) <= set(names)
    return verdict.outcome == "wrong" and (
        named and bool(verdict.mistakes) or UNNAMED in names and not verdict.mistakes
    )


# --- Parts that layers share where they are not what is wrong ---


def axes_of(X):
    return (0,) if X.ndim == 2 else (0, 2, 3)


def wide(v, X):
    """One number per feature, shaped to broadcast with X."""
    return v.reshape((1, -1) + (1,) * (X.ndim - 2))


def moments(X):
    mean = X.mean(axis=axes_of(X), keepdims=True)
    var = ((X - mean) ** 2).mean(axis=axes_of(X), keepdims=True)
    return mean, var


def affine(X_hat, gamma, beta):
    return wide(gamma, X_hat) * X_hat + wide(beta, X_hat)


def blend(moving, value, momentum):
    """Move `moving` toward `value`, in place and out of autograd's sight."""
    with autograd.pause():
        moving[:] = momentum * moving + (1 - momentum) * value.reshape(moving.shape)
