"""Several runs, seeds or folds in one table, told apart by a column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lcpfn.logs.columns import Table
from lcpfn.logs.times import is_id

SHOWN = 8  # values of a column that an error lists


def one_run(table: Table, chosen: int, run: str | None, clocks: Sequence[int]) -> tuple[Table, int]:
    """The rows of one run, and how many values of others there are.

    Args:
        table: with all rows.
        chosen: the column of the values.
        run: "COLUMN=VALUE", several of them with commas between, or a VALUE; None where it is not said.
        clocks: columns of times, best first.

    Raises:
        ValueError: if there are several runs and none is said, or there is no such run.
    """
    ids = [i for i, name in enumerate(table.names) if i != chosen and is_id(name)]
    if run is None:
        _ask(table, chosen, ids, clocks)
        return table, 0
    measured = table.columns[chosen].measured
    fits = np.ones(len(table), dtype=bool)
    for part in run.split(",") if "=" in run else [run]:
        name, _, value = part.rpartition("=")
        asked = [table.index(name)] if name else ids
        found = [rows for i in asked if (rows := _equal(table, i, value)).any()]
        if len(found) != 1:
            problem = f"{len(found)} columns that hold {value!r}" if found else f"no run {part!r}"
            raise ValueError(f"{table.source} has {problem}: {'; '.join(_told(table, i) for i in ids)}")
        fits &= found[0]
    if not fits.any():
        raise ValueError(f"{table.source} has no run {run!r}: {'; '.join(_told(table, i) for i in ids)}")
    left = table.take(np.flatnonzero(fits))
    _ask(left, chosen, ids, clocks)
    return left, int((measured & ~fits).sum())


def _ask(table: Table, chosen: int, ids: Sequence[int], clocks: Sequence[int]) -> None:
    """Raises if a column tells runs apart, and they have times in common or no times at all."""
    rows = np.flatnonzero(table.columns[chosen].measured)
    for i in ids:
        codes = _codes(table, i)[rows]
        if len(np.unique(codes[codes >= 0])) < 2:
            continue
        name = table.names[i]
        advice = f"say --run {name}=VALUE; {_told(table, i)}"
        timed = [c for c in clocks if table.numeric(c) and not np.isnan(table.columns[c].values[rows]).any()]
        if not timed:
            raise ValueError(f"{table.source} holds {len(np.unique(codes))} runs by its column {name}: {advice}")
        t = table.columns[timed[0]].values[rows]
        order = np.lexsort((codes, t))
        again = np.flatnonzero((np.diff(t[order]) == 0) & (np.diff(codes[order]) != 0))
        if len(again):
            time = t[order[again[0]]]
            where = rows[t == time]
            raise ValueError(
                f"{table.source}, line {table.lines[where[1]]}: {table.names[timed[0]]} {time:g} stands in "
                f"{len(where)} rows, of several runs by their {name}: {advice}"
            )


def _codes(table: Table, column: int) -> np.ndarray:
    """(N,) a number for each distinct cell, -1 where it is empty."""
    found = table.columns[column]
    values = found.values.copy()
    values[found.worded] += 1e300  # apart from numbers of the same size
    _, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(-1)
    if len(found.worded):
        numbers = np.ones(len(values), dtype=bool)
        numbers[found.worded] = False
        codes = np.where(numbers, codes, len(values) + found.values)
    return np.where(np.isnan(found.values), -1, codes)


def _equal(table: Table, column: int, value: str) -> np.ndarray:
    """(N,) whether the cell is this one."""
    found, fits = table.columns[column], np.zeros(len(table), dtype=bool)
    if value in found.words:
        fits[found.worded] = found.values[found.worded] == found.words.index(value)
    try:
        same = found.values == float(value)
    except ValueError:
        return fits
    same[found.worded] = False
    return fits | same


def _told(table: Table, column: int) -> str:
    """The column's name and its first values."""
    codes = _codes(table, column)
    _, first = np.unique(codes, return_index=True)
    texts = [table.columns[column].text(i) for i in sorted(first) if codes[i] >= 0]
    more = len(texts) - SHOWN
    return f"{table.names[column]} is {', '.join(texts[:SHOWN])}{f', {more} more' if more > 0 else ''}"
