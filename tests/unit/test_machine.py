"""What is told of the machine."""

import platform

import numpy as np

from tools import machine


def test_the_machine_is_described():
    found = machine.describe()
    assert found["processor"].endswith(f", {machine.cores()} cores")
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["load"] >= 0


def test_an_unknown_processor_has_cores_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "no such file")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine.processor() == f"unknown processor, {machine.cores()} cores"


def test_only_packages_that_are_there_have_a_version():
    assert machine.versions(["numpy", "no-such-package"]) == {"numpy": np.__version__}
