"""By how much results vary from seed to seed, and what follows from that.

`make spread` trains with several seeds and keeps the results beside the chapters, in
`NAME.spread.json`. The functions here set a new result beside them: `expected` for a
reader's own run, `verdict` for a claim that one thing is better than another.
"""

import json
import math
import os
import statistics
from collections.abc import Sequence

from utils import profile
from scipy.special import stdtrit
from utils.notebooks import CHAPTERS

CONFIDENCE = 0.99  # of runs that differ in nothing but the seed are as expected

_noted = {}


class Values(list):
    """Values of a result, one for each seed; a notebook shows no output for them."""

    def _ipython_display_(self) -> None:
        pass


def expected(name: str, value: float) -> Values:
    """Print whether `value` is what other seeds lead one to expect.

    name: of a result that the book stores, such as "gluon-fashion-test-5". The line
    has the mean and the standard deviation of the book's seeds, `value`, and whether
    the two fit by the rule of `is_expected`. Returns the book's values; none where
    `value` is not comparable with them, or they are not measured yet.
    """
    _noted[name] = value = float(value)
    if not _comparable(f"{name}: {value:.3f}"):
        return Values()
    values = Values(_book().get(name, ()))
    if len(values) < 2:
        print(f"{name}: {value:.3f} (its spread is not measured yet: make spread)")
        return Values()
    mean, spread = statistics.mean(values), statistics.stdev(values)
    says = "as expected" if is_expected(value, values) else "not as expected"
    digits = _digits(spread)
    book = f"{mean:.{digits}f} ± {spread:.{digits}f}"
    print(f"{name}: book {book}, yours {value:.{digits}f}: {says}")
    return values


def is_expected(value: float, values: Sequence[float], rounded: float = 0.0005) -> bool:
    """Whether `value` can come from where `values`, one for each seed, come from.

    It can within the prediction interval of Student's t that leaves out 1 run in 100,
    mean ± t · deviation · √(1 + 1/n). rounded: by how much `value` may be rounded.
    """
    n = len(values)
    t = stdtrit(n - 1, (1 + CONFIDENCE) / 2)
    limit = t * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    return abs(value - statistics.mean(values)) <= limit + rounded


def verdict(claim: str, **results: float) -> None:
    """Print `results`, accuracies by name, and whether the first is ahead over seeds.

    It is ahead of another, or behind it, where the means of the book's seeds differ by
    more than twice the standard deviation of a difference, √(s₁² + s₂²); else their
    order is undecided. So the verdict rests on all seeds, not on the run at hand.
    """
    label = {key: key.replace("_", " ") for key in results}
    names = {key: f"{claim}: {label[key]}" for key in results}
    _noted.update({names[key]: float(value) for key, value in results.items()})
    shown = ", ".join(f"{label[key]} {value:.3f}" for key, value in results.items())
    if not _comparable(f"{claim}: {shown}"):
        return
    print(f"{claim}: {shown}")
    book = _book()
    values = {key: book.get(names[key], ()) for key in results}
    if any(len(v) < 2 for v in values.values()):
        print("  the spread over seeds is not measured yet: make spread")
        return
    mean = {key: statistics.mean(v) for key, v in values.items()}
    spread = {key: statistics.stdev(v) for key, v in values.items()}
    first, *others = results
    found = []
    for other in others:
        limit = 2 * math.hypot(spread[first], spread[other])
        gap = mean[first] - mean[other]
        word = "ahead of" if gap > limit else "behind" if gap < -limit else None
        found.append(f"{word or 'undecided against'} {label[other]}")
    digits = max(map(_digits, spread.values()))
    shown = ", ".join(
        f"{label[k]} {mean[k]:.{digits}f} ± {spread[k]:.{digits}f}" for k in results
    )
    print(f"  over {len(values[first])} seeds: {shown}")
    print(f"  {label[first]} is {', '.join(found)}")


def _digits(spread):
    """Three digits behind the point, or four where three would hide the spread."""
    return 4 if 0 < spread < 0.001 else 3


def noted() -> dict[str, float]:
    """The results that were passed to the functions here since the last call."""
    results = dict(_noted)
    _noted.clear()
    return results


def _comparable(line):
    """Whether the results are of full training on the real data, as the book's are."""
    if profile.is_short():
        print(f"{line} (short profile: not comparable with the book)")
        return False
    if os.environ.get("BN_STANDIN"):
        print(f"{line} (stand-in data: not comparable with the book)")
        return False
    return True


def _book():
    """name: values, one for each seed, over all chapters."""
    found = {}
    for path in sorted(CHAPTERS.glob("*.spread.json")):
        found |= json.loads(path.read_text(encoding="utf-8")).get("seeds", {})
    return found
