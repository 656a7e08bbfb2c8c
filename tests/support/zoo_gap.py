"""Small networks whose gap between training and prediction has a known cause.

Each function of BROKEN and SOUND trains one, in about a second, from a seed, and
returns (network, training batches, test batches) of noisy pictures of five shapes.
"""

import os
import tempfile

import utils  # noqa: F401  (it makes `import mxnet` work)
import numpy as np
from mxnet import nd
from mxnet.gluon import contrib, nn

from tests.support.nets_gap import (
    CLASSES,
    STATISTICS,
    altered,
    batches,
    begin,
    conv,
    data,
    dense,
    dense_own,
    fit,
    pictures,
    trained,
    without_statistics,
)

BROKEN, SOUND = {}, []  # name: verdict


def broken(verdict):
    def add(function):
        BROKEN[function.__name__] = verdict
        return function

    return add


def sound(function):
    SOUND.append(function.__name__)
    return function


# --- Never updated ---


@broken("never updated: no backward pass reached the layer")
def features_outside_backward(seed):
    features, head = dense(), nn.Dense(CLASSES)
    net = nn.HybridSequential()
    net.add(features, head)
    train, test = data(seed, noise=0.2)
    begin(net, seed, train[0])
    fit(
        net,
        train,
        epochs=20,
        lr=0.5,
        params=head.collect_params(),
        forward=lambda X: head(features(X).detach()),
    )
    return net, train, test


@broken("never updated: no backward pass reached the layer")
def frozen_features(seed):
    features = dense()
    net = nn.HybridSequential()
    net.add(features, nn.Dense(CLASSES))
    train, test = data(seed, noise=0.2)
    begin(net, seed, train[0])
    features.collect_params().setattr("grad_req", "null")
    return fit(net, train, epochs=20, lr=0.5), train, test


@broken("never updated: use_global_stats")
def use_global_stats(seed):
    """Trained as it should be; then its weights went into a net with the flag."""
    net, train, test = trained(conv(), seed, epochs=2)
    other = begin(conv(use_global_stats=True), seed, train[0])
    return without_statistics(net, other), train, test


@broken("never updated: use_global_stats")
def use_global_stats_throughout(seed):
    net = dense(depth=4, use_global_stats=True)
    return trained(net, seed, epochs=10, lr=0.05)


@broken("never updated: trained in prediction mode")
def train_mode_off(seed):
    return trained(dense(depth=4), seed, epochs=10, lr=0.05, train_mode=False)


@broken("never updated: momentum 1")
def momentum_of_one(seed):
    return trained(dense(momentum=1.0), seed)


# --- Lost ---


@broken("not saved")
def trainable_parameters_saved(seed):
    net, train, test = trained(dense(), seed)
    other = begin(dense(), seed, train[0])
    return without_statistics(net, other), train, test


@broken("not saved")
def ignore_missing(seed):
    """All of the network went through a file, but for what an old format lacks."""
    net, train, test = trained(conv(), seed, epochs=2)
    other = begin(conv(), seed, train[0])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.params")
        kept = net._collect_params_with_prefix()
        kept = {n: p.data() for n, p in kept.items() if not n.endswith(STATISTICS)}
        nd.save(path, kept)
        other.load_parameters(path, allow_missing=True)
    return other, train, test


@broken("not saved")
def plain_attributes(seed, variance=1):
    net, train, test = trained(dense_own(plain=True), seed)
    other = begin(dense_own(plain=True), seed, train[0])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.params")
        net.save_parameters(path)
        other.load_parameters(path)
    other[1].moving_var[:] = variance
    return other, train, test


@broken("not saved")
def plain_attributes_from_zero(seed):
    """A variance of 0 to begin with is what many a block by hand has."""
    return plain_attributes(seed, variance=0)


@broken("never updated or not saved")
def nothing_trained_tells(seed):
    settings = {"scale": False, "center": False}
    net, train, test = trained(dense(**settings), seed)
    other = begin(dense(**settings), seed, train[0])
    return without_statistics(net, other), train, test


@broken("never updated or not saved")
def frozen_scale_lost(seed):
    """Gamma and beta had no gradient."""
    net, other = dense(), dense()
    train, test = data(seed)
    for n in net, other:
        begin(n, seed, train[0])
        n.collect_params(".*(gamma|beta)").setattr("grad_req", "null")
    return without_statistics(fit(net, train), other), train, test


@broken("never updated or not saved")
def untrained_scale_lost(seed):
    """The trainer left out gamma and beta, but the biases tell of training."""
    net, other = dense(), dense()
    train, test = data(seed)
    for n in net, other:
        begin(n, seed, train[0])
    fit(net, train, params=net.collect_params(".*(weight|bias)"))
    return without_statistics(net, other), train, test


# --- Stale ---


@broken("stale: too few updates for this momentum")
def long_momentum(seed):
    return trained(dense(momentum=0.999), seed)


@broken("stale: too few updates for this momentum")
def long_momentum_conv(seed):
    return trained(conv(momentum=0.99), seed, epochs=2)


@broken("stale: the network has moved on since")
def large_rate(seed):
    net = dense(momentum=0.99)
    net, train, test = trained(net, seed, noise=0.5, epochs=10)
    return fit(net, train, epochs=1, lr=4), train, test


@broken("stale: the network has moved on since")
def tuned_to_other_data(seed):
    net, train, test = trained(dense(momentum=0.99), seed, epochs=20)
    train, test = (altered(d, lambda X: X + 1) for d in (train, test))
    return fit(net, train, epochs=1), train, test


# --- Noisy ---


@broken("too noisy: small batches or too small a momentum")
def batches_of_two(seed):
    net = dense(momentum=0.1)
    return trained(net, seed, size=2, noise=0.5, epochs=3, lr=0.05)


@broken("too noisy: small batches or too small a momentum")
def batches_of_four(seed):
    net = dense(momentum=0.1, depth=4)
    return trained(net, seed, size=4, noise=0.5, epochs=3, lr=0.05)


@broken("too noisy: small batches")
def batches_of_one(seed):
    """Pictures differ in brightness, which a batch of one takes away."""
    rng, sets = np.random.RandomState(seed), []
    for place, size in (1000, 1), (2000, 64):
        X, y = pictures(place + seed, count=256, noise=0.3)
        X = X + 2 * rng.randn(len(y), 1, 1, 1).astype("float32")
        sets.append(batches(X, y, size))
    net = begin(conv(), seed, sets[0][0])
    return fit(net, sets[0], epochs=2, lr=0.02), *sets


@broken("too noisy: small batches")
def one_value_per_channel(seed):
    return trained(dense(), seed, size=1, epochs=1, lr=0.02)


# --- The company in a batch matters ---


class Shared(nn.HybridBlock):
    """The same normalization for two layers."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.one, self.two = nn.Dense(32), nn.Dense(32)
            self.norm, self.out = nn.BatchNorm(), nn.Dense(CLASSES)

    def hybrid_forward(self, F, X):
        X = F.relu(self.norm(self.one(X)))
        return self.out(F.relu(self.norm(5 + 4 * self.two(X))))


@broken("shared layer")
def shared(seed):
    return trained(Shared(), seed)


@broken("batches are not mixed")
def one_class_per_batch(seed):
    (X, y), test = (pictures(place + seed, noise=0.5) for place in (1000, 2000))
    order = np.argsort(y, kind="stable").reshape(-1, 16)
    order = order[np.random.RandomState(seed).permutation(len(order))].ravel()
    train, test = batches(X[order], y[order], 16), batches(*test, 64)
    net = begin(dense(), seed, train[0])
    return fit(net, train, epochs=20, lr=0.05), train, test


# --- Other data, and too few ---


def changed_test(name, change):
    def make(seed):
        net, train, test = trained(dense(), seed)
        rng = np.random.RandomState(seed)
        return net, train, altered(test, lambda X: change(X, rng))

    make.__name__ = name
    return broken("train and test data differ")(make)


less_contrast = changed_test("less_contrast", lambda X, rng: 0.25 * X)
brighter = changed_test("brighter", lambda X, rng: X + 1)
inverted = changed_test("inverted", lambda X, rng: 1 - X)
noisier = changed_test("noisier", lambda X, rng: X + 1.5 * rng.randn(*X.shape))


negative = changed_test("negative", lambda X, rng: 0.2 - X)


@broken("train and test data differ")
def upside_down(seed):
    """What a convolution sees at a time has the same mean and variance."""
    net, train, test = trained(conv(), seed, epochs=3)
    return net, train, altered(test, lambda X: X[:, :, ::-1])


@broken("train and test data differ")
def labels_from_one(seed):
    net, train, test = trained(dense(), seed)
    return net, train, [(X, (y + 1) % CLASSES) for X, y in test]


@broken("train and test data differ")
def rare_class(seed):
    """It is half of the test data, and a fiftieth of the training data."""
    rng = np.random.RandomState(seed)
    sets = []
    for place, share in (1000, 0.02), (2000, 0.5):
        X, y = pictures(place + seed, count=2048, noise=1.2)
        y = (y > 0).astype("float32")
        chosen = rng.permutation(len(y))
        counts = int(256 * share), int(256 * (1 - share))
        rows = [chosen[y[chosen] == k][:n] for k, n in enumerate(counts)]
        rows = rng.permutation(np.concatenate(rows))
        sets.append(batches(X[rows], y[rows]))
    return fit(begin(dense(), seed, sets[0][0]), sets[0], epochs=2), *sets


def learned_by_heart(seed, count=512, contrast=1):
    X, _ = pictures(1000 + seed, 128)
    y = np.random.RandomState(seed).randint(0, CLASSES, 128).astype("float32")
    train = batches(contrast * X, y)
    test = batches(*pictures(2000 + seed, count), min(count, 64))
    return fit(begin(dense(), seed, train[0]), train, epochs=60), train, test


@broken("overfitting")
def random_labels(seed):
    return learned_by_heart(seed)


@broken("overfitting")
def few_test_data(seed):
    """Their statistics are another's by chance."""
    return learned_by_heart(seed, count=24)


@broken("overfitting")
def more_contrast_in_training(seed):
    """Which does no harm by itself."""
    return learned_by_heart(seed, contrast=1.3)


# --- Sound ones ---


@sound
def fully_connected(seed):
    return trained(dense(), seed, noise=0.3)


@sound
def convolutional(seed):
    return trained(conv(), seed, noise=0.2, epochs=3)


@sound
def hybridized(seed):
    net = conv()
    net.hybridize(static_alloc=True)
    return trained(net, seed, noise=0.2, epochs=3)


@sound
def own_block(seed):
    return trained(dense_own(), seed, noise=0.3)


@sound
def own_block_in_memory(seed):
    return trained(dense_own(plain=True), seed, noise=0.3)


@sound
def synchronized(seed):
    settings = {"norm": contrib.nn.SyncBatchNorm, "num_devices": 1}
    return trained(dense(**settings), seed, noise=0.3)


@sound
def float16(seed):
    """Only its normalization gets float16, as MXNet has little of it on a CPU."""
    net = nn.HybridSequential()
    net.add(nn.Dense(32), nn.HybridLambda(lambda F, X: F.cast(X, "float16")))
    net.add(nn.BatchNorm(), nn.HybridLambda(lambda F, X: F.cast(X, "float32")))
    net.add(nn.Activation("relu"), nn.Dense(CLASSES))
    return trained(net, seed, noise=0.3)


@sound
def last_axis(seed):
    net = nn.HybridSequential()
    net.add(nn.HybridLambda(lambda F, X: F.reshape(X, (0, -3, -1))))
    net.add(nn.Dense(16, flatten=False), nn.BatchNorm(axis=-1), nn.Activation("relu"))
    net.add(nn.Dense(CLASSES))
    return trained(net, seed, noise=0.2)


@sound
def with_dropout(seed):
    net = nn.HybridSequential()
    net.add(dense(), nn.Activation("relu"), nn.Dropout(0.5), nn.Dense(CLASSES))
    return trained(net, seed, noise=0.3, epochs=8)


@sound
def knows_its_data_better(seed):
    """By a little, as any network does."""
    return trained(dense(), seed, noise=0.7, epochs=2)


@sound
def not_trained(seed):
    """All its predictions are equally bad."""
    train, test = data(seed)
    return begin(dense(), seed, train[0]), train, test
