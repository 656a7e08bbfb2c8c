"""Wrong batch normalizations with moving statistics, as functions."""

import utils  # noqa: F401  (it makes `import mxnet` work)
import mxnet as mx
from mxnet import autograd, nd

from tests.support.zoo_check import (
    UNNAMED,
    affine,
    axes_of,
    blend,
    moments,
    wide,
    wrong,
)

MOVING_UNBIASED = "the moving variance is unbiased, divided by m − 1"
MOVING_MEAN = "the moving mean is scaled by m / (m − 1), as an unbiased variance is"
FLIPPED = "momentum is flipped: it weighs the new value"
GROWS = "the old moving statistics are not weighted by momentum"
LAST = "the moving statistics are those of the last batch"
KEPT = "the moving statistics are not updated, or replaced and not written in place"
TWICE = "the moving statistics are updated twice per step"
STORED = "the deviation is stored as moving variance"
GRAPH = "the update of the moving statistics is recorded by autograd"
AS_TRAINING = "the mode is ignored: prediction does as training does"
AS_PREDICTION = "the mode is ignored: training does as prediction does"
BY_BATCH = "prediction normalizes by the batch's own statistics"
BY_MOVING = "training normalizes by the moving statistics"
IN_PREDICTION = "prediction updates the moving statistics"
PREDICTS_PLAIN = "prediction ignores gamma and beta"


def predicted(X, gamma, beta, moving_mean, moving_var, eps):
    X_hat = (X - wide(moving_mean, X)) / nd.sqrt(wide(moving_var, X) + eps)
    return affine(X_hat, gamma, beta)


def normalized(X, mean, var, gamma, beta, eps):
    return affine((X - mean) / nd.sqrt(var + eps), gamma, beta)


# --- The update ---


# What PyTorch does, https://github.com/pytorch/pytorch/issues/3122
@wrong(MOVING_UNBIASED)
def moving_unbiased(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    m = X.size / X.shape[1]
    blend(moving_mean, mean, momentum)
    blend(moving_var, var * m / (m - 1), momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/chainer/chainer/issues/332
@wrong(MOVING_MEAN)
def both_adjusted(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    m = X.size / X.shape[1]
    adjust = m / max(m - 1, 1)
    blend(moving_mean, adjust * mean, momentum)
    blend(moving_var, adjust * var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong(FLIPPED)
def flipped(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, 1 - momentum)
    blend(moving_var, var, 1 - momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/d2l-ai/d2l-en/pull/2213
@wrong(FLIPPED, numpy=True)
def flipped_and_returned(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not autograd.is_training():
        X_hat = (X - wide(moving_mean, X)) / mx.np.sqrt(wide(moving_var, X) + eps)
    else:
        mean, var = moments(X)
        X_hat = (X - mean) / mx.np.sqrt(var + eps)
        with autograd.pause():
            moving_mean = (1 - momentum) * moving_mean + momentum * mean.reshape(-1)
            moving_var = (1 - momentum) * moving_var + momentum * var.reshape(-1)
    return affine(X_hat, gamma, beta), moving_mean, moving_var


@wrong(GROWS)
def sums_up(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    with autograd.pause():
        moving_mean += (1 - momentum) * mean.reshape((-1,))
        moving_var += (1 - momentum) * var.reshape((-1,))
    return normalized(X, mean, var, gamma, beta, eps)


@wrong(LAST)
def last_batch(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    with autograd.pause():
        moving_mean[:] = mean.reshape((-1,))
        moving_var[:] = var.reshape((-1,))
    return normalized(X, mean, var, gamma, beta, eps)


# The assignments give the names to new arrays, which nobody keeps; so did
# https://github.com/HomericIntelligence/Odyssey/issues/5532
@wrong(KEPT)
def replaced(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
    if autograd.is_training():
        mean, var = moments(X)
        with autograd.pause():
            moving_mean = momentum * moving_mean + (1 - momentum) * mean.reshape((-1,))
            moving_var = momentum * moving_var + (1 - momentum) * var.reshape((-1,))
    else:
        mean, var = wide(moving_mean, X), wide(moving_var, X)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/paiml/aprender/pull/2166
@wrong(KEPT)
def never_updated(X, gamma, beta, moving_mean, moving_var, momentum, eps, training):
    if training:
        mean, var = moments(X)
    else:
        mean, var = wide(moving_mean, X), wide(moving_var, X)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong("the moving mean is not updated")
def mean_not_updated(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/keras-team/keras-core/pull/339
@wrong("the moving variance is not updated")
def variance_not_updated(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# As with https://github.com/pytorch/pytorch/issues/96136
@wrong(TWICE)
def updated_twice(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    for _ in range(2):
        blend(moving_mean, mean, momentum)
        blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong(STORED)
def deviation_stored(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, nd.sqrt(var), momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/FluxML/Flux.jl/pull/84: stored, and used, as it is.
@wrong(STORED)
def deviation_stored_and_used(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if autograd.is_training():
        mean, var = moments(X)
        std = nd.sqrt(var + eps)
        blend(moving_mean, mean, momentum)
        blend(moving_var, std, momentum)
    else:
        mean, std = wide(moving_mean, X), wide(moving_var, X)
    return affine((X - mean) / std, gamma, beta)


# https://github.com/torch/nn/issues/567
@wrong(STORED)
def inverse_stored_and_used(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if autograd.is_training():
        mean, var = moments(X)
        inverse = nd.rsqrt(var + eps)
        blend(moving_mean, mean, momentum)
        blend(moving_var, inverse, momentum)
    else:
        mean, inverse = wide(moving_mean, X), wide(moving_var, X)
    return affine((X - mean) * inverse, gamma, beta)


# https://github.com/d2l-ai/d2l-en/pull/1342
@wrong(GRAPH)
def recorded_and_returned(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not autograd.is_training():
        X_hat = (X - wide(moving_mean, X)) / nd.sqrt(wide(moving_var, X) + eps)
    else:
        mean, var = moments(X)
        X_hat = (X - mean) / nd.sqrt(var + eps)
        moving_mean = momentum * moving_mean + (1 - momentum) * mean.reshape((-1,))
        moving_var = momentum * moving_var + (1 - momentum) * var.reshape((-1,))
    return affine(X_hat, gamma, beta), moving_mean, moving_var


# In place, so that MXNet objects, by the second step at the latest.
@wrong(GRAPH)
def recorded_in_place(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    moving_mean[:] = momentum * moving_mean + (1 - momentum) * mean.reshape((-1,))
    moving_var[:] = momentum * moving_var + (1 - momentum) * var.reshape((-1,))
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/chainer/chainer/pull/4505
@wrong("eps is part of the moving variance")
def eps_stored(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var + eps, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/BVLC/caffe/pull/3299: m / (m - 1) on one of two terms.
@wrong(UNNAMED, MOVING_UNBIASED)
def one_term_adjusted(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    m = X.size / X.shape[1]
    blend(moving_mean, mean, momentum)
    blend(moving_var, (var + mean**2) * m / (m - 1) - mean**2, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong("momentum is ignored: another one is used")
def momentum_ignored(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, 0.9)
    blend(moving_var, var, 0.9)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/Jermmy/pytorch-quantization-demo/issues/17, for one of the two.
@wrong("momentum is flipped for one of the two statistics")
def flipped_for_the_variance(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, 1 - momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong("the old moving statistics are dropped, and the new ones scaled down")
def old_variance_forgotten(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    """(1 - momentum) without the old value."""
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    with autograd.pause():
        moving_mean[:] = (1 - momentum) * mean.reshape((-1,))
        moving_var[:] = (1 - momentum) * var.reshape((-1,))
    return normalized(X, mean, var, gamma, beta, eps)


# --- Modes ---


@wrong(AS_TRAINING)
def mode_ignored(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# Training is an argument, which is not looked at.
@wrong(AS_TRAINING, numpy=True)
def training_not_looked_at(
    X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5, training=True
):
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return affine((X - mean) / mx.np.sqrt(var + eps), gamma, beta)


@wrong(AS_PREDICTION)
def always_predicts(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    return predicted(X, gamma, beta, moving_mean, moving_var, eps)


@wrong(AS_PREDICTION)
def flag_of_the_operator(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    settings = {"eps": eps, "momentum": momentum, "fix_gamma": False}
    state = gamma, beta, moving_mean, moving_var
    return nd.BatchNorm(X, *state, use_global_stats=True, **settings)


# https://github.com/jax-ml/jax/issues/139
@wrong(BY_BATCH)
def predicts_by_the_batch(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    mean, var = moments(X)
    if autograd.is_training():
        blend(moving_mean, mean, momentum)
        blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong(BY_MOVING)
def trains_by_moving(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    Y = predicted(X, gamma, beta, moving_mean, moving_var, eps)
    if autograd.is_training():
        mean, var = moments(X)
        blend(moving_mean, mean, momentum)
        blend(moving_var, var, momentum)
    return Y


@wrong(BY_MOVING)
def trains_by_updated(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if autograd.is_training():
        mean, var = moments(X)
        blend(moving_mean, mean, momentum)
        blend(moving_var, var, momentum)
    return predicted(X, gamma, beta, moving_mean.copy(), moving_var.copy(), eps)


# The question of the mode is asked the wrong way round.
@wrong("training and prediction are swapped")
def modes_swapped(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# The update stands behind the if, and not in it.
@wrong(IN_PREDICTION)
def updated_behind_the_if(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    mean, var = moments(X)
    if autograd.is_training():
        Y = normalized(X, mean, var, gamma, beta, eps)
    else:
        Y = predicted(X, gamma, beta, moving_mean.copy(), moving_var.copy(), eps)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return Y


@wrong(PREDICTS_PLAIN)
def predicts_plain(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return (X - wide(moving_mean, X)) / nd.sqrt(wide(moving_var, X) + eps)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# --- Mistakes of one batch, in one mode or in both ---


# https://github.com/Tencent/ncnn/pull/311
@wrong("eps stands outside the root")
def eps_outside_in_prediction(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        std = nd.sqrt(wide(moving_var, X)) + eps
        return affine((X - wide(moving_mean, X)) / std, gamma, beta)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/chainer/chainer/pull/2214
@wrong("eps is missing")
def eps_missing_in_prediction(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, 0)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


# https://github.com/apache/mxnet/issues/1599: the default of the operator.
@wrong("gamma is fixed at 1, and overwritten")
def gamma_fixed(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
    state = gamma, beta, moving_mean, moving_var
    return nd.BatchNorm(X, *state, eps=eps, momentum=momentum)


@wrong("the variance in the normalization is unbiased, divided by m − 1")
def unbiased_for_both(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean, var = moments(X)
    m = X.size / X.shape[1]
    var = var * m / (m - 1)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong("statistics per sample and channel in convolutions")
def instance_norm_with_statistics(
    X, gamma, beta, moving_mean, moving_var, momentum, eps
):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    axes = (0,) if X.ndim == 2 else (2, 3)
    mean = X.mean(axis=axes, keepdims=True)
    var = ((X - mean) ** 2).mean(axis=axes, keepdims=True)
    blend(moving_mean, mean.mean(axis=0), momentum)
    blend(moving_var, var.mean(axis=0), momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong("digits are lost at a large mean: the mean is not subtracted before squaring")
def digits_lost(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    if not autograd.is_training():
        return predicted(X, gamma, beta, moving_mean, moving_var, eps)
    mean = X.mean(axis=axes_of(X), keepdims=True)
    var = (X**2).mean(axis=axes_of(X), keepdims=True) - mean**2
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)


@wrong("it changes its input")
def centered_in_place_in_prediction(
    X, gamma, beta, moving_mean, moving_var, momentum, eps
):
    if not autograd.is_training():
        X -= wide(moving_mean, X)
        return affine(X / nd.sqrt(wide(moving_var, X) + eps), gamma, beta)
    mean, var = moments(X)
    blend(moving_mean, mean, momentum)
    blend(moving_var, var, momentum)
    return normalized(X, mean, var, gamma, beta, eps)
