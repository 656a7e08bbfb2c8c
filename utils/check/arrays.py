"""Pass NumPy arrays to a reader's code and look at what comes back."""

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from mxnet.base import MXNetError
from mxnet.util import is_np_array
from utils.check.values import Failure

TYPE = "type of the output"
DEVICE = "device of the output"


def array(values: Any, ctx: mx.Context) -> nd.NDArray:
    """A new float32 array, of `mx.nd` or, in NumPy mode, of `mx.np`."""
    make = mx.np.array if is_np_array() else nd.array
    return make(np.asarray(values, "float32"), dtype="float32", ctx=ctx)


def numbers(value: Any) -> Any:
    """What came back, as a float64 array of NumPy; a Failure where it is no array."""
    if isinstance(value, nd.NDArray):
        value = value.asnumpy()
    try:
        return np.asarray(value, "float64")
    except (TypeError, ValueError):
        return Failure(f"an array was expected, but {type(value).__name__} came back")


def kind(value: Any) -> str:
    """The type of an array, in words."""
    if isinstance(value, nd.NDArray):
        return np.dtype(value.dtype).name
    return f"{type(value).__name__}, no NDArray"


def place(Y: Any, X: nd.NDArray) -> str:
    """Where an array is, compared with the input."""
    if not isinstance(Y, nd.NDArray) or Y.context == X.context:
        return "as X"
    return f"{Y.context}, where X is on {X.context}"


def backward(Y: nd.NDArray, G: nd.NDArray) -> None:
    """Backpropagate G; without a graph to Y, all gradients stay zero."""
    if nodes(Y):
        Y.backward(G.astype(Y.dtype).as_in_context(Y.context))


def gradient(value: nd.NDArray | None) -> Any:
    """The gradient of an array, zeros where none is attached."""
    if value is None or value.grad is None:
        return None if value is None else np.zeros(value.shape)
    return numbers(value.grad)


def nodes(value: Any) -> int:
    """How many operations autograd has recorded that lead to an array."""
    if not isinstance(value, nd.NDArray):
        return 0
    try:
        graph = autograd.get_symbol(value)
    except MXNetError:  # not part of a graph
        return 0
    return len(graph.get_internals().list_outputs())


def reason(error: Exception) -> str:
    """The line of an error's text that says what happened; MXNet's have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if "Error" in line] or lines
    text = (said or [""])[-1].split("Check failed: ")[-1]
    return f"{type(error).__name__}: {text}"[:300]
