"""A run as the readers of logs hand it over: its metrics, and the table of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lcpfn.logs.table import TIMES, Table
from lcpfn.names import plain

SHOWN = 20  # names that an error lists before it counts the rest


@dataclass(frozen=True, eq=False)
class Run:
    """What one training run has logged."""

    name: str  # by which it is asked for
    source: str  # what errors call it
    metrics: tuple[str, ...]
    table: Callable[[str], Table]  # a table with the column of that metric, and those of its times

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


def run_of_points(
    name: str,
    source: str,
    clocks: Sequence[str],
    points: Mapping[str, Sequence[Sequence[float | None]]],
    *,
    direction: str | None = None,
) -> Run:
    """A run from the points of each metric.

    Args:
        name: of the run.
        source: what errors call it.
        clocks: names of the times.
        points: by metric; each point is (time on the first clock, ..., value), in the order of writing; None where it
            has no such time.
        direction: which is better, "max" or "min", if the log says so.
    """

    def table(metric: str) -> Table:
        cells = tuple(tuple("" if cell is None else repr(float(cell)) for cell in point) for point in points[metric])
        names, lines = (*clocks, metric), tuple(range(1, len(cells) + 1))
        return Table(source, names, cells, lines, restarts=True, direction=direction)

    return Run(name, source, tuple(metric for metric in points if points[metric]), table)


def run_of_records(name: str, source: str, records: Iterable[Mapping[str, object]]) -> Run:
    """A run from what it wrote down, one mapping from names to values each time; text and lists are left out."""
    found = [dict(_numbers(record)) for record in records]
    names = dict.fromkeys(key for record in found for key in record)
    clocks = sorted((key for key in names if plain(key) in TIMES), key=lambda key: TIMES.index(plain(key)))
    points: dict[str, list[list[float | None]]] = {key: [] for key in names if key not in clocks}
    for record in found:
        times: list[float | None] = [record.get(clock) for clock in clocks]
        for key in record.keys() & points.keys():
            points[key].append([*times, record[key]])
    return run_of_points(name, source, clocks, points)


def run_of_table(name: str, table: Table) -> Run:
    """A run from a table with one column for each metric; columns of text and of times are no metrics."""
    metrics = [
        column
        for i, column in enumerate(table.names)
        if table.numeric(i) and plain(column) not in TIMES and table.names.count(column) == 1
    ]
    return Run(name, table.source, tuple(metrics), lambda metric: table)


def _numbers(record: Mapping[str, object], before: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a record; those of inner ones are named as Ray names them in its progress.csv."""
    for key, value in record.items():
        if isinstance(value, dict) and key != "config":  # hyperparameters are no measurements
            yield from _numbers(value, f"{before}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield before + key, value


def listed(names: Iterable[str]) -> str:
    """Names as an error gives them: all, or the first twenty and how many more.

    >>> listed(["a", "b"]), listed(map(str, range(22)))[-18:]
    ('a, b', '17, 18, 19, 2 more')
    """
    every = list(names)
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN] + ([f"{more} more"] if more > 0 else []))
