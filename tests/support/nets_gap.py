"""Small networks with batch normalization, noisy pictures for them, and a training."""

import utils  # noqa: F401  (it makes `import mxnet` work)
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn
from mxnet.util import is_np_array

CLASSES, SIDE, COUNT = 5, 12, 512
STATISTICS = "running_mean", "running_var"


def pictures(seed, count=COUNT, noise=0.4):
    """(X, y) of `count` pictures in about [0, 1], of the same shapes for any seed."""
    shapes = np.random.RandomState(0).rand(CLASSES, 1, SIDE // 3, SIDE // 3) ** 2
    shapes = shapes.repeat(3, axis=2).repeat(3, axis=3)
    rng = np.random.RandomState(seed)
    y = rng.randint(0, CLASSES, count)
    X = shapes[y] + noise * rng.randn(count, 1, SIDE, SIDE)
    return X.astype("float32"), y.astype("float32")


def batches(X, y, size=32):
    array = mx.np.array if is_np_array() else nd.array
    return [
        (array(X[i : i + size], dtype=X.dtype), array(y[i : i + size], dtype=y.dtype))
        for i in range(0, len(y) - size + 1, size)
    ]


def data(seed, size=32, noise=0.4):
    train, test = (pictures(place + seed, noise=noise) for place in (1000, 2000))
    return batches(*train, size), batches(*test, 64)


def dense(norm=nn.BatchNorm, depth=2, **settings):
    net = nn.HybridSequential()
    for _ in range(depth):
        net.add(nn.Dense(32), norm(**settings), nn.Activation("relu"))
    net.add(nn.Dense(CLASSES))
    return net


def conv(norm=nn.BatchNorm, **settings):
    net = nn.HybridSequential()
    for channels in 8, 16:
        net.add(nn.Conv2D(channels, 3), norm(**settings), nn.Activation("relu"))
        net.add(nn.MaxPool2D())
    net.add(nn.Dense(CLASSES))
    return net


def begin(net, seed, batch):
    mx.random.seed(seed)
    net.initialize(init.Xavier())
    net(batch[0])
    return net


def fit(net, train, epochs=4, lr=0.1, train_mode=True, params=None, forward=None):
    """Train with SGD; `forward` is what is called in record(), else the network."""
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    params = params or net.collect_params()
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": lr})
    for _ in range(epochs):
        for X, y in train:
            with autograd.record(train_mode=train_mode):
                losses = loss((forward or net)(X), y)
            losses.backward()
            trainer.step(len(y))
    return net


def trained(net, seed, size=32, noise=0.4, **how):
    train, test = data(seed, size, noise)
    return fit(begin(net, seed, train[0]), train, **how), train, test


def without_statistics(net, other):
    """Give `other` the parameters of `net`, but for the moving statistics."""
    pairs = zip(
        net.collect_params().values(), other.collect_params().values(), strict=True
    )
    for source, target in pairs:
        if not source.name.endswith(STATISTICS):
            target.set_data(source.data())
    return other


def altered(batches, change):
    return [(nd.array(change(X.asnumpy())), y) for X, y in batches]


class Own(nn.Block):
    """A block by hand; statistics are Parameters, or plain arrays as many write it."""

    def __init__(self, plain=False):
        super().__init__()
        self.plain = plain
        with self.name_scope():
            self.gamma = self.array("gamma", init.One(), "write")
            self.beta = self.array("beta", init.Zero(), "write")
            if not plain:
                self.mean = self.array("moving_mean", init.Zero(), "null")
                self.var = self.array("moving_var", init.One(), "null")
        if plain:
            self.moving_mean, self.moving_var = nd.zeros((1, 32)), nd.ones((1, 32))

    def array(self, name, start, grad_req):
        return self.params.get(name, shape=32, init=start, grad_req=grad_req)

    def forward(self, X):
        if self.plain:
            moving = self.moving_mean, self.moving_var
        else:
            moving = self.mean.data(), self.var.data()
        mean, var = moving
        if autograd.is_training():
            mean = X.mean(axis=0, keepdims=True)
            var = ((X - mean) ** 2).mean(axis=0, keepdims=True)
            with autograd.pause():
                if self.plain:  # others take their place, as in d2l's
                    self.moving_mean = 0.9 * self.moving_mean + 0.1 * mean
                    self.moving_var = 0.9 * self.moving_var + 0.1 * var
                else:
                    for array, new in zip(moving, (mean, var), strict=True):
                        array[:] = 0.9 * array + 0.1 * new.reshape(-1)
        X = (X - mean.reshape((1, -1))) / (var.reshape((1, -1)) + 1e-5) ** 0.5
        return self.gamma.data() * X + self.beta.data()


def dense_own(plain=False):
    net = nn.Sequential()
    net.add(nn.Dense(32), Own(plain), nn.Activation("relu"), nn.Dense(CLASSES))
    return net
