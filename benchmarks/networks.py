"""Training steps of the course's networks, and the ways in which they are fed."""

from functools import partial
from itertools import islice

import utils
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from utils.data import Batches

from benchmarks.layers import can_compile, kernel, scratch
from benchmarks.settings import NETWORKS, pictures
from benchmarks.timing import race


def by_hand(network, batch_norm):
    """A training step from array operators, `batch_norm` and `utils.SGD`."""
    params, layers, size, inputs = [], [], 28, 1

    def parameter(array):
        array.attach_grad()
        params.append(array)
        return array

    def layer(*shape):
        W, b = (parameter(nd.random.normal(0, 0.1, s)) for s in (shape, shape[:1]))
        C = shape[0]
        affine = parameter(nd.ones(C)), parameter(nd.zeros(C))
        return W, b, (*affine, nd.zeros(C), nd.ones(C))

    for channels, side in network.convolutions:
        layers.append(layer(channels, inputs, side, side))
        size, inputs = (size - side + 1) // 2, channels
    inputs *= size**2
    for units in network.dense:
        layers.append(layer(units, inputs))
        inputs = units
    W_out, b_out, _ = layer(10, inputs)
    del params[-2:]  # the output is not normalized

    def net(h):
        for W, b, bn in layers:
            if W.ndim == 4:
                h = nd.Convolution(h, W, b, kernel=W.shape[2:], num_filter=len(W))
            else:
                h = nd.FullyConnected(h, W, b, num_hidden=len(W))
            h = nd.Activation(batch_norm(h, *bn), act_type=network.activation)
            if W.ndim == 4:
                settings = {"kernel": (2, 2), "stride": (2, 2)}
                h = nd.Pooling(h, pool_type=network.pooling, **settings)
        return nd.FullyConnected(h, W_out, b_out, num_hidden=10)

    def step(X, y):
        with autograd.record():
            loss = -nd.pick(nd.log_softmax(net(X)), y).sum()
        loss.backward()
        utils.SGD(params, 0.01 / len(X))
        return loss

    return step


def textbook(X, gamma, beta, moving_mean, moving_var):
    return scratch.pure_batch_norm(X, gamma, beta)


def in_gluon(network, hybridize=False):
    net = nn.HybridSequential()
    pool = {"avg": nn.AvgPool2D, "max": nn.MaxPool2D}[network.pooling]
    for channels, side in network.convolutions:
        net.add(nn.Conv2D(channels, side), nn.BatchNorm())
        net.add(nn.Activation(network.activation), pool(2, 2))
    for units in network.dense:
        net.add(nn.Dense(units), nn.BatchNorm(), nn.Activation(network.activation))
    net.add(nn.Dense(10))
    net.initialize(mx.init.Xavier())
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()

    def step(X, y):
        with autograd.record():
            loss = cross_entropy(net(X), y)
        loss.backward()
        trainer.step(len(X))
        return loss

    return step


def from_memory(images, labels, batch_size):
    return Batches(images, labels, batch_size, shuffle=True)


def from_dataloader(images, labels, batch_size):
    """As older course code feeds: a Python call per image."""

    def transform(image, label):
        return nd.transpose(image.astype("float32"), (2, 0, 1)) / 255, np.float32(label)

    dataset = gluon.data.ArrayDataset(
        nd.array(images[..., None], dtype="uint8"), labels
    )
    return gluon.data.DataLoader(dataset.transform(transform), batch_size, shuffle=True)


def contenders(network):
    """{name: (step, feed, whether to wait for each batch's loss)}.

    Without a C++ compiler, those with the kernel are not among them.
    """
    gluon_step, hand = in_gluon(network), by_hand(network, textbook)
    fast = by_hand(network, scratch.fast_batch_norm)
    found = {
        "by hand": (fast, from_memory, False),
        "Gluon": (gluon_step, from_memory, False),
        "Gluon, hybridized": (in_gluon(network, True), from_memory, False),
        "Gluon, DataLoader": (in_gluon(network), from_dataloader, True),
        "textbook, DataLoader": (hand, from_dataloader, True),
    }
    if can_compile():
        kernel.load()
        fused = by_hand(network, kernel.fused_batch_norm)
        found["by hand, kernel"] = fused, from_memory, False
    return found


def train(step, batches, count, synchronize):
    """So many batches, one step each."""
    for X, y in islice(batches, count):
        loss = step(X, y)
        if synchronize:
            loss.mean().asscalar()


def measure():
    """Images a second in training, one row for each network and contender."""
    rows, count = [], 4  # batches
    for title, network in NETWORKS.items():
        data = pictures(count * network.batch_size)
        runs = {}
        for name, (step, feed, synchronize) in contenders(network).items():
            batches = feed(*data, network.batch_size)
            runs[name] = partial(train, step, batches, count, synchronize)
        for name, spent in race(runs, nd.waitall, seconds=0.5).items():
            rate = count * network.batch_size / spent
            rows.append({"network": title, "contender": name, "images/s": rate})
    return rows


def pipeline():
    """The input alone: seconds that `utils` spends on 60,000 training pictures."""
    count, batch_size = 234 * 256, 256
    feed = from_memory(*pictures(count), batch_size)
    runs = {"input": lambda: [X for X, _ in feed][-1]}
    return 60_000 / count * race(runs, nd.waitall, seconds=0.5)["input"]
