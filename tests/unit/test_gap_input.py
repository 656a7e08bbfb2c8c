"""What explain_gap says to networks and data that it cannot measure."""

import utils
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from utils.gap import facts

from tests.support import nets_gap as nets

X, Y = nd.random.uniform(shape=(64, 6)), nd.array([0, 1] * 32)
GOOD = [(X, Y)]


def small(*layers):
    net = nn.Sequential()
    net.add(*(layers or (nn.Dense(4), nn.BatchNorm(), nn.Dense(2))))
    net.initialize()
    net(X)
    return net


def with_nan(parameter):
    net = small()
    array = net[1].running_var if parameter == "running_var" else net[0].weight
    array.data()[0] = np.nan
    return net


def not_called():
    net = small()
    net.hybridize(False)
    net[1].forward, net.forward = None, lambda X: net[2](net[0](X))
    return net


class Several(nn.Block):
    def __init__(self):
        super().__init__()
        with self.name_scope():
            for n in "ab":
                for what in "mean", "var":
                    name = f"{n}_moving_{what}"
                    setattr(self, name, self.params.get(name, shape=4, init="zeros"))


class LastAxis(nn.Block):
    """Normalizes the last axis by hand, and hands on the mean of the others."""

    def __init__(self):
        super().__init__()
        self.moving_mean, self.moving_var = nd.zeros(6), nd.ones(6)

    def forward(self, X):
        X = (X - self.moving_mean) / self.moving_var
        return X.reshape((X.shape[0], -1, 6)).mean(axis=1)


class Two(nn.Block):
    def forward(self, X):
        return X, X


@pytest.mark.parametrize(
    "net, train, test, sentence",
    [
        (
            lambda: small(nn.Dense(2), nn.LayerNorm()),
            GOOD,
            GOOD,
            "explain_gap expects a network with moving statistics, but found only "
            "LayerNorm, which computes the same in training and prediction; look for "
            "the gap elsewhere, as in dropout or overfitting.",
        ),
        (
            lambda: small(nn.Dense(2)),
            GOOD,
            GOOD,
            "explain_gap expects a network with moving statistics, but found none; "
            "pass a network with nn.BatchNorm, or name the statistics of your own "
            "block moving_mean and moving_var.",
        ),
        (
            lambda: len,
            GOOD,
            GOOD,
            "explain_gap expects a Gluon network (gluon.Block), but got "
            "builtin_function_or_method; put the function into the forward of an "
            "nn.Block.",
        ),
        (
            small,
            GOOD,
            [],
            "test_iter was expected to give at least one batch, but it gave none; a "
            "generator can be used only once, so make a new one, or pass a list.",
        ),
        (
            small,
            [(X, Y.reshape((-1, 1)))],
            GOOD,
            "train_iter was expected to give labels of shape (64,), one class index "
            "per sample, but their shape is (64, 1); pass label.reshape((-1,)), or the "
            "argmax of one-hot labels.",
        ),
        (
            small,
            GOOD,
            [X],
            "test_iter was expected to give pairs of (data, label), but it gave "
            "NDArray; pass a gluon.data.DataLoader or a list of pairs.",
        ),
        (
            small,
            None,
            GOOD,
            "train_iter was expected to be an iterable of (data, label), but got "
            "NoneType; pass a gluon.data.DataLoader or a list of pairs.",
        ),
        (
            small,
            [([X[:32], X[32:]], [Y[:32], Y[32:]])],
            GOOD,
            "train_iter was expected to give data and labels as one array each, but "
            "gave lists of arrays; pass the batches as they are before they are "
            "divided among devices.",
        ),
        (
            small,
            [(X[0], Y[0].asscalar())],
            GOOD,
            "train_iter was expected to give batches, but gave a single label; pass "
            "gluon.data.DataLoader(dataset, batch_size).",
        ),
        (
            small,
            [(X, Y), (X[:, :5], Y)],
            GOOD,
            "train_iter was expected to give samples of one shape, but gave (6,) and "
            "(5,); crop or pad them.",
        ),
        (
            small,
            GOOD,
            [(X, Y + 0.5)],
            "test_iter was expected to give class indices as labels, but 0.5 is no "
            "whole number; explain_gap is for classification.",
        ),
        (
            small,
            GOOD,
            [(X[:, :5], Y)],
            "Data that the network takes were expected, but of test_iter's, float32 "
            "of shape (64, 5), MXNet says 'Shape inconsistent, Provided = [4,6], "
            "inferred shape=(4,5)'; give samples of the shape and type of its "
            "training.",
        ),
        (
            small,
            GOOD,
            [(X.astype("int32"), Y)],
            "Data that the network takes were expected, but of test_iter's, int32 of "
            "shape (64, 6), MXNet says 'Check failed: assign(&dattr, vec.at(i)): "
            "Incompatible attr in node  at 1-th input: expected int32, got float32'; "
            "give samples of the shape and type of its training.",
        ),
        (
            small,
            GOOD,
            [(X, Y + 1)],
            "Labels from 0 to 1 were expected, as the network has 2 outputs, but "
            "test_iter has labels from 1 to 2; count classes from 0, or correct the "
            "last layer's size.",
        ),
        (
            small,
            [(X / 0, Y)],
            GOOD,
            "Finite numbers were expected, but train_iter has NaN or infinity in its "
            "data; correct the data, or train again with a smaller learning rate.",
        ),
        (
            lambda: small(nn.Dense(4), nn.BatchNorm(), nn.Lambda(lambda X: X / 0)),
            GOOD,
            GOOD,
            "Finite numbers were expected, but the output of the network has NaN or "
            "infinity; correct the data, or train again with a smaller learning rate.",
        ),
        (
            lambda: small(nn.Lambda(lambda X: X / 0), nn.BatchNorm(), nn.Dense(2)),
            GOOD,
            GOOD,
            "Finite numbers were expected, but the input of layer 1 (BatchNorm) has "
            "NaN or infinity; correct the data, or train again with a smaller learning "
            "rate.",
        ),
        (
            lambda: small(nn.BatchNorm(), nn.Dense(2), Two()),
            GOOD,
            GOOD,
            "Outputs of shape (64, classes) were expected, with 2 classes or more, but "
            "the network gave <class 'tuple'>; its forward has to return one score per "
            "sample and class.",
        ),
        (
            lambda: small(nn.BatchNorm(), nn.Dense(1)),
            GOOD,
            GOOD,
            "Outputs of shape (64, classes) were expected, with 2 classes or more, but "
            "the network gave (64, 1); its forward has to return one score per sample "
            "and class.",
        ),
        (
            not_called,
            GOOD,
            GOOD,
            "A pass through layer 1 (BatchNorm) was expected, but the network called "
            "no layer with moving statistics; call it as a function, layer(X), in the "
            "network's forward.",
        ),
        (
            lambda: small(LastAxis(), nn.Dense(2)),
            [(nd.ones((64, 3, 6)), Y)],
            [(nd.ones((64, 3, 6)), Y)],
            "6 channels on axis 1 were expected in the input of layer 0 (LastAxis), as "
            "in its statistics, but its shape is (64, 3, 6); let a block of its own "
            "normalize, with channels on axis 1.",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(net, train, test, sentence):
    with pytest.raises(ValueError) as caught:
        utils.explain_gap(net(), train, test)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "what, told",
    [("weight", "parameter dense"), ("running_var", "parameter batchnorm")],
)
def test_nan_in_a_parameter_is_told_with_its_name(what, told):
    with pytest.raises(ValueError, match=f"but {told}.*_{what} has NaN or infinity"):
        utils.explain_gap(with_nan(what), GOOD, GOOD)


def test_negative_variance_is_told():
    net = small()
    net[1].running_var.data()[0] = -1
    with pytest.raises(ValueError) as caught:
        utils.explain_gap(net, GOOD, GOOD)
    assert str(caught.value) == (
        "Variances of at least 0 were expected, but layer 1 (BatchNorm) has stored -1; "
        "correct its update, or load other parameters."
    )


def test_nan_in_plain_statistics_is_told_with_the_layer():
    train, test = nets.data(0)
    net = nets.begin(nets.dense_own(plain=True), 0, train[0])
    net[1].moving_mean[0, 0] = np.nan
    with pytest.raises(ValueError, match="the statistics of layer 1 .Own. have NaN"):
        utils.explain_gap(net, train, test)


def test_network_without_values_is_told():
    net = nn.Sequential()
    net.add(nn.Dense(4), nn.BatchNorm(), nn.Dense(2))
    for _ in range(2):
        with pytest.raises(
            ValueError, match="_weight has no values yet; call net.init"
        ):
            utils.explain_gap(net, GOOD, GOOD)
        net.initialize()  # still, shapes are not known before the first batch


def test_network_elsewhere_is_told():
    with pytest.raises(
        ValueError, match=r"on cpu\(1\) were expected, but .* on cpu\(0\)"
    ):
        utils.explain_gap(small(), GOOD, GOOD, mx.cpu(1))


def test_block_with_several_statistics_is_told():
    net = Several()
    net.initialize()
    with pytest.raises(ValueError) as caught:
        utils.explain_gap(net, GOOD, GOOD)
    assert str(caught.value) == (
        "A block was expected to own one set of moving statistics, but (Several) owns "
        "2; give each normalization a block of its own."
    )


def test_overflow_with_stored_statistics_is_a_miss_and_no_error():
    net = small()
    net.add(nn.Lambda(lambda X: nd.where(nd.abs(X) > 1e6, X / 0, X)))
    net[1].running_var.set_data(nd.zeros(4))
    net[1].running_mean.set_data(nd.full(4, 1e9))
    table = utils.explain_gap(net, GOOD, GOOD).table
    assert table["moving"].train_accuracy == 0
    assert table["moving"].train_loss == facts.NOT_FINITE
