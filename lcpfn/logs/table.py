"""A learning curve from a text file: a CSV with or without a header, or a bare list of numbers."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lcpfn.metric import Metric
from lcpfn.names import metric_named, plain

MISSING = ("", "-", "nan", "na", "n/a", "null", "none")  # cells that mean "not measured", in any case
# Columns that are looked for by name, best first. Losses are not among them: a loss is never guessed.
VALUES = (
    *("val_accuracy", "val_acc", "valid_accuracy", "valid_acc", "validation_accuracy", "eval_accuracy", "eval_acc"),
    *("test_accuracy", "test_acc", "accuracy", "acc", "val_score", "score"),
)
TIMES = (
    *("epoch", "epochs", "step", "steps", "global_step", "iteration", "iterations", "iter", "time", "t", "tokens"),
    *("training_iteration", "timesteps_total", "total_timesteps", "time_total_timesteps", "time_total_s"),
)
ROWS = "rows"  # as the name of the time column: count the rows
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """The cells of a text file, N rows of equal length, and what their columns are called."""

    source: str  # what errors call the file
    names: tuple[str, ...]  # one for each column; "1", "2", ... where the file has no header
    cells: tuple[tuple[str, ...], ...]  # N rows
    lines: tuple[int, ...]  # (N,) where each row stands in the file, from 1
    restarts: bool = False  # rows are of one run: a time that comes again was measured again after a restart
    direction: str | None = None  # of the values, where the file says which is better

    def index(self, column: str) -> int:
        """Where the column stands, from 0; asked for by its name, or else by its number from 1.

        Raises:
            ValueError: if there is no such column, or more than one of that name.
        """
        matches = [i for i, name in enumerate(self.names) if name == column]
        if not matches and column.isdecimal() and 1 <= int(column) <= len(self.names):
            matches = [int(column) - 1]
        if not matches:
            raise ValueError(f"{self.source} has no column {column!r}, only {', '.join(self.names)}")
        if len(matches) > 1:
            numbers = " or ".join(str(i + 1) for i in matches)
            raise ValueError(f"{self.source} has {len(matches)} columns {column!r}: ask by number, {numbers}")
        return matches[0]

    def numbers(self, column: int) -> np.ndarray:
        """(N,) the column as float64, NaN where nothing was measured.

        Raises:
            ValueError: at the first cell that is neither a number nor empty, with its line.
        """
        values = np.empty(len(self.cells))
        for i, row in enumerate(self.cells):
            value = number(row[column])
            if value is None:
                where = f"{self.source}, line {self.lines[i]}, column {self.names[column]}"
                advice = ": strip the percent signs and say --bounds 0,100" if row[column].endswith("%") else ""
                raise ValueError(f"{where}: {row[column]!r} is not a number{advice}")
            values[i] = value
        return values

    def numeric(self, column: int) -> bool:
        """Whether every cell of the column is a number or empty, and one is a number."""
        values = [number(row[column]) for row in self.cells]
        return None not in values and not all(value != value for value in values)


@dataclass(frozen=True)
class Curve:
    """One learning curve of a table, sorted by time where it has times of its own."""

    name: str  # of the value's column, "y" in a bare list
    y: np.ndarray  # (T,) NaN where nothing was measured
    t: np.ndarray | None  # (T,) in the unit of the time column; None: times are 1..T
    clock: str  # name of the time column, "t" without
    direction: str | None = None  # which is better, where the log says so itself
    replaced: int = 0  # values that were left out because later ones stand for the same time, as after a restart

    def __len__(self) -> int:
        return len(self.y)

    @property
    def times(self) -> np.ndarray:
        """(T,) the times, 1..T where the curve has none of its own."""
        return np.arange(1.0, len(self.y) + 1) if self.t is None else self.t

    @property
    def metric(self) -> Metric | None:
        """What the values are, by their name and what the log says; None if neither says anything."""
        named = metric_named(self.name, self.y)
        if self.direction is None or (named is not None and named.direction == self.direction):
            return named
        return Metric(self.direction)  # the name means something else here

    def __getitem__(self, rows: slice | np.ndarray) -> Curve:
        return replace(self, y=self.y[rows], t=None if self.t is None else self.t[rows])


def number(cell: str) -> float | None:
    """The cell as a number, NaN if it means "not measured", None if it is something else.

    >>> number("0.25"), number(" 1e-3"), number("NA"), number("12 %"), number("1_000")
    (0.25, 0.001, nan, None, None)
    """
    cell = cell.strip()
    if cell.lower() in MISSING:
        return float("nan")
    return float(cell) if _NUMBER.fullmatch(cell) else None  # float() alone would also take 1_000


def read(path: str) -> Table:
    """The table in a file, or in what comes from standard input if the path is "-".

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is empty, no text, or no table.
    """
    if path != "-":
        return parse(decode(Path(path).read_bytes(), path), source=path)
    buffer = getattr(sys.stdin, "buffer", None)  # a stand-in for the standard input may have text alone
    return parse(
        sys.stdin.read() if buffer is None else decode(buffer.read(), "standard input"), source="standard input"
    )


def parse(text: str, *, source: str = "the text") -> Table:
    r"""The table in a text.

    Commas, semicolons, tabs or white space separate cells; in a file with semicolons the decimal sign may be a comma.
    A first row without any number is a header. One line of numbers is a list, as is JSON's `[0.1, 0.2]` and what Python
    and NumPy print. Empty lines and lines that start with # are skipped.

    >>> parse("0.1 0.2 0.3").cells
    (('0.1',), ('0.2',), ('0.3',))
    >>> parse("epoch,val_acc\n1,0.5\n2,0.6").names
    ('epoch', 'val_acc')

    Raises:
        ValueError: if there is nothing in it, or a row has another number of cells than the first; with the line.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise ValueError(f"{source} is empty: expected a CSV or a list of numbers")
    if text.lstrip().startswith("{"):
        raise ValueError(f"{source} holds JSON objects: expected a CSV or a list of numbers")
    if text.lstrip().startswith("["):
        return _list(text, source)
    rows, lines = _rows(text, source)
    header = any(rows[0]) and all(not cell or number(cell.removesuffix("%")) is None for cell in rows[0])
    if not header and len(rows) == 1:
        cells = rows[0] if rows[0][-1] else rows[0][:-1]  # a comma at the end is no missing value
        return Table(source, ("1",), tuple((cell,) for cell in cells), tuple(lines * len(cells)))
    names = tuple(rows[0]) if header else tuple(str(i + 1) for i in range(len(rows[0])))
    if header and len(rows) == 1:
        raise ValueError(f"{source} has a header ({', '.join(names)}) and no row below it")
    for row, line in zip(rows, lines):
        if len(row) != len(rows[0]):
            what = "the header" if header else "the first row"
            raise ValueError(f"{source}, line {line}: {len(row)} cells where {what} has {len(rows[0])}")
    return Table(source, names, tuple(map(tuple, rows[header:])), tuple(lines[header:]))


def curve(table: Table, *, column: str | None = None, time_column: str | None = None) -> Curve:
    """The learning curve of a table.

    Args:
        table: what was read.
        column: name or number of the values; None: a well-known name (`VALUES`), or the only column of numbers.
        time_column: name or number of the times, or "rows" to count rows from 1; None: count rows, unless a column with
            a well-known name (`TIMES`) counts otherwise, which is an error because a horizon could mean either.

    Raises:
        ValueError: if the columns are not clear, a cell is not a number, a time is missing, or there is no value.
    """
    clocks = [i for i, name in enumerate(table.names) if plain(name) in TIMES and table.numeric(i)]
    clocks.sort(key=lambda i: TIMES.index(plain(table.names[i])))
    chosen = _value_column(table, clocks) if column is None else table.index(column)
    y = table.numbers(chosen)
    if np.isnan(y).all():
        raise ValueError(f"{table.source}: column {table.names[chosen]} holds no number")
    name = "y" if table.names[chosen].isdecimal() else table.names[chosen]
    whole = Curve(name, y, None, "t", table.direction)
    times = {i: table.numbers(i) for i in clocks if i != chosen}
    measured = np.flatnonzero(~np.isnan(y))
    # Several rows of one time: metrics that take turns, and no missing values. (NaN differs from NaN.)
    rows = measured if any((np.diff(t) == 0).any() for t in times.values()) else np.arange(len(y))
    if time_column is None or time_column == ROWS:
        fine = [t[rows] for t in times.values() if table.restarts and not _coarse(t[rows], times, rows)]
        if fine and time_column == ROWS:
            kept = latest(fine[0])
            return replace(whole[rows[kept]], replaced=len(rows) - len(kept))
        for clock, t in times.items():
            if _counts_rows(t[rows]):
                return replace(whole[rows], clock=table.names[clock])
        if time_column is None and times:
            return _settled(table, whole, times, measured)
        return whole[rows]
    clock = table.index(time_column)
    if clock == chosen:
        raise ValueError(f"{table.source}: column {table.names[clock]} cannot hold both values and times")
    t = table.numbers(clock)
    if np.isnan(t[measured]).any():
        line = table.lines[measured[int(np.isnan(t[measured]).argmax())]]
        raise ValueError(f"{table.source}, line {line}: no time in column {table.names[clock]}")
    rows = rows[~np.isnan(t[rows])]
    if len(np.unique(t[rows])) < len(rows):
        rows = measured
    kept = latest(t[rows])
    if len(kept) < len(rows) and not table.restarts and (again := _starts_over(t[rows])):
        raise ValueError(
            f"{table.source}, line {table.lines[rows[again]]}: {table.names[clock]} starts over at {t[rows[again]]:g}: "
            "two runs in one file? Keep one of them"
        )
    return replace(
        whole[rows[kept]],
        t=t[rows[kept]],
        clock="t" if table.names[clock].isdecimal() else table.names[clock],
        replaced=len(rows) - len(kept),
    )


def latest(t: np.ndarray) -> np.ndarray:
    """Indices of the rows that count, by increasing time, when rows were written in this order.

    Times in any order are sorted. If some come again there was a restart: when the time goes back, the rows of that
    time and of later ones, written before, belong to what was given up.

    >>> latest(np.array([30, 10, 20])), latest(np.array([1, 2, 3, 4, 2, 3]))
    (array([1, 2, 0]), array([0, 4, 5]))
    """
    if len(np.unique(t)) == len(t):
        return np.argsort(t, kind="stable")
    kept: list[int] = []
    for i, time in enumerate(t):
        while kept and t[kept[-1]] >= time:
            kept.pop()
        kept.append(i)
    return np.array(kept, dtype=int)


def _settled(table: Table, whole: Curve, times: dict[int, np.ndarray], rows: np.ndarray) -> Curve:
    """The curve where one of the times counts its values once those before a restart are left out.

    Raises:
        ValueError: if none does: a horizon could then mean values or times.
    """
    for clock, t in times.items():
        kept = latest(t[rows])
        clear = table.restarts or not ((np.diff(t[rows]) == 0).any() or _starts_over(t[rows]))
        if clear and not _coarse(t[rows], times, rows) and _counts_rows(t[rows][kept]):
            return replace(whole[rows[kept]], clock=table.names[clock], replaced=len(rows) - len(kept))
    rising = [clock for clock, t in times.items() if (np.diff(t[rows]) > 0).all()]
    unclear = (rising or list(times))[0]
    first, name = times[unclear][rows][:3], table.names[unclear]
    raise ValueError(
        f"{table.source}: column {name} goes {', '.join(f'{t:g}' for t in first)}...: "
        f"say --time-column {name} to use its times, or --time-column {ROWS} to count rows from 1"
    )


def _coarse(t: np.ndarray, times: dict[int, np.ndarray], rows: np.ndarray) -> bool:
    """Whether a time stands still while another one goes on: epochs of values that were logged every few steps."""
    return any(((np.diff(t) == 0) & (np.diff(other[rows]) > 0)).any() for other in times.values())


def _starts_over(t: np.ndarray) -> int:
    """Where times go back to the first one or before it, while some come again; 0 if they do not."""
    back = np.flatnonzero((np.diff(t) < 0) & (t[1:] <= t[0])) + 1
    return int(back[0]) if len(back) and len(np.unique(t)) < len(t) else 0


def _value_column(table: Table, clocks: list[int]) -> int:
    plain_names = [plain(name) for name in table.names]
    for name in VALUES:
        if name in plain_names:
            return plain_names.index(name)
    if len(table.names) == 1:
        return 0
    others = [i for i in range(len(table.names)) if i not in clocks]
    candidates = [i for i in others if table.numeric(i)]
    if not candidates:  # a column with a bad cell, whose error will name it; else times that are all there is
        partly = [i for i in others if any(_number_given(row[i]) for row in table.cells)]
        candidates = partly if len(partly) == 1 else [] if partly else clocks
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(table.names[i] for i in candidates) or "none"
    raise ValueError(
        f"{table.source}: which column to forecast? Say --metric NAME or NUMBER; columns of numbers: {found} "
        f"(all: {', '.join(table.names)})"
    )


def _counts_rows(t: np.ndarray) -> bool:
    """Whether times are rows: 1, 2, 3, ... or 0, 1, 2, ..."""
    return bool(len(t) and t[0] in (0.0, 1.0) and (np.diff(t) == 1.0).all())


def _number_given(cell: str) -> bool:
    value = number(cell)
    return value is not None and value == value


def decode(data: bytes, source: str) -> str:
    """The text in the bytes of a file, which is in UTF-8, or in UTF-16 with a mark.

    Raises:
        ValueError: if it is no text.
    """
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # what a PowerShell redirection writes
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{source} is no text in UTF-8 (byte {error.start}): expected a CSV or a list of numbers"
        ) from None


def _rows(text: str, source: str) -> tuple[list[list[str]], list[int]]:
    """The cells of every line that holds some, and the lines' numbers."""
    lines = text.splitlines()
    content = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not content:
        raise ValueError(f"{source} holds comments alone: expected a CSV or a list of numbers")
    separator = next((mark for mark in "\t;," if mark in content[0]), None)
    rows, numbers = [], []
    if separator is None:
        for line_number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                rows.append([cell.strip('"') for cell in line.split()])
                numbers.append(line_number)
        if len(rows) > 1 and all(len(row) == 1 for row in rows[1:]) and number(rows[0][0]) is None:
            rows[0] = [" ".join(rows[0])]  # a header of several words above one column
        return rows, numbers
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            row = [cell.strip() for cell in row]
            if row and (len(row) > 1 or row[0]) and not row[0].startswith("#"):
                rows.append([_decimal_point(cell) for cell in row] if separator == ";" else row)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{source}, line {reader.line_num}: {error}") from None
    while rows and not any(rows[-1]):  # rows without a cell, as spreadsheets leave them below a table
        rows.pop(), numbers.pop()
    if not rows:
        raise ValueError(f"{source} holds empty cells alone: expected a CSV or a list of numbers")
    return rows, numbers


def _decimal_point(cell: str) -> str:
    return cell.replace(",", ".") if re.fullmatch(r"[-+]?\d+,\d+([eE][-+]?\d+)?", cell) else cell


def _list(text: str, source: str) -> Table:
    """One column: JSON's list, Python's, or what NumPy prints."""
    try:
        items = json.loads(text)
        flat = all(item is None or type(item) in (int, float, str) for item in items)  # bool is an int by inheritance
    except ValueError:  # NumPy prints no commas, Python prints nan and None
        inner = text.strip().removeprefix("[").removesuffix("]")
        items, flat = inner.replace(",", " ").split(), "[" not in inner
    if not flat:
        raise ValueError(f"{source}: a list must hold numbers alone, no lists, objects or truth values")
    cells = tuple(("" if item is None else str(item),) for item in items)
    if not cells:
        raise ValueError(f"{source} holds an empty list: expected numbers")
    for i, (cell,) in enumerate(cells):
        if number(cell) is None:
            raise ValueError(f"{source}: item {i + 1} of the list, {cell!r}, is not a number")
    return Table(source, ("1",), cells, (1,) * len(cells))
