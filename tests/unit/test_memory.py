"""Freed memory stays with the process, where the C library is glibc."""

import ctypes
import platform
import subprocess
import sys

import pytest
from utils import memory

# Six arrays of 16 MiB at a time, ten times over: 245,760 pages of 4 KiB.
FAULTS = """
import resource, runpy, sys
import numpy as np
if sys.argv[2] == "keep":
    runpy.run_path(sys.argv[1])["keep_freed_memory"]()
def work():
    for _ in range(10):
        [np.ones(1 << 21) for _ in range(6)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps memory")
def test_memory_is_faulted_in_only_once():
    command = [sys.executable, "-c", FAULTS, memory.__file__]
    keep = int(subprocess.check_output([*command, "keep"]))
    default = int(subprocess.check_output([*command, "default"]))
    assert keep < 100
    assert default > 10 * max(keep, 100)  # else there is nothing to be saved


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
