"""Which statements of a notebook lead to a cell, so that a changed plot costs nothing.

What is measured of a training is kept with a digest of the code that leads to it: the
cell itself, the statements above it that define or change a name it uses, those that
these use, and so on. Comments, layout, and docstrings do not count.
"""

import ast
import builtins
import hashlib

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

_IMPORTS = ast.Import, ast.ImportFrom


def digest(notebook: NotebookNode, cell_id: str) -> str:
    """A digest of the code that leads to the cell `cell_id`, itself included."""
    codes = statements_of_all(notebook)
    last = [name for name, _ in codes].index(cell_id)
    found = [
        (position == last, statement)
        for position, (_, body) in enumerate(codes[: last + 1])
        for statement in body
    ]
    modules = set(dir(builtins))
    for _, statement in found:
        if isinstance(statement, _IMPORTS):
            modules |= _changes(statement, set())
    needed, kept = set(), []
    for own, statement in reversed(found):
        if own or _seeds(statement) or _changes(statement, modules) & needed:
            needed |= _needs(statement)
            kept.append(dump(_without_docstrings(statement)))
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16]


def dump(node: object) -> str:
    """A syntax tree as text that is the same on each Python, unlike `ast.dump`'s.

    It is what `ast.dump` writes on Python 3.11: 3.13 leaves empty lists out, and 3.12
    has given functions and classes a field for their type parameters.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    shown = []
    for name in node._fields:
        value = getattr(node, name, None)
        left_out = value is None and getattr(type(node), name, ...) is None
        if not left_out and (name, value) != ("type_params", []):
            shown.append(f"{name}={dump(value)}")
    return f"{type(node).__name__}({', '.join(shown)})"


def statements(source: str) -> list[ast.stmt]:
    """The statements of a cell, with IPython's own lines as the calls that they are."""
    return ast.parse(TransformerManager().transform_cell(source)).body


def statements_of_all(notebook: NotebookNode) -> list[tuple[str, list[ast.stmt]]]:
    """(id, statements) of each code cell; none where it shows a SyntaxError."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                found.append((cell.id, statements(cell.source)))
            except SyntaxError:
                found.append((cell.id, []))
    return found


def _seeds(statement):
    """Whether it sets a generator's seed, on which whatever comes later depends."""
    called = (n.func for n in ast.walk(statement) if isinstance(n, ast.Call))
    return any(isinstance(f, ast.Attribute) and f.attr == "seed" for f in called)


def _names(node, kind):
    found = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return {name.id for name in found if isinstance(name.ctx, kind)}


def _needs(statement):
    """The names that a statement takes from elsewhere."""
    loaded = _names(statement, ast.Load)
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        arguments = {n.arg for n in ast.walk(statement) if isinstance(n, ast.arg)}
        loaded -= arguments | _names(statement, ast.Store)
    return loaded


def _changes(statement, modules):
    """The names that a statement at the top level defines, or may change by a call.

    modules: names that no call changes, those of imports and built-in functions.
    """
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, _IMPORTS):
        return {(a.asname or a.name).split(".")[0] for a in statement.names}
    changed = _names(statement, ast.Store)
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, *_IMPORTS)):
            changed |= _changes(node, modules)
        # layer.initialize(…), X[0] = …, and train(net): whatever is named there.
        if isinstance(node, ast.Expr) or (
            isinstance(node, (ast.Attribute, ast.Subscript))
            and isinstance(node.ctx, ast.Store)
        ):
            changed |= _names(node, ast.Load) - modules
    return changed


def _without_docstrings(statement):
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return statement
