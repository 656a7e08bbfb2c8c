"""The benchmarks' pieces, on shapes so small that the times mean nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import bandwidth, layers, networks, settings, timing

if settings.TORCH:
    from benchmarks import pytorch

TINY = (4, 3, 5, 5)


@pytest.fixture
def clock(monkeypatch):
    """The benchmarks' clock, which shows `now` and stands still of its own."""
    clock = SimpleNamespace(now=0.0)
    fake = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(timing, "time", fake)
    return clock


def test_race_takes_the_median_of_each(clock):
    calls, spent = [], iter([9, 9, 0.5, 0.25, 4, 0.5, 0.25])  # two warm up

    def run(name, seconds):
        calls.append(name)
        clock.now += seconds

    runs = {
        "slow": lambda: run("slow", next(spent)),
        "fast": lambda: run("fast", 1 / 256),
    }
    waits = []
    medians = timing.race(runs, lambda: waits.append(1), seconds=0)
    assert medians == {"slow": 0.5, "fast": 1 / 256}
    # Of the fast one, five calls last about 20 ms.
    turns = (["slow"] + ["fast"] * 5) * 5
    assert calls == ["slow"] * 2 + ["fast"] * 2 + turns
    assert len(waits) == len(calls)


def test_race_goes_on_for_its_seconds(clock):
    calls = []

    def run():
        calls.append(1)
        clock.now += 0.25

    timing.race({"one": run, "other": run}, lambda: None, seconds=2)
    # Eight turns of half a second, after four calls that warm up.
    assert len(calls) == 4 + 8 * 2


def test_every_formulation_is_batch_normalization():
    X = layers.nd.random.normal(3, 2, TINY)
    right = layers.in_float64(X.asnumpy(), X.asnumpy())[0]
    found = layers.formulations(TINY[1])
    assert {"textbook", "fast_batch_norm", "nn.BatchNorm"} < set(found)
    for name, layer in found.items():
        with layers.autograd.train_mode():
            np.testing.assert_allclose(
                layer(X).asnumpy(), right, atol=1e-4, err_msg=name
            )


needs_torch = pytest.mark.skipif(
    not settings.TORCH, reason="PyTorch is not installed: requirements/bench.txt"
)


@needs_torch
def test_the_formulations_in_pytorch_are_batch_normalization():
    X = np.random.RandomState(0).normal(3, 2, TINY).astype("float32")
    right = layers.in_float64(X, X)[0]
    for layer in pytorch.formulations(TINY[1]).values():
        found = layer(pytorch.torch.from_numpy(X)).detach().numpy()
        np.testing.assert_allclose(found, right, atol=1e-4)


def test_fast_batch_norm_keeps_its_digits_where_the_compiled_layer_loses_them():
    rows = {
        (row["formulation"], row["mean"]): row for row in layers.errors((16, 3, 9, 9))
    }
    fast = rows["fast_batch_norm", 1000]
    assert fast["output"] < 1e-5 and fast["gradient"] < 1e-5
    assert fast["output"] <= rows["nn.BatchNorm", 1000]["output"]


def test_a_layer_is_measured_against_nn_batchnorm():
    rows = main.compared(layers.measure([TINY, (4, 3)], seconds=0))
    of = {(len(r["shape"]), r["formulation"]): r["of nn.BatchNorm"] for r in rows}
    assert of[4, "nn.BatchNorm"] == of[2, "nn.BatchNorm"] == 1
    assert (4, "as a convolution") in of and (2, "as a convolution") not in of
    shares = bandwidth.shares(rows, memory=10)
    assert {row["formulation"] for row in shares} == set(bandwidth.PASSES)


SMALL = settings.Network(((2, 5), (3, 5)), (8,), "relu", "max", 16)


def test_the_same_network_learns_in_every_way():
    images, labels = settings.pictures(64)
    for name, (step, feed, synchronize) in networks.contenders(SMALL).items():
        batches = list(feed(images, labels, 16))
        X, y = batches[0]
        assert X.shape == (16, 1, 28, 28) and y.shape == (16,), name
        assert 0 <= X.min().asscalar() < 0.01 and 0.99 < X.max().asscalar() <= 1, name
        networks.train(step, batches, 2, synchronize)
        losses = [step(X, y).mean().asscalar() for _ in range(60)]
        assert losses[-1] < losses[0], name


@needs_torch
def test_the_network_in_pytorch_learns():
    X, y = pytorch.batches(*settings.pictures(64), 16)[0]
    assert X.shape == (16, 1, 28, 28) and 0 <= X.min() and 0.99 < X.max() <= 1
    step = pytorch.training_step(SMALL)
    losses = [step(X, y).item() for _ in range(60)]
    assert losses[-1] < losses[0]


def test_targets_tell_met_from_missed():
    layer = {"formulation": "fast_batch_norm", "shape": TINY, "of nn.BatchNorm": 2.0}
    report = {
        "layers": [layer],
        "networks": [
            {"network": title, "contender": name, "images/s": rate}
            for title in settings.NETWORKS
            for name, rate in
            [("by hand", 900), ("Gluon", 1000), ("textbook, DataLoader", 100)]
        ],
        "pipeline": {"seconds for 60,000 pictures": 3},
        "errors": [
            {"formulation": "fast_batch_norm", "output": 1e-7},
            {"formulation": "nn.BatchNorm", "output": 1e-3},
        ],
    }  # fmt: skip
    met = {row["target"]: row["met"] for row in main.targets(report)}
    assert met.pop("layer / nn.BatchNorm") is False
    assert met.pop("input / BN-LeNet epoch") is False
    assert all(met.values())


def test_a_table_has_a_line_a_row_and_few_digits(capsys):
    rows = [
        {"shape": [4, 3], "ms": 1234.5678, "met": True},
        {"shape": [16, 3], "ms": 0.00012345, "met": False},
    ]
    main.table("one layer", rows)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "one layer",
        "shape    ms        met",
        "-------  --------  -----",
        "[4, 3]   1.23e+03  True",
        "[16, 3]  1.23e-04  False",
    ]


def imports(path):
    """The packages that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("mode", ["keep", "default"])
def test_memory_is_measured_in_a_process_of_its_own(mode):
    run = [sys.executable, "-m", "benchmarks.memory", "BN-LeNet", "Gluon", mode]
    row = json.loads(subprocess.check_output(run))
    assert row["malloc"] == mode and row["peak MiB"] > 1 and row["ms/step"] > 0


def test_benchmarks_need_none_of_what_proves_the_course():
    root = Path(__file__).parents[2]
    ours = {file.parent.name for file in root.glob("*/*.py")}
    assert {"regression", "tests", "tools", "utils"} <= ours
    found = {name for file in root.glob("benchmarks/*.py") for name in imports(file)}
    assert {"utils", "mxnet"} < found
    assert found & ours <= {"benchmarks", "tools", "utils"}
