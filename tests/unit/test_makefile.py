"""What make and CI's script run, and what they say, with fakes for all they run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import pdf

MAKE = shutil.which("make")
ROOT = Path(__file__).parents[2]
MAKEFILE = ROOT / "Makefile"


def make(folder, *arguments, **environment):
    """Run make in a folder that has only the Makefile."""
    shutil.copy(MAKEFILE, folder)
    return subprocess.run(
        [MAKE, "--no-print-directory", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def fake(folder, name, script):
    """Put a program `name` into `folder` that runs the lines `script`."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def locks(tmp_path):
    """A folder with the locks' names, and with what installs them."""
    clone = tmp_path / "a clone"
    for name in "requirements/cpu.txt", "requirements/gpu.txt", "utils/cuda.py":
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    return clone


# Knows the questions that the Makefile asks of a Python by what is in them.
A_PYTHON = """case "$*" in
  --version) echo "Python {version}";;
  *"(3, 14)"*) exit {tested};;
  *"(3, 11)"*) exit {suits};;
  *darwin*) exit {packaged};;
  *cuda.py) exit 1;;
  *) echo "{version} runs $*"; exit 1;;
esac"""


def with_only(folder, version, suits, tested, packaged=0):
    """A PATH with one Python, for which the questions have these exit statuses."""
    script = A_PYTHON.format(
        version=version, suits=suits, tested=tested, packaged=packaged
    )
    fake(folder / "bin", "python3", script)
    for name in "dirname", "sed", "make":
        (folder / "bin" / name).symlink_to(shutil.which(name))
    return str(folder / "bin")


@pytest.mark.parametrize("target", ["book", "test", "env", "env-gpu", "lab", "bench"])
def test_too_old_python_is_told_before_anything_is_made(locks, target):
    path = with_only(locks.parent, "3.10.9", suits=1, tested=1)
    run = make(locks, target, PATH=path)
    assert run.returncode != 0
    assert run.stderr.startswith(
        "Python 3.11, 3.12 or 3.13 is needed, with its venv module, but found: Python "
        "3.10.9. Install one of these, or name it as in: make PYTHON=/path/to/"
        "python3.13 book\n"
    )
    assert "Traceback" not in run.stderr
    assert not (locks / ".venv").exists()


def test_apple_silicon_is_sent_to_the_dev_container(locks):
    path = with_only(locks.parent, "3.13.0", suits=0, tested=0, packaged=1)
    run = make(locks, "book", PATH=path)
    assert run.returncode != 0
    assert run.stderr.startswith(
        "MXNet has no package for Apple silicon. Open this folder in its dev container "
        "(.devcontainer/), or take a Python for Intel Macs.\n"
    )
    assert not (locks / ".venv").exists()


def test_newer_python_is_tried_and_called_untested(locks):
    run = make(locks, "env", PATH=with_only(locks.parent, "3.15.0", suits=0, tested=1))
    assert run.stderr.startswith(
        "Python 3.15.0 is newer than 3.13, the newest that the course is tested on. It "
        "is tried; if it fails, install Python 3.13.\n"
    )
    assert "3.15.0 runs -m venv --clear .venv" in run.stdout


def test_tested_python_is_taken_without_a_word(locks):
    path = with_only(locks.parent, "3.15.0", suits=0, tested=1)
    newest = A_PYTHON.format(version="3.12.8", suits=0, tested=0, packaged=0)
    fake(locks.parent / "bin", "python3.12", newest)
    run = make(locks, "env", PATH=path)
    assert "3.12.8 runs -m venv --clear .venv" in run.stdout
    assert "newer" not in run.stderr


def test_help_lists_every_command_that_the_guides_name(tmp_path):
    guides = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    text = "\n".join(guide.read_text(encoding="utf-8") for guide in guides)
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", text))
    run = make(tmp_path, "help")
    listed = set(re.findall(r"^make ([a-z-]+) +\S", run.stdout, re.MULTILINE))
    assert run.returncode == 0
    assert {"book", "test", "refresh"} <= named <= listed


@pytest.fixture
def clone(tmp_path):
    """A clone without .venv, and a `python` on PATH that prints what it should run."""
    clone = tmp_path / "a clone"
    (clone / "binder").mkdir(parents=True)
    for name in "environment.yml", "binder/environment.yml":
        shutil.copy(ROOT / name, clone / name)
    fake(tmp_path / "bin", "python", 'echo "conda runs $*"')
    return clone


def on_path(clone):
    return f"{clone.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("name", "kind"), [("batch-norm-gpu", "gpu"), ("batch-norm", "cpu")]
)
def test_an_activated_conda_environment_is_filled_once_and_used(clone, name, kind):
    (clone / "requirements").mkdir()
    (clone / f"requirements/{kind}.txt").touch()
    prefix = clone.parent / "conda"
    prefix.mkdir()
    there = dict(PATH=on_path(clone), CONDA_DEFAULT_ENV=name, CONDA_PREFIX=str(prefix))
    first = make(clone, "lab", **there)
    assert first.returncode == 0, first.stderr
    said, lock, package, *others = first.stdout.splitlines()
    assert said.startswith(f"Installing requirements/{kind}.txt into {prefix}: ")
    assert lock == f"conda runs -m tools.install requirements/{kind}.txt"
    assert package.startswith("conda runs -m pip install") and "--editable" in package
    assert ("conda runs utils/cuda.py link" in others) == (kind == "gpu")
    for target, runs in [
        ("book", "-m tools.book"),
        ("lab", "-m jupyterlab"),
        ("test-unit", "-m pytest"),
    ]:
        run = make(clone, target, **there)
        assert run.returncode == 0, run.stderr
        assert re.search(f"conda runs .*{re.escape(runs)}", run.stdout)
        assert "install" not in run.stdout
    assert not (clone / ".venv").exists()


def test_py_names_any_other_python(clone):
    run = make(clone, "lab", "PY=python", PATH=on_path(clone))
    assert "conda runs -m jupyterlab" in run.stdout
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("name", ["base", ""])
def test_no_other_conda_environment_is_used(clone, name):
    run = make(clone, "lab", PATH=on_path(clone), CONDA_DEFAULT_ENV=name)
    assert run.returncode != 0  # for want of the locks, from which .venv is made
    assert "requirements/cpu.txt" in run.stderr and "conda runs" not in run.stdout


NO_DATA = """case "$*" in
  "-m utils") echo "No usable copy of mnist." >&2; exit 3;;
  *) echo "stand-in: ${BN_STANDIN-none}";;
esac"""


def test_a_laptop_without_the_data_takes_the_standin(clone):
    fake(clone.parent / "bin", "python", NO_DATA)
    run = make(clone, "test-unit", "PY=python", PATH=on_path(clone))
    assert (run.returncode, run.stdout) == (0, "stand-in: digits\n")


@pytest.mark.parametrize("target", ["test-unit", "test-notebooks", "test", "test-full"])
def test_ci_without_the_data_fails_and_says_what_to_do(clone, target):
    fake(clone.parent / "bin", "python", NO_DATA)
    run = make(clone, target, "PY=python", PATH=on_path(clone), CI="true")
    assert run.returncode != 0
    assert "stand-in: digits" not in run.stdout
    assert (
        "No usable copy of mnist.\nWith CI=true the tests need the real data, and no "
        "stand-in takes their place. Name a folder that has them in BN_DATA_DIR, or "
        "let this machine reach a mirror.\n"
    ) in run.stderr


def test_lock_takes_newer_versions(clone):
    fake(clone.parent / "bin", "uv", 'echo "$*"')
    run = make(clone, "lock", PATH=on_path(clone))
    cpu, gpu = [line for line in run.stdout.splitlines() if line.startswith("pip ")]
    # Without it uv keeps each version that the lock has and that still fits.
    assert "--upgrade" in cpu and "--upgrade" in gpu
    assert cpu.endswith("requirements/cpu.txt") and gpu.endswith("requirements/gpu.txt")


@pytest.mark.parametrize("failing", ["cpu", "gpu"])
def test_lock_fails_where_one_cannot_be_compiled(clone, failing):
    fake(clone.parent / "bin", "uv", f'case "$*" in *{failing}.txt) exit 1;; esac')
    assert make(clone, "lock", PATH=on_path(clone)).returncode != 0


@pytest.fixture
def ci(tmp_path):
    """`ci(browser, apt)` runs .ci/run as root, where apt-get runs the line `apt`.

    node: whether there is one.
    """
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    programs = tmp_path / "programs"
    for name, script in ("id", "echo 0"), ("make", 'echo "make $*"'):
        fake(programs, name, script)
    for name in "bash", "dirname":
        (programs / name).symlink_to(shutil.which(name))

    def run(browser, apt, node=True):
        fake(programs, "apt-get", apt)
        if node:
            fake(programs, "node", "exit 1")
        if browser:
            fake(programs, browser, "exit 1")
        return subprocess.run(
            [programs / "bash", ".ci/run"],
            cwd=tmp_path,
            env={"PATH": str(programs)},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("browser", pdf.NAMES)
def test_ci_takes_the_browser_that_is_there(ci, browser):
    run = ci(browser, 'echo "apt-get $*" >&2')
    assert (run.returncode, run.stdout, run.stderr) == (0, "make test\n", "")


def test_ci_installs_a_browser_where_none_is(ci):
    run = ci(None, 'echo "apt-get $*" >&2')
    assert (run.returncode, run.stdout) == (0, "make test\n")
    assert "apt-get -qq install" in run.stderr and "chromium" in run.stderr
    assert "nodejs" not in run.stderr


def test_ci_installs_node_where_none_is(ci):
    run = ci("chromium", 'echo "apt-get $*" >&2', node=False)
    assert (run.returncode, run.stdout) == (0, "make test\n")
    assert run.stderr.endswith("--no-install-recommends nodejs\n")


@pytest.mark.parametrize("apt", ["exit 100", '[ "$2" = update ]'])
def test_ci_runs_what_it_can_where_no_browser_can_be_installed(ci, apt):
    run = ci(None, apt)
    assert (run.returncode, run.stdout) == (0, "make test\n")
    assert "Not to be installed: chromium. The tests say" in run.stderr
