"""What the rules of `utils.explain_gap` ask about a layer's statistics.

A deviation is what a layer divides a channel by: √(variance + eps), with statistics
that are re-estimated on the training data. Numbers of a layer are root mean squares
over its channels, in deviations.
"""

import math
from collections.abc import Callable

import numpy as np
from utils.gap.facts import LayerFacts
from utils.gap.moving import Moments

STARTS = 1, 0  # variances to begin with: MXNet's, and that of many a block by hand


def is_start(stored: Moments) -> bool:
    """Whether these are exactly the statistics that a layer begins with."""
    begins = ((stored.var == var).all() for var in STARTS)
    return bool((stored.mean == 0).all() and any(begins))


def is_trained(f: LayerFacts) -> bool | None:
    """Whether training left a mark: gamma and beta are no longer 1 and 0.

    None if they don't tell: a bias before the layer left 0, so that a backward pass
    went through it, without gamma and beta; or they have no gradient, but it may have.
    """
    pairs = (f.layer.gamma, 1), (f.layer.beta, 0)
    left = [bool((a.asnumpy() != start).any()) for a, start in pairs if a is not None]
    if any(left):
        return True
    biases = [p for p in f.layer.before if p.name.endswith("bias")]
    if any(p.list_data()[0].asnumpy().any() for p in biases):
        return None
    if not left and any(p.grad_req != "null" for p in f.layer.before):
        return None
    return False


def off_and_noise(f: LayerFacts) -> tuple[float, float]:
    """By how much stored statistics are off, and by how much noise alone puts them off.

    Both are for means or for deviations, whichever are more off. An average with
    momentum m (the layer's; 0.9 if it doesn't say) over independent values of deviation
    s has the deviation s √((1 - m)/(1 + m)).
    """
    momentum = 0.9 if f.layer.momentum is None else f.layer.momentum
    factor = math.sqrt((1 - momentum) / (1 + momentum))
    means, variances = batch_moments(f)
    scale = 2 * f.deviation() ** 2  # a small change of variance, as one of deviation
    return max(
        (
            rms((stored - values.mean(axis=0)) / by),
            factor * rms(values.std(axis=0) / by),
        )
        for stored, values, by in (
            (f.stored.mean, means, f.deviation()),
            (f.stored.var, variances, scale),
        )
    )


def variation(f: LayerFacts) -> float:
    """By how much the means of training batches vary."""
    return rms(batch_moments(f)[0].std(axis=0) / f.deviation())


def batch_moments(f: LayerFacts) -> np.ndarray:
    """Means and biased variances of training batches, (2, batches, channels)."""
    return np.array([m[:2] for calls in f.batches for m in calls]).swapaxes(0, 1)


def distance(one: Moments, other: Moments, f: LayerFacts) -> float:
    """By how much means differ, or logarithms of deviations, if that is more."""
    logs = [np.log(moments.var + f.layer.eps) / 2 for moments in (one, other)]
    return max(rms((one.mean - other.mean) / f.deviation()), rms(logs[0] - logs[1]))


def pattern(one: Moments, other: Moments, f: LayerFacts) -> float:
    """By how much means differ from place to place, but for brightness and contrast."""
    x, y = (moments.mean - moments.mean.mean() for moments in (other, one))
    contrast = max(0, (x * y).sum() / max((x * x).sum(), 1e-12))
    return rms((y - contrast * x) / f.deviation())


def by_chance(f: LayerFacts, far: Callable = distance) -> float:
    """How far chance alone puts the test data from the training data.

    As far as two halves of the training data, which is as √(1/n + 1/m) with the sizes.
    """
    halves = 2 / math.sqrt(f.samples)
    if len(f.halves) == 2:
        halves = far(*f.halves, f)
    return halves * math.sqrt((1 + f.exact.size / f.of_test.size) / 4)


def blend(f: LayerFacts) -> float:
    """How far the means of the inputs of one pass are from the first one's."""
    calls = zip(*f.batches, strict=True)
    means = [np.mean([moments.mean for moments in call], axis=0) for call in calls]
    return max(rms((mean - means[0]) / f.deviation()) for mean in means)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


# --- All layers ---


def start_share(layers: list[LayerFacts]) -> tuple[float, float, int]:
    """The share a in stored = a · start + (1 - a) · exact that fits best; its error.

    Third, the variance of that start, one of STARTS; its mean is 0.

    The error is the root mean square over all channels of what is left of means, in
    stored deviations, and of the logarithms of variances. After n updates of a network
    at rest, a is momentum to the power of n.
    """
    stored, exact = (
        [np.concatenate(parts) for parts in zip(*(m[:2] for m in found), strict=True)]
        for found in ([f.stored for f in layers], [f.exact for f in layers])
    )
    var = np.maximum(stored[1], 1e-12)

    def left(share, start):
        means = ((1 - share) * exact[0] - stored[0]) / np.sqrt(var)
        ratios = (share * start + (1 - share) * exact[1]) / var
        return rms(np.append(means, np.log(np.maximum(ratios, 1e-12))))

    shares = 1 - np.geomspace(1e-5, 1, 400)[:-1]
    fits = [(left(share, start), share, start) for start in STARTS for share in shares]
    error, share, start = min(fits)
    return float(share), error, start
