"""From the columns of a log to a learning curve: which one is the metric, which one the time, which rows count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lcpfn.curve import Curve, Reading
from lcpfn.logs.columns import Table
from lcpfn.logs.identity import one_run
from lcpfn.logs.restarts import Kept, coarse, last_attempt, stands_still, starts_over
from lcpfn.logs.rows import Rows, among, counts, rises, row, size, stays, thinned, where
from lcpfn.logs.times import is_id, is_setting, is_time, is_wall_clock, may_be_time, rank
from lcpfn.metric import Metric
from lcpfn.names import metric_named, plain

# Columns that are looked for by name, best first. Losses are not among them: a loss is never guessed.
VALUES = (
    *("val_accuracy", "val_acc", "valid_accuracy", "valid_acc", "validation_accuracy", "eval_accuracy", "eval_acc"),
    *("test_accuracy", "test_acc", "accuracy", "acc", "val_score", "score"),
)
ROWS = "rows"  # as the name of the time column: count the rows
RISING = 3  # values from which on a column that only rises may be a time
BOUNDS = ("__min", "__max")  # ends of columns beside the one that they are about


def curve(table: Table, *, column: str | None = None, time_column: str | None = None, run: str | None = None) -> Curve:
    """The learning curve of a table.

    Args:
        table: what was read.
        column: name or number of the values; None: a well-known name (`VALUES`), or the only column of numbers.
        time_column: name or number of the times, or "rows" to count rows from 1; None: count rows, unless a column
            that is a time by its name, or that only ever rises, counts otherwise: an error, as a horizon could mean
            either.
        run: which rows, where a column tells several runs apart: "trial_id=3", or "3".

    Raises:
        ValueError: if the columns or runs are not clear, a cell is not a number, a time is missing, or there is no
            value.
    """
    if run is not None and not any(is_id(name) for name in table.names):
        raise ValueError(f"{table.source} is a table, which is one run: leave out --run {run}")
    chosen = value_column(table, column)
    table, other_runs = one_run(table, chosen, run, _named_times(table, chosen))
    y = table.numbers(chosen)
    written = table.columns[chosen].measured
    if not np.isfinite(y).any():
        raise ValueError(f"{table.source}: column {table.names[chosen]} holds no number that is finite")
    read, measured = int(written.sum()), written
    measured[: int(np.isfinite(y).argmax())] = False  # before the first number nothing was measured
    return _Question(table, chosen, measured, read, other_runs).curve(time_column)


def value_column(table: Table, column: str | None) -> int:
    """Where the values stand, from 0.

    Raises:
        ValueError: if there is no such column, or several could be meant.
    """
    if column is not None:
        return _asked(table, column)
    names = [plain(name) for name in table.names]
    for name in VALUES:
        if name in names:
            return names.index(name)
    if len(names) == 1:
        return 0
    clocks = _named_times(table, -1)
    others = [i for i, name in enumerate(table.names) if i not in clocks and not (is_id(name) or is_setting(name))]
    candidates = [i for i in others if table.numeric(i)]
    if not candidates:  # a column with a bad cell, whose error will name it; else times that are all there is
        partly = [i for i in others if len(table.columns[i].worded) < table.columns[i].measured.sum()]
        candidates = partly if len(partly) == 1 else [] if partly else clocks
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(table.names[i] for i in candidates) or "none"
    raise ValueError(
        f"{table.source}: which column to forecast? Say --metric NAME or NUMBER; columns of numbers: {found} "
        f"(all: {', '.join(table.names)})"
    )


def _asked(table: Table, column: str) -> int:
    """The column of a name; capitals and separators aside, or by its last words, where no other is like it."""
    try:
        return table.index(column)
    except ValueError:
        asked, names = plain(column), [plain(name) for name in table.names]
        for alike in ([n == asked for n in names], [n.endswith(f"_{asked}") for n in names]):
            if sum(alike) == 1 and asked:
                return alike.index(True)
        raise


def _named_times(table: Table, chosen: int) -> list[int]:
    """The columns that count time by their names, best first."""
    found = [i for i, name in enumerate(table.names) if i != chosen and is_time(name) and table.numeric(i)]
    return sorted(found, key=lambda i: (rank(table.names[i]), is_wall_clock(table.names[i])))


@dataclass(frozen=True, eq=False)
class _Question:
    """Which rows of a table make a curve, and at which times."""

    table: Table
    chosen: int  # column of the values
    measured: np.ndarray  # (N,) whether something was measured, from the first number on
    read: int  # cells of the metric in which something stood
    other_runs: int

    def curve(self, time_column: str | None) -> Curve:
        if time_column is not None and time_column != ROWS:
            return self._timed(_clock(self.table, time_column))
        rows = where(self.measured)
        times = {i: self.table.numbers(i) for i in _named_times(self.table, self.chosen)}
        # Several rows of one time: metrics that take turns, and no missing values. (NaN differs from NaN.)
        if not any(map(stays, times.values())):
            rows = slice(0, len(self.table))
        self._one_attempt(times)
        fine = [t[rows] for t in times.values() if self.table.restarts and not _coarse(t, times, rows)]
        if fine and time_column == ROWS:
            return self._counted(rows, last_attempt(fine[0]), "t")
        for clock, t in times.items():
            if counts(t[rows]):
                return self._counted(rows, Kept(slice(0, size(rows))), self.table.names[clock])
        if time_column is None:
            if times and (settled := self._settled(times)) is not None:
                return settled
            times = {**times, **({} if times else self._rising(rows))}
            if times:
                self._ask(times)
        return self._counted(rows, Kept(slice(0, size(rows))), "t")

    def _settled(self, times: dict[int, np.ndarray]) -> Curve | None:
        """The curve where one of the times counts its values once those before a restart are left out."""
        rows = where(self.measured)
        for clock, t in times.items():
            if np.isnan(t[rows]).any() or _coarse(t, times, rows) or self._several(t[rows], rows) is not None:
                continue
            kept = last_attempt(t[rows])
            clear = self.table.restarts or not stays(t[rows])
            if clear and counts(t[rows][kept.rows]):
                return self._counted(rows, kept, self.table.names[clock])
        return None

    def _ask(self, times: dict[int, np.ndarray]) -> None:
        """Raises the question which of the times is meant: a horizon could be one of them, or a number of rows."""
        rows = where(self.measured)
        rising = [clock for clock, t in times.items() if rises(t[rows])]
        unclear = (rising or list(times))[0]
        if not rising and (several := self._several(times[unclear][rows], rows)) is not None:
            raise ValueError(self._stands(unclear, *several, times))
        first, name = times[unclear][rows][:3], self.table.names[unclear]
        raise ValueError(
            f"{self.table.source}: column {name} goes {', '.join(f'{t:.15g}' for t in first)}...: "
            f"say --time-column {name} to use its times, or --time-column {ROWS} to count rows from 1"
        )

    def _rising(self, rows: Rows) -> dict[int, np.ndarray]:
        """The columns that only ever rise and whose names say nothing else: some time or other."""
        found = {}
        if size(measured := where(self.measured)) < RISING:
            return {}
        for i, name in enumerate(self.table.names):
            if i != self.chosen and may_be_time(name) and self.table.numeric(i):
                t = self.table.columns[i].values
                if rises(t[measured]) and not counts(t[rows]):
                    found[i] = t
        return found

    def _one_attempt(self, times: dict[int, np.ndarray]) -> None:
        """Raises where a table holds two runs one below the other and nothing else tells them apart."""
        if self.table.restarts:
            return
        rows = where(self.measured)
        for clock, t in times.items():
            again = starts_over(t[rows])
            others = [s[rows] for i, s in times.items() if i != clock and not is_wall_clock(self.table.names[i])]
            if again and not any((s[1:] >= s[:-1]).all() for s in others):
                self._two_runs(clock, rows, again)

    def _two_runs(self, clock: int, rows: Rows, again: int) -> None:
        t, name = self.table.columns[clock].values[rows][again], self.table.names[clock]
        raise ValueError(
            f"{self.table.source}, line {self.table.lines[row(rows, again)]}: {name} starts over at {t:g}: "
            "two runs in one file? Keep one of them"
        )

    def _several(self, t: np.ndarray, rows: Rows) -> tuple[float, np.ndarray] | None:
        """A time that stands in several rows with different values, where most do; and those rows."""
        found = stands_still(t)
        values = self.table.columns[self.chosen].values[rows]
        if found is None or not _differ(t, values):
            return None
        return found[0], found[1] + row(rows, 0) if isinstance(rows, slice) else rows[found[1]]

    def _stands(self, clock: int, time: float, found: np.ndarray, times: dict[int, np.ndarray]) -> str:
        rows = where(self.measured)
        lines = ", ".join(str(self.table.lines[i]) for i in found[:3])
        finer = [self.table.names[i] for i, t in times.items() if i != clock and rises(t[rows])]
        advice = (
            f"say --time-column {finer[0]}" if finer else f"keep one run, or say --time-column {ROWS} to count rows"
        )
        return (
            f"{self.table.source}, line {self.table.lines[found[1]]}: {self.table.names[clock]} {time:g} stands in "
            f"{len(found)} rows (lines {lines}{', ...' if len(found) > 3 else ''}): several runs, or several values "
            f"in one {self.table.names[clock]}? {advice}"
        )

    def _timed(self, clock: int) -> Curve:
        """The curve at the times of a column."""
        table, rows = self.table, where(self.measured)
        if clock == self.chosen:
            raise ValueError(f"{table.source}: column {table.names[clock]} cannot hold both values and times")
        t, name = table.numbers(clock), table.names[clock]
        notices: tuple[str, ...] = ()
        if (without := np.isnan(t[rows])).any():
            line = table.lines[row(rows, int(without.argmax()))]
            if not table.restarts or without.all():
                raise ValueError(f"{table.source}, line {line}: no time in column {name}")
            notices = (f"{int(without.sum())} without a time in {name} left out, the first in line {line}",)
            rows = among(rows, np.flatnonzero(~without))
        every = where(~np.isnan(t))
        if not notices and (rises(t[every]) or len(np.unique(t[every])) == size(every)):
            rows = every
        elif (several := self._several(t[rows], rows)) is not None:
            others = {i: table.numbers(i) for i in _named_times(table, self.chosen)}
            raise ValueError(self._stands(clock, *several, others))
        kept = last_attempt(t[rows])
        if kept.replaced and not table.restarts and (again := starts_over(t[rows])):
            self._two_runs(clock, rows, again)
        name = "t" if name.isdecimal() else name
        return self._made(among(rows, kept.rows), t, name, kept, notices)

    def _counted(self, rows: Rows, kept: Kept, clock: str) -> Curve:
        """The curve at the times 1, 2, 3, ..."""
        return self._made(among(rows, kept.rows), None, clock, kept, ())

    def _made(self, rows: Rows, times: np.ndarray | None, clock: str, kept: Kept, notices: Sequence[str]) -> Curve:
        """The curve of some rows at the times of a column (N,), or at 1, 2, 3, ..."""
        table, column = self.table, self.table.columns[self.chosen]
        every, measured = column.values[rows].astype(np.float64, copy=False), self.measured[rows]
        finite = np.isfinite(every) & measured
        if not finite.any():
            raise ValueError(f"{table.source}: column {table.names[self.chosen]} holds no finite number that counts")
        end = len(every) - int(finite[::-1].argmax())  # behind the last finite value
        diverged = end + np.flatnonzero(measured[end:])[:1]
        points = thinned(every, finite)
        if isinstance(points, np.ndarray):
            notices = (
                *notices,
                f"{len(points)} of {len(every)} points are kept, at even distances, the first, the last, the smallest "
                "and the largest one among them; the counts are of all",
            )
        y = np.where(finite[points], every[points], np.nan)
        counted = 1.0 + np.arange(len(every), dtype=np.int32)[points] if times is None else times[among(rows, points)]
        not_finite = int(column.measured.sum() - np.isfinite(column.values).sum())
        name = "y" if table.names[self.chosen].isdecimal() else table.names[self.chosen]
        reading = Reading(
            source=table.source,
            read=self.read + table.replaced + self.other_runs,
            replaced=kept.replaced + table.replaced,
            not_finite=not_finite,
            abandoned=kept.abandoned + table.abandoned,
            other_runs=self.other_runs,
            notices=(*table.notices, *notices),
            direction=table.direction,
        )
        gone = None
        if len(diverged):
            gone = float(diverged[0] + 1 if times is None else times[row(rows, diverged[0])])
        return Curve(
            counted.astype(np.float64),
            y,
            metric=_metric(name, y, table.direction),
            run_end=table.run_ends.get(clock),
            diverged_at=gone,
            name=name,
            clock=clock,
            reading=reading,
        )


def _coarse(t: np.ndarray, times: dict[int, np.ndarray], rows: Rows) -> bool:
    return coarse(t[rows], [other[rows] for other in times.values()])


def _differ(t: np.ndarray, values: np.ndarray) -> bool:
    """Whether rows of one time have different values: not if one line was written twice."""
    order = np.lexsort((values, t))
    return bool(((np.diff(t[order]) == 0) & (np.diff(values[order]) != 0)).any())


def _clock(table: Table, name: str) -> int:
    try:
        return _asked(table, name)
    except ValueError as error:
        times = ", ".join(table.names[i] for i in _named_times(table, -1))
        raise ValueError(f"{error}{f'; times are {times}' if times else ''}") from None


def _metric(name: str, y: np.ndarray, direction: str | None) -> Metric | None:
    """What the values are, by their name and what the log says; None if neither says anything."""
    named = metric_named(name, y)
    if direction is None or (named is not None and named.direction == direction):
        return named
    return Metric(direction)  # the name means something else here


def with_notices(found: Curve, notices: Sequence[str], source: str) -> Curve:
    """The curve with more notices, and the source as it was asked for."""
    assert found.reading is not None
    reading = replace(found.reading, source=source, notices=(*found.reading.notices, *notices))
    return replace(found, reading=reading)
