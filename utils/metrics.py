"""Accuracy, for one batch and for a whole data set.

All functions here work in MXNet's classic mode (`mx.nd`) and in NumPy mode
(`npx.set_np()`), on any net that is called as ``net(data)``.
"""

from collections.abc import Callable, Iterable

import mxnet as mx
from mxnet import gluon, nd

# An array of `mx.np` is an nd.NDArray, too.
Batch = tuple[nd.NDArray, nd.NDArray]  # data and label
Devices = mx.Context | list[mx.Context]


def accuracy(output: nd.NDArray, label: nd.NDArray) -> float:
    """Share of the rows of `output` whose largest entry is at index `label`.

    output: scores or probabilities, shape (batch, classes).
    label: class indices, shape (batch,), of any number type.
    Returns a Python float in [0, 1]. Raises ValueError where the shapes do
    not fit.
    """
    if output.ndim != 2 or output.shape[0] == 0 or label.shape != output.shape[:1]:
        raise ValueError(
            "accuracy expects scores of shape (batch, classes) and labels of shape "
            f"(batch,) with batch at least 1, but got {output.shape} and "
            f"{label.shape}; reshape the labels with label.reshape((-1,)) or "
            "check that both come from the same batch."
        )
    return float(count_hits(output, label).asscalar()) / output.shape[0]


def evaluate_accuracy(
    data_iterator: Iterable[Batch] | Batch,
    net: Callable[[nd.NDArray], nd.NDArray],
    ctx: Devices | None = None,
) -> float:
    """Accuracy of `net` over all batches of `data_iterator`, in prediction mode.

    data_iterator: an iterable of (data, label) pairs, or one such pair.
    net: a Gluon block or any function from data to scores (batch, classes).
    ctx: the device that the batches are moved to before `net` sees them, or a
        list of devices that share each batch; left out, they stay where they are.
    Returns a Python float in [0, 1]. Raises ValueError where there is no batch.
    """
    if isinstance(data_iterator, (list, tuple)):
        if data_iterator and isinstance(data_iterator[0], nd.NDArray):
            data_iterator = [data_iterator]
    hits, count = [], 0
    for data, label in data_iterator:
        for X, y in split_and_load(data, label, ctx):
            hits.append(count_hits(net(X), y))
            count += X.shape[0]
    if not count:
        raise ValueError(
            "evaluate_accuracy expects at least one batch, but the iterator gave "
            "none; a generator can be used only once, so pass a list or an "
            "iterator of utils.load_mnist instead."
        )
    # The counts are fetched only here: waiting for each batch would leave the
    # device idle in between.
    return sum(float(h.asscalar()) for h in hits) / count


def split_and_load(
    data: nd.NDArray, label: nd.NDArray, ctx: Devices | None
) -> list[Batch]:
    """The batch as a list of (data, label) pairs, one for each device of `ctx`."""
    if ctx is None:
        return [(data, label)]
    if not isinstance(ctx, (list, tuple)):
        return [(data.as_in_context(ctx), label.as_in_context(ctx))]
    split = gluon.utils.split_and_load
    return list(
        zip(
            split(data, ctx, even_split=False),
            split(label, ctx, even_split=False),
            strict=True,
        )
    )


def count_hits(output: nd.NDArray, label: nd.NDArray) -> nd.NDArray:
    """How many rows of `output` have their largest entry at index `label`.

    output: scores or probabilities, shape (batch, classes).
    label: class indices, shape (batch,), of any number type.
    Returns an `mx.nd` array of shape (1,) and type float32, on the device of
    `output`. It is not waited for: `.asscalar()` does that.
    """
    # float32 counts exactly up to 2**24, far above any batch.
    guess = output.as_nd_ndarray().argmax(axis=1)
    return (guess == label.as_nd_ndarray().astype("float32")).sum()
