"""What the machine can do, and what share of it each formulation gets."""

from benchmarks.layers import speed

# How often a step reads or writes an array like X, each operator reading its inputs
# once and writing its outputs once: (forward, backward). Broadcast operators read for
# both gradients; k gradients of one array are added in k + 1; views are free going
# forward, and copied (2) going backward.
PASSES = {
    "textbook": (14, 26),
    "pixels as samples": (18, 34),
    "sums as products": (16, 31),
    "one affine map": (12, 24),
    "as a product": (10, 22),
    "as a convolution": (6, 17),
    "fast_batch_norm": (12, 19),
    "nn.BatchNorm": (4, 5),
}


def machine():
    """GB/s from cache and from memory, and billion operations a second."""
    return {
        "cache GB/s": speed.bandwidth(3 * 2**20) / 1e9,
        "memory GB/s": speed.bandwidth(256 * 2**20) / 1e9,
        "product GFLOP/s": speed.arithmetic() / 1e9,
    }


def shares(rows, memory):
    """Rows of `layers.measure` for convolutions: bytes moved, and the share.

    memory: the attainable GB/s.
    """
    found = []
    for row in rows:
        if row["formulation"] in PASSES and len(row["shape"]) == 4:
            N, C, H, W = row["shape"]
            moved = 4 * N * C * H * W * sum(PASSES[row["formulation"]])
            rate = moved / row["forward + backward ms"] / 1e6
            found.append(
                {
                    "shape": row["shape"],
                    "formulation": row["formulation"],
                    "MB moved": moved / 1e6,
                    "GB/s": rate,
                    "of memory": rate / memory,
                }
            )
    return found
