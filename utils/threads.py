"""Let MXNet compute with all cores, and its threads wait awake, from its import on.

MXNet on its own takes half as many threads as there are cores. And where OpenMP counts
more threads than cores, as soon as Python's thread has some of its own, a thread that
waits looks for work only 100 times before it sleeps; a network of small operators then
spends its time on waking threads. ACTIVE makes that 1000 times, and LOOKS else:
https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
The speed chapter measures what the choice made here gains. Threads that wait awake take
the cores from other processes, so where several share a machine each gets its part of
the cores, and lets its threads sleep.

What is set already stays as it is: OMP_NUM_THREADS, OMP_WAIT_POLICY, GOMP_SPINCOUNT. So
does MXNet's engine: its NaiveEngine would save threads, but SyncBatchNorm waits for
ever under it.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

# How many processes compute side by side: pytest-xdist's, and those of distributed
# training, where its launcher says so. That counts all machines' processes: on several
# machines OMP_NUM_THREADS says better.
SHARERS = "PYTEST_XDIST_WORKER_COUNT", "DMLC_NUM_WORKER"
# So often a thread with a core of its own looks for work before it sleeps: some tenths
# of a millisecond, longer than MXNet takes from one operator to the next.
LOOKS = "10000"


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may use, within what its container may.

    quota: where Linux has "microseconds of all cores, microseconds of time", or "max".
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    try:
        share, period = map(int, quota.read_text().split())
    except (OSError, ValueError):  # no such file, or no limit
        return count
    return max(1, min(count, math.ceil(share / period)))


def choose(environ: Mapping[str, str], cores: int) -> dict[str, str]:
    """The variables to add to `environ` for a process on a machine of `cores` cores."""
    said = [environ.get(name, "") for name in SHARERS]
    processes = max([1, *(int(number) for number in said if number.isdigit())])
    awake = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": LOOKS}
    if "OMP_NUM_THREADS" in environ:
        return {}
    chosen = {"OMP_NUM_THREADS": str(max(1, cores // processes))}
    if processes == 1 and cores > 1 and not awake.keys() & environ.keys():
        chosen |= awake
    return chosen


@contextlib.contextmanager
def chosen() -> Iterator[None]:
    """The environment with that choice, for an import of MXNet.

    OpenMP reads it once, when it is loaded. Afterwards it is taken back, as another
    process that this one starts has to choose for itself.
    """
    added = choose(os.environ, cores())
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
