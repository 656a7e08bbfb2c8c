"""Accuracy, on numbers that one can count by hand."""

import utils
import numpy as np
import pytest
from mxnet import gluon, nd, npx
from utils.metrics import count_hits


@pytest.fixture
def numpy_mode():
    npx.set_np()
    yield
    npx.reset_np()


OUTPUT = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
LABEL = [1, 0, 0, 0]  # three of four are right


def test_accuracy_is_a_python_float():
    result = utils.accuracy(nd.array(OUTPUT), nd.array(LABEL))
    assert type(result) is float
    assert result == 0.75


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
def test_accuracy_takes_labels_of_any_type(dtype):
    assert utils.accuracy(nd.array(OUTPUT), nd.array(LABEL, dtype=dtype)) == 0.75


@pytest.mark.parametrize("shape", [(3,), (4, 1)])
def test_accuracy_refuses_labels_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(.*reshape the labels"):
        utils.accuracy(nd.array(OUTPUT), nd.ones(shape))


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_hits_are_counted_in_an_array_of_one_number(dtype):
    hits = count_hits(nd.array(OUTPUT), nd.array(LABEL, dtype=dtype))
    assert type(hits) is nd.NDArray
    assert (hits.shape, hits.dtype, hits.asscalar()) == ((1,), np.float32, 3)


def identity(X):
    return X


def test_evaluate_accuracy_weighs_batches_by_their_size():
    # 3 of 4 and 0 of 1: a mean of the two batches' accuracies would be 0.375.
    batches = [
        (nd.array(OUTPUT), nd.array(LABEL)),
        (nd.array(OUTPUT[:1]), nd.array([0])),
    ]
    assert utils.evaluate_accuracy(batches, identity) == 0.6


def test_evaluate_accuracy_takes_one_pair():
    pair = [nd.array(OUTPUT), nd.array(LABEL)]
    assert utils.evaluate_accuracy(pair, identity, utils.try_gpu()) == 0.75


def test_evaluate_accuracy_splits_a_batch_over_devices():
    ctx = utils.try_all_gpus() * 2
    batches = [(nd.array(OUTPUT), nd.array(LABEL))]
    assert utils.evaluate_accuracy(batches, identity, ctx) == 0.75


def test_evaluate_accuracy_predicts():
    net = gluon.nn.Dropout(0.5)  # does nothing in prediction
    batches = [(nd.ones((100, 2)) * nd.array([1, 2]), nd.ones(100))]
    assert utils.evaluate_accuracy(batches, net) == 1.0


@pytest.mark.parametrize("nothing", [iter([]), [], ()], ids=["iterator", "[]", "()"])
def test_evaluate_accuracy_refuses_to_have_no_batch(nothing):
    with pytest.raises(ValueError) as caught:
        utils.evaluate_accuracy(nothing, identity)
    assert str(caught.value) == (
        "evaluate_accuracy expects at least one batch, but the iterator gave none; a "
        "generator can be used only once, so pass a list or an iterator of "
        "utils.load_mnist instead."
    )


def test_numpy_mode(numpy_mode):
    from mxnet import np

    output, label = np.array(OUTPUT), np.array(LABEL)
    assert utils.accuracy(output, label) == 0.75
    assert utils.evaluate_accuracy([(output, label)], identity) == 0.75
