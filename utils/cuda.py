"""NVIDIA's driver and CUDA libraries, without MXNet and without any package.

`make env` runs this file as a script, on a Python that has nothing installed:

    python utils/cuda.py         say whether mxnet-cu112 could compute on a GPU here;
                                 the exit status is 0 if it could, 1 if not
    python utils/cuda.py link    make the pip-installed CUDA libraries loadable
"""

import ctypes
import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import typing

# The wheel holds machine code for sm_50, 60, 70, 80 and 86, which also runs on
# later minor versions of the same major one, and no PTX to compile for others.
OLDEST, NEWEST = (5, 0), (8, 9)
CONTAINER = "https://catalog.ngc.nvidia.com/orgs/nvidia/containers/mxnet"

APART = "batch_norm_cuda"  # the folder beside mxnet for them, where they need one

MACHINES = "x86_64", "AMD64"  # by the names that Linux and Windows have for x86-64

# CUDA 11 libraries of any minor version work on every driver of CUDA 11.0 or newer:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
OLDEST_CUDA = 11000

# A healthy driver answers within a second or two; the limit is for one that hangs.
QUERY_SECONDS = 20

# From NVIDIA's cuda.h.
_MAJOR, _MINOR = 75, 76
_NO_DEVICE = 100


class Gpu(typing.NamedTuple):
    """One GPU as the driver describes it; capability is (major, minor)."""

    index: int
    name: str
    capability: tuple[int, int]

    def __str__(self) -> str:
        return f"gpu({self.index}) ({self.name})"

    @property
    def problem(self) -> str | None:
        """Why mxnet-cu112 has no code for it, as a clause, or None if it has."""
        if OLDEST <= self.capability <= NEWEST:
            return None
        newer = self.capability > NEWEST
        return (
            f"{self} has compute capability {_dotted(self.capability)}, "
            f"{'newer' if newer else 'older'} than the {_dotted(OLDEST)} to "
            f"{_dotted(NEWEST)} that mxnet-cu112 has code for"
            + (f"; try NVIDIA's own MXNet container, {CONTAINER}" if newer else "")
        )


class Driver(typing.NamedTuple):
    """What the driver answered: `problem` is a clause where no GPU can be used.

    cuda: the newest CUDA version it supports, such as (12, 4), or None.
    gpus: a list of `Gpu`, empty where there is a problem.
    """

    cuda: tuple[int, int] | None
    gpus: list[Gpu]
    problem: str | None


def ask_driver() -> Driver:
    """Ask the driver for its GPUs, in a process of its own and in bounded time.

    A driver that hangs or crashes takes only that process with it.
    """
    if platform.machine() not in MACHINES:
        machine = platform.machine()
        problem = f"mxnet-cu112 is built for x86-64 alone, and this is {machine}"
        return Driver(None, [], problem)
    command = [sys.executable, "-I", os.path.abspath(__file__), "query"]
    status, output = run_bounded(command, QUERY_SECONDS)
    if status is None:
        problem = f"the NVIDIA driver gave no answer within {QUERY_SECONDS} s"
        return Driver(None, [], problem)
    if status != 0:
        problem = f"asking the NVIDIA driver ended with exit status {status}"
        return Driver(None, [], problem)
    # The driver may print of its own accord, so the answer is the last line.
    answer = json.loads(output.splitlines()[-1])
    if "version" not in answer:
        return Driver(None, [], "no NVIDIA driver was found")
    version, code = answer["version"], answer["code"]
    cuda = (version // 1000, version % 1000 // 10)
    if version < OLDEST_CUDA:
        problem = (
            f"the NVIDIA driver is too old: it supports CUDA up to {_dotted(cuda)}, "
            "and mxnet-cu112 needs 11.0, which driver 450 and newer have"
        )
        return Driver(cuda, [], problem)
    if code not in (0, _NO_DEVICE):
        problem = (
            f"the NVIDIA driver does not start: error {code}, {answer['error']}; "
            "`nvidia-smi` may say more, and restarting the machine may help"
        )
        return Driver(cuda, [], problem)
    gpus = [Gpu(i, name, tuple(cc)) for i, (name, cc) in enumerate(answer["gpus"])]
    if gpus:
        return Driver(cuda, gpus, None)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    return Driver(cuda, [], "the NVIDIA driver sees no GPU" + hint)


def run_bounded(command: list[str], seconds: float) -> tuple[int | None, str]:
    """Run a command that may hang: (exit status, output).

    The status is None where the command was ended after that many seconds.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        process.kill()
        # A process that is stuck inside the driver cannot be ended, so the wait for
        # its end has a limit, too.
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass


def prepare_import() -> None:
    """Make `import mxnet` work where its CUDA build is installed.

    With the CPU build it does nothing. Where the environment can't be written, it
    says so on stderr and loads the CUDA libraries from where they are. Raises
    ImportError, with what to do, where there is no driver: the CUDA build cannot even
    be imported then.
    """
    if "mxnet" in sys.modules:
        return
    mxnet = _cuda_build()
    if mxnet is None:
        return
    problem = _link(mxnet)
    if problem:
        print(f"{problem} Until then, utils loads them itself.", file=sys.stderr)
        _load(mxnet)
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise ImportError(
            "This environment holds the CUDA build of MXNet, which cannot be imported "
            "without an NVIDIA driver, and none was found here (libcuda.so.1 is "
            "missing). Install the driver (version 450 or newer), or run `make clean "
            "env`, which installs the build that fits this machine."
        ) from None


def _cuda_build():
    """The folder of the installed mxnet package if it is a CUDA build, else None."""
    spec = importlib.util.find_spec("mxnet")
    if spec is None or spec.origin is None:
        return None
    package = pathlib.Path(spec.origin).parent
    installed = os.listdir(package.parent)
    return package if any(n.startswith("mxnet_cu") for n in installed) else None


def _link(mxnet):
    """Link the pip-installed CUDA libraries beside libmxnet.so, where it looks first.

    So `import mxnet` finds them in every process and in any order of imports. The
    links are relative: they stay right when the environment is moved. Returns None,
    or what to do where they can't be made.
    """
    for library in _libraries(mxnet):
        try:
            (mxnet / library.name).symlink_to(os.path.relpath(library, mxnet))
        except FileExistsError:
            pass
        except OSError as error:
            return (
                f"The CUDA libraries can't be linked into {mxnet} ({error.strerror}). "
                "Make that folder writable and run "
                f"`{sys.executable} {os.path.abspath(__file__)} link` once."
            )
    return None


def _load(mxnet):
    """Load the pip-installed CUDA libraries here, and let child processes find them.

    The dynamic linker takes a library that is loaded already for one of its name.
    """
    folders = {str(library.parent): None for library in _libraries(mxnet)}
    others = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([*folders, *filter(None, [others])])
    left, before = _libraries(mxnet), None
    # Some need others, so as long as one more could be loaded, there is another round.
    while left != before:
        left, before = [library for library in left if not _loads(library)], left


def _loads(library):
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def _libraries(mxnet):
    """The CUDA 11 libraries that pip installed beside mxnet.

    In a hosted notebook they have a folder of their own (tools/hosted.py), for the
    host's CUDA 12 would be overwritten: some files of both have the same names.
    """
    own = mxnet.parent / APART
    return sorted((own if own.is_dir() else mxnet.parent).glob("nvidia/*/lib/*.so*"))


def _query():
    """Print the driver's answers as JSON; {} where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return print("{}")
    number, name = ctypes.c_int(), ctypes.create_string_buffer(100)
    driver.cuDriverGetVersion(ctypes.byref(number))
    answer = {"version": number.value, "code": driver.cuInit(0), "gpus": []}
    error = ctypes.c_char_p(b"without a name")
    driver.cuGetErrorName(answer["code"], ctypes.byref(error))
    answer["error"] = error.value.decode()
    number.value = 0
    if answer["code"] == 0:
        driver.cuDeviceGetCount(ctypes.byref(number))
    for index in range(number.value):
        device, capability = ctypes.c_int(), []
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, len(name), device)
        for attribute in (_MAJOR, _MINOR):
            driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
            capability.append(number.value)
        answer["gpus"].append((name.value.decode(), capability))
    print(json.dumps(answer))


def _dotted(version):
    return ".".join(map(str, version))


def _main(task):
    if task == "query":
        _query()
    elif task == "link":
        mxnet = _cuda_build()
        if mxnet is None:
            sys.exit("No CUDA build of MXNet is installed for " + sys.executable)
        problem = _link(mxnet)
        if problem:
            sys.exit(problem)
    else:
        driver = ask_driver()
        usable = [gpu for gpu in driver.gpus if not gpu.problem]
        if not usable:
            problem = driver.problem or driver.gpus[0].problem
            sys.exit(f"No GPU for mxnet-cu112: {problem}.")
        print(f"{usable[0]} can run mxnet-cu112.")


if __name__ == "__main__":
    _main(sys.argv[1] if sys.argv[1:] else "say")
