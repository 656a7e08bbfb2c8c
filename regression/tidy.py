"""Outputs as they are stored and compared: without what differs from run to run."""

import re
from collections.abc import Sequence

from nbformat import NotebookNode
from nbval.plugin import coalesce_streams

FIGURE = "figure"  # in an output's metadata, as `figure_data.py` puts it there
SVG = "image/svg+xml"
WIDGET = "application/vnd.jupyter.widget-view+json"  # a random id
PROGRESS = (
    r".*\d+%\|.*\|.*\[.*\]\s*",  # tqdm
    r".*\d+\w* \[\d+:\d+.*(/s|s/).*\]\s*",  # tqdm that does not know the end
    r"(\s|\x1b\[A)*",
)


def outputs(found: list[NotebookNode], benign: Sequence[str]) -> list[NotebookNode]:
    """A cell's outputs without progress bars, widgets, and benign lines on stderr.

    benign: regular expressions of whole lines.
    """
    tidied = [tidy(output, benign) for output in coalesce_streams(found)]
    return [output for output in tidied if output]


def tidy(output: NotebookNode, benign: Sequence[str]) -> NotebookNode | None:
    if output.output_type == "stream" and output.name == "stderr":
        output.text = without_progress(output.text, benign)
        return output if output.text else None
    if "data" in output:
        output.data.pop(WIDGET, None)
        output.metadata.pop("needs_background", None)
        if SVG in output.data:
            output.data[SVG] = compact(output.data[SVG])
    return output


def compact(svg: str) -> str:
    """The same picture in fewer bytes: matplotlib writes comments and indents.

    No element of its figures has text in it; letters are paths.
    """
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", svg.strip()))


def without_progress(stderr: str, benign: Sequence[str]) -> str:
    """`stderr` without progress bars, which overwrite themselves, and empty lines."""
    expected = re.compile("|".join([*PROGRESS, *benign]))
    rows = re.split(r"[\r\n]", stderr)
    return "".join(f"{row}\n" for row in rows if not expected.fullmatch(row))


def without_pictures(found: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs with no bytes in those pictures that are compared by their data."""
    for output in found:
        if FIGURE in output.get("metadata", {}):
            for mime in output.data:
                if mime.startswith("image/"):
                    output.data[mime] = ""
    return found
