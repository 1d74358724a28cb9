"""Logs in JSON: Hugging Face's trainer_state.json, JSON lines as Ray Tune writes them, and Optuna's journal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lcpfn.logs.columns import Table
from lcpfn.logs.optuna import read_journal
from lcpfn.logs.run import Records, Run, run_of_records
from lcpfn.logs.source import LARGE, Progress
from lcpfn.logs.times import is_time

STATE = "log_history"  # the key of a trainer's state that holds its records
SNIFFED = 1 << 16  # characters within which a state shows that key: its keys are sorted, and records come late
HEADS = 5  # first lines among which one must have a time: some logs begin with settings
KINDS = 10_000  # of lines by the names in them, that are told apart in a large file
_KEYS = re.compile(rb'"([^"\\]*)"\s*:')
LONGEST = 1 << 26  # bytes of a line or of a state: a larger one holds no log
# By clock, the keys of a trainer's state that say when the run ends.
ENDS = {"epoch": "num_train_epochs", "step": "max_steps"}


def is_state(text: str) -> bool:
    """Whether a text that begins so is the state of a Hugging Face Trainer."""
    return text.lstrip().startswith("{") and f'"{STATE}"' in text[:SNIFFED]


def is_lines(lines: Iterable[str]) -> bool:
    """Whether a text with these first lines has one record a line, with times or of Optuna's journal."""
    for _, line in zip(range(HEADS), lines):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            return False
        except (RecursionError, ValueError):  # too deep, or a number of too many digits: JSON, but it cannot be read
            return any(is_time(key.decode("utf-8", "replace")) for key in _KEYS.findall(line[:SNIFFED].encode()))
        if not isinstance(record, dict):
            return False
        if "op_code" in record or any(is_time(key) and not isinstance(v, (list, dict)) for key, v in record.items()):
            return True
    return False


def read_state(path: Path, *, name: str) -> tuple[int, Run]:
    """The step that a Hugging Face Trainer had come to, and its run.

    Raises:
        ValueError: if the file is cut off, or no state of a trainer.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise ValueError(f"it has more than {LONGEST >> 20} MiB")
        state = json.loads(path.read_text(encoding="utf-8"))
        records = state[STATE]
        fine = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    except RecursionError:
        raise ValueError(f"{path}, line 1: its lists or objects are nested too deeply to be read") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no whole trainer_state.json: {error}; take that of an earlier checkpoint"
        ) from None
    if not fine:
        raise ValueError(f"{path}: {STATE} must be a list of objects, as transformers.Trainer writes it")
    ends = {clock: state[key] for clock, key in ENDS.items() if type(state.get(key)) is int and state[key] > 0}
    step = state.get("global_step", 0)
    run_ends = {clock: float(end) for clock, end in ends.items() if end < 1 << 53}
    return step if isinstance(step, int) else 0, run_of_records(name, str(path), records, run_ends=run_ends)


def read_lines(path: Path, *, name: str) -> list[Run]:
    """The run in a file of JSON lines, or the trials in Optuna's journal; a last line that was cut off is left out.

    Of a large file the names are read first, and the values of a metric when they are asked for.

    Raises:
        ValueError: at a line that is no JSON object.
    """
    lines = _objects(path)
    first = next(lines, None)
    if first is not None and "op_code" in first[1]:
        return read_journal(_chain(first, lines), source=str(path))
    if path.stat().st_size >= LARGE:
        names = Records(str(path), only="")
        for line, record in _objects(path, once=True):
            names.add(record, line)
        return [Run(name, str(path), names.metrics, partial(_large, path))]
    found = Records(str(path))
    for line, record in () if first is None else _chain(first, lines):
        found.add(record, line)
    return [Run(name, str(path), found.metrics, found.table)]


def _large(path: Path, metric: str) -> Table:
    """The values of one metric, from the lines in which its name stands."""
    found = Records(str(path), only=metric)
    for line, record in _objects(path, having=json.dumps(metric.rpartition("/")[2])[1:-1].encode()):
        found.add(record, line)
    return found.table(metric)


def _chain(first: tuple[int, dict[str, Any]], rest: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Any]:
    yield first
    yield from rest


def _objects(path: Path, *, having: bytes = b"", once: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with the numbers of their lines, from 1.

    Args:
        path: of the file.
        having: only of lines with this in them.
        once: only one of those with the same names.
    """
    progress, known = Progress(path), set[tuple[bytes, ...]]()
    with path.open("rb") as file:
        for i, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            if i % 1000 == 0:
                progress.at(file.tell())
            if having not in line or not line.strip():
                continue
            if once:
                names = tuple(_KEYS.findall(line))
                if names in known:
                    continue
                if len(known) < KINDS:
                    known.add(names)
            if len(line) == LONGEST:
                raise ValueError(f"{path}, line {i}: longer than {LONGEST >> 20} MiB: no log")
            text = line.decode("utf-8-sig" if i == 1 else "utf-8", "replace").strip()
            try:
                record = json.loads(text)
            except RecursionError:
                raise ValueError(f"{path}, line {i}: its lists or objects are nested too deeply to be read") from None
            except ValueError as error:
                if isinstance(error, json.JSONDecodeError) and not line.endswith(b"\n"):
                    break  # the last line was cut off while it was written
                raise ValueError(f"{path}, line {i}: no JSON ({error})") from None
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {i}: expected a JSON object, got {text[:60]!r}")
            yield i, record
    progress.end()
