"""What the machine can do, and what share of it each formulation gets."""

from math import prod
from pathlib import Path

from benchmarks.layers import LOOPS, speed

# How often a step reads or writes an array like X, each operator reading its inputs
# once and writing its outputs once: (forward, backward). Broadcast operators read for
# both gradients; k gradients of one array are added in k + 1; views are free going
# forward, and copied (2) going backward. The kernel's operators read their inputs
# twice, for the statistics and for the result.
PASSES = {
    "textbook": (14, 26),
    "pixels as samples": (18, 34),
    "sums as products": (16, 31),
    "one affine map": (12, 24),
    "as a product": (10, 22),
    "as a convolution": (6, 17),
    "fast_batch_norm": (12, 19),
    "nn.BatchNorm": (4, 5),
    "kernel": (3, 5),
    LOOPS: (3, 5),
}
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def attainable():
    """GB/s of all cores from cache and memory; billion operations a second."""
    return {
        "cache GB/s": speed.bandwidth(3 * 2**20) / 1e9,
        "memory GB/s": speed.bandwidth(256 * 2**20) / 1e9,
        "product GFLOP/s": speed.arithmetic() / 1e9,
    }


def last_cache(folder=CACHES):
    """Bytes of the processor's last cache; 32 MiB where the system does not tell."""
    sizes = [int(file.read_text().strip("K\n")) for file in folder.glob("index*/size")]
    return 1024 * max(sizes, default=32 * 1024)


def beyond_cache(cache):
    """The shape of an array of about twice `cache` bytes."""
    picture = 20, 24, 24
    return 2 * cache // (4 * prod(picture)), *picture


def shares(rows, memory, cache):
    """Rows of `layers.measure` for convolutions: bytes moved, and the share.

    memory: the attainable GB/s. cache: the last cache's bytes.
    """
    found = []
    for row in rows:
        if len(row["shape"]) == 4:
            size = 4 * prod(row["shape"])  # bytes
            moved = size * sum(PASSES[row["formulation"]])
            rate = moved / row["forward + backward ms"] / 1e6
            found.append(
                {
                    "shape": row["shape"],
                    "formulation": row["formulation"],
                    "X / cache": size / cache,
                    "MB moved": moved / 1e6,
                    "GB/s": rate,
                    "of memory": rate / memory,
                }
            )
    return found
