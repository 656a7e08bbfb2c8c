"""Which digits a reader sees as numbers, and how numbers are rounded and written."""

from fractions import Fraction

import pytest

from regression import literals


def found(markdown):
    return [match[0] for match in literals.numerals(markdown)]


@pytest.mark.parametrize(
    "markdown, numerals",
    [
        ("It is 0.9895, or 1,028 of 60,000.", ["0.9895", "1,028", "60,000"]),
        ("from −1.6 to +2, ±0.004, 5×5, 1e-5, 47 %",
         ["−1.6", "+2", "0.004", "5", "5", "1e-5", "47"]),
        ("(64, 20), (64,20), 1–2, 3-4", ["64", "20", "64", "20", "1", "2", "3", "4"]),
        ("float32, AVX-512, d2l, MXNet 1.9.1, 3D, 2-D, ex_5, 0x1F, E5-2690v4", []),
        ("1.5x, 12ms, 64MB, 10k, 1,028x, 3 µs, 4µs", ["1.5", "12", "64", "10", "1,028",
                                                     "3", "4"]),
        ("_0.99_, __0.9__, _+5_, _up to 6_", ["0.99", "0.9", "+5", "6"]),
        ("the 1st, 2nd, 9th, a 5-day week, 3x4", ["1", "2", "9", "5", "3", "4"]),
        ("`5` and {cite:p}`lecun1998` and ``a ` 5``", []),
        ("{ref}`the 7 rules <rule-8>`", ["7"]),
        ("$10^{-5}$ and\n$$\nx = 5\n$$ (eq-1)\n", []),
        ("[page 3](page-4.md), <https://x.y/5>, https://x.y/6", ["3"]),
        ('<img src="5.png" width="560" alt="2 curves"> <br> 3 < 4', ["2", "3", "4"]),
        ("(label-1)=\n## Idea 2\n\n1. three\n2. 4\n\n**3. x**", ["2", "4"]),
        ("```console\n$ 5\n```\n6\n~~~\n7\n~~~\n", ["6"]),
        ("A batch of\n64. Then\n1. two\n3. four\n\n5. six\n   7. eight", ["64", "7"]),
        ("A batch of\n- two, or\n3. four\n\n   9. five\n\n   a\n   6. b", ["6"]),
        (":::{table} 2 rows\n:name: tab-3\n\n| 4 |\n:::\n5", ["2", "4", "5"]),
        ("```{exercise}\n:label: ex-1\n\n2\n```\n3\n```{solution-start} ex 4\n```\n5",
         ["2", "3", "5"]),
        ("```{math}\n:label: eq\n5\n```\n6", ["6"]),
        ("````{note}\n1\n```python\n2\n```\n3\n````\n4", ["1", "3", "4"]),
        ("<!-- results -->\n5\n<!-- results -->\n6 <!-- 7 -->", ["6"]),
    ],
)  # fmt: skip
def test_what_a_reader_sees_as_a_number(markdown, numerals):
    assert found(markdown) == numerals
    assert len(literals.readable(markdown)) == len(markdown)


@pytest.mark.parametrize(
    "value, literal, now",
    [
        ("0.9901", "0.9895", "0.9901"),
        ("0.99006", "0.9895", "0.9901"),
        ("0.5", "0.840", "0.500"),
        ("26.1", "25", "26"),
        ("1027.6", "957", "1,028"),
        ("1027.6", "1280", "1028"),
        ("3348.2", "3,341", "3,348"),
        ("-1.55", "1.7", "−1.6"),
        ("-0.04", "0.0", "0.0"),
        ("-2", "-1", "-2"),
        ("3", "+2", "+3"),
        ("0.0000062", "6e-7", "6e-6"),
        ("0.000047", "4.1e-05", "4.7e-5"),
        ("2.5", "4", "2"),  # a tie, to the even digit
        ("3.5", "3", "4"),
        ("0.3", "0", "0.3"),  # see the next test
        ("0.7", "1", "0.7"),
        ("1.2", "3", "1.2"),
        ("-0.96", "-2", "-1"),
        ("0", "0.003", "0.000"),
    ],
)
def test_a_number_is_written_like_the_one_that_it_replaces(value, literal, now):
    assert literals.shown(Fraction(value), literal) == now
    assert literals.agrees(Fraction(value), now)
    assert literals.agrees(Fraction(value), literal) == (value in ("3.5", "-0.04"))
    assert literals.shown(float(value), literal) == now


def test_none_and_all_have_to_be_right_with_one_more_digit():
    for value, literal in (0, "0"), (0.049, "0"), (0.96, "1"), (-1.04, "−1"):
        assert literals.agrees(value, literal)
    for value, literal in (0.5, "0"), (0.05, "0"), (0.5, "1"), (1.2, "1"), (-0.9, "-1"):
        assert not literals.agrees(value, literal)
    assert literals.agrees(0.04, "0.0") and literals.agrees(1.5, "2")


@pytest.mark.parametrize(
    "value, literal", [("0.0003", "0.003"), ("-0.04", "0.1"), ("0.02", "1")]
)
def test_a_number_is_not_rounded_away(value, literal):
    assert literals.shown(Fraction(value), literal) is None


def test_of_two_neighbors_that_are_as_close_both_are_right():
    half = Fraction("0.6225")
    assert literals.agrees(half, "0.622") and literals.agrees(half, "0.623")
    assert not literals.agrees(half, "0.624")
    assert not literals.agrees(half + Fraction(1, 10**9), "0.622")


def test_the_sentence_around_a_number():
    text = (
        "One is 1. Two\nis 2.5 here ({eq}`x`). Three is 3!\n\n- item 4\n- item 5\n\n"
        "| row | 6 |\n| row | 7 |\n"
    )

    def sentence(literal):
        start = text.index(literal)
        return literals.sentence(text, start, start + len(literal))

    assert sentence("1.") == "One is 1."
    assert sentence("2.5") == "Two is 2.5 here ({eq}`x`)."
    assert sentence("3") == "Three is 3!"
    assert sentence("4") == "- item 4" and sentence("item 5") == "- item 5"
    assert sentence("6") == "| row | 6 |"
