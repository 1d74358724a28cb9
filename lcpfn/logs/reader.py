"""`read` and `runs`: what a file or folder is, and which reader takes it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lcpfn.logs import mlflow, optuna, table
from lcpfn.logs.database import is_database, tables
from lcpfn.logs.records import is_lines, is_state, read_lines, read_state
from lcpfn.logs.run import Run, listed, run_of_table
from lcpfn.logs.table import TIMES, VALUES, Curve
from lcpfn.logs.tensorboard import is_record, read_events
from lcpfn.names import plain

HEAD = 1 << 16  # bytes by which a file is recognised
EVENTS = "tfevents"  # in the name of every event file
STATE = "trainer_state.json"
TEXTS = (".csv", ".json", ".jsonl", ".log")  # endings of other files that are looked into within a folder
CANONICAL = ("result.json", "progress.csv", "metrics.csv")  # the log of the folder they lie in; the first one counts
MAX_FILES = 100_000  # in a folder, before it must be the wrong one


def read(
    path: str | os.PathLike[str], *, metric: str | None = None, run: str | None = None, clock: str | None = None
) -> Curve:
    r"""The learning curve of a metric, from a file or from the folder of a run.

    Args:
        path: file or folder, "-" for the standard input.
        metric: its name in the log, capitals and separators aside (in a table without names, its number). None: a
            well-known name of an accuracy (`lcpfn.logs.table.VALUES`), or the only metric.
        run: the name of a run where there are several, or a part of that name between slashes.
        clock: name of the times, such as "step"; "rows" counts values from 1. None: count values, unless the log has
            times that count otherwise, which is an error because a horizon could mean either.

    Returns:
        The curve: `y` (T,), `t` (T,) or None for 1..T, `name`, and `metric`, what the values are by their name.

    Raises:
        OSError: if there is no such file.
        ValueError: if nothing is found, or more than one run or metric could be meant; the message lists them.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lines = "epoch,step,train_loss,val_acc", "0,9,2.1,", "0,9,,0.3", "1,19,,0.4"
        ...     _ = pathlib.Path(folder, "metrics.csv").write_text("\n".join(lines))
        ...     curve = read(folder, metric="val_acc")
        >>> curve.y, curve.clock, curve.metric.bounds
        (array([0.3, 0.4]), 'epoch', (0.0, 1.0))
    """
    source = os.fspath(path)
    found = None if source == "-" else runs(source)
    if found is None:
        if run is not None:
            raise ValueError(f"{source} is a table, which is one run: leave out --run {run}")
        return table.curve(table.read(source), column=metric, time_column=clock)
    chosen, name = _choose(_asked(found, run, source), metric, source)
    return table.curve(chosen.table(name), column=name, time_column=clock)


def runs(path: str | os.PathLike[str]) -> list[Run] | None:
    """The runs in a file or folder with what they logged; None for a file that is a table or unknown.

    Several of one name are the same run, logged in several ways; the first one that has a metric counts.

    Raises:
        OSError: if there is no such file.
        ValueError: if a log is damaged, or there is none, or none with a number.
    """
    where = Path(path)
    found = list(_of_folder(where)) if where.is_dir() else _of_file(where, where.name)
    if found is None:
        return None
    if not found and where.is_dir():
        raise ValueError(
            f"{where} holds no log that can be read: no event file of TensorBoard, no {STATE}, {', '.join(CANONICAL)}, "
            "no other table or JSON lines with a time, no database of Optuna or MLflow, no run of mlruns"
        )
    if not any(run.metrics for run in found):
        raise ValueError(f"{where} holds no number yet that was logged over time")
    return [run for run in found if run.metrics]


def _asked(found: list[Run], name: str | None, source: str) -> list[Run]:
    """All runs, or those of the one that was asked for."""
    names = list(dict.fromkeys(run.name for run in found))
    if name is None:
        return found
    chosen = [known for known in names if known == name]
    chosen = chosen or [known for known in names if name in known.split("/") or known.endswith(f"/{name}")]
    if len(chosen) == 1:
        return [run for run in found if run.name == chosen[0]]
    problem = f"{len(chosen)} runs {name!r}: {listed(chosen)}" if chosen else f"no run {name!r}, only {listed(names)}"
    raise ValueError(f"{source} has {problem}")


def _choose(found: list[Run], metric: str | None, source: str) -> tuple[Run, str]:
    """The one run that has the metric, and the metric's name there."""
    having: dict[str, tuple[Run, str]] = {}
    for run in found:
        name = _well_known(run) if metric is None else run.find(metric)
        if name is not None:
            having.setdefault(run.name, (run, name))
    if len(having) == 1:
        return next(iter(having.values()))
    every = listed(dict.fromkeys(name for run in found for name in run.metrics))
    if metric is None and not having:
        raise ValueError(f"{source}: which metric to forecast? Say --metric NAME; there are {every}")
    if not having:
        raise ValueError(f"{source} has no metric {metric!r}, only {every}")
    what = "" if metric is None else f" with {metric}"
    raise ValueError(
        f"{source} holds {len(having)} runs{what}: {listed(having)}; say --run NAME, or give the path of one of them"
    )


def _well_known(run: Run) -> str | None:
    """The metric that is meant when none is named."""
    names = [run.find(name) for name in VALUES]
    only = run.metrics[0] if len(run.metrics) == 1 else None
    return next((name for name in names if name is not None), only)


def _of_file(path: Path, name: str) -> list[Run] | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if is_database(head):
        found = _of_database(path)
        if found is None:
            raise ValueError(f"{path} is an SQLite database, but neither Optuna's nor MLflow's")
        return found
    if EVENTS in path.name or is_record(head):
        return [read_events([path], name=name, source=str(path))]
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    first = text.partition("\n")[0].rstrip("\r")
    if is_state(text):
        return [read_state(path, name=name)[1]]
    if text.startswith("{") and is_lines(first if len(first) < len(text) else _first_line(path)):
        return read_lines(path, name=name)
    if mlflow.is_line(first):
        return [mlflow.read_file(path)]
    return None


def _of_folder(folder: Path) -> Iterator[Run]:
    """The runs below a folder, by the names of the folders or files they lie in."""
    states: dict[str, tuple[int, Run]] = {}
    count = 0
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        here = Path(where)
        count += len(names)
        if count > MAX_FILES:
            raise ValueError(f"{folder} holds more than {MAX_FILES:,} files: give the folder of the run itself")
        if mlflow.is_run(here):
            inner.clear()
            if (tracked := mlflow.read_run(here)) is not None:
                yield tracked
            continue
        files = sorted(name for name in names if not name.startswith("."))
        for file in sorted(files, key=lambda file: CANONICAL.index(file) if file in CANONICAL else len(CANONICAL)):
            if file == STATE:  # each checkpoint holds all that went before it
                owner = here.parent if here.name.startswith("checkpoint-") and here != folder else here
                name = _name(owner, folder)
                state = read_state(here / file, name=name)
                states[name] = max(states.get(name, state), state, key=lambda pair: pair[0])
            elif EVENTS not in file:
                yield from _of_member(here / file, _name(here if file in CANONICAL else here / file, folder))
        events = [here / file for file in files if EVENTS in file]
        if events and (run := read_events(events, name=_name(here, folder), source=str(here))).metrics:
            yield run
    yield from (run for _, run in states.values())


def _of_member(path: Path, name: str) -> list[Run]:
    """The runs in a file of a folder, none if it is something else: not all that lies there is a log."""
    if not path.is_file():  # a pipe would wait for ever, a link may lead nowhere
        return []
    with path.open("rb") as file:
        head = file.read(HEAD)
    if is_database(head):
        return _of_database(path) or []
    if path.suffix not in TEXTS:
        return []
    if path.suffix != ".csv":
        return (_of_file(path, name) or []) if head.lstrip().startswith(b"{") else []
    lines = head.decode("utf-8", "replace").lstrip("\ufeff").splitlines()
    if len(lines) < 2 or not any(plain(cell) in TIMES for cell in re.split("[,;\t]", lines[0])):
        return []  # a data set, or a log with nothing in it yet
    return [run_of_table(name, table.read(str(path)))]


def _of_database(path: Path) -> list[Run] | None:
    found = tables(path)
    if {"studies", "trials", "trial_intermediate_values"} <= found:
        return optuna.read_database(path)
    if {"runs", "metrics", "latest_metrics"} <= found:
        return mlflow.read_database(path)
    return None


def _name(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder).as_posix()
    return folder.resolve().name if inside == "." else inside


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline()
