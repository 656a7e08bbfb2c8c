"""Set the course up beside what a hosted notebook has installed already.

In the package it is called `batch_norm_course`, a name that nothing else has:

    pip install --no-deps git+https://github.com/example/batch-norm-course
    python -m batch_norm_course            the build of MXNet that fits this machine
    python -m batch_norm_course cpu        or one by name: cpu, gpu

MXNet and d2l say that they need a NumPy of long ago, so they are installed without what
they ask for; of all else only what is missing or too old. The CUDA 11 libraries go into
a folder of their own, which utils/cuda.py knows: beside the host's CUDA 12 they would
overwrite files that have the same names, and PyTorch would not import any more.
"""

import importlib.metadata as metadata
import os
import re
import subprocess
import sys
from pathlib import Path

COURSE = "batch-norm-course"
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
KINDS = "cpu", "gpu"
OTHER = {"cpu": "mxnet-cu112", "gpu": "mxnet"}

# Which `utils` a notebook in this folder would import, and on what it computes.
WHERE = """
import importlib.util, sys
sys.path.insert(0, "")
print(importlib.util.find_spec("utils").origin)
"""
COMPUTE = """
import utils
utils.try_gpu()
"""


def set_up(kind: str | None = None) -> None:
    """Install what the chapters need, and say what to do before the first cell.

    kind: "cpu" or "gpu", the build of MXNet; None takes the GPU's where its driver
    says that it fits. Ends the program with a sentence where something is missing; a
    second try begins where the first one failed.
    """
    course = metadata.distribution(COURSE)
    utils = Path(course.locate_file("utils"))
    if kind is None:
        # It says in a line what it found.
        asked = subprocess.run([sys.executable, utils / "cuda.py"])
        kind = "cpu" if asked.returncode else "gpu"
    before = _versions()
    _check_owner()
    if OTHER[kind] in before:
        sys.exit(
            f"{OTHER[kind]}, the other build of MXNet, is installed here, and they "
            f"would overwrite each other. Run `{sys.executable} -m pip uninstall "
            f"--yes {OTHER[kind]}`, and then this again."
        )
    print(f"Installing MXNet for the {kind.upper()}, and what the chapters need.")
    try:
        _install(requirements(course, None) + requirements(course, "chapters"))
        build, *cuda = requirements(course, kind)
        _install(["--no-deps", build, *requirements(course, "pinned")])
        if kind == "gpu":
            _install_apart(cuda, utils.parent / "batch_norm_cuda")
            subprocess.run([sys.executable, utils / "cuda.py", "link"], check=True)
        _check_import(utils)
    finally:  # also where it failed: a second try would find nothing replaced
        after = _versions()
        changed = [
            f"{n} {v} → {after[n]}" for n, v in before.items() if after.get(n, v) != v
        ]
        if changed:
            print(
                "Restart the kernel before you go on: pip replaced "
                f"{', '.join(changed)}, and this notebook may have imported what was "
                "there before."
            )
    if not changed:
        print("Ready: go on with the chapter's first cell.")


def requirements(course: metadata.Distribution, extra: str | None) -> list[str]:
    """What `course` requires for an extra, or without any."""
    found = []
    for line in course.requires or ():
        requirement, _, marker = line.partition(";")
        wanted = f"extra == '{extra}'" if extra else ""
        if marker.strip().replace('"', "'") == wanted:
            found.append(requirement.strip())
    return found


def _install(what):
    done = subprocess.run(PIP + what, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = done.stdout.decode(errors="replace").splitlines()
        print(*lines[-8:], sep="\n", file=sys.stderr)
        sys.exit(
            f"pip could not install {', '.join(w for w in what if w[0] != '-')}; its "
            "last lines are above. If this host has no internet, switch it on in the "
            "notebook's settings; then run this again."
        )


def _install_apart(what, folder):
    # Written last: what lies there without it may be half of it.
    complete = folder / "complete.txt"
    if not complete.exists() or complete.read_text() != "\n".join(what):
        _install(["--no-deps", "--upgrade", "--target", str(folder), *what])
        complete.write_text("\n".join(what))


def _versions():
    """{name: version} of what is installed, names as pip compares them."""
    return {
        re.sub(r"[-_.]+", "-", d.name).lower(): d.version
        for d in metadata.distributions()
        if d.name
    }


def _check_owner():
    """End where another package has put its files into the folder `utils`, too."""
    owners = {*metadata.packages_distributions()["utils"]} - {COURSE}
    if owners:
        other = " and ".join(sorted(owners))
        sys.exit(
            f"{other} is installed here and has a `utils` of its own, in the folder of "
            f"the course's: their files are mixed now. Run `{sys.executable} -m pip "
            f"uninstall --yes {other.replace(' and ', ' ')} {COURSE}`, and then the "
            "whole line again."
        )


def _check_import(utils):
    """Import `utils` as a notebook in this folder would, and end where it can't."""
    where = subprocess.check_output([sys.executable, "-c", WHERE], text=True).strip()
    if not os.path.samefile(utils, Path(where).parent):
        sys.exit(
            f"Another `utils` hides the course's: a notebook here imports {where}. "
            "Rename that one, or run the chapter in another folder."
        )
    if subprocess.run([sys.executable, "-c", COMPUTE]).returncode:
        sys.exit("The course does not import here; the lines above say why.")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] not in KINDS:
        sys.exit(f"Expected cpu, gpu, or nothing, but got {sys.argv[1]!r}.")
    set_up(*sys.argv[1:2])
