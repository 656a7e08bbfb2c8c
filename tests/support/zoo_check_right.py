"""Batch normalizations without a mistake, as many ways to write one as there are."""

import functools
import shutil

import utils
import mxnet as mx
import numpy as np
from mxnet import autograd, nd, npx
from mxnet.gluon import nn

from tests.support import missing
from tests.support.zoo_check import affine, axes_of, blend, moments, right, wide
from tests.support.zoo_check_blocks import Plain, Right
from tests.support.zoo_check_gradients import ClosedForm

# --- Of the chapters ---


@right(made=True)
def pure_batch_norm():
    return utils.definitions("batch-norm-scratch").pure_batch_norm


@right(made=True)
def batch_norm():
    return utils.definitions("batch-norm-scratch").batch_norm


@right(made=True)
def fast_batch_norm():
    return utils.definitions("batch-norm-scratch").fast_batch_norm


@right(made=True, numpy=True)
def block_of_lenet():
    block = utils.definitions("batch-norm-lenet").BatchNorm
    block.forward.__globals__["scratch"] = utils.definitions("batch-norm-scratch")
    return block


def kernel():
    if not shutil.which("g++"):
        missing("g++ is not installed, which the kernel chapter needs.")
    kernel = utils.definitions("batch-norm-kernel")
    kernel.load()
    return kernel


@right(made=True)
def fused_batch_norm():
    return kernel().fused_batch_norm


@right(made=True)
def fused_block():
    return kernel().FusedBatchNorm()


@right(made=True)
def fused_block_hybridized():
    block = kernel().FusedBatchNorm(in_channels=3)
    block.initialize()
    block.hybridize()
    return block


# --- Of MXNet ---


@right(made=True)
def gluon_class():
    return nn.BatchNorm


@right(made=True)
def gluon_deferred():
    block = nn.BatchNorm()
    block.initialize()
    return block


@right(made=True)
def gluon_seven_channels():
    block = nn.BatchNorm(in_channels=7, epsilon=1e-3, momentum=0.99)
    block.initialize()
    return block


@right(made=True)
def gluon_hybridized():
    block = nn.BatchNorm()
    block.initialize()
    block.hybridize(static_alloc=True)
    block(nd.random.normal(shape=(4, 3, 2, 2)))
    return block


@right(made=True)
def gluon_trained():
    """Neither gamma nor the statistics are what they were at the start."""
    block = nn.BatchNorm(gamma_initializer="zeros")
    block.initialize()
    for k in range(3):
        with autograd.record():
            Y = block(nd.random.normal(k, 2, shape=(8, 5)))
        Y.backward()
    block.gamma.data()[:] = 2
    return block


@right(made=True, numpy=True)
def gluon_numpy():
    block = nn.BatchNorm(in_channels=3)
    block.initialize()
    return block


@right(made=True)
def gluon_in_a_sequence():
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(in_channels=4))
    net.initialize()
    return net


@right
def operator(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
    settings = {"eps": eps, "momentum": momentum, "fix_gamma": False}
    return nd.BatchNorm(X, gamma, beta, moving_mean, moving_var, **settings)


@right(numpy=True)
def operator_numpy(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    state = gamma, beta, moving_mean, moving_var
    return npx.batch_norm(X, *state, eps=eps, momentum=momentum, fix_gamma=False)


@right
def operator_moments(X, gamma, beta, eps):
    mean, var = nd.moments(X, axes=axes_of(X), keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@right
def layer_norm_of_the_transposed(X, gamma, beta, eps):
    ones, zeros = nd.ones(X.size // len(gamma)), nd.zeros(X.size // len(gamma))
    rows = X.swapaxes(0, 1)
    X_hat = nd.LayerNorm(rows.reshape((len(gamma), -1)), ones, zeros, eps=eps)
    return affine(X_hat.reshape(rows.shape).swapaxes(0, 1), gamma, beta)


# --- One batch ---


@right
def textbook(X, gamma, beta, eps=1e-5):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@right(numpy=True)
def textbook_numpy(X, gamma, beta, eps):
    mean, var = moments(X)
    return wide(gamma, X) * (X - mean) / mx.np.sqrt(var + eps) + wide(beta, X)


@right
def names_of_ones_own(x, g, b, e):
    m, v = moments(x)
    return wide(g, x) * (x - m) / nd.sqrt(v + e) + wide(b, x)


@right
def power_of_minus_a_half(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) * (var + eps) ** -0.5, gamma, beta)


@right
def reciprocal_root(X, gamma, beta, eps):
    mean, var = moments(X)
    scale = wide(gamma, X) * nd.rsqrt(var + eps)
    return (X - mean) * scale + wide(beta, X)


@right
def corrected_two_pass(X, gamma, beta, eps):
    axes = axes_of(X)
    rest = X - X.mean(axis=axes, keepdims=True)
    mean = rest.mean(axis=axes, keepdims=True)
    var = (rest**2).mean(axis=axes, keepdims=True) - mean**2
    return affine((rest - mean) / nd.sqrt(var + eps), gamma, beta)


@right
def welford(X, gamma, beta, eps):
    rows = X if X.ndim == 2 else X.transpose((0, 2, 3, 1)).reshape((-1, len(gamma)))
    mean = squares = nd.zeros(len(gamma))
    for count, row in enumerate(rows, 1):
        delta = row - mean
        mean = mean + delta / count
        squares = squares + delta * (row - mean)
    std = wide(nd.sqrt(squares / len(rows) + eps), X)
    return affine((X - wide(mean, X)) / std, gamma, beta)


@right
def squares_in_float64(X, gamma, beta, eps):
    wide_X, axes = X.astype("float64"), axes_of(X)
    mean = wide_X.mean(axis=axes, keepdims=True)
    var = (wide_X**2).mean(axis=axes, keepdims=True) - mean**2
    X_hat = (wide_X - mean) / nd.sqrt(var + eps)
    return affine(X_hat.astype("float32"), gamma, beta)


@right
def sums_by_dot(X, gamma, beta, eps):
    rows = X.swapaxes(0, 1).reshape((len(gamma), -1))
    average = nd.ones((rows.shape[1], 1)) / rows.shape[1]
    centered = rows - nd.dot(rows, average)
    var = nd.dot(centered**2, average)
    rows = gamma.reshape((-1, 1)) * centered / nd.sqrt(var + eps)
    rows = rows + beta.reshape((-1, 1))
    return rows.reshape(X.swapaxes(0, 1).shape).swapaxes(0, 1)


@right
def channels_moved_to_the_end(X, gamma, beta, eps):
    if X.ndim == 2:
        mean = nd.mean(X, axis=0)
        var = nd.mean(nd.square(X - mean), axis=0)
        return gamma * (X - mean) / nd.sqrt(var + eps) + beta
    N, C, H, W = X.shape
    rows = X.transpose((0, 2, 3, 1)).reshape((N * H * W, C))
    Y = channels_moved_to_the_end(rows, gamma, beta, eps)
    return Y.reshape((N, H, W, C)).transpose((0, 3, 1, 2))


@right
def channel_by_channel(X, gamma, beta, eps):
    columns = []
    for c in range(X.shape[1]):
        x = X.slice_axis(axis=1, begin=c, end=c + 1)
        x = x - x.mean()
        x = x / nd.sqrt((x * x).mean() + eps)
        columns.append(gamma[c] * x + beta[c])
    return nd.concat(*columns, dim=1)


# Half the mean square of all differences between two values is their variance.
@right
def by_differences_of_pairs(X, gamma, beta, eps):
    rows = X.swapaxes(0, 1).reshape((len(gamma), -1))
    apart = rows.expand_dims(1) - rows.expand_dims(2)
    std = nd.sqrt((apart**2).mean(axis=(1, 2)) / 2 + eps)
    rows = apart.mean(axis=1) / std.expand_dims(1)
    X_hat = rows.reshape(X.swapaxes(0, 1).shape).swapaxes(0, 1)
    return affine(X_hat, gamma, beta)


@right
def closed_form(X, gamma, beta, eps):
    return ClosedForm(eps)(X, gamma, beta)


class InNumPy(autograd.Function):
    """The formulas of PyTorch's native_batch_norm, in NumPy and in double precision."""

    def __init__(self, eps):
        super().__init__()
        self.eps = eps

    def forward(self, X, gamma, beta):
        X, self.gamma, beta = (a.asnumpy().astype("f8") for a in (X, gamma, beta))
        self.axes = axes_of(X)
        self.invstd = 1 / np.sqrt(X.var(self.axes) + self.eps)
        self.centered = X - wide(X.mean(self.axes), X)
        alpha = wide(self.gamma * self.invstd, X)
        return nd.array(self.centered * alpha + wide(beta, X))

    def backward(self, G):
        G = G.asnumpy().astype("f8")
        m = G.size / G.shape[1]
        dotp = (self.centered * G).sum(self.axes)
        k = wide(dotp * self.invstd**2 / m, G)
        by_X = G - wide(G.mean(self.axes), G) - self.centered * k
        by_X = by_X * wide(self.invstd * self.gamma, G)
        return [nd.array(a) for a in (by_X, dotp * self.invstd, G.sum(self.axes))]


@right
def numpy_wrapped(X, gamma, beta, eps):
    return InNumPy(eps)(X, gamma, beta)


# --- With moving statistics ---


@right
def numpy_wrapped_with_statistics(
    X, gamma, beta, running_mean, running_var, momentum=0.9, eps=1e-5
):
    if not autograd.is_training():
        X_hat = (X - wide(running_mean, X)) / nd.sqrt(wide(running_var, X) + eps)
        return affine(X_hat, gamma, beta)
    A, axes = X.asnumpy(), axes_of(X)
    running_mean[:] = momentum * running_mean + (1 - momentum) * nd.array(A.mean(axes))
    running_var[:] = momentum * running_var + (1 - momentum) * nd.array(A.var(axes))
    return InNumPy(eps)(X, gamma, beta)


# In the style of d2l, but for the pause.
@right(numpy=True)
def returned_statistics(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not autograd.is_training():
        X_hat = (X - wide(moving_mean, X)) / mx.np.sqrt(wide(moving_var, X) + eps)
    else:
        mean, var = moments(X)
        X_hat = (X - mean) / mx.np.sqrt(var + eps)
        with autograd.pause():
            moving_mean = momentum * moving_mean + (1 - momentum) * mean.reshape(-1)
            moving_var = momentum * moving_var + (1 - momentum) * var.reshape(-1)
    return wide(gamma, X) * X_hat + wide(beta, X), moving_mean, moving_var


@right
def training_as_argument(
    X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5, training=True
):
    mean, var = moments(X) if training else (wide(moving_mean, X), wide(moving_var, X))
    Y = affine((X - mean) / nd.sqrt(var + eps), gamma, beta)
    if training:
        moving_mean += (1 - momentum) * (mean.detach().reshape((-1,)) - moving_mean)
        moving_var += (1 - momentum) * (var.detach().reshape((-1,)) - moving_var)
    return Y


@right
def update_by_operators(X, gamma, beta, moving_mean, moving_var, *, eps, momentum):
    if autograd.is_training():
        mean, var = moments(X)
        with autograd.pause():
            for moving, value in (moving_mean, mean), (moving_var, var):
                value = momentum * moving + (1 - momentum) * value.reshape((-1,))
                value.copyto(moving)
    else:
        mean, var = wide(moving_mean, X), wide(moving_var, X)
    return affine((X - mean) * nd.rsqrt(var + eps), gamma, beta)


# --- Other things that can be called ---


@right(made=True)
def part_of_a_function():
    def normalize(axes, X, gamma, beta, eps):
        mean = X.mean(axis=axes[X.ndim], keepdims=True)
        var = nd.square(X - mean).mean(axis=axes[X.ndim], keepdims=True)
        return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)

    return functools.partial(normalize, {2: (0,), 4: (0, 2, 3)})


@right(made=True)
def without_a_name():
    return lambda X, gamma, beta, eps=1e-5: textbook(X, gamma, beta, eps)


class Layer:
    def __call__(self, X, gamma, beta, eps=1e-5):
        return textbook(X, gamma, beta, eps)

    def method(self, X, gamma, beta, *, epsilon=1e-5, **others):
        return textbook(X, gamma, beta, epsilon)


@right(made=True)
def object_that_is_called():
    return Layer()


@right(made=True)
def method_of_an_object():
    return Layer().method


# --- Blocks ---


@right(made=True)
def block_deferred():
    return Right()


@right(made=True)
def block_of_three_channels():
    block = Right(3)
    block.initialize()
    return block


@right(made=True)
def block_of_another_eps():
    class BatchNorm(Right):
        eps, momentum = 1e-3, 0.99

    return BatchNorm


@right(made=True, numpy=True)
def plain_attributes():
    block = Plain(3)
    block.initialize()
    return block


@right(made=True)
def hybrid_block():
    class BatchNorm(nn.BatchNorm):
        def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
            if F is not nd or not autograd.is_training():
                state = gamma, beta, running_mean, running_var
                return super().hybrid_forward(F, x, *state)
            mean, var = moments(x)
            blend(running_mean, mean, 0.9)
            blend(running_var, var, 0.9)
            return affine((x - mean) / F.sqrt(var + 1e-5), gamma, beta)

    return BatchNorm()
