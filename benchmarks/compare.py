"""Compare two saved runs: `make bench-compare OLD=older.json`.

    python -m benchmarks.compare OLD.json NEW.json

Each contender's figure is taken relative to nn.BatchNorm's, or to Gluon's, in its own
run, and each target as it was reached. Seconds are not compared: from one run to the
next a machine may change its pace.
"""

import json
import sys
from pathlib import Path

from benchmarks.settings import RELATIVE
from benchmarks.tables import table


def main(old, new):
    try:
        rows = compared(figures(old), figures(new))
    except ValueError as error:
        sys.exit(str(error))
    table("relative to nn.BatchNorm, to Gluon, and targets", rows)


def figures(path):
    """{(table, threads, where, contender): figure} of a run that `make bench` saved.

    Raises ValueError where there is none, which says why, and what to do.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        found = {
            (name, row["threads"], str(row[place]), row[contender]): row[f"of {unit}"]
            for name, (place, contender, unit, _) in RELATIVE.items()
            for row in report[name]
            if row[contender] != unit
        }
        for row in report["targets"]:
            found["targets", row["threads"], row["target"], None] = row["reached"]
    except OSError as error:
        raise ValueError(_expected(path, error.strerror)) from None
    except ValueError:
        raise ValueError(_expected(path, "it is not JSON")) from None
    except (KeyError, TypeError) as error:
        why = f"it has other contents, as of another version ({error})"
        raise ValueError(_expected(path, why)) from None
    return found


def compared(old, new):
    """One row for each figure of either run, with the ratio of the new to the old."""
    rows = []
    for key in old | new:
        what, threads, where, contender = key
        pair = old.get(key), new.get(key)
        both = all(isinstance(figure, float) and figure > 0 for figure in pair)
        rows.append(
            {
                "what": what,
                "threads": threads,
                "where": where,
                "contender": contender,
                "old": pair[0],
                "new": pair[1],
                "new / old": pair[1] / pair[0] if both else None,
            }
        )
    return rows


def _expected(path, why):
    return (
        f"A comparison needs files that `make bench` wrote, but {path} is none: {why}. "
        "Run `make bench`, and name a copy of its benchmarks/latest.json."
    )


if __name__ == "__main__":
    paths = [path for path in sys.argv[1:] if path]
    if len(paths) != 2:
        sys.exit(
            "A comparison needs two files that `make bench` wrote, but got "
            f"{len(paths)}. Name the older one: make bench-compare OLD=older.json"
        )
    main(*paths)
