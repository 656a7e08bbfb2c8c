"""The rules of the regression run, on single lines of output."""

import nbformat
import pytest

from tests.regression import compare
from tests.regression.compare import Settings

OWN = Settings(rtol=0.01, atol=0.002, why="threads")
RATIO = Settings(factor=2, why="durations")
NAMED = Settings(
    numbers={"acc": {"atol": 0.01}, "test acc": {"atol": 0.1}, "right": {"atol": 5}}
)
WRAPPED = "[0.12345678 0.2345678\n 0.5]"


@pytest.mark.parametrize(
    "stored, new, settings",
    [
        ("a  b", "a b", None),
        ("[ 0.5 -1.  ]", "[0.5  -1.]", None),
        ("[0.7504512 , 1.]", "[0.75045121, 1.]", None),
        (WRAPPED, "[0.12345678 0.2345678 0.5]", None),
        ("[1.0, 1e-9]", "[1.0, -2e-9]", None),
        ("line 1 y [1.0, 1e-9]", "line 1 y [1.0, -2e-9]", None),
        ("took 12.3 s", "took 1 min 3 s", None),
        ("2,700 images/s at 0x7f", "31 images/s at 0xab", None),
        ("4.5 ms each", "350 µs each", None),
        ("Computing on cpu(0): no driver.", "Computing on gpu(0): it works.", None),
        ("Computing on cpu(0).\n  4 cores\na", "Computing on gpu(0).\n  fast\na", None),
        ("takes 2.0 times", "takes 3.9 times", RATIO),
        ("takes 2.0 times", "takes 1.01 times", RATIO),
        ("<NDArray 3 @cpu(0)>", "<NDArray 3 @gpu(1)>", None),
        ("loss 0.500", "loss 0.507", OWN),
        ("train acc 0.50, test acc 0.50", "train acc 0.51, test acc 0.60", NAMED),
        ("right 9870", "right 9875", NAMED),
        ("nan inf", "nan inf", None),
    ],
)
def test_passes(stored, new, settings):
    assert differences(stored, new, settings) == []


@pytest.mark.parametrize(
    "stored, new, settings, note",
    [
        ("loss 0.4629", "loss 0.4628", None, "0.4629 became 0.4628, off by 0.0001"),
        ("[1.0, 1e-9]", "[1.0, 2e-6]", None, "1e-9 became 2e-6"),
        ("[1000.0] 0.5", "[1000.0] 0.5001", None, "0.5 became 0.5001"),
        ("interval [0, 9.0)\nloss 0.1", "interval [0, 9.0)\nloss 0.10001", None, "0.1"),
        ("loss 0.500", "loss 0.508", OWN, "off by 0.008, 0.007 is allowed"),
        ("takes 2.0 times", "takes 4.1 times", RATIO, "off by 2.1, 2 is allowed"),
        ("takes 2.0 times", "takes 0.9 times", RATIO, "off by 1.1, 1 is allowed"),
        ("takes 2.0 times", "takes -2.0 times", RATIO, "1 is allowed"),
        ("Computing on cpu(0).\n  4 cores\na", "Computing on cpu(0).\nb", None, ""),
        ("12 of 12", "12 of 13", OWN, "it has to be equal"),
        (f"{2**60}", f"{2**60 + 1}", None, "off by 1, it has to be equal"),
        ("train acc 0.5", "train acc 0.6", NAMED, "0.01 is allowed"),
        ("step 0.5", "step 0.51", NAMED, "0.5 became 0.51"),
        ("mean 0.5 min 0.1", "mean 0.6 min 0.1", None, "0.5 became 0.6"),
        ("1", "1.0", None, ""),
        ("1.5", "nan", OWN, ""),
        ("<NDArray 3x2 @cpu(0)>", "<NDArray 3x3 @cpu(0)>", None, ""),
        ("a\nb\n", "a\n", None, "a line is missing"),
        ("a\n", "a\n\nb\n", None, "a line was added"),
    ],
)
def test_fails(stored, new, settings, note):
    found = differences(stored, new, settings)
    assert found and note in found[0].note


def differences(stored, new, settings):
    sides = [
        [nbformat.v4.new_output("stream", name="stdout", text=text)]
        for text in (stored, new)
    ]
    return compare.compare(*sides, settings or Settings())[0]


def test_share_is_the_largest_part_of_an_allowance_that_was_used():
    lines = ["loss 0.500", "loss 0.500"], ["loss 0.507", "loss 0.500"]
    assert compare.compare_lines("stdout", *lines, OWN) == ([], pytest.approx(1))
    lines = ["loss 0.500", "loss 1.000"], ["loss 0.500", "loss 0.997"]
    assert compare.compare_lines("stdout", *lines, OWN) == ([], pytest.approx(0.25))


def test_missing_line_is_the_one_that_is_missing():
    stored = [f"epoch {n}, loss 0.{n}" for n in range(1, 6)]
    (found,), _ = compare.compare_lines("stdout", stored, stored[:2] + stored[3:], OWN)
    assert (found.stored, found.new) == ("epoch 3, loss 0.3", None)


@pytest.mark.parametrize(
    "line",
    [
        "  0%|          | 0/10 [00:00<?, ?epoch/s]",
        "train: 100%|████| 9.91M/9.91M [00:00<00:00, 5.2MB/s]",
        "3epoch [00:01,  2.70epoch/s]",
        "Short profile: stopped after epoch 1 of 10 (BN_EPOCHS=1).",
        "Stand-in data: digits replace mnist (BN_STANDIN=digits).",
        "\x1b[A",
    ],
)
def test_progress_is_not_compared(line):
    assert compare.without_progress(f"{line}\r{line}\n") == ""
    warning = "UserWarning: 50% of the weights are zero"
    assert compare.without_progress(f"{line}\n{warning}\n") == f"{warning}\n"


def test_pictures_without_data_are_compared_byte_by_byte():
    stored, new = (
        [nbformat.v4.new_output("display_data", {"image/png": data})]
        for data in ("iVBORw0KGgo=", "iVBORw0KGgp=")
    )
    assert compare.compare(stored, stored, Settings()) == ([], 0)
    (found,), _ = compare.compare(stored, new, Settings())
    assert found.where == "output 1, image/png, line 1"


def test_long_lines_are_cut_to_what_differs():
    row = [f"{n}.5" for n in range(200)]
    new = [*row[:150], "0.25", *row[151:]]
    found = differences(f"[{' '.join(row)}]", f"[{' '.join(new)}]", None)[0]
    for line, marks in zip((found.stored, found.new), found.marks, strict=True):
        assert len(line) < 170
        assert [line[a:b] for a, b in marks] == (
            ["150.5"] if line == found.stored else ["0.25"]
        )
