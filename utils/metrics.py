"""Accuracy, for one batch and for a whole data set.

All functions here work in MXNet's classic mode (`mx.nd`) and in NumPy mode
(`npx.set_np()`), on any net that is called as ``net(data)``.
"""

from collections.abc import Callable, Iterable

import mxnet as mx
from mxnet import kv, nd
from utils.cluster.gather import gather

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
    store: kv.KVStore | None = None,
) -> float:
    """Accuracy of `net` over all batches of `data_iterator`, in prediction mode.

    data_iterator: an iterable of (data, label) pairs, or one such pair.
    net: a Gluon block or any function from data to scores (batch, classes).
    ctx: the device that the batches are moved to before `net` sees them, or a
        list of devices that share each batch; left out, they stay where they are.
    store: in a distributed run, the key-value store, as `train_ch5` has it: each
        worker takes its part of every batch, and all get the accuracy over all.
    Returns a Python float in [0, 1]. Raises ValueError where there is no batch.
    """
    if isinstance(data_iterator, (list, tuple)):
        if data_iterator and isinstance(data_iterator[0], nd.NDArray):
            data_iterator = [data_iterator]
    hits, count = [], 0
    for data, label in data_iterator:
        for X, y in split_and_load(data, label, ctx, store):
            hits.append(count_hits(net(X), y))
        count += data.shape[0]
    if not count:
        raise ValueError(
            "evaluate_accuracy expects at least one batch, but the iterator gave "
            "none; a generator can be used only once, so pass a list or an "
            "iterator of utils.load_mnist instead."
        )
    # The counts are fetched only here: waiting for each batch would leave the
    # device idle in between.
    total = sum(float(h.asscalar()) for h in hits)
    if store:
        total = gather(store, [total]).sum()
    return float(total) / count


def split_and_load(
    data: nd.NDArray,
    label: nd.NDArray,
    ctx: Devices | None,
    store: kv.KVStore | None = None,
) -> list[Batch]:
    """The batch as a list of (data, label) pairs, one for each device of `ctx`.

    store: in a distributed run, so that it is this worker's part of the batch only.
    The parts differ by at most one sample. Where there are fewer samples than workers
    or devices, the last devices of each worker get none and have no pair.
    """
    count, (first, last) = data.shape[0], (0, data.shape[0])
    if store:
        first, last = bounds(count, store.rank, store.num_workers)
    devices = ctx if isinstance(ctx, (list, tuple)) else [ctx]
    number, parts = min(len(devices), last - first), []
    for k, device in enumerate(devices[:number]):
        start, end = (first + edge for edge in bounds(last - first, k, number))
        pair = data, label
        if end - start < count:
            pair = data[start:end], label[start:end]
        parts.append(tuple(a.as_in_context(device) if device else a for a in pair))
    return parts


def bounds(count: int, k: int, parts: int) -> tuple[int, int]:
    """Where part k of `count` samples begins and ends; parts differ by one at most."""
    return count * k // parts, count * (k + 1) // parts


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
