"""Evaluations as one JSON document: dictionaries of lists (XGBoost, LightGBM, Keras), and pandas' tables.

What is understood, whatever it is nested in:

| document | written by |
| --- | --- |
| `{"val": {"logloss": [...]}}`, `{"loss": [...], "val_loss": [...]}` | `evals_result()`, Keras' `History.history` |
| `[{"epoch": 0, "loss": 1.2}, ...]` | `DataFrame.to_json(orient="records")`, lists of results |
| `{"loss": {"0": 1.2, "1": 0.9}}` | `DataFrame.to_json()`, by columns |
| `{"columns": [...], "index": [...], "data": [[...], ...]}` | `DataFrame.to_json(orient="split")` |
| `{"schema": ..., "data": [...]}` | `DataFrame.to_json(orient="table")` |
| `[[wall time, step, value], ...]` | TensorBoard's download |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lcpfn.logs.download import TENSORBOARD, named
from lcpfn.logs.run import Run, run_of_points, run_of_records
from lcpfn.logs.times import TIMES
from lcpfn.names import plain

LARGEST = 1 << 26  # bytes of a document: it is read as a whole
NOT_FINITE = ("nan", "inf", "-inf", "infinity", "-infinity")  # as JSON without such numbers quotes them
DEEPEST = 20  # dictionaries inside each other that are looked into


def is_document(text: str) -> bool:
    """Whether a text that begins so may be a JSON document with more than a list of numbers in it.

    >>> is_document('{"loss": [1.5'), is_document(' [[1.7e9, 0, 0.5'), is_document("[0.1, 0.2]"), is_document("[[1 2]")
    (True, True, False, False)
    """
    text = text.lstrip()
    inner = text[1:].lstrip()
    if text[:1] != "[":
        return text[:1] == "{"
    row = inner[1:].partition("]")[0]
    return inner[:1] == "{" or (inner[:1] == "[" and "," in row)  # NumPy prints rows without commas


def read_document(path: Path, *, name: str) -> list[Run]:
    """The run in a JSON document; none if it is one in which no list of numbers stands.

    Metrics inside dictionaries are called `outer/inner`. Lists of different lengths are fine: each is a metric.

    Args:
        path: the file.
        name: of the run.

    Raises:
        ValueError: if it is no JSON, deeper than can be read, larger than `LARGEST`, or a table with ragged rows.
    """
    document = load(path)
    if isinstance(document, list) and document and all(_is_point(row) for row in document):
        run, tag = named(path, name)
        return [
            run_of_points(
                run, str(path), TENSORBOARD[1:2], {tag: [(float(row[1]), _number(row[2])) for row in document]}
            )
        ]
    if (records := _records(document, path)) is not None:
        return [run_of_records(name, str(path), records)]
    columns = dict(_columns(document, ""))
    return [_run(columns, name, str(path))] if columns else []


def load(path: Path) -> Any:
    """The document in a file.

    Raises:
        ValueError: if it is no JSON, deeper than can be read, or larger than `LARGEST`.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(
            f"{path} is a JSON document of {size >> 20} MiB, which must be read as a whole; at most {LARGEST >> 20} "
            "can be: write JSON lines or CSV"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
    except RecursionError:
        raise ValueError(f"{path}: its lists or objects are nested too deeply to be read") from None
    except ValueError as error:
        raise ValueError(f"{path} is no whole JSON document: {error}") from None


def _is_point(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 3
        and all(_is_number(x) for x in row[:2])
        and _is_number(row[2], or_missing=True)
    )


def _is_number(value: Any, *, or_missing: bool = False) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or (or_missing and _is_missing(value))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.lower() in NOT_FINITE)


def _number(value: Any) -> float | None:
    """A number, NaN or infinity; None where nothing was measured or the number does not fit."""
    try:
        return None if value is None else float(value)
    except OverflowError:  # a whole number past float64
        return float("inf") if value > 0 else float("-inf")


def _records(document: Any, path: Path) -> list[dict[str, Any]] | None:
    """The rows of a table, whichever way pandas turned it; None if the document is something else."""
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        rows, columns = document["data"], document.get("columns")
        if isinstance(columns, list) and all(isinstance(column, str) for column in columns):
            for i, row in enumerate(rows):
                if not isinstance(row, list) or len(row) != len(columns):
                    raise ValueError(f"{path}: row {i + 1} of data has not the {len(columns)} cells of columns")
            return [_tidy(dict(zip(columns, row))) for row in rows]
        document = rows if "schema" in document else document
    if isinstance(document, list) and document and all(isinstance(row, dict) for row in document):
        return [_tidy(row) for row in document]
    if isinstance(document, dict) and _counts(document) and all(isinstance(row, dict) for row in document.values()):
        return [_tidy(row) for _, row in sorted(document.items(), key=lambda pair: float(pair[0]))]  # by index
    if isinstance(document, dict) and not any(_columns(document, "")):
        lists = [rows for rows in document.values() if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
        return _records(lists[0], path) if len(lists) == 1 else None  # {"args": {...}, "history": [{...}, ...]}
    return None


def _tidy(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is no number; "NaN" in quotes is one, None is not measured."""
    return {
        key: value if isinstance(value, dict) else _number(value)
        for key, value in row.items()
        if isinstance(value, dict) or (_is_number(value, or_missing=True) and value is not None)
    }


def _counts(document: Mapping[str, Any]) -> bool:
    """Whether the keys are those of an index: "0", "1", ..."""
    return bool(document) and all(key.isdecimal() and len(key) < 16 for key in document)


def _columns(document: Any, before: str) -> Iterator[tuple[str, list[float | None]]]:
    """The lists of numbers in a dictionary of dictionaries, by the way to them."""
    if not isinstance(document, dict) or before.count("/") > DEEPEST:
        return
    for key, value in document.items():
        if isinstance(value, dict) and _counts(value) and all(_is_number(y, or_missing=True) for y in value.values()):
            value = [y for _, y in sorted(value.items(), key=lambda pair: float(pair[0]))]
        if isinstance(value, dict):
            yield from _columns(value, f"{before}{key}/")
        elif isinstance(value, list) and value and all(_is_number(y, or_missing=True) for y in value):
            numbers = [_number(y) for y in value]
            if any(y is not None for y in numbers):
                yield before + key, numbers


def _run(columns: Mapping[str, Sequence[float | None]], name: str, source: str) -> Run:
    """A run of columns; those of times go with the metrics that are as long."""
    clocks = [key for key in columns if plain(key.rpartition("/")[2]) in TIMES]
    clocks.sort(key=lambda key: TIMES.index(plain(key.rpartition("/")[2])))
    if len(clocks) == len(columns):
        clocks = []
    points = {
        key: [
            (*(columns[clock][i] if len(columns[clock]) == len(values) else None for clock in clocks), y)
            for i, y in enumerate(values)
        ]
        for key, values in columns.items()
        if key not in clocks
    }
    return run_of_points(name, source, [clock.rpartition("/")[2] for clock in clocks], points)
