"""Tables from text: a CSV with or without a header, or a bare list of numbers, read line by line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, cast

from lcpfn.logs.columns import Builder, Table, number
from lcpfn.logs.rows import Places
from lcpfn.logs.source import Progress, opened

LONGEST = 1 << 26  # characters of a line: a longer one is no line of numbers
BLOCK = 4096  # rows that are turned into numbers at a time
SAMPLE = 2000  # rows by which the columns of a large table are told


def read(path: str, *, keep: Sequence[int] | None = None, dense: int | None = None) -> Table:
    """The table in a file, or in what comes from standard input if the path is "-".

    Args:
        path: of the file.
        keep: the columns to read, from 0; None for all.
        dense: leave out rows without anything in this column.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is empty, no text, or no table.
    """
    with opened(path) as real, real.open("rb") as file, _decoded(file) as text:
        lines = _Lines(text, "standard input" if path == "-" else path, Progress(real))
        return _parse(lines, keep, dense)


def sample(path: str) -> Table:
    """The first rows of the table in a file, as many as tell what its columns are."""
    with Path(path).open("rb") as file, _decoded(file) as decoded:
        text = "".join(islice(_Lines(decoded, path), SAMPLE))
    return parse(text[: text.rfind("\n") + 1], source=path)


def parse(text: str, *, source: str = "the text") -> Table:
    r"""The table in a text.

    Commas, semicolons, tabs or white space separate cells; in a file with semicolons the decimal sign may be a comma.
    A first row without any number is a header, and is passed over where it comes again. One line of numbers is a list,
    as is JSON's `[0.1, 0.2]` and what Python and NumPy print. Empty lines and lines that start with # are skipped. A
    last line that was cut off while it was written is left out, with a notice.

    >>> parse("0.1 0.2 0.3").columns[0].values
    array([0.1, 0.2, 0.3])
    >>> parse("epoch,val_acc\n1,0.5\n2,0.6").names
    ('epoch', 'val_acc')

    Raises:
        ValueError: if there is nothing in it, or a row has another number of cells than the first; with the line.
    """
    with _decoded(io.BytesIO(text.encode("utf-8", "replace"))) as decoded:
        return _parse(_Lines(decoded, source), None, None)


def decode(data: bytes, source: str) -> str:
    """The text in the bytes of a file, which is in UTF-8, or in UTF-16 with a mark.

    Raises:
        ValueError: if it is no text.
    """
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # what a PowerShell redirection writes
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(_no_text(source, error)) from None


def _no_text(source: str, error: UnicodeDecodeError) -> str:
    return f"{source} is no text in UTF-8 (byte {error.start}): expected a CSV or a list of numbers"


@contextmanager
def _decoded(file: IO[bytes]) -> Iterator[io.TextIOWrapper]:
    mark = file.read(2)
    file.seek(0)
    encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = io.TextIOWrapper(file, encoding=encoding, newline=None)
    try:
        yield text
    finally:
        text.detach()  # the file is closed by who opened it


class _Lines:
    """The lines of a text that hold something, comments aside; `line` is the number of the last one, from 1."""

    def __init__(self, text: io.TextIOWrapper, source: str, progress: Progress | None = None) -> None:
        self._text, self.source, self._progress = text, source, progress
        self._file = cast("IO[bytes]", text.buffer)
        self.line, self.whole, self.seen = 0, True, False

    def __iter__(self) -> Iterator[str]:
        try:
            while line := self._text.readline(LONGEST):
                self.line += 1
                if len(line) == LONGEST and not line.endswith("\n"):
                    raise ValueError(f"{self.source}, line {self.line}: longer than {LONGEST:,} characters: no table")
                if self._progress is not None and self.line % BLOCK == 0:
                    self._progress.at(self._file.tell())
                self.whole = line.endswith("\n")
                if not line.strip():
                    continue
                self.seen = True
                if not line.lstrip().startswith("#"):
                    yield line
        except UnicodeDecodeError as error:
            raise ValueError(_no_text(self.source, error)) from None


Row = tuple[list[str], int, bool]  # cells, the line, and whether the text goes on or ends behind a whole line


def _parse(lines: _Lines, keep: Sequence[int] | None, dense: int | None) -> Table:
    source = lines.source
    content = iter(lines)
    first = next(content, None)
    if first is None:
        what = "holds comments alone" if lines.seen else "is empty"
        raise ValueError(f"{source} {what}: expected a CSV or a list of numbers")
    if first.lstrip().startswith("{"):
        raise ValueError(f"{source} holds JSON objects: expected a CSV or a list of numbers")
    if first.lstrip().startswith("["):
        return _list("".join([first, *content]), source)
    rows = _rows(first, content, lines)
    head = next(rows, None)
    if head is None:
        raise ValueError(f"{source} holds empty cells alone: expected a CSV or a list of numbers")
    first_cells, line, _ = head
    header = any(first_cells) and all(not cell or number(cell.removesuffix("%")) is None for cell in first_cells)
    second = next(rows, None)
    if header and second is None:
        raise ValueError(f"{source} has a header ({', '.join(first_cells)}) and no row below it")
    if second is None:
        cells = first_cells if first_cells[-1] else first_cells[:-1]  # a comma at the end is no missing value
        return _one_column(cells, source, [line] * len(cells))
    if header and len(second[0]) == 1 and len(first_cells) > 1 and " " in _words(first):
        first_cells = [" ".join(first_cells)]  # a header of several words above one column
    names = tuple(first_cells) if header else tuple(str(i + 1) for i in range(len(first_cells)))
    every = chain([second] if header else [head, second], rows)
    return _table(every, names, source, range(len(names)) if keep is None else keep, dense, header=header)


def _table(
    rows: Iterable[Row], names: tuple[str, ...], source: str, keep: Sequence[int], dense: int | None, *, header: bool
) -> Table:
    built, lines, notices = [Builder() for _ in keep], Places(), list[str]()
    again, count, block = list(names), len(names), list[list[str]]()
    for cells, line, whole in rows:
        if len(cells) != count:
            if not whole and len(cells) < count:
                notices.append(f"the last line, {line}, was cut off and is left out")
                break
            what = "the header" if header else "the first row"
            raise ValueError(f"{source}, line {line}: {len(cells)} cells where {what} has {count}")
        if (header and cells == again) or (dense is not None and not cells[dense]):
            continue
        block.append(cells)
        lines.append(line)
        if len(block) == BLOCK:
            _add(block, keep, built)
    _add(block, keep, built)
    if not len(lines):
        raise ValueError(f"{source} has a header ({', '.join(names)}) and no row below it")
    columns = tuple(column.column() for column in built)
    return Table(source, tuple(names[i] for i in keep), columns, lines, notices=tuple(notices))


def _add(block: list[list[str]], keep: Sequence[int], built: list[Builder]) -> None:
    """Moves rows of text into columns of numbers."""
    for i, column in zip(keep, built):
        column.extend([cells[i] for cells in block])
    block.clear()


def _words(line: str) -> str:
    """A line without separators of cells: what is left of it is a header of words, if there is one."""
    return "" if any(mark in line for mark in "\t;,") else line.strip()


def _rows(first: str, rest: Iterator[str], lines: _Lines) -> Iterator[Row]:
    """The cells of every line that holds some; rows of empty cells below a table are left out."""
    separator = next((mark for mark in "\t;," if mark in first), None)

    def every() -> Iterator[str]:
        yield first
        yield from rest

    if separator is None:
        for line in every():
            yield [cell.strip('"') for cell in line.split()], lines.line, lines.whole
        return
    reader = csv.reader(every(), delimiter=separator, skipinitialspace=True, strict=True)
    empty: list[Row] = []  # as spreadsheets leave them below a table
    try:
        for cells in reader:
            cells = list(map(str.strip, cells))
            if not cells or (len(cells) == 1 and not cells[0]):
                continue
            if separator == ";":
                cells = [_decimal_point(cell) for cell in cells]
            if not any(cells):
                empty.append((cells, lines.line, lines.whole))
                continue
            if empty:
                yield from empty
                empty.clear()
            yield cells, lines.line, lines.whole
    except csv.Error as error:
        raise ValueError(f"{lines.source}, line {lines.line}: {error}") from None


def _decimal_point(cell: str) -> str:
    return cell.replace(",", ".") if re.fullmatch(r"[-+]?\d+,\d+([eE][-+]?\d+)?", cell) else cell


def _list(text: str, source: str) -> Table:
    """One column: JSON's list, Python's, or what NumPy prints."""
    try:
        items = json.loads(text)
        flat = all(item is None or type(item) in (int, float, str) for item in items)  # bool is an int by inheritance
    except RecursionError:
        raise ValueError(f"{source}, line 1: its lists are nested too deeply to be read") from None
    except ValueError:  # NumPy prints no commas, Python prints nan and None
        inner = text.strip().removeprefix("[").removesuffix("]")
        items, flat = inner.replace(",", " ").split(), "[" not in inner
    if not flat:
        raise ValueError(f"{source}: a list must hold numbers alone, no lists, objects or truth values")
    if not items:
        raise ValueError(f"{source} holds an empty list: expected numbers")
    try:
        cells = ["" if item is None else str(item) for item in items]
    except ValueError as error:  # of a whole number with more digits than Python turns into text
        raise ValueError(f"{source}: {error}") from None
    for i, cell in enumerate(cells):
        if number(cell) is None:
            raise ValueError(f"{source}: item {i + 1} of the list, {cell!r}, is not a number")
    return _one_column(cells, source, [1] * len(cells))


def _one_column(cells: Sequence[str], source: str, lines: Sequence[int]) -> Table:
    built = Builder()
    built.extend(cells)
    return Table(source, ("1",), (built.column(),), lines)
