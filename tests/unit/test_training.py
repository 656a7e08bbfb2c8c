"""The training loop and its epochs, on a problem that trains in a second."""

import re

import utils
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd, npx


@pytest.fixture(autouse=True)
def full_profile(monkeypatch):
    monkeypatch.delenv("BN_PROFILE", raising=False)


def test_epochs_runs_all_of_them(capfd):
    assert list(utils.epochs(3)) == [0, 1, 2]
    out, err = capfd.readouterr()
    assert out == ""
    assert "0/3" in err
    assert "Short profile" not in err


def test_full_profile_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("BN_PROFILE", "full")
    assert list(utils.epochs(np.int64(2))) == [0, 1]


def test_short_profile_has_one_epoch_and_says_so(monkeypatch, capfd):
    monkeypatch.setenv("BN_PROFILE", "short")
    assert list(utils.epochs(10)) == [0]
    out, err = capfd.readouterr()
    assert out == ""
    assert (
        "Short profile: one epoch, of at most 32 batches, where 10 were asked for "
        "(BN_PROFILE=short).\n"
    ) in err


@pytest.mark.parametrize("value", ["1", "Short", ""])
def test_wrong_profile_is_an_error(monkeypatch, value):
    monkeypatch.setenv("BN_PROFILE", value)
    with pytest.raises(ValueError) as caught:
        next(utils.epochs(10))
    assert str(caught.value) == (
        f"BN_PROFILE has to be short or full, but it is '{value}'. Correct it, or "
        "unset it for full training."
    )


@pytest.mark.parametrize("value", [0, -3, 2.5, "3", None])
def test_wrong_number_of_epochs_is_an_error(value):
    with pytest.raises(ValueError) as caught:
        next(utils.epochs(value))
    assert str(caught.value) == (
        f"num_epochs has to be a whole number of at least 1, but it is {value!r}."
    )


def test_sgd_steps_against_the_gradient_in_place():
    x = nd.array([3.0, -1.0])
    x.attach_grad()
    with autograd.record():
        loss = (x * x).sum()
    loss.backward()
    same = x
    utils.SGD([x], 0.25)
    assert same.asnumpy().tolist() == [1.5, -0.5]


@pytest.fixture
def problem():
    """Eight batches of pictures whose class is which half is bright."""
    rng = np.random.RandomState(0)
    y = rng.randint(0, 2, 256)
    X = rng.rand(256, 1, 28, 28) * 0.5
    X[y == 1, :, 14:] += 0.5
    X[y == 0, :, :14] += 0.5
    return X.astype("float32"), y.astype("float32")


def batches(X, y, array):
    X, y = array(X), array(y)
    return [(X[i : i + 32], y[i : i + 32]) for i in range(0, 256, 32)]


LINE = r"epoch \d, loss \d\.\d{4}, train acc \d\.\d{3}, test acc \d\.\d{3}, time .* s"


def train(data, ctx):
    net = gluon.nn.Sequential()
    net.add(gluon.nn.Flatten(), gluon.nn.Dense(2))
    net.initialize(mx.init.Zero(), ctx=ctx)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    return utils.train_ch5(net, data, data, 32, trainer, ctx, 3)


def test_train_ch5_learns_and_prints(problem, capsys):
    rows = train(batches(*problem, nd.array), mx.cpu())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(LINE, line) for line in lines)
    assert rows[-1][2] == 1.0
    assert rows[-1][0] < rows[0][0] < np.log(2)


def test_train_ch5_gives_the_same_on_two_devices(problem):
    data = batches(*problem, nd.array)
    one, two = train(data, mx.cpu()), train(data, [mx.cpu(0), mx.cpu(1)])
    assert np.allclose([r[:3] for r in one], [r[:3] for r in two], atol=1e-5)


def test_train_ch5_in_numpy_mode(problem):
    classic = train(batches(*problem, nd.array), mx.cpu())
    npx.set_np()
    try:
        rows = train(batches(*problem, mx.np.array), mx.cpu())
    finally:
        npx.reset_np()
    assert np.allclose([r[:3] for r in classic], [r[:3] for r in rows], atol=1e-6)


def test_train_ch5_calls_back_after_each_epoch(problem):
    net = gluon.nn.Dense(2)
    net.initialize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    data, seen = batches(*problem, nd.array), []

    def look():
        seen.append(net.weight.data()[0, 0].asscalar())

    utils.train_ch5(net, data, data, 32, trainer, mx.cpu(), 2, look)
    assert len(seen) == 2
    assert seen[0] != seen[1]
