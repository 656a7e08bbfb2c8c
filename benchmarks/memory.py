"""Peak memory and page faults of training, in a process for each contender.

python -m benchmarks.memory NETWORK CONTENDER keep|default
"""

import ctypes
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import utils  # noqa: F401, as without it MXNet can't be imported with NumPy 2
from mxnet import nd

from benchmarks import layers, networks, settings
from benchmarks.processes import ALL

TITLES, STEPS = ("scratch CNN", "BN-LeNet"), 20
CONTENDERS = "by hand", "Gluon", "Gluon, hybridized", "textbook, DataLoader"


def measure():
    """One row per process: MiB at its peak above the start, faults and ms per step."""
    contenders = [*CONTENDERS]
    if layers.can_compile():
        contenders.append("by hand, kernel")
    if settings.TORCH:
        contenders.append("PyTorch")
    return [
        json.loads(
            subprocess.check_output([sys.executable, "-m", __name__, title, name, mode])
        )
        for title in TITLES
        for name in contenders
        for mode in ("keep", "default")
    ]


def main(title, name, mode):
    if mode == "default":  # what glibc starts with, see utils/memory.py
        for option in -1, -2, -3:
            ctypes.CDLL(None).mallopt(option, 128 * 1024)
    network = settings.NETWORKS[title]
    data = *settings.pictures(4 * network.batch_size), network.batch_size
    if name == "PyTorch":
        from benchmarks import pytorch

        pytorch.torch.set_num_threads(ALL)
        step, batches = pytorch.training_step(network), pytorch.batches(*data)
    else:
        step = networks.contenders(network)[name][0]
        batches = list(networks.from_memory(*data))
    nd.waitall()
    before = status("VmRSS")
    for i in range(STEPS + 5):
        if i == 5:  # after the first steps have allocated what stays
            warm, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        step(*batches[i % 4])
        nd.waitall()
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    row = {
        "threads": ALL,
        "network": title,
        "contender": name,
        "malloc": mode,
        "peak MiB": status("VmHWM") - before,
        "faults/step": (after.ru_minflt - warm.ru_minflt) / STEPS,
        "ms/step": 1e3 * seconds / STEPS,
    }
    print(json.dumps(row))


def status(field):
    """MiB; unlike `getrusage`, not the parent's where that had more."""
    line = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(line[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
