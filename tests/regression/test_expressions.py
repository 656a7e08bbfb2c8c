"""The little language in which a text says where its numbers come from."""

import pytest

from regression import expressions
from regression.expressions import Cell, NoValue

LOG = Cell(
    [
        "epoch 1, loss 0.70, test acc 0.9756, 17.8 s",
        "epoch 2, loss 0.35, test acc 0.9914, 17.9 s",
        "epoch 10, loss 0.10, test acc 0.9909, 18.7 s",
    ]
)
CELLS = {
    "train": LOG,
    "verdict": Cell(["  with BN is ahead of without", "(64, 20)  0.27 of the time"]),
    "silent": Cell(),
    "diverged": Cell(["epoch 1, loss nan, train acc 0.10", "ratios [2.0, -inf, 3.0]"]),
}


def find(notebook, name):
    if notebook == "other":
        return Cell(["it is 7"])
    if name not in CELLS:
        raise NoValue(f"no cell {name}")
    return CELLS[name]


@pytest.mark.parametrize(
    "expression, value",
    [
        ("train[2][3]", "0.9914"),
        ('train["epoch 1"]["test acc"]', "0.9756"),
        ('train["epoch 10"][2]', "0.9909"),
        ('verdict["(64, 20)"]', "0.27"),
        ("other.cell[1]", "7"),
        ("max(train[:][3])", "0.9914"),
        ('min(train[2:3]["test acc"])', "0.9909"),
        ("mean(train[1:2][2])", "0.525"),
        ("len(train[:][1])", "3"),
        ("median(1, 5, train[2])", "2"),
        ("sum(train[1][1:3])", "2.6756"),
        ("max(train[1][2:3] - train[2][2:3])", "0.35"),
        ("max(abs(1 - train[:][1]))", "9"),
        ("100 * train[1][2] - -1", "71"),
        ("0.1 + 0.2", "0.3"),
        ("100 * (1 - 0.9 ** 2)", "19"),
        ("abs(round(0.27 - 1, 1))", "0.7"),
        ('diverged["epoch 1"]["train acc"]', "0.10"),
        ("diverged[1][3]", "0.10"),
        ("diverged[2][3] - diverged[2][1]", "1"),
    ],
)
def test_numbers(expression, value):
    found = expressions.number(expression, find)
    assert found == type(found)(value)


@pytest.mark.parametrize(
    "expression, truth",
    [
        ("train[2][3] == max(train[:][3])", True),
        ("train[1][2] == 2 * train[2][2]", True),
        ("0.9 < train[1][3] < 0.97", False),
        ('"with BN is ahead of without" in verdict', True),
        ('"undecided" not in verdict[1]', True),
        ('"undecided" in verdict or not 1 > 2', True),
        ("1 > 2 and 2 > 1", False),
    ],
)
def test_claims(expression, truth):
    assert expressions.truth(expression, find) is truth


@pytest.mark.parametrize(
    "expression, why",
    [
        ("missing[1]", "no cell missing"),
        ("train[4][1]", "train has no line 4, but 3"),
        ("train[0]", "train has no line 0, but 3"),
        ("train[1][5]", "train\\[1\\] has no number 5, but 4: 'epoch 1, loss"),
        ("train[1.5]", "train\\[…\\] takes a whole number or words"),
        ('train["epoch"]', "'epoch' begins 3 lines of train, not one; it has 'epoch 1"),
        (
            'train[1]["acc2"]',
            "'acc2' is in train\\[1\\] 0 times, not once: 'epoch 1, loss",
        ),
        ("train[2:4]", "train has 3 entries, not 2 to 4"),
        ("train", "a number is needed, but here is a cell, which has lines"),
        ("verdict[1]", "has no number 1, but 0"),
        ("silent[1]", "silent has no line 1, but 0"),
        ("1 > 2", "a number is needed"),
        ("max(train[1:2][1] + train[:][1])", "needs lists as long as each other"),
        ("train[1:2][1] + 1", "a number is needed, but here is no number"),
        ("1 +", "is no expression: invalid syntax"),
        ("1 / 0", "can't be computed"),
        ("9 ** 9 ** 9", "has an exponent beyond 1000"),
        ("10.5 ** 999.5", "can't be computed|that is inf"),
        ("(-1) ** 0.5", "no real number"),
        ("__import__('os')", "is not part of the language; there are cells"),
        ("train.__class__.__name__", "is not part of the language"),
        ("[1 for _ in train]", "is not part of the language"),
        ("max()", "is not part of the language"),
        ('diverged["epoch 1"]["loss"]', "the number at that place of .* is nan"),
        ("diverged[1][2]", "that place of diverged\\[1\\] is nan"),
        ("max(diverged[2][1:])", "that place of diverged\\[2\\] is -inf"),
    ],
)
def test_what_has_no_value_is_told(expression, why):
    with pytest.raises(NoValue, match=why):
        expressions.number(expression, find)


def test_a_claim_has_to_be_true_or_false():
    with pytest.raises(NoValue, match=r"train\[1\]\[2\] is neither true nor false"):
        expressions.truth("not train[1][2]", find)
    with pytest.raises(NoValue, match="on the right a cell or a line"):
        expressions.truth('"x" in 1', find)


def test_a_cell_that_stored_nothing_bears_no_claim_out():
    for claim in '"False" not in silent', '"False" in silent':
        with pytest.raises(NoValue, match="asks for words where nothing is stored"):
            expressions.truth(claim, find)


def test_what_is_compared_is_told_with_its_numbers():
    claim = 'train[1][2] > 2 * train[2][2] and "x" in verdict'
    told = ["train[1][2] = 0.7", "2 * train[2][2] = 0.7"]
    assert list(expressions.operands(claim, find)) == told


def test_other_notebooks_are_known_by_name():
    assert expressions.notebooks("1 + max(gluon.a[1], lenet.b[2])") == {
        "gluon",
        "lenet",
    }
    assert expressions.notebooks("1 +") == set()
