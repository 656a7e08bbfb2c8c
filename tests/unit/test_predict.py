"""The functions of the chapter on prediction, loaded from its notebook."""

import utils
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn

predict = utils.definitions("batch-norm-predict")


@pytest.mark.parametrize("axes", [(0, 3, 4), (2, 3, 4), (1, 2, 3, 4), (3, 4)])
def test_normalize_is_numpys(axes):
    X = nd.random.normal(3, 2, shape=(4, 3, 2, 5, 5))
    V = X.asnumpy().astype("float64")
    mean, var = (f(V, axis=axes, keepdims=True) for f in (np.mean, np.var))
    found = predict.normalize(nd, X, axes).asnumpy()
    assert np.allclose(found, (V - mean) / np.sqrt(var + 1e-5), atol=1e-5)


def test_gradients_of_normalize_are_group_norms():
    X, head = nd.random.normal(shape=(2, 3, 8, 4, 4))
    gradients = []
    layer = nn.GroupNorm(num_groups=4)
    layer.initialize()
    for normalize in (
        layer,
        lambda X: predict.normalize(
            nd, X.reshape((3, 4, 2, 4, 4)), (2, 3, 4)
        ).reshape_like(X),
    ):
        X.attach_grad()
        with autograd.record():
            Y = normalize(X)
        Y.backward(head)
        gradients.append(X.grad.asnumpy())
    assert np.allclose(*gradients, atol=1e-5)


def test_calibration_error_by_hand():
    # Four predictions of 0.75 of which two are right, one of 0.95 that is.
    confidence = np.array([0.75, 0.75, 0.75, 0.75, 0.95])
    hits = np.array([True, True, False, False, True])
    error = predict.calibration_error(confidence, hits)
    assert error == pytest.approx(4 / 5 * 0.25 + 1 / 5 * 0.05)


def test_confidence_of_one_belongs_to_the_last_bin():
    assert predict.calibration_error(np.array([1.0]), np.array([True])) == 0


def test_confidences_are_of_the_largest_score():
    scores = nd.array([[0, 3], [1, 1 + np.log(3)]])
    confidence, hits = predict.confidences(scores, nd.array([0, 1]))
    assert np.allclose(confidence, [np.exp(3) / (1 + np.exp(3)), 0.75])
    assert hits.tolist() == [False, True]


def test_statistics_of_batches_are_those_that_the_layers_see():
    net = nn.Sequential()
    net.add(nn.Conv2D(4, 3), nn.BatchNorm(momentum=0), nn.Activation("relu"))
    net.add(nn.Conv2D(2, 3), nn.BatchNorm(momentum=0))
    net.initialize(ctx=mx.cpu())
    X = nd.random.normal(2, 3, shape=(6, 1, 9, 9))
    found = predict.re_estimated(net, [X])
    with autograd.record():
        net(X).backward()
    # With momentum 0, the stored statistics are those of the last batch.
    for layer, stored in zip(found, predict.stored_statistics(net), strict=True):
        assert np.allclose(layer, stored, rtol=1e-4, atol=1e-5)


def test_a_moving_average_keeps_its_momentum_of_the_old():
    old, new = [np.zeros((2, 3))], [np.ones((2, 3))]
    assert np.allclose(predict.move(old, new, 0.9), 0.1)
