"""Batch normalizations with two mistakes, drawn once and for all."""

import itertools

import utils  # noqa: F401  (it makes `import mxnet` work)
import numpy as np
from mxnet import autograd, nd

from tests.support.zoo_check import affine, axes_of, blend, wide

# Mistakes of one group would hide each other, or make a third one.
GROUPS = {
    "statistics": {
        "instance": "statistics per sample and channel in convolutions",
        "all axes": "statistics over all axes",
        "digits": "digits are lost at a large mean: the mean is not subtracted before "
        "squaring",
        "about zero": "the variance is taken about 0 and not about the mean",
    },
    "divisor": {
        "unbiased": "the variance in the normalization is unbiased, divided by m − 1",
        "moving unbiased": "the moving variance is unbiased, divided by m − 1",
    },
    "root": {
        "outside": "eps stands outside the root",
        "squared": "eps is squared",
        "missing": "eps is missing",
        "large": "eps has another size than it should have",
        "no root": "the division is by the variance and not by its root",
    },
    "affine": {
        "swapped": "gamma and beta are swapped",
        "no gamma": "gamma is ignored, or fixed at 1",
        "no beta": "beta is ignored",
        "minus beta": "beta is subtracted",
    },
    "gradient": {
        "mean": "no gradient through the mean",
        "variance": "no gradient through the variance",
        "both": "no gradient through mean and variance",
        "X": "no gradient reaches X",
    },
    "update": {
        "flipped": "momentum is flipped: it weighs the new value",
        "last": "the moving statistics are those of the last batch",
        "kept": "the moving statistics are not updated, or replaced and not written in "
        "place",
        "kept mean": "the moving mean is not updated",
        "twice": "the moving statistics are updated twice per step",
        "deviation": "the deviation is stored as moving variance",
    },
    "mode": {
        "by batch": "prediction normalizes by the batch's own statistics",
        "by moving": "training normalizes by the moving statistics",
        "in prediction": "prediction updates the moving statistics",
        "plain": "prediction ignores gamma and beta",
    },
    "besides": {
        "changes X": "it changes its input",
        "float64": "the output has another type than X",
    },
}
NAMES = {switch: name for group in GROUPS.values() for switch, name in group.items()}


def layer(*switches):
    """A batch normalization with the mistakes that are switched on."""
    on = set(switches)

    def batch_norm(X, gamma, beta, moving_mean, moving_var, momentum=0.9, eps=1e-5):
        training = autograd.is_training()
        given, X = X, X.detach() if "X" in on else X
        mean, var = statistics(X)
        state = moving_mean.copy(), moving_var.copy()
        if training or "in prediction" in on:
            update(X, mean, var, moving_mean, moving_var, momentum)
        if training and "by moving" in on or not training and "by batch" not in on:
            mean, var = (wide(v, X) for v in state)
        elif "unbiased" in on:
            var = unbiased(X, var)
        X_hat = (X - mean) / root(var, eps)
        if "plain" in on and not training:
            return X_hat
        if "no gamma" in on:
            gamma = nd.ones_like(gamma)
        if "no beta" in on:
            beta = nd.zeros_like(beta)
        if "swapped" in on:
            gamma, beta = beta, gamma
        Y = affine(X_hat, gamma, -beta if "minus beta" in on else beta)
        if "changes X" in on:
            with autograd.pause():
                given[:] = 0
        return Y.astype("float64") if "float64" in on else Y

    def statistics(X):
        axes = axes_of(X)
        if "instance" in on and X.ndim == 4:
            axes = (2, 3)
        if "all axes" in on:
            axes = tuple(range(X.ndim))
        mean = X.mean(axis=axes, keepdims=True)
        mean = mean.detach() if on & {"mean", "both"} else mean
        if "digits" in on:
            var = (X * X).mean(axis=axes, keepdims=True) - mean**2
        else:
            centered = X if "about zero" in on else X - mean
            var = (centered**2).mean(axis=axes, keepdims=True)
        return mean, var.detach() if on & {"variance", "both"} else var

    def unbiased(X, var):
        m = X.size / X.shape[1]
        return var * m / (m - 1)

    def root(var, eps):
        if "outside" in on:
            return nd.sqrt(var) + eps
        eps = {"squared": eps**2, "missing": 0, "large": 0.01}.get(
            next((s for s in on if s in GROUPS["root"]), None), eps
        )
        return var + eps if "no root" in on else nd.sqrt(var + eps)

    def update(X, mean, var, moving_mean, moving_var, momentum):
        if "kept" in on:
            return
        if "moving unbiased" in on:
            var = unbiased(X, var)
        if "deviation" in on:
            var = nd.sqrt(var)
        if "flipped" in on:
            momentum = 1 - momentum
        if "last" in on:
            momentum = 0
        for _ in range(1 + ("twice" in on)):
            if "kept mean" not in on:
                blend(moving_mean, per_feature(mean, X), momentum)
            blend(moving_var, per_feature(var, X), momentum)

    def per_feature(value, X):
        """Of statistics that are not one per feature, what fits."""
        value = (
            nd.broadcast_to(value, (X.shape[0], *X.shape[1:]))
            if (value.size != X.shape[1])
            else value
        )
        return value.mean(axis=axes_of(X)) if value.size != X.shape[1] else value

    return batch_norm


def drawn(count=40):
    """Pairs of switches of different groups, always the same ones."""
    groups = [
        (a, b)
        for one, two in itertools.combinations(GROUPS.values(), 2)
        for a, b in itertools.product(one, two)
    ]
    chosen = np.random.RandomState(16).choice(len(groups), count, replace=False)
    return [groups[i] for i in sorted(chosen)]
