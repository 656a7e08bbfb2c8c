"""Figures that the pages show in fewer bytes: the same drawing, element by element."""

import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[2] / "_ext"))
import slim

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


@pytest.fixture(scope="module")
def figures():
    """A figure with lines, markers, text, and clipping: as drawn, and slimmed."""
    fig = Figure(figsize=(3, 2))
    ax = fig.add_subplot()
    ax.errorbar([1, 10, 100], [0.123456, 2, 30], 1, marker="o", capsize=3, label="one")
    ax.plot([1, 100], [3, 3], ls=":", label="two")
    ax.plot(range(1, 100), [5 + n % 7 for n in range(1, 100)], label="three")
    ax.set(xscale="log", xlabel="images", title="a figure")
    ax.legend()
    file = io.StringIO()
    fig.savefig(file, format="svg")
    return file.getvalue(), slim.slim_figure(file.getvalue())


def drawn(svg):
    """What is drawn, in order: (kind, style, numbers of its places and of its path)."""
    root = ElementTree.fromstring(svg)
    rules = dict(re.findall(r"\.(s\d+)\{(.*?)\}", root.find(f".//{SVG}style").text))
    by_id = {e.get("id"): e for e in root.iter() if "id" in e.attrib}
    for element in root.iter():
        if element.tag in {f"{SVG}path", f"{SVG}use", f"{SVG}rect"}:
            style = element.get("style") or rules.get(element.get("class"))
            name = element.get(XLINK) or element.get("href")
            used = by_id[name[1:]] if name else element
            texts = [element.get(name, "") for name in ("x", "y", "transform")]
            numbers = (NUMBER.findall(text) for text in (*texts, used.get("d", "")))
            yield element.tag, style, [[*map(float, found)] for found in numbers]


def test_the_same_is_drawn(figures):
    before, after = (list(drawn(svg)) for svg in figures)
    assert len(before) > 50
    for one, other in zip(before, after, strict=True):
        assert one[:2] == other[:2]
        for numbers, slimmed in zip(one[2], other[2], strict=True):
            is_curve = len(numbers) > slim.CURVE
            precision = 0.05 if is_curve else 0.005
            assert slimmed == pytest.approx(numbers, abs=precision + 1e-9)


def test_a_third_of_the_bytes_go(figures):
    before, after = map(len, figures)
    assert after < 2 / 3 * before
