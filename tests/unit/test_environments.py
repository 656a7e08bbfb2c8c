"""The conda environments and the two locks hold the same versions."""

import json
import pathlib
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name):
    """The pins of a lock, as a set of lines "name==version ; marker"."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {line.rstrip(" \\") for line in lines if "==" in line and line[0].isalpha()}


@pytest.mark.parametrize("environment", ["environment.yml", "binder/environment.yml"])
def test_conda_brings_a_python_that_suits_and_no_package(environment):
    """A pin beside the lock would be a second place to change."""
    python, pip = yaml.safe_load((ROOT / environment).read_text())["dependencies"]
    version = python.removeprefix("python=")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert pip == "pip"


def test_binder_installs_the_lock():
    text = (ROOT / "binder/postBuild").read_text()
    assert "-m tools.install requirements/cpu.txt" in text


def test_dev_container_is_the_public_image_of_a_python_that_suits():
    text = (ROOT / ".devcontainer/devcontainer.json").read_text()
    container = json.loads(re.sub("^//.*", "", text, flags=re.MULTILINE))
    version = container["image"].removeprefix("python:").removesuffix("-bookworm")
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert container["postCreateCommand"].endswith("make env")


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_lock_holds_what_the_project_asks_for(extra):
    pins = {}
    for line in locked(f"{extra}.txt"):
        name, _, version = line.partition("==")
        pins.setdefault(name, []).append(version.split()[0])
    extras = PROJECT["optional-dependencies"]
    wanted = [each for name in (extra, "chapters", "pinned") for each in extras[name]]
    ours, *others = extras["course"]
    assert ours == f"{PROJECT['name']}[chapters,pinned]"
    for requirement in map(Requirement, [*PROJECT["dependencies"], *wanted, *others]):
        for version in pins[requirement.name.replace("_", "-")]:
            assert requirement.specifier.contains(version), requirement


def test_a_package_has_two_versions_only_where_python_needs_it():
    names = [line.split("==")[0] for line in locked("cpu.txt")]
    twice = {name for name in names if names.count(name) > 1}
    assert twice == {"contourpy", "numpy", "scipy", "soupsieve"}
    for line in locked("cpu.txt"):
        if line.split("==")[0] in twice:
            assert "python_full_version" in line


def test_locks_differ_in_mxnet_alone():
    differing = {line.split("==")[0] for line in locked("cpu.txt") ^ locked("gpu.txt")}
    assert differing >= {"mxnet", "mxnet-cu112", "nvidia-cudnn-cu11"}
    assert all(name.startswith(("mxnet", "nvidia-")) for name in differing)
