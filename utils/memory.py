"""Keep freed memory for the next array instead of handing it back to Linux.

MXNet allocates each array on the CPU with malloc and frees it after its last
use. By default glibc hands much of what is freed back to the system, so
that each training step pays a page fault for each 4 KiB that it touches: half
of a small network's time. `make bench` measures what this saves.
"""

import ctypes

# The numbers of mallopt's parameters, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20


def keep_freed_memory() -> bool:
    """Ask glibc to serve blocks of up to 32 MiB from a heap that it keeps.

    Returns whether the C library took it; others than glibc have no `mallopt`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)  # the most that glibc accepts
        and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        and mallopt(_M_TOP_PAD, 64 * _MIB)
    )
