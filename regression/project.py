"""What a project says of itself: the table [tool.regression] of its pyproject.toml."""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings tomli
    import tomli as tomllib


@dataclasses.dataclass(frozen=True)
class Project:
    """The table's entries, each of which may be left out; README.md explains them."""

    root: Path
    notebooks: str = "."
    code: list[str] = dataclasses.field(default_factory=list)
    packages: list[str] = dataclasses.field(default_factory=list)
    benign: list[str] = dataclasses.field(default_factory=list)
    uncompared: list[str] = dataclasses.field(default_factory=list)
    watch: str = ""
    stand_in: str = ""
    rounding: str = ""
    seed: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    short: dict[str, str] = dataclasses.field(default_factory=dict)
    processors: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def profile(self, environment: Mapping[str, str]) -> str:
        """The profile of a run with these environment variables, "short" or "full"."""
        if self.short and self.short.items() <= environment.items():
            return "short"
        return "full"

    def profiles(self) -> dict[str, dict[str, str]]:
        """From a profile's name, the variables that a run in it has set."""
        return ({"short": self.short} if self.short else {}) | {"full": {}}

    def paths(self) -> list[Path]:
        """The paths of all notebooks, relative to where the program runs."""
        found = Path(self.notebooks).rglob("*.ipynb")
        return sorted(path for path in found if not hidden(path))


def hidden(path: Path) -> bool:
    """Whether it is in a folder such as .venv, or _build, or is a checkpoint."""
    return any(part.startswith((".", "_")) and part != ".." for part in path.parts)


def read(root: Path) -> Project:
    """The project in the folder `root`; ValueError where it says what is unknown."""
    path = root / "pyproject.toml"
    found = {}
    if path.exists():
        tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
        found = tools.get("regression", {})
    given = {name.replace("-", "_"): value for name, value in found.items()}
    names = {field.name for field in dataclasses.fields(Project)} - {"root"}
    unknown = sorted(set(given) - names)
    if unknown:
        known = ", ".join(sorted(names)).replace("_", "-")
        raise ValueError(
            f"[tool.regression] of {path} knows no {', '.join(unknown)}, only {known}. "
            "Correct the name."
        )
    return Project(root, **given)


def here() -> Project:
    """The project of the folder that the program runs in; exits where it is faulty."""
    try:
        return read(Path.cwd())
    except ValueError as error:
        sys.exit(str(error))
