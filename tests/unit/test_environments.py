"""The conda environments and the two locks hold the same versions."""

import pathlib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name):
    """The pins of a lock, as a set of lines "name==version ; marker"."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {line.rstrip(" \\") for line in lines if "==" in line and line[0].isalpha()}


@pytest.mark.parametrize(
    ("environment", "lock"),
    [("environment.yml", "gpu"), ("binder/environment.yml", "cpu")],
)
def test_conda_installs_the_lock_on_a_python_that_suits(environment, lock):
    path = ROOT / environment
    of_conda = yaml.safe_load(path.read_text())["dependencies"]
    of_pip = [
        each for part in of_conda if isinstance(part, dict) for each in part["pip"]
    ]
    (python,) = [part for part in of_conda if str(part).startswith("python=")]
    version = python.removeprefix("python=")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    # A pin of its own beside the lock would be a second place to change.
    (line,) = of_pip
    included = path.parent / line.removeprefix("-r ")
    assert included.resolve() == ROOT / "requirements" / f"{lock}.txt"


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_lock_holds_what_the_project_asks_for(extra):
    pins = {line.split("==")[0]: line.split("==")[1] for line in locked(f"{extra}.txt")}
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras[extra], *extras["course"]]
    for requirement in map(Requirement, wanted):
        version = pins[requirement.name.replace("_", "-")].split()[0]
        assert requirement.specifier.contains(version), requirement


def test_locks_differ_in_mxnet_alone():
    differing = {line.split("==")[0] for line in locked("cpu.txt") ^ locked("gpu.txt")}
    assert differing >= {"mxnet", "mxnet-cu112", "nvidia-cudnn-cu11"}
    assert all(name.startswith(("mxnet", "nvidia-")) for name in differing)
