"""One batch normalization layer in every formulation of the course."""

import utils
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn

from benchmarks import settings
from benchmarks.timing import race

# What a dense batch, and growth, are measured for.
ENDS = "textbook", "fast_batch_norm", "nn.BatchNorm"

scratch = utils.definitions("batch-norm-scratch")
speed = utils.definitions("batch-norm-speed")


def formulations(channels):
    """Layers X -> Y from the slowest to the fastest, and the compiled one."""
    gamma, beta = nd.ones(channels), nd.zeros(channels)
    moving = nd.zeros(channels), nd.ones(channels)
    for array in gamma, beta:
        array.attach_grad()
    compiled = nn.BatchNorm(in_channels=channels)
    compiled.initialize()
    view = speed.pixels_as_samples
    learned = {
        "textbook": scratch.pure_batch_norm,
        "pixels as samples": view(scratch.pure_batch_norm),
        "sums as products": view(speed.products),
        "one affine map": view(speed.folded),
        "as a product": view(speed.diagonal),
        "as a convolution": speed.depthwise,
    }
    layers = {name: _bind(layer, gamma, beta) for name, layer in learned.items()}
    layers["fast_batch_norm"] = _bind(scratch.fast_batch_norm, gamma, beta, *moving)
    return layers | {"nn.BatchNorm": compiled}


def _bind(layer, *state):
    return lambda X: layer(X, *state)


def passes(shape, names):
    """{name: (forward, forward and backward)}, functions that take one step."""
    X, G = nd.random.normal(shape=shape), nd.random.normal(shape=shape)
    X.attach_grad()
    if len(shape) == 2:
        names = ENDS
    return {
        name: _steps(layer, X, G)
        for name, layer in formulations(shape[1]).items()
        if names is None or name in names
    }


def _steps(layer, X, G):
    def forward():
        with autograd.record():
            return layer(X)

    return forward, lambda: forward().backward(G)


def measure(shapes=settings.SHAPES, names=None, seconds=1.0):
    """One row for each shape and formulation, times in milliseconds."""
    rows = []
    for shape in shapes:
        steps = passes(shape, names)
        forward = race(
            {name: step[0] for name, step in steps.items()}, nd.waitall, seconds
        )
        both = race(
            {name: step[1] for name, step in steps.items()}, nd.waitall, seconds
        )
        rows += [
            {
                "shape": list(shape),
                "formulation": name,
                "forward ms": 1e3 * forward[name],
                "forward + backward ms": 1e3 * both[name],
            }
            for name in steps
        ]
    return rows


def growth():
    """How the time grows with the batch and with the channels."""
    return measure(settings.GROWTH, ENDS, seconds=0.5)


def errors(shape=(64, 20, 13, 13)):
    """Largest error against float64, of the output's and the gradient's largest."""
    rows = []
    for mean in 0, 1000:
        X, G = nd.random.normal(mean, 1, shape), nd.random.normal(shape=shape)
        X.attach_grad()
        right = in_float64(X.asnumpy(), G.asnumpy())
        for name, layer in formulations(shape[1]).items():
            with autograd.record():
                Y = layer(X)
            Y.backward(G)
            found = Y.asnumpy(), X.grad.asnumpy()
            output, gradient = (
                float(abs(f - r).max() / abs(r).max())
                for f, r in zip(found, right, strict=True)
            )
            rows.append(
                {
                    "mean": mean,
                    "formulation": name,
                    "output": output,
                    "gradient": gradient,
                }
            )
    return rows


def in_float64(X, G):
    """The normalized X, and the gradient by X where that by the output is G."""
    X, G = X.astype("float64"), G.astype("float64")
    axes = {"axis": (0, 2, 3), "keepdims": True}
    centered = X - X.mean(**axes)
    std = np.sqrt((centered**2).mean(**axes) + 1e-5)
    X_hat = centered / std
    grad = (G - G.mean(**axes) - X_hat * (G * X_hat).mean(**axes)) / std
    return X_hat, grad
