"""Kernels that listen on sockets in a folder of this process, not on TCP ports.

A port that is free when Jupyter chooses it may be taken by the time the kernel starts,
and then the kernel dies: with several processes side by side it does happen.
"""

import itertools
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="kernels-")
_numbers = itertools.count()


def own_sockets():
    """Arguments for Jupyter's kernel managers."""
    return {"transport": "ipc", "ip": f"{_folder.name}/{next(_numbers)}"}
