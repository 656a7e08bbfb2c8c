"""The GPU environment (requirements/gpu.txt) on a machine without a GPU.

`make test-gpu-env` runs this file; `make test` does not find it by its name, as the
environment takes 5 GB. Each test runs in a process of its own, with the stand-in for
NVIDIA's driver, since this process could not even import MXNet.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.support import stub_cuda

IMPORT = """
import utils
import mxnet as mx
assert mx.runtime.Features().is_enabled("CUDA")
print(mx.context.num_gpus())
loaded = {line.split()[-1] for line in open("/proc/self/maps") if "/nvidia/" in line}
print(*sorted({path.split("/nvidia/")[1].split("/")[0] for path in loaded}))
"""

TRAIN = """
import utils
from mxnet import autograd, gluon, nd
ctx = utils.try_gpu()
net = gluon.nn.Sequential()
net.add(gluon.nn.Conv2D(4, 3), gluon.nn.BatchNorm(), gluon.nn.Dense(2))
net.initialize(ctx=ctx)
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
X, y = nd.random.normal(3, 2, (8, 1, 6, 6), ctx=ctx), nd.array([0, 1] * 4, ctx=ctx)
net(X)
before = net[1].gamma.data().asnumpy()
with autograd.record():
    loss = gluon.loss.SoftmaxCrossEntropyLoss()(net(X), y)
loss.backward()
trainer.step(8)
print((before != net[1].gamma.data().asnumpy()).any())
print((net[1].running_mean.data().asnumpy() != 0).all())
"""

CHOOSE = """
from utils import device
device.PROBE_SECONDS = {limit}
print(device.try_gpu())
"""


@pytest.fixture(scope="module")
def stub_folder(tmp_path_factory):
    return stub_cuda.build(tmp_path_factory.mktemp("driver"))


def run(*arguments, driver, cwd=None, **settings):
    """Run Python with these arguments and what the driver is to answer."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("BN_DEVICE", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")
    }
    environment["LD_LIBRARY_PATH"] = str(driver)
    for name, value in settings.items():
        environment[f"STUB_{name.upper()}"] = value
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("first", ["", "import numpy, pandas"])
def test_import_finds_the_cuda_libraries(stub_folder, tmp_path, first):
    """`import mxnet` after `import utils`, alone or beside others, from any folder.

    cuSPARSE is not among them: it is opened only when it is needed.
    """
    done = run("-c", first + IMPORT, driver=stub_folder, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    gpus, loaded = done.stdout.splitlines()
    assert gpus == "0"
    assert set(loaded.split()) >= {
        "cublas",
        "cuda_nvrtc",
        "cuda_runtime",
        "cudnn",
        "cufft",
        "curand",
        "cusolver",
        "nccl",
        "nvtx",
    }


def test_every_part_of_cudnn_can_be_loaded(stub_folder):
    """cuDNN opens its parts by name, only when they are needed."""
    code = """
import ctypes, pathlib, utils, mxnet
cudnn = ctypes.CDLL(str(pathlib.Path(mxnet.__file__).with_name("libcudnn.so.8")))
for part in ("Ops", "Cnn", "Adv"):
    for task in ("Infer", "Train"):
        print(cudnn[f"cudnn{part}{task}VersionCheck"]())
"""
    done = run("-c", code, driver=stub_folder)
    assert (done.returncode, done.stdout.split()) == (0, ["0"] * 6), done.stderr


def test_training_step_without_a_gpu(stub_folder):
    done = run("-c", TRAIN, driver=stub_folder)
    assert done.returncode == 0, done.stderr
    first, _, *correct = done.stdout.splitlines()
    assert first == "Computing on cpu(0): the NVIDIA driver sees no GPU."
    assert correct == ["True", "True"]


def test_gpu_that_fits_but_does_not_compute(stub_folder):
    done = run("-m", "utils.device", driver=stub_folder, capability="8.6")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "CUDA build" in lines[0]
    assert lines[-2].startswith(
        "Computing on cpu(0): gpu(0) (Stub GPU) failed a small test, which ended with"
    )


def test_gpu_that_hangs_in_the_real_probe(stub_folder):
    done = run(
        "-c",
        CHOOSE.format(limit=15),
        driver=stub_folder,
        capability="8.6",
        hang="compute",
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, chosen = done.stdout.splitlines()
    assert first.endswith("(Stub GPU) did not finish a small test within 15 s.")
    assert chosen == "cpu(0)"


def test_no_driver_is_explained(tmp_path):
    (tmp_path / "libcuda.so.1").write_text("no library")
    done = run("-c", "import utils", driver=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: This environment holds the CUDA build of MXNet, which cannot be "
        "imported without an NVIDIA driver, and none was found here"
    )


def test_installed_versions_are_those_of_the_lock():
    """Nothing was added, moved or left out by hand."""
    lock = pathlib.Path(__file__).parents[1] / "requirements" / "gpu.txt"
    done = run("-m", "pip", "freeze", driver="")
    frozen = set(done.stdout.lower().replace("_", "-").split())
    wanted = {
        line.split()[0].lower()
        for line in lock.read_text().splitlines()
        if line.startswith(("mxnet", "nvidia-"))
    }
    assert len(wanted) == 11
    assert wanted <= frozen
