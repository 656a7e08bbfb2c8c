"""What was reached of what chapters/targets.toml asks for."""

import tomllib
from functools import partial
from math import prod

from utils.notebooks import CHAPTERS

from benchmarks.layers import LOOPS
from benchmarks.processes import ALL
from benchmarks.settings import SHAPES

BOUNDS = tomllib.loads((CHAPTERS / "targets.toml").read_text(encoding="utf-8"))
OLD = "textbook, DataLoader"


def targets(report):
    """One row for each target: what was reached with all threads, and what is wanted.

    Where `report["missing"]` names a contender, its targets say why.
    """
    reached = figures(report)
    rows = []
    for name, bound in BOUNDS.items():
        ((side, limit),) = bound.items()
        why = [
            f"not measured: {reason}"
            for contender, reason in report["missing"].items()
            if contender in name.lower()
        ]
        value = why[0] if why else reached[name]()
        met = None if why else value <= limit if side == "at most" else value >= limit
        rows.append(
            {
                "threads": ALL,
                "target": name,
                "reached": value,
                "wanted": f"{side} {limit}",
                "met": met,
            }
        )
    return rows


def figures(report):
    """{target: a function that takes its figure out of the report}."""
    full = {
        table: [row for row in report[table] if row["threads"] == ALL]
        for table in ("layers", "shares", "networks", "pipeline", "errors")
    }
    layer = {
        (row["formulation"], tuple(row["shape"])): row["of nn.BatchNorm"]
        for row in full["layers"]
    }
    rate = {
        (row["network"], row["contender"]): row["of Gluon"] for row in full["networks"]
    }

    def norm(name, other="nn.BatchNorm", axes=(2, 4)):
        """The geometric mean over the shapes with so many axes."""
        shapes = [shape for shape in SHAPES if len(shape) in axes]
        ratios = [layer[name, shape] / layer[other, shape] for shape in shapes]
        return prod(ratios) ** (1 / len(ratios))

    def share():
        rows = {row["formulation"]: row for row in full["shares"]}
        return rows[LOOPS]["of memory"]

    def error(name, other="nn.BatchNorm"):
        worst, others = (
            max(row["output"] for row in full["errors"] if row["formulation"] == n)
            for n in (name, other)
        )
        return worst / others

    def over(network, name, other):
        """How many times as fast one is as the other."""
        return rate[network, name] / rate[network, other]

    def epoch():
        return full["pipeline"][0]["of BN-LeNet"]

    fast, cnn, lenet = "fast_batch_norm", "scratch CNN", "BN-LeNet"
    return {
        "kernel / nn.BatchNorm": partial(norm, "kernel"),
        "kernel / torch.nn.BatchNorm": partial(norm, "kernel", "torch.nn.BatchNorm"),
        "kernel, share of the bandwidth": share,
        f"{fast} / nn.BatchNorm, convolutions": partial(norm, fast, axes=(4,)),
        f"{fast} / nn.BatchNorm, dense": partial(norm, fast, axes=(2,)),
        "kernel, error / nn.BatchNorm": partial(error, "kernel"),
        f"{fast}, error / nn.BatchNorm": partial(error, fast),
        "BN-LeNet by hand with the kernel / Gluon": partial(
            over, lenet, "Gluon", "by hand, kernel"
        ),
        "scratch CNN by hand / Gluon": partial(over, cnn, "Gluon", "by hand"),
        "scratch CNN by hand / old way, images/s": partial(over, cnn, "by hand", OLD),
        "Gluon CNN / old way, images/s": partial(over, "Gluon CNN", "Gluon", OLD),
        "BN-LeNet in Gluon / old way, images/s": partial(over, lenet, "Gluon", OLD),
        "Gluon CNN / PyTorch, images/s": partial(over, "Gluon CNN", "Gluon", "PyTorch"),
        "BN-LeNet in Gluon / PyTorch, images/s": partial(
            over, lenet, "Gluon", "PyTorch"
        ),
        "input / epoch of BN-LeNet": epoch,
    }
