"""The rules of the regression run, on single lines of output."""

import nbformat
import pytest

from regression import compare
from regression.compare import Settings

OWN = Settings(rtol=0.01, atol=0.002, why="threads")
RATIO = Settings(factor=2, why="durations")
NAMED = Settings(
    numbers={
        "acc": {"atol": 0.01},
        "test acc": {"atol": 0.1},
        "right": {"atol": 5},
        "β": {"rtol": 0.02},
    }
)
SPREAD = Settings(trained=True, spread=0.1)
BOTH = Settings(trained=True, spread=0.1, numbers={"acc": {"atol": 0.3}}, why="few")
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
        ("Device: cpu.", "Device: gpu.", None),
        ("Device: cpu.\n  4 cores\na", "Device: gpu.\n  fast\na", None),
        ("takes 2.0 times", "takes 3.9 times", RATIO),
        ("takes 2.0 times", "takes 1.01 times", RATIO),
        ("<NDArray 3 @cpu(0)>", "<NDArray 3 @gpu(1)>", None),
        ("loss 0.500", "loss 0.507", OWN),
        ("train acc 0.50, test acc 0.50", "train acc 0.51, test acc 0.60", NAMED),
        ("right 9870", "right 9875", NAMED),
        ("loss 3.242, β 11583", "loss 3.242, β 11584", NAMED),
        ("nan inf", "nan inf", None),
        ("loss 2.00", "loss 2.20", SPREAD),
        # One unit of the last digit more: either side is rounded.
        ("loss 2.00", "loss 2.21", SPREAD),
        # The 0.8 that are missing to 1 vary as an accuracy of 0.8 does.
        ("acc 0.200", "acc 0.281", SPREAD),
        ("acc 0.900", "acc 0.990", SPREAD),
        ("[9.000 0.100]", "[9.000 1.001]", SPREAD),
        (
            "line 1 y [0.5] within [0.0, 8.0]",
            "line 1 y [0.5] within [0.1, 8.7]",
            SPREAD,
        ),
        ("loss 2.00, acc 0.20", "loss 2.20, acc 0.50", BOTH),
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
        ("Device: cpu.\n  4 cores\na", "Device: cpu.\nb", None, ""),
        ("12 of 12", "12 of 13", OWN, "it has to be equal"),
        (f"{2**60}", f"{2**60 + 1}", None, "off by 1, it has to be equal"),
        ("train acc 0.5", "train acc 0.6", NAMED, "0.01 is allowed"),
        ("step 0.5", "step 0.51", NAMED, "0.5 became 0.51"),
        ("mean 0.5 min 0.1", "mean 0.6 min 0.1", None, "0.5 became 0.6"),
        ("1", "1.0", None, ""),
        ("1.5", "nan", OWN, ""),
        ("<NDArray 3x2 @cpu(0)>", "<NDArray 3x3 @cpu(0)>", None, ""),
        ("loss 2.00", "loss 2.22", SPREAD, "off by 0.22, 0.21 is allowed"),
        ("acc 0.200", "acc 0.282", SPREAD, "off by 0.082, 0.081 is allowed"),
        ("acc 0.900", "acc 0.992", SPREAD, "off by 0.092, 0.091 is allowed"),
        ("[9.000 0.100]", "[9.000 1.011]", SPREAD, "off by 0.911, 0.9 is allowed"),
        ("loss 2.00, acc 0.20", "loss 2.20, acc 0.51", BOTH, "0.3 is allowed"),
        ("loss 2.00, acc 0.20", "loss 2.22, acc 0.50", BOTH, "0.21 is allowed"),
        ("step 30", "step 31", SPREAD, "it has to be equal"),
        ("ahead", "behind", SPREAD, ""),
        ("a\nb\n", "a\n", None, "a line is missing"),
        ("a\n", "a\n\nb\n", None, "a line was added"),
    ],
)
def test_fails(stored, new, settings, note):
    found = differences(stored, new, settings)
    assert found and note in found[0].note


# What a project may name.
UNCOMPARED = [r"^Device: .*(?:\n  .*)*", r"@(?:cpu|gpu)\(\d+\)"]


def differences(stored, new, settings):
    settings = settings or Settings()
    return compare.outputs(outputs(stored), outputs(new), settings, UNCOMPARED)[0]


def cell(**settings):
    return nbformat.v4.new_code_cell("1", metadata={"regression": settings})


@pytest.mark.parametrize(
    "name, value",
    [("log", True), ("short", True), ("spread", 0.1), ("numbers", {"a": {"tol": 1}})],
)
def test_what_a_cell_can_not_ask_for_is_named(name, value):
    unknown = "tol" if name == "numbers" else name
    with pytest.raises(ValueError, match=f'"regression" knows no {unknown};'):
        Settings.of(cell(**{name: value}, why="because"))


@pytest.mark.parametrize(
    "name, value, smallest",
    [
        ("factor", 0, 1),
        ("factor", "2", 1),
        ("factor", True, 1),
        ("rtol", -0.1, 0),
        ("rtol", float("inf"), 0),
        ("atol", None, 0),
    ],
)
def test_a_tolerance_that_makes_no_sense_is_named(name, value, smallest):
    words = f"{name} has to be a number of at least {smallest}, but it is {value!r}."
    for settings in {name: value}, {"numbers": {"loss": {name: value}}}:
        with pytest.raises(ValueError) as caught:
            Settings.of(cell(**settings, why="because"))
        assert str(caught.value) == words


@pytest.mark.parametrize(
    "given, words",
    [
        (5, "the metadata has to be a table {…}, but it is 5."),
        (["a"], "the metadata has to be a table {…}, but it is ['a']."),
        ({"gpu": 5}, "gpu has to be a table {…}, but it is 5."),
        ({"numbers": None}, "numbers has to be a table {…}, but it is None."),
        ({"numbers": {"loss": 0.1}}, "numbers of loss has to be a table {…}, but"),
        ({"trained": "false"}, "trained has to be true or false, but it is 'false'."),
    ],
)
def test_metadata_that_make_no_sense_are_named(given, words):
    faulty = nbformat.v4.new_code_cell("1", metadata={"regression": given})
    with pytest.raises(ValueError) as caught:
        Settings.of(faulty)
    assert str(caught.value).startswith(words)


def test_a_cell_that_depends_on_training_needs_no_reason():
    assert Settings.of(cell(trained=True)) == Settings(trained=True)
    with pytest.raises(ValueError, match="a tolerance without a reason"):
        Settings.of(cell(trained=True, rtol=0.1))


@pytest.mark.parametrize(
    "number, unit",
    [
        ("1.25", 0.01),
        ("1.", 1),
        ("12", 1),
        ("-0.5", 0.1),
        ("1.5e-07", 1e-8),
        ("2E3", 1e3),
    ],
)
def test_unit_of_the_last_digit(number, unit):
    assert compare.last_digit(number) == pytest.approx(unit)


def outputs(text):
    return [nbformat.v4.new_output("stream", name="stdout", text=text)]


def test_deviations_are_relative_to_the_scale_of_each_number():
    runs = [outputs(f"epoch 3, loss 2.{n}, [0.1 8.{n}]\n") for n in (0, 2, 4)]
    found, differing = compare.deviations(runs)
    # 0.1 is nothing beside the 8 in its brackets; the epoch is no measurement.
    assert found == pytest.approx([0.2 / 2.2, 0.0, 0.2 / 8.2]) and differing == 0


def test_a_single_run_has_no_deviations():
    assert compare.deviations([outputs("loss 2.0")]) == ([], 0)


def test_runs_of_other_words_have_no_deviations():
    texts = "loss 2.0, ahead", "loss 2.2, ahead", "loss 9.9, behind", "loss 2.4, ahead"
    found, differing = compare.deviations([outputs(text) for text in texts])
    assert found == pytest.approx([0.2 / 2.2]) and differing == 1


def test_share_is_the_largest_part_of_an_allowance_that_was_used():
    lines = ["loss 0.500", "loss 0.500"], ["loss 0.507", "loss 0.500"]
    assert compare.differing_lines("stdout", *lines, OWN) == ([], pytest.approx(1))
    lines = ["loss 0.500", "loss 1.000"], ["loss 0.500", "loss 0.997"]
    assert compare.differing_lines("stdout", *lines, OWN) == ([], pytest.approx(0.25))


def test_missing_line_is_the_one_that_is_missing():
    stored = [f"epoch {n}, loss 0.{n}" for n in range(1, 6)]
    (found,), _ = compare.differing_lines(
        "stdout", stored, stored[:2] + stored[3:], OWN
    )
    assert (found.stored, found.new) == ("epoch 3, loss 0.3", None)


def test_pictures_without_data_are_compared_byte_by_byte():
    stored, new = (
        [nbformat.v4.new_output("display_data", {"image/png": data})]
        for data in ("iVBORw0KGgo=", "iVBORw0KGgp=")
    )
    assert compare.outputs(stored, stored, Settings()) == ([], 0)
    (found,), _ = compare.outputs(stored, new, Settings())
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
