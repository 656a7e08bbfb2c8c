"""One process of a distributed training, with its role.

It talks to `launch` by two pipes. On stdin come its environment, its work, and then
questions; where stdin ends, `launch` has gone, and so goes this process, whatever it
waits for. On stdout go pickled messages, pairs of a word and a value.
"""

import io
import os
import pickle
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator

import mxnet as mx
import numpy as np
from mxnet.kvstore.kvstore_server import KVStoreServer

INSIDE = "mxnet", "utils", "threading"  # packages whose frames say little to a reader


class Pipe(io.TextIOBase):
    """Messages on what was stdout; what is printed becomes one, too."""

    def __init__(self) -> None:
        self.lock, self.begun = threading.Lock(), ""
        self.file = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what C++ prints must not be taken for a message

    def send(self, what: str, value: object = None) -> None:
        with self.lock:
            pickle.dump((what, value), self.file)
            self.file.flush()

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:  # whole ones, so that processes do not mix theirs
            self.send("print", line)
        return len(text)

    def finish(self) -> None:
        """Send the last line, if it was begun only."""
        if self.begun:
            self.write("\n")

    def leave(self) -> None:
        """Not to be held open by what the task forks: its end tells of this one's."""
        os.close(self.file.fileno())
        sys.stdout = sys.stderr


def main() -> None:
    """Take the role that the environment says, and never return."""
    pipe, stdin = Pipe(), open(0, "rb", closefd=False)
    sys.stdout = pipe
    variables, payload = pickle.load(stdin), pickle.load(stdin)
    os.environ.clear()
    os.environ.update(variables)
    np.random.seed()  # else every process would draw the same numbers
    threading.Thread(target=answer, args=(pipe, stdin), daemon=True).start()
    os.register_at_fork(after_in_child=pipe.leave)
    try:
        if variables.get("DMLC_ROLE") in ("scheduler", "server"):
            KVStoreServer(mx.kv.create("dist")).run()
        else:
            work(pipe, *pickle.loads(payload))
    except BaseException as error:  # sys.exit() in a task, too
        traceback.print_exc()
        sys.stderr.flush()
        pipe.finish()
        pipe.send("error", f"{type(error).__name__}: {error}")
        # Here, while the store lives: its end would stop servers and scheduler, and
        # `launch` might hear of that first.
        os._exit(1)
    sys.stderr.flush()
    os._exit(0)


def work(pipe: Pipe, task, args: tuple, kind: str | None, elsewhere: bool) -> None:
    if kind:
        store = mx.kv.create(kind)
        pipe.send("rank", store.rank)
        args = store, *args
    values = task(*args)
    if not isinstance(values, Iterator):
        raise TypeError(
            "The task has to be a generator function, one that yields its results, but "
            f"{getattr(task, '__name__', task)} returned an object of type "
            f"{type(values).__name__}."
        )
    for value in values:
        pipe.send("value", value)
    pipe.finish()
    if elsewhere:  # workers that may still need the server of this machine
        mx.nd.waitall()
        store._barrier()
    pipe.send("done")
    # Not the end: MXNet would stop the servers then, which others may need.
    threading.Event().wait()


def answer(pipe: Pipe, stdin: io.BufferedReader) -> None:
    """Say where the main thread is, whenever asked; end the process with `launch`."""
    while stdin.read(1):
        pipe.send("place", place(sys._current_frames()[threading.main_thread().ident]))
    os.killpg(0, signal.SIGKILL)  # with all that it has started


def place(frame: types.FrameType) -> str:
    """Where a thread is, for its reader: the call, and the line that made it."""
    call = None
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in INSIDE:
        call, frame = frame.f_code.co_name, frame.f_back
    if frame.f_globals is vars(sys.modules["__main__"]):  # the nursery's own
        return "waiting for the other processes"
    where = f"line {frame.f_lineno} of {frame.f_code.co_name}"
    return f"in {call}, called by {where}" if call else f"in {where}"
