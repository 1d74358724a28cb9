"""Questions to an SQLite database that somebody else may be writing to."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

MAGIC = b"SQLite format 3\0"
MAX_ROWS = 5_000_000  # that an answer may have
TIMEOUT_S = 8.0  # for one question; a few kilobytes may hold a join without an end
STEPS = 100_000  # of SQLite's machine between two looks at the clock


def is_database(head: bytes) -> bool:
    """Whether a file that begins so is an SQLite database."""
    return head.startswith(MAGIC)


def query(path: Path, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The rows that a query gives; the database is opened for reading alone, and closed.

    Raises:
        ValueError: if the file is damaged, locked, or has other tables than the query names.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            end = time.monotonic() + TIMEOUT_S
            database.set_progress_handler(lambda: time.monotonic() > end, STEPS)
            database.text_factory = lambda data: data.decode("utf-8", "replace")
            rows = database.execute(sql, parameters).fetchmany(MAX_ROWS + 1)
        if len(rows) > MAX_ROWS:
            raise ValueError(f"{path} gives more than {MAX_ROWS:,} rows: no log")
        return rows
    except (sqlite3.Error, OverflowError) as error:
        if "interrupted" in str(error):
            raise ValueError(f"{path} gives no answer within {TIMEOUT_S:g} s: no log") from None
        raise ValueError(f"{path} cannot be read as an SQLite database: {error}") from None


def measured(value: Any, where: str) -> float:
    """A number of a cell; SQLite lets a column of numbers hold text as well.

    Raises:
        ValueError: if it is none, with where it stands.
    """
    if isinstance(value, (int, float)):
        return float(value)
    raise ValueError(f"{where} must be a number, got {value!r:.60}")


def tables(path: Path) -> set[str]:
    """The names of its tables, without views: those may compute anything."""
    return {name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
