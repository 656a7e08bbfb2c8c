"""Wrong batch normalizations of one batch: functions (X, gamma, beta, eps)."""

import utils  # noqa: F401  (it makes `import mxnet` work)
import mxnet as mx
from mxnet import nd

from tests.support.zoo_check import (
    UNNAMED,
    affine,
    axes_of,
    moments,
    wide,
    wrong,
)

# --- Over which axes ---

ALL = "statistics over all axes"
SAMPLE = "statistics per sample, as if the features were on axis 0"
INSTANCE = "statistics per sample and channel in convolutions"
PIXEL = "statistics per pixel in convolutions"
AXIS = "the axis of the features is wrong in convolutions"
DENSE_ONLY = "only dense batches, (batch, features), are accepted"
CONV_ONLY = "only convolutional batches, with four axes, are accepted"
ALONG = "gamma and beta are broadcast along the wrong axis"


@wrong(ALL)
def all_axes(X, gamma, beta, eps=1e-5):
    mean = X.mean()
    var = ((X - mean) ** 2).mean()
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(ALL, numpy=True)
def all_axes_numpy(X, gamma, beta, eps):
    mean = X.mean()
    X_hat = (X - mean) / mx.np.sqrt(mx.np.square(X - mean).mean() + eps)
    return wide(gamma, X) * X_hat + wide(beta, X)


@wrong(ALL)
def all_axes_of_a_convolution(X, gamma, beta, eps):
    axes = 0 if X.ndim == 2 else (0, 1, 2, 3)
    mean = nd.mean(X, axis=axes, keepdims=True)
    var = nd.mean((X - mean) ** 2, axis=axes, keepdims=True)
    return affine((X - mean) / (var + eps).sqrt(), gamma, beta)


@wrong(SAMPLE)
def per_sample(X, gamma, beta, eps):
    axes = tuple(range(1, X.ndim))
    mean = X.mean(axis=axes, keepdims=True)
    var = nd.square(X - mean).mean(axis=axes, keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(SAMPLE)
def per_sample_if_dense(X, gamma, beta, eps):
    axes = 1 if X.ndim == 2 else (0, 2, 3)
    mean = X.mean(axis=axes, keepdims=True)
    var = nd.square(X - mean).mean(axis=axes, keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(INSTANCE)
def instance_norm(X, gamma, beta, eps):
    axes = 0 if X.ndim == 2 else (2, 3)
    mean = X.mean(axis=axes, keepdims=True)
    var = nd.square(X - mean).mean(axis=axes, keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


# https://github.com/parasdahal/deepnet/issues/11
@wrong(PIXEL)
def per_pixel(X, gamma, beta, eps):
    mean = X.mean(axis=0)
    var = ((X - mean) ** 2).mean(axis=0)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong(AXIS)
def channels_last_statistics(X, gamma, beta, eps):
    axes = 0 if X.ndim == 2 else (0, 1, 2)
    mean = X.mean(axis=axes, keepdims=True)
    var = ((X - mean) ** 2).mean(axis=axes, keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


# Written for (batch, height, width, channels): gamma and beta go along the last axis.
@wrong(AXIS, ALONG)
def channels_last(X, gamma, beta, eps):
    axes = tuple(range(X.ndim - 1))
    mean = X.mean(axis=axes)
    var = ((X - mean) ** 2).mean(axis=axes)
    return gamma * (X - mean) / nd.sqrt(var + eps) + beta


@wrong(AXIS, numpy=True)
def axes_mistyped(X, gamma, beta, eps):
    axes = (0,) if X.ndim == 2 else (0, 1, 3)
    X_hat = X - X.mean(axes, keepdims=True)
    X_hat = X_hat / mx.np.sqrt((X_hat**2).mean(axes, keepdims=True) + eps)
    return wide(gamma, X) * X_hat + wide(beta, X)


@wrong(DENSE_ONLY)
def dense_only(X, gamma, beta, eps):
    if X.ndim != 2:
        raise ValueError("X must have two axes")
    mean, var = moments(X)
    return gamma * (X - mean) / nd.sqrt(var + eps) + beta


# As many tutorials have it: right for dense batches, without a thought of others.
@wrong(DENSE_ONLY, PIXEL, ALONG)
def dense_without_a_thought(X, gamma, beta, eps):
    mean = X.mean(axis=0)
    var = ((X - mean) ** 2).mean(axis=0)
    return gamma * (X - mean) / nd.sqrt(var + eps) + beta


@wrong(CONV_ONLY)
def convolution_only(X, gamma, beta, eps):
    mean = X.mean(axis=(0, 2, 3), keepdims=True)
    var = ((X - mean) ** 2).mean(axis=(0, 2, 3), keepdims=True)
    gamma, beta = gamma.reshape((1, -1, 1, 1)), beta.reshape((1, -1, 1, 1))
    return gamma * (X - mean) / nd.sqrt(var + eps) + beta


# --- Normalization ---

UNBIASED = "the variance in the normalization is unbiased, divided by m − 1"
OUTSIDE = "eps stands outside the root"
SQUARED = "eps is squared"
MISSING = "eps is missing"
SIZE = "eps has another size than it should have"
DIGITS = "digits are lost at a large mean: the mean is not subtracted before squaring"
NO_ROOT = "the division is by the variance and not by its root"
NAN = "a constant feature gives NaN"


# https://github.com/karpathy/nn-zero-to-hero/issues/44
@wrong(UNBIASED)
def unbiased(X, gamma, beta, eps):
    m = X.size // X.shape[1]
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var * m / (m - 1) + eps), gamma, beta)


@wrong(UNBIASED, numpy=True)
def unbiased_numpy(X, gamma, beta, eps):
    axes = axes_of(X)
    X_hat = X - X.mean(axes, keepdims=True)
    squares = (X_hat**2).sum(axes, keepdims=True)
    X_hat = X_hat / mx.np.sqrt(squares / (X.size / len(gamma) - 1) + eps)
    return wide(gamma, X) * X_hat + wide(beta, X)


@wrong("the variance is taken about 0 and not about the mean")
def mean_of_squares(X, gamma, beta, eps):
    mean = X.mean(axis=axes_of(X), keepdims=True)
    var = (X**2).mean(axis=axes_of(X), keepdims=True)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


@wrong("the mean is not subtracted from X")
def not_centered(X, gamma, beta, eps):
    _, var = moments(X)
    return affine(X / nd.sqrt(var + eps), gamma, beta)


# https://github.com/google/flax/issues/1491
@wrong(DIGITS)
def difference_of_means(X, gamma, beta, eps):
    mean = X.mean(axis=axes_of(X), keepdims=True)
    var = (X * X).mean(axis=axes_of(X), keepdims=True) - mean**2
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


# The fix that is proposed there: no NaN any more, but no digits either.
@wrong(DIGITS, numpy=True)
def difference_of_means_clipped(X, gamma, beta, eps):
    mean = X.mean(axes_of(X), keepdims=True)
    var = mx.np.maximum((X * X).mean(axes_of(X), keepdims=True) - mean**2, 0)
    return wide(gamma, X) * (X - mean) / mx.np.sqrt(var + eps) + wide(beta, X)


@wrong(OUTSIDE)
def eps_outside(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / (nd.sqrt(var) + eps), gamma, beta)


@wrong(OUTSIDE, numpy=True)
def eps_outside_numpy(X, gamma, beta, eps):
    mean, var = moments(X)
    return wide(gamma, X) * (X - mean) / (var**0.5 + eps) + wide(beta, X)


@wrong(SQUARED)
def eps_squared(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps**2), gamma, beta)


@wrong(MISSING)
def eps_missing(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var), gamma, beta)


@wrong(SIZE)
def eps_fixed(X, gamma, beta, eps=1e-5):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + 1e-3), gamma, beta)


# The argument is not used; the number is the usual one.
@wrong(SIZE)
def eps_ignored(X, gamma, beta, eps=1e-5):
    mean, var = moments(X)
    return affine((X - mean) * nd.rsqrt(var + 1e-5), gamma, beta)


@wrong(SIZE)
def eps_doubled(X, gamma, beta, eps):
    """It comes in twice."""
    mean, var = moments(X)
    std = nd.sqrt(var + eps + eps)
    return affine((X - mean) / std, gamma, beta)


@wrong(NO_ROOT)
def divided_by_variance(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / (var + eps), gamma, beta)


# https://github.com/jax-ml/jax/issues/442
@wrong(UNNAMED)
def divided_by_square(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / (var + eps) ** 2, gamma, beta)


# 0 / 0 where all values are equal, right elsewhere.
@wrong(NAN)
def constant_gives_nan(X, gamma, beta, eps):
    mean, var = moments(X)
    X_hat = (X - mean) / nd.sqrt(var)
    return affine(X_hat * nd.sqrt(var / (var + eps)), gamma, beta)


# What is left where each line gives its value to a new name.
@wrong("X comes back as it is")
def nothing_done(X, gamma, beta, eps):
    mean, var = moments(X)
    X_hat = (X - mean) / nd.sqrt(var + eps)  # noqa: F841
    return X


@wrong(UNNAMED)
def absolute_deviation(X, gamma, beta, eps):
    mean = X.mean(axis=axes_of(X), keepdims=True)
    deviation = abs(X - mean).mean(axis=axes_of(X), keepdims=True)
    return affine((X - mean) / (deviation + eps), gamma, beta)


@wrong(UNNAMED)
def scaled_to_the_range(X, gamma, beta, eps):
    low = X.min(axis=axes_of(X), keepdims=True)
    high = X.max(axis=axes_of(X), keepdims=True)
    return affine((X - low) / (high - low + eps), gamma, beta)


# --- gamma and beta ---


@wrong("gamma and beta are swapped")
def swapped(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), beta, gamma)


@wrong("gamma is ignored, or fixed at 1")
def gamma_ignored(X, gamma, beta, eps):
    mean, var = moments(X)
    return (X - mean) / nd.sqrt(var + eps) + wide(beta, X)


@wrong("beta is ignored")
def beta_ignored(X, gamma, beta, eps):
    mean, var = moments(X)
    return wide(gamma, X) * (X - mean) / nd.sqrt(var + eps)


@wrong("gamma and beta are both ignored")
def both_ignored(X, gamma, beta, eps):
    mean, var = moments(X)
    return (X - mean) / nd.sqrt(var + eps)


@wrong("gamma is used as 1 + gamma")
def one_plus_gamma(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), 1 + gamma, beta)


@wrong("beta is subtracted")
def beta_subtracted(X, gamma, beta, eps):
    mean, var = moments(X)
    return affine((X - mean) / nd.sqrt(var + eps), gamma, -beta)


@wrong(UNNAMED)
def beta_inside(X, gamma, beta, eps):
    """gamma scales beta, too."""
    mean, var = moments(X)
    return wide(gamma, X) * ((X - mean) / nd.sqrt(var + eps) + wide(beta, X))


@wrong(ALONG)
def not_reshaped(X, gamma, beta, eps):
    mean, var = moments(X)
    return gamma * (X - mean) / nd.sqrt(var + eps) + beta


@wrong(ALONG)
def along_height(X, gamma, beta, eps):
    mean, var = moments(X)
    if X.ndim == 4:
        gamma, beta = gamma.reshape((1, 1, -1, 1)), beta.reshape((1, 1, -1, 1))
    return gamma * (X - mean) / nd.sqrt(var + eps) + beta


@wrong(ALONG)
def along_the_batch(X, gamma, beta, eps):
    shape = (-1,) + (1,) * (X.ndim - 1)
    mean, var = moments(X)
    X_hat = (X - mean) / nd.sqrt(var + eps)
    return gamma.reshape(shape) * X_hat + beta.reshape(shape)
