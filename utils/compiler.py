"""Compile the C++ that a chapter holds as text, once, and load it into MXNet.

A library's name is a digest of all that it was made from, the processor included, as
code made for one (`-march=native`) may not run on another. Two variables of the
environment are heeded, as `make` heeds them: CXX names the compiler, CXXFLAGS replaces
`-march=native`.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import mxnet as mx
from utils.data import CACHE
from utils.notebooks import CHAPTERS

# A clone has a build folder; an installed package has no place but the user's cache.
CLONE = (CHAPTERS.parent / "_config.yml").exists()
FOLDER = (CHAPTERS.parent / "_build" if CLONE else CACHE) / "kernels"

NO_COMPILER = (
    "A C++ compiler is needed, but {found}. Install g++ (Debian, Ubuntu: apt install "
    "g++; conda: conda install gxx), or name one in the environment variable CXX. The "
    "outputs that are stored in this chapter stay as they are."
)


class CompilerError(RuntimeError):
    """No library could be made; says why, and what to do."""

    def _render_traceback_(self):
        """What IPython shows: the sentence, as where it arose helps nobody."""
        return [str(self)]


def find_compiler() -> list[str]:
    """The compiler's command: what CXX names, or the first of g++, c++, clang++.

    Raises CompilerError where there is none.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    if named and not shutil.which(named[0]):
        found = f"CXX names {named[0]}, which is not on the PATH"
        raise CompilerError(NO_COMPILER.format(found=found))
    if named:
        return named
    for name in "g++", "c++", "clang++":
        if shutil.which(name):
            return [name]
    found = "neither g++ nor c++ nor clang++ is on the PATH"
    raise CompilerError(NO_COMPILER.format(found=found))


def compile_library(source: str, *flags: str) -> Path:
    """The library made of C++ `source`, from an earlier call where there was one.

    flags: what the compiler gets besides `-O3` and CXXFLAGS (or `-march=native`).
    Where it knows no OpenMP, a warning says so, and the library uses one core. Raises
    CompilerError where there is no compiler, no place for the library, or where the
    source is not valid; then the compiler's own words are in it.
    """
    compiler = find_compiler()
    own = shlex.split(os.environ.get("CXXFLAGS", "-march=native"))
    flags = ("-std=c++17", "-O3", "-shared", "-fPIC", *own, *flags)
    if "-fopenmp" in flags and not _knows(compiler, "-fopenmp"):
        warnings.warn(
            f"{compiler[0]} has no OpenMP, so this library will use one core. Install "
            "g++, or OpenMP for your compiler (libomp), and run the cell again.",
            stacklevel=2,
        )
        simd = ("-fopenmp-simd",) if _knows(compiler, "-fopenmp-simd", "") else ()
        flags = (*(flag for flag in flags if flag != "-fopenmp"), *simd)
    made_from = [source, *compiler, _version(compiler), *flags, mx.__version__, _cpu()]
    digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]
    library = FOLDER / f"{digest}.so"
    if not library.exists():
        try:
            FOLDER.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
                made = _compile(compiler, source, flags, Path(scratch))
                made.replace(library)  # at once, or not at all
        except OSError as error:
            raise CompilerError(
                f"A compiled library is kept in {FOLDER}, but nothing can be written "
                f"there ({error.strerror}). Make room there, and that folder writable."
            ) from None
    return library


def load_operators(source: str) -> None:
    """Compile `source`, which registers operators, and load them into `mx.nd`.

    The source is written against MXNet's header for extensions, lib_api.h, which its
    package brings: https://mxnet.apache.org/versions/1.9.1/api/faq/new_op
    BUILT_FOR is there MXNet's version, 10901 for 1.9.1. Raises CompilerError, as
    `compile_library` does, and where MXNet refuses the library.
    """
    package = Path(mx.__file__).parent
    major, minor, patch = map(int, re.findall(r"\d+", mx.__version__)[:3])
    version = f"-DBUILT_FOR={10000 * major + 100 * minor + patch}"
    header, api = package / "include/mxnet/lib_api.h", package / "src/lib_api.cc"
    if not api.exists():
        raise CompilerError(
            f"MXNet's package should bring {api.name} and {header.name}, for operators "
            f"of one's own, but MXNet {mx.__version__} does not. Install mxnet 1.9.1."
        )
    headers = f"-I{package / 'include'}"
    library = compile_library(source, "-fopenmp", headers, version, str(api))
    try:
        mx.library.load(str(library), verbose=False)
    except mx.base.MXNetError as error:
        # The library's own words stand behind their places in its source.
        words = re.findall(r"^\s*\[\d+\] \S+: (.*)$", str(error), re.MULTILINE)
        raise CompilerError(
            f"MXNet {mx.__version__} refused the library: {' '.join(words) or error}"
        ) from None


def _compile(compiler, source, flags, folder):
    """Runs the compiler; returns the library."""
    (folder / "source.cc").write_text(source)
    # The source first: what is linked has to come after what needs it.
    run = [*compiler, "source.cc", *flags, "-o", "library.so"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise CompilerError(f"{compiler[0]} refused the source:\n{done.stderr.strip()}")
    return folder / "library.so"


def _knows(compiler, flag, source="#include <omp.h>"):
    """Whether the compiler takes the flag, and with it the source."""
    run = [*compiler, flag, "-x", "c++", "-fsyntax-only", "-"]
    return (
        subprocess.run(run, input=source, capture_output=True, text=True).returncode
        == 0
    )


def _version(compiler):
    run = subprocess.run([*compiler, "--version"], capture_output=True, text=True)
    return run.stdout


def _cpu():
    """What the processor can do, as Linux lists it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


if __name__ == "__main__":
    try:
        print(find_compiler())
    except CompilerError as error:
        sys.exit(str(error))
