"""History of Weights & Biases from the `.wandb` file that every run writes, also one that goes on or never was online.

The file is a LevelDB log: after 7 bytes that name it come blocks of 32 KiB with pieces of records, each behind its
checksum, length and kind. A record is a protobuf `Record`; only history and the run's name and configuration are
decoded. Unlike LevelDB, the checksum is a plain CRC-32 of the kind's byte and the data.

Source: wandb/proto/wandb_internal.proto; wandb/sdk/internal/datastore.py; checked against files of wandb 0.31.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from lcpfn.logs.run import Records, Run
from lcpfn.logs.source import Progress
from lcpfn.logs.tensorboard import fields

NAMED, MAGIC, VERSION = b":W&B", 0xBEE1, 0  # little endian: 4 bytes, 2 bytes, 1 byte
BLOCK, HEADER = 1 << 15, 7  # bytes; the file's own first 7 count as part of the first block
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # kinds of pieces
LARGEST = 1 << 25  # bytes of a record; a history row with many histograms may have a few million
# Numbers of fields: of a Record, of its RunRecord, of the items of history and configuration.
HISTORY, RUN = 2, 17
RUN_ID, RUN_CONFIG, RUN_NAME = 1, 4, 8
ITEM, KEY, NESTED_KEY, VALUE_JSON = 1, 1, 2, 16
SHORT, VALUE = (KEY << 3 | 2, NESTED_KEY << 3 | 2), b"\x82\x01"  # how a name and a JSON text begin
WALL_CLOCK = ("_timestamp", "_runtime")  # seconds, which W&B adds to each row
STEP, STEP_NUMBER = 2, 1  # of a HistoryRecord that has no item _step


def is_wandb(head: bytes) -> bool:
    """Whether a file that begins so is a run of Weights & Biases.

    >>> is_wandb(bytes.fromhex("3a572642e1be00")), is_wandb(b"epoch,loss")
    (True, False)
    """
    return head.startswith(NAMED)


def read_wandb(path: Path, *, name: str) -> list[Run]:
    """The run in a `.wandb` file, named `NAME/ID` where it says so, up to the last record that was written in full.

    Numbers that were logged inside dictionaries are called `outer.inner`, as on the web page; histograms, pictures
    and texts are left out.

    Args:
        path: the file.
        name: of the run where the file holds none.

    Raises:
        ValueError: if the file is damaged before its end, of a later version, or holds something else.
    """
    found = Records(str(path))  # columns, not rows: a long run is hundreds of megabytes
    for number, record in enumerate(records(path), 1):
        try:
            for field, value in fields(record):
                if field == HISTORY and isinstance(value, bytes):
                    found.add(_row(value), number)
                elif field == RUN and isinstance(value, bytes):
                    name = _name(value) or name
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, record {number}: {error}; the file is damaged, or none of W&B's") from None
    return [Run(name, str(path), found.metrics, found.table)] if found.metrics else []


def records(path: Path) -> Iterator[bytes]:
    """The records of a file, checksums checked; without a last one that was cut off while it was written.

    Raises:
        ValueError: at a piece whose checksum, length or kind is wrong, with its place in the file.
    """
    with path.open("rb") as file:
        head = file.read(HEADER)
        if head[: len(NAMED)] != NAMED or (len(head) == HEADER and head[4:6] != MAGIC.to_bytes(2, "little")):
            raise ValueError(f"{path} is no file of Weights & Biases: it begins {head!r}")
        if len(head) == HEADER and head[6] != VERSION:
            raise ValueError(f"{path} is of version {head[6]} of W&B's format; version {VERSION} can be read")
        whole: list[bytes] | None = None  # pieces of a record that has begun; None between records
        size, progress = 0, Progress(path)
        for start, kind, data in _pieces(file, path):
            if (kind in (FULL, FIRST)) != (whole is None):
                raise ValueError(_damaged(path, start, "a record begins inside another, or goes on that never began"))
            size = len(data) if whole is None else size + len(data)
            if size > LARGEST:
                raise ValueError(f"{path}, byte {start}: a record of more than {LARGEST >> 20} MiB; no log of numbers")
            whole = [*(whole or []), data] if kind in (FULL, FIRST) else whole
            if kind in (MIDDLE, LAST) and whole is not None:
                whole.append(data)
            if kind in (FULL, LAST) and whole is not None:
                yield whole[0] if len(whole) == 1 else b"".join(whole)
                whole = None
                progress.at(start)
        progress.end()


def _pieces(file: BinaryIO, path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Where each piece of a record stands, its kind and its data, up to the end or a piece that was cut off."""
    start = HEADER
    while True:
        left = BLOCK - start % BLOCK
        if left < HEADER:  # too little for a header: filled with zeros
            file.read(left)
            start += left
            continue
        head = file.read(HEADER)
        if len(head) < HEADER:
            return
        checksum, length, kind = struct.unpack("<IHB", head)
        if HEADER + length > left:
            raise ValueError(_damaged(path, start, f"{length} bytes where the block has {left - HEADER} left"))
        data = file.read(length)
        if len(data) < length:
            return  # a live run, or one that was killed
        if zlib.crc32(data, zlib.crc32(head[-1:])) != checksum or kind not in (FULL, FIRST, MIDDLE, LAST):
            if not any(data) and not _rest(file):
                return  # zeros to the end, as file systems leave them after a crash
            raise ValueError(_damaged(path, start, "the checksum does not match"))
        yield start, kind, data
        start += HEADER + length


def _rest(file: BinaryIO) -> bool:
    """Whether anything but zeros follows."""
    return any(any(part) for part in iter(lambda: file.read(BLOCK), b""))


def _row(data: bytes) -> dict[str, float]:
    """What one call of `wandb.log` measured, its step and times among it."""
    row: dict[str, float] = {}
    for field, value in fields(data):
        if field == ITEM and isinstance(value, bytes):
            key, text = _item(value)
            if key in WALL_CLOCK:
                continue
            if (number := _number(text)) is not None:
                row[key] = number
        elif field == STEP and isinstance(value, bytes):
            step = dict(fields(value)).get(STEP_NUMBER, 0)
            if isinstance(step, int):
                row.setdefault("_step", float(step))
    return row


def _item(data: bytes) -> tuple[str, bytes]:
    """The name and the JSON of an item of history or configuration."""
    if len(data) > 4 and data[0] in SHORT and data[1] < 0x80:  # a short name and a short number, as nearly all are
        end = 2 + data[1]
        if data[end : end + 2] == VALUE and len(data) > end + 2 and data[end + 2] == len(data) - end - 3 < 0x80:
            return _text(data[2:end]), data[end + 3 :]
    names, text = [], b""
    for field, value in fields(data):
        if field in (KEY, NESTED_KEY) and isinstance(value, bytes):
            names.append(_text(value))
        elif field == VALUE_JSON and isinstance(value, bytes):
            text = value
    return ".".join(name for name in names if name), text


@lru_cache(maxsize=4096)  # the same names in each row
def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _number(text: bytes) -> float | None:
    """The number that a JSON text stands for; W&B writes what is not finite as text."""
    if text[:1] in b"{[tfn":  # objects, lists, truth values, null
        return None
    try:
        if text[:1].isdigit() and len(text) < 32:  # nearly all of them
            return float(text)
        value = json.loads(text)
        return float(value) if not isinstance(value, str) or value in ("NaN", "Infinity", "-Infinity") else None
    except (ValueError, OverflowError):  # of a whole number beyond float64
        return None


def _name(data: bytes) -> str:
    """`NAME/ID` of a RunRecord."""
    run = dict(fields(data))
    parts = [value.decode("utf-8", "replace") for f in (RUN_NAME, RUN_ID) if isinstance(value := run.get(f), bytes)]
    return "/".join(part for part in parts if part)


def _damaged(path: Path, start: int, what: str) -> str:
    return f"{path}, byte {start}: {what}: the file is damaged; copy it anew, or move it away"
