"""The front page's picture: what the layer changes, drawn from two stored logs.

It stands in the page itself, where it takes the page's color and type.
"""

from pathlib import Path

from utils.plotting import COLORS

from tools.results import Stored

CHAPTER = "batch-norm-scratch"
LOGS = "fashion-with", "fashion-without"  # the cells that print them
ACCURACY = r"test acc ([\d.]+)"
GUESSING = 1 / 10  # one class of ten

WIDTH, HEIGHT = 640, 370
LEFT, RIGHT, TOP, BOTTOM = 106, 594, 30, 300  # of the axes


def picture(root: str | Path) -> tuple[str, str]:
    """SVG and caption; ValueError where the chapter stores no such logs."""
    stored = Stored(root, CHAPTER)
    layer, plain = (stored.logged(cell, ACCURACY) for cell in LOGS)
    passes = len(layer)
    if passes != len(plain) or passes < 2:
        raise ValueError(
            f"Expected {' and '.join(LOGS)} of chapters/{CHAPTER}.ipynb to have logs "
            f"of as many epochs, two at least, found {passes} and {len(plain)}; "
            "refresh the chapter."
        )
    alt = (
        f"Two curves over {passes} passes over the training images. With batch "
        f"normalization {percent(layer[0])} of the test images are named correctly "
        f"after the first pass, and {percent(layer[-1])} after the last. Without, "
        f"{percent(plain[0])} after the first, and {percent(plain[-1])} after the last."
    )
    caption = (
        "One network, trained twice from the same random numbers: how many of "
        "Fashion-MNIST's test images it names correctly. After one pass over the "
        f"training images it gets {percent(layer[0])} right with batch "
        f"normalization, and {percent(plain[0])} without. "
        f"From [](/chapters/{CHAPTER}.ipynb)."
    )
    return drawing(layer, plain, alt), caption


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def drawing(layer: list[float], plain: list[float], alt: str) -> str:
    """The two curves as SVG, labeled on the lines; values are shares of 1.

    Both have as many, two at least, one for each pass.
    """
    passes = len(layer)

    def x(number):
        return LEFT + (number - 1) * (RIGHT - LEFT) / (passes - 1)

    def y(share):
        return BOTTOM - share * (BOTTOM - TOP)

    def curve(name, color, shares):
        points = [(x(n), y(share)) for n, share in enumerate(shares, 1)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="6"/>' for a, b in points)
        return (
            f'<g class="{name}" fill="{color}" stroke="{color}">'
            f'<polyline points="{path}"/>{dots}</g>'
        )

    def text(a, b, words, kind="", anchor="middle"):
        return (
            f'<text x="{a:.1f}" y="{b:.1f}" class="{kind}" text-anchor="{anchor}">'
            f"{words}</text>"
        )

    # Beside the steep part of the curve, on its right.
    beside = x(1.6), y((plain[0] + plain[1]) / 2) + 8
    parts = [
        f'<path d="M{LEFT},{y(GUESSING):.1f}H{RIGHT}" class="guessing"/>',
        text(RIGHT, y(GUESSING) - 10, "guessing", "quiet", "end"),
        curve("with-layer", COLORS[0], layer),
        curve("without-layer", COLORS[1], plain),
        text(x((1 + passes) / 2), y(max(layer)) - 28, "with batch normalization"),
        text(*beside, "without", anchor="start"),
        text(LEFT - 18, y(layer[0]) + 12, percent(layer[0]), "value", "end"),
        text(LEFT - 18, y(plain[0]) + 12, percent(plain[0]), "value", "end"),
        text(x(passes), y(layer[-1]) - 18, percent(layer[-1]), "value"),
        text(x(passes), y(plain[-1]) + 42, percent(plain[-1]), "value"),
        *(text(x(n), BOTTOM + 30, n, "quiet") for n in range(1, passes + 1)),
        text(
            (LEFT + RIGHT) / 2,
            BOTTOM + 62,
            "passes over the training images",
            "quiet",
        ),
    ]
    return (
        f'<svg class="front" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{alt}">{"".join(parts)}</svg>'
    )
