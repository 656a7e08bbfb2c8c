"""The package as `pip install` gets it, away from the clone."""

import email
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]

USE = """
import utils, json
train, test = utils.load_mnist(64)
print(json.dumps({
    "file": utils.__file__,
    "shape": next(iter(train))[0].shape,
    "defined": sorted(vars(utils.definitions("batch-norm-scratch"))),
}))
utils.expected("gluon-fashion-test-5", 0.889)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder]
    subprocess.run([*PIP, *build, ROOT], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_metadata_name_the_extras_and_the_pythons(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    assert {"cpu", "gpu", "chapters"} <= set(metadata.get_all("Provides-Extra"))
    assert metadata["Requires-Python"] == ">=3.11"
    classifiers = metadata.get_all("Classifier")
    for version in "3.11", "3.12", "3.13":
        assert f"Programming Language :: Python :: {version}" in classifiers
    needed = metadata.get_all("Requires-Dist")
    assert "mxnet==1.9.1; extra == 'cpu'" in needed
    assert "mxnet-cu112==1.9.1; extra == 'gpu'" in needed
    assert not [
        line for line in needed if line.startswith("mxnet") and "extra" not in line
    ]


def test_wheel_holds_the_course_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    chapters = {p.name for p in (ROOT / "chapters").glob("*.ipynb")}
    assert chapters <= {Path(name).name for name in names}
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"utils", "batch_norm_course.py"}
    kinds = {Path(name).suffix for name in names if "/chapters/" in name}
    assert kinds == {".ipynb", ".json", ".toml"}
    stored = [name for name in names if name.endswith(".json")]
    assert all(name.endswith(".spread.json") for name in stored), stored


def test_installed_package_works_away_from_the_clone(wheel, tmp_path):
    site = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--target", site]
    subprocess.run([*PIP, *install, wheel], check=True)
    # Before the editable installation of this environment.
    settings = {"PYTHONPATH": str(site), "BN_STANDIN": "digits", "BN_PROFILE": "full"}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    found, said = done.stdout.splitlines()
    found = json.loads(found)
    assert Path(found["file"]).is_relative_to(site)
    assert found["shape"] == [64, 1, 28, 28]
    assert "batch_norm" in found["defined"]
    assert (
        said
        == "gluon-fashion-test-5: 0.889 (stand-in data: not comparable with the book)"
    )
