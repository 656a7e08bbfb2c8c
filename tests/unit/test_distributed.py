"""The functions of the chapter on devices and machines, loaded from its notebook."""

import utils
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, init, nd
from mxnet.gluon import nn

chapter = utils.definitions("batch-norm-distributed")
DEVICES = [mx.cpu(0), mx.cpu(1), mx.cpu(2)]


def shards(array, sizes):
    pieces = np.split(array, np.cumsum(sizes)[:-1])
    return [
        nd.array(piece, device) for piece, device in zip(pieces, DEVICES, strict=False)
    ]


@pytest.mark.parametrize("sizes", [[8], [4, 4], [7, 1], [5, 2, 1]])
@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 4, 5)])
def test_our_sync_is_one_layer_on_the_whole_batch(shape, sizes):
    draws = np.random.RandomState(0)
    X, G = draws.normal(2, 3, shape), draws.normal(size=shape)
    gamma, beta = draws.normal(size=(2, 3))
    whole, ours = nn.BatchNorm(in_channels=3), chapter.OurSync(3)
    for layer in whole, ours:
        layer.initialize(ctx=DEVICES)
        layer.gamma.set_data(nd.array(gamma))
        layer.beta.set_data(nd.array(beta))
    found = []
    for layer, parts in (whole, [8]), (ours, sizes):
        Xs, Gs = shards(X, parts), shards(G, parts)
        for part in Xs:
            part.attach_grad()
        with autograd.record():
            Ys = layer(Xs) if layer is ours else [layer(Xs[0])]
            totals = [(Y * g).sum() for Y, g in zip(Ys, Gs, strict=True)]
        autograd.backward(totals)
        by_gamma = sum(layer.gamma.grad(Y.context).asnumpy() for Y in Ys)
        found.append(
            [
                np.concatenate([Y.asnumpy() for Y in Ys]),
                np.concatenate([part.grad.asnumpy() for part in Xs]),
                by_gamma,
            ]
        )
    for wanted, got in zip(*found, strict=True):
        assert np.allclose(got, wanted, rtol=1e-4, atol=1e-4)
    for device in DEVICES[: len(sizes)]:
        mean, var = ours.running_mean.data(device), ours.running_var.data(device)
        stored = whole.running_mean.data(DEVICES[0]), whole.running_var.data(DEVICES[0])
        assert np.allclose(mean.asnumpy(), stored[0].asnumpy(), atol=1e-5)
        assert np.allclose(var.asnumpy(), stored[1].asnumpy(), atol=1e-4)


def test_our_sync_predicts_with_its_moving_statistics():
    ours = chapter.OurSync(2)
    ours.initialize()
    ours.running_mean.set_data(nd.array([1, 2]))
    ours.running_var.set_data(nd.array([4, 9]))
    [Y] = ours([nd.array([[3, 5]])])
    assert np.allclose(Y.asnumpy(), [[1, 1]], atol=1e-4)
    assert ours.running_mean.data().asnumpy().tolist() == [1, 2]


def test_ghosts_have_the_statistics_of_their_shard():
    layer = chapter.ghost(4)(3)
    layer.initialize()
    X = nd.random.normal(5, 2, shape=(16, 3))
    with autograd.train_mode():
        Y = layer(X).asnumpy()
    for k in range(4):
        part = Y[k::4]
        assert np.allclose(part.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(part.std(axis=0), 1, atol=1e-3)


def test_averaged_has_the_mean_of_the_shards_statistics():
    chapter.dense_net.__globals__["ctx"] = mx.cpu()
    net = chapter.dense_net(chapter.ghost(2))
    for p in net.collect_params(".*running_mean").values():
        p.set_data(nd.concat(nd.zeros(100), nd.ones(100), dim=0))
    twin = chapter.averaged(net, 2)
    for p in twin.collect_params(".*running_mean").values():
        assert (p.data().asnumpy() == 0.5).all()
    for old, new in zip(chapter.learned(net), chapter.learned(twin), strict=True):
        assert (old.data().asnumpy() == new.data().asnumpy()).all()


def test_equal_shards_leave_out_fewer_samples_than_parts():
    parts = chapter.equal_shards(nd.arange(31).reshape((31, 1)), 4)
    assert [len(part) for part in parts] == [7] * 4
    assert parts[3].asnumpy()[-1] == 27


@pytest.mark.parametrize(
    "passes, said",
    [
        ("a0 b0 a1 b1", "nothing is wrong"),
        ("a0", "1 and 0 times"),
        ("a0 b0 b1 a1", "different orders"),
        ("a0 c0 a1 c1", "share one barrier"),
    ],
)
def test_trouble_names_what_is_wrong(passes, said):
    devices = chapter.trouble.__globals__["devices"] = DEVICES[:2]
    layers = {name: nn.BatchNorm(prefix=f"{name}_") for name in "ab"}
    layers["c"] = nn.BatchNorm(prefix="a_")
    pairs = [(layers[name], devices[int(at)]) for name, at in passes.split()]
    assert said in chapter.trouble(pairs)


def test_trouble_names_the_engine(monkeypatch):
    monkeypatch.setenv("MXNET_ENGINE_TYPE", "NaiveEngine")
    assert "NaiveEngine" in chapter.trouble([])


def test_a_resumed_run_starts_where_all_workers_have_saved(tmp_path):
    assert chapter.position(tmp_path, 2) == 0
    for name in "4-0", "4-1", "8-0", "part-8-1", "12-0":
        (tmp_path / name).mkdir()
    assert chapter.position(tmp_path, 2) == 4
    (tmp_path / "part-8-1").rename(tmp_path / "8-1")
    assert chapter.position(tmp_path, 2) == 8


class Store:
    rank = 0


class States:
    """What `save` needs of a trainer."""

    def __init__(self, error=None):
        self.error = error

    def save_states(self, path):
        if self.error:
            raise self.error
        open(path, "w").close()


@pytest.fixture
def net():
    net = nn.Dense(1, in_units=1)
    net.initialize(init.One())
    return net


def test_nobody_sees_a_folder_before_it_is_complete(net, tmp_path):
    with pytest.raises(OSError, match="full"):
        chapter.save(tmp_path, Store, 4, net, States(OSError("the disk is full")))
    assert chapter.position(tmp_path, 1) == 0


def test_a_resumed_run_saves_over_what_a_dead_one_left(net, tmp_path):
    (tmp_path / "8-0").mkdir()  # worker 1 died before it had saved, too
    (tmp_path / "8-0" / "old").touch()
    assert chapter.position(tmp_path, 2) == 0
    chapter.save(tmp_path, Store, 8, net, States())
    assert {path.name for path in (tmp_path / "8-0").iterdir()} == {"net", "trainer"}


def test_sorted_batches_have_all_pairs_by_class():
    X, y = nd.array([[3], [1], [2]]), nd.array([3, 1, 2])
    [(Xs, ys)] = chapter.Sorted([(X, y)])
    assert Xs.asnumpy().ravel().tolist() == ys.asnumpy().tolist() == [1, 2, 3]


def test_efficiency_falls_with_one_server_and_stays_with_a_server_each():
    many = np.array([8, 256])
    one = chapter.efficiency(many, 1, 0.1, 1e6, latency=0, line=1e9)
    each = chapter.efficiency(many, 2, 0.1, 1e6, latency=0, line=1e9)
    assert np.allclose(one, 0.1 / (0.1 + 8e-3 * many))
    assert np.allclose(each, 0.1 / 0.108)
