"""How figures look: contrast on light and dark pages, and the file that they become."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import utils
import pytest
from utils import plotting
from matplotlib import colors, rcParams
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
PAGES = {"light": "#ffffff", "dark": "#121212"}  # test_browser.py looks them up
JUPYTER_DARK = "#111111"


def light_of_the_book(theme):
    """By how much the book's style sheet brightens figures."""
    css = (ROOT / "_static/book.css").read_text(encoding="utf-8")
    return float(re.search(r"brightness\(([\d.]+)\)", css)[1]) if theme == "dark" else 1


def luminance(color, light=1.0):
    """The relative luminance of WCAG 2, from 0 to 1."""
    parts = [min(1, light * part) for part in colors.to_rgb(color)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """The contrast of WCAG 2 between two luminances, from 1 to 21."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def cycle():
    return rcParams["axes.prop_cycle"].by_key()


@pytest.mark.parametrize("theme", PAGES)
def test_type_and_axes_can_be_read_on_both_pages_of_the_book(theme):
    page, light = luminance(PAGES[theme]), light_of_the_book(theme)
    for name in ("text.", "axes.label", "axes.edge", "xtick.", "ytick."):
        color = rcParams[f"{name}color"]
        assert contrast(luminance(color, light), page) >= 4.5, name


@pytest.mark.parametrize("theme", PAGES)
def test_lines_can_be_seen_on_both_pages_of_the_book(theme):
    page, light = luminance(PAGES[theme]), light_of_the_book(theme)
    for color in cycle()["color"]:
        assert contrast(luminance(color, light), page) >= 3, color


def test_all_can_be_seen_in_a_dark_jupyter_which_does_not_brighten():
    page = luminance(JUPYTER_DARK)
    for color in [*cycle()["color"], plotting.GRAY]:
        assert contrast(luminance(color), page) >= 3, color


def test_lines_differ_in_gray_and_in_their_strokes():
    shades = [luminance(color) for color in cycle()["color"]]
    assert contrast(*shades[:2]) > 1.9
    for one, other in itertools.combinations(shades, 2):
        assert contrast(one, other) > 1.1
    assert len(set(cycle()["linestyle"][:4])) == 4


def test_all_type_has_one_size():
    fig = utils.plot_curves({"a": [1, 2]}, ylabel="accuracy")
    fig.suptitle("figure")
    (ax,) = fig.axes
    ax.set_title("axes")
    texts = [text for text in fig.findobj() if hasattr(text, "get_fontsize")]
    assert {text.get_fontsize() for text in texts} == {10}
    assert len(texts) > 10


def test_the_legend_has_no_box():
    (ax,) = utils.plot_curves({"a": [1, 2]}, ylabel="accuracy").axes
    assert not ax.get_legend().get_frame_on()


def test_a_figure_in_a_file_of_its_own_stands_on_white():
    assert colors.to_rgba(Figure().get_facecolor()) == (1, 1, 1, 1)


NOTEBOOK = """
import json
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
import utils
from matplotlib_inline.backend_inline import _fetch_figure_metadata as ground

shown = []
for _ in range(2):
    fig = utils.plot_curves({"a": [1, 2], "b": [2, 3]}, ylabel="accuracy")
    shown.append([*shell.display_formatter.format(fig), ground(fig)])
print(json.dumps(shown))
"""


def test_a_notebook_shows_the_same_svg_each_time_with_no_ground():
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first == second
    data, _, ground = first
    assert set(data) == {"image/svg+xml", "text/plain"}
    assert ground is None, "Jupyter lays a ground of its own under the figure"
    svg = data["image/svg+xml"]
    assert "fill: #ffffff" not in svg and "<text" not in svg
    assert "<dc:date" not in svg and "Matplotlib" not in svg
