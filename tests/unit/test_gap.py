"""Why a network predicts badly: verdicts on networks whose cause is known."""

import utils
import mxnet as mx
import numpy as np
import pytest
from matplotlib import pyplot as plt
from mxnet import autograd, gluon, nd, npx
from mxnet.gluon import nn
from utils.gap import facts, moving

from tests.support import nets_gap as nets
from tests.support import zoo_gap as zoo


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


@pytest.fixture
def numpy_mode():
    npx.set_np()
    yield
    npx.reset_np()


def one_line(text):
    return " ".join(text.split())


def state_of(net):
    """All that explain_gap might change, as bytes or identities."""
    blocks = [block for _, block in moving.blocks(net)]
    plain = "moving_mean", "moving_var"
    return {
        "parameters": {
            name: [array.asnumpy().tobytes() for array in parameter.list_data()]
            for name, parameter in net.collect_params().items()
        },
        "attributes": [
            (id(vars(b)[name]), vars(b)[name].asnumpy().tobytes())
            for b in blocks
            for name in plain
            if isinstance(vars(b).get(name), nd.NDArray)
        ],
        "hooks": [
            (list(b._forward_pre_hooks.values()), list(b._forward_hooks.values()))
            for b in blocks
        ],
        "hybridization": [
            (getattr(b, "_active", None), id(getattr(b, "_cached_op", None)))
            for b in blocks
        ],
        "autograd": (autograd.is_recording(), autograd.is_training()),
    }


@pytest.mark.parametrize("name", zoo.BROKEN)
def test_cause_is_found(name, capsys):
    net, train, test = getattr(zoo, name)(0)
    before = state_of(net)
    gap = utils.explain_gap(net, train, test)
    assert gap.verdict == zoo.BROKEN[name]
    assert state_of(net) == before
    said = one_line(capsys.readouterr().out)
    for part in f"Verdict: {gap.verdict}.", gap.evidence, gap.advice:
        assert part in said


@pytest.mark.parametrize("name", zoo.SOUND)
def test_sound_network_has_no_gap(name):
    net, train, test = getattr(zoo, name)(0)
    before = state_of(net)
    assert utils.explain_gap(net, train, test).verdict == "no gap"
    assert state_of(net) == before


def test_numpy_mode(numpy_mode):
    net, train, test = zoo.fully_connected(0)
    before = state_of(net)
    assert utils.explain_gap(net, train, test).verdict == "no gap"
    assert state_of(net) == before
    net, train, test = zoo.long_momentum(0)
    verdict = "stale: too few updates for this momentum"
    assert utils.explain_gap(net, train, test, [mx.cpu()]).verdict == verdict


# --- What is measured ---


@pytest.fixture(scope="module")
def stale():
    return zoo.long_momentum(0)


def test_table_has_what_the_network_predicts(stale):
    net, train, test = stale
    table = utils.explain_gap(net, train, test).table
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    for row, data, n in ("moving", train, 0), ("moving", test, 2):
        losses = np.concatenate([loss(net(X), y).asnumpy() for X, y in data])
        accuracy = utils.evaluate_accuracy(data, net)
        assert table[row][n] == pytest.approx(accuracy, abs=1e-6)
        assert table[row][n + 1] == pytest.approx(losses.mean(), rel=1e-4)
    hits = 0
    for X, y in train:
        with autograd.train_mode():
            hits += utils.accuracy(net(X), y) / len(train)
    assert table["batch"].train_accuracy == pytest.approx(hits, abs=1e-6)
    assert table["of test data"].test_loss < 0.5


def test_evidence_tells_how_many_updates_there_were(stale):
    evidence = utils.explain_gap(*stale).evidence
    updates = int(evidence.split("as after ")[1].split()[0])
    assert updates == pytest.approx(4 * 16, abs=3)


def test_a_small_gap_is_told_and_no_verdict():
    gap = utils.explain_gap(*zoo.knows_its_data_better(0))
    assert "Any network knows its training data better" in gap.evidence
    row = gap.table["moving"]
    assert 0.02 < row.train_accuracy - row.test_accuracy < 0.1


def test_the_larger_loss_gives_the_verdict():
    net, train, test = zoo.labels_from_one(0)
    for array in net[1].running_mean, net[1].running_var:
        array.set_data(0.5 * array.data())
    gap = utils.explain_gap(net, train, test)
    assert gap.verdict == "train and test data differ"
    assert "Stored statistics cost less than that." in gap.evidence
    assert "If the predicted classes had other names" in gap.evidence


def test_the_start_may_be_a_variance_of_zero():
    net, train, test = zoo.fully_connected(0)
    for block in net[1], net[4]:
        for array in block.running_mean, block.running_var:
            array.set_data(0.02 * array.data())
    gap = utils.explain_gap(net, train, test)
    assert gap.verdict == "stale: too few updates for this momentum"
    assert "are 98% of the start (0 and 0) and 2% of the re-est" in gap.evidence


def test_output_says_what_was_measured(stale, capsys):
    utils.explain_gap(*stale)
    said = capsys.readouterr().out
    assert (
        "Measured in prediction mode on 512 training and 512 test samples (of each "
        "data set the first, up to 2048), in training batches of 32."
    ) in one_line(said)
    assert max(map(len, said.splitlines())) <= 88
    assert "hybridized" not in said


def test_layers_are_named_and_explained():
    gap = utils.explain_gap(*zoo.nothing_trained_tells(0))
    assert (
        "layers 1 (BatchNorm), 4 (BatchNorm) are still exactly 0 and 1" in gap.evidence
    )
    assert "no backward pass reached the layer, or its statistics were lost" in (
        gap.evidence
    )
    gap = utils.explain_gap(*zoo.plain_attributes(0))
    assert "Layer 1 (Own) has them in plain attributes" in gap.evidence


def test_statistics_that_noise_cannot_explain_are_stale():
    net, train, test = zoo.fully_connected(0)
    net[1].running_var.set_data(100 * net[1].running_var.data())
    gap = utils.explain_gap(net, train, test)
    assert gap.verdict == "stale: the network has moved on since"
    assert "layer 1 (BatchNorm) are off by" in gap.evidence


def test_hybridized_network_gets_its_graphs_back(capsys):
    net, train, test = zoo.hybridized(0)
    graph, before = net._cached_op, net(test[0][0]).asnumpy()
    assert graph is not None
    utils.explain_gap(net, train, test)
    assert net._cached_op is graph
    assert (net(test[0][0]).asnumpy() == before).all()
    assert "ran without its compiled graphs here" in one_line(capsys.readouterr().out)


def test_shared_layers_are_told(capsys):
    net, train, test = nets.trained(zoo.Shared(), 0, epochs=1)
    utils.explain_gap(net, train, test)
    said = one_line(capsys.readouterr().out)
    assert "Layer norm (BatchNorm) is used 2 times per pass" in said


def test_layers_that_share_parameters_are_one():
    net = nn.Sequential()
    norm = nn.BatchNorm(in_channels=5)
    net.add(nn.Dense(5), norm, nn.Dense(5), nn.BatchNorm(params=norm.params))
    train, test = nets.data(0)
    layers, sites = moving.find(nets.begin(net, 0, train[0]), mx.cpu())
    assert (len(layers), len(sites)) == (1, 2)


def test_imported_graph_is_explained_like_the_network(tmp_path):
    net = nets.conv(momentum=0.99)
    net.add(nn.Dropout(0.5))
    net.hybridize()
    net, train, test = nets.trained(net, 0, epochs=2)
    net.export(str(tmp_path / "net"))
    files = f"{tmp_path}/net-symbol.json", ["data"], f"{tmp_path}/net-0000.params"
    imported = gluon.SymbolBlock.imports(*files)
    imported(test[0][0])
    before = state_of(imported)
    expected, gap = (utils.explain_gap(n, train, test) for n in (net, imported))
    assert state_of(imported) == before
    assert gap.verdict == expected.verdict == "stale: too few updates for this momentum"
    for row, values in expected.table.items():
        for value, same in zip(values, gap.table[row], strict=True):
            assert same == pytest.approx(value, rel=1e-3), row


def test_exact_statistics_are_those_of_all_the_data():
    net, train, test = zoo.fully_connected(0)
    layers, sites = moving.find(net, mx.cpu())
    samples = facts.take(train, "train_iter")
    with moving.unchanged(net, layers):
        measurement = facts.Measurement(net, layers, sites, mx.cpu())
        measured = measurement.facts(samples, facts.take(test, "test_iter"))
    X = net[0](nd.concat(*[X for X, _ in train], dim=0)).asnumpy()
    first = measured.layers[0]
    assert np.allclose(first.exact.mean, X.mean(axis=0), atol=1e-5)
    # Batches of 64 have other means, by which their variances vary.
    assert np.allclose(first.exact.var, X.var(axis=0), rtol=0.05)
    biased = [m.var for calls in first.batches for m in calls]
    assert np.allclose(biased[0], net[0](train[0][0]).asnumpy().var(axis=0), rtol=1e-4)


def test_probabilities_are_scores_too():
    scores = np.array([[1.0, 2, 0.5], [0, 0, 3]])
    labels = np.array([1, 0])
    powers = np.exp(scores)
    a = facts.score(scores, labels)
    b = facts.score(powers / powers.sum(axis=1, keepdims=True), labels)
    assert np.allclose(a.losses, b.losses)
    assert a.hits.tolist() == b.hits.tolist() == [True, False]


def test_work_is_bounded():
    class Endless:
        given = 0

        def __iter__(self):
            while True:
                self.given += 1
                yield nd.ones((100, 3)), nd.zeros(100)

    endless = Endless()
    assert len(facts.take(endless, "train_iter").y) == 2000
    assert endless.given == 20
    whole = [(nd.ones((5000, 3)), nd.zeros(5000))]
    assert len(facts.take(whole, "train_iter").y) == 2048


def test_generators_are_used_once():
    net, train, test = zoo.fully_connected(0)
    expected = utils.explain_gap(net, train, test).table
    assert utils.explain_gap(net, iter(train), iter(test)).table == expected
    plain = [(X.asnumpy(), y.asnumpy().tolist()) for X, y in train]
    assert utils.explain_gap(net, plain, iter(test)).table == expected


def test_figure_has_both_parts(stale):
    figure = utils.explain_gap(*stale).figure
    left, right = figure.axes
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["train", "test"]
    assert left.get_xlabel() == "accuracy"
    means = right.lines[0].get_ydata()
    assert len(means) == 2
    assert (means > 0.5).all()


# --- What is left as it was ---


class Fragile(nn.Block):
    """Raises an error when it is called for the n-th time in prediction mode."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def forward(self, X):
        if not autograd.is_recording():
            self.left -= 1
            if self.left == 0:
                raise KeyError("in the middle")
        return X


@pytest.mark.parametrize("calls", [2, 20, 45, 80])
@pytest.mark.parametrize("make", [nets.dense, lambda: nets.dense_own(plain=True)])
def test_an_error_leaves_nothing_changed(make, calls):
    inner = make()
    inner.hybridize()
    net = nn.Sequential()
    net.add(inner, Fragile(calls))
    train, test = nets.data(0)
    nets.fit(nets.begin(net, 0, train[0]), train, epochs=1)
    before = state_of(net)
    with pytest.raises(KeyError):
        utils.explain_gap(net, train, test)
    assert state_of(net) == before


def test_recording_goes_on():
    net, train, test = zoo.fully_connected(0)
    with autograd.record():
        output = net(train[0][0])
        utils.explain_gap(net, train, test)
        assert autograd.is_recording() and autograd.is_training()
    output.backward()
    assert net[0].weight.grad().norm().asscalar() > 0


def test_random_numbers_are_the_same_ones_after():
    net, train, test = zoo.with_dropout(0)
    data = gluon.data.ArrayDataset(train[0][0], train[0][1])
    loader = gluon.data.DataLoader(data, 16, shuffle=True)
    seen = []
    for again in True, False:
        np.random.seed(0)
        mx.random.seed(0)
        if again:
            utils.explain_gap(net, loader, test)
        with autograd.train_mode():
            seen.append((np.random.rand(), net(test[0][0]).asnumpy().tobytes()))
    assert seen[0] == seen[1]


def test_an_interrupt_passes_and_leaves_nothing_changed():
    def interrupted():
        yield train[0]
        raise KeyboardInterrupt

    net, train, test = zoo.fully_connected(0)
    before = state_of(net)
    with pytest.raises(KeyboardInterrupt):
        utils.explain_gap(net, train, interrupted())
    assert state_of(net) == before


def test_statistics_of_another_device_stay():
    devices = [mx.cpu(0), mx.cpu(1)]
    train, test = nets.data(0)
    net = nets.dense()
    net.initialize(ctx=devices)
    net(train[0][0])
    before = state_of(net)
    utils.explain_gap(net, train, test, devices[::-1])
    assert state_of(net) == before
