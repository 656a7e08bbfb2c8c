"""What readers are told of a result, against a small spread over five seeds."""

import json

import pytest
from utils import seeds
from IPython.core.interactiveshell import InteractiveShell

# Their mean is 0.895, their standard deviation 0.0038; t for 4 degrees is 4.60.
VALUES = [0.89, 0.895, 0.90, 0.893, 0.897]


@pytest.fixture(autouse=True)
def spread(tmp_path, monkeypatch):
    """A function that stores results in a chapter's spread; nothing is noted so far."""
    monkeypatch.setattr(seeds, "CHAPTERS", tmp_path)
    for name in "BN_PROFILE", "BN_STANDIN":
        monkeypatch.delenv(name, raising=False)
    seeds.noted()

    def store(chapter, **results):
        path = tmp_path / f"{chapter}.spread.json"
        path.write_text(json.dumps({"seeds": results}), encoding="utf-8")

    return store


# The limit is 4.60 * sqrt(1 + 1/5) * 0.0038 + 0.0005 = 0.0197 on either side.
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0.895, "as expected"),
        (0.914, "as expected"),
        (0.876, "as expected"),
        (0.915, "not as expected"),
        (0.875, "not as expected"),
    ],
)
def test_a_result_is_set_beside_the_books(spread, capsys, value, says):
    spread("a", other=[0.1, 0.2])
    spread("b", accuracy=VALUES)
    assert seeds.expected("accuracy", value) == VALUES
    line = f"accuracy: book 0.895 ± 0.004, yours {value:.3f}: {says}\n"
    assert capsys.readouterr().out == line


def test_a_notebook_shows_the_line_only(spread):
    spread("a", accuracy=VALUES)
    formatter = InteractiveShell.instance().display_formatter
    assert formatter.format([0.895])[0]
    assert not formatter.format(seeds.expected("accuracy", 0.895))[0]


def test_what_does_not_vary_may_differ_by_half_a_unit_of_the_last_digit(spread, capsys):
    spread("a", exact=[0.5, 0.5, 0.5])
    seeds.expected("exact", 0.5004)
    seeds.expected("exact", 0.5006)
    assert capsys.readouterr().out.splitlines() == [
        "exact: book 0.500 ± 0.000, yours 0.500: as expected",
        "exact: book 0.500 ± 0.000, yours 0.501: not as expected",
    ]


def test_a_small_spread_is_shown_with_one_more_digit(spread, capsys):
    spread("a", accuracy=[0.9931, 0.9936, 0.9934])
    seeds.expected("accuracy", 0.9937)
    line = "accuracy: book 0.9934 ± 0.0003, yours 0.9937: as expected\n"
    assert capsys.readouterr().out == line


@pytest.mark.parametrize("name", ["once", "never"])
def test_a_result_of_unknown_spread_is_not_judged(spread, capsys, name):
    spread("a", once=VALUES[:1])
    seeds.expected(name, 0.5)
    line = f"{name}: 0.500 (its spread is not measured yet: make spread)\n"
    assert capsys.readouterr().out == line


def layers(**shifts):
    """The results of a claim, each with the same spread about another mean."""
    return {
        f"layers: {name.replace('_', ' ')}": [value + shift for value in VALUES]
        for name, shift in shifts.items()
    }


# The order is decided by 2 * sqrt(2) * 0.0038 = 0.0108.
@pytest.mark.parametrize(
    ("shift", "says"),
    [
        (0.011, "ahead of without"),
        (0.010, "undecided against without"),
        (-0.010, "undecided against without"),
        (-0.011, "behind without"),
    ],
)
def test_an_order_is_decided_by_the_means_over_seeds(spread, capsys, shift, says):
    spread("a", **layers(batch_norm=shift, without=0))
    seeds.verdict("layers", batch_norm=0.5, without=0.5)
    assert capsys.readouterr().out.splitlines() == [
        "layers: batch norm 0.500, without 0.500",
        f"  over 5 seeds: batch norm {0.895 + shift:.3f} ± 0.004, "
        "without 0.895 ± 0.004",
        f"  batch norm is {says}",
    ]


def test_the_first_result_is_compared_with_each_other(spread, capsys):
    spread("a", **layers(batch_norm=0, without=-0.5, layer_norm=0.001))
    seeds.verdict("layers", batch_norm=0.5, without=0.5, layer_norm=0.5)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "  batch norm is ahead of without, undecided against layer norm"
    )


def test_an_order_of_unknown_spread_is_not_decided(spread, capsys):
    spread("a", **layers(batch_norm=0))
    seeds.verdict("layers", batch_norm=0.9, without=0.8)
    assert capsys.readouterr().out.splitlines() == [
        "layers: batch norm 0.900, without 0.800",
        "  the spread over seeds is not measured yet: make spread",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("BN_PROFILE", "short", "short profile"),
        ("BN_STANDIN", "digits", "stand-in data"),
    ],
)
def test_other_training_is_not_compared(
    spread, monkeypatch, capsys, variable, value, reason
):
    spread("a", accuracy=VALUES, **layers(batch_norm=0, without=0))
    monkeypatch.setenv(variable, value)
    seeds.expected("accuracy", 0.5)
    seeds.verdict("layers", batch_norm=0.9, without=0.8)
    assert capsys.readouterr().out.splitlines() == [
        f"accuracy: 0.500 ({reason}: not comparable with the book)",
        "layers: batch norm 0.900, without 0.800 "
        f"({reason}: not comparable with the book)",
    ]


def test_all_results_are_noted_until_they_are_fetched(monkeypatch):
    seeds.expected("accuracy", 0.5)
    monkeypatch.setenv("BN_PROFILE", "short")
    seeds.verdict("layers", batch_norm=1, without=0)
    assert seeds.noted() == {
        "accuracy": 0.5,
        "layers: batch norm": 1.0,
        "layers: without": 0.0,
    }
    assert seeds.noted() == {}
