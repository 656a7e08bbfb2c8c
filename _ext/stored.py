"""What the notebooks store, as tables and a figure (tools/results.py reads them).

Directives for pages of the book:

- `stored-chapters`: the map of the chapters. Each line of its body is a chapter, a
  colon and what a reader will do there; times and dates come from the notebooks.
- `stored-status`: for each notebook when, where, how long and with what it ran.
- `stored-results`: the published runs of chapters/results.yml beside what the
  notebooks measured, as stored by `glue(name, value, display=False)`.
- `stored-claims`: the claims of chapters/claims.yml, beside what a chapter computed of
  each and its verdict. Its argument is the table's name, as two pages show it.
- `stored-expected`: for these runs, what several seeds lead to.
- `stored-epochs`: how long an epoch of each of these runs takes, from its log.
- `stored-picture`: the front page's, of two trainings (tools/front.py).
"""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tools import front, results


def numbered(rows, name, caption):
    """The table with a number and a caption, for references to `name`."""
    return [f":::{{table}} {caption}", f":name: {name}", "", *rows, ":::"]


class StoredDirective(SphinxDirective):
    """Stands for what `stored` makes of the notebooks below `root`."""

    has_content = True

    def run(self):
        self.root = Path(self.env.srcdir)
        for path in (self.root / "chapters").glob("*.ipynb"):
            self.env.note_dependency(str(path))
        try:
            return self.stored()
        except (ValueError, KeyError) as error:
            raise self.error(str(error)) from error

    def parse(self, lines):
        return self.parse_text_to_nodes(StringList(lines, self.get_location()))


class Chapters(StoredDirective):
    def stored(self):
        rows = results.chapters_table(self.root, self.content)
        caption = "The chapters, and how long each runs; –: not run there yet."
        return self.parse(numbered(rows, "tab-chapters", caption))


class Status(StoredDirective):
    def stored(self):
        caption = "The last full run of each chapter."
        return self.parse(
            numbered(results.status_table(self.root), "tab-status", caption)
        )


class Results(StoredDirective):
    def stored(self):
        caption = "Published results, and what this book measures."
        return self.parse(
            numbered(results.results_table(self.root), "tab-results", caption)
        )


class Claims(StoredDirective):
    required_arguments = 1

    def stored(self):
        caption = "What is said of batch normalization, and what came of it here."
        rows = results.claims_table(self.root)
        return self.parse(numbered(rows, self.arguments[0], caption))


class Expected(StoredDirective):
    def stored(self):
        caption = "What other seeds led to: mean and standard deviation."
        return self.parse(
            numbered(results.expected_table(self.root), "tab-expected", caption)
        )


class Epochs(StoredDirective):
    def stored(self):
        caption = "An epoch of training: the median of the times in its log."
        return self.parse(
            numbered(results.epochs_table(self.root), "tab-epochs", caption)
        )


class Picture(StoredDirective):
    has_content = False

    def stored(self):
        svg, caption = front.picture(self.root)
        drawn = nodes.raw("", svg, format="html")
        text, messages = self.parse_inline(caption)
        return [nodes.figure("", drawn, nodes.caption("", "", *text)), *messages]


def setup(app):
    app.add_directive("stored-chapters", Chapters)
    app.add_directive("stored-status", Status)
    app.add_directive("stored-results", Results)
    app.add_directive("stored-claims", Claims)
    app.add_directive("stored-expected", Expected)
    app.add_directive("stored-epochs", Epochs)
    app.add_directive("stored-picture", Picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
