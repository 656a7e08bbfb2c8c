"""The training loop that several chapters share, and the epochs of all loops."""

import operator
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from utils import profile
from mxnet import autograd, gluon, nd
from tqdm import tqdm
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
) -> list[tuple[float, float, float, float]]:
    """Train `net` with softmax cross-entropy and print a line per epoch.

    net: an initialized Gluon block from (batch, 1, 28, 28) to (batch, classes).
    train_iter, test_iter: iterables of (data, label), used once per epoch.
    batch_size: what the gradient of the summed loss is divided by.
    trainer: a `gluon.Trainer` over the parameters of `net`.
    ctx: the device to train on, or a list of devices that share each batch.
    after_epoch: called without arguments after each epoch, to look at `net`.
    Returns one row per epoch, (mean training loss, training accuracy, test
    accuracy, seconds of training); the training figures are means over the
    epoch's batches, taken while the network changes.
    """
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    rows = []
    for epoch in epochs(num_epochs):
        start, losses, hits, count = time.perf_counter(), [], [], 0
        for data, label in train_iter:
            parts = split_and_load(data, label, ctx)
            with autograd.record():
                outputs = [net(X) for X, _ in parts]
                batch_losses = [
                    loss(o, y) for o, (_, y) in zip(outputs, parts, strict=True)
                ]
            autograd.backward(batch_losses)
            trainer.step(batch_size)
            losses += [part.as_nd_ndarray().sum() for part in batch_losses]
            hits += [count_hits(o, y) for o, (_, y) in zip(outputs, parts, strict=True)]
            count += data.shape[0]
        train_loss = sum(float(part.asscalar()) for part in losses) / count
        train_acc = sum(float(part.asscalar()) for part in hits) / count
        seconds = time.perf_counter() - start
        test_acc = evaluate_accuracy(test_iter, net, ctx)
        print(
            f"epoch {epoch + 1}, loss {train_loss:.4f}, train acc {train_acc:.3f}, "
            f"test acc {test_acc:.3f}, time {seconds:.1f} s"
        )
        rows.append((train_loss, train_acc, test_acc, seconds))
        if after_epoch:
            after_epoch()
    return rows
