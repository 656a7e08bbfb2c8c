"""How notebooks share the cores, and which runs get a second chance."""

import fnmatch
import os
from types import SimpleNamespace

import pytest

from regression import __main__ as program
from regression import plugin, run
from tests.support.runs import (
    metadata,
    more,
    no_edit,
    printing,
    regression_run,
    stored,
    write,
)


@pytest.mark.parametrize(
    "cores, devices, workers",
    # A container may have the device file of its fourth GPU only.
    [(4, [], 2), (2, [], 2), (1, [], 0), (4, ["/dev/nvidia3"], 0)],
)
def test_one_process_a_core_and_one_alone_on_a_gpu(
    tmp_path, monkeypatch, cores, devices, workers
):
    for name in "a.ipynb", "b.ipynb":
        (tmp_path / name).touch()
    monkeypatch.setattr(run, "cores", lambda: cores)
    monkeypatch.setattr("glob.glob", lambda p: fnmatch.filter(devices, p))
    config = SimpleNamespace(args=[str(tmp_path)])
    assert plugin.pytest_xdist_auto_num_workers(config) == workers


def test_cores_where_the_system_does_not_tell_which_may_be_used(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert run.cores() == 8


def test_processes_share_the_threads(tmp_path):
    code = "import os\nprint(os.environ.get('OMP_NUM_THREADS'))"
    for names, threads in ("a", None), ("ab", run.cores() // 2 or None):
        for name in names:
            write(tmp_path, name, printing(("threads", code, f"{threads}\n")))
        done = regression_run(tmp_path, "-n", "auto", "--dist", "loadfile")
        assert done.code == 0, done.output


def ratio(name, first, second):
    """A notebook that prints one ratio in its first run, and another one later."""
    count = (
        "from pathlib import Path\n"
        f"path = Path('{name}.runs')\n"
        "runs = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(runs));"
    )
    compare_it = f"print('takes', {first} if runs == 1 else {second}, 'times')"
    cells = ("count", count, ""), ("ratio", compare_it, "takes 1.0 times\n")
    notebook = printing(*cells, ("last", "print('done')", "done\n"))
    metadata("ratio", timing=True, factor=2, why="other work")(notebook)
    return notebook


# What `python -m regression` does, on a machine where others take so many cores.
BESIDE = """
import sys, time
from regression import __main__ as program
program.taken_by_others = lambda: {} * time.monotonic()
sys.exit(program.main(sys.argv[1:]))
"""


def run_with_second_chance(folder, paths=(".",), taken=0, **notebooks):
    """(what `python -m regression` said, how often each notebook ran)."""
    for name, notebook in notebooks.items():
        write(folder, name, notebook)
    run = regression_run(folder, program=["-c", BESIDE.format(taken)], paths=paths)
    return run, {name: int((folder / f"{name}.runs").read_text()) for name in notebooks}


def test_a_ratio_that_is_right_in_its_second_run_is_green(tmp_path):
    notebooks = {"off": ratio("off", 9.0, 1.0), "good": ratio("good", 1.0, 1.0)}
    run, runs = run_with_second_chance(tmp_path, **notebooks)
    assert run.code == 0 and runs == {"off": 2, "good": 1}, run.output
    assert list(run.faults) == [("off", "ratio")]  # of the first run
    words = "Only ratios of durations were off; again, alone: off.ipynb."
    assert words in run.output


def test_notebooks_that_are_named_get_a_second_chance_too(tmp_path):
    notebooks = {"off": ratio("off", 9.0, 1.0), "good": ratio("good", 1.0, 1.0)}
    named = "off.ipynb", "good.ipynb"
    run, runs = run_with_second_chance(tmp_path, named, **notebooks)
    assert run.code == 0 and runs == {"off": 2, "good": 1}, run.output


def test_a_ratio_that_is_off_twice_is_red(tmp_path):
    run, runs = run_with_second_chance(tmp_path, off=ratio("off", 9.0, 9.0))
    assert run.code == 1 and runs == {"off": 2}
    assert run.output.count("1.0 became 9.0, off by 8, 1 is allowed") >= 2


def test_a_ratio_is_not_judged_where_others_took_the_cores(tmp_path):
    taken = os.cpu_count()
    run, runs = run_with_second_chance(
        tmp_path, taken=taken, off=ratio("off", 9.0, 9.0)
    )
    assert run.code == 0 and runs == {"off": 2}, run.output
    words = f"ratios of durations in off.ipynb, since other processes took {taken}.0 of"
    assert f"Not judged: {words}" in run.output


def test_what_else_is_off_is_judged_where_others_took_the_cores(tmp_path):
    off = ratio("off", 9.0, 9.0)
    once = "print('done' if runs == 1 else 'gone')"
    off.cells[-1].source = once
    run, runs = run_with_second_chance(tmp_path, taken=os.cpu_count(), off=off)
    assert run.code == 1 and runs == {"off": 2}
    assert "Not judged" not in run.output


def test_time_of_others_is_without_our_own(tmp_path):
    stat = tmp_path / "stat"
    ticks = os.sysconf("SC_CLK_TCK")
    before = program.taken_by_others(tmp_path / "missing")
    # user, nice, system, idle, waiting for a disk, interrupts (2), stolen
    stat.write_text(
        f"cpu  {700 * ticks} 0 0 {5 * ticks} {4 * ticks} 0 0 {300 * ticks}\n"
    )
    own = os.times()
    taken = program.taken_by_others(stat)
    assert before == 0
    assert taken == pytest.approx(1000 - sum(own[:4]), abs=0.5)


def test_a_ratio_gets_no_second_chance_where_another_notebook_is_off(tmp_path):
    other = ratio("other", 1.0, 1.0)
    stored("last", "done", "Done")(other)
    off = ratio("off", 9.0, 1.0)
    run, runs = run_with_second_chance(tmp_path, off=off, other=other)
    assert run.code == 1 and runs == {"off": 1, "other": 1}
    assert "again, alone" not in run.output


# name: (edit of a notebook with a ratio that is off, the cells that only a ratio makes
# red, the other red ones)
BESIDE_RATIOS = {
    "nothing": (no_edit, {"ratio"}, set()),
    "another cell": (stored("last", "done", "Done"), {"ratio"}, {"last"}),
    "an exception": (more("ratio", "1 / 0"), set(), {"ratio"}),
    "no duration": (metadata("ratio", factor=2, why="other"), set(), {"ratio"}),
    "no reason": (metadata("ratio", timing=True, factor=2), set(), {"ratio"}),
}


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoiled")
    for name, (edit, _, _) in BESIDE_RATIOS.items():
        notebook = ratio(name, 9.0, 9.0)
        edit(notebook)
        write(folder, name, notebook)
    return regression_run(folder)


@pytest.mark.parametrize("name", BESIDE_RATIOS)
def test_what_is_off_beside_a_ratio_is_told_apart(spoiled, name):
    _, ratios, others = BESIDE_RATIOS[name]
    red = {
        cell: "A ratio of durations, which other work can spoil" in text
        for (notebook, cell), text in spoiled.faults.items()
        if notebook == name
    }
    assert red == dict.fromkeys(ratios, True) | dict.fromkeys(others, False)
