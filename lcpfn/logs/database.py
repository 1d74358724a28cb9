"""Questions to an SQLite database that somebody else may be writing to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

MAGIC = b"SQLite format 3\0"


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
            return database.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"{path} cannot be read as an SQLite database: {error}") from None


def tables(path: Path) -> set[str]:
    """The names of its tables."""
    return {name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
