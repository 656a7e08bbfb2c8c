"""Take turns, wait for the results, take medians."""

import time

import numpy as np
from mxnet import nd


def race(runs, seconds=1.0, least=5):
    """Median seconds of each function in `runs`, a dict from name to function.

    They run in turns, one untimed round first, for about `seconds` a contender and
    for at least `least` rounds. Returns a dict from name to seconds a call.
    """
    times = []
    begin = time.perf_counter()
    while len(times) <= least or time.perf_counter() - begin < seconds * len(runs):
        row = []
        for run in runs.values():
            nd.waitall()
            start = time.perf_counter()
            run()
            nd.waitall()
            row.append(time.perf_counter() - start)
        times.append(row)
    return dict(zip(runs, np.median(times[1:], axis=0).tolist(), strict=True))
