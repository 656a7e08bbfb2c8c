"""The playground: its own tests, run by Node, and what Python gives to it."""

import gzip
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sphinx.errors import ExtensionError

from tests.support import missing
from tools import oxlint, playground

ROOT = Path(__file__).parents[2]
SUITES = sorted(ROOT.glob("tests/playground/*.test.mjs"))
LIMIT = 40_000  # bytes of the page's script, compressed


@pytest.fixture(scope="module")
def extension():
    """_ext/playground.py, which has the name of another module."""
    path = ROOT / "_ext/playground.py"
    spec = importlib.util.spec_from_file_location("playground_directive", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def node(*arguments, **options):
    """Run Node; skip the test where there is none."""
    if not (found := shutil.which("node")):
        missing(playground.NO_NODE)
    return subprocess.run(
        [found, *arguments], capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_node_runs_its_tests(suite):
    count = len(re.findall(r"^ *test\(", suite.read_text(encoding="utf-8"), re.M))
    assert count > 0
    if not shutil.which("node"):
        missing(f"{playground.NO_NODE} {suite.name} needs it: {count} tests or more.")
    run = node("--test", suite, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_page_s_script_is_one_and_small(extension, tmp_path):
    script = extension.join(ROOT / "playground", "main.js")
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert len(gzip.compress(script.encode(), 9)) <= LIMIT
    # A name that two modules declare is an error of syntax in the joined script.
    (tmp_path / "joined.js").write_text(script, encoding="utf-8")
    run = node("--check", tmp_path / "joined.js")
    assert run.returncode == 0, run.stderr


def test_what_is_imported_comes_first_and_once(extension, tmp_path):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nuse(b, 1);\n')
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nexport const b = c;\n')
    (tmp_path / "c.js").write_text("export function c() {}\n")
    joined = extension.join(tmp_path, "a.js").split("\n")
    lines = [line for line in joined if line and '"use strict"' not in line]
    assert lines == [
        "(() => {",
        "function c() {}",
        "const b = c;",
        "use(b, 1);",
        "})();",
    ]


@pytest.mark.parametrize("line", ['import b from "./b.js";', "export default 3;"])
def test_another_kind_of_import_or_export_is_told(extension, tmp_path, line):
    (tmp_path / "a.js").write_text(f"{line}\n")
    with pytest.raises(ExtensionError, match="Expected imports like.*found in .*a.js"):
        extension.join(tmp_path, "a.js")


def test_the_fixture_is_what_mxnet_computes_now():
    stored = playground.json.loads(playground.FIXTURE.read_text(encoding="utf-8"))
    new = playground.fixture()
    assert stored.keys() == new.keys()
    for name, run in new.items():
        for key in "setting", "parameters":
            assert stored[name][key] == run[key]
        for old_step, step in zip(stored[name]["steps"], run["steps"], strict=True):
            assert old_step["X"] == step["X"] and old_step["y"] == step["y"]
            assert old_step["loss"] == pytest.approx(step["loss"], rel=1e-5)
            largest = max(abs(x) for part in step["gradients"] for x in part)
            for kind, size in ("gradients", largest), ("statistics", 1):
                for old, found in zip(old_step[kind], step[kind], strict=True):
                    np.testing.assert_allclose(
                        old, found, rtol=1e-5, atol=2e-5 * size, err_msg=name
                    )


def test_the_pictures_are_the_real_ones(real_data):
    stored = playground.PICTURES.read_text(encoding="utf-8")
    assert stored == playground.pictures_script()


def test_a_stand_in_is_no_picture_of_fashion_mnist(monkeypatch):
    monkeypatch.setenv("BN_STANDIN", "digits")
    with pytest.raises(ValueError, match="Expected the real Fashion-MNIST, found a"):
        playground.pictures_script()


def test_a_fault_in_a_script_is_found(tmp_path, capfd):
    (tmp_path / "a.js").write_text("const unused = 1;\n")
    assert oxlint.lint(tmp_path / "a.js") == 1
    assert "'unused' is declared but never used" in capfd.readouterr().out


def test_without_oxlint_the_command_says_what_installs_it(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(oxlint.sysconfig, "get_path", lambda _: str(tmp_path))
    assert oxlint.lint("playground") == 127
    assert "`make env` installs it" in capsys.readouterr().err
