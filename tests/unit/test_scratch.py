"""The functions of the scratch chapter, loaded from its notebook.

They are compared with float64 NumPy, written here from the paper's equations, and
with numerical gradients.
"""

import utils
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

scratch = utils.definitions("batch-norm-scratch")
LAYERS = [scratch.batch_norm, scratch.fast_batch_norm]
SHAPES = [(5, 3), (4, 3, 2, 5), (1, 3, 4, 4), (64, 20, 13, 13)]


def axes(X):
    return (0,) if X.ndim == 2 else (0, 2, 3)


def wide(v, X):
    return np.reshape(v, (1, -1) + (1,) * (X.ndim - 2))


def reference(X, gamma, beta, mean=None, var=None, eps=1e-5):
    """Output, mean and biased variance, in float64."""
    X = X.astype("float64")
    mean = X.mean(axes(X)) if mean is None else mean
    var = ((X - wide(mean, X)) ** 2).mean(axes(X)) if var is None else var
    X_hat = (X - wide(mean, X)) / np.sqrt(wide(var, X) + eps)
    return wide(gamma, X) * X_hat + wide(beta, X), mean, var


def example(shape, mean=0.0, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(mean, 1, shape).astype("float32")
    gamma, beta = rng.uniform(0.5, 2, (2, shape[1])).astype("float32")
    return X, gamma, beta


def moving_statistics(channels):
    return nd.zeros(channels), nd.ones(channels)


def test_published_example_of_a_dense_layer():
    A = nd.array([[1, 7], [5, 4], [6, 10]])
    expected = [[-1.38872862, 0], [0.46290955, -1.22474384], [0.9258191, 1.22474384]]
    Y = scratch.pure_batch_norm(A, nd.ones(2), nd.zeros(2))
    np.testing.assert_allclose(Y.asnumpy(), expected, rtol=2e-7, atol=1e-7)


def test_published_example_of_a_convolution():
    B = nd.array([1, 6, 5, 7, 4, 3, 2, 5, 6, 3, 2, 4, 5, 3, 2, 5])
    Y = scratch.pure_batch_norm(B.reshape((2, 2, 2, 2)), nd.ones(2), nd.zeros(2))
    expected = [
        [-1.63784397, 0.88191599, 0.37796399, 1.38586795],
        [0.30779248, -0.51298743, -1.33376741, 1.12857234],
        [0.88191599, -0.62993997, -1.13389194, -0.12598799],
        [1.12857234, -0.51298743, -1.33376741, 1.12857234],
    ]
    np.testing.assert_allclose(
        Y.asnumpy().reshape(4, 4), expected, rtol=3e-7, atol=1e-7
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_pure_batch_norm_against_numpy(shape):
    X, gamma, beta = example(shape)
    Y = scratch.pure_batch_norm(*map(nd.array, (X, gamma, beta)))
    expected, _, _ = reference(X, gamma, beta)
    np.testing.assert_allclose(Y.asnumpy(), expected, atol=3e-6)


def test_eps_stands_inside_the_root():
    X = nd.array([[-1e-3], [1e-3]])  # variance 1e-6, far below eps
    Y = scratch.pure_batch_norm(X, nd.ones(1), nd.zeros(1), eps=1e-2)
    np.testing.assert_allclose(Y.asnumpy()[1], 1e-3 / np.sqrt(1e-6 + 1e-2), rtol=1e-5)


@pytest.mark.parametrize("layer", [scratch.pure_batch_norm, *LAYERS])
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (1, 2, 3, 4, 5)])
def test_other_numbers_of_axes_are_refused(layer, shape):
    more = () if layer is scratch.pure_batch_norm else moving_statistics(shape[-1])
    with pytest.raises(ValueError) as error:
        layer(nd.ones(shape), nd.ones(1), nd.zeros(1), *more)
    assert f"but got {shape}; reshape X" in str(error.value)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [0, 1000])
def test_training_against_numpy(layer, shape, mean):
    X, gamma, beta = example(shape, mean)
    moving_mean, moving_var = moving_statistics(shape[1])
    with autograd.record():
        Y = layer(*map(nd.array, (X, gamma, beta)), moving_mean, moving_var, 0.75)
    expected, mu, var = reference(X, gamma, beta)
    np.testing.assert_allclose(Y.asnumpy(), expected, atol=1e-5)
    np.testing.assert_allclose(moving_mean.asnumpy(), 0.25 * mu, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moving_var.asnumpy(), 0.75 + 0.25 * var, rtol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_prediction_uses_the_moving_statistics_and_leaves_them(layer, shape):
    X, gamma, beta = example(shape)
    moving = nd.array(np.linspace(-1, 1, 2 * shape[1]).reshape(2, -1) + [[0], [2]])
    before = moving.asnumpy()
    Y = layer(*map(nd.array, (X, gamma, beta)), moving[0], moving[1])
    expected, _, _ = reference(X, gamma, beta, *before)
    np.testing.assert_allclose(Y.asnumpy(), expected, atol=1e-5)
    assert (moving.asnumpy() == before).all()


@pytest.mark.parametrize("layer", LAYERS)
def test_moving_mean_has_its_closed_form(layer):
    X, gamma, beta = map(nd.array, example((16, 3), mean=5))
    moving_mean, moving_var = moving_statistics(3)
    for _ in range(7):
        with autograd.record():
            layer(X, gamma, beta, moving_mean, moving_var, momentum=0.9)
    expected = (1 - 0.9**7) * X.asnumpy().mean(axis=0)
    np.testing.assert_allclose(moving_mean.asnumpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("mean", [0, 1000])
def test_gradients_against_differences(layer, shape, mean):
    X, gamma, beta = example(shape, mean)
    G = np.random.RandomState(1).normal(size=shape)
    arrays = [nd.array(a) for a in (X, gamma, beta)]
    for array in arrays:
        array.attach_grad()
    with autograd.record():
        Y = layer(*arrays, *moving_statistics(shape[1]))
    Y.backward(nd.array(G))

    inputs, h = [a.astype("float64") for a in (X, gamma, beta)], 1e-4
    for index, array in enumerate(arrays):
        numerical = np.empty(array.shape)
        for place in np.ndindex(array.shape):
            sides = []
            for sign in 1, -1:
                moved = [a.copy() for a in inputs]
                moved[index][place] += sign * h
                sides.append((reference(*moved)[0] * G).sum())
            numerical[place] = (sides[0] - sides[1]) / (2 * h)
        scale = max(1, abs(numerical).max())
        np.testing.assert_allclose(
            array.grad.asnumpy() / scale, numerical / scale, atol=2e-5
        )


def test_moving_statistics_stay_outside_the_graph():
    X, gamma, beta = map(nd.array, example((16, 3)))
    moving_mean, moving_var = moving_statistics(3)
    for layer in LAYERS:
        with autograd.record():
            layer(X, gamma, beta, moving_mean, moving_var)
        # An array that is part of a recorded graph knows the operator it is from.
        with pytest.raises(mx.MXNetError):
            moving_mean.backward()


@pytest.mark.parametrize("act_type", ["relu", "sigmoid"])
def test_gradient_comes_back_from_a_pooling(act_type):
    """MXNet 1.9.1 fails here where the layer returns a reshaped view."""
    X, W = nd.random.uniform(shape=(256, 1, 28, 28)), nd.random.normal(shape=(20, 25))
    state = nd.ones(20), nd.zeros(20), *moving_statistics(20)
    W.attach_grad()
    with autograd.record():
        h = nd.Convolution(
            X, W.reshape((20, 1, 5, 5)), no_bias=True, kernel=(5, 5), num_filter=20
        )
        h = scratch.fast_batch_norm(nd.Activation(h, act_type=act_type), *state)
        h = nd.Pooling(h, pool_type="max", kernel=(2, 2), stride=(2, 2))
        loss = nd.square(h).sum()
    loss.backward()
    assert nd.abs(W.grad).max().asscalar() > 0


def test_loss_is_stable_and_summed():
    output, label = nd.array([[200, 0, 0], [0, 0, 0]]), nd.array([1, 2])
    loss = scratch.softmax_cross_entropy(output, label).asscalar()
    np.testing.assert_allclose(loss, 200 + np.log(3), rtol=1e-6)


def test_definitions_of_an_unknown_chapter():
    with pytest.raises(FileNotFoundError, match="no nothing.ipynb in chapters/"):
        utils.definitions("nothing")
