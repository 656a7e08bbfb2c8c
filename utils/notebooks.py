"""Take the definitions out of a chapter, so that each is written once only."""

import ast
import json
from pathlib import Path
from types import SimpleNamespace

# An installed package has the chapters inside, a clone has them beside it.
_INSIDE, _BESIDE = (p / "chapters" for p in Path(__file__).resolve().parents[:2])
CHAPTERS = _INSIDE if _INSIDE.is_dir() else _BESIDE


def definitions(chapter: str, folder: str | Path = CHAPTERS) -> SimpleNamespace:
    """The functions, classes and literals that a chapter's notebook defines.

    chapter: a notebook's name without `.ipynb`, such as "batch-norm-scratch".
    Runs only the imports, the function and the class definitions at the top
    level of its code cells, and what gives a literal to a name (`CODE = "..."`,
    `SEED = 42`, a tuple, a dict, or a sum of such names); no training, no magic
    (`%time f()`) and no command (`!ls`).
    A cell that is all magic (`%%time`) adds nothing. Where a name is defined twice,
    the later definition wins. Returns an object with one attribute per name. Raises
    FileNotFoundError where there is no such chapter, and ValueError where a code
    cell is not Python.
    """
    path = Path(folder) / f"{chapter}.ipynb"
    if not path.is_file():
        found = ", ".join(sorted(p.stem for p in Path(folder).glob("*.ipynb")))
        raise FileNotFoundError(
            f"definitions expects the name of a chapter, but there is no {path.name} "
            f"in {Path(folder).name}/; the chapters are: {found or 'none'}."
        )
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    names, literals = {"__name__": path.stem}, set()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(cells, 1):
        if cell["cell_type"] == "code":
            place = cell.get("id", number)  # notebooks before version 4.5 have no ids
            try:
                tree = _parse("".join(cell["source"]))
            except (SyntaxError, ValueError) as error:  # ValueError: null bytes
                line = f"line {error.lineno}: " if getattr(error, "lineno", 0) else ""
                raise ValueError(
                    f"definitions expects Python in each code cell, but cell {place} "
                    f"of {path.name} is none ({line}{getattr(error, 'msg', error)}); "
                    "correct that cell, or make it a Markdown cell."
                ) from None
            tree.body = [
                node
                for node in tree.body
                if isinstance(node, wanted) or _gives_literal(node, literals)
            ]
            exec(compile(tree, f"{path.name}:{place}", "exec"), names)
    return SimpleNamespace(**names)


def _gives_literal(node, known):
    """Whether it assigns a literal, made of those in `known`; adds its name to them."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            if _is_literal(value, known):
                known.add(name)
                return True
    return False


def _is_literal(value, known):
    match value:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in known
        case ast.UnaryOp(op=ast.USub(), operand=part):
            parts = [part]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [left, right]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            pass
        case ast.Dict(keys=keys, values=values):
            parts = keys + values
        case _:
            return False
    return all(_is_literal(part, known) for part in parts)


def _parse(source):
    """The syntax tree of a cell, with IPython's own syntax turned into calls."""
    try:
        return ast.parse(source)
    except SyntaxError:
        # Only here, as it is not there where nobody runs notebooks.
        from IPython.core.inputtransformer2 import TransformerManager

        return ast.parse(TransformerManager().transform_cell(source))


def source(chapter: str, name: str, folder: str | Path = CHAPTERS) -> str:
    """The source text of a function or class that a chapter defines, the last such.

    Raises LookupError where the chapter defines none of this name.
    """
    path = Path(folder) / f"{chapter}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in reversed(cells):
        if cell["cell_type"] == "code":
            text = "".join(cell["source"])
            for node in reversed(_parse(text).body):
                if getattr(node, "name", None) == name:
                    return "\n".join(
                        text.splitlines()[node.lineno - 1 : node.end_lineno]
                    )
    raise LookupError(
        f"source expects the name of a function or class of {path.name}, but found no "
        f"{name} there; `definitions` has those that there are."
    )
