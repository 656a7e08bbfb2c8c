"""The same layers and networks in PyTorch, where `requirements/bench.txt` is installed.

    python -m benchmarks.pytorch THREADS

runs in a process of its own: see processes.py. Prints tables as JSON.
"""

import json
import sys
from functools import partial

import torch

from benchmarks import settings
from benchmarks.timing import race


def done():
    """On a CPU PyTorch returns when the result is there."""


FASTEST = ("torch.nn.BatchNorm",)


def formulations(channels):
    """The textbook code and `torch.nn.BatchNorm`, layers X -> Y."""
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


def layers(shapes, names=None, seconds=0.2):
    """One row for each shape and formulation, as `benchmarks.layers.measure`."""
    rows = []
    for shape in shapes:
        X, G = torch.randn(shape, requires_grad=True), torch.randn(shape)

        def backward(layer, X=X, G=G):
            X.grad = None
            layer(X).backward(G)

        found = {
            name: layer
            for name, layer in formulations(shape[1]).items()
            if names is None or name in names
        }
        forward = race(
            {name: partial(f, X) for name, f in found.items()}, done, seconds
        )
        both = race(
            {name: partial(backward, f) for name, f in found.items()}, done, seconds
        )
        rows += [
            {
                "shape": list(shape),
                "formulation": name,
                "forward ms": 1e3 * forward[name],
                "forward + backward ms": 1e3 * both[name],
            }
            for name in found
        ]
    return rows


def training_step(network):
    nn = torch.nn
    activation = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[network.activation]
    pool = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[network.pooling]
    modules = []
    for channels, kernel in network.convolutions:
        modules += [nn.LazyConv2d(channels, kernel), nn.LazyBatchNorm2d()]
        modules += [activation(), pool(2)]
    modules.append(nn.Flatten())
    for units in network.dense:
        modules += [nn.LazyLinear(units), nn.LazyBatchNorm1d(), activation()]
    net = nn.Sequential(*modules, nn.LazyLinear(10))
    net(torch.zeros(2, 1, 28, 28))  # makes the lazy layers' parameters
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

    def step(X, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def batches(images, labels, batch_size):
    X = torch.from_numpy(images[:, None]).float() / 255
    y = torch.from_numpy(labels).long()
    return list(zip(X.split(batch_size), y.split(batch_size), strict=True))


def train(network):
    """Images a second in training."""
    step, count = training_step(network), 4 * network.batch_size
    feed = batches(*settings.pictures(count), network.batch_size)

    def run():
        for X, y in feed:
            step(X, y)

    return count / race({"": run}, done, seconds=0.5)[""]


def main(threads):
    torch.set_num_threads(threads)
    report = {
        "layers": layers(settings.SHAPES),
        "growth": layers(settings.GROWTH, FASTEST, seconds=0.1),
        "networks": [
            {"network": title, "contender": "PyTorch", "images/s": train(network)}
            for title, network in settings.NETWORKS.items()
        ],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]))
