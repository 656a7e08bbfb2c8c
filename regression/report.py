"""The report of a regression run: a line a notebook, and the same in Markdown."""

import html
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from tabulate import tabulate

OUTCOMES = ("compared", "tolerated", "left out", "not run", "failed")


class Report:
    """Collects the facts about each cell and prints them when all have run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.cells = {}  # nodeid -> facts
        self.seconds = {}  # notebook -> seconds
        self.others_failed = False  # a test that is no cell, or a process that died

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        facts = getattr(report, "regression", None)
        if facts is None:
            self.others_failed |= report.failed
            return
        notebook = facts["notebook"]
        self.seconds[notebook] = self.seconds.get(notebook, 0) + report.duration
        if report.when == "call" or report.failed:
            if report.failed:
                facts = {**facts, "outcome": "failed", "text": report.longreprtext}
            self.cells[report.nodeid] = facts

    def notebooks(self) -> dict[str, list[dict]]:
        """The facts of the cells that ran, a list for each notebook."""
        return {
            notebook: [f for f in self.cells.values() if f["notebook"] == notebook]
            for notebook in sorted(self.seconds)
        }

    def rows(self) -> list[list[str]]:
        """The table: a row a notebook, and one for all where there are several."""
        rows = []
        for notebook, cells in self.notebooks().items():
            rows.append(self.row(notebook, self.seconds[notebook], cells))
        if len(rows) > 1:
            total = sum(self.seconds.values())
            rows.append(self.row("all", total, self.cells.values()))
        return rows

    def row(self, name: str, seconds: float, cells: Iterable[dict]) -> list[str]:
        counts = [sum(c["outcome"] == outcome for c in cells) for outcome in OUTCOMES]
        share = max((cell["share"] for cell in cells), default=0)
        return [name, f"{seconds:.0f} s", *map(str, counts), f"{share:.0%}"]

    def left_out(self) -> list[str]:
        """A line for each cell that was not compared, with its reason."""
        return [
            f"left out: {cell['notebook']}, {cell['cell']}: {cell['reason']}"
            for cell in self.cells.values()
            if cell["outcome"] == "left out"
        ]

    def spoiled(self) -> list[str]:
        """The notebooks with a ratio of durations off, where nothing else was."""
        failed = [c for c in self.cells.values() if c["outcome"] == "failed"]
        if not self.others_failed and all(cell["timing"] for cell in failed):
            return sorted({cell["notebook"] for cell in failed})
        return []

    def pytest_sessionfinish(self) -> None:
        if self.config.option.regression_spoiled:
            path = Path(self.config.option.regression_spoiled)
            path.write_text(json.dumps(self.spoiled()))

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        if not self.cells:
            return
        header = ["notebook", "time", *OUTCOMES, "worst share of its tolerance"]
        terminalreporter.section("regression")
        terminalreporter.write_line(self.table(header, "plain"))
        for line in self.left_out():
            terminalreporter.write_line(line)
        if self.config.option.regression_summary:
            path = Path(self.config.option.regression_summary)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.markdown(header), encoding="utf-8")

    def table(self, header: list[str], form: str) -> str:
        alignment = ["left"] + ["right"] * (len(header) - 1)
        return tabulate(self.rows(), header, form, colalign=alignment)

    def markdown(self, header: list[str]) -> str:
        blocks = ["## Notebooks", self.table(header, "pipe")]
        blocks += [f"- {line}" for line in self.left_out()]
        for cell in self.cells.values():
            if cell["outcome"] == "failed":
                blocks.append(f"### {cell['notebook']}, {cell['cell']}")
                blocks.append(self.differences(cell))
        return "\n\n".join(blocks) + "\n"

    def differences(self, cell: dict) -> str:
        if not cell["differences"]:
            return f"```text\n{cell['text']}\n```"
        rows = []
        for found in cell["differences"]:
            sides = zip((found["stored"], found["new"]), found["marks"], strict=True)
            where = html.escape(f"{found['where']}: {found['note']}")
            rows.append([where.replace("|", "&#124;"), *(marked(*s) for s in sides)])
        header = ["", "stored", "new"]
        table = tabulate(rows, header, "pipe", disable_numparse=True)
        return "\n\n".join([*map(html.escape, cell["sentences"]), table])


def marked(line: str | None, spans: list) -> str:
    """A line as HTML for a table, with the given spans in bold; None as a blank."""
    if line is None:
        return "(nothing)"
    pieces, start = [], 0
    for a, b in spans:
        pieces += [html.escape(line[start:a]), f"<b>{html.escape(line[a:b])}</b>"]
        start = b
    pieces.append(html.escape(line[start:]))
    return f"<code>{''.join(pieces)}</code>".replace("|", "&#124;")
