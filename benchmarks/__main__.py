"""Run everything, print tables, and write latest.json and latest.png."""

import json
import os
from pathlib import Path

import matplotlib

from benchmarks import bandwidth, layers, memory, processes, settings
from benchmarks.tables import table
from benchmarks.targets import targets
from tools import machine

FOLDER = Path(__file__).parent
# The user's own choices that change what is measured.
CHOICES = (
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"),
    *("CXX", "CXXFLAGS", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"),
)


def main():
    absent = missing()
    for _, sentence in absent.values():
        print(sentence)
    report = {"missing": {name: why for name, (why, _) in absent.items()}}
    report["machine"] = [
        {"threads": processes.ALL}
        | machine.describe()
        | {"last cache MiB": bandwidth.last_cache() / 2**20}
        | {name: os.environ[name] for name in CHOICES if name in os.environ}
    ]
    table("machine", report["machine"])
    report["errors"] = [{"threads": processes.ALL} | row for row in layers.errors()]
    table("largest error against float64", report["errors"])
    print("\nEach library in turn, with one thread and with all:")
    report |= processes.measure()
    table(
        "attainable: bandwidth by all cores, products by the threads",
        report["attainable"],
    )
    table("one layer", report["layers"])
    table("share of the memory's bandwidth", report["shares"])
    table("growth with batch and channels", report["growth"])
    table("training", report["networks"])
    table("input pipeline", report["pipeline"])
    report["memory"] = memory.measure()
    table("memory", report["memory"])
    report["targets"] = targets(report)
    table("targets", report["targets"])
    (FOLDER / "latest.json").write_text(json.dumps(report, indent=1) + "\n")
    plot(report["growth"])
    print(f"\nWritten: {FOLDER / 'latest.json'} and {FOLDER / 'latest.png'}")


def missing():
    """{contender: (why it is not measured, a sentence on what to do)}.

    A target whose name has the contender's in it is not measured either.
    """
    absent = {}
    if not layers.can_compile():
        absent["kernel"] = (
            "no C++ compiler",
            "The kernel is not measured, for want of a C++ compiler: install g++, or "
            "name one in the environment variable CXX.",
        )
    if not settings.TORCH:
        absent["torch"] = (
            "no PyTorch",
            "PyTorch is not measured, as it is not installed: install what "
            "requirements/bench.txt lists.",
        )
    return absent


def plot(rows):
    """The table of growth as latest.png; dotted with one thread."""
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    times = {
        (row["formulation"], row["threads"], tuple(row["shape"])): row[
            "forward + backward ms"
        ]
        for row in rows
    }
    names = dict.fromkeys(row["formulation"] for row in rows)
    fig, axs = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    parts = (0, "batch size", settings.BATCHES), (1, "channels", settings.CHANNELS)
    for ax, (axis, label, shapes) in zip(axs, parts, strict=True):
        for number, name in enumerate(names):
            for threads in processes.COUNTS:
                ax.plot(
                    [shape[axis] for shape in shapes],
                    [times[name, threads, shape] for shape in shapes],
                    "s-" if threads == processes.ALL else "o:",
                    color=f"C{number}",
                    label=f"{name}, {threads} thread{'s' * (threads > 1)}",
                )
        ax.set(xscale="log", yscale="log", xlabel=label)
    axs[0].set_ylabel("forward + backward (ms)")
    axs[0].legend(fontsize="small")
    fig.tight_layout()
    fig.savefig(FOLDER / "latest.png", dpi=120)


if __name__ == "__main__":
    main()
