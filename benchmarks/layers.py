"""One batch normalization layer in every formulation of the course."""

import utils
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn
from utils.compiler import CompilerError, find_compiler

from benchmarks import settings
from benchmarks.timing import race

LOOPS = "kernel's loops"
# Whose growth is measured, and who takes a dense batch.
COMPILED = "nn.BatchNorm", "kernel"
DENSE = "textbook", "fast_batch_norm", *COMPILED

scratch = utils.definitions("batch-norm-scratch")
speed = utils.definitions("batch-norm-speed")
kernel = utils.definitions("batch-norm-kernel")


def can_compile():
    """Whether there is a C++ compiler, which the kernel needs."""
    try:
        find_compiler()
    except CompilerError:
        return False
    return True


def formulations(channels):
    """Layers X -> Y from the slowest to the fastest, and the compiled ones.

    Without a C++ compiler the kernel is not among them.
    """
    gamma, beta = nd.ones(channels), nd.zeros(channels)
    moving = nd.zeros(channels), nd.ones(channels)
    for array in gamma, beta:
        array.attach_grad()
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
    compiled = {"nn.BatchNorm": nn.BatchNorm}
    if can_compile():
        kernel.load()
        compiled["kernel"] = kernel.FusedBatchNorm
    for name, block in compiled.items():
        layers[name] = block(in_channels=channels)
        layers[name].initialize()
    return layers


def _bind(layer, *state):
    return lambda X: layer(X, *state)


def passes(shape, names):
    """{name: (forward, forward and backward)}, functions that take one step."""
    X, G = nd.random.normal(shape=shape), nd.random.normal(shape=shape)
    X.attach_grad()
    return {
        name: _steps(layer, X, G)
        for name, layer in formulations(shape[1]).items()
        if (len(shape) == 4 or name in DENSE) and (names is None or name in names)
    }


def _steps(layer, X, G):
    def forward():
        with autograd.record():
            return layer(X)

    return forward, lambda: forward().backward(G)


def measure(shapes=settings.SHAPES, names=None, seconds=0.2):
    """One row for each shape and formulation, times in milliseconds.

    names: which of those that there are for a shape; None means all.
    """
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


def loops(shape, seconds=0.5):
    """A row for the kernel's loops alone, which write into arrays made once.

    The operator's arrays are new in each step. Beyond some size the system fills every
    page of them with zeros first, which then takes longer than the loops do.
    """
    X, G = nd.random.normal(shape=shape), nd.random.normal(shape=shape)
    gamma, beta = nd.ones(shape[1]), nd.zeros(shape[1])
    compiled = kernel.Loops(kernel.CONVOLUTION, flags=["-fopenmp"])
    run = kernel.Step(compiled, X, gamma, beta, G)
    spent = race({"loops": run}, nd.waitall, seconds)["loops"]
    return {
        "shape": list(shape),
        "formulation": LOOPS,
        "forward + backward ms": 1e3 * spent,
    }


def growth():
    """How the time grows with the batch and with the channels."""
    return measure(settings.GROWTH, COMPILED, seconds=0.1)


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
