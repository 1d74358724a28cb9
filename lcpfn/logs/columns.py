"""Columns of numbers as the readers of logs hand them over, at eight bytes a cell."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lcpfn.logs.rows import MOST_POINTS, Places

BLANK = ("", "-", "na", "n/a", "null", "none")  # cells that mean "not measured", in any case
NAN = ("nan", "-nan", "+nan", "nan(ind)", "-nan(ind)")  # measured, and no number
SMALL = 1 << 30  # whole numbers below need four bytes, and their differences too
DISTINCT = 10_000  # words of a column that are told apart: more name no runs
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)


def number(cell: str) -> float | None:
    """The cell as a number, NaN if it means "not measured" or "not a number", None if it is something else.

    >>> number("0.25"), number(" 1e-3"), number("NA"), number("12 %"), number("1_000")
    (0.25, 0.001, nan, None, None)
    """
    cell = cell.strip()
    if cell.lower() in BLANK or cell.lower() in NAN:
        return float("nan")
    return float(cell) if _NUMBER.fullmatch(cell) else None  # float() alone would also take 1_000


@dataclass(frozen=True, eq=False)
class Column:
    """The cells of a column, N of them."""

    # (N,) float64, NaN where there is no number; for a word its place in `words`, see `worded`. Of more than
    # MOST_POINTS rows int32, if all are whole numbers: steps of a long log.
    values: np.ndarray
    nans: np.ndarray  # rows in which NaN was written: measured, and no number
    worded: np.ndarray  # rows with a word
    words: tuple[str, ...] = ()  # the distinct ones, by first appearance; no more than DISTINCT

    @property
    def measured(self) -> np.ndarray:
        """(N,) whether something was measured: a number, an infinity, or a NaN that was written as such."""
        found = ~np.isnan(self.values)
        found[self.nans] = True
        return found

    @property
    def numeric(self) -> bool:
        """Whether every cell is a number or empty, and one is a number."""
        return not len(self.worded) and not bool(np.isnan(self.values).all())

    def take(self, rows: np.ndarray) -> Column:
        """The column of these rows, in their order."""
        marks = np.zeros(len(self.values), dtype=np.uint8)
        marks[self.nans], marks[self.worded] = 1, 2
        marks = marks[rows]
        return Column(self.values[rows], np.flatnonzero(marks == 1), np.flatnonzero(marks == 2), self.words)

    def text(self, row: int) -> str:
        """The cell as it is shown and asked for."""
        value = self.values[row]
        if row in self.worded:
            return self.words[int(value)] if value < len(self.words) else "another"
        return "" if np.isnan(value) else f"{value:.15g}"


class Builder:
    """A column that grows while a file is read."""

    def __init__(self) -> None:
        self._values: array[Any] = array("i")  # until something comes that is no small whole number
        self._nans, self._worded = array("q"), array("q")
        self._words: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def extend(self, cells: Sequence[str]) -> None:
        """Adds cells of text."""
        try:
            found = array("d", map(float, cells))
            if "_" in "".join(cells) or any(value != value for value in found):
                raise ValueError
            self._join(found)
        except ValueError:  # a cell that is empty, NaN, a word, or 1_000
            for cell in cells:
                self.add(cell)

    def add(self, cell: str) -> None:
        """Adds a cell of text."""
        value = float("nan") if not cell else number(cell)
        if value is None:
            self._worded.append(len(self._values))
            known = self._words.get(cell)
            if known is None:
                known = len(self._words)
                if known < DISTINCT:
                    self._words[cell] = known
            value = float(known)
            self._widen()  # words are told apart from whole numbers
        elif value != value and cell.strip().lower() in NAN:
            self._nans.append(len(self._values))
        self._append(value)

    def put(self, value: float | None) -> None:
        """Adds a number; None where nothing was measured."""
        if value is None:
            self._append(float("nan"))
            return
        if value != value:
            self._nans.append(len(self._values))
        self._append(value)

    def _append(self, value: float) -> None:
        if self._values.typecode == "i":
            if value == value and -SMALL < value < SMALL and value == int(value):
                self._values.append(int(value))
                return
            self._widen()
        self._values.append(value)

    def _join(self, found: array[float]) -> None:
        if self._values.typecode == "i":
            values = np.frombuffer(found, dtype=np.float64) if found else np.zeros(0)
            if bool(((np.abs(values) < SMALL) & (values == np.floor(values))).all()):
                self._values.frombytes(values.astype(np.intc).tobytes())
                return
            self._widen()
        self._values.extend(found)

    def _widen(self) -> None:
        if self._values.typecode == "i":
            self._values = array("d", self._values)

    def column(self) -> Column:
        """What has been added."""
        values = np.frombuffer(self._values, dtype=self._values.typecode) if self._values else np.zeros(0)
        if values.dtype != np.float64 and len(values) <= MOST_POINTS:
            values = values.astype(np.float64)
        return Column(
            values,
            np.array(self._nans, dtype=np.int64),
            np.array(self._worded, dtype=np.int64),
            tuple(self._words),
        )


def column_of(numbers: Iterable[float | None]) -> Column:
    """A column of numbers, None where nothing was measured."""
    built = Builder()
    for value in numbers:
        built.put(value)
    return built.column()


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of N rows, and what they are called."""

    source: str  # what errors call the file
    names: tuple[str, ...]  # one for each column; "1", "2", ... where the file has no header
    columns: tuple[Column, ...]
    lines: Sequence[int] | Places | np.ndarray  # (N,) where each row stands in the file, from 1
    restarts: bool = False  # rows are of one run: a time that comes again was measured again after a restart
    direction: str | None = None  # of the values, where the file says which is better
    run_ends: dict[str, float] = field(default_factory=dict)  # by clock, where the file says when the run ends
    replaced: int = 0  # values that the reader itself has left out, as later ones came to their times
    abandoned: int = 0  # of these, values that the log takes back
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def index(self, column: str) -> int:
        """Where the column stands, from 0; asked for by its name, or else by its number from 1.

        Raises:
            ValueError: if there is no such column, or more than one of that name.
        """
        matches = [i for i, name in enumerate(self.names) if name == column]
        if not matches and column.isdecimal() and 1 <= int(column[:9]) <= len(self.names):
            matches = [int(column) - 1]
        if not matches:
            raise ValueError(f"{self.source} has no column {column!r}, only {', '.join(self.names)}")
        if len(matches) > 1:
            numbers = " or ".join(str(i + 1) for i in matches)
            raise ValueError(f"{self.source} has {len(matches)} columns {column!r}: ask by number, {numbers}")
        return matches[0]

    def numbers(self, column: int) -> np.ndarray:
        """(N,) the column, NaN where nothing was measured; see `Column.values`.

        Raises:
            ValueError: at the first cell that is neither a number nor empty, with its line.
        """
        found = self.columns[column]
        if len(found.worded):
            row = int(found.worded[0])
            where = f"{self.source}, line {self.lines[row]}, column {self.names[column]}"
            text = found.text(row)
            advice = ": strip the percent signs and say --bounds 0,100" if text.endswith("%") else ""
            raise ValueError(f"{where}: {text!r} is not a number{advice}")
        return found.values

    def numeric(self, column: int) -> bool:
        """Whether every cell of the column is a number or empty, and one is a number."""
        return self.columns[column].numeric

    def take(self, rows: np.ndarray) -> Table:
        """The table of these rows."""
        every = self.lines.array() if isinstance(self.lines, Places) else np.asarray(self.lines, dtype=np.int64)
        lines = every[rows]
        return replace(self, columns=tuple(column.take(rows) for column in self.columns), lines=lines)

    def select(self, columns: Sequence[int], names: Sequence[str]) -> Table:
        """The table of these columns under these names."""
        return replace(self, columns=tuple(self.columns[i] for i in columns), names=tuple(names))
