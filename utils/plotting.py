"""How figures look, and the figures that several chapters draw.

Figures stand on white pages and on dark ones: they have no background of their own, and
everything drawn has a middle brightness. No gray reaches a contrast of 4.5:1 on white
and on a page as dark as the book's at once; this one does on white, and the book's
style sheet brightens figures on its dark page.
"""

import sys
from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

GRAY = "#767676"
# Each as light as no other, so that they differ in gray, too; the first two the most.
COLORS = "#1164b2", "#c9840b", "#9d6fa0", "#549663", "#d51136", "#8b4ef9"
LINES = "-", "--", "-.", ":", "-", "--"

STYLE = {
    # Two figures side by side are 7 inches wide: what fits the book on a laptop. No
    # figure is scaled there, so this is the size of type in all of them.
    "font.size": 10,
    **dict.fromkeys(("axes.titlesize", "figure.titlesize", "legend.fontsize"), 10),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), GRAY),
    **dict.fromkeys(("xtick.color", "ytick.color"), GRAY),
    "axes.prop_cycle": plt.cycler(color=COLORS, linestyle=LINES),
    "axes.facecolor": "none",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "legend.frameon": False,
    # Outlines look the same wherever they are shown, whichever fonts there are.
    "svg.fonttype": "path",
    "svg.hashsalt": "figure",  # else names in the file are new each time
}


def set_up_figures() -> None:
    """Let figures look as `STYLE` says, in notebooks as SVG with nothing behind them.

    Outside notebooks, as in `Figure.savefig`, the ground stays white.
    """
    plt.rcParams.update(STYLE)
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return
    from matplotlib_inline.config import InlineBackend

    backend = InlineBackend.instance(parent=ipython.get_ipython())
    backend.figure_formats = {"svg"}
    # The figure itself keeps its white: to one that is transparent, Jupyter gives a
    # ground of its own. Without version and date the same figure gives the same file.
    backend.print_figure_kwargs = {
        **backend.print_figure_kwargs,
        "facecolor": "none",
        "metadata": {"Creator": None, "Date": None},
    }


def plot_curves(curves: Mapping[str, Sequence[float]], ylabel: str) -> Figure:
    """Draw one line for each entry of `curves` over the epochs 1, 2, 3, …

    curves: dict from label to a list of one number per epoch.
    Returns the matplotlib figure.
    """
    fig, ax = plt.subplots(figsize=(6, 3.5))
    for (label, values), marker in zip(curves.items(), "osD^v*", strict=False):
        ax.plot(range(1, len(values) + 1), values, marker=marker, label=label)
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return fig
