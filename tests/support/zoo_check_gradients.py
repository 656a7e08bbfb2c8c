"""Wrong batch normalizations of one batch: gradients, and what is not a formula."""

import utils  # noqa: F401  (it makes `import mxnet` work)
import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from tests.support.zoo_check import (
    affine,
    axes_of,
    moments,
    wide,
    wrong,
)

# --- Gradients ---

NO_MEAN = "no gradient through the mean"
NO_VAR = "no gradient through the variance"
NEITHER = "no gradient through mean and variance"
NO_X = "no gradient reaches X"
NOTHING = "no gradient at all"
NO_AFFINE = "no gradient reaches gamma or beta"


@wrong(NO_MEAN)
def mean_detached(X, gamma, beta, eps):
    mean = X.mean(axis=axes_of(X), keepdims=True).detach()
    var = ((X - mean) ** 2).mean(axis=axes_of(X), keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


# https://github.com/abhiskk/ladder/issues/2
@wrong(NO_VAR)
def variance_detached(X, gamma, beta, eps):
    mean = X.mean(axis=axes_of(X), keepdims=True)
    var = ((X - mean).detach() ** 2).mean(axis=axes_of(X), keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


# In MXNet 1.9.1 the method `var` of NumPy mode passes no gradient on.
@wrong(NO_VAR, numpy=True)
def variance_of_numpy_mode(X, gamma, beta, eps):
    axes = axes_of(X)
    mean, var = X.mean(axes, keepdims=True), X.var(axes, keepdims=True)
    return wide(gamma, X) * (X - mean) / mx.np.sqrt(var + eps) + wide(beta, X)


# Nor does `std`; for all that, the mode is the one that d2l teaches.
@wrong(NO_VAR, "eps stands outside the root", numpy=True)
def deviation_of_numpy_mode(X, gamma, beta, eps):
    mean, std = X.mean(axes_of(X), keepdims=True), X.std(axes_of(X), keepdims=True)
    return wide(gamma, X) * (X - mean) / (std + eps) + wide(beta, X)


@wrong(NEITHER)
def statistics_paused(X, gamma, beta, eps):
    with autograd.pause():
        mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(NEITHER)
def statistics_by_numpy(X, gamma, beta, eps):
    A, axes = X.asnumpy(), axes_of(X)
    mean, var = (nd.array(f(A, axes, keepdims=True)) for f in (np.mean, np.var))
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(NO_X)
def input_detached(X, gamma, beta, eps):
    X = X.detach()
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(NO_X)
def normalized_by_numpy(X, gamma, beta, eps):
    A, axes = X.asnumpy(), axes_of(X)
    A = A - A.mean(axes, keepdims=True)
    A = A / np.sqrt((A * A).mean(axes, keepdims=True) + eps)
    return affine(nd.array(A), gamma, beta)


@wrong(NOTHING)
def all_by_numpy(X, gamma, beta, eps):
    A, axes = X.asnumpy(), axes_of(X)
    A = (A - A.mean(axes, keepdims=True)) / np.sqrt(A.var(axes, keepdims=True) + eps)
    return nd.array(affine(A, gamma.asnumpy(), beta.asnumpy()))


@wrong(NOTHING)
def all_paused(X, gamma, beta, eps):
    with autograd.pause():
        mean, var = moments(X)
        return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(NO_AFFINE)
def gamma_by_numpy(X, gamma, beta, eps):
    mean, var = moments(X)
    gamma = nd.array(gamma.asnumpy())
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(NO_AFFINE)
def affine_detached(X, gamma, beta, eps):
    mean, var = moments(X)
    X_hat = (X - mean) / nd.sqrt(var + eps)
    return affine(X_hat, gamma.detach(), beta.detach())


class ClosedForm(autograd.Function):
    """Normalization whose gradient is written by hand, with parts left out."""

    mean, variance, gamma, sums = True, True, True, True

    def __init__(self, eps):
        super().__init__()
        self.eps = eps

    def forward(self, X, gamma, beta):
        mean, var = moments(X)
        self.std = nd.sqrt(var + self.eps)
        self.X_hat, self.scale = (X - mean) / self.std, wide(gamma, X)
        return affine(self.X_hat, gamma, beta)

    def backward(self, G):
        axes, reduce = axes_of(G), nd.sum if self.sums else nd.mean
        D = G - G.mean(axis=axes, keepdims=True) if self.mean else G
        along = (G * self.X_hat).mean(axis=axes, keepdims=True)
        D = D - self.X_hat * along if self.variance else D
        D = D / self.std * (self.scale if self.gamma else 1)
        return D, reduce(G * self.X_hat, axis=axes), reduce(G, axis=axes)


# https://github.com/BVLC/caffe/issues/3878 asks where the term of the mean is.
@wrong(NO_MEAN)
def closed_form_without_mean(X, gamma, beta, eps):
    function = ClosedForm(eps)
    function.mean = False
    return function(X, gamma, beta)


@wrong(NO_VAR)
def closed_form_without_variance(X, gamma, beta, eps):
    function = ClosedForm(eps)
    function.variance = False
    return function(X, gamma, beta)


@wrong(NEITHER)
def closed_form_of_constants(X, gamma, beta, eps):
    function = ClosedForm(eps)
    function.mean = function.variance = False
    return function(X, gamma, beta)


@wrong("gamma is missing in the gradient of X")
def closed_form_without_gamma(X, gamma, beta, eps):
    function = ClosedForm(eps)
    function.gamma = False
    return function(X, gamma, beta)


@wrong("the gradients of gamma and beta are averaged and not summed")
def closed_form_averaged(X, gamma, beta, eps):
    """Gradients of gamma and beta are means where they should be sums."""
    function = ClosedForm(eps)
    function.sums = False
    return function(X, gamma, beta)


# --- Besides the formulas ---

CHANGES = "it changes its input"
TYPE = "the output has another type than X"
DEVICE = "the output is on another device than X"
ONE_SIZE = "works for one batch size only"


@wrong(CHANGES)
def centered_in_place(X, gamma, beta, eps):
    mean, var = moments(X)
    X -= mean
    return affine(X / nd.sqrt(var + eps), gamma, beta)


@wrong(CHANGES)
def written_to_input(X, gamma, beta, eps):
    mean, var = moments(X)
    Y = affine((X - mean) / nd.sqrt(var + eps), gamma, beta)
    with autograd.pause():
        X[:] = Y
    return Y


@wrong(TYPE)
def float64(X, gamma, beta, eps):
    X, gamma, beta = (a.astype("float64") for a in (X, gamma, beta))
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(TYPE)
def float16(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta).astype("float16")


@wrong(TYPE, NOTHING)
def plain_numpy(X, gamma, beta, eps):
    X, gamma, beta = (a.asnumpy() for a in (X, gamma, beta))
    mean, var = moments(X)
    return affine((X - mean) / np.sqrt(var + eps), gamma, beta)


@wrong(DEVICE)
def elsewhere(X, gamma, beta, eps):
    mean, var = moments(X)
    Y = affine((X - mean) / nd.sqrt(var + eps), gamma, beta)
    return Y.as_in_context(mx.cpu(1))


# Four is the number of samples that the reader tried it with.
@wrong(ONE_SIZE)
def four_samples(X, gamma, beta, eps):
    axes, m = axes_of(X), 4 * X.size // (X.shape[0] * X.shape[1])
    mean = X.sum(axis=axes, keepdims=True) / m
    var = ((X - mean) ** 2).sum(axis=axes, keepdims=True) / m
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(ONE_SIZE)
def eight_samples_reshaped(X, gamma, beta, eps):
    rows = X.reshape((8, X.shape[1], -1))
    mean = rows.mean(axis=(0, 2), keepdims=True)
    var = ((rows - mean) ** 2).mean(axis=(0, 2), keepdims=True)
    Y = (rows - mean) / nd.sqrt(var + eps)
    return affine(Y.reshape(X.shape), gamma, beta)


@wrong("raises an error")
def always_raises(X, gamma, beta, eps):
    return undefined * X  # noqa: F821


@wrong("returns nothing")
def returns_nothing(X, gamma, beta, eps):
    mean, var = moments(X)
    affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong("returns another shape")
def returns_the_statistics(X, gamma, beta, eps):
    return moments(X)


@wrong("returns another shape")
def another_shape(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta).reshape((-1,))
