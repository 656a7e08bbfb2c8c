"""Batch normalization by the book, in float64, and the ways in which it can be wrong.

Formulas: Ioffe & Szegedy (2015), arXiv:1502.03167; the first chapter derives the
gradient. The moving variance is biased, as MXNet's is on a CPU.
"""

import dataclasses
import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
from utils.check import arrays
from utils.check.values import (
    ANYTHING,
    Failing,
    Later,
    Observation,
    Otherwise,
    Perhaps,
    Roughly,
    Unknown,
    if_finite,
    is_array,
)

LARGE = 300  # from such a mean on, digits can get lost

# What is looked at, in the order in which to mend it.
OUTPUT = "output in training"
BY_X, BY_GAMMA, BY_BETA = (f"gradient of {name}" for name in ("X", "gamma", "beta"))
MEAN, VAR = (f"{name} after a training step" for name in ("moving_mean", "moving_var"))
MEAN_2, VAR_2 = (f"{name} after two steps" for name in ("moving_mean", "moving_var"))
START_VAR = "moving_var at the start"
GRAPH = "moving statistics are recorded"
PREDICTION = "output in prediction"
MEAN_P, VAR_P = (f"{name} after predicting" for name in ("moving_mean", "moving_var"))
X_LEFT, GAMMA_LEFT = "X after the call", "gamma after the call"
SEEN = (OUTPUT, BY_X, BY_GAMMA, BY_BETA, X_LEFT, GAMMA_LEFT, arrays.TYPE, arrays.DEVICE)
SEEN_OF_STATISTICS = MEAN, VAR, MEAN_2, VAR_2, GRAPH, PREDICTION, MEAN_P, VAR_P


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """Inputs of a layer: for two training steps, and for a prediction instead."""

    X: np.ndarray  # (N, C) or (N, C, H, W)
    gamma: np.ndarray  # (C,), as are the following three
    beta: np.ndarray
    moving_mean: np.ndarray
    moving_var: np.ndarray
    G: np.ndarray  # the gradient of the output
    eps: float
    momentum: float
    has_statistics: bool  # whether the layer has moving statistics

    @functools.cached_property
    def sizes(self) -> tuple[float, float, float]:
        """Of X, of the smallest deviation that divides, and of gamma times G."""
        over = (0, *range(2, self.X.ndim))
        var = self.X.astype("float64").var(axis=over)
        scale = np.abs(self.gamma).max() * np.abs(self.G).max(initial=0)
        return float(np.abs(self.X).max()), float((var.min() + self.eps) ** 0.5), scale

    @property
    def second(self) -> np.ndarray:
        """What the second training step gets."""
        return 1 - 0.5 * self.X

    @functools.cached_property
    def doubles(self) -> SimpleNamespace:
        """All arrays in float64, as the reference computes."""
        names = "X", "second", "G", "gamma", "beta", "moving_mean", "moving_var"
        return SimpleNamespace(**{n: getattr(self, n).astype("float64") for n in names})

    def moments(self, step: str, over: tuple[int, ...], centered: bool) -> tuple:
        """Mean and variance of "X" or "second" over some axes, and of how many values.

        Both with axes of length 1. Thousands of wrong references ask for few of them.
        """
        key = step, over, centered
        if key not in self._moments:
            X = getattr(self.doubles, step)
            mean = X.mean(axis=over, keepdims=True)
            var = ((X - mean * centered) ** 2).mean(axis=over, keepdims=True)
            self._moments[key] = mean, var, X.size // mean.size
        return self._moments[key]

    @functools.cached_property
    def _moments(self) -> dict:
        return {}

    @property
    def is_large(self) -> bool:
        return float(np.abs(self.X).max()) >= LARGE


def tolerance(case: Case, name: str) -> tuple[float, float]:
    """How far float32 may be off: mostly by what it does to a mean.

    A gradient is a difference of numbers as large as gamma · G / deviation.
    """
    X, std, G = case.sizes
    if name in (X_LEFT, GAMMA_LEFT):
        return 0.0, 1.0
    return 2e-4 + 2e-6 * X / std, G / std + 1e-3 if name == BY_X else max(G, 1e-2)


def reference(case: Case, **changes: Any) -> Observation:
    """What batch normalization does for a case, in float64; `Rules` has the changes."""
    rules = Rules(**changes)
    if rules.only not in (None, case.X.ndim):
        return Failing()
    X, moving = case.doubles.X, (case.doubles.moving_mean, case.doubles.moving_var)
    own = {"batch": None, "moving": moving}
    if rules.train == "updated":
        own["updated"] = rules.updated(moving, "X", case)
    output, gradients = rules.normalized(case, own[rules.train], rules.root)
    if output.shape != X.shape:  # broadcast with a vector along another axis
        return Unknown()
    seen = Later({OUTPUT: output, X_LEFT: X, GAMMA_LEFT: case.gamma})
    seen.put_off((BY_X, BY_GAMMA, BY_BETA), lambda: map(if_finite, gradients()))
    seen |= {arrays.TYPE: "float32", arrays.DEVICE: "as X"}
    # Code may or may not take other statistics for those of the features.
    size = rules.statistics(case)[0].size
    if case.has_statistics and size not in (1, case.gamma.size):
        return Unknown({name: Perhaps(seen[name]) for name in (OUTPUT, BY_X)})
    if case.has_statistics:

        def two_steps():
            first = rules.updated(moving, "X", case)
            return *first, *rules.updated(first, "second", case)

        seen.put_off((MEAN, VAR, MEAN_2, VAR_2), two_steps)
        seen |= {GRAPH: "no", START_VAR: rules.start_var + 0 * moving[1]}
        seen.put_off((PREDICTION, MEAN_P, VAR_P), lambda: rules.predicted(case, moving))
        if size != case.gamma.size:
            every = seen.computed().items()
            return Unknown({name: Perhaps(value) for name, value in every})
    return rules.besides(seen, case)


@dataclasses.dataclass(frozen=True)
class Rules:
    """Batch normalization as it should be; any other value makes it wrong."""

    dense: tuple[int, ...] = (0,)  # axes to average over, of (N, C)
    conv: tuple[int, ...] = (0, 2, 3)  # and of (N, C, H, W)
    only: int | None = None  # the number of axes that is accepted
    dense_along: int = 1  # the axis that gamma and beta lie along, of (N, C)
    conv_along: int = 1  # and of (N, C, H, W)
    ddof: int = 0  # 1: the variance that normalizes is unbiased
    centered: bool = True  # the variance is about the mean
    shifted: bool = True  # the mean is subtracted
    root: str = "inside"  # how the deviation comes from the variance
    eps: float | None = None  # a number instead of the argument
    eps_times: float = 1.0
    affine: str = "gamma, beta"  # scale and offset
    constant: float | None = None  # what comes of a feature with equal values
    precise: bool = True  # no digits are lost at a large mean
    no_gradient: str = ""  # through what, or of what; "factor gamma": it has no gamma
    averaged: bool = False  # the gradients of gamma and beta are means
    train: str = "batch"  # whose statistics normalize
    old: str = "momentum"  # the weight of the old moving statistics
    steps: int = 1  # updates per training step
    momentum: float | None = None  # a number instead of the argument
    flipped: str = ""  # for which statistic momentum weighs the new value
    kept: str = ""  # which statistic is never updated
    moving_ddof: int = 0  # 1: the moving variance is unbiased
    mean_ddof: int = 0  # 1: the moving mean is scaled like that
    stored: str = "variance"
    start_var: float = 1.0
    predict: str = "moving"
    predict_root: str | None = None
    predict_affine: str | None = None
    updates_in_prediction: bool = False
    graph: bool = False  # autograd records the updates
    identity: bool = False  # X comes back
    changes_X: bool = False
    dtype: str = "float32"
    device: str = "as X"

    def statistics(self, case, step="X"):
        over = self.dense if case.X.ndim == 2 else self.conv
        return case.moments(step, over, self.centered)

    def normalized(self, case, moving, root):
        """Output, and a function that returns the gradients of X, gamma and beta.

        By the batch where `moving` is None.
        """
        X, G = case.doubles.X, case.doubles.G
        if self.identity:
            return X, lambda: (G, 0 * case.gamma, 0 * case.beta)
        mean, var, count = self.statistics(case)
        by_batch, over = moving is None, self.dense if X.ndim == 2 else self.conv
        if by_batch:
            var = unbiased(var, count) if self.ddof else var
        else:
            mean, var = (along(v, 1, X.ndim) for v in moving)
        shift = mean if self.shifted else 0
        std, slope = deviation(var, self.eps_times * (self.eps or case.eps), root)
        X_hat = (X - shift) / std
        axis = self.dense_along if X.ndim == 2 else self.conv_along
        gamma, beta = (
            along(v, axis, X.ndim) for v in (case.doubles.gamma, case.doubles.beta)
        )
        scale, offset = {
            "gamma, beta": (gamma, beta),
            "beta, gamma": (beta, gamma),
            "1, beta": (1 + 0 * gamma, beta),
            "1 written, beta": (1 + 0 * gamma, beta),
            "gamma, 0": (gamma, 0 * beta),
            "1, 0": (1 + 0 * gamma, 0 * beta),
            "1 + gamma, beta": (1 + gamma, beta),
            "gamma, -beta": (gamma, -beta),
        }[self.affine]
        output = scale * X_hat + offset
        is_constant = self.constant is not None and by_batch and (var == 0).any()
        if is_constant:
            output = np.where(var == 0, self.constant, output)

        def gradients():
            H = G * (1 if "factor gamma" in self.no_gradient else scale) / std
            by_X = H
            if by_batch:
                if "mean" not in self.no_gradient and self.shifted:
                    by_X = by_X - H.mean(axis=over, keepdims=True)
                if "variance" not in self.no_gradient:
                    sums = (H * (X - shift)).sum(axis=over, keepdims=True) / std * slope
                    about = mean if self.centered else 0
                    by_X = by_X - sums * 2 * (X - about) / max(count - self.ddof, 1)
            by = self.of_affine(G, X_hat, axis)
            if is_constant:
                return ANYTHING, ANYTHING, by["beta"]
            found = {"X": by_X} | by
            for name in found:
                if (
                    name in self.no_gradient.split()
                    and "factor" not in self.no_gradient
                ):
                    found[name] = 0 * found[name]
            if self.averaged:
                found |= {name: found[name] / count for name in ("gamma", "beta")}
            return tuple(found.values())

        return output, gradients

    def of_affine(self, G, X_hat, axis):
        """The gradients of gamma and beta, which lie along an axis."""
        others = tuple(a for a in range(G.ndim) if a != axis)
        by_scale, by_offset = (G * X_hat).sum(axis=others), G.sum(axis=others)
        by = {"gamma": 0 * by_offset, "beta": 0 * by_offset}
        for name, value in zip(
            self.affine.split(", "), (by_scale, by_offset), strict=True
        ):
            if (name := name.removeprefix("1 + ")) in by:
                by[name] = value
        if self.affine == "gamma, -beta":
            by["beta"] = -by_offset
        return by

    def updated(self, moving, step, case):
        """Moving mean and variance after a step with "X" or "second"."""
        mean, var, count = self.statistics(case, step)
        mean, var = mean.ravel(), var.ravel()
        mean = unbiased(mean, count) if self.mean_ddof else mean
        var = unbiased(var, count) if self.moving_ddof else var
        var = {
            "variance": var,
            "variance with eps": var + case.eps,
            "deviation": np.sqrt(var),
            "deviation with eps": np.sqrt(var + case.eps),
            "1 / deviation": 1 / np.sqrt(var + case.eps),
        }[self.stored]
        rho = case.momentum if self.momentum is None else self.momentum
        old, new = {
            "momentum": (rho, 1 - rho),
            "one": (1, 1 - rho),
            "none": (0, 1),
            "none, new weighted": (0, 1 - rho),
        }[self.old]
        moved = []
        for name, start, value in zip(
            ("mean", "variance"), moving, (mean, var), strict=True
        ):
            weights = (new, old) if name in self.flipped else (old, new)
            for _ in range(0 if name in self.kept else self.steps):
                start = weights[0] * start + weights[1] * value
            moved.append(start)
        return tuple(moved)

    def predicted(self, case, moving):
        """Output in prediction mode, and the moving statistics after it."""
        rules = dataclasses.replace(self, steps=self.steps or 1)
        after = moving
        if self.updates_in_prediction:
            after = rules.updated(moving, "X", case)
        rules = dataclasses.replace(self, affine=self.predict_affine or self.affine)
        own = {"batch": None, "moving": moving, "updated": after}[self.predict]
        Y, _ = rules.normalized(case, own, self.predict_root or self.root)
        return Y, *after

    def besides(self, seen, case):
        """What all else than numbers does to what is seen."""
        if not self.precise and case.is_large:
            return Unknown({OUTPUT: Otherwise(seen[OUTPUT])})
        if self.affine == "1 written, beta":
            seen[GAMMA_LEFT] = 1 + 0 * case.gamma
        if self.graph:  # from the second update on, MXNet may raise an error
            seen |= {
                GRAPH: "yes",
                BY_X: ANYTHING,
                BY_GAMMA: ANYTHING,
                BY_BETA: ANYTHING,
            }
            seen |= dict.fromkeys((MEAN, VAR, MEAN_2, VAR_2), ANYTHING)
        if self.changes_X:  # where autograd records, that is an error
            names = OUTPUT, GAMMA_LEFT, arrays.TYPE, arrays.DEVICE
            return Unknown(
                {X_LEFT: Otherwise(seen[X_LEFT])} | {n: seen[n] for n in names}
            )
        if self.dtype != "float32":
            seen |= {arrays.TYPE: Otherwise("float32")}
            every = seen.computed().items()
            seen |= {n: Roughly(v) for n, v in every if is_array(v)}
        if self.device != "as X":
            seen |= {arrays.DEVICE: Otherwise("as X")}
        return seen


def deviation(var, eps, root):
    """What the centered values are divided by, and its derivative by the variance."""
    if root in ("inside", "missing", "squared"):
        std = np.sqrt(var + {"inside": eps, "missing": 0, "squared": eps**2}[root])
        return std, 0.5 / std
    if root == "outside":
        return np.sqrt(var) + eps, 0.5 / np.sqrt(var)
    return var + (eps if root == "no root" else 0), 1 + 0 * var


def unbiased(values, count):
    return values * count / max(count - 1, 1)


def along(vector, axis, ndim):
    """A vector shaped so that it lies along one axis of an array."""
    return vector.reshape([-1 if a == axis else 1 for a in range(ndim)])
