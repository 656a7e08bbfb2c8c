"""What `utils.explain_gap` measures: predictions with several kinds of statistics."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from mxnet.util import is_np_array
from utils.gap import moving
from utils.gap.moving import Layer, Moments, Site
from utils.metrics import Batch

SAMPLES = 2048  # of each data set, at most, if a batch isn't larger
EXACT = 64  # statistics are re-estimated from batches of at least as many samples
NOT_FINITE = 1000.0  # log-loss that stands for an output of NaN or infinity

Pass = list[Moments]  # of one layer, one entry for each time that a pass calls it


class Scores(NamedTuple):
    """Of each sample, whether the prediction is right, and its log-loss in nats."""

    hits: np.ndarray
    losses: np.ndarray
    guesses: np.ndarray  # the predicted classes


@dataclasses.dataclass
class Samples:
    """The first samples of an iterator, on the host."""

    name: str
    X: np.ndarray  # (samples, …)
    y: np.ndarray  # (samples,), class indices
    batch_size: int

    def batches(self) -> list[np.ndarray]:
        """Indices of the samples, batch by batch as the iterator gave them."""
        indices, size = np.arange(len(self.y)), self.batch_size
        return np.split(indices, range(size, len(indices), size))

    def mixed(self) -> list[np.ndarray]:
        """Indices in batches of at least EXACT, each from all over the samples."""
        count = max(1, len(self.y) // max(EXACT, self.batch_size))
        return [np.arange(start, len(self.y), count) for start in range(count)]


@dataclasses.dataclass
class LayerFacts:
    """What was measured of one layer; each of the moments has shape (channels,)."""

    layer: Layer
    stored: Moments
    exact: Moments  # re-estimated on the training data
    of_test: Moments  # re-estimated on the test data
    halves: list[Moments]  # re-estimated on two halves of the training data
    batches: list[Pass]  # of each training batch as the iterator gave it
    samples: int  # of the training data

    def deviation(self) -> np.ndarray:
        """By what the layer divides each channel, with exact statistics."""
        return np.sqrt(self.exact.var + self.layer.eps)


@dataclasses.dataclass
class Facts:
    """All that was measured. Scores are by statistics, layers in the order of calls."""

    train: dict[str, Scores]
    test: dict[str, Scores]
    inputs: LayerFacts  # of the data, as if a layer normalized them all alike
    layers: list[LayerFacts]
    labels: list[np.ndarray]  # of each training batch as the iterator gave it
    test_labels: np.ndarray
    classes: int


def take(iterator: Iterable[Batch], name: str) -> Samples:
    """The first samples of an iterator, used once, as it may be a generator."""
    try:
        iterator = iter(iterator)
    except TypeError:
        raise ValueError(
            f"{name} was expected to be an iterable of (data, label), but got "
            f"{type(iterator).__name__}; pass a gluon.data.DataLoader or a list of "
            "pairs."
        ) from None
    X, y, count = [], [], 0
    for batch in iterator:
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            raise ValueError(
                f"{name} was expected to give pairs of (data, label), but it gave "
                f"{type(batch).__name__}; pass a gluon.data.DataLoader or a list of "
                "pairs."
            )
        lists = [a for a in batch if isinstance(a, list)]
        if any(isinstance(a, nd.NDArray) for parts in lists for a in parts):
            raise ValueError(
                f"{name} was expected to give data and labels as one array each, but "
                "gave lists of arrays; pass the batches as they are before they are "
                "divided among devices."
            )
        data, label = (a.asnumpy() if isinstance(a, nd.NDArray) else a for a in batch)
        data, label = np.asarray(data), np.asarray(label)
        if X and data.shape[1:] != X[0].shape[1:]:
            raise ValueError(
                f"{name} was expected to give samples of one shape, but gave "
                f"{X[0].shape[1:]} and {data.shape[1:]}; crop or pad them."
            )
        if not label.ndim:
            raise ValueError(
                f"{name} was expected to give batches, but gave a single label; pass "
                "gluon.data.DataLoader(dataset, batch_size)."
            )
        if label.shape != data.shape[:1]:
            raise ValueError(
                f"{name} was expected to give labels of shape {data.shape[:1]}, one "
                f"class index per sample, but their shape is {label.shape}; pass "
                "label.reshape((-1,)), or the argmax of one-hot labels."
            )
        if X and len(label) < len(y[0]):
            break  # statistics of an incomplete last batch are not like the others'
        X.append(data[:SAMPLES])
        y.append(label[:SAMPLES])
        count += len(y[-1])
        if count + len(y[0]) > SAMPLES:
            break
    if not count:
        raise ValueError(
            f"{name} was expected to give at least one batch, but it gave none; a "
            "generator can be used only once, so make a new one, or pass a list."
        )
    samples = Samples(name, np.concatenate(X), np.concatenate(y), len(y[0]))
    for values, what in (samples.X, "data"), (samples.y, "labels"):
        if not np.isfinite(values).all():
            raise_not_finite(f"{name} has NaN or infinity in its {what}")
    labels, samples.y = samples.y, samples.y.astype("int64")
    if (labels != samples.y).any():
        raise ValueError(
            f"{name} was expected to give class indices as labels, but "
            f"{labels[labels != samples.y][0]:g} is no whole number; explain_gap is "
            "for classification."
        )
    return samples


def raise_not_finite(what: str) -> None:
    raise ValueError(
        f"Finite numbers were expected, but {what}; correct the data, or train again "
        "with a smaller learning rate."
    )


class Measurement:
    """Predictions of one network, whose statistics it changes, on two data sets."""

    def __init__(
        self,
        net: gluon.Block,
        layers: list[Layer],
        sites: list[Site],
        ctx: mx.Context,
    ) -> None:
        self.net, self.layers, self.sites, self.ctx = net, layers, sites, ctx
        types = {np.dtype(p.dtype) for p in net.collect_params().values()}
        self.half = np.dtype("float16") in types
        self.classes = 0

    def facts(self, train: Samples, test: Samples) -> Facts:
        """Measure everything; the network is left with other statistics."""
        stored = {layer: layer.read() for layer in self.layers}
        scores = {train.name: {}, test.name: {}}

        def predict(statistics, *sets):
            for samples in sets:
                outputs = self.predict(samples, samples.mixed())
                scores[samples.name][statistics] = score(outputs, samples.y)

        predict("moving", train, test)
        for samples in test, train:
            outputs, batches = self.watch(samples, samples.batches())
            scores[samples.name]["batch"] = score(outputs, samples.y)
        exact = {s.name: self.watch(s, s.mixed())[1] for s in (train, test)}
        self.write({layer: flat_average(p) for layer, p in exact[test.name].items()})
        predict("of test data", train, test)
        averages = {layer: flat_average(p) for layer, p in exact[train.name].items()}
        self.write(averages)
        predict("re-estimated", train, test)
        start = {
            layer: Moments(np.zeros_like(m.mean), np.ones_like(m.var), 0)
            for layer, m in stored.items()
        }
        self.write(start)
        predict("frozen", train, test)
        layers = [
            LayerFacts(
                layer,
                stored[layer],
                averages[layer],
                flat_average(exact[test.name][layer]),
                [flat_average(p) for p in (passes[::2], passes[1::2]) if p],
                batches[layer],
                len(train.y),
            )
            for layer, passes in exact[train.name].items()
        ]
        labels = [train.y[i] for i in train.batches()]
        return Facts(
            scores[train.name],
            scores[test.name],
            compare_inputs(train, test),
            layers,
            labels,
            test.y,
            self.classes,
        )

    def write(self, moments: dict[Layer, Moments]) -> None:
        for layer, values in moments.items():
            layer.write(values)

    def watch(
        self, samples: Samples, batches: list[np.ndarray]
    ) -> tuple[np.ndarray, dict[Layer, list[Pass]]]:
        """Predict with each batch's own statistics: (outputs, these, by layer)."""
        with moving.batch_statistics(self.sites) as calls:
            outputs = self.predict(samples, batches)
        seen = {}
        for layer, moments in calls:
            seen.setdefault(layer, []).append(moments)
        for layer, found in seen.items():
            if not all(np.isfinite(m.mean + m.var).all() for m in found):
                raise_not_finite(f"the input of layer {layer.name} has NaN or infinity")
        if not np.isfinite(outputs).all():
            raise_not_finite("the output of the network has NaN or infinity")
        if not seen:
            raise ValueError(
                f"A pass through layer {self.layers[0].name} was expected, but the "
                "network called no layer with moving statistics; call it as a "
                "function, layer(X), in the network's forward."
            )
        return outputs, {
            layer: [found[i : i + n] for i in range(0, len(found), n)]
            for layer, found in seen.items()
            for n in [max(1, len(found) // len(batches))]
        }

    def predict(self, samples: Samples, batches: list[np.ndarray]) -> np.ndarray:
        """Outputs of the network, float64 (samples, classes)."""
        array = mx.np.array if is_np_array() else nd.array
        X, outputs = samples.X, None
        if self.half and X.dtype.kind == "f":
            X = X.astype("float16")
        for indices in batches:
            data = X[indices]
            try:
                output = self.net(array(data, ctx=self.ctx, dtype=data.dtype))
                mx.nd.waitall()
            except mx.MXNetError as error:
                reason = str(error).splitlines()[-1].removeprefix("MXNetError: ")
                raise ValueError(
                    f"Data that the network takes were expected, but of "
                    f"{samples.name}'s, {data.dtype} of shape {data.shape}, MXNet says "
                    f"'{reason}'; give samples of the shape and type of its training."
                ) from error
            shape = getattr(output, "shape", ())
            if len(shape) != 2 or shape[0] != len(indices) or shape[1] < 2:
                raise ValueError(
                    f"Outputs of shape ({len(indices)}, classes) were expected, with 2 "
                    f"classes or more, but the network gave {shape or type(output)}; "
                    "its forward has to return one score per sample and class."
                )
            if outputs is None:
                outputs = np.empty((len(samples.y), shape[1]))
                self.check_labels(samples, shape[1])
            outputs[indices] = output.asnumpy()
        return outputs

    def check_labels(self, samples: Samples, classes: int) -> None:
        self.classes = classes
        low, high = samples.y.min(), samples.y.max()
        if low < 0 or high >= classes:
            raise ValueError(
                f"Labels from 0 to {classes - 1} were expected, as the network has "
                f"{classes} outputs, but {samples.name} has labels from {low} to "
                f"{high}; count classes from 0, or correct the last layer's size."
            )


def compare_inputs(train: Samples, test: Samples) -> LayerFacts:
    """The data's own statistics: a mean for each place, and one variance for all."""

    def moments(X):
        X = X.reshape(len(X), -1).astype("float32", copy=False)
        return Moments(X.mean(axis=0), X.var(axis=0).mean(keepdims=True), len(X))

    layer = Layer("input", lambda: [], None, None, None, eps=1e-12)
    halves = [moments(X) for X in (train.X[::2], train.X[1::2]) if len(X)]
    exact, of_test = moments(train.X), moments(test.X)
    return LayerFacts(layer, exact, exact, of_test, halves, [], len(train.y))


def flat_average(passes: list[Pass]) -> Moments:
    return moving.average([moments for calls in passes for moments in calls])


def score(outputs: np.ndarray, labels: np.ndarray) -> Scores:
    """Hits and log-losses of outputs (samples, classes): scores or probabilities."""
    finite = np.isfinite(outputs).all(axis=1)
    outputs = np.where(finite[:, None], outputs, 0)
    sums = outputs.sum(axis=1)
    if (outputs >= 0).all() and (np.abs(sums[finite] - 1) < 0.01).all():
        outputs = np.log(np.maximum(outputs, 1e-12))
    outputs = outputs - outputs.max(axis=1, keepdims=True)
    losses = np.log(np.exp(outputs).sum(axis=1))
    losses -= outputs[np.arange(len(labels)), labels]
    guesses = outputs.argmax(axis=1)
    hits = (guesses == labels) & finite
    return Scores(hits, np.where(finite, losses, NOT_FINITE), guesses)
