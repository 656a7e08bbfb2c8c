"""Runs that differ from others in nothing but their rounding, or their seeds."""

import os
import subprocess
import sys

import numpy as np
import pytest
from utils.data import Batches

LABELS = np.arange(12, dtype=np.uint8)
PICTURES = np.random.RandomState(0).randint(0, 256, (12, 28, 28), "uint8")


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch):
    for name in "BN_ROUNDING", "BN_SEED", "BN_PROFILE":
        monkeypatch.delenv(name, raising=False)


def two_passes(shuffle=True):
    """Pixels and labels of each batch, as two arrays."""
    batches = Batches(PICTURES, LABELS, 4, shuffle)
    pairs = [(X.asnumpy(), y.asnumpy()) for _ in range(2) for X, y in batches]
    return [np.stack(arrays) for arrays in zip(*pairs, strict=True)]


def test_rounding_changes_last_digits_of_training_pictures(monkeypatch):
    plain, plain_labels = two_passes()
    monkeypatch.setenv("BN_ROUNDING", "1")
    pixels, labels = two_passes()
    assert (labels == plain_labels).all() and pixels.dtype == np.float32
    up = plain * np.nextafter(np.float32(1), np.float32(2))
    assert ((pixels == plain) | (pixels == up)).all()
    assert 0.4 < (pixels != plain)[plain > 0].mean() < 0.6


def test_rounding_leaves_the_test_set_alone(monkeypatch):
    plain, plain_labels = two_passes(shuffle=False)
    monkeypatch.setenv("BN_ROUNDING", "1")
    pixels, labels = two_passes(shuffle=False)
    assert (pixels == plain).all() and (labels == plain_labels).all()


def test_rounding_is_the_same_for_the_same_number_only(monkeypatch):
    monkeypatch.setenv("BN_ROUNDING", "1")
    first, again = two_passes()[0], two_passes()[0]
    monkeypatch.setenv("BN_ROUNDING", "2")
    other = two_passes()[0]
    assert (first == again).all() and (first != other).any()


def test_seed_changes_the_order_of_training_pictures_only(monkeypatch):
    plain_labels, plain_test = two_passes()[1], two_passes(shuffle=False)[0]
    monkeypatch.setenv("BN_SEED", "0")
    assert (two_passes()[1] == plain_labels).all()
    monkeypatch.setenv("BN_SEED", "3")
    pixels, labels = two_passes()
    assert (labels != plain_labels).any()
    assert (labels == two_passes()[1]).all()
    known = PICTURES[labels.astype(int)][:, :, None] / np.float32(255)
    assert (pixels == known).all()
    assert (two_passes(shuffle=False)[0] == plain_test).all()


def draw(*numbers, **environment):
    """Print what MXNet draws after each `mx.random.seed`, in a process of its own."""
    script = (
        "import sys, utils, mxnet as mx\n"
        "for number in sys.argv[1:]:\n"
        "    mx.random.seed(int(number))\n"
        "    print(mx.nd.random.uniform(shape=4).asnumpy())"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, numbers)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_seed_is_added_to_what_the_notebook_passes_to_mxnet():
    four, seven = draw(4, 7).stdout.splitlines()
    assert four != seven
    assert draw(4, BN_SEED="3").stdout.splitlines() == [seven]


@pytest.mark.parametrize("name", ["BN_ROUNDING", "BN_SEED"])
@pytest.mark.parametrize("value", ["-1", "1.5", "one", ""])
def test_a_number_that_is_none_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as caught:
        two_passes()
    assert str(caught.value) == (
        f"{name} has to be a whole number, but it is {value!r}. Correct it, or unset "
        "it for a run like any other."
    )


def test_a_seed_that_is_none_is_named_at_import():
    run = draw(0, BN_SEED="one")
    assert run.returncode == 1
    assert (
        "ValueError: BN_SEED has to be a whole number, but it is 'one'." in run.stderr
    )
