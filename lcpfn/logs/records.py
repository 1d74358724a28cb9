"""Logs in JSON: Hugging Face's trainer_state.json, JSON lines as Ray Tune writes them, and Optuna's journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcpfn.logs.optuna import read_journal
from lcpfn.logs.run import Run, run_of_records
from lcpfn.logs.table import TIMES
from lcpfn.names import plain

STATE = "log_history"  # the key of a trainer's state that holds its records
SNIFFED = 1 << 16  # characters within which a state shows that key: its keys are sorted, and records come late


def is_state(text: str) -> bool:
    """Whether a text that begins so is the state of a Hugging Face Trainer."""
    return text.lstrip().startswith("{") and f'"{STATE}"' in text[:SNIFFED]


def is_lines(line: str) -> bool:
    """Whether a text whose first line this is has one record a line, with times or of Optuna's journal."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and (
        "op_code" in record
        or any(plain(key) in TIMES and not isinstance(value, (list, dict)) for key, value in record.items())
    )


def read_state(path: Path, *, name: str) -> tuple[int, Run]:
    """The step that a Hugging Face Trainer had come to, and its run.

    Raises:
        ValueError: if the file is cut off, or no state of a trainer.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        records = state[STATE]
        fine = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no whole trainer_state.json: {error}; take that of an earlier checkpoint"
        ) from None
    if not fine:
        raise ValueError(f"{path}: {STATE} must be a list of objects, as transformers.Trainer writes it")
    step = state.get("global_step", 0)
    return step if isinstance(step, int) else 0, run_of_records(name, str(path), records)


def read_lines(path: Path, *, name: str) -> list[Run]:
    """The run in a file of JSON lines, or the trials in Optuna's journal; a last line that was cut off is left out.

    Raises:
        ValueError: at a line that is no JSON object.
    """
    records: list[Mapping[str, Any]] = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if i == len(lines):
                break
            raise ValueError(f"{path}, line {i}: no JSON ({error})") from None
        if not isinstance(record, dict):
            raise ValueError(f"{path}, line {i}: expected a JSON object, got {line[:60]!r}")
        records.append(record)
    if records and "op_code" in records[0]:
        return read_journal(records, source=str(path))
    return [run_of_records(name, str(path), records)]
