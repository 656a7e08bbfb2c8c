"""utils.data on small files of its own, served by a real server on 127.0.0.1.

No test reaches the internet or the user's cache: the fixture `course` puts
both, and the tables of files and checksums, into a temporary place.
"""

import gzip
import hashlib
import os
import resource
import runpy
import select
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from unittest import mock

import utils
import mxnet as mx
import numpy as np
import pytest
from utils import data, profile
from mxnet import nd, npx

from tests.support.loopback import Mirror, send

REAL = os.environ.get("BN_DATA_DIR")
NAMES = list(data.FILES)
IMAGES, LABELS = NAMES[:2]
HTML = b"<!DOCTYPE html><title>Sign in to this network</title>"


def idx(array):
    """`array` as an IDX file, the way that the format's definition says."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


class Course:
    """The small data set, its files and where utils.data looks for them."""

    def __init__(self, root, shapes):
        random = np.random.RandomState(1)
        self.arrays = {
            name: random.randint(0, 256 if len(shape) == 3 else 10, shape, "uint8")
            for name, shape in shapes.items()
        }
        self.plain = {name: idx(array) for name, array in self.arrays.items()}
        self.gz = {f"{name}.gz": gzip.compress(p) for name, p in self.plain.items()}
        self.sha256 = [hashlib.sha256(p).hexdigest() for p in self.plain.values()]
        self.cache, self.folder = root / "cache", root / "data"

    def fill(self, folder, files):
        (folder / "mnist").mkdir(parents=True)
        for name, content in files.items():
            (folder / "mnist" / name).write_bytes(content)

    def cached(self):
        return {path.name: path.read_bytes() for path in self.cache.glob("*/*")}


@pytest.fixture
def course(tmp_path, monkeypatch):
    shapes = dict(zip(NAMES, [(30, 28, 28), (30,), (12, 28, 28), (12,)], strict=True))
    course = Course(tmp_path, shapes)
    for name in "BN_DATA_DIR", "BN_STANDIN", "BN_PROFILE":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(data, "FILES", shapes)
    monkeypatch.setattr(data, "SHA256", {"mnist": course.sha256})
    monkeypatch.setattr(data, "CACHE", course.cache)
    monkeypatch.setattr(data, "MIRRORS", {"mnist": []})
    # Never over: a test that wants a timeout has it from the fixture `silence`.
    monkeypatch.setattr(data, "TIMEOUT", (60, 90))
    monkeypatch.setattr(data, "PAUSE", 0)
    data.tell_once.cache_clear()
    return course


@pytest.fixture
def in_folder(course, monkeypatch):
    """The course with its files in BN_DATA_DIR."""
    course.fill(course.folder, course.gz)
    monkeypatch.setenv("BN_DATA_DIR", str(course.folder))
    return course


@pytest.fixture
def mirrors(course, monkeypatch):
    """Two mirrors that serve the course's files well, until a test says otherwise."""
    both = [Mirror(dict(course.gz)), Mirror(dict(course.gz))]
    monkeypatch.setattr(data, "MIRRORS", {"mnist": [mirror.url for mirror in both]})
    yield both
    for mirror in both:
        mirror.close()


SILENT = set()  # the addresses of clients that will get nothing more


@pytest.fixture
def silence(monkeypatch):
    """A read that waits in vain times out at once, and not when its time is over."""
    plain = socket.SocketIO.readinto

    def readinto(stream, buffer):
        client = stream._sock
        while True:
            # Before the look at what has come: that is all, where this says so.
            silent = client.getsockname() in SILENT
            if select.select([client], [], [], 0.01)[0]:
                return plain(stream, buffer)
            if silent:
                assert client.gettimeout() == data.TIMEOUT[1]
                raise TimeoutError("timed out")

    monkeypatch.setattr(socket.SocketIO, "readinto", readinto)


@pytest.fixture
def numpy_mode():
    npx.set_np()
    yield
    npx.reset_np()


def labels_of(iterator):
    return [int(value) for _, label in iterator for value in label.asnumpy()]


# --- What the iterators give


def test_batches_are_float32_images_in_0_1_with_float32_labels(in_folder):
    train_iter, test_iter = utils.load_mnist(8)
    assert (len(train_iter), len(test_iter)) == (4, 2)
    assert train_iter.test is test_iter and test_iter.test is None
    sizes = [(X.shape, X.dtype, y.shape, y.dtype) for X, y in train_iter]
    expected = [((n, 1, 28, 28), np.float32, (n,), np.float32) for n in (8, 8, 8, 6)]
    assert sizes == expected
    X, y = next(iter(test_iter))
    assert type(X) is type(y) is nd.NDArray and X.context == mx.cpu()
    pictures, labels = (in_folder.arrays[name][:8] for name in NAMES[2:])
    assert (X.asnumpy()[:, 0] == pictures / np.float32(255)).all()
    assert (y.asnumpy() == labels).all()


def test_each_epoch_has_every_sample_once_with_its_own_label(in_folder):
    pairs = set(zip(in_folder.arrays[IMAGES][:, 0, 0], in_folder.arrays[LABELS]))  # noqa: B905
    train_iter, _ = utils.load_mnist(8)
    for _ in range(2):
        seen = [
            (round(float(x)), int(label))
            for X, y in train_iter
            for x, label in zip(X.asnumpy()[:, 0, 0, 0] * 255, y.asnumpy(), strict=True)
        ]
        assert len(seen) == 30 and set(seen) == pairs


def test_training_order_changes_by_epoch_and_repeats_by_run(in_folder):
    first, second = utils.load_mnist(8)[0], utils.load_mnist(8)[0]
    epochs = [labels_of(first) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    mx.random.seed(7)
    np.random.seed(7)
    assert [labels_of(second) for _ in range(3)] == epochs


def test_test_set_keeps_its_order(in_folder):
    _, test_iter = utils.load_mnist(5)
    expected = in_folder.arrays[NAMES[3]].tolist()
    assert labels_of(test_iter) == labels_of(test_iter) == expected


def test_two_iterations_at_once_do_not_interfere(in_folder):
    alone = utils.load_mnist(8)[0]
    epochs = [labels_of(alone) for _ in range(2)]
    together = utils.load_mnist(8)[0]
    outer, inner = [], []
    for i, (_, label) in enumerate(together):
        outer += label.asnumpy().tolist()
        if i == 1:
            inner = labels_of(together)
    assert [outer, inner] == epochs


def test_a_batch_stays_as_it_was_and_is_the_callers_own(in_folder):
    _, test_iter = utils.load_mnist(4)
    batches = list(test_iter)
    copies = [X.asnumpy().copy() for X, _ in batches]
    for X, y in test_iter:
        X[:] = -1
        y[:] = -1
    assert all((X.asnumpy() == c).all() for (X, _), c in zip(batches, copies))  # noqa: B905
    assert min(labels_of(test_iter)) >= 0


def test_numpy_mode_gives_numpy_arrays_of_the_same_numbers(in_folder, numpy_mode):
    train_iter, test_iter = utils.load_mnist(8)
    X, y = next(iter(train_iter))
    assert type(X) is type(y) is mx.np.ndarray
    assert (X.shape, X.dtype, y.shape, y.dtype) == (
        (8, 1, 28, 28),
        np.float32,
        (8,),
        np.float32,
    )
    assert labels_of(test_iter) == in_folder.arrays[NAMES[3]].tolist()
    npx.reset_np()  # the same object, in the classic mode again
    assert type(next(iter(train_iter))[0]) is nd.NDArray


@pytest.mark.parametrize("size", [0, -1, 31, 2.5, "8", None])
def test_a_batch_size_that_makes_no_sense_is_named(in_folder, size):
    with pytest.raises(ValueError) as caught:
        utils.load_mnist(size)
    assert str(caught.value) == (
        "batch_size has to be a whole number from 1 to 30, the size of the training "
        f"set, but it is {size!r}; 64 and 256 are usual."
    )


def test_one_batch_of_all_and_a_numpy_integer_are_fine(in_folder):
    train_iter, test_iter = utils.load_mnist(np.int64(30))
    assert [X.shape[0] for X, _ in train_iter] == [30]
    assert [X.shape[0] for X, _ in test_iter] == [12]


# --- The short profile


def made(count, size, shuffle):
    """`Batches` of pictures that tell their place in the data set, as labels do."""
    labels = np.arange(count).astype(np.uint8)
    images = np.broadcast_to(labels[:, None, None], (count, 28, 28))
    return data.Batches(images, labels, size, shuffle)


def content(batches):
    return [(X.asnumpy().tobytes(), y.asnumpy().tobytes()) for X, y in batches]


def test_a_short_pass_has_the_first_batches_of_the_full_one(monkeypatch):
    monkeypatch.delenv("BN_PROFILE", raising=False)
    full = made(99, 3, shuffle=True)
    passes = [content(full) for _ in range(2)]
    assert len(full) == len(passes[0]) == 33 and passes[0] != passes[1]
    monkeypatch.setenv("BN_PROFILE", "short")
    short = made(99, 3, shuffle=True)
    assert len(short) == profile.BATCHES == 32
    assert [content(short) for _ in range(2)] == [batches[:32] for batches in passes]


def test_a_short_test_set_has_the_first_pictures_of_the_full_one(monkeypatch):
    monkeypatch.delenv("BN_PROFILE", raising=False)
    full = made(2003, 16, shuffle=False)
    assert len(full) == 126 and len(labels_of(full)) == 2003
    monkeypatch.setenv("BN_PROFILE", "short")
    short = made(2003, 16, shuffle=False)
    assert len(short) == profile.PICTURES / 16 == 125
    assert content(short) == content(full)[:125]


def test_a_small_data_set_is_complete_in_the_short_profile(in_folder, monkeypatch):
    monkeypatch.setenv("BN_PROFILE", "short")
    train_iter, test_iter = utils.load_mnist(8)
    assert sorted(labels_of(train_iter)) == sorted(in_folder.arrays[LABELS])
    assert labels_of(test_iter) == in_folder.arrays[NAMES[3]].tolist()


def test_an_unknown_profile_is_named(in_folder, monkeypatch):
    monkeypatch.setenv("BN_PROFILE", "fast")
    with pytest.raises(ValueError) as caught:
        utils.load_mnist(8)
    assert str(caught.value) == (
        "BN_PROFILE has to be short or full, but it is 'fast'. Correct it, or unset "
        "it for full training."
    )


# --- Where the files come from


def test_folder_comes_before_cache_and_cache_before_mirror(
    course, mirrors, monkeypatch
):
    assert data.find("mnist").where == mirrors[0].url
    assert len(mirrors[0].requests) == 4 and not mirrors[1].requests
    assert course.cached() == course.gz
    assert data.find("mnist").where == str(course.cache / "mnist")
    course.fill(course.folder, course.plain)
    monkeypatch.setenv("BN_DATA_DIR", str(course.folder))
    assert data.find("mnist").where == str(course.folder / "mnist")
    assert len(mirrors[0].requests) == 4 and not mirrors[1].requests


def test_fashion_mnist_has_its_own_folder(in_folder, monkeypatch):
    (in_folder.folder / "mnist").rename(in_folder.folder / "fashion-mnist")
    monkeypatch.setattr(data, "SHA256", {"fashion-mnist": in_folder.sha256})
    _, test_iter = utils.load_data_fashion_mnist(8)
    assert labels_of(test_iter) == in_folder.arrays[NAMES[3]].tolist()


def test_a_file_that_the_folder_lacks_comes_from_elsewhere(in_folder, mirrors):
    (in_folder.folder / "mnist" / f"{LABELS}.gz").unlink()
    where = data.find("mnist").where
    assert where == f"{in_folder.folder / 'mnist'}, {mirrors[0].url}"
    assert mirrors[0].requests == [f"{LABELS}.gz"]


def test_a_mirror_may_send_the_files_unpacked_or_packed_anew(course, mirrors):
    mirrors[0].answers[f"{IMAGES}.gz"] = course.plain[IMAGES]
    mirrors[0].answers[f"{LABELS}.gz"] = gzip.compress(course.plain[LABELS], 1)
    (images, labels), _, where = data.find("mnist")
    assert where == mirrors[0].url
    assert (images == course.arrays[IMAGES]).all()
    assert (labels == course.arrays[LABELS]).all()
    assert data.find("mnist").where == str(course.cache / "mnist")


def test_progress_goes_to_stderr_and_nothing_to_stdout(course, mirrors, capsys):
    utils.load_mnist(8)
    out, err = capsys.readouterr()
    assert out == "" and f"{IMAGES}.gz" in err


def test_a_damaged_file_in_the_cache_is_fetched_again(course, mirrors):
    course.fill(
        course.cache, course.gz | {f"{IMAGES}.gz": course.gz[f"{IMAGES}.gz"][:50]}
    )
    assert data.find("mnist").where == f"{mirrors[0].url}, {course.cache / 'mnist'}"
    assert course.cached() == course.gz


@pytest.mark.parametrize("obstacle", ["mnist", ""], ids=["folder", "cache"])
def test_a_cache_that_cannot_be_written_costs_one_line(
    course, mirrors, capsys, obstacle
):
    # Not by permissions, which do not stop root: a file where a folder should be.
    path = course.cache / obstacle
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    (images, _), _, where = data.find("mnist")
    assert where == mirrors[0].url and (images == course.arrays[IMAGES]).all()
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "Not kept" in line
    ]
    assert len(lines) == 1
    assert f"{course.cache / 'mnist'} can't be written" in lines[0]
    assert path.read_text() == "in the way"


def test_a_write_that_fails_at_the_end_leaves_nothing_behind(course, mirrors):
    in_the_way = course.cache / "mnist" / f"{IMAGES}.gz"
    in_the_way.mkdir(parents=True)  # a folder can't be replaced by a file
    assert data.find("mnist").where == mirrors[0].url
    assert {path.name for path in course.cache.glob("*/*")} == set(course.gz)
    assert in_the_way.is_dir()


def test_a_full_disk_leaves_no_partial_file(course, mirrors, capsys):
    soft, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, most))  # as if full after 4 kB
    try:
        (images, _), _, where = data.find("mnist")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, most))
    assert where == mirrors[0].url and (images == course.arrays[IMAGES]).all()
    small = {name: gz for name, gz in course.gz.items() if len(gz) < 4000}
    assert course.cached() == small and len(small) == 2
    assert "can't be written (File too large)" in capsys.readouterr().err


def test_two_processes_may_download_at_once(course, mirrors, monkeypatch):
    # The mirror answers for the first file only when both have asked for it.
    both = threading.Barrier(2, timeout=60)

    def when_both_ask(handler):
        both.wait()
        send(handler, course.gz[f"{IMAGES}.gz"], len(course.gz[f"{IMAGES}.gz"]))

    mirrors[0].answers[f"{IMAGES}.gz"] = when_both_ask
    script = (
        "import ast, pathlib, sys; from utils import data\n"
        "vars(data).update(ast.literal_eval(sys.argv[1]))\n"
        "data.CACHE = pathlib.Path(data.CACHE)\n"
        "print(data.find('mnist').where)\n"
        "print(data.find('mnist').where)\n"
    )
    names = "FILES", "SHA256", "MIRRORS", "TIMEOUT"
    values = {name: getattr(data, name) for name in names}
    values = repr(values | {"CACHE": str(course.cache)})
    run = [sys.executable, "-c", script, values]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(run, **pipes) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    for out, err in outputs:
        first, second = out.splitlines()
        assert mirrors[0].url in first and second == str(course.cache / "mnist")
        assert "Not kept" not in err
    assert course.cached() == course.gz


# --- Faults

TWO_DIGITS = np.zeros((2, 28, 28), np.uint8)
FAULTS = {
    # name: (file, its content from the good one, the words that say so)
    "truncated gz": (
        IMAGES,
        lambda good: gzip.compress(good)[:-20],
        "truncated gz file",
    ),
    "damaged gz": (
        IMAGES,
        lambda good: gzip.compress(good)[:10] + b"\xff" * 40,
        "damaged gz file",
    ),
    "checksum": (
        IMAGES,
        lambda good: good[:-1] + bytes([good[-1] ^ 1]),
        "wrong checksum, SHA-256",
    ),
    "magic number": (
        IMAGES,
        lambda good: b"\0\0\x09" + good[3:],
        "wrong magic number, 00 00 08 03 was expected but the file starts with "
        "00 00 09 03",
    ),
    "labels for images": (
        LABELS,
        lambda good: idx(TWO_DIGITS),
        "wrong magic number, 00 00 08 01 was expected but the file starts with "
        "00 00 08 03",
    ),
    "too few labels": (
        LABELS,
        lambda good: idx(np.zeros(29, np.uint8)),
        "wrong number or size, (30,) was expected (a label for each image) but the "
        "header says (29,)",
    ),
    "too few images": (
        IMAGES,
        lambda good: idx(TWO_DIGITS),
        "wrong number or size, (30, 28, 28) was expected (a label for each image) "
        "but the header says (2, 28, 28)",
    ),
    "garbage after gz": (
        IMAGES,
        lambda good: gzip.compress(good) + b"garbage",
        "damaged gz file (Not a gzipped file (b'ga'))",
    ),
    "wrong crc": (
        IMAGES,
        lambda good: gzip.compress(good)[:-8] + bytes(4) + gzip.compress(good)[-4:],
        "damaged gz file (CRC check failed",
    ),
    "cut plain": (
        IMAGES,
        lambda good: good[:100],
        "wrong length, 23536 bytes were expected but there are 100",
    ),
    "html": (
        IMAGES,
        lambda good: HTML,
        "the file starts with 3c 21 44 4f and may be a web page",
    ),
    "empty": (LABELS, lambda good: b"", "but the file starts with nothing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_in_the_folder_is_named(in_folder, mirrors, fault):
    name, damage, words = FAULTS[fault]
    path = in_folder.folder / "mnist" / f"{name}.gz"
    path.write_bytes(damage(in_folder.plain[name]))
    with pytest.raises(ValueError) as caught:
        utils.load_mnist(8)
    message = str(caught.value)
    assert message.startswith(f"{path} can't be used: ") and words in message
    assert message.endswith(
        "Replace that file by a good copy, or unset BN_DATA_DIR to use the cache and "
        "the mirrors."
    )
    assert "\n" not in message
    assert not mirrors[0].requests  # no silent way round it


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_on_a_mirror_makes_way_for_the_next(course, mirrors, fault):
    name, damage, words = FAULTS[fault]
    mirrors[0].answers[f"{name}.gz"] = damage(course.plain[name])
    utils.load_mnist(8)
    assert mirrors[1].requests == [f"{name}.gz"]
    assert course.cached() == course.gz


def cut(handler):
    send(handler, b"\x1f\x8b" + bytes(100), 1000)


def hang(handler):
    SILENT.add(handler.client_address)
    handler.rfile.read()  # until the client hangs up
    SILENT.discard(handler.client_address)


def stall(handler):
    cut(handler)
    hang(handler)


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize(
    ("answer", "requests", "words"),
    [
        (503, 2, "HTTP 503 Service Unavailable"),
        (404, 1, "HTTP 404 Not Found"),
        (hang, 2, "no answer in time (60 s to connect, 90 s then)"),
        (stall, 1, "no answer in time"),
        (cut, 2, "IncompleteRead(102 bytes read, 898 more expected)"),
        (HTML, 1, "may be a web page"),
    ],
    ids=["503", "404", "hangs", "stalls", "cut off", "html"],
)
class TestMirror:
    def test_that_fails_makes_way_for_the_next(
        self, course, mirrors, answer, requests, words
    ):
        mirrors[0].answers = dict.fromkeys(course.gz, answer)
        (images, _), _, where = data.find("mnist")
        assert where == mirrors[1].url and (images == course.arrays[IMAGES]).all()
        assert mirrors[0].requests.count(f"{IMAGES}.gz") == requests
        assert course.cached() == course.gz

    def test_is_named_with_its_reason_where_nothing_works(
        self, course, mirrors, answer, requests, words
    ):
        for mirror in mirrors:
            mirror.answers = dict.fromkeys(course.gz, answer)
        with pytest.raises(FileNotFoundError) as caught:
            utils.load_mnist(8)
        message = str(caught.value)
        for mirror in mirrors:
            reason = message.partition(f"{mirror.url}{IMAGES}.gz: ")[2]
            assert words in reason.partition("; http")[0]
        assert course.cached() == {}


def test_an_answer_of_503_is_asked_once_more(course, mirrors):
    name = f"{IMAGES}.gz"
    mirrors[0].answers[name] = [503, course.gz[name]]
    assert data.find("mnist").where == mirrors[0].url
    assert not mirrors[1].requests


def test_without_a_network_the_error_says_what_was_tried(course, monkeypatch):
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        nameless = "http://mirror.invalid/"  # a name that is reserved for not resolving
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setattr(data, "MIRRORS", {"mnist": [closed, nameless]})
        attempts = mock.Mock(wraps=data.requests.get)
        monkeypatch.setattr(data.requests, "get", attempts)
        course.folder.mkdir()
        monkeypatch.setenv("BN_DATA_DIR", str(course.folder))
        with pytest.raises(FileNotFoundError) as caught:
            utils.load_mnist(8)
    assert attempts.call_count == 2  # one for each mirror: another would be in vain
    message, missing = str(caught.value), "No such file or directory"
    start, _, refused = message.partition(
        f"; {closed}{IMAGES}.gz: Connection refused; "
    )
    assert start == (
        f"No usable copy of mnist/{IMAGES} was found in the folder of BN_DATA_DIR, in "
        f"the cache or on a mirror. Tried: {course.folder}/mnist/{IMAGES}: {missing}; "
        f"{course.folder}/mnist/{IMAGES}.gz: {missing}; "
        f"{course.cache}/mnist/{IMAGES}.gz: {missing}"
    )
    assert refused.startswith(f"{nameless}{IMAGES}.gz: ")
    assert message.endswith(
        "Connect to the network and try again, or set BN_DATA_DIR to a folder that "
        "has the files in mnist/ and fashion-mnist/ (gz or unpacked), or set "
        "BN_STANDIN=digits to run everything on scikit-learn's small digits."
    )
    assert "\n" not in message and "0x" not in message
    assert course.cached() == {}


# --- More than there can be

HUGE = 2**26  # bytes, where a file of the course has 23,536 at the most
TOO_MUCH = {
    # name: (content, the words that say so)
    "gz bomb": (
        lambda good: gzip.compress(good[:16] + bytes(HUGE // 4)),
        "wrong length, 23536 bytes were expected but there are more",
    ),
    "long gz": (
        lambda good: gzip.compress(good) + bytes(HUGE),
        "wrong length, a gz file of at most 26031 bytes was expected but there are "
        "more",
    ),
    "long plain": (
        lambda good: good + bytes(HUGE),
        "wrong length, 23536 bytes were expected but there are more",
    ),
}


def peak(call):
    """The most memory, in bytes, that Python's objects took during the call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_file_that_is_too_large_is_not_read_whole(in_folder, kind):
    enlarge, words = TOO_MUCH[kind]
    path = in_folder.folder / "mnist" / f"{IMAGES}.gz"
    path.write_bytes(enlarge(in_folder.plain[IMAGES]))

    def load():
        with pytest.raises(ValueError) as caught:
            utils.load_mnist(8)
        assert str(caught.value) == (
            f"{path} can't be used: {words}. Replace that file by a good copy, or "
            "unset BN_DATA_DIR to use the cache and the mirrors."
        )

    assert peak(load) < 2**20


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_cached_file_that_is_too_large_is_fetched_again(course, mirrors, kind):
    name = f"{IMAGES}.gz"
    large = TOO_MUCH[kind][0](course.plain[IMAGES])
    course.fill(course.cache, course.gz | {name: large})
    assert peak(lambda: data.find("mnist")) < 2**20
    assert course.cached() == course.gz


def flood(start, redirect=False):
    """A handler that sends HUGE bytes after `start`, and the events of its end.

    The events: that it has ended, and that it was cut off before.
    """
    ended, cut_off = threading.Event(), threading.Event()

    def answer(handler):
        handler.send_response(302 if redirect else 200)
        if redirect:
            handler.send_header("Location", "elsewhere")
        handler.end_headers()
        try:
            handler.wfile.write(start)
            for _ in range(HUGE // 2**16):
                handler.wfile.write(bytes(2**16))
        except ConnectionError:
            cut_off.set()
        ended.set()

    return answer, ended, cut_off


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\x1f\x8b\x08", TOO_MUCH["long gz"][1]),
        (idx(np.zeros((30, 28, 28), np.uint8)), TOO_MUCH["long plain"][1]),
        (
            HTML,
            "wrong magic number, 00 00 08 03 was expected but the file starts with ",
        ),
    ],
    ids=["gz", "plain", "html"],
)
def test_an_answer_without_an_end_is_cut_off(
    course, mirrors, start, words, monkeypatch
):
    answer, ended, cut_off = flood(start)
    mirrors[0].answers[f"{IMAGES}.gz"] = answer
    monkeypatch.setattr(data, "MIRRORS", {"mnist": [mirrors[0].url]})

    def load():
        with pytest.raises(FileNotFoundError) as caught:
            utils.load_mnist(8)
        assert f"{mirrors[0].url}{IMAGES}.gz: {words}" in str(caught.value)

    assert peak(load) < 2**20
    assert ended.wait(60) and cut_off.is_set()
    assert mirrors[0].requests == [f"{IMAGES}.gz"]
    assert course.cached() == {}


def test_a_redirect_is_followed_but_its_text_is_not_read(course, mirrors):
    answer, ended, cut_off = flood(b"Moved. ", redirect=True)
    mirrors[0].answers[f"{IMAGES}.gz"] = answer
    mirrors[0].answers["elsewhere"] = course.gz[f"{IMAGES}.gz"]
    assert data.find("mnist").where == mirrors[0].url
    assert ended.wait(60) and cut_off.is_set()
    assert course.cached() == course.gz


def test_a_mirror_that_calls_gz_an_encoding_is_understood(course, mirrors):
    """Were it decoded on the way, it would be out of bounds before it is counted."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "x-gzip")
        handler.end_headers()
        handler.wfile.write(course.gz[f"{IMAGES}.gz"])

    mirrors[0].answers[f"{IMAGES}.gz"] = answer
    assert data.find("mnist").where == mirrors[0].url
    assert course.cached() == course.gz


def test_a_gz_file_that_is_only_stored_is_within_bounds(course, mirrors):
    stored = gzip.compress(course.plain[IMAGES], 0)
    assert len(stored) > len(course.plain[IMAGES])
    mirrors[0].answers[f"{IMAGES}.gz"] = stored
    assert data.find("mnist").where == mirrors[0].url


def test_a_gz_file_of_several_members_is_read_to_its_end(course, mirrors):
    plain = course.plain[IMAGES]
    parts = gzip.compress(plain[:9000]) + gzip.compress(plain[9000:]) + bytes(100)
    mirrors[0].answers[f"{IMAGES}.gz"] = parts
    assert data.find("mnist").where == mirrors[0].url


def test_a_folder_that_is_not_there_is_named(course, mirrors, monkeypatch):
    monkeypatch.setenv("BN_DATA_DIR", str(course.folder))
    with pytest.raises(ValueError) as caught:
        utils.load_mnist(8)
    assert str(caught.value) == (
        "BN_DATA_DIR has to name a folder with mnist/ and fashion-mnist/ in it, but "
        f"{course.folder} is not a folder; correct it, or unset it to use the cache "
        "and the mirrors."
    )


# --- The stand-in


def test_the_stand_in_looks_like_the_real_data(course, monkeypatch, capsys):
    monkeypatch.setenv("BN_STANDIN", "digits")
    for load in utils.load_mnist, utils.load_data_fashion_mnist, utils.load_mnist:
        train_iter, test_iter = load(64)
        X, y = next(iter(train_iter))
        assert (X.shape, X.dtype, y.dtype) == ((64, 1, 28, 28), np.float32, np.float32)
        assert (X.min().asscalar(), X.max().asscalar()) == (0, 1)
        assert (len(train_iter), len(test_iter)) == (24, 5)
    notice = "Stand-in data: scikit-learn's 8x8 digits, scaled to 28x28, replace {} "
    assert capsys.readouterr().err.splitlines() == [
        notice.format("mnist") + "(BN_STANDIN=digits).",
        notice.format("fashion-mnist") + "(BN_STANDIN=digits).",
    ]


def test_the_stand_ins_digits_can_still_be_told_apart(course, monkeypatch):
    monkeypatch.setenv("BN_STANDIN", "digits")
    (X, y), (test_X, test_y), _ = data.find("mnist")
    assert X.dtype == y.dtype == np.uint8 and len(X) + len(test_X) == 1797
    # Each test picture gets the class whose mean training picture is nearest.
    means = np.stack([X[y == digit].mean(axis=0) for digit in range(10)])
    distances = ((test_X[:, None] - means) ** 2).sum(axis=(2, 3))
    assert (distances.argmin(axis=1) == test_y).mean() > 0.8


def test_an_unknown_stand_in_is_named(course, monkeypatch):
    monkeypatch.setenv("BN_STANDIN", "letters")
    with pytest.raises(ValueError) as caught:
        utils.load_mnist(8)
    assert str(caught.value) == (
        "BN_STANDIN has to be 'digits', the only stand-in, but it is 'letters'; "
        "correct it, or unset it to use the real data."
    )


# --- python -m utils


def python_m_utils():
    """The exit status; what was printed is left to capsys."""
    try:
        runpy.run_module("utils", run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code
    return 0


def test_python_m_utils_tells_where_the_data_are(in_folder, capsys):
    assert python_m_utils() == 0
    assert capsys.readouterr().out == f"mnist: {in_folder.folder / 'mnist'}\n"


def test_python_m_utils_tells_missing_data_from_damaged_ones(in_folder, capsys):
    path = in_folder.folder / "mnist" / f"{LABELS}.gz"
    path.write_bytes(HTML)
    assert python_m_utils() == 1
    assert f"{path} can't be used" in capsys.readouterr().err
    path.unlink()
    assert python_m_utils() == 3
    assert f"No usable copy of mnist/{LABELS}" in capsys.readouterr().err


# --- The real data


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_the_real_data(dataset, monkeypatch):
    for name in "BN_STANDIN", "BN_PROFILE":
        monkeypatch.delenv(name, raising=False)
    (images, labels), (test_images, test_labels), where = data.find(dataset)
    if REAL:
        assert where == str(Path(REAL).absolute() / dataset)
    assert (images.shape, test_images.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    # The counts and the mean brightness that the publishers' files are known for.
    counts, test_counts = np.bincount(labels), np.bincount(test_labels)
    if dataset == "mnist":
        assert labels[:5].tolist() == [5, 0, 4, 1, 9]
        assert (counts[1], counts[5], test_counts[1]) == (6742, 5421, 1135)
        assert images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    else:
        assert (counts == 6000).all() and (test_counts == 1000).all()
        assert images.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    load = {"mnist": utils.load_mnist, "fashion-mnist": utils.load_data_fashion_mnist}
    train_iter, test_iter = load[dataset](64)
    assert (len(train_iter), len(test_iter)) == (938, 157)
    assert sorted(labels_of(train_iter)) == sorted(labels.tolist())
