"""Each library in processes of its own, with one thread and with all, in turns.

A library chooses its threads when it is loaded. And in one process the threads of two
libraries, which wait for work awake, take the cores from each other.
"""

import json
import os
import subprocess
import sys
from statistics import median

from utils import threads

from benchmarks import settings

ROUNDS = 2
# What a learner gets: the user's own choice, else that of utils.
ALL = int((os.environ | threads.choose(os.environ, threads.cores()))["OMP_NUM_THREADS"])
COUNTS = sorted({1, ALL})
LIBRARIES = {"MXNet": "benchmarks.in_mxnet"}
if settings.TORCH:
    LIBRARIES["PyTorch"] = "benchmarks.pytorch"


def measure():
    """{table: rows}, each figure the median over the rounds."""
    tables = {}
    for number in range(1, ROUNDS + 1):
        for count in COUNTS:
            print(f"Round {number} of {ROUNDS}, threads: {count}", flush=True)
            for name, rows in one_round(count).items():
                tables.setdefault(name, []).extend(rows)
    return {name: medians(rows) for name, rows in tables.items()}


def one_round(count):
    """{table: rows} of each library with `count` threads, one after the other."""
    tables = {}
    for module in LIBRARIES.values():
        for name, rows in run(module, count).items():
            rows = [{"threads": count} | row for row in rows]
            tables.setdefault(name, []).extend(rows)
    for name, columns in settings.RELATIVE.items():
        tables[name] = relative(tables[name], *columns)
    return tables


def run(module, count):
    """What the module measures in a process with `count` threads."""
    chosen = {} if count == ALL else {"OMP_NUM_THREADS": str(count)}
    command = [sys.executable, "-m", module, str(count)]
    return json.loads(subprocess.check_output(command, env=os.environ | chosen))


def relative(rows, place, name, unit, figure):
    """The rows place by place, each with its figure as a multiple of the unit's there.

    Taken in each round, as from one round to the next the machine may change its pace.
    """
    units = {str(row[place]): row[figure] for row in rows if row[name] == unit}
    return [
        row | {f"of {unit}": row[figure] / units[where]}
        for where in units
        for row in rows
        if str(row[place]) == where
    ]


def medians(rows):
    """One row for all that differ in figures only, with the medians of these."""
    same = {}
    for row in rows:
        words = [str(value) for value in row.values() if not isinstance(value, float)]
        same.setdefault(tuple(words), []).append(row)
    return [
        {
            key: median(row[key] for row in group)
            if isinstance(value, float)
            else value
            for key, value in group[0].items()
        }
        for group in same.values()
    ]
