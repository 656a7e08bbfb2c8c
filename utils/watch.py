"""Notes on every training of a notebook, for the regression run.

`start()` listens to what each training does, whoever wrote its loop: take a batch from
`utils.data.Batches`, call `backward`, update by `gluon.Trainer.step` or `utils.SGD`.
`take()` returns the notes on the trainings since the last call. A notebook needs no
line for it, and where `start()` is not called nothing here costs anything.

A training is known by its trainer, or with `utils.SGD` by its first parameter. Its
network is the Gluon block that was called in `record()`; a network that is a function
has to be called `net` where the loop stands.
"""

import inspect
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import utils.data
import utils.training
from utils import device, seeds
from mxnet import autograd, current_context, gluon, nd
from utils.data import Batches
from utils.metrics import Batch

Net = Callable[[nd.NDArray], nd.NDArray]
Arrays = list[nd.NDArray]

BATCHES = 3  # whose content is noted
LOSSES = 8  # of the first steps
LATE = 4  # the last 1/LATE of the steps give the late loss


class Training:
    """What is noted of one training."""

    def __init__(self) -> None:
        self.checksums, self.losses, self.facts = [], [], {}
        self.net = self.batch = self.test = None

    def note_step(
        self, loss: nd.NDArray, batches: Batches | None, batch: Batch | None
    ) -> None:
        # Not fetched here: a step that waits for its loss takes longer.
        self.losses.append(loss)
        if batch and len(self.checksums) < BATCHES:
            self.checksums.append("".join(f"{checksum(a):08x}" for a in batch))
            self.test = batches.test
            self.batch = self.batch or batch

    def begin(self, net: Net | None, params: Arrays) -> None:
        """Note parameters and gradients before the first update."""
        self.net, self.params = net, [array.as_nd_ndarray() for array in params]
        self.before = [array.asnumpy() for array in self.params]
        self.gradients = [array.grad.asnumpy() for array in self.params]

    def note_first_update(self) -> None:
        """Note what the first update did, and what the network is after it."""
        norms = [norm(gradient) for gradient in self.gradients]
        after = [array.asnumpy() for array in self.params]
        changes = zip(after, self.before, strict=True)
        sizes = [norm(new - old.astype("float64")) for new, old in changes]
        pairs = zip(sizes, norms, strict=True)
        self.facts = {
            "parameters": [fingerprint(array) for array in self.before],
            "gradients": norms,
            "updates": [
                size / gradient if gradient else 0.0 for size, gradient in pairs
            ],
            "statistics": [fingerprint(s.asnumpy()) for s in self.statistics()],
            "prediction loss": self.mean_loss(self.batch and [self.batch])[0],
        }
        del self.before, self.gradients

    def statistics(self) -> Arrays:
        """The arrays that the network holds beside its parameters."""
        if isinstance(self.net, gluon.Block):
            values = self.net.collect_params().values()
            return [p.list_data()[0] for p in values if p.grad_req == "null"]
        known = {id(array) for array in self.params}
        return [array for array in reached(self.net, set()) if id(array) not in known]

    def mean_loss(
        self, batches: Iterable[Batch] | None
    ) -> tuple[float | None, float | None, int]:
        """(mean cross-entropy, accuracy, pictures) of the network in prediction mode.

        (None, None, 0) where the network, or what to measure it on, is unknown.
        """
        if self.net is None or batches is None:
            return None, None, 0
        total = hits = count = 0
        for X, y in batches:
            X = X.as_in_context(self.params[0].context)
            with autograd.pause(train_mode=False):
                scores = self.net(X).as_nd_ndarray().asnumpy().astype("float64")
            labels = y.asnumpy().astype(int)
            scores -= scores.max(axis=1, keepdims=True)
            scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
            total -= scores[np.arange(len(labels)), labels].sum()
            hits += (scores.argmax(axis=1) == labels).sum()
            count += len(labels)
        return float(total / count), float(hits / count), count

    def summary(self) -> dict:
        """All notes, and where the training led: losses and accuracy at its end."""
        losses = [float(loss.asscalar()) for loss in self.losses]
        late = losses[-max(1, len(losses) // LATE) :]
        log_loss, share, pictures = self.mean_loss(self.test)
        return self.facts | {
            "batches": self.checksums,
            "steps": len(losses),
            "losses": losses[:LOSSES],
            "late loss": float(np.mean(late)),
            "test loss": log_loss,
            "test error": None if share is None else 1 - share,
            "test pictures": pictures,
        }


class Watch:
    """What happened since the last update, and the trainings of the present cell."""

    def __init__(self) -> None:
        self.trainings = {}
        self.batches = self.batch = self.heads = None
        self.blocks, self.depth = [], 0

    def step(
        self,
        key: object,
        update: Callable[[], object],
        find: Callable[[], tuple[Net | None, Arrays]],
    ) -> None:
        """Carry out `update`, and note what it does.

        find: a function that returns the network and a list of its parameters' arrays.
        """
        # The key is kept, so that no other object gets its id.
        training = self.trainings.setdefault(id(key), (key, Training()))[1]
        training.note_step(self.loss(), self.batches, self.batch)
        first = len(training.losses) == 1
        if first:
            training.begin(*find())
        update()
        if first:
            training.note_first_update()
        self.batch, self.heads, self.blocks = None, None, []

    def loss(self) -> nd.NDArray:
        """The loss of the last backward pass, per example, as an array."""
        if self.heads is None:
            return nd.array([np.nan])
        count = sum(head.size for head in self.heads)
        if count == len(self.heads) and self.batch:  # each one already is a sum
            count = len(self.batch[1])
        return nd.add_n(*[head.as_nd_ndarray().sum() for head in self.heads]) / count

    def called_block(self) -> gluon.Block | None:
        """The network among the blocks that were called: the first with parameters."""
        found = [block for block in self.blocks if block.collect_params()]
        return found[0] if found else None


def start() -> None:
    """Listen from here on."""
    plain_step, plain_sgd = gluon.Trainer.step, utils.training.SGD
    plain_call, plain_iter = gluon.Block.__call__, utils.data.Batches.__iter__
    plain_backward, plain_backward_of = autograd.backward, nd.NDArray.backward

    def step(trainer, *args, **kwargs):
        def find():
            net = _watch.called_block()
            # The trainer sorts by name, and "dense10" comes before "dense9": the order
            # would depend on how many blocks were made before.
            places = list(net.collect_params()) if net else []
            params = [p for p in trainer._params if p.grad_req != "null"]
            if all(p.name in places for p in params):
                params.sort(key=lambda p: places.index(p.name))
            return net, [p.list_data()[0] for p in params]

        _watch.step(trainer, lambda: plain_step(trainer, *args, **kwargs), find)

    def sgd(params, lr):
        params = list(params)
        caller = sys._getframe(1)
        net = {**caller.f_globals, **caller.f_locals}.get("net")
        _watch.step(params[0], lambda: plain_sgd(params, lr), lambda: (net, params))

    def call(block, *args):
        if _watch.depth == 0 and autograd.is_recording():
            _watch.blocks.append(block)
        _watch.depth += 1
        try:
            return plain_call(block, *args)
        finally:
            _watch.depth -= 1

    def iterate(batches):
        for batch in plain_iter(batches):
            if batches.test is not None:
                _watch.batches, _watch.batch = batches, batch
            yield batch

    def backward(heads, *args, **kwargs):
        note_heads(heads if isinstance(heads, (list, tuple)) else [heads])
        plain_backward(heads, *args, **kwargs)

    def backward_of(head, *args, **kwargs):
        note_heads([head])
        plain_backward_of(head, *args, **kwargs)

    def note_heads(heads):
        # A loss, not the output of a layer, whose memory would be kept.
        _watch.heads = heads if all(head.ndim <= 1 for head in heads) else None

    gluon.Trainer.step, gluon.Block.__call__ = step, call
    utils.SGD = utils.training.SGD = sgd
    utils.data.Batches.__iter__ = iterate
    autograd.backward, nd.NDArray.backward = backward, backward_of


def take() -> str:
    """The notes on each training since the last call, in order, the results that
    `utils.seeds` was told of, and the device, as JSON."""
    global _watch
    trainings, _watch = _watch.trainings.values(), Watch()
    notes = [training.summary() for _, training in trainings]
    name = device.used() or str(current_context())
    where = {"name": name, "hardware": device.hardware(name)}
    return json.dumps({"trainings": notes, "results": seeds.noted(), "device": where})


def checksum(array: nd.NDArray) -> int:
    return zlib.crc32(array.asnumpy().tobytes())


def norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype("float64").ravel()))


def fingerprint(array: np.ndarray) -> list[float]:
    """[length, projection on a fixed direction]: two numbers that few arrays share."""
    values = array.astype("float64").ravel()
    direction = np.random.RandomState(0).choice([-1.0, 1.0], values.size)
    return [norm(array), float(values @ direction)]


def reached(thing: object, seen: set[int]) -> Iterator[nd.NDArray]:
    """Yield the arrays that a function holds or names, and those they name in turn."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, nd.NDArray):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from reached(part, seen)
    elif inspect.isfunction(thing):
        names = inspect.getclosurevars(thing)
        for part in (*names.nonlocals.values(), *names.globals.values()):
            yield from reached(part, seen)


_watch = Watch()
