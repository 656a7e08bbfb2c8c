"""Each process gets its part of the cores, and nothing that a user set is changed."""

import os
import subprocess
import sys

import pytest
from utils import threads

AWAKE = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": threads.LOOKS}
CASES = {
    "alone": ({}, 4, {"OMP_NUM_THREADS": "4"} | AWAKE),
    "one core": ({}, 1, {"OMP_NUM_THREADS": "1"}),
    "tests side by side": (
        {"PYTEST_XDIST_WORKER_COUNT": "2"},
        4,
        {"OMP_NUM_THREADS": "2"},
    ),
    "more processes than cores": (
        {"PYTEST_XDIST_WORKER_COUNT": "3"},
        2,
        {"OMP_NUM_THREADS": "1"},
    ),
    "workers": ({"DMLC_NUM_WORKER": "2"}, 4, {"OMP_NUM_THREADS": "2"}),
    "a number that is none": (
        {"DMLC_NUM_WORKER": "many"},
        2,
        {"OMP_NUM_THREADS": "2"} | AWAKE,
    ),
    "threads set by the user": ({"OMP_NUM_THREADS": "3"}, 4, {}),
    "waiting set by the user": (
        {"OMP_WAIT_POLICY": "PASSIVE"},
        2,
        {"OMP_NUM_THREADS": "2"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_choice(name):
    environ, cores, added = CASES[name]
    assert threads.choose(environ, cores) == added


@pytest.mark.parametrize(
    "text, cores", [("150000 100000\n", 2), ("50000 100000", 1), ("max 100000", 64)]
)
def test_a_containers_limit_counts(monkeypatch, tmp_path, text, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert threads.cores(quota) == cores
    assert threads.cores(tmp_path / "none") == 64


def test_mxnet_starts_with_it_and_children_choose_for_themselves():
    code = (
        "import ctypes, os, utils\n"
        "omp = ctypes.CDLL('libgomp.so.1')\n"
        "print(omp.omp_get_max_threads(), os.environ.get('OMP_NUM_THREADS'))"
    )
    names = ("OMP_", "GOMP_", *threads.SHARERS)
    env = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    done = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
    assert done.split() == [str(threads.cores()), "None"]
