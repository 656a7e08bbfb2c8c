"""What a project says of itself: the table [tool.regression] of its pyproject.toml."""

import dataclasses
import re
import subprocess
import sys
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Project:
    """The table's entries, each of which may be left out; README.md explains them."""

    root: Path
    notebooks: str = "."
    code: list[str] = dataclasses.field(default_factory=list)
    packages: dict[str, str] = dataclasses.field(default_factory=dict)
    benign: list[str] = dataclasses.field(default_factory=list)
    uncompared: list[str] = dataclasses.field(default_factory=list)
    watch: str = ""
    stand_in: str = ""
    prose: str = ""
    rounding: str = ""
    seed: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    short: dict[str, str] = dataclasses.field(default_factory=dict)
    processors: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    needs: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def profile(self, environment: Mapping[str, str]) -> str:
        """The profile of a run with these environment variables, "short" or "full"."""
        if self.short and self.short.items() <= environment.items():
            return "short"
        return "full"

    def profiles(self) -> dict[str, dict[str, str]]:
        """From a profile's name, the variables that a run in it has set."""
        return ({"short": self.short} if self.short else {}) | {"full": {}}

    def lacks(self, notebook: str) -> str:
        """What a notebook needs and this machine lacks, in a sentence; mostly empty."""
        if notebook not in self.needs:
            return ""
        command = [sys.executable, *self.needs[notebook]]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip() if done.returncode else ""

    def paths(self) -> list[Path]:
        """The paths of all notebooks, relative to where the program runs."""
        found = Path(self.notebooks).rglob("*.ipynb")
        return sorted(path for path in found if not hidden(path))


def hidden(path: Path) -> bool:
    """Whether it is in a folder such as .venv, or _build, or is a checkpoint."""
    return any(part.startswith((".", "_")) and part != ".." for part in path.parts)


def read(root: Path) -> Project:
    """The project in the folder `root`; ValueError where its table makes no sense."""
    path = root / "pyproject.toml"
    found = {}
    if path.exists():
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} can't be read: {error}") from None
    for name in "tool", "regression":
        found = found.get(name, {})
        if not isinstance(found, dict):
            raise ValueError(f"In {path}, {name} has to be a table. Correct it.")
    given = {name.replace("-", "_"): value for name, value in found.items()}
    kinds = typing.get_type_hints(Project)
    del kinds["root"]
    unknown = sorted(set(given) - set(kinds))
    if unknown:
        known = ", ".join(sorted(kinds)).replace("_", "-")
        raise ValueError(
            f"[tool.regression] of {path} knows no {', '.join(unknown)}, only {known}. "
            "Correct the name."
        )
    for name, value in given.items():
        if not is_of(value, kinds[name]):
            kind = getattr(kinds[name], "__name__", "") + "".join(
                re.findall(r"\[.*\]", str(kinds[name]))
            )
            raise ValueError(
                f"In [tool.regression] of {path}, {name.replace('_', '-')} has to be "
                f"of the kind {kind}, but it is {value!r}. Correct it."
            )
    for pattern in (*given.get("benign", ()), *given.get("uncompared", ())):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"In [tool.regression] of {path}, {pattern!r} has to be a regular "
                f"expression, but is none: {error}. Correct it."
            ) from None
    return Project(root, **given)


def is_of(value: object, kind: type) -> bool:
    """Whether a value from TOML is of a kind such as dict[str, list[str]]."""
    outer, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if not isinstance(value, outer):
        return False
    parts = value.values() if outer is dict else value if outer is list else ()
    return all(is_of(part, inner[-1]) for part in parts)


def here() -> Project:
    """The project of the folder that the program runs in; exits where it is faulty."""
    try:
        return read(Path.cwd())
    except ValueError as error:
        sys.exit(str(error))
