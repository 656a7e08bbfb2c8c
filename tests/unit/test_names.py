"""Public names have type hints, and private ones stay in their module."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {name: ROOT / name for name in ("utils", "regression", "tools")}
MODULES = [
    f"{package}.{m.name}"
    for package, folder in FOLDERS.items()
    for m in pkgutil.iter_modules([folder])
    # The plugin has pytest's hooks and nbval's methods, figure_data runs in a kernel.
    if m.name not in ("__main__", "plugin", "figure_data")
]


def public_functions(module):
    """(name, function) of the module's own ones, and of its classes' methods."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            for method, function in vars(thing).items():
                function = getattr(function, "fget", function)
                # A named tuple makes methods of its own.
                if inspect.isfunction(function) and (
                    function.__code__.co_filename == module.__file__
                ):
                    if not re.match("_[^_]", method):
                        yield f"{name}.{method}", function


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_type_hints(name):
    missing = []
    for label, function in public_functions(importlib.import_module(name)):
        signature = inspect.signature(function)
        empty = [
            p.name for p in signature.parameters.values() if p.annotation is p.empty
        ]
        if signature.return_annotation is signature.empty:
            empty.append("what it returns")
        missing += [f"{label}: {e}" for e in empty if e != "self"]
    assert not missing


PACKAGES = "utils", "regression", "tools", "benchmarks", "_ext"
PATHS = [path for name in PACKAGES for path in sorted(ROOT.glob(f"{name}/*.py"))]


@pytest.mark.parametrize(
    "path", PATHS, ids=lambda path: f"{path.parent.name}.{path.stem}"
)
def test_private_names_stay_in_their_module(path):
    private, modules = re.compile(r"_[^_]").match, {p.stem for p in PATHS}
    used = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            used += [a.name for a in node.names if private(a.name)]
        elif isinstance(node, ast.Attribute) and private(node.attr):
            owner = ast.unparse(node.value).rpartition(".")[2]
            used += [f"{owner}.{node.attr}"] if owner in modules else []
    assert not used
