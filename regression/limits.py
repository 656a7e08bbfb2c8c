"""By how much a new number may differ from the stored one: the one place that says so.

Training amplifies rounding. Two runs that differ by 1e-7 at their start differ by some
per cents after a few dozen steps, on one processor as between two. So the stored number
and the new one are both draws from a distribution, and `spread.py` measures its
standard deviation, by runs in which nothing but the rounding differs. Of n runs it has
n - 1 degrees of freedom, and more where the deviations of like trainings are pooled.

The difference of two draws has √2 times that deviation, and relative to the measured
one it follows Student's t. It may be as large as

    limit = t(1 - ALARMS / (2 COMPARISONS), degrees of freedom) · √2 · deviation,

so that of all the comparisons of a run, together, one fails by chance with a
probability of at most ALARMS (Bonferroni's inequality, which needs no independence).
That holds as far as the deviations are normal. Tails are heavier where a processor does
one thing in another way, and then few degrees of freedom help: t is 1.6 times the
normal quantile at 18 of them.

Below each limit there is a floor: what float32 leaves open (FLOAT32), what a few
pictures of a test set make (PICTURES), and one unit of the last digit printed.
"""

import functools
import math

from scipy.special import stdtrit

ALARMS = 5e-4  # the nominal rate of false alarms of a whole run
COMPARISONS = 5000  # that a run makes at the most, of numbers that depend on training
FLOAT32 = 1e-5  # of a first step's figures, relative
OUTCOME = 1e-3  # of what a training leads to, relative: of one that hardly varies
PICTURES = 3  # of the test set, by which a number of errors may differ
# Degrees of freedom that a pooled deviation has at least. Of the full profile there are
# fewer runs, and for more of them trainings that differ much would have to be pooled.
POOLED = {"short": 100, "full": 40}
COLLAPSED = 1e-6  # log-deviation below which a training counts as not varying,
ENOUGH = 16  # where it has so many runs: five that agree do not show that all do
MANY = 16  # trainings of one cell that are judged by what they do together


def limit(deviation: float, freedom: int) -> float:
    """The largest difference of two draws that is no alarm."""
    return _quantile(freedom) * math.sqrt(2) * deviation


@functools.cache
def _quantile(freedom):
    return float(stdtrit(freedom, 1 - ALARMS / 2 / COMPARISONS))


def pooled(deviations: list[tuple[float, int]], profile: str) -> list[dict]:
    """What each of several deviations of a kind is judged by: arguments of `limit`.

    deviations: (standard deviation, number of runs), of a training each. It is pooled
    with those next above it, as many as make POOLED degrees of freedom: pooled with its
    like on both sides, what is small by chance would pass for small. The largest ones
    are pooled with those below, too, and count as they are where they are larger. A
    collapsed network, which does not vary in ENOUGH runs, is pooled with none.
    """
    found = [{"deviation": sd, "freedom": runs - 1} for sd, runs in deviations]
    order = sorted(range(len(deviations)), key=lambda i: deviations[i][0])
    alive = [
        i for i in order if deviations[i][0] > COLLAPSED or deviations[i][1] < ENOUGH
    ]
    for place, i in enumerate(alive):
        squares = freedom = 0
        for j in [*alive[place:], *reversed(alive[:place])]:
            sd, runs = deviations[j]
            squares += (runs - 1) * sd**2
            freedom += runs - 1
            if freedom >= POOLED[profile]:
                break
        deviation = max(deviations[i][0], math.sqrt(squares / freedom))
        found[i] = {"deviation": deviation, "freedom": freedom}
    return found


def together(deviations: list[tuple[float, int]]) -> dict:
    """What each of MANY trainings of a cell may differ by, at least.

    deviations: as for `pooled`. Rounding can move a small network by nothing in twenty
    runs, and by a percent in the next, where a ReLU turns. Of many such trainings one
    will, on a processor that was not measured, and nobody knows which.
    """
    freedom = sum(runs - 1 for _, runs in deviations)
    squares = sum((runs - 1) * sd**2 for sd, runs in deviations)
    return {"deviation": math.sqrt(squares / freedom), "freedom": freedom}
