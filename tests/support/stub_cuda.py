"""Builds stub_cuda.c, the stand-in for NVIDIA's driver, where a C compiler is."""

import pathlib
import shutil
import subprocess

from tests.support import missing

SOURCE = pathlib.Path(__file__).with_name("stub_cuda.c")


def build(folder):
    """Compile libcuda.so.1 into the folder and return the folder, or skip the test."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing(
            "A C compiler was expected on PATH (cc or gcc), to build the stand-in for "
            "NVIDIA's driver with, and none was found. Install one."
        )
    library = folder / "libcuda.so.1"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True
    )
    return folder
