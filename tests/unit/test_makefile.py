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


@pytest.fixture
def too_new(tmp_path):
    """A folder for PATH with nothing but a Python 3.12."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.12.1" && exit\nexit 1\n'
    )
    python.chmod(0o755)
    return folder


@pytest.mark.parametrize("target", ["book", "test", "env", "env-gpu", "lab", "bench"])
def test_too_new_python_is_told_before_anything_is_made(tmp_path, too_new, target):
    clone = tmp_path / "a clone"
    clone.mkdir()
    (clone / "requirements").mkdir()
    for kind in "cpu", "gpu":
        (clone / f"requirements/{kind}.txt").touch()
    run = make(clone, target, PATH=str(too_new))
    assert run.returncode != 0
    assert re.search(
        r"Python 3\.10 or 3\.11 is needed .*found: Python 3\.12\.1\. Install",
        run.stderr,
    )
    assert "Traceback" not in run.stderr
    assert not (clone / ".venv").exists()


def fake(folder, name, script):
    """Put a program `name` into `folder` that runs the lines `script`."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


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


@pytest.mark.parametrize("name", ["batch-norm-gpu", "batch-norm"])
def test_an_activated_conda_environment_is_used_as_it_is(clone, name):
    for target, runs in [
        ("book", "build ."),
        ("lab", "-m jupyterlab"),
        ("test-unit", "-m pytest"),
    ]:
        run = make(clone, target, PATH=on_path(clone), CONDA_DEFAULT_ENV=name)
        assert run.returncode == 0, run.stderr
        assert re.search(f"conda runs .*{re.escape(runs)}", run.stdout)
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
    """`ci(browser, apt)` runs .ci/run as root, where apt-get runs the line `apt`."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    programs = tmp_path / "programs"
    for name, script in ("id", "echo 0"), ("make", 'echo "make $*"'):
        fake(programs, name, script)
    for name in "bash", "dirname":
        (programs / name).symlink_to(shutil.which(name))

    def run(browser, apt):
        fake(programs, "apt-get", apt)
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


@pytest.mark.parametrize("apt", ["exit 100", '[ "$2" = update ]'])
def test_ci_runs_what_it_can_where_no_browser_can_be_installed(ci, apt):
    run = ci(None, apt)
    assert (run.returncode, run.stdout) == (0, "make test\n")
    assert "Chromium could not be installed; the tests say" in run.stderr
