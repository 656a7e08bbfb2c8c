"""What holds for every module of `utils`: hints on public names, private names kept."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import utils
import pytest

FOLDER = Path(utils.__file__).parent
MODULES = [m.name for m in pkgutil.iter_modules([FOLDER]) if m.name != "__main__"]


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
    for label, function in public_functions(importlib.import_module(f"utils.{name}")):
        signature = inspect.signature(function)
        empty = [
            p.name for p in signature.parameters.values() if p.annotation is p.empty
        ]
        if signature.return_annotation is signature.empty:
            empty.append("what it returns")
        missing += [f"{label}: {e}" for e in empty if e != "self"]
    assert not missing


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem
)
def test_private_names_stay_in_their_module(path):
    private = re.compile(r"_[^_]").match
    used = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("utils"):
            used += [alias.name for alias in node.names if private(alias.name)]
        elif isinstance(node, ast.Attribute) and private(node.attr):
            owner = ast.unparse(node.value).rpartition(".")[2]
            used += [f"{owner}.{node.attr}"] if owner in MODULES else []
    assert not used
