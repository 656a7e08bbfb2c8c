"""Run a reader's code so that it ends: in a thread of its own, with limits."""

import ctypes
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import mxnet as mx
from mxnet.util import is_np_array, is_np_shape

T = TypeVar("T")

# Of one call; the layers of this course take milliseconds. Computing is measured in
# processor time, since a busy machine stretches any other.
COMPUTING, WAITING = 1.5, 2.0
IDLE = 0.05  # share of a processor below which a call only waits
MEGABYTES = 1024  # that one check may take; it needs a few
LOOK = 0.01  # seconds between two looks at both


class Stopped(Exception):
    """The code was stopped; the message says why, as the end of a sentence."""


class _Stop(BaseException):
    """Raised in the thread: not an Exception, which the code may catch."""


class Calls:
    """Passes calls of the code on, and notes when one began."""

    def __init__(self) -> None:
        self.began = None  # by the clock, and in processor time

    def __call__(self, function: Callable[[], T]) -> T:
        self.began = time.monotonic(), time.process_time()
        try:
            return function()
        finally:
            self.began = None

    def is_too_long(self) -> bool:
        """Whether the call that is under way computes, or waits, for too long."""
        if (began := self.began) is None:
            return False
        passed, computed = time.monotonic() - began[0], time.process_time() - began[1]
        waits = passed > WAITING and computed < IDLE * passed
        return computed > COMPUTING or waits


def bounded(work: Callable[[Calls], T]) -> T:
    """What `work` returns, which calls a reader's code through its argument.

    Raises Stopped where one call computes or waits for too long, or all take more than
    MEGABYTES. The thread is then told to end; if it can't, for it waits in MXNet, it is
    left behind. It computes in the mode (classic or NumPy) and on the device that the
    caller has.
    """
    calls, results, errors = Calls(), [], []
    mode, shape, ctx = is_np_array(), is_np_shape(), mx.current_context()

    def body():
        try:
            # All three belong to a thread.
            with mx.util.np_shape(shape), mx.util.np_array(mode), ctx:
                results.append(work(calls))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body, daemon=True)
    before = _megabytes()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(LOOK)
            if calls.is_too_long():
                raise Stopped(f"did not come back within {WAITING:.0f} seconds")
            if _megabytes() - before > MEGABYTES:
                raise Stopped("took more and more memory")
    except BaseException:
        _end(thread)
        raise
    if errors:
        raise errors[0]
    return results[0]


def _end(thread):
    for _ in range(20):  # code that catches everything gets it again
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(_Stop)
        )
        thread.join(LOOK)
        if not thread.is_alive():
            return


def _megabytes():
    """What the process holds now or, where that can't be seen, has held at most."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
