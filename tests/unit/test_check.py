"""The check of a batch normalization: correct layers, blanks, bounds, side effects."""

import dataclasses
import os
import threading
from types import SimpleNamespace

import utils  # noqa: F401  (it makes `import mxnet` work)
import mxnet as mx
import numpy as np
import pytest
from utils import check
from mxnet import autograd, nd
from mxnet.gluon import nn
from mxnet.util import is_np_array

from tests.support import zoo_check, zoo_check_right
from tests.support.judge import judge
from tests.support.zoo_check_blocks import Plain, Right, StartsAtZero
from tests.support.zoo_check_functions import all_axes, eps_missing, per_sample
from tests.support.zoo_check_right import Layer, textbook
from tests.support.zoo_check_statistics import flipped, replaced


@pytest.mark.parametrize("name", zoo_check.names_in("right"))
def test_correct_layers_pass(name, record_property):
    judge(name, record_property)


SAMPLE = [all_axes, eps_missing, per_sample, flipped, replaced] + [
    textbook,
    nn.BatchNorm,
    StartsAtZero,
    Layer(),
    zoo_check_right.welford,
]


@pytest.mark.parametrize("layer", SAMPLE, ids=lambda layer: type(layer).__name__)
def test_the_verdict_is_always_the_same(layer):
    first = str(check.batch_norm(layer))
    mx.random.seed(1)
    np.random.seed(1)
    assert str(check.batch_norm(layer)) == first


def keeps_an_unbiased_variance(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    Y = textbook(X, gamma, beta, eps)
    if not autograd.is_training():
        axes = [1, -1] + [1] * (X.ndim - 2)
        X_hat = (X - moving_mean.reshape(axes)) / nd.sqrt(
            moving_var.reshape(axes) + eps
        )
        return gamma.reshape(axes) * X_hat + beta.reshape(axes)
    with autograd.pause():
        count = X.size // X.shape[1]
        values = X.swapaxes(0, 1).reshape((X.shape[1], -1))
        mean = values.mean(axis=1)
        var = ((values - mean.reshape((-1, 1))) ** 2).sum(axis=1) / (count - 1)
        moving_mean[:] = momentum * moving_mean + (1 - momentum) * mean
        moving_var[:] = momentum * moving_var + (1 - momentum) * var
    return Y


def test_what_cudnn_does_by_design_is_no_mistake_on_a_gpu():
    verdict = check.batch_norm(keeps_an_unbiased_variance)
    assert verdict.mistakes == ("the moving variance is unbiased, divided by m − 1",)
    on_gpu = SimpleNamespace(ctx=mx.gpu())
    changes = check.batch_norm.by_design(on_gpu)
    as_on_gpu = dataclasses.replace(check.batch_norm, by_design=lambda layer: changes)
    assert as_on_gpu(keeps_an_unbiased_variance).is_right
    assert as_on_gpu(textbook).is_right


def test_no_file_is_left_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY", raising=False)
    assert check.batch_norm(flipped).outcome == "wrong"
    assert not list(tmp_path.iterdir())
    assert "HYPOTHESIS_STORAGE_DIRECTORY" not in os.environ


# --- Not attempted ---


def dots(X, gamma, beta, eps=1e-5): ...


def documented_dots(X, gamma, beta, eps=1e-5):
    """Batch normalization."""
    ...


def only_passes(X, gamma, beta, moving_mean, moving_var, momentum, eps):
    pass


def dots_inside(X, gamma, beta, eps=1e-5):
    X_hat = X - X.mean(axis=0)
    Y = ...
    return Y if X_hat is not None else X_hat


def returns_dots(X, gamma, beta, eps=1e-5):
    return ...


def dots_for_one_kind(X, gamma, beta, eps=1e-5):
    if X.ndim == 2:
        return textbook(X, gamma, beta, eps)
    ...


def to_be_written(X, gamma, beta, eps=1e-5):
    raise NotImplementedError


class BlockOfDots(nn.Block):
    def forward(self, X): ...


class BlockWithDots(Right):
    def forward(self, X):
        gamma, beta, moving_mean, moving_var = self.state(X)
        mean, var = ..., ...
        return gamma * (X - mean) / (var + self.eps) ** 0.5 + beta


class WithoutForward(nn.Block):
    """Only the line of the class is there."""


BLANK = [
    ...,
    None,
    dots,
    documented_dots,
    only_passes,
    dots_inside,
    returns_dots,
    to_be_written,
    lambda X, gamma, beta, eps: ...,
    BlockOfDots,
    BlockWithDots,
    WithoutForward,
]


@pytest.mark.parametrize("work", BLANK, ids=lambda w: getattr(w, "__name__", str(w)))
def test_what_is_not_written_yet_is_not_attempted(work):
    verdict = check.batch_norm(work)
    assert (verdict.outcome, verdict.mistakes) == ("not attempted", ()), str(verdict)


def test_a_block_of_dots_that_was_made_is_not_attempted():
    assert check.batch_norm(BlockOfDots()).outcome == "not attempted"


def test_half_a_layer_is_not_right():
    assert check.batch_norm(dots_for_one_kind).outcome != "right"


# --- Bounds ---


def test_an_endless_loop_is_stopped():
    def layer(X, gamma, beta, eps):
        while True:
            pass

    verdict = check.batch_norm(layer)
    assert verdict.outcome == "wrong" and "did not come back" in str(verdict)


def test_a_loop_that_catches_exceptions_is_stopped():
    def layer(X, gamma, beta, eps):
        while True:
            try:
                textbook(X, gamma, beta, eps)
            except Exception:
                pass

    verdict = check.batch_norm(layer)
    assert verdict.outcome == "wrong" and "did not come back" in str(verdict)


def test_a_loop_that_catches_everything_is_left_behind():
    over = threading.Event()

    def layer(X, gamma, beta, eps):
        while not over.is_set():
            try:
                over.wait(0.01)
            except BaseException:
                pass

    try:
        verdict = check.batch_norm(layer)
    finally:
        over.set()
    assert verdict.outcome == "wrong" and "did not come back" in str(verdict)


def test_growth_is_stopped():
    kept = []

    def layer(X, gamma, beta, eps):
        while True:
            kept.append(np.ones(2**21))

    verdict = check.batch_norm(layer)
    # A slow machine needs more than the time of a call to touch so much memory.
    assert verdict.outcome == "wrong", str(verdict)
    assert "memory" in str(verdict) or "did not come back" in str(verdict)
    assert len(kept) < 200


def test_growth_from_call_to_call_is_stopped():
    kept = []

    def layer(X, gamma, beta, eps):
        kept.append(np.ones(2**23))
        return textbook(X, gamma, beta, eps)

    verdict = check.batch_norm(layer)
    assert verdict.outcome == "wrong" and "memory" in str(verdict)
    assert len(kept) < 50


# --- What the check leaves as it was ---


def snapshot(block):
    """All that a reader can see of a block."""
    parameters = {
        name: (p.shape, p.grad_req, p._data and p.data().asnumpy().tolist())
        for name, p in block.collect_params().items()
    }
    gradients = {
        name: p.grad().asnumpy().tolist()
        for name, p in block.collect_params().items()
        if p._data and p.grad_req != "null"
    }
    attributes = {
        name: value.asnumpy().tolist() if isinstance(value, nd.NDArray) else repr(value)
        for name, value in vars(block).items()
        if name not in ("_params", "_scope", "_reg_params")
    }
    return parameters, gradients, attributes


def trained(block, shape=(6, 3)):
    block.initialize()
    make = mx.np.random.normal if is_np_array() else nd.random.normal
    X = make(3, 2, shape)
    with autograd.record():
        Y = block(X)
    Y.backward()
    return block


def hybridized():
    block = nn.BatchNorm()
    block.hybridize(static_alloc=True)
    return trained(block)


def deferred():
    block = nn.BatchNorm()
    block.initialize()
    return block


BLOCKS = {
    "not initialized": nn.BatchNorm,
    "deferred": deferred,
    "by hand, deferred": Right,
    "trained": lambda: trained(nn.BatchNorm(), (4, 3, 2, 2)),
    "by hand, trained": lambda: trained(Right(3)),
    "hybridized": hybridized,
}


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
def test_a_block_is_left_as_it_was(make):
    block = make()
    before = snapshot(block)
    assert check.batch_norm(block).outcome == "right"
    assert snapshot(block) == before


def test_plain_attributes_are_left_as_they_were():
    with zoo_check.mode(numpy=True):
        block = trained(Plain(3))
        before, mean = snapshot(block), block.moving_mean
        assert check.batch_norm(block).outcome == "right"
        assert snapshot(block) == before
        assert block.moving_mean is mean


def test_a_wrong_block_is_left_as_it_was():
    class Raises(Right):
        def forward(self, X):
            super().forward(X)
            raise ValueError("half way")

    block = Raises(3)
    block.initialize()
    before = snapshot(block)
    assert check.batch_norm(block).outcome == "wrong"
    assert snapshot(block) == before


def test_a_deferred_block_still_takes_any_number_of_channels():
    block = deferred()
    check.batch_norm(block)
    assert block(nd.ones((2, 9))).shape == (2, 9)


def test_modes_and_random_numbers_are_left_as_they_were():
    def draws():
        mx.random.seed(5)
        np.random.seed(5)
        yield
        yield nd.random.normal(shape=3).asnumpy().tolist(), np.random.rand()

    without, beside = draws(), draws()
    next(without)
    expected = next(without)
    next(beside)
    with autograd.record(train_mode=False):
        check.batch_norm(textbook)
        assert autograd.is_recording() and not autograd.is_training()
    assert not is_np_array()
    assert next(beside) == expected
