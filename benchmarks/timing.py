"""Take turns, wait for the results, take medians."""

import time

import numpy as np

LEAST = 3  # turns in a process, however long they take


def race(runs, wait, seconds):
    """Median seconds of a call of each function in `runs`, a dict from its name.

    They take turns, and in a turn each is called for about 20 ms: as in training, its
    memory is warm. wait: called after each call, returns when the result is there.
    The turns last about `seconds` a contender, and there are at least `LEAST` of them
    after two untimed calls of each. Returns a dict from name to seconds.
    """
    calls = {}
    for name, run in runs.items():
        turn(run, 1, wait)  # the first call may prepare what the others use
        calls[name] = max(1, int(0.02 / turn(run, 1, wait)))
    times, begin = [], time.perf_counter()
    while len(times) < LEAST or time.perf_counter() - begin < seconds * len(runs):
        times.append([turn(run, calls[name], wait) for name, run in runs.items()])
    return dict(zip(runs, np.median(times, axis=0).tolist(), strict=True))


def turn(run, calls, wait):
    """Mean seconds of so many calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
        wait()
    return (time.perf_counter() - start) / calls
