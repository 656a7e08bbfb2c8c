"""Training and counting on several workers give what one worker gets."""

import sys
from functools import partial

import utils
import cloudpickle
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd, npx
from utils.cluster.gather import gather
from utils.metrics import bounds, split_and_load

# By its name a forked process would not find this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

NO_SUM = (
    "The servers can't add up what the workers send: they have an optimizer, which "
    "takes it for gradients. Make the trainer with gluon.Trainer(..., kvstore=store, "
    "update_on_kvstore=False)."
)


@pytest.fixture(autouse=True)
def full_profile(monkeypatch):
    monkeypatch.delenv("BN_PROFILE", raising=False)


# --- Gather ---


def gathering(store, rows):
    for row in rows:
        yield gather(store, [value + store.rank for value in row])
    only_mine = [float("nan") if store.rank == 1 else 7]
    yield gather(store, only_mine)
    yield gather(store, only_mine).dtype


def test_gather_is_exact_and_by_rank():
    # The same length twice, then another, and sums that float32 would round.
    rows = [[0, 2**24 - 2, -(2**24)], [5, 2**24 - 3, 2**24 - 4], [0.5]]
    found = utils.launch(gathering, rows, workers=3, servers=2)
    for *seen, nans, dtype in found:
        for row, matrix in zip(rows, seen, strict=True):
            expected = [[value + rank for value in row] for rank in range(3)]
            assert matrix.tolist() == expected
        assert np.array_equal(nans, [[7], [np.nan], [7]], equal_nan=True)
        assert dtype == np.float32


def gathering_with_an_optimizer(store):
    store.set_optimizer(mx.optimizer.SGD(learning_rate=0.5))
    try:
        gather(store, [3, 4])
    except ValueError as error:
        yield str(error)


def test_gather_with_an_optimizer_on_the_servers():
    assert utils.launch(gathering_with_an_optimizer) == [[NO_SUM], [NO_SUM]]


def other_kind(store):
    try:
        gather(store, [1])
    except ValueError as error:
        yield str(error)


def test_gather_with_a_store_that_does_not_wait_for_all():
    said = (
        "gather expects a key-value store of kind dist_sync, but got one of kind {}; "
        "only there do the servers wait for all workers."
    )
    assert list(other_kind(mx.kv.create("local"))) == [said.format("local")]
    [found] = utils.launch(other_kind, workers=1, kind="dist_async")
    assert found == [said.format("dist_async")]


# --- Parts of a batch ---


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 6, 7, 100])
def test_bounds_leave_nothing_out(count, parts):
    edges = [bounds(count, k, parts) for k in range(parts)]
    assert [first for first, _ in edges] == [0, *(last for _, last in edges[:-1])]
    assert edges[-1][1] == count
    sizes = [last - first for first, last in edges]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [1, 1]), (7, [2, 2, 3])])
def test_a_batch_is_split_over_as_many_devices_as_it_has_samples(count, sizes):
    data, devices = nd.arange(count), [mx.cpu(k) for k in range(3)]
    parts = split_and_load(data.reshape((-1, 1)), data, devices)
    assert [len(X) for X, _ in parts] == sizes
    assert [X.context for X, _ in parts] == devices[: len(sizes)]
    assert sum([y.asnumpy().tolist() for _, y in parts], []) == list(range(count))
    assert all((X.reshape(-1) == y).asnumpy().all() for X, y in parts)


# --- Training ---


SIZES = 8, 8, 1  # the last batch has fewer samples than there are workers


def batches(sizes=SIZES, seed=0, array=nd.array):
    """Batches of 16 numbers; the class is that of the larger half."""
    rng, found = np.random.RandomState(seed), []
    for size in sizes:
        X = rng.randn(size, 16).astype("float32")
        y = (X[:, :8].sum(axis=1) > X[:, 8:].sum(axis=1)).astype("float32")
        found.append((array(X), array(y)))
    return found


def network(seed, ctx, norm=False, array=nd.array):
    net, rng = gluon.nn.Sequential(), np.random.RandomState(seed)
    if norm:
        net.add(gluon.nn.HybridLambda(lambda F, X: F.reshape(X, (-1, 1, 4, 4))))
        net.add(gluon.nn.Conv2D(16, 3, padding=1), gluon.nn.BatchNorm())
        net.add(gluon.nn.Activation("relu"), gluon.nn.Conv2D(16, 3))
    net.add(gluon.nn.Dense(8), gluon.nn.Activation("relu"), gluon.nn.Dense(2))
    net.initialize(ctx=ctx)
    net(array(np.zeros((1, 16), "float32")))  # so that the shapes are known
    for name, param in net.collect_params().items():
        if name.endswith("weight"):
            param.set_data(array(0.3 * rng.randn(*param.shape).astype("float32")))
    return net


def trained(store, ctx=None, sizes=SIZES, norm=False, seed=0, numpy=False):
    """What train_ch5 returns but the time, and the weights."""
    array = mx.np.array if numpy else nd.array
    ctx = ctx or mx.cpu()
    net = network(seed, ctx, norm, array)
    options = {"kvstore": store, "update_on_kvstore": False} if store else {}
    settings = {"learning_rate": 0.1, "momentum": 0.9}
    trainer = gluon.Trainer(net.collect_params(), "sgd", settings, **options)
    data, test = batches(sizes, 0, array), batches((7, 1), 1, array)
    rows = utils.train_ch5(net, data, test, 8, trainer, ctx, 3, store=store)
    params = net.collect_params().values()
    weights = [p.list_data() for p in params if p.grad_req != "null"]
    return [row[:3] for row in rows], [[w.asnumpy() for w in ws] for ws in weights]


def training(store, devices=1, **options):
    if options.get("numpy"):
        npx.set_np()
    # Each worker starts with other weights, so that those of worker 0 have to come.
    ctx = [mx.cpu(k) for k in range(devices)]
    yield trained(store, ctx, seed=store.rank, **options)


def assert_close(rows, weights, expected):
    assert np.allclose(rows, expected[0], rtol=0, atol=1e-4)
    for all_devices, (other, *_) in zip(weights, expected[1], strict=True):
        for one in all_devices:
            assert np.allclose(one, other, rtol=0, atol=1e-4)


def assert_same(results):
    """All workers have the same rows and the same weights, to the last bit."""
    [rows, weights], *others = [result for [result] in results]
    for other_rows, other_weights in others:
        assert other_rows == rows
        for one, other in zip(weights, other_weights, strict=True):
            assert np.array_equal(one, other)
    for first, *copies in weights:
        assert all(np.array_equal(first, copy) for copy in copies)


@pytest.mark.parametrize(
    ("workers", "servers", "devices"), [(1, 1, 1), (2, 1, 1), (3, 2, 1), (2, 2, 3)]
)
def test_several_workers_train_as_one_does(capsys, workers, servers, devices):
    results = utils.launch(training, devices, workers=workers, servers=servers)
    assert_same(results)
    printed = capsys.readouterr().out
    assert printed.count("epoch ") == printed.count("\n") == 3  # worker 0's alone
    assert "test acc" in printed
    [rows, weights] = results[0][0]
    assert rows[2][0] < rows[0][0]
    assert_close(rows, weights, trained(None))


def test_workers_with_batch_normalization_have_the_same_weights():
    """Not those of one worker: each normalizes its own part of a batch."""
    options = {"sizes": (8, 8, 3), "norm": True}
    results = utils.launch(partial(training, **options))
    assert_same(results)


def test_several_workers_in_numpy_mode():
    results = utils.launch(partial(training, devices=2, numpy=True))
    assert_same(results)
    assert_close(*results[0][0], trained(None))


@pytest.mark.parametrize("last", [1, 2])
def test_several_devices_train_as_one_does(last):
    sizes = (8, 8, last)
    found = trained(None, [mx.cpu(k) for k in range(3)], sizes)
    assert_close(*found, trained(None, None, sizes))


def in_numpy_mode():
    npx.set_np()
    yield trained(None, [mx.cpu(0), mx.cpu(1)], numpy=True)


def test_several_devices_in_numpy_mode():
    [found] = utils.alone(in_numpy_mode)
    assert_close(*found, trained(None))


# --- What all workers need to have alike ---


def with_other_data(store, sizes, seeds):
    net = network(0, mx.cpu())
    options = {"kvstore": store, "update_on_kvstore": False}
    trainer = gluon.Trainer(net.collect_params(), "sgd", **options)
    data = batches(sizes[store.rank], seeds[store.rank])
    yield utils.train_ch5(net, data, data, 8, trainer, mx.cpu(), 1, store=store)


@pytest.mark.parametrize(
    ("sizes", "seeds", "what"),
    [
        ([(8, 8)] * 3, [0, 1, 0], "first batch"),
        ([(8, 8), (8,), (8, 8)], [0] * 3, "number of batches (2, 1, 2)"),
    ],
    ids=["order", "number"],
)
def test_workers_with_other_batches(sizes, seeds, what):
    with pytest.raises(utils.ClusterError) as caught:
        utils.launch(with_other_data, sizes, seeds, workers=3)
    who, said = str(caught.value).split(": ", 1)
    assert who in [f"worker {rank} after 0 results" for rank in range(3)]
    assert said == (
        "ValueError: All workers have to iterate over the same batches in the same "
        "order, as each takes its part of every batch, but worker 1 had another "
        f"{what} than worker 0. Load the data alike on all workers, and give each the "
        "same seed for the order."
    )


def with_an_optimizer_on_the_servers(store):
    net, data = network(0, mx.cpu()), batches()
    trainer = gluon.Trainer(net.collect_params(), "sgd", kvstore=store)
    yield utils.train_ch5(net, data, data, 8, trainer, mx.cpu(), 1, store=store)


def test_a_trainer_that_leaves_the_update_to_the_servers():
    """As it does where one does not say how."""
    with pytest.raises(utils.ClusterError) as caught:
        utils.launch(with_an_optimizer_on_the_servers)
    assert str(caught.value).endswith(f"after 0 results: ValueError: {NO_SUM}")


def with_no_store(store, seeds):
    net, data = network(seeds[store.rank], mx.cpu()), batches()
    trainer = gluon.Trainer(net.collect_params(), "sgd")
    yield utils.train_ch5(net, data, data, 8, trainer, mx.cpu(), 1, store=store)


@pytest.mark.parametrize("seeds", [[0, 0], [0, 1]])
def test_a_trainer_that_does_not_have_the_store(seeds):
    with pytest.raises(utils.ClusterError) as caught:
        utils.launch(with_no_store, seeds)
    assert str(caught.value).endswith(
        "after 0 results: ValueError: After a step the workers' weights should be "
        "equal, but they differ, so the trainer does not exchange gradients. Make it "
        "with gluon.Trainer(net.collect_params(), ..., kvstore=store, "
        "update_on_kvstore=False)."
    )


def first_steps(store):
    """Whether each batch, and the end, sees the weights that worker 0 began with."""
    net, data, seen = gluon.nn.Sequential(), batches(), []
    net.add(gluon.nn.Dense(8), gluon.nn.Dense(2))  # whose shapes the first batch tells
    net.initialize(mx.init.Constant((store.rank + 1) / 8))

    def look(*args):
        weights = net.collect_params(".*weight").values()
        seen.append(all((w.data() == 1 / 8).asnumpy().all() for w in weights))

    net.register_forward_pre_hook(lambda *args: autograd.is_recording() and look())
    # It takes steps of no length.
    settings, options = {"learning_rate": 0}, {"update_on_kvstore": False}
    trainer = gluon.Trainer(net.collect_params(), "sgd", settings, store, **options)
    utils.train_ch5(net, data, data, 8, trainer, mx.cpu(), 1, store=store)
    look()
    yield seen


def test_all_start_with_the_weights_of_worker_0():
    """MXNet alone fetches them in the first step, and may take gradients for them."""
    found = utils.launch(first_steps, workers=3, servers=2)
    # The sample of the last batch goes to the last worker.
    assert found == [[[True] * 3], [[True] * 3], [[True] * 4]]


# --- Accuracy ---


def counted(store, data, devices):
    ctx = [mx.cpu(k) for k in range(devices)]
    data = [(nd.array(X), nd.array(y)) for X, y in data]
    yield utils.evaluate_accuracy(data, lambda X: X, ctx, store)


@pytest.mark.parametrize(("workers", "devices"), [(1, 3), (2, 1), (3, 1), (2, 2)])
def test_accuracy_of_several_workers_is_that_of_one(workers, devices):
    rng = np.random.RandomState(0)
    data = [(rng.rand(n, 3), rng.randint(0, 3, n)) for n in (50, 49, 1)]
    hits = sum((X.argmax(axis=1) == y).sum() for X, y in data)
    found = utils.launch(counted, data, devices, workers=workers)
    assert found == [[hits / 100]] * workers
    assert list(counted(None, data, devices)) == [hits / 100]
