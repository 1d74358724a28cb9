"""Damage: what happens to a valid file, and what somebody may hand to a function."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sqlite3
from pathlib import Path
from typing import Any

DEEP: Any = "deep"
for _ in range(60):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**18, 10**400, 1e308, -1e308, 5e-324, 1e-310, -0.0),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "NaN", "-1", "١", "\ud800", "\x00", "a" * 3000, "../../x"),
    *([], {}, [[]], [None], {"": {}}, DEEP, [1e308] * 3, "planted:prior", "__class__", "\x1b[31m", "1_000", "0x10"),
)  # fmt: skip
TOKENS = (
    *("", "nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "9" * 400, "1e-400", "true", "null", '"', "'", ","),
    *(";", "\t", "\n", "\r\n", "\x00", "\ufeff", "[" * 990, "{" * 300, "1,2", "1;2", "--", "٣", "1_0", "=cmd()", "∞"),
)  # fmt: skip
BYTES = (b"\x00", b"\xff", b"\x00" * 8, b"\xff" * 8, b"\x80\x04cos\nsystem\n", b"PK\x03\x04", b"\x7f" * 4, b"\r", b"\n")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Bytes after one to four accidents."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        data = dice.choice(ACCIDENTS)(data, dice)
    return data


def _flip(data: bytes, dice: random.Random) -> bytes:
    if not data:
        return data
    place = dice.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _lose(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    return data[:start] + data[start + dice.choice((1, 2, 8, 100)) :]


def _twice(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    part = data[start : start + dice.choice((1, 8, 100, 1000))]
    return data[:start] + part * dice.choice((2, 3, 50)) + data[start + len(part) :]


def _insert(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    part = dice.choice((*BYTES, *(token.encode() for token in TOKENS), dice.randbytes(dice.choice((1, 4, 16)))))
    return data[:start] + part + data[start:]


def _number(data: bytes, dice: random.Random) -> bytes:
    found = list(NUMBER.finditer(data[:100_000]))
    if not found:
        return _insert(data, dice)
    one = dice.choice(found)
    return data[: one.start()] + dice.choice(TOKENS).encode() + data[one.end() :]


def _lines(data: bytes, dice: random.Random) -> bytes:
    lines = data.split(b"\n")
    dice.shuffle(lines) if dice.random() < 0.3 else lines.insert(dice.randrange(len(lines)), dice.choice(lines))
    return b"\n".join(lines)


ACCIDENTS = (_flip, _cut, _lose, _twice, _insert, _number, _number, _lines)


def changed(value: Any, dice: random.Random) -> Any:
    """A JSON value of which one part, at any depth, is another one, gone, or there twice."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(list(value))
        rest = dict(value)
        what = dice.random()
        if what < 0.1:
            del rest[key]
        elif what < 0.15:
            rest[str(dice.choice(ODD))[:50]] = rest.pop(key)
        else:
            rest[key] = changed(value[key], dice)
        return rest
    if isinstance(value, list) and value and dice.random() < 0.85:
        place = dice.randrange(len(value))
        rest = list(value)
        what = dice.random()
        if what < 0.1:
            del rest[place]
        elif what < 0.2:
            rest.append(rest[place])
        else:
            rest[place] = changed(value[place], dice)
        return rest
    return dice.choice(ODD)


def as_json(value: Any, dice: random.Random) -> bytes:
    """Its text; now and then as some writers have it, and rarely nested deeper than a parser can go."""
    text = json.dumps(value, ensure_ascii=dice.random() < 0.9)
    if dice.random() < 0.02:
        depth = dice.choice((500, 990, 5000, 100_000))
        text = text.replace('"deep"', "[" * depth + "]" * depth, 1) if '"deep"' in text else "[" * depth + text
    return text.encode("utf-8", "surrogatepass")


def json_lines(data: bytes, dice: random.Random) -> bytes:
    """A file of one JSON document, or of one a line, with a part changed."""
    with contextlib.suppress(ValueError):
        return as_json(changed(json.loads(data), dice), dice)
    lines = [line for line in data.split(b"\n") if line]
    place = dice.randrange(len(lines))
    lines[place] = as_json(changed(json.loads(lines[place]), dice), dice)
    if dice.random() < 0.1:
        dice.shuffle(lines)
    return b"\n".join(lines) + b"\n"


def database(path: Path, dice: random.Random) -> None:
    """Changes cells, columns and tables of an SQLite file in place."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug here
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(dice.choice((1, 1, 2, 4))):
            table = dice.choice(tables)
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            if not columns:
                continue
            value = dice.choice((*(each for each in ODD if _cell(each)), b"\xff\x00", b"blob", "text"))
            with contextlib.suppress(sqlite3.Error, UnicodeError):
                what = dice.random()
                if what < 0.8:
                    where = "" if dice.random() < 0.3 else " WHERE rowid % 3 = 1"
                    connection.execute(f'UPDATE OR IGNORE "{table}" SET "{dice.choice(columns)}" = ?{where}', (value,))
                elif what < 0.85:
                    connection.execute(f'ALTER TABLE "{table}" DROP COLUMN "{dice.choice(columns)}"')
                elif what < 0.9:
                    connection.execute(f'DELETE FROM "{table}"')
                elif what < 0.95:  # a view in place of the table, of more rows than anybody waits for
                    connection.execute(f'ALTER TABLE "{table}" RENAME TO "{table}_"')
                    joined = ", ".join(f'"{table}_" AS a{i}' for i in range(dice.choice((1, 30))))
                    connection.execute(f'CREATE VIEW "{table}" AS SELECT a0.* FROM {joined}')
                else:
                    connection.execute(f'DROP TABLE "{table}"')
            connection.commit()


def _cell(value: Any) -> bool:
    return isinstance(value, (str, float, type(None))) or (isinstance(value, int) and abs(value) < 2**63)
