"""The notes on trainings, stored and new: how each began, and where it led.

A project's watch (see `kernels.py`) notes a dict for each training:

- batches: checksums of the first batches, compared exactly, as are "steps" and
  "test pictures", the numbers of updates and of pictures it was tested on;
- parameters, statistics: [length, projection] of each array at the start, and of the
  arrays beside the parameters after the first update;
- gradients: the norm of each parameter's gradient; updates: the norm of its first
  change relative to that;
- losses: of the first steps; prediction loss: of the first batch after one update;
- late loss, test loss, test error: where it led.

All but the last three are its beginning, which every processor has to repeat, up to the
first loss that shows that it diverges: rounding decides how fast it goes on from there.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regression import limits

EXACT = {
    "batches": "the order, the scaling, or the labels of the data",
    "steps": "the number of steps",
    "test pictures": "the test set",
}
OUTCOMES = "late loss", "test loss", "test error"
DIVERGED = 1e3  # a loss from which no training comes back; guessing has one of a few


class Fact(NamedTuple):
    """One number of a beginning; floor: its smallest limit, relative to `scale`."""

    name: str
    value: float
    scale: float
    floor: float = limits.FLOAT32


def beginning(training: dict) -> Iterator[Fact]:
    """Yield the facts of a training's beginning in the order in which they arise."""
    parameters = training.get("parameters", ())
    # Where a training goes on, a bias before the layer has learned nothing but noise.
    noise = 1e-4 * math.hypot(*(length for length, _ in parameters))
    for n, (length, projection) in enumerate(parameters, 1):
        scale = length + noise or 1.0
        yield Fact(f"initial parameter {n}, length", length, scale)
        yield Fact(f"initial parameter {n}, projection", projection, scale)
    losses = training["losses"]
    yield Fact("step 1, loss", losses[0], abs(losses[0]) or 1.0)
    gradients = training.get("gradients", ())
    # The same bias has no gradient but noise.
    noise = 1e-4 * math.hypot(*gradients)
    for n, norm in enumerate(gradients, 1):
        yield Fact(f"step 1, gradient of parameter {n}", norm, norm + noise or 1.0)
    for n, ratio in enumerate(training.get("updates", ()), 1):
        change, length = ratio * gradients[n - 1], training["parameters"][n - 1][0]
        # A small change of a large number keeps few digits.
        lost = 2**-24 * (length / change if change else 0.0)
        name = f"step 1, update / gradient of parameter {n}"
        yield Fact(name, ratio, ratio or 1.0, limits.FLOAT32 + lost)
    for n, (length, projection) in enumerate(training.get("statistics", ()), 1):
        yield Fact(f"step 1, statistic {n}, length", length, length or 1.0)
        yield Fact(f"step 1, statistic {n}, projection", projection, length or 1.0)
    loss = training.get("prediction loss")
    if loss is not None:
        yield Fact("step 1, loss in prediction mode after it", loss, abs(loss) or 1.0)
    for n, loss in enumerate(losses[1:], 2):
        yield Fact(f"step {n}, loss", loss, abs(loss) or 1.0)


def until_diverged(facts: Iterable[tuple[Fact, ...]]) -> Iterator[tuple[Fact, ...]]:
    """The facts of like trainings, side by side, for as long as they count."""
    for group in facts:
        yield group
        is_loss = group[0].name.startswith("step") and group[0].name.endswith(", loss")
        if is_loss and not all(fact.value < DIVERGED for fact in group):
            break


class Comparison(NamedTuple):
    """What was found of one fact: `words` is a sentence where it is off, else empty."""

    words: str
    share: float  # of the limit that was used
    outcome: bool = False  # whether it is one, and no part of the beginning


def comparisons(stored: dict, new: dict, spread: dict) -> Iterator[Comparison]:
    """Yield a `Comparison` for each fact of a training.

    spread: what was measured of it, as `spread.py` stores it, or {}.
    """
    for name, about in EXACT.items():
        if stored[name] != new[name]:
            words = f"{about} changed: {name} {stored[name]} became {new[name]}"
            yield Comparison(words, 1.0)
    old, now = list(beginning(stored)), list(beginning(new))
    if [fact.name for fact in old] != [fact.name for fact in now]:
        counts = [
            f"{len(t.get('parameters', ()))} parameters and "
            f"{len(t.get('statistics', ()))} statistics"
            for t in (stored, new)
        ]
        yield Comparison(f"the network changed: {counts[0]} became {counts[1]}", 1.0)
        return
    deviations = spread.get("beginning", {})
    freedom = max(1, spread.get("runs", 2) - 1)
    for fact, other in until_diverged(zip(old, now, strict=True)):
        measured = limits.limit(deviations.get(fact.name, 0.0), freedom)
        allowed = max(fact.floor, measured)
        off = 0.0
        if other.value != fact.value:  # so that two infinite ones are equal
            scale = math.sqrt(fact.scale * other.scale)
            off = abs(other.value - fact.value) / scale
        yield compared(fact.name, fact.value, other.value, allowed, off)
    for name in OUTCOMES:
        if stored[name] is None or new[name] is None:
            if stored[name] != new[name]:
                yield Comparison(f"{name}: {stored[name]} became {new[name]}", 1.0)
        elif name in spread.get("outcome", {}):
            allowed = max(limits.limit(**spread["outcome"][name]), limits.OUTCOME)
            few = 0.0
            if name == "test error":
                few = limits.PICTURES / stored["test pictures"] * (1 + 1e-9)
            off = 0.0
            if not abs(new[name] - stored[name]) <= few:
                values = max(stored[name], few), max(new[name], few)
                # What is not above 0 has no logarithm, and is no loss.
                positive = min(values) > 0
                off = abs(math.log(values[1] / values[0])) if positive else math.inf
            found = compared(name, stored[name], new[name], allowed, off)
            yield found._replace(outcome=True)


def compared(
    name: str, stored: float, new: float, allowed: float, off: float
) -> Comparison:
    """off: by how much the two differ, relative; `allowed` is the limit."""
    if off <= allowed or math.isnan(stored) and math.isnan(new):
        return Comparison("", off / allowed if off <= allowed else 0.0)
    words = f"{name}: {stored:.9g} became {new:.9g}, off by {off:.2g}"
    return Comparison(f"{words} of it, {allowed:.2g} is allowed", 1.0)
