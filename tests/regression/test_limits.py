"""By how much two draws may differ, and which deviations are pooled for it."""

import math

import pytest
from scipy import stats

from regression import limits
from regression.limits import pooled


@pytest.mark.parametrize("freedom", [1, 4, 18, 108])
def test_limit_is_exceeded_by_chance_as_rarely_as_said(freedom):
    in_deviations = limits.limit(0.01, freedom) / 0.01
    # The difference of two draws has √2 times the deviation of one, and two signs.
    alarm = 2 * stats.t.sf(in_deviations / math.sqrt(2), freedom)
    assert alarm * limits.COMPARISONS == pytest.approx(limits.ALARMS, rel=1e-6)


def test_what_does_not_vary_must_not_differ():
    assert limits.limit(0.0, 18) == 0.0


def mean(*deviations):
    """The deviation of several with as many runs each, pooled."""
    return math.sqrt(sum(d**2 for d in deviations) / len(deviations))


def judged(deviations, runs, profile):
    found = pooled([(sd, runs) for sd in deviations], profile)
    return [(one["deviation"], one["freedom"]) for one in found]


def test_each_is_pooled_with_those_next_above_it():
    # Of 19 runs each has 18 degrees of freedom: 6 of them make 100, 5 do not.
    found = judged([4.0, 1.0, 8.0, 6.0, 3.0, 2.0, 5.0, 7.0], 19, "short")
    assert found[1] == (pytest.approx(mean(1, 2, 3, 4, 5, 6)), 108)
    assert found[5] == (pytest.approx(mean(2, 3, 4, 5, 6, 7)), 108)


def test_the_largest_are_pooled_with_those_below_and_not_made_smaller():
    found = judged([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 19, "short")
    # 5, 6, 7, and 8 are too few: the next ones below, 4 and 3, make six.
    assert found[4] == (pytest.approx(mean(5, 6, 7, 8, 4, 3)), 108)
    assert mean(8, 7, 6, 5, 4, 3) < 8
    assert found[7] == (8.0, 108)


@pytest.mark.parametrize(
    "profile, runs, count, freedom", [("short", 11, 10, 100), ("full", 5, 10, 40)]
)
def test_as_many_are_pooled_as_make_the_degrees_of_freedom(
    profile, runs, count, freedom
):
    deviations = [float(n) for n in range(1, 31)]
    found = judged(deviations, runs, profile)
    assert found[0] == (pytest.approx(mean(*deviations[:count])), freedom)


def test_runs_count_by_their_number():
    found = pooled([(1.0, 101), (2.0, 51)], "short")
    assert found[0] == {"deviation": 1.0, "freedom": 100}
    both = math.sqrt((50 * 2.0**2 + 100 * 1.0**2) / 150)
    assert found[1] == {"deviation": max(2.0, both), "freedom": 150}


def test_where_there_are_too_few_all_are_pooled():
    assert judged([1.0, 3.0], 5, "full") == [(pytest.approx(mean(1, 3)), 8), (3.0, 8)]
    assert pooled([], "full") == []


def test_what_has_collapsed_is_pooled_with_none():
    still = limits.COLLAPSED / 2
    found = judged([still, 1.0, 0.0, 2.0], limits.ENOUGH, "full")
    freedom = limits.ENOUGH - 1
    assert found[0] == (still, freedom) and found[2] == (0.0, freedom)


def test_what_has_not_varied_in_a_few_runs_may_vary_in_others():
    found = judged([0.0, 1.0, 2.0], 5, "full")
    assert found[0][0] > 1.0


def test_what_many_do_together_weighs_runs():
    found = limits.together([(0.0, 19)] * 15 + [(0.04, 19)])
    assert found == {"deviation": pytest.approx(0.01), "freedom": 16 * 18}
