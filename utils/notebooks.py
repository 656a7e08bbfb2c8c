"""Take the definitions out of a chapter, so that each is written once only."""

import ast
import json
from pathlib import Path
from types import SimpleNamespace

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"


def definitions(chapter, folder=CHAPTERS):
    """The functions and classes that a chapter's notebook defines.

    chapter: a notebook's name without `.ipynb`, such as "batch-norm-scratch".
    Runs only the imports, the function and the class definitions at the top
    level of its code cells, no training. Where a name is defined twice, the
    later definition wins. Returns an object with one attribute a name. Raises
    FileNotFoundError where there is no such chapter.
    """
    path = Path(folder) / f"{chapter}.ipynb"
    if not path.is_file():
        found = ", ".join(sorted(p.stem for p in Path(folder).glob("*.ipynb")))
        raise FileNotFoundError(
            f"definitions expects the name of a chapter, but there is no {path.name} "
            f"in {Path(folder).name}/; the chapters are: {found or 'none'}."
        )
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    names = {"__name__": path.stem}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            tree.body = [node for node in tree.body if isinstance(node, wanted)]
            exec(compile(tree, f"{path.name}:{cell['id']}", "exec"), names)
    return SimpleNamespace(**names)
