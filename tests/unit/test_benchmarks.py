"""The benchmarks' pieces, on shapes so small that the times mean nothing."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import (
    bandwidth,
    compare,
    in_mxnet,
    layers,
    networks,
    processes,
    settings,
    tables,
    targets,
    timing,
)
from tests.support import missing

if settings.TORCH:
    from benchmarks import pytorch

TINY = (4, 3, 5, 5)


@pytest.fixture
def compiler():
    """Go on only where the kernel can be compiled."""
    if not layers.can_compile():
        missing("There is no C++ compiler: install g++, or name one in CXX.")


@pytest.fixture
def no_compiler(monkeypatch):
    """As on a machine without a C++ compiler."""
    monkeypatch.setenv("CXX", "no-such-compiler")


@pytest.fixture
def clock(monkeypatch):
    """The benchmarks' clock, which shows `now` and stands still of its own."""
    clock = SimpleNamespace(now=0.0)
    fake = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(timing, "time", fake)
    return clock


def test_race_takes_the_median_of_each(clock):
    calls, spent = [], iter([9, 9, 0.5, 4, 0.25])  # two warm up

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
    turns = (["slow"] + ["fast"] * 5) * 3
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


def test_a_slow_first_call_does_not_shorten_the_turns(clock):
    calls, spent = [], iter([5.0])

    def run():
        calls.append(1)
        clock.now += next(spent, 1 / 256)

    timing.race({"one": run}, lambda: None, seconds=0)
    assert len(calls) == 2 + 3 * 5


def test_every_formulation_is_batch_normalization(compiler):
    X = layers.nd.random.normal(3, 2, TINY)
    right = layers.in_float64(X.asnumpy(), X.asnumpy())[0]
    found = layers.formulations(TINY[1])
    assert {*found, layers.LOOPS} == set(bandwidth.PASSES)
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


def test_the_kernel_keeps_its_digits_too(compiler):
    rows = {
        (row["formulation"], row["mean"]): row for row in layers.errors((16, 3, 9, 9))
    }
    for mean in 0, 1000:
        fused = rows["kernel", mean]
        assert fused["output"] < 1e-5 and fused["gradient"] < 1e-5


def test_without_a_compiler_only_the_kernel_is_missing(no_compiler):
    absent = set(bandwidth.PASSES) - set(layers.formulations(3))
    assert absent == {"kernel", layers.LOOPS}
    assert not [name for name in networks.contenders(SMALL) if "kernel" in name]


def test_the_kernels_loops_are_measured_alone(compiler):
    row = layers.loops(TINY, seconds=0)
    (share,) = bandwidth.shares([row], memory=10, cache=2**20)
    assert share["formulation"] == layers.LOOPS and share["of memory"] > 0


def test_a_layer_is_measured_against_nn_batchnorm(compiler):
    rows = layers.measure([TINY, (4, 3)], seconds=0)
    rows = processes.relative(rows, *settings.LAYERS)
    of = {(len(r["shape"]), r["formulation"]): r["of nn.BatchNorm"] for r in rows}
    assert of[4, "nn.BatchNorm"] == of[2, "nn.BatchNorm"] == 1
    assert {name for axes, name in of if axes == 2} == set(layers.DENSE)
    shares = bandwidth.shares(rows, memory=10, cache=2400)
    found = {row["formulation"] for row in shares}
    assert {*found, layers.LOOPS} == set(bandwidth.PASSES)
    assert {row["X / cache"] for row in shares} == {0.5}


def test_growth_is_measured_for_the_names_asked_for(compiler):
    rows = layers.measure([TINY], layers.COMPILED, seconds=0)
    assert {row["formulation"] for row in rows} == set(layers.COMPILED)


def test_the_share_is_what_was_moved_of_what_can_be():
    row = {"shape": [10, 10, 10, 10], "formulation": "kernel"}
    row["forward + backward ms"] = 1e-1
    (share,) = bandwidth.shares([row], memory=6.4, cache=20_000)
    assert share["X / cache"] == 2
    assert share["MB moved"] == pytest.approx(8 * 4e4 / 1e6)
    assert share["of memory"] == pytest.approx(0.5)


def test_one_shape_is_larger_than_the_last_cache(tmp_path):
    for number, size in enumerate(["48K", "32K", "1024K", "32768K"]):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        (folder / "size").write_text(f"{size}\n")
    cache = bandwidth.last_cache(tmp_path)
    assert cache == 32 * 2**20
    assert 1.9 < 4 * np.prod(bandwidth.beyond_cache(cache)) / cache <= 2
    assert bandwidth.last_cache(tmp_path / "none") == 32 * 2**20


SMALL = settings.Network(((2, 5), (3, 5)), (8,), "relu", "max", 16)


def test_the_same_network_learns_in_every_way(compiler):
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


def test_one_round_has_each_library_and_its_threads(monkeypatch):
    monkeypatch.setattr(processes, "LIBRARIES", {"A": "ours", "B": "theirs"})
    said = {
        "ours": {
            "layers": [norm("nn.BatchNorm", 4.0), norm("kernel", 1.0)],
            "growth": [norm("nn.BatchNorm", 2.0)],
            "networks": [{"network": "N", "contender": "Gluon", "images/s": 8.0}],
            "pipeline": [{"seconds": 2.0}],
        },
        "theirs": {
            "layers": [norm("torch.nn.BatchNorm", 2.0)],
            "growth": [],
            "networks": [{"network": "N", "contender": "PyTorch", "images/s": 10.0}],
        },
    }
    asked = []
    monkeypatch.setattr(
        processes, "run", lambda *order: asked.append(order) or said[order[0]]
    )
    found = processes.one_round(3)
    assert asked == [("ours", 3), ("theirs", 3)]
    assert all(row["threads"] == 3 for rows in found.values() for row in rows)
    assert [row["of nn.BatchNorm"] for row in found["layers"]] == [1, 0.25, 0.5]
    assert [row["of Gluon"] for row in found["networks"]] == [1, 1.25]
    assert found["pipeline"] == [{"threads": 3, "seconds": 2.0}]


def norm(formulation, milliseconds):
    figures = {"forward + backward ms": milliseconds}
    return {"shape": [4, 3], "formulation": formulation, **figures}


def test_rounds_are_merged_by_their_medians(monkeypatch):
    pace = iter([1.0, 5.0, 3.0])
    monkeypatch.setattr(processes, "ROUNDS", 3)
    monkeypatch.setattr(processes, "COUNTS", [2])

    def one_round(count):
        row = {"threads": count, "shape": [4, 3], "ms": next(pace)}
        return {"layers": [row, {**row, "shape": [8, 3]}]}

    monkeypatch.setattr(processes, "one_round", one_round)
    assert processes.measure() == {
        "layers": [
            {"threads": 2, "shape": [4, 3], "ms": 3.0},
            {"threads": 2, "shape": [8, 3], "ms": 3.0},
        ]
    }


@pytest.mark.parametrize("count, given", [(1, "1"), (2, None)])
def test_only_fewer_threads_than_utils_chooses_are_asked_for(monkeypatch, count, given):
    monkeypatch.setattr(processes, "ALL", 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = {}

    def check_output(command, env):
        seen.update(command=command, threads=env.get("OMP_NUM_THREADS"))
        return b'{"layers": []}'

    monkeypatch.setattr(processes.subprocess, "check_output", check_output)
    assert processes.run("benchmarks.pytorch", count) == {"layers": []}
    assert seen["command"][1:] == ["-m", "benchmarks.pytorch", str(count)]
    assert seen["threads"] == given


def test_the_choice_of_threads_is_that_of_utils():
    """OMP_NUM_THREADS, where the user set it, else all that utils finds."""
    code = "from benchmarks import processes; print(processes.COUNTS)"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    run = [sys.executable, "-c", code]
    said = subprocess.check_output(run, env=env | {"OMP_NUM_THREADS": "3"}, text=True)
    assert said == "[1, 3]\n"


def test_the_process_of_mxnet_prints_its_tables(compiler, monkeypatch, capsys):
    roof = {"memory GB/s": 10.0}
    monkeypatch.setattr(bandwidth, "attainable", lambda: roof)
    row = {**norm("kernel", 1.0), "shape": list(TINY)}
    monkeypatch.setattr(layers, "measure", lambda *_: [row])
    monkeypatch.setattr(layers, "loops", lambda shape: row | {"shape": shape})
    monkeypatch.setattr(layers, "growth", lambda: [])
    rate = {"network": "BN-LeNet", "contender": "Gluon", "images/s": 6000.0}
    monkeypatch.setattr(networks, "measure", lambda: [rate])
    monkeypatch.setattr(networks, "pipeline", lambda: 1.0)
    in_mxnet.main()
    report = json.loads(capsys.readouterr().out)
    tables = {"attainable", "shares", "layers", "growth", "networks", "pipeline"}
    assert set(report) == tables
    assert report["attainable"] == [roof]
    # The shape that is larger than the cache is among the shares, not the layers.
    assert len(report["shares"]) == 3 and len(report["layers"]) == 1
    assert report["pipeline"][0]["of BN-LeNet"] == 0.1  # of ten seconds


def test_memory_is_measured_in_a_process():
    run = [sys.executable, "-m", "benchmarks.memory", "scratch CNN", "Gluon", "keep"]
    row = json.loads(subprocess.check_output(run))
    assert row["peak MiB"] > 0 and row["ms/step"] > 0
    assert row["threads"] == processes.ALL


def full_report():
    """A report as `make bench` writes it, with one figure for all of a kind."""
    of = {"kernel": 0.2, "torch.nn.BatchNorm": 0.25, "fast_batch_norm": 2.0}
    rates = {"by hand": 0.9, "by hand, kernel": 1.25, targets.OLD: 0.1, "PyTorch": 1.6}
    threads, report = {"threads": targets.ALL}, {"missing": {}, "growth": []}
    report["layers"] = [
        {**threads, "shape": list(shape), "formulation": name, "of nn.BatchNorm": value}
        for shape in settings.SHAPES
        for name, value in {**of, "nn.BatchNorm": 1.0}.items()
    ]
    report["networks"] = [
        {**threads, "network": title, "contender": name, "of Gluon": value}
        for title in settings.NETWORKS
        for name, value in {**rates, "Gluon": 1.0}.items()
    ]
    report["shares"] = [
        {**threads, "formulation": name, "of memory": share}
        for name, share in [("kernel", 2.0), (layers.LOOPS, 0.5)]
    ]
    report["pipeline"] = [{**threads, "of BN-LeNet": 0.02}]
    report["errors"] = [
        {**threads, "formulation": name, "output": error}
        for name, error in
        [("kernel", 1e-7), ("fast_batch_norm", 1e-6), ("fast_batch_norm", 1e-2),
         ("nn.BatchNorm", 1e-6), ("nn.BatchNorm", 1e-3)]
    ]  # fmt: skip
    # What was measured with other threads decides nothing.
    for name in "layers", "networks", "pipeline":
        other = [
            {k: 99.0 if isinstance(v, float) else v for k, v in row.items()}
            | {"threads": targets.ALL + 1}
            for row in report[name]
        ]
        report[name] = other + report[name]
    report["targets"] = targets.targets(report)
    return report


def test_targets_tell_met_from_missed():
    report = full_report()
    rows = {row["target"]: row for row in report["targets"]}
    assert list(rows) == list(targets.BOUNDS)
    assert {row["threads"] for row in rows.values()} == {targets.ALL}
    missed = {name: r["reached"] for name, r in rows.items() if r["met"] is False}
    assert missed == {
        "kernel, share of the bandwidth": 0.5,
        "fast_batch_norm / nn.BatchNorm, convolutions": pytest.approx(2),
        "fast_batch_norm, error / nn.BatchNorm": pytest.approx(10),
        "Gluon CNN / PyTorch, images/s": 0.625,
        "BN-LeNet in Gluon / PyTorch, images/s": 0.625,
    }
    assert rows["kernel / torch.nn.BatchNorm"]["reached"] == pytest.approx(0.8)
    assert rows["BN-LeNet by hand with the kernel / Gluon"]["reached"] == 0.8
    assert rows["scratch CNN by hand / old way, images/s"]["reached"] == 9
    assert rows["kernel / nn.BatchNorm"]["wanted"] == "at most 0.35"


def test_every_bound_is_of_a_figure_and_has_one_side():
    assert set(targets.BOUNDS) == set(targets.figures(full_report()))
    for name, bound in targets.BOUNDS.items():
        ((side, limit),) = bound.items()
        assert side in ("at most", "at least") and limit > 0, name


def test_targets_of_what_is_missing_say_why(no_compiler, monkeypatch):
    monkeypatch.setattr(settings, "TORCH", False)
    absent = main.missing()
    report = full_report()
    report["missing"] = {name: why for name, (why, _) in absent.items()}
    for table in "layers", "networks", "shares", "errors":
        report[table] = [
            row
            for row in report[table]
            if not {"kernel", "torch.nn.BatchNorm", "by hand, kernel", "PyTorch"}
            & {row.get("formulation"), row.get("contender")}
        ]
    rows = {row["target"]: row for row in targets.targets(report)}
    without = {name: row["reached"] for name, row in rows.items() if row["met"] is None}
    no_compiler, no_torch = "not measured: no C++ compiler", "not measured: no PyTorch"
    assert without == {
        "kernel / nn.BatchNorm": no_compiler,
        "kernel / torch.nn.BatchNorm": no_compiler,
        "kernel, share of the bandwidth": no_compiler,
        "kernel, error / nn.BatchNorm": no_compiler,
        "BN-LeNet by hand with the kernel / Gluon": no_compiler,
        "Gluon CNN / PyTorch, images/s": no_torch,
        "BN-LeNet in Gluon / PyTorch, images/s": no_torch,
    }


def test_nothing_is_missing_where_all_is_there(compiler, monkeypatch):
    monkeypatch.setattr(settings, "TORCH", True)
    assert main.missing() == {}


def test_growth_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "FOLDER", tmp_path)
    rows = [
        {**norm(name, 1.0), "threads": threads, "shape": list(shape)}
        for shape in settings.GROWTH
        for name in ("kernel", "nn.BatchNorm")
        for threads in processes.COUNTS
    ]
    main.plot(rows)
    assert (tmp_path / "latest.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def saved(tmp_path):
    """A saved run."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(full_report()))
    return path


def test_two_saved_runs_are_compared_by_their_ratios(saved, tmp_path):
    faster = full_report()
    for row in faster["layers"]:
        if row["formulation"] == "kernel":
            row["of nn.BatchNorm"] /= 2
    faster["networks"] = [r for r in faster["networks"] if r["contender"] != "PyTorch"]
    faster["targets"][0]["reached"] = "not measured: no C++ compiler"
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(faster))
    rows = compare.compared(compare.figures(saved), compare.figures(newer))
    ratios = {}
    for row in rows:
        name = row["contender"] or row["where"]
        ratios.setdefault((row["what"], name), set()).add(row["new / old"])
    assert ratios["layers", "kernel"] == {0.5}
    assert ratios["layers", "torch.nn.BatchNorm"] == {1}
    assert ratios["networks", "by hand"] == {1}
    assert ratios["networks", "PyTorch"] == {None}
    assert ratios["targets", "kernel / nn.BatchNorm"] == {None}
    assert ratios["targets", "input / epoch of BN-LeNet"] == {1}
    # The units themselves, which are 1 in each run, tell nothing.
    assert not {("layers", "nn.BatchNorm"), ("networks", "Gluon")} & set(ratios)


def test_what_only_the_newer_run_has_is_listed(saved):
    figures = compare.figures(saved)
    rows = compare.compared({}, figures)
    assert len(rows) == len(figures)
    assert {row["old"] for row in rows} == {None}


@pytest.mark.parametrize(
    "text, why",
    [
        (None, "No such file or directory"),
        ("layers: fast\n", "it is not JSON"),
        ('{"machine": {}, "layers": []}', "as of another version ('growth')"),
        ("[1, 2]", "has other contents"),
    ],
)
def test_what_can_not_be_compared_is_one_sentence(saved, tmp_path, text, why):
    other = tmp_path / "other.json"
    if text is not None:
        other.write_text(text)
    for paths in (saved, other), (other, saved):
        with pytest.raises(SystemExit) as exit:
            compare.main(*paths)
        said = exit.value.code  # a text is printed, and the status is 1
        assert said.startswith("A comparison needs files that `make bench` wrote")
        assert str(other) in said and why in said and "\n" not in said


def test_a_table_has_a_line_a_row_and_few_digits(capsys):
    rows = [
        {"shape": [4, 3], "ms": 1234.5678, "met": True},
        {"shape": [16, 3], "ms": 0.00012345, "met": None},
    ]
    tables.table("one layer", rows)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "one layer",
        "shape    ms        met",
        "-------  --------  -----",
        "[4, 3]   1.23e+03  True",
        "[16, 3]  1.23e-04  –",
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
