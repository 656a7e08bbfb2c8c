"""Which device to compute on: the first GPU that has proved itself, else the CPU.

`python -m utils.device` prints everything that the choice rests on.
"""

import functools
import os
import platform
import re
import sys
import warnings
from pathlib import Path

import mxnet as mx
from utils.cuda import ask_driver, run_bounded

# The first operation on a GPU loads half a gigabyte of machine code from disk.
PROBE_SECONDS = 60

# One convolution (cuDNN), one product (cuBLAS) and MXNet's own fill and sum, with an
# answer that is exact: 4 * 2 * 6 * 6 pixels, each the sum of 3 * 3 * 3 ones.
ANSWER = "answer 7776.0"
PROBE = """
import sys
try:
    import utils, mxnet as mx
    ctx = mx.gpu(int(sys.argv[1]))
    X, weight = mx.nd.ones((4, 3, 8, 8), ctx=ctx), mx.nd.ones((2, 3, 3, 3), ctx=ctx)
    Y = mx.nd.Convolution(X, weight, kernel=(3, 3), num_filter=2, no_bias=True)
    sums = mx.nd.dot(Y.reshape((8, 36)), mx.nd.ones((36, 1), ctx=ctx))
    print("answer", sums.sum().asscalar())
except Exception as error:
    lines = [line for line in str(error).splitlines() if "rror" in line]
    sys.exit(lines[-1] if lines else repr(error))
"""

CPUINFO = Path("/proc/cpuinfo")  # Linux describes its processors there
SYSCTL = ["sysctl", "-n", "machdep.cpu.brand_string"]  # and macOS answers this
SYSCTL_SECONDS = 5

_told = set()
_used = None

# `python -m utils.device` imports `utils`, and so this module, before it runs it
# again as the main one; nothing here minds.
warnings.filterwarnings("ignore", "'utils.device' found in sys.modules", RuntimeWarning)


def try_gpu() -> mx.Context:
    """The first GPU that has proved itself, else `mx.cpu()`.

    A GPU has proved itself when its compute capability is one that mxnet-cu112 has
    code for and a small operation has come back from it within a minute. What was
    chosen and why is printed, once, in a line that begins "Computing on", and below
    it what that means for the times that the chapters state.

    BN_DEVICE in the environment overrides: `cpu`; `gpu` or, say, `gpu(1)` for a GPU
    whatever its compute capability (an MXNet from elsewhere may have code for it).
    Raises ValueError where BN_DEVICE is none of these, and RuntimeError where it asks
    for a GPU and none proves itself.
    """
    return _choose(most=1)[0]


def try_all_gpus() -> list[mx.Context]:
    """All GPUs that have proved themselves, else `[mx.cpu()]`; see `try_gpu`."""
    return _choose(most=None)


def used() -> str | None:
    """The device that `try_gpu` or `try_all_gpus` chose last, such as "gpu(0)".

    Of several it is the first one. None where neither has chosen in this process.
    """
    return _used


def forget() -> None:
    """Let the next choice ask the driver, try the GPUs and tell the reason anew.

    Else each is done once a process, though a GPU's memory may have become free since.
    `used` returns None until then.
    """
    global _used
    _used = None
    _told.clear()
    _driver.cache_clear()
    _probe.cache_clear()


def hardware(device: str) -> str:
    """The name of the hardware behind a device such as "cpu(0)" or "gpu(0)".

    Of a GPU it is the driver's name for it, as in "NVIDIA A100-SXM4-40GB". Of the
    CPU it is the processor's name and the number of cores that this process may use,
    as in "AMD EPYC, 2 cores". Raises ValueError where `device` is neither the CPU nor
    a GPU that the driver lists.
    """
    name = str(device)
    if re.fullmatch(r"cpu\(\d+\)", name):
        count = cores()
        return f"{_processor()}, {count} {'core' if count == 1 else 'cores'}"
    if re.fullmatch(r"gpu\(\d+\)", name):
        for gpu in _driver().gpus:
            if name == f"gpu({gpu.index})":
                return gpu.name
    raise ValueError(
        "hardware expects cpu(0) or a GPU that the NVIDIA driver lists, such as "
        f"gpu(0), but it got {device!r}; pass what used() returns after try_gpu()."
    )


def _choose(most):
    wish = _wish()
    if wish == "cpu":
        return _tell([mx.cpu()], "BN_DEVICE=cpu asks for it")
    driver = _driver()
    proved, problems = [], []
    for gpu in driver.gpus:
        if wish in ("", "gpu", f"gpu({gpu.index})") and len(proved) != most:
            problem = _problem(gpu, asked_for=bool(wish))
            problems.append(problem) if problem else proved.append(gpu)
    if proved:
        reason = " and ".join(gpu.name for gpu in proved) + " answered a small test"
        return _tell([mx.gpu(gpu.index) for gpu in proved], reason)
    # Of several problems, that of the GPU one would have got; _diagnose shows all.
    listed = ", ".join(f"gpu({gpu.index})" for gpu in driver.gpus)
    problems.append(driver.problem or f"the NVIDIA driver lists only {listed}")
    if wish:
        raise RuntimeError(
            f"BN_DEVICE={wish} asks for a GPU, but {problems[0]}. Correct BN_DEVICE, "
            "or unset it to compute on what there is."
        )
    return _tell([mx.cpu()], problems[0])


def _wish():
    wish = os.environ.get("BN_DEVICE", "")
    if re.fullmatch(r"|cpu|gpu(\(\d+\))?", wish):
        return wish
    raise ValueError(
        "BN_DEVICE has to be cpu, gpu or one GPU such as gpu(1), but it is "
        f"{wish!r}. Correct it, or unset it to let try_gpu() choose."
    )


@functools.cache
def _driver():
    return ask_driver()


def _problem(gpu, asked_for=False):
    """Why this GPU is not used, as a clause, or None where it has proved itself."""
    if gpu.problem and not asked_for:
        return gpu.problem
    if not is_cuda_build():
        return (
            f"{gpu} is there, but this is the CPU build of MXNet; `make env-gpu` "
            "installs the CUDA build"
        )
    return _probe(gpu)


def is_cuda_build() -> bool:
    """Whether the installed MXNet is the one for GPUs, be there a GPU or not."""
    return mx.runtime.Features().is_enabled("CUDA")


@functools.cache
def _probe(gpu):
    """Try the GPU in a process of its own, as one that hangs cannot be stopped here."""
    command = [sys.executable, "-c", PROBE, str(gpu.index)]
    status, output = run_bounded(command, PROBE_SECONDS)
    if status is None:
        return f"{gpu} did not finish a small test within {PROBE_SECONDS} s"
    if re.search(r"out of memory|ALLOC_FAILED", output):
        return (
            f"{gpu} has too little free memory for even a small test; `nvidia-smi` "
            "lists the processes that hold it"
        )
    last = output.splitlines()[-1:] or [""]
    if status == 0 and last[0] == ANSWER:
        return None
    found = last[0] or f"exit status {status}"
    return f"{gpu} failed a small test, which ended with {found!r}"


def _tell(devices, reason):
    global _used
    _used = str(devices[0])
    line = f"Computing on {', '.join(map(str, devices))}: {reason}."
    if line not in _told:
        _told.add(line)
        here = f"here are {cores()}" if devices == [mx.cpu()] else "a GPU needs less"
        print(f"{line}\n  The times in the text are for 2 CPU cores; {here}.")
    return devices


def cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor():
    """The processor's name as the system gives it."""
    name = ""
    try:
        if CPUINFO.exists():
            found = re.search(r"^model name\s*: *(.+)", CPUINFO.read_text(), re.M)
            name = found[1] if found else ""  # ARM has none
        elif sys.platform == "darwin":
            status, output = run_bounded(SYSCTL, SYSCTL_SECONDS)
            name = output if status == 0 else ""
    except OSError:  # neither may be read or run
        pass
    return name.strip() or platform.processor() or "unknown processor"


def _diagnose():
    """Print all that the choice rests on, and the choice."""
    build = "CUDA build" if is_cuda_build() else "CPU build"
    print(f"MXNet {mx.__version__}, {build}, in {os.path.dirname(mx.__file__)}")
    driver = _driver()
    cuda = driver.cuda and "CUDA up to {}.{}".format(*driver.cuda)
    print("NVIDIA driver:", cuda or "no answer")
    for gpu in driver.gpus:
        print("{}: compute capability {}.{}".format(gpu, *gpu.capability))
        print("   ", _problem(gpu) or f"{gpu} answered a small test")
    print("BN_DEVICE:", os.environ.get("BN_DEVICE") or "not set")
    try:
        try_gpu()
    except (RuntimeError, ValueError) as error:
        sys.exit(error)


if __name__ == "__main__":
    _diagnose()
