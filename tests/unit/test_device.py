"""The choice of device against a stand-in for NVIDIA's driver, stub_cuda.c."""

import os
import subprocess
import sys

import mxnet as mx
import pytest
from utils import cuda, device

from tests.support import stub_cuda

SCRIPT = cuda.__file__


@pytest.fixture(scope="session")
def stub_folder(tmp_path_factory):
    return stub_cuda.build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def fresh(monkeypatch):
    """Nothing asked, told or wished for so far."""
    for name in ("BN_DEVICE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    device.forget()
    yield
    device.forget()


@pytest.fixture
def stub(fresh, stub_folder, monkeypatch):
    """A function that makes the driver answer as its arguments say."""

    def answer(**settings):
        monkeypatch.setenv("LD_LIBRARY_PATH", str(stub_folder))
        for name, value in settings.items():
            monkeypatch.setenv(f"STUB_{name.upper()}", value)

    return answer


@pytest.fixture
def no_driver(fresh, tmp_path, monkeypatch):
    """Hides the driver that this machine may have, behind a file that is no library."""
    tmp_path.joinpath("libcuda.so.1").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))


@pytest.fixture
def cuda_build(monkeypatch):
    """As if MXNet's CUDA build were installed, with a probe of our own."""

    def with_probe(code):
        monkeypatch.setattr(device, "is_cuda_build", lambda: True)
        monkeypatch.setattr(device, "PROBE", code)

    return with_probe


PASSES = "print('answer 7776.0')"


def on_cpu(capsys):
    """The reason that is told for computing on the CPU."""
    assert device.try_gpu() == mx.cpu()
    line, times = capsys.readouterr().out.splitlines()
    assert line.startswith("Computing on cpu(0): ") and line.endswith(".")
    cores = device.cores()
    assert times == f"  The times in the text are for 2 CPU cores; here are {cores}."
    assert device.try_all_gpus() == [mx.cpu()]
    assert capsys.readouterr().out == "", "what was told is told again"
    return line[len("Computing on cpu(0): ") : -1]


def test_no_driver(no_driver, capsys):
    assert on_cpu(capsys) == "no NVIDIA driver was found"


def test_driver_that_sees_no_gpu(stub, monkeypatch, capsys):
    stub()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert on_cpu(capsys) == (
        "the NVIDIA driver sees no GPU (CUDA_VISIBLE_DEVICES is '')"
    )


def test_driver_too_old(stub, capsys):
    stub(capability="7.5", version="10020")
    assert on_cpu(capsys) == (
        "the NVIDIA driver is too old: it supports CUDA up to 10.2, and mxnet-cu112 "
        "needs 11.0, which driver 450 and newer have"
    )


def test_driver_that_does_not_start(stub, capsys):
    stub(capability="8.6", init="999")
    assert on_cpu(capsys) == (
        "the NVIDIA driver does not start: error 999, CUDA_ERROR_UNKNOWN; "
        "`nvidia-smi` may say more, and restarting the machine may help"
    )


def test_driver_that_hangs(stub, monkeypatch, capsys):
    stub(capability="8.6", hang="query")
    monkeypatch.setattr(cuda, "QUERY_SECONDS", 0.5)
    assert on_cpu(capsys) == "the NVIDIA driver gave no answer within 0.5 s"


@pytest.mark.parametrize("capability", ["9.0", "12.0"])
def test_gpu_too_new(stub, cuda_build, capsys, capability):
    stub(capability=capability)
    cuda_build(PASSES)
    assert on_cpu(capsys) == (
        f"gpu(0) (Stub GPU) has compute capability {capability}, newer than the 5.0 "
        "to 8.9 that mxnet-cu112 has code for; try NVIDIA's own MXNet container, "
        "https://catalog.ngc.nvidia.com/orgs/nvidia/containers/mxnet"
    )


def test_gpu_too_old(stub, cuda_build, capsys):
    stub(capability="3.5")
    cuda_build(PASSES)
    assert on_cpu(capsys) == (
        "gpu(0) (Stub GPU) has compute capability 3.5, older than the 5.0 to 8.9 that "
        "mxnet-cu112 has code for"
    )


@pytest.mark.skipif(device.is_cuda_build(), reason="this is the CUDA build of MXNet")
def test_cpu_build_beside_a_gpu(stub, capsys):
    stub(capability="8.6")
    assert on_cpu(capsys) == (
        "gpu(0) (Stub GPU) is there, but this is the CPU build of MXNet; "
        "`make env-gpu` installs the CUDA build"
    )


@pytest.mark.parametrize("capability", ["5.0", "6.1", "7.5", "8.6", "8.9"])
def test_gpu_that_answers_is_used(stub, cuda_build, capsys, capability):
    stub(capability=capability)
    cuda_build(PASSES)
    assert device.try_gpu() == mx.gpu(0)
    assert device.try_all_gpus() == [mx.gpu(0)]
    assert capsys.readouterr().out.splitlines() == [
        "Computing on gpu(0): Stub GPU answered a small test.",
        "  The times in the text are for 2 CPU cores; a GPU needs less.",
    ]


def test_unusable_gpus_are_passed_over(stub, cuda_build, capsys):
    stub(capability="9.0 8.6 7.5")
    cuda_build(PASSES)
    assert device.try_gpu() == mx.gpu(1)
    assert device.try_all_gpus() == [mx.gpu(1), mx.gpu(2)]


def test_gpu_that_gives_a_wrong_answer(stub, cuda_build, capsys):
    stub(capability="8.6")
    cuda_build("print('answer 0.0')")
    assert on_cpu(capsys) == (
        "gpu(0) (Stub GPU) failed a small test, which ended with 'answer 0.0'"
    )


def test_gpu_that_takes_the_process_down(stub, cuda_build, capsys):
    stub(capability="8.6")
    cuda_build("import os; os.abort()")
    assert on_cpu(capsys) == (
        "gpu(0) (Stub GPU) failed a small test, which ended with 'exit status -6'"
    )


def test_gpu_out_of_memory(stub, cuda_build, capsys):
    stub(capability="8.6")
    cuda_build("import sys; sys.exit('cudaMalloc retry failed: out of memory')")
    assert on_cpu(capsys) == (
        "gpu(0) (Stub GPU) has too little free memory for even a small test; "
        "`nvidia-smi` lists the processes that hold it"
    )


def test_gpu_that_hangs(stub, cuda_build, capsys, monkeypatch):
    stub(capability="8.6")
    cuda_build("import time; time.sleep(3600)")
    monkeypatch.setattr(device, "PROBE_SECONDS", 0.5)
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *a, **k: started.append(popen(*a, **k)) or started[-1],
    )
    reason = on_cpu(capsys)
    assert reason == "gpu(0) (Stub GPU) did not finish a small test within 0.5 s"
    started[-1].wait(timeout=60)  # else the hanging process was left behind


def test_real_probe_fails_without_a_real_gpu(stub, capsys, monkeypatch):
    stub(capability="8.6")
    monkeypatch.setattr(device, "is_cuda_build", lambda: True)
    reason = on_cpu(capsys)
    assert reason.startswith("gpu(0) (Stub GPU) failed a small test, which ended with")
    assert "MXNetError" in reason


def test_bn_device_cpu_asks_nobody(fresh, monkeypatch, capsys):
    monkeypatch.setenv("BN_DEVICE", "cpu")
    monkeypatch.setattr(device, "ask_driver", None)
    assert on_cpu(capsys) == "BN_DEVICE=cpu asks for it"


def test_bn_device_chooses_a_gpu_of_any_capability(stub, cuda_build, monkeypatch):
    stub(capability="8.6 9.0")
    cuda_build(PASSES)
    monkeypatch.setenv("BN_DEVICE", "gpu(1)")
    assert device.try_gpu() == mx.gpu(1)
    assert device.try_all_gpus() == [mx.gpu(1)]
    monkeypatch.setenv("BN_DEVICE", "gpu")
    assert device.try_all_gpus() == [mx.gpu(0), mx.gpu(1)]


def test_bn_device_does_not_fall_back(stub, cuda_build, monkeypatch):
    stub(capability="8.6")
    cuda_build("print('answer 0.0')")
    monkeypatch.setenv("BN_DEVICE", "gpu")
    with pytest.raises(
        RuntimeError, match=r"BN_DEVICE=gpu asks .*, but gpu\(0\) .*ail"
    ):
        device.try_gpu()
    monkeypatch.setenv("BN_DEVICE", "gpu(1)")
    with pytest.raises(RuntimeError) as error:
        device.try_all_gpus()
    assert str(error.value) == (
        "BN_DEVICE=gpu(1) asks for a GPU, but the NVIDIA driver lists only gpu(0). "
        "Correct BN_DEVICE, or unset it to compute on what there is."
    )


@pytest.mark.parametrize("wish", ["gpu1", "GPU", "gpu(-1)", "cuda:0", "gpu(0) "])
def test_wrong_bn_device(fresh, monkeypatch, wish):
    monkeypatch.setenv("BN_DEVICE", wish)
    with pytest.raises(ValueError) as error:
        device.try_gpu()
    assert str(error.value) == (
        "BN_DEVICE has to be cpu, gpu or one GPU such as gpu(1), but it is "
        f"{wish!r}. Correct it, or unset it to let try_gpu() choose."
    )


@pytest.mark.parametrize("allowed", [{3}, {0, 5}])
def test_cores_are_those_that_this_process_may_use(monkeypatch, allowed):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert device.cores() == len(allowed)


@pytest.mark.parametrize(("machine", "cores"), [(8, 8), (None, 1)])
def test_cores_where_no_system_call_tells_them(monkeypatch, machine, cores):
    """As on macOS; Python may not know the machine's number either."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    assert device.cores() == cores


def test_used_is_what_was_chosen_last(stub, cuda_build, monkeypatch):
    stub(capability="9.0 8.6 7.5")
    cuda_build(PASSES)
    assert device.used() is None
    device.try_all_gpus()
    assert device.used() == "gpu(1)"
    monkeypatch.setenv("BN_DEVICE", "gpu(2)")
    device.try_gpu()
    assert device.used() == "gpu(2)"
    monkeypatch.setenv("BN_DEVICE", "gpu(7)")
    with pytest.raises(RuntimeError):
        device.try_gpu()
    assert device.used() == "gpu(2)"
    monkeypatch.setenv("BN_DEVICE", "cpu")
    device.try_gpu()
    assert device.used() == "cpu(0)"


def test_hardware_of_a_gpu_is_the_drivers_name_for_it(stub):
    stub(capability="9.0 8.6")
    assert device.hardware("gpu(1)") == "Stub GPU"


@pytest.mark.parametrize("wrong", ["gpu(2)", "gpu", "cpu", "tpu(0)", "cpu(0) ", None])
def test_hardware_of_no_device_is_an_error(stub, wrong):
    stub(capability="9.0 8.6")
    with pytest.raises(ValueError) as error:
        device.hardware(wrong)
    assert str(error.value) == (
        "hardware expects cpu(0) or a GPU that the NVIDIA driver lists, such as "
        f"gpu(0), but it got {wrong!r}; pass what used() returns after try_gpu()."
    )


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A function that says what the system answers, and how many cores there are."""

    def answer(cpuinfo=None, sysctl=None, python="", cores=2):
        path = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            path.write_text(cpuinfo)
        monkeypatch.setattr(device, "CPUINFO", path)
        if sysctl is not None:
            monkeypatch.setattr(sys, "platform", "darwin")
            monkeypatch.setattr(device, "SYSCTL", sysctl)
        monkeypatch.setattr(device.platform, "processor", lambda: python)
        monkeypatch.setattr(device, "cores", lambda: cores)

    return answer


X86 = "processor\t: 0\nmodel name\t: AMD EPYC 7B13\ncache size\t: 512 KB\n"
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ({"cpuinfo": X86}, "AMD EPYC 7B13, 2 cores"),
        ({"cpuinfo": X86, "cores": 1}, "AMD EPYC 7B13, 1 core"),
        ({"cpuinfo": ARM, "python": "aarch64"}, "aarch64, 2 cores"),
        ({"cpuinfo": ARM}, "unknown processor, 2 cores"),
        ({"sysctl": ["echo", "Apple M2"], "cores": 8}, "Apple M2, 8 cores"),
        ({"sysctl": ["false"], "python": "arm"}, "arm, 2 cores"),
        ({"sysctl": ["/no/such/command"], "python": "arm"}, "arm, 2 cores"),
        ({"python": "Intel64 Family 6"}, "Intel64 Family 6, 2 cores"),
    ],
)
def test_hardware_of_the_cpu(processor, answers, name):
    processor(**answers)
    assert device.hardware("cpu(0)") == device.hardware("cpu(1)") == name


def test_diagnosis(stub):
    stub(capability="3.5 9.0")
    run = subprocess.run(
        [sys.executable, "-m", "utils.device"], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0].startswith("MXNet 1.9.1, C")
    assert lines[1] == "NVIDIA driver: CUDA up to 12.4"
    assert lines[2] == "gpu(0) (Stub GPU): compute capability 3.5"
    assert "older than the 5.0 to 8.9" in lines[3]
    assert lines[4] == "gpu(1) (Stub GPU): compute capability 9.0"
    assert "newer than the 5.0 to 8.9" in lines[5]
    assert lines[6] == "BN_DEVICE: not set"
    assert lines[7].startswith("Computing on cpu(0): gpu(0) (Stub GPU) has compute cap")
    assert len(lines) == 9


def bare(*arguments):
    """Run utils/cuda.py on a Python without any installed package, as `make` does."""
    command = [sys.executable, "-I", "-S", SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_script_says_whether_the_gpu_environment_makes_sense(stub, monkeypatch):
    stub(capability="9.0 8.6")
    run = bare()
    assert (run.returncode, run.stdout, run.stderr) == (
        0,
        "gpu(1) (Stub GPU) can run mxnet-cu112.\n",
        "",
    )
    monkeypatch.setenv("STUB_CAPABILITY", "9.0")
    run = bare()
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(
        "No GPU for mxnet-cu112: gpu(0) (Stub GPU) has compute capability 9.0"
    )


def test_script_without_a_driver(no_driver):
    run = bare()
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "No GPU for mxnet-cu112: no NVIDIA driver was found.\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages with a CUDA build of MXNet, but for the bytes."""
    site = tmp_path / "site packages"
    for name in (
        "mxnet/__init__.py",
        "mxnet_cu112-1.9.1.dist-info/METADATA",
        "nvidia/cudnn/lib/libcudnn.so.8",
        "nvidia/cudnn/lib/__init__.py",
        "nvidia/cublas/lib/libcublas.so.11",
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def test_links_beside_libmxnet(site):
    command = [sys.executable, "-S", SCRIPT, "link"]
    for _ in range(2):
        subprocess.run(command, check=True)
    # Moving the environment keeps them right.
    moved = site.rename(site.with_name("moved"))
    mxnet = moved / "mxnet"
    links = {path.name: path.resolve() for path in mxnet.iterdir() if path.is_symlink()}
    assert links == {
        "libcudnn.so.8": moved / "nvidia/cudnn/lib/libcudnn.so.8",
        "libcublas.so.11": moved / "nvidia/cublas/lib/libcublas.so.11",
    }


def test_libraries_in_a_folder_of_their_own_are_the_ones_linked(site):
    """As in a hosted notebook, where those beside mxnet are PyTorch's."""
    own = site / "batch_norm_cuda/nvidia/cudnn/lib/libcudnn.so.8"
    own.parent.mkdir(parents=True)
    own.touch()
    subprocess.run([sys.executable, "-S", SCRIPT, "link"], check=True)
    links = [path for path in (site / "mxnet").iterdir() if path.is_symlink()]
    assert [path.resolve() for path in links] == [own]


def test_a_machine_without_a_build_is_told(stub, monkeypatch):
    stub(capability="8.6")
    monkeypatch.setattr(cuda.platform, "machine", lambda: "aarch64")
    said = cuda.ask_driver().problem
    assert said == "mxnet-cu112 is built for x86-64 alone, and this is aarch64"


@pytest.fixture
def read_only(site):
    """As if `site` were on a disk that can't be written; returns what is to be said."""
    # Not by permissions, which do not stop root. Python runs this file at its start.
    (site / "sitecustomize.py").write_text(
        """
import errno, os, pathlib
def refuse(path, target):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
pathlib.Path.symlink_to = refuse
"""
    )
    return (
        f"The CUDA libraries can't be linked into {site / 'mxnet'} (Read-only file "
        f"system). Make that folder writable and run `{sys.executable} {SCRIPT} link` "
        "once."
    )


def test_links_that_cannot_be_written_are_explained(read_only):
    run = subprocess.run(
        [sys.executable, SCRIPT, "link"], capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"{read_only}\n"


# Loads a libmxnet.so that needs the CUDA libraries, and then is the installed MXNet.
DEMANDING_MXNET = """
import ctypes, os
ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libmxnet.so"))
__file__ = {real!r}
__path__ = [os.path.dirname(__file__)]
exec(compile(open(__file__).read(), __file__, "exec"))
"""

COMPUTE = """
import subprocess, sys
import utils
from mxnet import nd
print(nd.ones(3, ctx=utils.try_gpu()).sum().asscalar())
code = "import ctypes; ctypes.CDLL({library!r})"
subprocess.run([sys.executable, "-c", code], check=True)
"""


def test_cpu_computes_where_the_links_cannot_be_written(site, read_only, stub):
    stub()  # a driver without a GPU
    nvidia, mxnet = site / "nvidia", site / "mxnet"
    cudnn = nvidia / "cudnn/lib/libcudnn.so.8"
    cublas = nvidia / "cublas/lib/libcublas.so.11"
    # The one that comes first by its name needs the other.
    for library, *needed in (cudnn,), (cublas, cudnn), (mxnet / "libmxnet.so", cublas):
        name = f"-Wl,--no-as-needed,-soname,{library.name}"
        command = ["cc", "-shared", "-fPIC", name, "-o", library, "-xc", os.devnull]
        subprocess.run([*command, "-xnone", *needed], check=True)
    (mxnet / "__init__.py").write_text(DEMANDING_MXNET.format(real=mx.__file__))
    library = str(mxnet / "libmxnet.so")
    command = [sys.executable, "-c", COMPUTE.replace("{library!r}", repr(library))]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stderr == f"{read_only} Until then, utils loads them itself.\n"
    first, _, answer = run.stdout.splitlines()
    assert first == "Computing on cpu(0): the NVIDIA driver sees no GPU."
    assert (run.returncode, answer) == (0, "3.0")
    assert not list(mxnet.glob("libcu*"))


def test_linking_without_a_cuda_build_is_an_error(site):
    (site / "mxnet_cu112-1.9.1.dist-info/METADATA").unlink()
    (site / "mxnet_cu112-1.9.1.dist-info").rmdir()
    run = subprocess.run(
        [sys.executable, "-S", SCRIPT, "link"], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr == f"No CUDA build of MXNet is installed for {sys.executable}\n"


def test_cuda_build_without_a_driver_is_explained_at_import(site, no_driver):
    command = [sys.executable, "-c", "import utils"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert (site / "mxnet/libcudnn.so.8").is_symlink()
    assert run.stderr.splitlines()[-1] == (
        "ImportError: This environment holds the CUDA build of MXNet, which cannot be "
        "imported without an NVIDIA driver, and none was found here (libcuda.so.1 is "
        "missing). Install the driver (version 450 or newer), or run `make clean env`, "
        "which installs the build that fits this machine."
    )


def test_nothing_is_loaded_or_written_with_the_cpu_build(site, monkeypatch):
    (site / "mxnet_cu112-1.9.1.dist-info/METADATA").unlink()
    (site / "mxnet_cu112-1.9.1.dist-info").rmdir()
    before = sorted(site.rglob("*"))
    monkeypatch.delitem(sys.modules, "mxnet")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(cuda.ctypes, "CDLL", None)
    cuda.prepare_import()
    assert sorted(site.rglob("*")) == before
