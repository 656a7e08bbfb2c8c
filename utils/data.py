"""MNIST and Fashion-MNIST in memory, from a folder, the cache or a mirror.

Each file is looked for in three places, and the first that has it wins:

1. the folder that BN_DATA_DIR names, with `mnist/` and `fashion-mnist/` in it,
   the files as published (.gz) or unpacked;
2. the user's cache;
3. the mirrors, one after the other; what they send is kept in the cache.

Wherever a file comes from, no more of it is read or decompressed than its known
size allows, and the SHA-256 of its decompressed content is checked.
BN_STANDIN=digits puts scikit-learn's bundled digits in place of both sets, for
a machine with neither data nor network.

The files: http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes, Burges) and
https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul, Vollgraf 2017).
"""

import functools
import gzip
import hashlib
import io
import math
import operator
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
import requests
from utils import profile, variation
from mxnet import cpu, nd, util
from tqdm import tqdm

CACHE = Path(pooch.os_cache("batch-norm-course"))
MIRRORS = {
    "mnist": [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    # The publisher's site has no https; the checksum makes up for that.
    "fashion-mnist": [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ],
}
Arrays = tuple[np.ndarray, np.ndarray]  # images and labels
TIMEOUT = (4, 15)  # seconds: to connect, and without any byte after that
PAUSE = 1  # seconds before the second attempt at a mirror
INTERRUPTED = requests.ReadTimeout, requests.exceptions.ChunkedEncodingError

FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
# Of these files, in this order and unpacked: a mirror may compress them anew.
SHA256 = {
    "mnist": [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ],
    "fashion-mnist": [
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ],
}


def load_mnist(batch_size: int) -> tuple["Batches", "Batches"]:
    """MNIST as (train_iter, test_iter): 60,000 and 10,000 handwritten digits.

    Both are `Batches`: they yield (data, label), data float32 of shape
    (batch, 1, 28, 28) in [0, 1], label float32 of shape (batch,) with the
    classes 0 … 9. The training set comes in a new order in each epoch.
    Raises ValueError where `batch_size` is not a whole number from 1 to the
    size of the training set, or a file in BN_DATA_DIR is damaged, and
    FileNotFoundError where neither folder, cache nor mirror has the data.
    """
    return _iterators("mnist", batch_size)


def load_data_fashion_mnist(batch_size: int) -> tuple["Batches", "Batches"]:
    """Fashion-MNIST as (train_iter, test_iter): 10 kinds of clothing.

    Sizes, shapes, types and errors are those of `load_mnist`.
    """
    return _iterators("fashion-mnist", batch_size)


class Batches:
    """A data set in memory that can be iterated over again and again.

    images: uint8, (count, 28, 28); labels: uint8, (count,).
    Yields (data, label) as `load_mnist` says, the last batch smaller where
    `batch_size` does not divide `count`; `len()` is the number of batches.
    The arrays are `mx.np` ones in NumPy mode (`npx.set_np()`), else `mx.nd`
    ones, on the CPU, and they are the caller's own.

    With `shuffle` the order is drawn anew by each iteration, from a generator
    that is seeded with 0 when the object is made: the first epoch has the same
    order in every run, so has the second, and no seed but BN_SEED changes that.
    In the short profile (`utils.profile`) a shuffled set ends after its first
    batches, and any other set has its first pictures only.

    test: of a training set, the `Batches` of its test set; else None.
    """

    test: "Batches | None" = None

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int, shuffle: bool
    ) -> None:
        if profile.is_short() and not shuffle:
            images, labels = images[: profile.PICTURES], labels[: profile.PICTURES]
        # Scaled batch by batch: in float32, 60,000 images would be 188 MB.
        self._images = nd.array(images[:, None], dtype="uint8", ctx=cpu())
        self._labels = nd.array(labels, dtype="float32", ctx=cpu())
        self._batch_size = batch_size
        # RandomState and not default_rng: NumPy keeps its streams forever.
        order = np.random.RandomState(variation.seed())
        self._random = order if shuffle else None
        self._rounded = variation.rounding() if shuffle else lambda pixels: pixels

    def __len__(self) -> int:
        batches = -(-len(self._labels) // self._batch_size)
        short = self._random and profile.is_short()
        return min(batches, profile.BATCHES) if short else batches

    def __iter__(self) -> Iterator[tuple[nd.NDArray, nd.NDArray]]:
        count = len(self._labels)
        order = self._random.permutation(count) if self._random else np.arange(count)
        order = nd.array(order, dtype="int32", ctx=cpu())
        # A gather for each batch is the fastest of seven ways that were measured,
        # and gives arrays that share no memory with the data set.
        for start in range(0, len(self) * self._batch_size, self._batch_size):
            rows = order[start : start + self._batch_size]
            pixels = nd.take(self._images, rows).astype("float32")
            pixels /= 255
            batch = self._rounded(pixels), nd.take(self._labels, rows)
            if util.is_np_array():
                batch = tuple(array.as_np_ndarray() for array in batch)
            yield batch


def _iterators(dataset, batch_size):
    train, test, _ = find(dataset)
    count = len(train[1])
    try:
        size = operator.index(batch_size)
    except TypeError:
        size = 0
    if not 1 <= size <= count:
        raise ValueError(
            f"batch_size has to be a whole number from 1 to {count}, the size of "
            f"the training set, but it is {batch_size!r}; 64 and 256 are usual."
        )
    train_iter = Batches(*train, size, shuffle=True)
    train_iter.test = Batches(*test, size, shuffle=False)
    return train_iter, train_iter.test


class Found(NamedTuple):
    """A data set, as uint8 arrays of shapes (count, 28, 28) and (count,).

    train, test: images and labels. where: the places that it comes from, as text.
    """

    train: Arrays
    test: Arrays
    where: str


def find(dataset: str) -> Found:
    """The data set "mnist" or "fashion-mnist". Raises what `load_mnist` raises."""
    standin = os.environ.get("BN_STANDIN")
    if standin:
        if standin != "digits":
            raise ValueError(
                f"BN_STANDIN has to be 'digits', the only stand-in, but it is "
                f"{standin!r}; correct it, or unset it to use the real data."
            )
        tell_once(
            f"Stand-in data: scikit-learn's 8x8 digits, scaled to 28x28, replace "
            f"{dataset} (BN_STANDIN=digits)."
        )
        return Found(*_digits(), "scikit-learn's digits (BN_STANDIN=digits)")
    found = [
        _find_file(dataset, name, shape, sha256)
        for (name, shape), sha256 in zip(FILES.items(), SHA256[dataset], strict=True)
    ]
    arrays, places = zip(*found, strict=True)
    return Found(arrays[:2], arrays[2:], ", ".join(dict.fromkeys(places)))


def _find_file(dataset, name, shape, sha256):
    """The content of a file, as an array of `shape`, and the place that had it."""
    tried = []
    root = os.environ.get("BN_DATA_DIR")
    if root:
        folder = Path(root).expanduser().absolute()
        if not folder.is_dir():
            raise ValueError(
                f"BN_DATA_DIR has to name a folder with mnist/ and fashion-mnist/ in "
                f"it, but {folder} is not a folder; correct it, or unset it to use "
                "the cache and the mirrors."
            )
        for path in folder / dataset / name, folder / dataset / f"{name}.gz":
            try:
                return _parse(_read(path, shape), shape, sha256), str(path.parent)
            except FileNotFoundError as error:
                tried.append(f"{path}: {_reason(error)}")
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"{path} can't be used: {_reason(error)}. Replace that file by a "
                    "good copy, or unset BN_DATA_DIR to use the cache and the mirrors."
                ) from None
    else:
        tried.append("BN_DATA_DIR: not set")
    cached = CACHE / dataset / f"{name}.gz"
    try:
        return _parse(_read(cached, shape), shape, sha256), str(cached.parent)
    except (OSError, ValueError) as error:  # a damaged file is fetched again
        tried.append(f"{cached}: {_reason(error)}")
    for mirror in MIRRORS[dataset]:
        url = f"{mirror}{name}.gz"
        try:
            raw = _download(url, shape)
            array = _parse(raw, shape, sha256)
        except (requests.RequestException, ValueError) as error:
            tried.append(f"{url}: {_reason(error)}")
        else:
            _keep(raw, cached)
            return array, mirror
    raise FileNotFoundError(
        f"No usable copy of {dataset}/{name} was found in the folder of BN_DATA_DIR, "
        f"in the cache or on a mirror. Tried: {'; '.join(tried)}. Connect to the "
        "network and try again, or set BN_DATA_DIR to a folder that has the files "
        "in mnist/ and fashion-mnist/ (gz or unpacked), or set BN_STANDIN=digits to "
        "run everything on scikit-learn's small digits."
    )


def _size(shape):
    """How many bytes an IDX file of `shape` has, unpacked."""
    return 4 + 4 * len(shape) + math.prod(shape)


def _most(shape):
    """How many bytes an IDX file of `shape` can have, packed or not."""
    # gz stores what it can't shrink, at a cost of a few bytes a block.
    return _size(shape) + _size(shape) // 16 + 1024


def _read(path, shape):
    """The file's content, of a larger one only one byte more than it can have."""
    with open(path, "rb") as file:
        return file.read(_most(shape) + 1)


# A notebook loads a set often. The array can't be written to, so that all may have it.
@functools.lru_cache(maxsize=8)
def _parse(raw, shape, sha256):
    """The array in `raw`, an IDX file of `shape`, gz or not; ValueError if damaged."""
    size = _size(shape)
    if raw[:2] == b"\x1f\x8b":
        if len(raw) > _most(shape):
            raise ValueError(
                f"wrong length, a gz file of at most {_most(shape)} bytes was expected "
                "but there are more"
            )
        try:
            # One byte more than expected shows that there are too many.
            raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(size + 1)
        except EOFError:
            raise ValueError(f"truncated gz file of {len(raw)} bytes") from None
        except (OSError, zlib.error) as error:
            raise ValueError(f"damaged gz file ({error})") from None
    magic = bytes([0, 0, 8, len(shape)])  # 8: unsigned bytes
    if raw[:4] != magic:
        raise ValueError(
            f"wrong magic number, {magic.hex(' ')} was expected but the file starts "
            f"with {raw[:4].hex(' ') or 'nothing'}"
            + (" and may be a web page" if raw.lstrip()[:1] == b"<" else "")
        )
    start = 4 + 4 * len(shape)
    found = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    if found != shape:
        raise ValueError(
            f"wrong number or size, {shape} was expected (a label for each image) "
            f"but the header says {found}"
        )
    if len(raw) != size:
        raise ValueError(
            f"wrong length, {size} bytes were expected but there are "
            f"{'more' if len(raw) > size else len(raw)}"
        )
    digest = hashlib.sha256(raw).hexdigest()
    if digest != sha256:
        raise ValueError(f"wrong checksum, SHA-256 {sha256} was expected, not {digest}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _download(url, shape):
    """What `url` sends, with one more attempt where the server answered badly."""
    for last in False, True:
        try:
            return _fetch(url, _most(shape))
        except requests.RequestException as error:
            # No name, no route, a refused connection or a 404 will not go away.
            busy = error.response is not None and error.response.status_code >= 500
            if last or not (busy or isinstance(error, INTERRUPTED)):
                raise
            time.sleep(PAUSE)


def _fetch(url, most):
    """What `url` sends; reading ends with the chunk that goes beyond `most` bytes."""
    received = bytearray()
    with requests.get(
        url,
        timeout=TIMEOUT,
        stream=True,
        headers={"Accept-Encoding": "identity"},
        hooks={"response": _leave_unread},
    ) as response:
        response.raise_for_status()
        length = response.headers.get("Content-Length", "")
        with tqdm(
            desc=url.rpartition("/")[-1],
            total=int(length) if length.isdecimal() else None,
            unit="B",
            unit_scale=True,
            leave=False,
        ) as bar:
            for chunk in response.iter_content(2**16):
                received += chunk
                bar.update(len(chunk))
                if len(received) > most:
                    break
    return bytes(received)


def _leave_unread(response, **_):
    """Keep requests from what has no bound: decoding, and the body of a redirect."""
    # Some servers call a gz file an encoding; it is decompressed in _parse.
    response.raw.headers.pop("Content-Encoding", None)
    if response.is_redirect:
        response.close()


def _keep(raw, path):
    """Put `raw` into the cache, whole or not at all, where the cache allows it."""
    # Two processes may be here at once: each renames a complete file of its own.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(raw)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        tell_once(
            f"Not kept for the next time: {path.parent} can't be written "
            f"({error.strerror})."
        )


@functools.cache
def tell_once(line: str) -> None:
    """Print the line on stderr, but not again before `tell_once.cache_clear()`."""
    print(line, file=sys.stderr)


def _reason(error):
    """Why `error` happened, in a few words."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.RequestException):
        # It nests several layers, of which the innermost names the cause.
        while error.__context__:
            error = error.__context__
        if "timed out" in str(error):
            return f"no answer in time ({TIMEOUT[0]} s to connect, {TIMEOUT[1]} s then)"
    return getattr(error, "strerror", None) or str(error)


def _digits():
    """scikit-learn's 1,797 digits as (train, test), 1,500 and 297 of them."""
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    # Linear interpolation in each direction, from 8 to 28 points.
    points = np.linspace(0, 7, 28)
    scale = np.stack([np.interp(points, range(8), row) for row in np.eye(8)], axis=1)
    images = scale @ small.reshape(-1, 8, 8) @ scale.T
    images = np.rint(images * (255 / 16)).astype(np.uint8)
    labels = labels.astype(np.uint8)
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:])
