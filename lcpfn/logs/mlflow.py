"""Metrics that MLflow has tracked, from its SQLite database or the folders of its file store.

A run is named `RUN_NAME/RUN_ID`, and asked for by either. Its times are the steps; where all are the same, because the
logging code passed none, values count in the order of their timestamps.

Source: mlflow/store/tracking: dbmodels/models.py, file_store.py.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from lcpfn.logs.columns import Table, number
from lcpfn.logs.database import measured, query
from lcpfn.logs.run import Run, run_of_points
from lcpfn.logs.source import is_regular

LARGEST = 1.7976931348623157e308  # stands for infinity in the database
DELETED = "deleted"  # lifecycle_stage of a run in the bin
Point = tuple[float, float, float]  # timestamp, value, step


def read_database(path: Path) -> list[Run]:
    """The runs of a database that logged something, without deleted ones; points are read when they are asked for."""
    names: dict[tuple[str, str | None], list[str]] = {}
    for run, name, metric in query(
        path,
        "SELECT DISTINCT r.run_uuid, r.name, m.key FROM runs r JOIN metrics m ON m.run_uuid = r.run_uuid "
        "WHERE coalesce(r.lifecycle_stage, '') != ? ORDER BY r.start_time, r.run_uuid, m.key",
        (DELETED,),
    ):
        names.setdefault((str(run), None if name is None else str(name)), []).append(str(metric))
    return [
        Run(f"{name}/{run}" if name else run, str(path), tuple(metrics), partial(_stored, path, run))
        for (run, name), metrics in names.items()
    ]


def _stored(path: Path, run: str, metric: str) -> Table:
    rows = query(
        path,
        "SELECT timestamp, value, step, is_nan FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY timestamp, rowid",
        (run, metric),
    )
    points = []
    for timestamp, value, step, is_nan in rows:
        where = f"{path}, run {run}, metric {metric}"
        timestamp, step = measured(timestamp, f"{where}: timestamp"), measured(step, f"{where}: step")
        value = float("nan") if is_nan else _finite_or_not(measured(value, f"{where}, step {step:g}: value"))
        points.append((timestamp, value, step))
    return _run(run, str(path), {metric: points}).table(metric)


def _finite_or_not(value: float) -> float:
    return value if abs(value) < LARGEST else float("inf") if value > 0 else float("-inf")


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run in the file store."""
    return (folder / "meta.yaml").is_file() and (folder / "metrics").is_dir()


def read_run(folder: Path) -> Run | None:
    """The run in a folder of the file store, None if it is deleted or has logged nothing.

    The file of a metric is read when it is asked for.
    """
    meta = (folder / "meta.yaml").read_text(encoding="utf-8", errors="replace")
    facts = dict(re.findall(r"^(run_name|lifecycle_stage):[ \t]*(.*?)[ \t]*$", meta, flags=re.MULTILINE))
    name = facts.get("run_name", "").strip("'\"")
    files = sorted(path for path in (folder / "metrics").rglob("*") if is_regular(path))
    if facts.get("lifecycle_stage") == DELETED or not files:
        return None
    paths = {path.relative_to(folder / "metrics").as_posix(): path for path in files}  # names may have a /

    def table(metric: str) -> Table:
        return _run(folder.name, str(paths[metric]), {metric: _points(paths[metric])}).table(metric)

    metrics = tuple(metric for metric, path in paths.items() if path.stat().st_size)
    return Run(f"{name}/{folder.name}" if name else folder.name, str(folder), metrics, table)


def read_file(path: Path) -> Run:
    """The run as one file of a metric in the file store tells of it.

    Raises:
        ValueError: if it holds anything else, with its line.
    """
    return _run(path.name, str(path), {path.name: _points(path)})


def is_line(line: str) -> bool:
    """Whether a line is one of a file of a metric: milliseconds since 1970, value, step.

    >>> is_line("1700000000000 0.25 3"), is_line("1 0.25 3")
    (True, False)
    """
    return re.fullmatch(r"\d{12,} \S+( -?\d+( .*)?)?", line) is not None


def is_metric(path: Path, line: str) -> bool:
    """Whether a file lies where the file store keeps its metrics, and begins as they do."""
    inside = any(parent.name == "metrics" and (parent.parent / "meta.yaml").is_file() for parent in path.parents)
    return inside and is_point(line)


def is_point(line: str) -> bool:
    """The same where it is known what the file is: some code passes a count as the time, and no step."""
    return re.fullmatch(r"-?\d{1,20} \S+( -?\d{1,20}( .*)?)?", line) is not None


def _points(path: Path) -> list[Point]:
    points = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for i, line in enumerate(text.splitlines(), 1):
        words = line.split(" ")  # old versions wrote no step; new ones may add the name of a data set
        value = number(words[1]) if len(words) > 1 else None
        if value is None or not is_point(line):
            if i == text.count("\n") + 1:
                break  # the last line was cut off while it was written
            raise ValueError(f"{path}, line {i}: expected TIMESTAMP VALUE STEP, got {line[:60]!r}")
        points.append((float(words[0]), value, float(words[2]) if len(words) > 2 else 0.0))
    return sorted(points, key=lambda point: point[0])


def _run(name: str, source: str, points: dict[str, list[Point]]) -> Run:
    tidy: dict[str, list[tuple[float | None, float]]] = {}
    for key, found in points.items():
        stepped = len(found) == 1 or len({step for _, _, step in found}) > 1
        tidy[key] = [(step if stepped else None, y) for _, y, step in found]  # those that come again are restarts
    return run_of_points(name, source, ("step",), tidy)
