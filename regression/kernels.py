"""What the kernels need that run many at a time on a busy machine.

They listen on sockets in a folder of this process, not on TCP ports: a port that is
free when Jupyter chooses it may be taken by the time the kernel starts. With two test
processes side by side a kernel died at its start, and this is the likely reason.
"""

import itertools
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="kernels-")
_numbers = itertools.count()


def own_sockets():
    """Arguments for Jupyter's kernel managers."""
    return {"transport": "ipc", "ip": f"{_folder.name}/{next(_numbers)}"}


# Run in a kernel before its first cell. What C code writes to stderr reaches a cell's
# outputs by way of a thread, and came too late where the processor was busy.
WAIT_FOR_STDERR = """exec('''
import sys, time
from IPython import get_ipython
def wait(result):
    time.sleep(0.05)
    sys.stderr.flush()
get_ipython().events.register("post_run_cell", wait)
''', {})"""
