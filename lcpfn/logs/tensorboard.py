"""Scalars of TensorBoard event files, without TensorFlow: the framing of TFRecord and the wire format of protobuf.

A record is its length (8 bytes), a checksum of those, the data, and a checksum of the data. The data is an `Event`.
Only what leads to a scalar is decoded; the numbers of fields are those in the .proto files.

Source: tensorflow/core/lib/io/record_writer.h; tensorboard/compat/proto: event, summary, tensor, types.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as field_of
from pathlib import Path

import numpy as np

from lcpfn.logs.run import Run, run_of_points

LARGEST = 1 << 20  # bytes of a record that is looked into; larger ones hold pictures and graphs, no scalars
# TensorProto.dtype -> how its tensor_content is read, and the number of the field that holds its values otherwise.
FLOAT, DOUBLE, INT32, INT64, BFLOAT16, HALF = 1, 2, 3, 9, 14, 19
CONTENT = {FLOAT: "<f4", DOUBLE: "<f8", INT32: "<i4", INT64: "<i8", BFLOAT16: "<u2", HALF: "<f2"}
VALUES = {FLOAT: 5, DOUBLE: 6, INT32: 7, INT64: 10, BFLOAT16: 13, HALF: 13}
EPOCHS = (
    "epoch",
    "train/epoch",
)  # Lightning and Hugging Face log it as a scalar of its own, at the steps of the others
Point = tuple[float, int, int, float]  # wall time, number of the file, step, value
SESSION_START = 1  # SessionLog.status: whatever stands at its step or later was written by a run that was given up


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC = _crc_table()


def masked_crc(data: bytes) -> int:
    """The checksum that TFRecord stores: CRC-32C (which zlib has not), rotated and shifted.

    >>> hex(masked_crc(b"123456789"))  # CRC-32C is 0xe3069283
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def is_record(head: bytes) -> bool:
    """Whether a file that begins so (12 bytes are enough) is one of TFRecords."""
    return len(head) >= 12 and masked_crc(head[:8]) == int.from_bytes(head[8:12], "little")


def records(path: Path) -> Iterator[bytes]:
    """The records of a file up to `LARGEST` bytes each, checksums checked, without a last one that was cut off.

    Raises:
        ValueError: at a record whose checksum does not match, with its place in the file.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        while True:
            start = file.tell()
            head = file.read(12)
            if len(head) < 12:
                return
            length = int.from_bytes(head[:8], "little")
            if not is_record(head):
                if not any(head) and not any(file.read()):
                    return  # zeros to the end, as file systems leave them after a crash
                raise ValueError(_damaged(path, start))
            if start + 16 + length > size:
                return
            if length > LARGEST:
                file.seek(length + 4, 1)
                continue
            data = file.read(length)
            if masked_crc(data) != int.from_bytes(file.read(4), "little"):
                raise ValueError(_damaged(path, start))
            yield data


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value; fixed ones as their 4 or 8 bytes.

    >>> list(fields(bytes([0x10, 0x96, 0x01, 0x0A, 0x02, 0x68, 0x69])))
    [(2, 150), (1, b'hi')]

    Raises:
        ValueError: if it is no message.
    """
    at, size = 0, len(data)
    while at < size:
        key = data[at]  # nearly all numbers have one byte: a call for each is most of the time
        if key < 0x80:
            at += 1
        else:
            key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            if at < size and data[at] < 0x80:
                length, at = data[at], at + 1
            else:
                length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"no protobuf message: wire type {kind}")
        if at + length > size:
            raise ValueError("no protobuf message: a field is longer than what is left")
        yield key >> 3, data[at : at + length]
        at += length


def read_events(paths: Sequence[Path], *, name: str, source: str) -> Run:
    """The run in the event files of a folder.

    Several files are written one after the other, as by restarts of a run, or in turn, as by several workers: events
    count in the order of their wall times. A file that says from which step on it begins anew (`purge_step`) takes
    back what was written before it of that step and later ones.

    Args:
        paths: of the files.
        name: of the run.
        source: what errors call it.

    Raises:
        ValueError: if a file is damaged before its end.
    """
    files = sorted((_scalars(path) for path in paths), key=lambda file: file.begun)
    replaced, abandoned, timed = Counter[str](), Counter[str](), dict[str, list[Point]]()
    for number, file in enumerate(files):
        replaced.update(file.replaced), abandoned.update(file.abandoned)
        for tag, scalars in file.scalars.items():
            timed.setdefault(tag, []).extend((wall, number, step, y) for step, (wall, y) in scalars.items())
    begins = [(wall, number, step) for number, file in enumerate(files) for wall, step in file.begins]
    for tag, points in timed.items():
        points.sort(key=lambda point: point[:2])  # stable: those of one file and wall time stay in their order
        kept = [p for p in points if not any(p[1] != n and p[:2] < (wall, n) and p[2] >= t for wall, n, t in begins)]
        for counts in (replaced, abandoned):
            counts[tag] += len(points) - len(kept)
        timed[tag] = kept
    epochs = next(({step: y for *_, step, y in timed.pop(tag)} for tag in EPOCHS if tag in timed), {})
    clocks = ("epoch", "step") if epochs else ("step",)
    points_of = {
        tag: [(*([epochs.get(step)] if epochs else []), float(step), y) for *_, step, y in points]
        for tag, points in timed.items()
    }
    return run_of_points(name, source, clocks, points_of, replaced=replaced, abandoned=abandoned)


@dataclass
class _File:
    """What one event file holds, as it is read."""

    begun: float = math.inf  # wall time of its first event
    scalars: dict[str, dict[int, tuple[float, float]]] = field_of(default_factory=dict)  # tag, step: wall time, value
    begins: list[tuple[float, int]] = field_of(default_factory=list)  # wall time and step of sessions that start
    replaced: Counter[str] = field_of(default_factory=Counter)  # by tag, values that others of the file stand for
    abandoned: Counter[str] = field_of(default_factory=Counter)

    def start(self, wall: float, step: int) -> None:
        """Takes back what was written before a session starts at a step."""
        self.begins.append((wall, step))
        for tag, points in self.scalars.items():
            for later in [t for t in points if t >= step]:
                del points[later]
                self.replaced[tag] += 1
                self.abandoned[tag] += 1

    def add(self, tag: str, wall: float, step: int, y: float) -> None:
        """Adds a value; of those at one step the last counts, and the order stays that of writing."""
        points = self.scalars.setdefault(tag, {})
        if points.pop(step, None) is not None:
            self.replaced[tag] += 1
        points[step] = (wall, y)


def _scalars(path: Path) -> _File:
    """What a file holds, up to a record that was cut off."""
    file, foreign, wall = _File(), set[str](), -math.inf
    for i, record in enumerate(records(path), 1):
        try:
            event = dict(fields(record))
            wall_time, step = event.get(1, b""), _signed(event.get(2, 0))
            if isinstance(wall_time, bytes) and len(wall_time) == 8:
                time = struct.unpack("<d", wall_time)[0]
                wall = max(wall, time) if math.isfinite(time) else wall  # a clock that was set back tells no order
                file.begun = min(file.begun, wall)
            if isinstance(session := event.get(7), bytes) and dict(fields(session)).get(1) == SESSION_START:
                file.start(wall, step)
            if isinstance(summary := event.get(5), bytes):
                for field, value in fields(summary):
                    if field == 1 and isinstance(value, bytes) and (scalar := _scalar(value, foreign)) is not None:
                        file.add(scalar[0], wall, step, scalar[1])
        except (ValueError, struct.error) as error:
            raise ValueError(f"{path}, record {i}: {error}; the file is damaged, or none of TensorBoard's") from None
    return file


def _scalar(data: bytes, foreign: set[str]) -> tuple[str, float] | None:
    """The name and number of one Summary.Value.

    Its fields: tag (1), simple_value (2), tensor (8), metadata (9) with plugin_data (1) with its name (1).
    """
    value = dict(fields(data))
    tag = value.get(1, b"")
    name = tag.decode("utf-8", "replace") if isinstance(tag, bytes) else ""
    if isinstance(metadata := value.get(9), bytes):  # in the first value of a tag alone
        plugin = dict(fields(metadata)).get(1)
        if isinstance(plugin, bytes) and dict(fields(plugin)).get(1, b"scalars") != b"scalars":
            foreign.add(name)  # texts, curves, hyperparameters: tensors as well
    number: float | None = None
    if isinstance(simple := value.get(2), bytes):
        number = struct.unpack("<f", simple)[0]
    elif isinstance(tensor := value.get(8), bytes) and name not in foreign:
        number = _tensor(tensor)
    return None if number is None else (name, number)


def _tensor(data: bytes) -> float | None:
    """The number in a TensorProto of one element, None if it holds something else."""
    tensor = dict(fields(data))
    kind = tensor.get(1, 0)
    if not isinstance(kind, int) or kind not in CONTENT:
        return None
    content, value = tensor.get(4, b""), tensor.get(VALUES[kind], b"")
    if isinstance(content, bytes) and content:
        if len(content) != np.dtype(CONTENT[kind]).itemsize:
            return None
    elif kind in (FLOAT, DOUBLE):  # packed or not, one value is its bytes
        content = value if isinstance(value, bytes) else b""
        if len(content) != np.dtype(CONTENT[kind]).itemsize:
            return None
    else:  # varints; the bits of a half or bfloat16 are one too
        whole, end = (value, 0) if isinstance(value, int) else _varint(value, 0) if value else (0, -1)
        if isinstance(value, bytes) and end != len(value):
            return None
        if kind in (INT32, INT64):
            return float(_signed(whole))
        content = (whole & 0xFFFF).to_bytes(2, "little")
    if kind == BFLOAT16:  # the upper half of a float
        return float(struct.unpack("<f", b"\0\0" + content)[0])
    return float(np.frombuffer(content, CONTENT[kind])[0])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next one begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("no protobuf message: it ends inside a number")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("no protobuf message: a number of more than ten bytes")


def _signed(value: int | bytes) -> int:
    whole = value if isinstance(value, int) else 0
    return whole - (1 << 64) if whole >> 63 else whole


def _damaged(path: Path, start: int) -> str:
    return f"{path}, byte {start}: the checksum does not match: the file is damaged; copy it anew, or move it away"
