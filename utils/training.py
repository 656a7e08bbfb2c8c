"""The training loop that several chapters share, and the epochs of all loops."""

import operator
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator

import mxnet as mx
from utils import profile
from mxnet import autograd, gluon, kv, nd
from tqdm import tqdm
from utils.cluster.gather import NO_SUM, gather
from utils.metrics import Batch, Devices, count_hits, evaluate_accuracy, split_and_load


def epochs(num_epochs: int) -> Iterator[int]:
    """Iterate over 0 … num_epochs - 1 with a progress bar on stderr.

    In the short profile (BN_PROFILE=short) it stops after the first epoch, and says
    so in one line on stderr. Raises ValueError where `num_epochs` is not a whole
    number of at least 1, or BN_PROFILE names no profile.
    """
    try:
        count = operator.index(num_epochs)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(
            f"num_epochs has to be a whole number of at least 1, but it is "
            f"{num_epochs!r}."
        )
    short = profile.is_short()
    yield from tqdm(range(1 if short else count), unit="epoch", leave=False)
    if short:
        print(
            f"Short profile: one epoch, of at most {profile.BATCHES} batches, where "
            f"{count} were asked for (BN_PROFILE=short).",
            file=sys.stderr,
        )


def SGD(params: Iterable[nd.NDArray], lr: float) -> None:
    """One step of gradient descent, in place: param <- param - lr * param.grad.

    params: arrays with an attached gradient. lr: the learning rate; where the
    loss is a sum over the batch, the gradient is that sum's, not the mean's.
    """
    for param in params:
        param[:] = param - lr * param.grad


def train_ch5(
    net: gluon.Block,
    train_iter: Iterable[Batch],
    test_iter: Iterable[Batch],
    batch_size: int,
    trainer: gluon.Trainer,
    ctx: Devices,
    num_epochs: int,
    after_epoch: Callable[[], object] | None = None,
    store: kv.KVStore | None = None,
) -> list[tuple[float, float, float, float]]:
    """Train `net` with softmax cross-entropy and print a line per epoch.

    net: an initialized Gluon block from (batch, 1, 28, 28) to (batch, classes).
    train_iter, test_iter: iterables of (data, label), used once per epoch.
    batch_size: what the gradient of the summed loss is divided by.
    trainer: a `gluon.Trainer` over the parameters of `net`.
    ctx: the device to train on, or a list of devices that share each batch.
    after_epoch: called without arguments after each epoch, to look at `net`.
    store: in a distributed run, the key-value store of kind "dist_sync" that `trainer`
        was made with, as `gluon.Trainer(..., kvstore=store, update_on_kvstore=False)`.
        Each worker takes its part of every batch, so all have to iterate over the same
        batches, and `batch_size` stays that of the whole batch.
    Returns one row per epoch, (mean training loss, training accuracy, test
    accuracy, seconds of training); the training figures are means over the
    epoch's batches, taken while the network changes. In a distributed run they are
    those of all workers together, and worker 0 prints them. Raises ValueError where
    the workers do not have the same data in the same order, the store can't add, or
    the trainer does not have it.
    """
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    devices = ctx if isinstance(ctx, (list, tuple)) else [ctx]
    rows = []
    for epoch in epochs(num_epochs):
        start, losses, hits, count = time.perf_counter(), [], [], 0
        for data, label in train_iter:
            if store and not count:
                check_order(store, data, label, train_iter)
            if store and not epoch and not count:
                net(data[:1].as_in_context(devices[0]))  # with it all shapes are known
                wait_for_weights(trainer, net)
            parts = split_and_load(data, label, ctx, store)
            with autograd.record():
                outputs = [net(X) for X, _ in parts]
                batch_losses = [
                    loss(o, y) for o, (_, y) in zip(outputs, parts, strict=True)
                ]
                # A small last batch may not have a sample for each device.
                idle = [no_loss(net, device) for device in devices[len(parts) :]]
            autograd.backward(batch_losses + idle)
            trainer.step(batch_size)
            if store and not count:
                check_weights(store, net)
            losses += [part.as_nd_ndarray().sum() for part in batch_losses]
            hits += [count_hits(o, y) for o, (_, y) in zip(outputs, parts, strict=True)]
            count += data.shape[0]
        sums = [sum(float(part.asscalar()) for part in s) for s in (losses, hits)]
        if store:
            sums = gather(store, sums).sum(axis=0)
        train_loss, train_acc = (float(total) / count for total in sums)
        seconds = time.perf_counter() - start
        test_acc = evaluate_accuracy(test_iter, net, ctx, store)
        if not (store and store.rank):
            print(
                f"epoch {epoch + 1}, loss {train_loss:.4f}, train acc {train_acc:.3f}, "
                f"test acc {test_acc:.3f}, time {seconds:.1f} s"
            )
        rows.append((train_loss, train_acc, test_acc, seconds))
        if after_epoch:
            after_epoch()
    return rows


def wait_for_weights(trainer: gluon.Trainer, net: gluon.Block) -> None:
    """Let a new trainer fetch worker 0's initial weights, and wait until they are here.

    In MXNet 1.9.1 the first step's gradients may overtake them: a push takes another
    buffer than the pull before it (`comm_buf = merged` in src/kvstore/kvstore_dist.h),
    so it does not wait for it, and the answer is the sum of gradients. The worker then
    starts with that in place of weights.
    """
    for p in net.collect_params().values():
        # A prediction has put weights into an order of oneDNN's own, which the store
        # refuses. This makes the arrays anew.
        p.reset_ctx(p.list_ctx())
    try:
        # Of all that make the trainer call its store, this one takes no step.
        trainer.save_states(os.devnull)
    except AssertionError:  # it has given its optimizer to the servers
        raise ValueError(NO_SUM) from None
    nd.waitall()


def no_loss(net: gluon.Block, device: mx.Context) -> nd.NDArray:
    """A loss of zero whose gradient is zero, too, for a device without samples.

    The trainer refuses to step where a device has no new gradient.
    """
    params = net.collect_params().values()
    return sum((p.data(device) * 0).sum() for p in params if p.grad_req != "null")


def check_order(
    store: kv.KVStore, data: nd.NDArray, label: nd.NDArray, batches: Iterable[Batch]
) -> None:
    """ValueError where not all workers have the same first batch, or as many of them.

    Otherwise some pictures would be seen twice and others never, or the workers with
    more batches would wait forever.
    """
    number = len(batches) if hasattr(batches, "__len__") else 0
    seen = gather(store, [*checksum([data, label]), number])
    others = [k for k in range(len(seen)) if (seen[k] != seen[0]).any()]
    if others:
        counts = seen[:, 2].astype(int).tolist()
        what = "first batch"
        if len(set(counts)) > 1:
            what = f"number of batches ({', '.join(map(str, counts))})"
        raise ValueError(
            "All workers have to iterate over the same batches in the same order, as "
            "each takes its part of every batch, but worker "
            f"{' and worker '.join(map(str, others))} had another {what} than worker "
            "0. Load the data alike on all workers, and give each the same seed for "
            "the order."
        )


def check_weights(store: kv.KVStore, net: gluon.Block) -> None:
    """ValueError where the workers' weights differ after a step."""
    params = net.collect_params().values()
    seen = gather(
        store, checksum(p.list_data()[0] for p in params if p.grad_req != "null")
    )
    if (seen != seen[0]).any():
        raise ValueError(
            "After a step the workers' weights should be equal, but they differ, so "
            "the trainer does not exchange gradients. Make it with gluon.Trainer("
            "net.collect_params(), ..., kvstore=store, update_on_kvstore=False)."
        )


def checksum(arrays: Iterable[nd.NDArray]) -> list[int]:
    """CRC-32 of all values, in two halves: `gather` would round more than 24 bits."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(array.asnumpy().tobytes(), crc)
    return [crc >> 16, crc & 0xFFFF]
