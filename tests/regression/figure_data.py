"""What a matplotlib figure plots, as lines of text: its titles, curves, images.

The regression run and `refresh` execute this file inside the notebook's kernel
before the first cell. From then on each displayed figure carries these lines in its
output's metadata, where they are stored, read, and compared with a tolerance.
"""

import numpy as np
from IPython import get_ipython

FIGURE = "figure"  # the key in an output's metadata, which no page shows
WHOLE = 512  # arrays up to this size are kept value by value
BLOCKS = 64


def figure_data(fig):
    """The lines for one figure; figures that plot the same give the same lines."""
    rows = [f"figure: {fig._suptitle.get_text()!r}"] if fig._suptitle else []
    for n, ax in enumerate(fig.axes, 1):
        rows += [f"axes {n}: {row}" for row in axes_rows(ax)]
    return rows


def axes_rows(ax):
    yield f"title {ax.get_title()!r}"
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        yield f"{name} axis {axis.get_label_text()!r}, {axis.get_scale()}"
        yield f"{name} limits {numbers(axis.get_view_interval())}"
        # Labels that were set, such as the classes below bars.
        if type(axis.get_major_formatter()).__name__ in (
            "FixedFormatter",
            "FuncFormatter",
            "StrCategoryFormatter",
        ):
            yield f"{name} ticks {[t.get_text() for t in axis.get_ticklabels()]}"
    if ax.get_legend():
        yield f"legend {[t.get_text() for t in ax.get_legend().get_texts()]}"
    for text in ax.texts:
        yield f"text {text.get_text()!r} at {numbers(text.get_position())}"
    for n, line in enumerate(ax.lines, 1):
        name = f"line {n}{label(line)}"
        yield f"{name} x {on_axis(line.get_xdata(orig=False), ax.xaxis)}"
        yield f"{name} y {on_axis(line.get_ydata(orig=False), ax.yaxis)}"
    for n, patch in enumerate(ax.patches, 1):
        if hasattr(patch, "get_width"):  # a bar: left, bottom, width, height
            yield f"bar {n}{label(patch)} {numbers(patch.get_bbox().bounds)}"
        else:
            path = patch.get_patch_transform().transform_path(patch.get_path())
            yield f"shape {n}{label(patch)} {numbers(path.vertices)}"
    for n, image in enumerate(ax.images, 1):
        yield f"image {n} {image.get_array().shape} {numbers(image.get_array())}"
    for n, collection in enumerate(ax.collections, 1):
        name = f"collection {n}{label(collection)}"
        if collection.get_array() is not None:
            yield f"{name} colors {numbers(collection.get_array())}"
        if hasattr(collection, "get_sizes"):  # points; their paths are the markers
            yield f"{name} points {numbers(collection.get_offsets())}"
        else:
            paths = [path.vertices for path in collection.get_paths()]
            yield f"{name} paths {numbers(np.concatenate(paths or [[]]))}"


def on_axis(values, axis):
    """The values as far apart as the eye sees them: on a log axis their logarithms."""
    if axis.get_scale() != "log":
        return numbers(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return f"log10 {numbers(np.log10(values))}"


def label(artist):
    """The label that was set; matplotlib's own begin with an underscore."""
    text = str(artist.get_label())
    return "" if text.startswith("_") else f" {text!r}"


def numbers(values):
    """The values with seven digits; of a large array the means of its blocks."""
    values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).ravel()
    note = ""
    if values.size > WHOLE:
        note = f"{values.size} values, their deviation and {BLOCKS} blocks' means "
        blocks = np.array_split(values, BLOCKS)
        values = [values.std(), *(block.mean() for block in blocks)]
    return f"{note}[{', '.join(map(digits, values))}]"


def digits(value):
    return repr(float(f"{value:.7g}"))


shell = get_ipython()
# Not one of `display_formatter.formatters`: from those, IPython removes what is
# registered for figures when it sets up the inline backend.
shell.display_formatter.mimebundle_formatter.for_type_by_name(
    "matplotlib.figure",
    "Figure",
    lambda fig, include=None, exclude=None: ({}, {FIGURE: figure_data(fig)}),
)
# Without the version of matplotlib in it, the same figure gives the same file.
try:
    from matplotlib_inline.config import InlineBackend
except ImportError:
    pass
else:
    InlineBackend.instance(parent=shell).print_figure_kwargs["metadata"] = {
        "Software": None
    }
