"""Rows as tables to read."""

from tabulate import tabulate


def table(title, rows):
    """Print rows, dicts with the same keys, as a table; None is a dash."""
    cells = [{key: _text(value) for key, value in row.items()} for row in rows]
    # The digits are chosen already.
    body = tabulate(cells, headers="keys", disable_numparse=True)
    print(f"\n{title}\n{body}", flush=True)


def _text(value):
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < value < 1e-3 else f"{value:,.3g}".rstrip(".")
    return "–" if value is None else str(value)
