"""Run everything, print tables, and write latest.json and latest.png."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
from tabulate import tabulate

from benchmarks import bandwidth, layers, memory, networks, settings
from tools import machine

FOLDER = Path(__file__).parent


def main():
    report = {"machine": machine.describe() | bandwidth.machine()}
    table("machine", [report["machine"]])
    report["layers"] = layers.measure()
    report["errors"] = layers.errors()
    table("largest error against float64", report["errors"])
    attainable = report["machine"]["memory GB/s"]
    report["shares"] = bandwidth.shares(report["layers"], attainable)
    report["growth"] = layers.growth()
    report["networks"] = networks.measure()
    if settings.TORCH:
        run = [sys.executable, "-m", "benchmarks.pytorch"]
        for name, rows in json.loads(subprocess.check_output(run)).items():
            report[name] += rows
    for name in "layers", "growth":
        report[name] = compared(report[name])
    table("one layer", report["layers"])
    table("share of the memory's bandwidth", report["shares"])
    table("growth with batch and channels", report["growth"])
    table("training", report["networks"])
    report["pipeline"] = {"seconds for 60,000 pictures": networks.pipeline()}
    table("input pipeline", [report["pipeline"]])
    report["memory"] = memory.measure()
    table("memory", report["memory"])
    report["targets"] = targets(report)
    table("targets", report["targets"])
    (FOLDER / "latest.json").write_text(json.dumps(report, indent=1) + "\n")
    plot(report["growth"])
    print(f"\nWritten: {FOLDER / 'latest.json'} and {FOLDER / 'latest.png'}")


def compared(rows):
    """The rows shape by shape, each with its time as a multiple of nn.BatchNorm's."""
    unit = {
        tuple(row["shape"]): row["forward + backward ms"]
        for row in rows
        if row["formulation"] == "nn.BatchNorm"
    }
    return [
        row | {"of nn.BatchNorm": row["forward + backward ms"] / unit[shape]}
        for shape in unit
        for row in rows
        if tuple(row["shape"]) == shape
    ]


def targets(report):
    """Each target of the book's speed with the figure that was reached."""
    ratios = [
        row["of nn.BatchNorm"]
        for row in report["layers"]
        if row["formulation"] == "fast_batch_norm" and len(row["shape"]) == 4
    ]
    rate = {
        (row["network"], row["contender"]): row["images/s"]
        for row in report["networks"]
    }

    def over(title, name, other):
        return rate[title, name] / rate[title, other]

    old = "textbook, DataLoader"
    epoch = 60_000 / rate["BN-LeNet", "Gluon"]
    worst = {
        name: max(e["output"] for e in report["errors"] if e["formulation"] == name)
        for name in ("fast_batch_norm", "nn.BatchNorm")
    }
    share = report["pipeline"]["seconds for 60,000 pictures"] / epoch
    rows = [
        ("layer / nn.BatchNorm", np.exp(np.mean(np.log(ratios))), "<=", 1.5),
        ("BN-LeNet step / Gluon", over("BN-LeNet", "Gluon", "by hand"), "<=", 1.25),
        ("CNN step / Gluon", over("scratch CNN", "Gluon", "by hand"), "<=", 1.4),
        ("CNN by hand / old way", over("scratch CNN", "by hand", old), ">=", 8),
        ("Gluon CNN / old way", over("Gluon CNN", "Gluon", old), ">=", 4),
        ("Gluon BN-LeNet / old way", over("BN-LeNet", "Gluon", old), ">=", 4),
        ("input / BN-LeNet epoch", share, "<=", 0.03),
        ("error / nn.BatchNorm", worst["fast_batch_norm"] / worst["nn.BatchNorm"],
         "<=", 1),
    ]  # fmt: skip
    return [
        {
            "target": name,
            "reached": float(value),
            "wanted": f"{sign} {bound}",
            "met": bool(value <= bound if sign == "<=" else value >= bound),
        }
        for name, value, sign, bound in rows
    ]


def table(title, rows):
    """Print rows, dicts with the same keys, as a table."""
    cells = [{key: _text(value) for key, value in row.items()} for row in rows]
    # The digits are chosen already.
    body = tabulate(cells, headers="keys", disable_numparse=True)
    print(f"\n{title}\n{body}", flush=True)


def _text(value):
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < value < 1e-3 else f"{value:,.3g}".rstrip(".")
    return str(value)


def plot(rows):
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    fig, axs = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
    parts = (0, "batch size", settings.BATCHES), (1, "channels", settings.CHANNELS)
    for ax, (axis, label, shapes) in zip(axs, parts, strict=True):
        for name in dict.fromkeys(row["formulation"] for row in rows):
            times = {
                tuple(row["shape"]): row["forward + backward ms"]
                for row in rows
                if row["formulation"] == name
            }
            ax.plot(
                [s[axis] for s in shapes], [times[s] for s in shapes], "o-", label=name
            )
        ax.set(xscale="log", yscale="log", xlabel=label)
    axs[0].set_ylabel("forward + backward (ms)")
    axs[0].legend()
    fig.tight_layout()
    fig.savefig(FOLDER / "latest.png", dpi=120)


if __name__ == "__main__":
    main()
