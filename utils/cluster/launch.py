"""Start the processes of a distributed training, watch them, and end every one.

MXNet's parameter server has three roles: workers compute gradients, servers add them
up, and one scheduler introduces all to each other (Li et al. 2014, "Scaling Distributed
Machine Learning with the Parameter Server"). Each is a process that finds the others by
environment variables, and waits forever where one does not come or dies. `launch` puts
an end to that: it notices a dead process at once and a waiting one after a time limit,
says which one it was, and ends all others.
"""

import contextlib
import os
import pickle
import queue
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
from utils.cluster.nursery import Nursery, last_words, open_nursery

LOOPBACK = "127.0.0.1"
ANSWER = 2  # seconds for a process to say where it waits


class ClusterError(RuntimeError):
    """A run that was ended before its tasks were done.

    results: what the tasks had yielded until then, a list for each worker, by rank.
    """

    def __init__(self, message: str, results: list[list]) -> None:
        super().__init__(message)
        self.results = results


def launch(
    task: Callable[..., Iterator],
    *args: Any,
    workers: int = 2,
    servers: int = 1,
    kind: str = "dist_sync",
    limit: float = 60,
    port: int = 0,
    scheduler: str | None = None,
) -> list[list]:
    """Run `task(store, *args)` in each of `workers` processes, with a parameter server.

    task: a generator function; it may be defined in a notebook. It gets MXNet's
        key-value store, with `store.rank` and `store.num_workers`.
    kind: of the store, "dist_sync" or "dist_async".
    limit: seconds after which everything is ended.
    port: of this machine's scheduler; left out, a free one is taken.
    scheduler: "host:port" of one that somebody started elsewhere. Then none is started
        here, and DMLC_NUM_WORKER and DMLC_NUM_SERVER may say how many workers and
        servers there are on all machines, and DMLC_NODE_HOST this machine's address.

    Returns what each task has yielded, by rank. What a worker prints is printed here.
    All ports are on the loopback address, unless `scheduler` is not. Raises ValueError
    for counts below one and a port that is taken, and ClusterError where no scheduler
    answers, a process dies, a task fails, or the limit is over. In any case all
    processes have ended when it returns.
    """
    if workers < 1 or servers < 0 or servers < 1 and not scheduler:
        raise ValueError(
            f"launch expects at least one worker and one server, but workers is "
            f"{workers} and servers is {servers}."
        )
    host, port = address(scheduler) if scheduler else (LOOPBACK, free_port(port))
    if scheduler:
        wait_for_scheduler(host, port, limit)
    variables = {"DMLC_NUM_WORKER": str(workers), "DMLC_NUM_SERVER": str(servers)}
    if scheduler:
        variables |= {name: os.environ.get(name, variables[name]) for name in variables}
    variables |= {"DMLC_PS_ROOT_URI": host, "DMLC_PS_ROOT_PORT": str(port)}
    if host == LOOPBACK:
        variables["DMLC_NODE_HOST"] = LOOPBACK
    roles = [] if scheduler else ["scheduler"]
    roles += ["server"] * servers + ["worker"] * workers
    members = [
        Member(f"{role} {roles[:n].count(role)}", variables | {"DMLC_ROLE": role})
        for n, role in enumerate(roles)
    ]
    return run(members, (task, args, kind, bool(scheduler)), limit, {})


def alone(
    task: Callable[..., Iterator], *args: Any, limit: float = 60, **environ: str
) -> list:
    """Run `task(*args)` in a process of its own, for at most `limit` seconds.

    environ: variables that MXNet reads when it is imported, as MXNET_ENGINE_TYPE.
    Returns what it has yielded. Raises ClusterError as `launch` does.
    """
    work = task, args, None, False
    return run([Member("the process", environ)], work, limit, environ)[0]


class Member:
    """One process, and what is known of it."""

    def __init__(self, name: str, variables: dict[str, str]) -> None:
        self.name, self.variables = name, variables
        self.is_worker = variables.get("DMLC_ROLE") in (None, "worker")
        self.rank, self.values = 0, []
        self.is_done, self.place, self.status = not self.is_worker, "", None
        self.outbox = queue.SimpleQueue()

    def start(self, nursery: Nursery, payload: bytes, messages: queue.Queue) -> None:
        self.nursery, self.errors = nursery, tempfile.TemporaryFile()
        stdin, write = os.pipe()
        read, stdout = os.pipe()
        self.write, self.read = os.fdopen(write, "wb"), os.fdopen(read, "rb")
        try:
            # On stderr a pipe would have to be read, a file has not.
            self.pid = nursery.fork(stdin, stdout, self.errors.fileno())
        finally:
            os.close(stdin)
            os.close(stdout)
        self.tell(pickle.dumps(os.environ | self.variables))
        self.tell(pickle.dumps(payload if self.is_worker else b""))
        # In threads of their own: a process that hangs may not read what it is told.
        threading.Thread(target=self.speak, daemon=True).start()
        threading.Thread(target=self.listen, args=(messages,), daemon=True).start()

    def tell(self, data: bytes | None) -> None:
        self.outbox.put(data)

    def speak(self) -> None:
        """Send what it is told, until that is None."""
        with contextlib.suppress(BrokenPipeError), self.write:  # `listen` tells its end
            while data := self.outbox.get():
                self.write.write(data)
                self.write.flush()

    def listen(self, messages: queue.Queue) -> None:
        """Hand on what the process sends, and at last that it has ended."""
        try:
            while True:
                messages.put((self, *pickle.load(self.read)))
        except (EOFError, pickle.UnpicklingError):
            messages.put((self, "ended", None))
        except Exception as error:  # its class may be unknown here
            what = f"what it yielded can't be read here ({error})"
            messages.put((self, "error", what))

    def end(self) -> None:
        """End it, if it has not ended, with all that it has started."""
        if self.status is None:
            for kill in os.killpg, os.kill:  # it may not lead its own group yet
                with contextlib.suppress(ProcessLookupError):
                    kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(OSError, RuntimeError):  # the nursery is gone, too
                self.status = self.nursery.wait(self.pid)
        self.tell(None)

    def progress(self) -> str:
        if not self.is_worker:
            return self.name
        count = len(self.values)
        return f"{self.name} after {count} result{'s' * (count != 1)}"


def run(
    members: list[Member], work: tuple, limit: float, environ: dict[str, str]
) -> list[list]:
    """Start `members`, give the workers their work, and return what they yield."""
    for name in "mxnet.ndarray", "mxnet.symbol":
        # By it cloudpickle finds them again, and mx.library.load changes it to that of
        # the submodule whose operators it copies.
        sys.modules[name].__name__ = name
    payload, messages = cloudpickle.dumps(work), queue.Queue()
    nursery = open_nursery(environ)
    started = []
    try:
        for member in members:
            member.start(nursery, payload, messages)
            started.append(member)
        end = time.monotonic() + limit
        while not all(member.is_done for member in members):
            try:
                wait = max(0.0, end - time.monotonic())
                member, what, value = messages.get(timeout=wait)
            except queue.Empty:
                raise ClusterError(
                    f"Not done after {limit:g} s, so every process was ended. "
                    f"{places(members, messages)}",
                    results(members),
                ) from None
            note(member, what, value, members)
        return results(members)
    finally:
        for member in started:
            member.end()


def note(member: Member, what: str, value: Any, members: list[Member]) -> None:
    """Take in a message; ClusterError where the run can't go on."""
    if what == "rank":
        member.rank, member.name = value, f"worker {value}"
    elif what == "value":
        member.values.append(value)
    elif what == "print":
        print(value)
    elif what == "place":
        member.place = value
    elif what == "done":
        member.is_done = True
    elif what == "error":
        if "bind failed" in value:
            value = "Its port was taken by another program meanwhile: start again."
        raise ClusterError(f"{member.progress()}: {value}", results(members))
    else:
        raise ClusterError(death(member, members), results(members))


def death(member: Member, members: list[Member]) -> str:
    """The sentences for a process that ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(member.pid, signal.SIGKILL)  # what it has started
    code = member.status = member.nursery.wait(member.pid)
    if code < 0:
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
        said = ""
    else:
        how, said = f"ended with status {code}", last_words(member.errors)
    who = member.progress()
    others = [other.name for other in members if other is not member]
    message = f"{who[0].upper()}{who[1:]} {how}."
    if others:
        message += f" Without it the others would wait forever, so {len(others)} more "
        message += "processes were ended." if len(others) > 1 else "process was ended."
    return f"{message} Its last words:\n{said}" if said else message


def places(members: list[Member], messages: queue.Queue) -> str:
    """What each worker that is not done waits for, as it says itself."""
    waiting = [m for m in members if not m.is_done]
    for member in waiting:
        member.tell(b"?")
    end = time.monotonic() + ANSWER
    with contextlib.suppress(queue.Empty):
        while not all(member.place for member in waiting):
            wait = max(0.0, end - time.monotonic())
            member, what, value = messages.get(timeout=wait)
            if what in ("value", "place", "print"):
                note(member, what, value, members)
    done = [m for m in members if m.is_worker and m.is_done]
    said = [
        f"{m.progress()} is {m.place or 'busy and does not answer'}" for m in waiting
    ]
    said += [f"{m.progress()} is done" for m in done]
    text = "; ".join(sorted(said))
    return f"{text[0].upper()}{text[1:]}."


def results(members: list[Member]) -> list[list]:
    workers = [member for member in members if member.is_worker]
    return [member.values for member in sorted(workers, key=lambda m: m.rank)]


def free_port(port: int) -> int:
    """`port`, or any where it is 0, after it was seen to be free."""
    with socket.socket() as trial:
        # As the scheduler does it: a port of a program that has just ended is free.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError as error:
            raise ValueError(
                f"Port {port} of {LOOPBACK} can't be used ({error.strerror}). Name "
                "another one, or leave it out, and a free one is taken."
            ) from None
        return trial.getsockname()[1]


def address(scheduler: str) -> tuple[str, int]:
    host, _, port = scheduler.rpartition(":")
    if not (host and port.isdigit()):
        raise ValueError(
            f"scheduler has to be host:port, as in 10.0.0.1:9091, but it is "
            f"{scheduler!r}."
        )
    return host, int(port)


def wait_for_scheduler(host: str, port: int, limit: float) -> None:
    end = time.monotonic() + limit
    while True:
        try:
            socket.create_connection((host, port), timeout=limit).close()
            return
        except OSError as error:
            if time.monotonic() >= end:
                raise ClusterError(
                    f"No scheduler answered at {host}:{port} within {limit:g} s "
                    f"({error.strerror or error}). Start it there first, or correct "
                    "the address.",
                    [],
                ) from None
            time.sleep(0.2)  # a refused connection does not say when to come again
