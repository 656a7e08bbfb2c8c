"""The inputs that a layer is tried on, and which of them to show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from utils.check.specs.batch_norm.formula import (
    BY_BETA,
    BY_GAMMA,
    BY_X,
    MEAN,
    MEAN_2,
    MEAN_P,
    OUTPUT,
    PREDICTION,
    VAR,
    VAR_2,
    VAR_P,
    Case,
)
from utils.check.specs.batch_norm.layer import Block, Function


def cases(layer: Function | Block) -> Sequence[Case]:
    """Small inputs that tell the mistakes apart.

    One with as many samples, rows or columns as channels shows vectors that lie along a
    wrong axis; others, in which these numbers differ, show errors. The numbers of
    samples differ, too. Values near eps show where it stands, equal ones whether it is
    missing, and a mean of 1000 and more what loses digits.
    """
    C, draw = (
        layer.channels,
        np.random.RandomState(0),
    )  # NumPy keeps its streams forever
    shapes = {
        2: [(3, C), (5, C), (C, C)],
        4: [(2, C, 1, 3), (3, C, 4, C), (3, C, C, 5), (C, C, 3, 1)],
    }
    found = []
    for ndim in layer.dimensions:
        for shape in shapes[ndim]:
            X = draw.randint(-4, 5, shape)
            X[0], X[-1] = 2, -1  # no two features alike, and none with equal values
            X[0, 0] = 3
            found.append(case(layer, X + draw.randint(0, 3, shape), draw))
        shape = (4, C) + (1, 2) * (ndim == 4)
        eps = 1e-3 if layer.eps is None else layer.eps
        X = draw.randint(-2, 3, shape)
        X[0], X[1] = 2, -2
        found.append(case(layer, np.sqrt(eps) * X, draw, eps))
        X = draw.randint(-2, 3, shape)
        X[:, 0] = 1
        found.append(case(layer, X, draw))
        X = 1000 * (1 + np.arange(C) % 3).reshape((1, C) + (1, 1) * (ndim == 4))
        found.append(case(layer, X + draw.randint(0, 2, (7, *shape[1:])), draw))
    return found


def case(layer, X, draw, near=1.0):
    """A case with this X; near: the size of its variance."""
    C = layer.channels
    return Case(
        X=np.asarray(X, "float32"),
        gamma=np.asarray(draw.permutation(C) + 2, "float32"),
        beta=np.asarray(draw.permutation(C) - 0.5, "float32"),
        moving_mean=np.asarray(draw.randint(-3, 4, C) + 0.5, "float32"),
        moving_var=np.asarray(near * (draw.permutation(C) + 2), "float32"),
        G=np.asarray(draw.randint(-3, 4, X.shape), "float32"),
        eps=(0.1 if near == 1 else near) if layer.eps is None else layer.eps,
        momentum=0.75 if layer.momentum is None else layer.momentum,
        has_statistics=layer.has_statistics,
    )


def resized(layer: Function | Block, samples: int) -> Case:
    shape = (samples, layer.channels) + (2, 1) * (2 not in layer.dimensions)
    draw = np.random.RandomState(samples)
    return case(layer, draw.randint(-4, 5, shape), draw)


def examples(layer: Function | Block) -> Sequence[Any]:
    """Hypothesis strategies of cases, those of small shapes first."""
    from hypothesis import strategies as st

    near_eps = float(np.sqrt(layer.eps or 0.1))

    @st.composite
    def build(draw, shape):
        def whole(size, low, high):
            numbers = [st.integers(low, high)] * int(np.prod(size))
            return np.reshape(draw(st.tuples(*numbers)), size).astype("float32")

        # Where the mean is large, digits can get lost; where values are near eps, it
        # matters where that stands.
        offset = draw(st.sampled_from([0, 0, 0, 1000]))
        scale = draw(st.sampled_from([1.0, 1.0, near_eps]))
        channels = shape[1]
        X, G = whole(shape, 0, 5), whole(shape, 0, 3)
        gamma, beta = whole(channels, 1, 3), whole(channels, 0, 2)
        mean, var = whole(channels, 0, 2), whole(channels, 1, 3)
        # A block has as many channels as it has, so they are repeated.
        all_channels = layer.channels if isinstance(layer, Block) else channels
        repeated = np.arange(all_channels) % channels
        return Case(
            X=(scale * (X + offset)).astype("float32")[:, repeated],
            gamma=gamma[repeated],
            beta=beta[repeated],
            moving_mean=mean[repeated],
            moving_var=np.float32(scale**2) * var[repeated],
            G=G[:, repeated],
            eps=0.1 if layer.eps is None else layer.eps,
            momentum=0.75 if layer.momentum is None else layer.momentum,
            has_statistics=layer.has_statistics,
        )

    # A moving variance of one value is unbiased in no sense, so there are two samples.
    shapes = [(2, 1), (3, 1), (2, 2), (3, 2)]
    shapes += [(2, 1, 1, 1), (2, 1, 1, 2), (2, 2, 1, 2), (2, 2, 2, 3), (3, 2, 2, 2)]
    return [build(shape) for shape in shapes if len(shape) in layer.dimensions]


def inputs(case: Case, name: str) -> Mapping[str, Any]:
    """Of a case, what the value with this name depends on."""
    names = ["X"]
    if name in (OUTPUT, PREDICTION, BY_X, BY_GAMMA, BY_BETA):
        names += ["gamma", "beta", "eps"]
    if name in (BY_X, BY_GAMMA, BY_BETA):
        names += ["G"]
    if name == PREDICTION:
        names += ["moving_mean", "moving_var"]
    if name in (MEAN, MEAN_2, MEAN_P):
        names += ["moving_mean", "momentum"]
    if name in (VAR, VAR_2, VAR_P):
        names += ["moving_var", "momentum"]
    return {name: getattr(case, name) for name in names}
