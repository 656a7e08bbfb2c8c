"""Figures that several chapters draw."""

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt
from matplotlib.figure import Figure


def plot_curves(curves: Mapping[str, Sequence[float]], ylabel: str) -> Figure:
    """Draw one line for each entry of `curves` over the epochs 1, 2, 3, …

    curves: dict from label to a list of one number an epoch.
    Returns the matplotlib figure.
    """
    fig, ax = plt.subplots(figsize=(6, 3.5))
    for (label, values), marker in zip(curves.items(), "osD^v*", strict=False):
        ax.plot(range(1, len(values) + 1), values, marker=marker, label=label)
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return fig
