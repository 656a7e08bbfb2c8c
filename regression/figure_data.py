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
        yield f"text {text.get_text()!r} at {numbers(text.get_unitless_position())}"
    for n, line in enumerate(ax.lines, 1):
        yield from xy(f"line {n}{label(line)}", line.get_xydata(), ax)
    # An ellipse has a width, too, and no box.
    bars = [patch for patch in ax.patches if hasattr(patch, "get_bbox")]
    if bars:
        corners = [patch.get_bbox().get_points() for patch in bars]
        yield from xy(f"{len(bars)} bars", np.concatenate(corners), ax)
    for n, patch in enumerate((p for p in ax.patches if p not in bars), 1):
        path = patch.get_patch_transform().transform_path(patch.get_path())
        yield from xy(f"shape {n}{label(patch)}", path.vertices, ax)
    for n, image in enumerate(ax.images, 1):
        yield f"image {n} {image.get_array().shape} {numbers(image.get_array())}"
    for n, collection in enumerate(ax.collections, 1):
        name = f"collection {n}{label(collection)}"
        if collection.get_array() is not None:
            yield f"{name} colors {numbers(collection.get_array())}"
        if type(collection).__name__ == "PathCollection":  # points, not their markers
            yield from xy(name, collection.get_offsets(), ax)
        elif collection.get_paths():
            paths = [path.vertices for path in collection.get_paths()]
            yield from xy(name, np.concatenate(paths), ax)


def xy(name, points, ax):
    """One row for the points' x, one for their y, each with the limits of its axis.

    The limits tell which differences the eye can see: those against their size, in
    the logarithm on a log axis.
    """
    points = np.ma.filled(np.ma.asarray(points, dtype=float), np.nan)
    for column, axis in enumerate((ax.xaxis, ax.yaxis)):
        values, limits, scale = points[:, column], axis.get_view_interval(), ""
        if axis.get_scale() == "log":
            scale = " log10"
            with np.errstate(divide="ignore", invalid="ignore"):
                values, limits = np.log10(values), np.log10(limits)
        row = f"{name} {axis.axis_name}{scale} {numbers(values)}"
        yield f"{row} within {numbers(limits)}"


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
try:
    from matplotlib_inline.config import InlineBackend
except ImportError:
    pass
else:
    backend = InlineBackend.instance(parent=shell)

    def leave_out_what_changes(_=None):
        """Without version and date in it, the same figure gives the same file."""
        names = (
            ("Creator", "Date") if "svg" in backend.figure_formats else ("Software",)
        )
        metadata = {"metadata": dict.fromkeys(names)}
        # Set, not changed in place: the backend may have read its settings already.
        backend.print_figure_kwargs = {**backend.print_figure_kwargs, **metadata}

    leave_out_what_changes()
    # A format refuses the names of another one.
    backend.observe(leave_out_what_changes, "figure_formats")
