"""A run as the readers of logs hand it over: its metrics, and the table of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lcpfn.logs.columns import Builder, Column, Table, column_of
from lcpfn.logs.rows import Places, rises
from lcpfn.logs.times import is_id, is_time, is_wall_clock, may_be_time, rank
from lcpfn.names import plain

SHOWN = 20  # names that an error lists before it counts the rest


@dataclass(frozen=True, eq=False)
class Run:
    """What one training run has logged."""

    name: str  # by which it is asked for
    source: str  # what errors call it
    metrics: tuple[str, ...]
    table: Callable[[str], Table]  # a table with the column of that metric, and those of its times
    problem: str | None = None  # why nothing of it can be read; then it has no metrics, and `table` raises this
    notices: tuple[str, ...] = ()  # what a reader of its curves should know

    def find(self, metric: str) -> str | None:
        """The run's own name of a metric: the same, or one that differs in capitals and separators alone."""
        if metric in self.metrics:
            return metric
        alike = [name for name in self.metrics if plain(name) == plain(metric)]
        return alike[0] if len(alike) == 1 else None

    def ending(self, metric: str) -> str | None:
        """The run's own name of the only metric that ends with these words: `val/acc` where "acc" is asked for."""
        alike = [name for name in self.metrics if f"_{plain(name)}".endswith(f"_{plain(metric)}")]
        return alike[0] if len(alike) == 1 else None


def broken(name: str, source: str, problem: str) -> Run:
    """A run that cannot be read, which is an error where it is asked for."""

    def table(metric: str) -> Table:
        raise ValueError(problem)

    return Run(name, source, (), table, problem)


def run_of_points(
    name: str,
    source: str,
    clocks: Sequence[str],
    points: Mapping[str, Sequence[Sequence[float | None]]],
    *,
    direction: str | None = None,
    run_ends: Mapping[str, float] | None = None,
    replaced: Mapping[str, int] | None = None,
    abandoned: Mapping[str, int] | None = None,
) -> Run:
    """A run from the points of each metric.

    Args:
        name: of the run.
        source: what errors call it.
        clocks: names of the times.
        points: by metric; each point is (time on the first clock, ..., value), in the order of writing; None where it
            has no such time.
        direction: which is better, "max" or "min", if the log says so.
        run_ends: by clock, when the run ends, if the log says so.
        replaced: by metric, how many values the reader has left out already, as later ones came to their times.
        abandoned: of these, how many the log takes back.
    """

    def table(metric: str) -> Table:
        found = points[metric]
        columns = tuple(column_of(point[i] for point in found) for i in range(len(clocks) + 1))
        return Table(
            source,
            (*clocks, metric),
            columns,
            range(1, len(found) + 1),
            restarts=True,
            direction=direction,
            run_ends=dict(run_ends or {}),
            replaced=(replaced or {}).get(metric, 0),
            abandoned=(abandoned or {}).get(metric, 0),
        )

    return Run(name, source, tuple(metric for metric in points if points[metric]), table)


class Records:
    """What a run wrote down, one mapping from names to values each time, as columns that have no empty cells.

    Args:
        source: what errors call the file.
        only: the metric to keep, beside times and names of runs; None keeps all, "" no metric.
    """

    def __init__(self, source: str, *, only: str | None = None) -> None:
        self.source, self._only = source, only
        self._rows: dict[str, Places] = {}
        self._values: dict[str, Builder] = {}
        self._lines = Places()
        self.names: dict[str, None] = {}  # of numbers, in the order in which they come up

    def add(self, record: Mapping[str, object], line: int) -> None:
        """Adds what was written in a line; text is left out, but for names of runs.

        Raises:
            ValueError: at a whole number that no float can hold.
        """
        row = len(self._lines)
        self._lines.append(line)
        for key, value in _cells(record):
            text = isinstance(value, str)
            if not text:
                self.names.setdefault(key)
            if self._only == "" or (self._only is not None and key != self._only and not (is_time(key) or is_id(key))):
                continue
            if key not in self._rows:
                self._rows[key], self._values[key] = Places(), Builder()
            try:
                self._values[key].add(value) if isinstance(value, str) else self._values[key].put(float(value))
            except OverflowError:
                raise ValueError(
                    f"{self.source}, line {line}: {key} is a whole number of {len(f'{value:x}') * 4} bits, which is no "
                    "measurement"
                ) from None
            self._rows[key].append(row)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of numbers that are no times, and do not tell runs apart."""
        return tuple(name for name in self.names if not (is_time(name) or is_id(name)))

    def table(self, metric: str, run_ends: Mapping[str, float] | None = None) -> Table:
        """The rows in which a metric stands, with its times and names of runs."""
        rows = self._rows[metric]
        times = [name for name in self._rows if is_time(name) and name != metric]
        times.sort(key=lambda name: (rank(name), is_wall_clock(name)))
        others = [name for name in self._rows if name not in (*times, metric)]
        also = [n for n in others if is_id(n) or (may_be_time(n) and self._rises(n, rows))]
        columns = [self._aligned(name, rows) for name in (*times, *also)]
        return Table(
            self.source,
            (*times, *also, metric),
            (*columns, self._values[metric].column()),
            self._lines if len(rows) == len(self._lines) else self._lines.array()[rows.array()],
            restarts=True,
            run_ends=dict(run_ends or {}),
        )

    def _aligned(self, name: str, rows: Places) -> Column:
        """The cells of a name in some rows, empty where it does not stand there."""
        column = self._values[name].column()
        if self._rows[name] == rows:
            return column
        own, asked = self._rows[name].array(), rows.array()
        place = np.searchsorted(own, asked)
        there = (place < len(own)) & (own[np.minimum(place, len(own) - 1)] == asked)
        found = column.take(np.where(there, place, 0))
        if there.all():
            return found
        values = found.values.astype(np.float64)
        values[~there] = np.nan
        empty = np.flatnonzero(~there)
        return replace(
            found, values=values, nans=np.setdiff1d(found.nans, empty), worded=np.setdiff1d(found.worded, empty)
        )

    def _rises(self, name: str, rows: Places) -> bool:
        if len(self._rows[name]) < len(rows):
            return False
        column = self._aligned(name, rows)
        return column.numeric and rises(column.values)


def run_of_records(
    name: str,
    source: str,
    records: Iterable[Mapping[str, object]],
    *,
    run_ends: Mapping[str, float] | None = None,
) -> Run:
    """A run from what it wrote down, one mapping from names to values each time; text and lists are left out."""
    found = Records(source)
    for i, record in enumerate(records, 1):
        found.add(record, i)
    return Run(name, source, found.metrics, lambda metric: found.table(metric, run_ends))


def run_of_table(name: str, table: Table) -> Run:
    """A run from a table with one column for each metric; columns of text and of times are no metrics."""
    metrics = [
        column
        for i, column in enumerate(table.names)
        if table.numeric(i) and not (is_time(column) or is_id(column)) and table.names.count(column) == 1
    ]
    return Run(name, table.source, tuple(metrics), lambda metric: table)


def _cells(record: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str | int | float]]:
    """The numbers of a record, and names of runs; inner ones are named as Ray names them in its progress.csv."""
    for key, value in record.items():
        if isinstance(value, dict) and key != "config":  # hyperparameters are no measurements
            yield from _cells(value, f"{before}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield before + key, value
        elif isinstance(value, str) and is_id(before + key):
            yield before + key, value


def listed(names: Iterable[str]) -> str:
    """Names as an error gives them: all, or the first twenty and how many more.

    >>> listed(["a", "b"]), listed(map(str, range(22)))[-18:]
    ('a, b', '17, 18, 19, 2 more')
    """
    every = list(names)
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN] + ([f"{more} more"] if more > 0 else []))
