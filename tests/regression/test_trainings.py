"""The notes on a training, compared: what of each kind is off, and by how much."""

import copy
import math

import pytest

from regression import limits, trainings

STORED = {
    "batches": ["00c0ffee", "0badcafe", "deadbeef"],
    "steps": 32,
    "parameters": [[2.0, 0.5], [0.5, 0.25], [4.0, -1.0]],
    "gradients": [30.0, 0.002, 40.0],
    "updates": [0.1, 0.1, 0.1],
    "statistics": [[1.0, 0.5], [8.0, -2.0]],
    "losses": [2.0, 1.8, 1.6],
    "prediction loss": 2.5,
    "late loss": 1.0,
    "test loss": 0.8,
    "test error": 0.2,
    "test pictures": 2000,
}
# The second parameter is a bias before the layer: its gradient is nothing but noise.
NOISE = "step 1, gradient of parameter 2"
BIAS = {"beginning": {NOISE: 0.05}, "runs": 19}


def with_value(path, value):
    new = copy.deepcopy(STORED)
    *parts, last = path
    inner = new
    for part in parts:
        inner = inner[part]
    inner[last] = value
    return new


def compare(new, spread=None, stored=STORED):
    """(the sentences on what is off, the largest share)."""
    found = list(trainings.comparisons(stored, new, spread or {}))
    return [f.words for f in found if f.words], max(f.share for f in found)


def test_the_same_training_is_right():
    assert compare(copy.deepcopy(STORED)) == ([], 0.0)


@pytest.mark.parametrize(
    "path, value, words",
    [
        (
            ["batches", 1],
            "0badf00d",
            "the order, the scaling, or the labels of the data changed: batches "
            "['00c0ffee', '0badcafe', 'deadbeef'] became "
            "['00c0ffee', '0badf00d', 'deadbeef']",
        ),
        (["steps"], 31, "the number of steps changed: steps 32 became 31"),
        (
            ["test pictures"],
            1999,
            "the test set changed: test pictures 2000 became 1999",
        ),
        (
            ["parameters", 2, 0],
            4.0001,
            "initial parameter 3, length: 4 became 4.0001, off by 2.5e-05 of it, "
            "1e-05 is allowed",
        ),
        # Relative to the length: a projection may be close to 0.
        (
            ["parameters", 0, 1],
            0.50004,
            "initial parameter 1, projection: 0.5 became 0.50004, off by 2e-05 of it, "
            "1e-05 is allowed",
        ),
        (
            ["losses", 0],
            2.00004,
            "step 1, loss: 2 became 2.00004, off by 2e-05 of it, 1e-05 is allowed",
        ),
        (
            ["gradients", 0],
            30.003,
            "step 1, gradient of parameter 1: 30 became 30.003, off by 0.0001 of it, "
            "1e-05 is allowed",
        ),
        (
            ["updates", 2],
            0.101,
            "step 1, update / gradient of parameter 3: 0.1 became 0.101, off by 0.01 "
            "of it, 1e-05 is allowed",
        ),
        (
            ["statistics", 1, 0],
            8.0004,
            "step 1, statistic 2, length: 8 became 8.0004, off by 5e-05 of it, "
            "1e-05 is allowed",
        ),
        (
            ["statistics", 0, 1],
            0.50002,
            "step 1, statistic 1, projection: 0.5 became 0.50002, off by 2e-05 of it, "
            "1e-05 is allowed",
        ),
        (
            ["prediction loss"],
            2.50005,
            "step 1, loss in prediction mode after it: 2.5 became 2.50005, off by "
            "2e-05 of it, 1e-05 is allowed",
        ),
        (
            ["losses", 2],
            1.60008,
            "step 3, loss: 1.6 became 1.60008, off by 5e-05 of it, 1e-05 is allowed",
        ),
        (
            ["losses", 1],
            math.nan,
            "step 2, loss: 1.8 became nan, off by nan of it, 1e-05 is allowed",
        ),
        (["test error"], None, "test error: 0.2 became None"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value),
)
def test_each_fact_is_told(path, value, words):
    assert compare(with_value(path, value)) == ([words], 1.0)


@pytest.mark.parametrize(
    "path, value, share",
    [
        (["parameters", 0, 0], 2.00001, 0.5),
        (["losses", 0], 2.000005, 0.25),
        (["losses", 2], 1.600008, 0.5),
        (["gradients", 2], 40.0002, 0.5),
        (["updates", 0], 0.1000005, 0.5),
        (["statistics", 1, 1], -2.00004, 0.5),
        (["prediction loss"], 2.500005, 0.2),
    ],
)
def test_what_float32_leaves_open_is_right(path, value, share):
    found, used = compare(with_value(path, value))
    assert not found and used == pytest.approx(share, rel=0.01)


def test_a_training_that_fails_as_it_did_is_right():
    stored = with_value(["losses", 1], math.nan)
    assert compare(copy.deepcopy(stored), stored=stored) == ([], 0.0)


@pytest.mark.parametrize("last", [3e20, math.inf, math.nan])
def test_a_training_that_diverges_counts_up_to_there(last):
    stored = STORED | {"losses": [2.0, 1.8, 2e3, 1e20]}
    assert not compare(stored | {"losses": [2.0, 1.8, 2e3, last]}, stored=stored)[0]
    (found,), _ = compare(stored | {"losses": [2.0, 1.8, 1.9, last]}, stored=stored)
    assert found.startswith("step 3, loss: 2000 became 1.9, off by ")
    (found,), _ = compare(stored | {"losses": [2.0, 1.9, 2e3, last]}, stored=stored)
    assert found.startswith("step 2, loss: 1.8 became 1.9, off by ")


@pytest.mark.parametrize("part", ["parameters", "statistics"])
def test_another_network_is_told_once(part):
    new = with_value([part], STORED[part][:-1])
    if part == "parameters":
        new |= {"gradients": [30.0, 0.002], "updates": [0.1, 0.1]}
    counts = {"parameters": 3, "statistics": 2} | {part: len(new[part])}
    found, share = compare(new)
    assert found == [
        "the network changed: 3 parameters and 2 statistics became "
        f"{counts['parameters']} parameters and {counts['statistics']} statistics"
    ]
    assert share == 1.0


def test_noise_in_the_gradient_of_a_bias_is_no_alarm():
    assert not compare(with_value(["gradients", 1], 0.0005), BIAS)[0]
    # Without a measurement, what is far below the noise: 1e-9 of all gradients.
    assert not compare(with_value(["gradients", 1], 0.00200004))[0]
    assert compare(with_value(["gradients", 1], 0.0005))[0]


def test_noise_in_a_bias_at_the_start_is_no_alarm():
    # As where a training goes on.
    stored = with_value(["parameters", 1], [2e-6, 1e-6])
    new = with_value(["parameters", 1], [4e-6, -1e-6])
    spread = {
        "beginning": {
            "initial parameter 2, length": 1e-3,
            "initial parameter 2, projection": 1e-3,
        },
        "runs": 19,
    }
    assert not compare(new, spread, stored)[0]
    assert len(compare(new, {}, stored)[0]) == 2


def test_a_gradient_where_there_was_noise_is_told():
    (found,), _ = compare(with_value(["gradients", 1], 0.1), BIAS)
    assert found.startswith(f"{NOISE}: 0.002 became 0.1, off by ")


def test_a_small_update_of_a_large_parameter_keeps_few_digits():
    # An update of 30 * 1e-5 of a parameter of 2,000 is about its last digit.
    stored = with_value(["parameters", 0, 0], 2000.0)
    stored["updates"][0] = 1e-5
    new = copy.deepcopy(stored)
    new["updates"][0] = 1.3e-5
    assert not compare(new, stored=stored)[0]
    new["updates"][0] = 9e-5
    assert len(compare(new, stored=stored)[0]) == 1


def test_what_was_measured_of_a_beginning_is_allowed():
    spread = {"beginning": {"step 3, loss": 1e-4}, "runs": 19}
    allowed = limits.limit(1e-4, 18)
    near, far = (
        with_value(["losses", 2], 1.6 * (1 + allowed * share)) for share in (0.5, 2)
    )
    found, share = compare(near, spread)
    assert not found and share == pytest.approx(0.5, rel=0.01)
    (found,), share = compare(far, spread)
    assert found.startswith("step 3, loss: 1.6 became ") and share == 1.0
    # Of fewer runs less is known, and of another step nothing.
    assert not compare(far, spread | {"runs": 6})[0]
    assert compare(with_value(["losses", 1], 1.8 * (1 + allowed / 2)), spread)[0]


OUTCOME = {"deviation": 0.01, "freedom": 100}


@pytest.mark.parametrize("name", trainings.OUTCOMES)
def test_an_outcome_differs_by_its_spread(name):
    spread = {"outcome": {name: OUTCOME}}
    allowed, value = limits.limit(**OUTCOME), STORED[name]
    for factor in math.exp(allowed / 2), math.exp(-allowed / 2):
        found, share = compare(with_value([name], value * factor), spread)
        assert not found and share == pytest.approx(0.5)
    for factor in math.exp(allowed * 1.1), math.exp(-allowed * 1.1):
        (found,), share = compare(with_value([name], value * factor), spread)
        assert found.startswith(f"{name}: {value:.9g} became ") and share == 1.0


def test_an_outcome_is_marked_as_one():
    spread = {"outcome": dict.fromkeys(trainings.OUTCOMES, OUTCOME)}
    found = list(trainings.comparisons(STORED, STORED, spread))
    beginning = len(list(trainings.beginning(STORED)))
    assert [f.outcome for f in found] == [False] * beginning + [True] * 3


def test_an_outcome_that_was_not_measured_is_not_judged():
    assert compare(with_value(["late loss"], 3.0)) == ([], 0.0)


def test_an_outcome_that_hardly_varies_has_a_floor():
    spread = {"outcome": {"late loss": {"deviation": 0.0, "freedom": 4}}}
    near, far = 1 + limits.OUTCOME / 2, 1 + limits.OUTCOME * 1.1
    assert not compare(with_value(["late loss"], near), spread)[0]
    assert compare(with_value(["late loss"], far), spread)[0]


@pytest.mark.parametrize(
    "stored, near, far", [(400, 402, 404), (400, 398, 396), (0, 3, 7)]
)
def test_a_few_pictures_are_no_alarm(stored, near, far):
    spread = {"outcome": {"test error": {"deviation": 0.0, "freedom": 4}}}
    stored, near, far = (
        with_value(["test error"], n / 2000) for n in (stored, near, far)
    )
    assert not compare(near, spread, stored)[0]
    assert compare(far, spread, stored)[0]


def test_an_outcome_that_is_no_number_is_told():
    spread = {"outcome": {"test loss": OUTCOME}}
    (found,), share = compare(with_value(["test loss"], math.nan), spread)
    assert found.startswith("test loss: 0.8 became nan") and share == 1.0


def test_a_training_without_a_network_has_only_losses():
    bare = {
        key: value
        for key, value in STORED.items()
        if key not in ("parameters", "gradients", "updates", "statistics")
    } | {"prediction loss": None}
    assert [fact.name for fact in trainings.beginning(bare)] == [
        f"step {n}, loss" for n in (1, 2, 3)
    ]
    assert compare(bare, stored=bare) == ([], 0.0)
    assert compare(bare)[0] == [
        "the network changed: 3 parameters and 2 statistics became 0 parameters and "
        "0 statistics"
    ]


def test_a_training_without_a_test_set_is_judged_by_its_late_loss():
    untested = STORED | {"test loss": None, "test error": None, "test pictures": 0}
    spread = {"outcome": {"late loss": {"deviation": 0.01, "freedom": 100}}}
    assert compare(copy.deepcopy(untested), spread, untested) == ([], 0.0)
    (words,), _ = compare(untested | {"late loss": 1.2}, spread, untested)
    assert words.startswith("late loss: 1 became 1.2")
