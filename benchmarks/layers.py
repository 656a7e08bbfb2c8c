"""One batch normalization layer in every formulation of the course."""

import os

import utils
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn

from benchmarks.timing import race

try:
    import torch
except ImportError:  # see requirements/bench.txt
    torch = None
else:
    torch.set_num_threads(len(os.sched_getaffinity(0)))

SHAPES = [(256, 6, 24, 24), (64, 20, 24, 24), (64, 50, 8, 8), (256, 120)]
GROWTH = [(n, 20, 12, 12) for n in (16, 64, 256, 1024, 4096)]
GROWTH += [(64, c, 12, 12) for c in (4, 16, 64, 256, 512)]

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


def torch_formulations(channels):
    """The same in PyTorch: the textbook code and `torch.nn.BatchNorm`."""
    gamma = torch.ones(channels, requires_grad=True)
    beta = torch.zeros(channels, requires_grad=True)

    def textbook(X):
        axes = (0,) if X.ndim == 2 else (0, 2, 3)
        shape = (1, -1) + (1,) * (X.ndim - 2)
        mean = X.mean(axes, keepdim=True)
        var = ((X - mean) ** 2).mean(axes, keepdim=True)
        X_hat = (X - mean) / torch.sqrt(var + 1e-5)
        return gamma.reshape(shape) * X_hat + beta.reshape(shape)

    norms = {2: torch.nn.BatchNorm1d(channels), 4: torch.nn.BatchNorm2d(channels)}
    return {
        "PyTorch, textbook": textbook,
        "torch.nn.BatchNorm": lambda X: norms[X.ndim](X),
    }


def passes(shape, names=None):
    """{name: (forward, forward and backward)}, functions that take one step."""
    steps = {}
    X, G = nd.random.normal(shape=shape), nd.random.normal(shape=shape)
    X.attach_grad()
    for name, layer in formulations(shape[1]).items():
        if len(shape) == 4 or name in ("textbook", "fast_batch_norm", "nn.BatchNorm"):
            steps[name] = _mxnet_steps(layer, X, G)
    if torch:
        x, g = (torch.tensor(a.asnumpy()) for a in (X, G))
        x.requires_grad_()
        for name, layer in torch_formulations(shape[1]).items():
            steps[name] = _torch_steps(layer, x, g)
    return {name: steps[name] for name in names or steps if name in steps}


def _mxnet_steps(layer, X, G):
    def forward():
        with autograd.record():
            return layer(X)

    return forward, lambda: forward().backward(G)


def _torch_steps(layer, X, G):
    def backward():
        X.grad = None
        layer(X).backward(G)

    return lambda: layer(X), backward


def measure(shapes=SHAPES, names=None, seconds=1.0):
    """One row for each shape and formulation, times in milliseconds."""
    rows = []
    for shape in shapes:
        steps = passes(shape, names)
        forward = race({name: step[0] for name, step in steps.items()}, seconds)
        both = race({name: step[1] for name, step in steps.items()}, seconds)
        rows += [
            {
                "shape": list(shape),
                "formulation": name,
                "forward ms": 1e3 * forward[name],
                "forward + backward ms": 1e3 * both[name],
                "of nn.BatchNorm": both[name] / both["nn.BatchNorm"],
            }
            for name in steps
        ]
    return rows


def growth(shapes=GROWTH, seconds=0.5):
    """How the time grows with the batch and with the channels."""
    names = "textbook", "fast_batch_norm", "nn.BatchNorm", "torch.nn.BatchNorm"
    return measure(shapes, names, seconds)


def errors(shape=(64, 20, 13, 13)):
    """Largest error against float64, of the output's and the gradient's largest."""
    rows = []
    for mean in 0, 1000:
        X, G = nd.random.normal(mean, 1, shape), nd.random.normal(shape=shape)
        X.attach_grad()
        right = _in_float64(X.asnumpy(), G.asnumpy())
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


def _in_float64(X, G, eps=1e-5):
    X, G = X.astype("float64"), G.astype("float64")
    axes = {"axis": (0, 2, 3), "keepdims": True}
    centered = X - X.mean(**axes)
    std = np.sqrt((centered**2).mean(**axes) + eps)
    X_hat = centered / std
    grad = (G - G.mean(**axes) - X_hat * (G * X_hat).mean(**axes)) / std
    return X_hat, grad
