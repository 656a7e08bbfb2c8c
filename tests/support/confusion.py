"""The confusion table of the checks' zoo, which the tests' summary shows."""

from collections import Counter
from collections.abc import Iterable

PROPERTY = "confusion"


def note(record_property, expected: str, found: str) -> None:
    """Note for the table what a layer is and what the check took it for."""
    record_property(PROPERTY, [expected, found])


def table(reports: Iterable) -> list[str]:
    """Its lines, from tests' reports: all rows, then what is off the diagonal."""
    noted = [
        tuple(value)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY and report.when == "call"
    ]
    if not noted:
        return []
    layers, hits = Counter(e for e, _ in noted), Counter(e for e, f in noted if e == f)
    lines = [f"{hits[name]:3} of {count:3}  {name}" for name, count in layers.items()]
    off = Counter((e, f) for e, f in noted if e != f)
    lines += [f"{count} × {e} → {f}" for (e, f), count in off.items()]
    return [*lines, f"{sum(hits.values())} of {len(noted)} on the diagonal"]
