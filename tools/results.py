"""What the notebooks store, as Markdown tables, so that no number is typed.

    python -m tools.results README.md

writes the table of results between the file's two `<!-- results -->` marks. The book's
pages show the same and other tables by the directives of _ext/stored.py.
"""

import json
import re
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml
from tabulate import tabulate
from utils.seeds import is_expected

GLUE = "application/papermill.record/text/plain"
MARK = "<!-- results -->"
OUTSIDE = " ▲"  # behind a published figure that our seeds would hardly give


class Stored:
    """One chapter's notebook: its title, provenance, glued values and logs."""

    def __init__(self, root: str | Path, chapter: str) -> None:
        self.chapter = chapter
        self.path = Path(root) / "chapters" / f"{chapter}.ipynb"
        if not self.path.is_file():
            raise ValueError(
                f"Expected the notebook chapters/{chapter}.ipynb, found no such file. "
                "Correct the name where it is asked for."
            )
        notebook = json.loads(self.path.read_text(encoding="utf-8"))
        self.cells = notebook["cells"]
        self.provenance = notebook["metadata"].get("provenance")
        self.times = notebook["metadata"].get("times", {})  # seconds, cpu and gpu
        spread = self.path.with_suffix(".spread.json")
        self.seeds = {}  # name: values, one for each seed
        if spread.is_file():
            self.seeds = json.loads(spread.read_text(encoding="utf-8"))["seeds"]

    @property
    def title(self) -> str:
        text = "".join(self.cells[0]["source"])
        return re.search(r"^# (.+)$", text, re.MULTILINE)[1]

    def value(self, name: str) -> tuple[float, str]:
        """The glued number `name` and the id of the cell that glued it."""
        # A duration is stored as text with its unit, "8.7 s", since the regression
        # run leaves out what has a unit of time.
        text, cell = self.text(name)
        return float(text.removesuffix(" s")), cell

    def text(self, name: str) -> tuple[str, str]:
        """What was glued under `name`, as text, and the id of the cell that did it."""
        names = []
        for cell in self.cells:
            for output in cell.get("outputs", ()):
                glued = output.get("metadata", {}).get("scrapbook", {}).get("name")
                if glued == name:
                    return "".join(output["data"][GLUE]).strip("'"), cell["id"]
                if glued:
                    names.append(glued)
        raise ValueError(
            f'Expected chapters/{self.chapter}.ipynb to store a value "{name}", found '
            f'{", ".join(names) or "none"}. Glue it there with glue("{name}", value, '
            "display=False), or correct the name in chapters/results.yml or claims.yml."
        )

    def logged(self, log: str, pattern: str) -> list[float]:
        """The numbers that `pattern` finds in what the cell `log` printed, in order."""
        cells = {cell["id"]: cell.get("outputs", ()) for cell in self.cells}
        outputs = cells.get(log, ())
        text = "".join("".join(output.get("text", "")) for output in outputs)
        found = re.findall(pattern, text, re.MULTILINE)
        if not found:
            raise ValueError(
                f'Expected the cell "{log}" of chapters/{self.chapter}.ipynb to store '
                f"a log with lines that match {pattern}, found none. Correct the "
                "cell's name where it is asked for."
            )
        return [float(number) for number in found]

    def epoch(self, log: str) -> float:
        """Median of the seconds that end the lines which the cell `log` printed."""
        return statistics.median(self.logged(log, r"([\d.]+) s$"))


def duration(seconds: float) -> str:
    # With spaces, and below hyphens, at which no line breaks.
    if seconds < 60:
        return f"{seconds:.0f}\u00a0s"
    return f"{seconds / 60:.0f}\u00a0min"


def date(provenance: dict | None) -> str:
    return provenance["date"].replace("-", "\u2011") if provenance else "never"


def table(headers: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a Markdown table, with the `|` in its cells escaped."""
    cells = [[str(cell).replace("|", r"\|") for cell in row] for row in rows]
    return tabulate(cells, headers, tablefmt="pipe", disable_numparse=True).split("\n")


def chapters_table(root: str | Path, lines: Iterable[str]) -> list[str]:
    """The map: `lines` are "chapter: what a reader will do there"."""
    rows = []
    for line in lines:
        chapter, _, does = line.partition(":")
        stored = Stored(root, chapter.strip())
        times = [
            duration(stored.times[kind]) if kind in stored.times else "–"
            for kind in ("cpu", "gpu")
        ]
        link = f"[{stored.title}](/chapters/{stored.chapter}.ipynb)"
        rows.append([link, does.strip(), *times, date(stored.provenance)])
    return table(["Chapter", "What you will do", "CPU", "GPU", "Re-executed"], rows)


def status_table(root: str | Path) -> list[str]:
    rows = []
    for path in sorted(Path(root, "chapters").glob("*.ipynb")):
        stored = Stored(root, path.stem)
        link = f"[{stored.title}](/chapters/{path.name})"
        ran = stored.provenance
        if ran is None:
            rows.append([link, date(ran), *"––––"])
            continue
        versions = ", ".join(f"{k} {v}" for k, v in ran["packages"].items())
        device = f"{ran['device']}, {ran['processor']}"
        time = duration(ran["seconds"])
        rows.append([link, date(ran), time, device, ran["seed"], versions])
    headers = ["Chapter", "Re-executed", "Time", "Device", "Seed", "Versions"]
    return table(headers, rows)


def read_runs(root: str | Path) -> list[dict]:
    path = Path(root) / "chapters" / "results.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


CELL = "{{ref}}`{text} <{chapter}#{cell}>`"  # a label that chapters.py gives each cell
FILE = "[{text}](chapters/{chapter}.ipynb)"


def results_table(
    root: str | Path, link: str = CELL, headlines: bool = False
) -> list[str]:
    """Published beside measured, one row a figure of chapters/results.yml.

    With `headlines` only the figures that are marked as such, one for each run.
    """
    rows = []
    for run in read_runs(root):
        stored = Stored(root, run["chapter"])
        device = stored.provenance["device"] if stored.provenance else "–"
        name = f"{run['network']}, {run['dataset']}"
        setting = (
            f"batch {run['batch']}, learning rate {run['learning rate']}, "
            f"{run['epochs']} epochs"
        )
        for figure in run["figures"]:
            if headlines and not figure.get("headline"):
                continue
            value, cell = stored.value(figure["measured"])
            published = figure["published"]
            decimals = len(published.partition(".")[2])
            here = link.format(
                text=f"{value:.{decimals}f}", chapter=run["chapter"], cell=cell
            )
            seeds, spread = stored.seeds.get(figure["measured"], ()), "–"
            if len(seeds) > 1:
                spread = f"{statistics.stdev(seeds):.{decimals + 1}f} ({len(seeds)})"
                if not is_expected(float(published), seeds, 0.5 / 10**decimals):
                    published += OUTSIDE
            rows.append(
                [name, setting, figure["name"], published, here, spread, device]
            )
            name = setting = ""  # said once a run
    headers = ["Run", "Setting", "Figure", "Published", "Here", "± seeds", "On"]
    return table(headers, rows)


def claims_table(root: str | Path) -> list[str]:
    """The claims of chapters/claims.yml, beside what their chapter glues of each.

    It glues "claim-NAME", a text "what was computed: verdict".
    """
    path = Path(root) / "chapters" / "claims.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    stored = Stored(root, content["chapter"])
    rows = []
    for claim in content["claims"]:
        text, cell = stored.text(f"claim-{claim['name']}")
        here, verdict = text.split(": ")
        here = CELL.format(text=here, chapter=content["chapter"], cell=cell)
        rows.append([claim["says"], claim["source"], claim["published"], here, verdict])
    return table(["Claim", "Source", "Published", "Computed here", "Verdict"], rows)


def expected_table(root: str | Path) -> list[str]:
    """Mean and deviation over seeds of each headline of chapters/results.yml."""
    rows = []
    for run in read_runs(root):
        seeds = Stored(root, run["chapter"]).seeds
        for figure in run["figures"]:
            values = seeds.get(figure["measured"], ())
            if figure.get("headline") and len(values) > 1:
                mean, spread = statistics.mean(values), statistics.stdev(values)
                name = f"{run['network']}, {run['dataset']}"
                shown = f"{mean:.4f} ± {spread:.4f}"
                rows.append([name, figure["name"], shown, len(values)])
    return table(["Run", "Figure", "Over the seeds", "Seeds"], rows)


def epochs_table(root: str | Path) -> list[str]:
    """Seconds per epoch of each run in chapters/results.yml, and the device."""
    rows = []
    for run in read_runs(root):
        stored = Stored(root, run["chapter"])
        ran = stored.provenance
        device = f"{ran['device']}, {ran['processor']}" if ran else "–"
        name = f"[{run['network']}, {run['dataset']}](/chapters/{stored.path.name})"
        time = f"{stored.epoch(run['log']):.1f}\u00a0s"
        rows.append([name, run["batch"], time, device])
    return table(["Run", "Batch", "An epoch", "On"], rows)


def with_results(readme: str, root: str | Path) -> str:
    """The text `readme` with the present table of results between its marks."""
    parts = readme.split(MARK)
    if len(parts) != 3:
        raise ValueError(
            f"Expected the line {MARK} twice, found it {len(parts) - 1} times. Write "
            "it before and after where the table of results belongs."
        )
    before, _, after = parts
    rows = results_table(root, FILE, headlines=True)
    return "\n".join([before + MARK, *rows, MARK + after])


if __name__ == "__main__":
    file = Path(sys.argv[1])
    text = file.read_text(encoding="utf-8")
    file.write_text(with_results(text, file.resolve().parent), encoding="utf-8")
