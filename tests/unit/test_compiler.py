"""A chapter's C++ is compiled once, and what can be missing has a sentence each."""

import ctypes
import shutil
import subprocess
import sys

import pytest
from utils import compiler

from tests.support import missing

SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    if not shutil.which("g++"):
        missing("g++ is not installed, which the kernel chapter needs.")
    monkeypatch.setattr(compiler, "FOLDER", tmp_path / "kernels")
    for name in "CXX", "CXXFLAGS":
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "kernels"


def script(path, text):
    """An executable that stands in for a compiler."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_compiles_and_loads(folder):
    library = compiler.compile_library(SOURCE)
    assert ctypes.CDLL(str(library)).answer() == 42
    assert list(folder.iterdir()) == [library]


def test_compiles_once_for_the_same_source_flags_and_compiler(monkeypatch):
    library = compiler.compile_library(SOURCE)
    monkeypatch.setattr(compiler, "_compile", None)  # not to be called again
    assert compiler.compile_library(SOURCE) == library


def test_other_flags_make_another_library(monkeypatch):
    libraries = {compiler.compile_library(SOURCE)}
    libraries.add(compiler.compile_library(SOURCE, "-DONE"))
    monkeypatch.setenv("CXXFLAGS", "-O1")
    libraries.add(compiler.compile_library(SOURCE))
    monkeypatch.setattr(compiler, "_cpu", lambda: "another one")
    libraries.add(compiler.compile_library(SOURCE))
    assert len(libraries) == 4


def test_no_compiler_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(compiler.CompilerError) as caught:
        compiler.compile_library(SOURCE)
    words = "compiler is needed, but neither g++ nor c++ nor clang++ is on the PATH."
    assert words in str(caught.value) and "apt install g++" in str(caught.value)


def test_a_compiler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -v")
    with pytest.raises(compiler.CompilerError, match="CXX names no-such-compiler, "):
        compiler.compile_library(SOURCE)


@pytest.mark.parametrize("refused", ["*-fopenmp*", "*-fopenmp\\ *"])
def test_a_compiler_without_openmp_is_told_and_used(monkeypatch, tmp_path, refused):
    refuse = f'case "$*" in {refused}) echo "unsupported option" >&2; exit 1;; esac'
    plain = script(tmp_path / "plain", f'{refuse}\nexec g++ "$@"')
    monkeypatch.setenv("CXX", str(plain))
    with pytest.warns(UserWarning, match="plain has no OpenMP, so this library"):
        library = compiler.compile_library(SOURCE, "-fopenmp")
    assert ctypes.CDLL(str(library)).answer() == 42


def test_a_folder_that_can_not_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(compiler, "FOLDER", tmp_path / "file/kernels")
    with pytest.raises(compiler.CompilerError, match="nothing can be written there"):
        compiler.compile_library(SOURCE)


def test_a_full_or_closed_folder_is_named(monkeypatch, folder):
    def closed(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(compiler.tempfile, "TemporaryDirectory", closed)
    words = "nothing can be written there \\(Permission denied\\). Make room"
    with pytest.raises(compiler.CompilerError, match=words):
        compiler.compile_library(SOURCE)


def test_an_mxnet_without_the_header_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler.mx, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(compiler.CompilerError, match="should bring lib_api.cc and"):
        compiler.load_operators(SOURCE)


def test_what_the_compiler_says_is_shown_and_nothing_is_left(folder):
    words = "(?s)g\\+\\+ refused the source:\n.*error"
    with pytest.raises(compiler.CompilerError, match=words):
        compiler.compile_library("int answer() { return nothing; }")
    assert list(folder.iterdir()) == []


def test_as_a_program_it_says_what_is_missing(tmp_path):
    run = [sys.executable, "-m", "utils.compiler"]
    env = {"PATH": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(run, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "A C++ compiler is needed, but" in done.stderr
