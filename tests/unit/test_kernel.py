"""The kernel chapter's operator and block, against double precision."""

import shutil
import subprocess
import sys

import utils
import numpy as np
import pytest
from mxnet import autograd, base, gluon, init, nd, util
from mxnet.gluon import nn

from tests.support import missing

SHAPES = [
    (64, 20, 24, 24),
    (3, 5, 7, 3),
    (7, 1, 1, 1),
    (1, 2, 3, 3),
    (2, 3, 80, 90),
    (256, 120),
    (33, 65),
    (5, 1),
    (100_000, 3),
]


@pytest.fixture(scope="module")
def kernel():
    if not shutil.which("g++"):
        missing("g++ is not installed, which the kernel chapter needs.")
    kernel = utils.definitions("batch-norm-kernel")
    kernel.load()
    return kernel


def in_float64(X, gamma, beta, G, eps=1e-5):
    """Output, gradients of X, gamma and beta, batch mean and batch variance."""
    axes = (0,) if X.ndim == 2 else (0, 2, 3)
    shape = (1, -1) + (1,) * (X.ndim - 2)
    X, G = X.astype("float64"), G.astype("float64")
    gamma, beta = gamma.astype("float64"), beta.astype("float64")
    mean, var = X.mean(axes), X.var(axes)
    std = np.sqrt(var + eps).reshape(shape)
    X_hat = (X - mean.reshape(shape)) / std
    sums = G.sum(axes), (G * X_hat).sum(axes)
    m = X.size / X.shape[1]
    rest = (sums[0].reshape(shape) + X_hat * sums[1].reshape(shape)) / m
    dX = gamma.reshape(shape) / std * (G - rest)
    Y = gamma.reshape(shape) * X_hat + beta.reshape(shape)
    return Y, dX, sums[1], sums[0], mean, var


def near(found, right, tolerance=2e-5):
    """Whether no number is off by more than this share of the largest one."""
    found = found.asnumpy() if isinstance(found, nd.NDArray) else found
    return abs(found - right).max() <= tolerance * max(abs(right).max(), 1e-3)


def trained(kernel, X, G, momentum=0.9):
    """What a training step with the operator gives, and the right answers."""
    C = X.shape[1]
    gamma, beta = nd.random.uniform(0.5, 1.5, C), nd.random.normal(shape=C)
    moving = nd.zeros(C), nd.ones(C)
    for array in X, gamma, beta:
        array.attach_grad()
    with autograd.record():
        Y = kernel.fused_batch_norm(X, gamma, beta, *moving, momentum=momentum)
    Y.backward(G)
    arrays = (a.asnumpy() for a in (X, gamma, beta, G))
    return (Y, X.grad, gamma.grad, beta.grad, *moving), in_float64(*arrays)


@pytest.mark.parametrize("mean", [0, 3, 1000])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_training_step(kernel, shape, mean):
    X, G = nd.random.normal(mean, 2, shape), nd.random.normal(shape=shape)
    found, right = trained(kernel, X, G)
    for name, f, r in zip(("Y", "dX", "dgamma", "dbeta"), found, right, strict=False):
        assert near(f, r), name
    assert near(found[4], 0.1 * right[4]), "moving_mean"
    assert near(found[5], 0.9 + 0.1 * right[5]), "moving_var"


def test_a_first_picture_unlike_all_others(kernel):
    """Its mean is the first guess, which is then off by a thousand deviations."""
    X = nd.random.normal(1000, 1, (64, 3, 8, 8))
    X[0] = 0
    found, right = trained(kernel, X, nd.random.normal(shape=X.shape))
    for name, f, r in zip(("Y", "dX", "dgamma", "dbeta"), found, right, strict=False):
        assert near(f, r), name


def test_moving_statistics_forget_by_the_momentum(kernel):
    X = nd.random.normal(2, 3, (16, 4, 5, 5))
    found, right = trained(kernel, X, X, momentum=0.25)
    assert near(found[4], 0.75 * right[4]) and near(found[5], 0.25 + 0.75 * right[5])


PREDICTED = [(4, 3, 5, 5), (6, 70), (1, 3, 2, 2), (1, 3)]


@pytest.mark.parametrize("shape", PREDICTED, ids=str)
def test_prediction_uses_the_moving_statistics_and_leaves_them(kernel, shape):
    C = shape[1]
    X, G = nd.random.normal(shape=shape), nd.random.normal(shape=shape)
    gamma, beta = nd.random.uniform(0.5, 1.5, C), nd.random.normal(shape=C)
    moving = nd.random.normal(shape=C), nd.random.uniform(0.5, 2, C)
    before = [array.asnumpy() for array in moving]
    results = []
    for layer in kernel.fused_batch_norm, compiled:
        for array in X, gamma, beta:
            array.attach_grad()
        with autograd.record(train_mode=False):
            Y = layer(X, gamma, beta, *moving)
        Y.backward(G, train_mode=False)
        results.append([a.asnumpy() for a in (Y, X.grad, gamma.grad, beta.grad)])
    for found, right in zip(*results, strict=True):
        assert near(found, right)
    for array, old in zip(moving, before, strict=True):
        assert (array.asnumpy() == old).all()


def compiled(X, gamma, beta, moving_mean, moving_var):
    state = gamma, beta, moving_mean, moving_var
    return nd.BatchNorm(X, *state, eps=1e-5, fix_gamma=False)


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (6, 3)], ids=str)
def test_what_is_not_a_number_is_seen_in_its_channel_alone(kernel, number, shape):
    X = nd.random.normal(shape=shape)
    X[1, 1] = number
    with np.errstate(invalid="ignore"):
        Y = trained(kernel, X, nd.ones_like(X))[0][0].asnumpy()
    assert np.isnan(Y[:, 1]).all() and np.isfinite(Y[:, [0, 2]]).all()


BAD = {
    "float64": (nd.ones((4, 3), dtype="float64"), "got float64 of shape \\(4, 3\\)"),
    "three axes": (nd.ones((4, 3, 2)), "got float32 of shape \\(4, 3, 2\\)"),
    "a batch of one": (nd.ones((1, 3)), "of shape \\(1, 3\\) has 1; use a larger"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_a_sentence(kernel, name):
    X, words = BAD[name]
    state = nd.ones(3), nd.zeros(3), nd.zeros(3), nd.ones(3)
    with autograd.record(), pytest.raises(ValueError, match=words):
        kernel.fused_batch_norm(X, *state)


HYBRID = {
    "float64": (nd.ones((4, 3), dtype="float64"), "computes in float32: convert"),
    "three axes": (nd.ones((4, 3, 2)), "expects X of shape \\(batch, features\\) or"),
    "a batch of one": (nd.ones((1, 3)), "needs two values per channel: use a larger"),
}


@pytest.mark.parametrize("name", HYBRID)
def test_so_it_is_in_a_hybridized_network(kernel, name):
    X, words = HYBRID[name]
    layer = kernel.FusedBatchNorm(in_channels=3)
    layer.initialize()
    layer.hybridize()
    with autograd.record(), pytest.raises(base.MXNetError, match=words):
        layer(X).wait_to_read()


def test_no_samples_are_refused_in_a_sentence(kernel):
    with (
        util.np_shape(),
        pytest.raises(ValueError, match="shape \\(0, 3\\) has 0; use"),
    ):
        kernel.fused_batch_norm(nd.zeros((0, 3)), *[nd.ones(3)] * 4)
    loops = kernel.Loops(kernel.CONVOLUTION, flags=[])
    empty, three = np.ones((0, 3, 1), "float32"), np.ones(3, "float32")
    with pytest.raises(
        ValueError, match="expect numbers, but X has shape \\(0, 3, 1\\)"
    ):
        loops.forward(empty, three, three, empty, np.ones((3, 3), "float32"))


def test_gradients_that_are_to_be_added_are_refused(kernel):
    layer = kernel.FusedBatchNorm(in_channels=3)
    layer.initialize()
    layer.gamma.grad_req = "add"
    with pytest.raises(ValueError, match="expects grad_req 'write', but got 'add'"):
        layer(nd.ones((4, 3)))


@pytest.mark.parametrize("name", ["float64", "not contiguous"])
def test_the_bare_loops_refuse_what_they_would_misread(kernel, name):
    wide = np.ones((4, 3, 8), "float32")
    array = wide.astype("float64") if name == "float64" else wide[:, :, ::2]
    with pytest.raises(ValueError, match="expect float32 numbers side by side"):
        kernel.address(array)


def networks(kernel):
    """The same small network with nn.BatchNorm and with the kernel, same parameters."""
    made = []
    for norm in nn.BatchNorm, kernel.FusedBatchNorm:
        net = nn.HybridSequential(prefix="")
        net.add(nn.Conv2D(4, 3), norm(), nn.Activation("relu"))
        net.add(nn.Dense(10), norm(), nn.Dense(3))
        made.append(net)
    made[0].initialize(init.Xavier())
    made[0](nd.zeros((2, 1, 8, 8)))
    return made


STATIC = {"static_alloc": True, "static_shape": True}


@pytest.mark.parametrize("hybrid", [None, {}, STATIC])
def test_a_network_trains_and_predicts_as_with_the_compiled_layer(
    kernel, hybrid, tmp_path
):
    ready_made, own = networks(kernel)
    path = str(tmp_path / "net.params")
    ready_made.save_parameters(path)
    own.load_parameters(path)
    if hybrid is not None:
        own.hybridize(**hybrid)
    X, y = nd.random.normal(2, 3, (32, 1, 8, 8)), nd.arange(32) % 3
    loss, scores = gluon.loss.SoftmaxCrossEntropyLoss(), []
    for net in ready_made, own:
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        scores.append([])
        for _ in range(3):  # back and forth between training and prediction
            with autograd.record():
                error = loss(net(X), y)
            error.backward()
            trainer.step(32)
            scores[-1].append(net(X).asnumpy())
    for right, found in zip(*scores, strict=True):
        assert near(found, right, 1e-3)
    own.save_parameters(path)
    ready_made.load_parameters(path)
    assert near(ready_made(X), scores[1][-1], 1e-4)


def test_one_layer_used_twice_keeps_both_batches_apart(kernel):
    X, Z = nd.random.normal(shape=(2, 8, 3, 4, 4))
    layers, gradients = (nn.BatchNorm(), kernel.FusedBatchNorm()), []
    for layer in layers:
        layer.initialize()
        X.attach_grad()
        with autograd.record():
            both = layer(X) * layer(Z * 5 + 1)
        both.backward()
        gradients.append(X.grad.asnumpy())
    assert near(gradients[1], gradients[0], 1e-4)


def test_a_library_for_another_mxnet_is_refused_in_a_sentence(kernel):
    code = (
        "import utils, mxnet\n"
        "kernel = utils.definitions('batch-norm-kernel')\n"
        "mxnet.__version__ = '1.8.0'\n"
        "kernel.load()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    said = "CompilerError: MXNet 1.8.0 refused the library: built for MXNet 10800, not"
    assert said in done.stderr.splitlines()[-1]
