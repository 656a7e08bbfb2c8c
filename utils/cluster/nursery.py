"""A process that has imported MXNet, and forks those that `launch` wants.

An import takes seconds, a fork none. The nursery itself computes nothing, so that it
has no threads that a fork would lose. A process that was forked after MXNet's import
computes with one thread, by MXNet's own choice (src/initialize.cc, atfork_child).
"""

import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from typing import IO

PID = struct.Struct("q")
TAIL = 5  # lines


class Nursery:
    """The nursery, seen from the process that has started it."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.lock, self.errors = threading.Lock(), tempfile.TemporaryFile()
        self.link, other = socket.socketpair()
        with other:
            self.process = subprocess.Popen(
                # By its path: as a module it would be imported from where one stands.
                [sys.executable, "-P", __file__, str(other.fileno())],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=self.errors,  # MXNet says there which engine it takes
                start_new_session=True,  # an interrupt is for the one who waits
                env={"OMP_NUM_THREADS": "1"} | os.environ | environ,
            )

    def fork(self, stdin: int, stdout: int, stderr: int) -> int:
        """Start a process with these descriptors; returns its number."""
        return self.ask(0, [stdin, stdout, stderr])

    def wait(self, pid: int) -> int:
        """Wait for its end; the exit status, or -N after signal N."""
        return os.waitstatus_to_exitcode(self.ask(pid, []))

    def ask(self, pid: int, descriptors: list[int]) -> int:
        with self.lock:
            try:
                socket.send_fds(self.link, [PID.pack(pid)], descriptors)
                data = self.link.recv(PID.size, socket.MSG_WAITALL)
            except OSError:  # it has ended
                data = b""
            except BaseException:  # an interrupt: the next answer would be this one's
                self.close()
                raise
        if len(data) < PID.size:
            self.close()
            raise RuntimeError(
                "The process that starts all others has ended. Try again, and a new "
                f"one is started. Its last words:\n{last_words(self.errors)}"
            )
        return PID.unpack(data)[0]

    def close(self) -> None:
        self.link.close()
        for environ in [key for key, nursery in _open.items() if nursery is self]:
            del _open[environ]


def last_words(errors: IO[bytes]) -> str:
    """The last lines that a process has written into its file for stderr."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    return "\n".join([line for line in lines if line.strip()][-TAIL:])


_open, _opening = {}, threading.Lock()  # by the variables that they were started with


def open_nursery(environ: dict[str, str]) -> Nursery:
    """The nursery whose MXNet was imported with these variables; it ends with us."""
    key = frozenset(environ.items())
    with _opening:  # as threads may launch side by side
        if key not in _open:
            _open[key] = Nursery(environ)
        return _open[key]


def main() -> None:
    import utils  # noqa: F401 - the import that all will share
    from utils.cluster import member

    link = socket.socket(fileno=int(sys.argv[1]))
    while True:
        data, descriptors, *_ = socket.recv_fds(link, PID.size, 3)
        if not data:
            return
        [answer] = PID.unpack(data)
        if answer:
            answer = os.waitpid(answer, 0)[1]
        else:
            answer = os.fork()
            if not answer:
                link.close()
                os.setsid()  # so that what it starts can be ended with it
                for number, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                member.main()
            for descriptor in descriptors:
                os.close(descriptor)
        link.sendall(PID.pack(answer))


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
    main()
