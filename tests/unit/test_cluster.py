"""`launch` gives all results, or a sentence on why not, and leaves no process."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import utils
import cloudpickle
import numpy as np
import psutil
import pytest
from mxnet import nd
from utils.cluster import launch as launching
from utils.cluster.gather import gather

from tests.support.runs import ROOT

# By its name a forked process would not find this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

PATIENCE = 60  # seconds for what takes far less


def members():
    """The processes of the run that this one is in: scheduler, servers, workers."""
    found = psutil.Process(os.getppid()).children()
    return [p.pid for p in sorted(found, key=lambda p: (p.create_time(), p.pid))]


def children():
    """The processes that are left of all runs of this one."""
    nursery = launching.open_nursery({}).process
    return [child.pid for child in psutil.Process(nursery.pid).children()]


def assert_ended(pids):
    """Wait for their end; one that was killed needs a moment, and so does PID 1."""
    there, end = list(pids), time.monotonic() + PATIENCE
    while there and time.monotonic() < end:
        processes = []
        for pid in there:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    processes.append(process)
        psutil.wait_procs(processes, timeout=0.1)
        there = [process.pid for process in processes]
    assert there == []


def fails(task, *args, **options):
    """Launch it, be told that it failed, and see that nothing is left of it."""
    with pytest.raises(utils.ClusterError) as caught:
        utils.launch(task, *args, **options)
    assert children() == []
    return str(caught.value), caught.value.results


def line(task, text):
    """The number of the line of `task` that has `text`, as a message names it."""
    code = task.__code__
    lines = open(code.co_filename, encoding="utf-8").readlines()
    numbers = {number for _, _, number in code.co_lines() if number}
    [number] = [number for number in sorted(numbers) if text in lines[number - 1]]
    return f"line {number} of {task.__name__}"


def ranks(store, *args):
    yield store.rank, store.num_workers
    yield args
    yield store.type


@pytest.mark.parametrize(("workers", "servers"), [(1, 1), (2, 1), (3, 2)])
def test_what_tasks_yield_comes_back_by_rank(workers, servers):
    found = utils.launch(ranks, "a", [2.5], workers=workers, servers=servers)
    assert found == [
        [(rank, workers), ("a", [2.5]), "dist_sync"] for rank in range(workers)
    ]
    assert children() == []


def test_a_task_may_be_local_and_the_store_of_another_kind():
    def task(store):
        yield store.type, number

    number = 7
    assert utils.launch(task, workers=1, kind="dist_async") == [[("dist_async", 7)]]


def test_a_task_may_use_mxnet_after_a_library_was_loaded(monkeypatch):
    """As by `mx.library.load`, which copies all of `mx.nd.op`, its name too."""
    monkeypatch.setattr(nd, "__name__", nd.op.__name__)
    found = utils.launch(lambda store: iter([nd.array([7]).asscalar()]), workers=1)
    assert found == [[7]]


def drawn(store):
    yield np.random.rand()
    yield os.environ["BN_TEST"], os.environ["DMLC_NUM_WORKER"]


def test_members_have_todays_environment_and_draw_numbers_of_their_own(monkeypatch):
    monkeypatch.setenv("BN_TEST", "today")
    (first, environ), (second, _) = utils.launch(drawn)
    assert environ == ("today", "2")
    assert first != second


def printing(store):
    for k in range(100):
        print(f"worker {store.rank}", end=" ")
        print(k, "of", 100, sep=" ")
    print("last", store.rank, end="")
    yield


def test_prints_arrive_as_whole_lines(capsys):
    utils.launch(printing, workers=3)
    lines = capsys.readouterr().out.splitlines()
    for rank in range(3):
        expected = [f"worker {rank} {k} of 100" for k in range(100)]
        assert [row for row in lines if row.startswith(f"worker {rank}")] == expected
    assert sorted(row for row in lines if row.startswith("last")) == [
        "last 0",
        "last 1",
        "last 2",
    ]
    assert len(lines) == 303


def listening(store):
    found = [c for pid in members() for c in psutil.Process(pid).net_connections()]
    yield [tuple(c.laddr) for c in found if c.status == psutil.CONN_LISTEN]


def test_all_ports_are_on_the_loopback_address():
    port = launching.free_port(0)
    [[found], _] = utils.launch(listening, port=port)
    assert {host for host, _ in found} == {"127.0.0.1"}
    assert len(found) == 4  # each member listens
    assert port in [number for _, number in found]


# --- Members that die or wait ---


def killing(store, victim):
    yield store.rank
    yield members()
    store._barrier()
    if store.rank == 1:
        os.kill(os.getpid() if victim is None else members()[victim], signal.SIGKILL)
    threading.Event().wait()


def test_a_worker_that_is_killed():
    message, results = fails(killing, None, workers=3)
    assert message == (
        "Worker 1 after 2 results was killed by signal 9 (SIGKILL). Without it the "
        "others would wait forever, so 4 more processes were ended."
    )
    assert results[1][0] == 1
    assert len(results[1][1]) == 5
    assert_ended(results[1][1])


def forking(store):
    yield os.getpid()
    child = os.fork()
    if not child:
        print("not from a member", flush=True)  # does no harm
        time.sleep(1000)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_and_has_forked(capsys):
    message, _ = fails(forking, workers=1, limit=10)
    assert message.startswith("Worker 0 after 1 result was killed by signal 9")
    assert "member" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("victim", "name"), [(0, "Scheduler 0"), (1, "Server 0"), (2, "Server 1")]
)
def test_a_scheduler_or_server_that_is_killed(victim, name):
    message, results = fails(killing, victim, servers=2)
    assert message == (
        f"{name} was killed by signal 9 (SIGKILL). Without it the others would wait "
        "forever, so 4 more processes were ended."
    )
    assert len(results) == 2


def leaving(store):
    yield 1
    if store.rank:
        print("the reason", file=sys.stderr)
        os._exit(3)
    threading.Event().wait()


def test_a_worker_that_ends_itself():
    message, results = fails(leaving)
    assert "Worker 1 after 1 result ended with status 3. Without it the " in message
    assert message.endswith("Its last words:\nthe reason")
    assert results[1] == [1]


def raising(store, error):
    yield 1
    if store.rank == 1:
        raise error
    threading.Event().wait()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (SystemExit("no more"), "SystemExit: no more"),  # as of sys.exit()
    ],
    ids=["error", "exit"],
)
def test_a_worker_that_raises(error, said):
    message, results = fails(raising, error, limit=PATIENCE / 2)
    assert message == f"worker 1 after 1 result: {said}"
    assert results[1] == [1]


def unfit(store):
    # The first part is long enough to be on its way before the second fails.
    yield [b"x" * 10**6, lambda: 0]


def test_a_result_that_can_not_be_sent():
    message, _ = fails(unfit, workers=1)
    assert re.match(r"worker 0 after 0 results: .*[Cc]an't pickle", message)


def returning(store):
    return [store.rank]


def nothing(store):
    pass


@pytest.mark.parametrize(("task", "kind"), [(returning, "list"), (nothing, "NoneType")])
def test_a_task_that_does_not_yield(task, kind):
    message, results = fails(task, workers=1)
    assert message == (
        "worker 0 after 0 results: TypeError: The task has to be a generator function, "
        f"one that yields its results, but {task.__name__} returned an object of type "
        f"{kind}."
    )
    assert results == [[]]


def waiting(store):
    """Each worker waits for something else that never comes."""
    never, value = threading.Event(), nd.zeros(3)
    store.init(1, value)
    yield store.rank
    if store.rank == 1:
        never.wait()
    if store.rank == 2:
        time.sleep(1000)
    if store.rank in (3, 4):
        store.push(1, value)  # the servers wait for the other workers'
        store.pull(1, out=value)
    if store.rank == 3:
        value.asnumpy()
    if store.rank == 4:
        nd.waitall()


def test_workers_that_wait_say_where():
    message, results = fails(waiting, workers=5, limit=5)
    start, places = message.split(". ", 1)
    assert start == "Not done after 5 s, so every process was ended"
    assert places.split("; ") == [
        "Worker 0 after 1 result is done",
        f"worker 1 after 1 result is in wait, called by {line(waiting, 'r.wait()')}",
        f"worker 2 after 1 result is in {line(waiting, 'sleep')}",
        f"worker 3 after 1 result is in asnumpy, called by {line(waiting, 'asnumpy')}",
        f"worker 4 after 1 result is in waitall, called by {line(waiting, 'waitall')}.",
    ]
    assert results == [[0], [1], [2], [3], [4]]


def deaf():
    yield 1
    ctypes.PyDLL(None).sleep(1000)  # unlike time.sleep, it lets no other thread run


def test_a_process_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(launching, "ANSWER", 0.2)
    with pytest.raises(utils.ClusterError) as caught:
        utils.alone(deaf, limit=2)
    assert str(caught.value) == (
        "Not done after 2 s, so every process was ended. The process after 1 result "
        "is busy and does not answer."
    )
    assert caught.value.results == [[1]]
    assert children() == []


def test_a_process_that_does_not_even_read_its_work(monkeypatch):
    monkeypatch.setattr(launching, "ANSWER", 0.2)
    fork = launching.Nursery.fork

    def stopped(*args):
        pid = fork(*args)
        os.kill(pid, signal.SIGSTOP)
        return pid

    monkeypatch.setattr(launching.Nursery, "fork", stopped)
    with pytest.raises(utils.ClusterError) as caught:
        utils.alone(ranks, bytes(10**7), limit=0.5)  # more than a pipe holds
    assert str(caught.value) == (
        "Not done after 0.5 s, so every process was ended. The process after 0 results "
        "is busy and does not answer."
    )
    assert children() == []


# --- One process alone ---


def threads_of_mxnet(*args):
    nd.ones(1).asnumpy()
    yield psutil.Process().num_threads()
    yield os.environ.get("MXNET_ENGINE_TYPE")
    yield args


def test_a_process_alone_with_other_settings():
    many, plain, args = utils.alone(threads_of_mxnet, 1, "b")
    few, naive, _ = utils.alone(threads_of_mxnet, MXNET_ENGINE_TYPE="NaiveEngine")
    assert args == (1, "b")
    assert (plain, naive) == (None, "NaiveEngine")
    assert few < many  # that engine computes in the thread that asks for it


# --- No process is left ---


def family():
    """Start a process; the numbers of the nursery, of all members, and of it."""
    child = subprocess.Popen(["sleep", "1000"])
    return [os.getppid(), *members(), child.pid]


def with_a_child(store, how):
    yield family()
    store._barrier()
    if how == "killed" and store.rank:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises" and store.rank:
        raise ValueError
    if how == "late" and store.rank:
        threading.Event().wait()


@pytest.mark.parametrize("how", ["done", "killed", "raises", "late"])
def test_what_a_task_has_started_ends_with_it(how):
    try:
        results = utils.launch(with_a_child, how, limit=5 if how == "late" else 60)
    except utils.ClusterError as error:
        results = error.results
        assert how != "done"
    started = {pid for found in results for pids in found for pid in pids}
    nursery = launching.open_nursery({}).process.pid
    assert len(started) >= 6  # of at least one worker: its child, all others
    assert nursery in started
    assert_ended(started - {nursery})
    assert psutil.pid_exists(nursery)


PROGRAM = """
import utils
from tests.unit.test_cluster import forever, ranks
try:
    utils.launch(forever)
except KeyboardInterrupt:
    print("interrupted")
print(utils.launch(ranks, workers=1))
utils.launch(forever)
"""


def forever(store):
    print(*family())
    threading.Event().wait()
    yield


def test_all_end_at_ctrl_c_and_with_a_program_that_is_killed():
    program = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background, the shell has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    def started():
        """The processes below it, as both workers tell, and the nursery."""
        lines = [program.stdout.readline() for _ in range(2)]
        one, two = ([int(pid) for pid in text.split()] for text in lines)
        assert one[:5] == two[:5]  # the nursery and four members
        assert one[5] != two[5]  # what each worker has started
        return one[0], [*one[1:], two[5]]

    try:
        nursery, others = started()
        os.killpg(program.pid, signal.SIGINT)  # as a terminal sends it
        assert program.stdout.readline() == "interrupted\n"
        assert_ended(others)
        assert program.stdout.readline() == "[[(0, 1), (), 'dist_sync']]\n"
        again, others = started()
        assert again == nursery
        program.kill()
        assert_ended([nursery, *others])
    finally:
        program.kill()
        program.communicate()


def orphaned(store):
    store._barrier()
    if store.rank == 0:
        os.kill(os.getppid(), signal.SIGKILL)
    yield os.getpid()


def test_a_nursery_that_was_killed_is_replaced():
    # What it has started gets along without it.
    results = utils.launch(orphaned)
    assert_ended([pid for [pid] in results])
    launching.open_nursery({}).process.kill()
    with pytest.raises(RuntimeError, match="starts all others has ended. Try again"):
        utils.launch(ranks)
    assert utils.launch(ranks, workers=1) == [[(0, 1), (), "dist_sync"]]


# --- What can't be launched ---


@pytest.mark.parametrize(
    "counts",
    [{"workers": 0, "servers": 1}, {"workers": 2, "servers": 0}],
    ids=["no worker", "no server"],
)
def test_too_few(counts):
    with pytest.raises(ValueError) as caught:
        utils.launch(ranks, **counts)
    assert str(caught.value) == (
        "launch expects at least one worker and one server, but workers is "
        f"{counts['workers']} and servers is {counts['servers']}."
    )


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_that_is_taken(taken):
    with pytest.raises(ValueError) as caught:
        utils.launch(ranks, port=taken)
    assert str(caught.value) == (
        f"Port {taken} of 127.0.0.1 can't be used (Address already in use). Name "
        "another one, or leave it out, and a free one is taken."
    )


def test_a_port_that_is_taken_after_it_was_seen_to_be_free(taken, monkeypatch):
    monkeypatch.setattr(launching, "free_port", lambda port: taken)
    message, _ = fails(ranks)
    assert message == (
        "scheduler 0: Its port was taken by another program meanwhile: start again."
    )


@pytest.mark.parametrize("wrong", ["9091", "localhost", ":9091", "host:", "host:port"])
def test_a_scheduler_without_host_or_port(wrong):
    with pytest.raises(ValueError) as caught:
        utils.launch(ranks, scheduler=wrong)
    assert str(caught.value) == (
        f"scheduler has to be host:port, as in 10.0.0.1:9091, but it is {wrong!r}."
    )


def test_no_scheduler_there():
    place = f"127.0.0.1:{launching.free_port(0)}"
    message, results = fails(ranks, scheduler=place, limit=0.5)
    assert message == (
        f"No scheduler answered at {place} within 0.5 s (Connection refused). Start it "
        "there first, or correct the address."
    )
    assert results == []


# --- Several machines ---


@pytest.fixture
def scheduler(monkeypatch):
    """One that was started by hand, for two workers and two servers."""
    monkeypatch.setenv("DMLC_NUM_WORKER", "2")
    monkeypatch.setenv("DMLC_NUM_SERVER", "2")
    port = launching.free_port(0)
    environ = {
        "DMLC_ROLE": "scheduler",
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NODE_HOST": "127.0.0.1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "import utils"], cwd=ROOT, env=os.environ | environ
    )
    launching.wait_for_scheduler("127.0.0.1", port, PATIENCE)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


def adding(store):
    """What each yields is of both, on keys of both servers."""
    sums = [gather(store, [1 + store.rank] * n).sum() for n in range(1, 5)]
    yield store.rank, store.num_workers, sums
    yield len(members())
    if store.rank:
        # It still needs both servers when the other worker has nothing left to do.
        for n in range(1, 5):
            value = nd.zeros((2, n))
            store.pull(10**9 + n, out=value)
            yield value.sum().asscalar()


def test_two_machines_with_a_scheduler_that_someone_started(scheduler):
    options = {"workers": 1, "servers": 1, "scheduler": scheduler}
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(utils.launch, adding, **options) for _ in range(2)]
        [first], [second] = sorted(run.result() for run in runs)
    assert first == [(0, 2, [3, 6, 9, 12]), 4]
    assert second == [(1, 2, [3, 6, 9, 12]), 4, 3, 6, 9, 12]


def test_another_machine_that_does_not_come(scheduler):
    options = {"workers": 1, "servers": 1, "scheduler": scheduler, "limit": 1}
    message, _ = fails(ranks, **options)
    assert message == (
        "Not done after 1 s, so every process was ended. Worker 0 after 0 results is "
        "waiting for the other processes."
    )
