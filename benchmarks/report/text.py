"""Tables and numbers as text."""

from __future__ import annotations

from typing import Any

Rows = list[list[str]]  # the first is the head


def markdown(rows: Rows) -> str:
    """A table in Markdown that is also readable as it is; the first column is text, the others are numbers.

    >>> print(markdown([["a", "b"], ["one", "1"]]))
    | a   | b |
    | --- | -: |
    | one | 1 |
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:]))] for row in rows]
    lines.insert(1, ["-" * max(3, widths[0]), *("-" * max(1, width - 1) + ":" for width in widths[1:])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def duration(seconds: float) -> str:
    """Seconds with three digits, in the unit that suits them.

    >>> [duration(x) for x in (0.00123, 0.5, 12.34, 600, 9000)]
    ['1.23 ms', '500 ms', '12.3 s', '10.0 min', '2.50 h']
    """
    for below, factor, unit in ((1.0, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "min")):
        if seconds < below:
            return f"{_digits(seconds * factor)} {unit}"
    return f"{_digits(seconds / 3600)} h"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def span(row: dict[str, Any]) -> str:
    """A row of the speed table as a line of progress."""
    seconds = row["seconds"]
    memory = f", {row['peak_bytes'] / 1e6:,.0f} MB at the peak" if "peak_bytes" in row else ""
    return f"{duration(seconds['median'])} ({duration(seconds['low'])} to {duration(seconds['high'])}){memory}"
