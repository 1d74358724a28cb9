"""Tables in files: small ones as a whole, of large ones the columns that a curve may need."""

from __future__ import annotations

from pathlib import Path

from lcpfn.logs import table
from lcpfn.logs.columns import Table
from lcpfn.logs.curves import value_column
from lcpfn.logs.rows import rises, stays
from lcpfn.logs.run import Run, run_of_table
from lcpfn.logs.source import LARGE
from lcpfn.logs.times import is_id, is_time, may_be_time


def read_for(path: Path, metric: str | None, clock: str | None = None) -> Table:
    """The table of a file with the column of a metric, those of its times, and those that tell runs apart.

    A file of less than `LARGE` bytes is read with all of its columns.

    Raises:
        ValueError: if it is no table, or several columns could be the metric.
    """
    if path.stat().st_size < LARGE:
        return table.read(str(path))
    first = table.sample(str(path))
    chosen = value_column(first, metric)
    asked = None if clock is None or clock == "rows" else first.names.index(clock) if clock in first.names else -1
    if asked == -1:
        asked = value_column(first, clock)
    keep = {chosen, *(() if asked is None else (asked,))}
    for i, name in enumerate(first.names):
        rising = first.numeric(i) and rises(first.columns[i].values)
        if is_id(name) or (asked is None and (is_time(name) or (may_be_time(name) and rising))):
            keep.add(i)
    times = [first.columns[i].values for i in keep if i != chosen and first.numeric(i)]
    # Rows of one time are metrics that take turns, and most of them hold nothing of this one; where the times are
    # named, a row without a value says nothing.
    dense = chosen if asked is not None or any(map(stays, times)) else None
    return table.read(str(path), keep=sorted(keep), dense=dense)


def run_of_file(path: Path, *, name: str) -> Run:
    """The run in a table with a time.

    Raises:
        ValueError: if it is no table; of a large one, when a metric is asked for.
    """
    if path.stat().st_size < LARGE:
        return run_of_table(name, table.read(str(path)))
    metrics = run_of_table(name, table.sample(str(path))).metrics
    return Run(name, str(path), metrics, lambda metric: read_for(path, metric))
