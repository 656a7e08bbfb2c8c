"""Wrong batch normalizations as Gluon blocks."""

import utils  # noqa: F401  (it makes `import mxnet` work)
import mxnet as mx
from mxnet import autograd, init, nd
from mxnet.gluon import nn

from tests.support.zoo_check import (
    affine,
    blend,
    moments,
    wide,
    wrong,
)


class Right(nn.Block):
    """The layer of the course; what is wrong in another one is overridden there."""

    momentum, eps, variance, learned = 0.9, 1e-5, "ones", "write"

    def __init__(self, channels=0):
        super().__init__()
        learned = {"shape": channels, "allow_deferred_init": True}
        kept = {**learned, "grad_req": "null"}
        learned["grad_req"] = self.learned
        get = self.params.get
        self.gamma = get("gamma", init="ones", **learned)
        self.beta = get("beta", init="zeros", **learned)
        self.moving_mean = get("moving_mean", init="zeros", **kept)
        self.moving_var = get("moving_var", init=self.variance, **kept)

    def state(self, X):
        parameters = self.gamma, self.beta, self.moving_mean, self.moving_var
        for parameter in parameters:
            if parameter.shape == (0,):
                parameter.shape = (X.shape[1],)
            parameter._finish_deferred_init()
        return [p.data(X.ctx) for p in parameters]

    def forward(self, X):
        gamma, beta, moving_mean, moving_var = self.state(X)
        if autograd.is_training():
            mean, var = moments(X)
            self.update(moving_mean, mean, moving_var, var)
        else:
            mean, var = wide(moving_mean, X), wide(moving_var, X)
        return affine((X - mean) / (var + self.eps) ** 0.5, gamma, beta)

    def update(self, moving_mean, mean, moving_var, var):
        blend(moving_mean, mean, self.momentum)
        blend(moving_var, var, self.momentum)


# --- What Gluon has, with a setting that is wrong here ---


@wrong(
    "gamma is ignored, or fixed at 1", "gamma is fixed at 1, and overwritten", made=True
)
def without_scale():
    block = nn.BatchNorm(scale=False)
    block.initialize()
    return block


@wrong("the mode is ignored: training does as prediction does", made=True)
def frozen():
    block = nn.BatchNorm(in_channels=2, use_global_stats=True)
    block.initialize()
    return block


@wrong("momentum is flipped: it weighs the new value", made=True)
def torch_momentum():
    """0.1 is what PyTorch has for 0.9; a block's own number has no other one."""
    return Flipped(3)


@wrong("the moving variance starts at 0", made=True)
def gluon_from_zero():
    return nn.BatchNorm(running_variance_initializer="zeros")


@wrong(
    "the axis of the features is wrong in convolutions",
    "gamma and beta are broadcast along the wrong axis",
    made=True,
)
def gluon_channels_last():
    return nn.BatchNorm(axis=-1)


# --- Blocks by hand ---


class Flipped(Right):
    def update(self, moving_mean, mean, moving_var, var):
        blend(moving_mean, mean, 1 - self.momentum)
        blend(moving_var, var, 1 - self.momentum)


# https://github.com/chainer/chainer/issues/879
@wrong("the moving variance starts at 0")
class StartsAtZero(Right):
    variance = "zeros"


# https://github.com/d2l-ai/d2l-en/pull/1591, in the book's style.
@wrong("the moving variance starts at 0", made=True, numpy=True)
def plain_attributes_from_zero():
    class BatchNorm(Plain):
        start = staticmethod(mx.np.zeros)

    block = BatchNorm(3)
    block.initialize()
    return block


class Plain(nn.Block):
    """The statistics are attributes and not parameters; for NumPy mode."""

    start = staticmethod(mx.np.ones)

    def __init__(self, num_features):
        super().__init__()
        self.gamma = self.params.get("gamma", shape=(num_features,), init=init.One())
        self.beta = self.params.get("beta", shape=(num_features,), init=init.Zero())
        self.moving_mean = mx.np.zeros(num_features)
        self.moving_var = self.start(num_features)

    def forward(self, X):
        if not autograd.is_training():
            mean, var = wide(self.moving_mean, X), wide(self.moving_var, X)
        else:
            mean, var = moments(X)
            self.update(mean.reshape(-1), var.reshape(-1))
        Y = (X - mean) / mx.np.sqrt(var + 1e-5)
        return wide(self.gamma.data(), X) * Y + wide(self.beta.data(), X)

    def update(self, mean, var):
        with autograd.pause():
            self.moving_mean = 0.9 * self.moving_mean + 0.1 * mean
            self.moving_var = 0.9 * self.moving_var + 0.1 * var


# https://github.com/bayesiains/nflows/pull/11
@wrong(
    "the update of the moving statistics is recorded by autograd",
    made=True,
    numpy=True,
)
def plain_attributes_recorded():
    class BatchNorm(Plain):
        def update(self, mean, var):
            self.moving_mean = 0.9 * self.moving_mean + 0.1 * mean
            self.moving_var = 0.9 * self.moving_var + 0.1 * var

    block = BatchNorm(2)
    block.initialize()
    return block


@wrong(
    "the moving statistics are not updated, or replaced and not written in place",
    made=True,
    numpy=True,
)
def local_names():
    class BatchNorm(Plain):
        def update(self, mean, var):
            moving_mean, moving_var = self.moving_mean, self.moving_var
            moving_mean = 0.9 * moving_mean + 0.1 * mean
            moving_var = 0.9 * moving_var + 0.1 * var

    block = BatchNorm(2)
    block.initialize()
    return block


@wrong("the variance in the normalization is unbiased, divided by m − 1", made=True)
def unbiased_block():
    class BatchNorm(nn.HybridBlock):
        def __init__(self, channels):
            super().__init__()
            self.gamma = self.params.get("gamma", shape=channels, init="ones")
            self.beta = self.params.get("beta", shape=channels, init="zeros")
            kept = {"shape": channels, "grad_req": "null"}
            self.moving_mean = self.params.get("moving_mean", init="zeros", **kept)
            self.moving_var = self.params.get("moving_var", init="ones", **kept)

        def forward(self, X):
            moving = self.moving_mean.data(), self.moving_var.data()
            if autograd.is_training():
                m, (mean, var) = X.size / X.shape[1], moments(X)
                blend(moving[0], mean, 0.9)
                blend(moving[1], var, 0.9)
                var = var * m / (m - 1)
            else:
                mean, var = (wide(v, X) for v in moving)
            X_hat = (X - mean) / nd.sqrt(var + 1e-5)
            return affine(X_hat, self.gamma.data(), self.beta.data())

    block = BatchNorm(4)
    block.initialize()
    return block


@wrong("the moving variance is unbiased, divided by m − 1")
class MovingUnbiased(Right):
    def forward(self, X):
        self.m = X.size / X.shape[1]
        return super().forward(X)

    def update(self, moving_mean, mean, moving_var, var):
        super().update(moving_mean, mean, moving_var, var * self.m / (self.m - 1))


@wrong("prediction normalizes by the batch's own statistics")
class PredictsByTheBatch(Right):
    def forward(self, X):
        gamma, beta, moving_mean, moving_var = self.state(X)
        mean, var = moments(X)
        if autograd.is_training():
            self.update(moving_mean, mean, moving_var, var)
        return affine((X - mean) / nd.sqrt(var + self.eps), gamma, beta)


@wrong("the moving statistics are updated twice per step", made=True)
def twice():
    class BatchNorm(Right):
        def update(self, *state):
            super().update(*state)
            super().update(*state)

    block = BatchNorm(5)
    block.initialize()
    return block


# https://github.com/apache/mxnet/issues/9624 asks for what `grad_req` does.
@wrong("no gradient reaches gamma or beta", made=True)
def not_learned():
    class BatchNorm(Right):
        learned = "null"

    block = BatchNorm(3)
    block.initialize()
    return block


@wrong("eps has another size than it should have", made=True)
def eps_in_the_code():
    """Nothing of the block says that its eps is not the usual one."""

    class BatchNorm(Right):
        def forward(self, X):
            gamma, beta, moving_mean, moving_var = self.state(X)
            if autograd.is_training():
                mean, var = moments(X)
                self.update(moving_mean, mean, moving_var, var)
            else:
                mean, var = wide(moving_mean, X), wide(moving_var, X)
            return affine((X - mean) / nd.sqrt(var + 1e-3), gamma, beta)

    return BatchNorm()


@wrong("the update of the moving statistics is recorded by autograd", made=True)
def recorded_parameters():
    class BatchNorm(Right):
        def update(self, moving_mean, mean, moving_var, var):
            moving_mean[:] = 0.9 * moving_mean + 0.1 * mean.reshape((-1,))
            moving_var[:] = 0.9 * moving_var + 0.1 * var.reshape((-1,))

    block = BatchNorm(2)
    block.initialize()
    return block


@wrong("raises an error")
class ForgetsSelf(Right):
    def forward(self, X):
        return gamma * X  # noqa: F821


@wrong("raises an error", made=True)
def forgets_self_initialized():
    block = ForgetsSelf(2)
    block.initialize()
    return block
