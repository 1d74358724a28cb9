"""`read` and `runs`: what a file or folder is, and which reader takes it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from lcpfn.logs import archive, console, download, dvclive, mlflow, optuna, table
from lcpfn.logs.database import is_database, tables
from lcpfn.logs.evaluations import is_document, read_document
from lcpfn.logs.records import is_lines, is_state, read_lines, read_state
from lcpfn.logs.run import Run, listed, run_of_table
from lcpfn.logs.table import TIMES, VALUES, Curve
from lcpfn.logs.tensorboard import is_record, read_events
from lcpfn.logs.wandb import is_wandb, read_wandb
from lcpfn.names import metric_named, plain

HEAD = 1 << 16  # bytes by which a file is recognised
EVENTS = "tfevents"  # in the name of every event file
STATE = "trainer_state.json"
TEXTS = (".csv", ".json", ".jsonl", ".log")  # endings of other files that are looked into within a folder
PRINTED = (".json", ".log", ".txt", ".out")  # ... for a document or a printed log, where nothing else is found
ZIPPED = (".csv.zip", ".tsv.zip")  # as pandas and Syne Tune call them
CANONICAL = ("result.json", "progress.csv", "metrics.csv")  # the log of the folder they lie in; the first one counts
MAX_FILES = 100_000  # in a folder, before it must be the wrong one


def read(
    path: str | os.PathLike[str],
    *,
    metric: str | None = None,
    run: str | None = None,
    clock: str | None = None,
    pattern: str | None = None,
) -> Curve:
    r"""The learning curve of a metric, from a file or from the folder of a run.

    Args:
        path: file or folder, "-" for the standard input.
        metric: its name in the log, capitals and separators aside (in a table without names, its number). None: a
            well-known name of an accuracy (`lcpfn.logs.table.VALUES`), or the only metric.
        run: the name of a run where there are several, or a part of that name between slashes.
        clock: name of the times, such as "step"; "rows" counts values from 1. None: count values, unless the log has
            times that count otherwise, which is an error because a horizon could mean either.
        pattern: how to read what a run printed: the name of one of `lcpfn.logs.presets.PRESETS`, or a regular
            expression with a group `t` for the time and `y` for the value. None: the preset that fits, if one does.

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
    found = _printed(source, pattern, metric) if pattern is not None else None if source == "-" else runs(source)
    if found is None and source != "-" and _begins(Path(source), archive.is_zip):
        return table.curve(archive.read_table(Path(source)), column=metric, time_column=clock)
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


def _printed(source: str, pattern: str, metric: str | None) -> list[Run]:
    """The run whose printed log this is."""
    where = Path(source)
    if source != "-" and where.is_dir():
        raise ValueError(f"{source} is a folder: a pattern reads one file, give its path")
    return console.read_console(None if source == "-" else where, name=where.name, pattern=pattern, metric=metric)


def _begins(path: Path, is_it: Callable[[bytes], bool]) -> bool:
    with path.open("rb") as file:
        return is_it(file.read(16))


def _choose(found: list[Run], metric: str | None, source: str) -> tuple[Run, str]:
    """The one run that has the metric, and the metric's name there."""
    members: dict[str, list[Run]] = {}
    for run in found:
        members.setdefault(run.name, []).append(run)
    having: dict[str, tuple[Run, str]] = {}
    for owner, parts in members.items():
        named = [(run, run.find(metric)) for run in parts] if metric is not None else _well_known(parts)
        for run, name in named:
            if name is not None:
                having.setdefault(owner, (run, name))
    if len(having) == 1:
        return next(iter(having.values()))
    if not having and metric is not None:  # the last words of a name that no other metric ends with
        last = [(run, run.ending(metric)) for run in found]
        for run, name in last:
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


def _well_known(parts: list[Run]) -> list[tuple[Run, str | None]]:
    """The metric that is meant when none is named, and the part of the run that has it."""
    for name in VALUES:
        if any(run.find(name) is not None for run in parts):
            return [(run, run.find(name)) for run in parts]
    every = [(run, metric) for run in parts for metric in run.metrics]
    return [*every] if len({metric for _, metric in every}) == 1 else []


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
    if is_wandb(head):
        return read_wandb(path, name=name)
    if archive.is_zip(head):
        return archive.read_arrays(path, name=name) if archive.is_arrays(path) else None
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    first = text.partition("\n")[0].rstrip("\r")
    if is_state(text):
        return [read_state(path, name=name)[1]]
    if text.startswith("{") and is_lines(first if len(first) < len(text) else _first_line(path)):
        return read_lines(path, name=name)
    if mlflow.is_line(first):
        return [mlflow.read_file(path)]
    if download.LEAST in first or first == ",".join(download.TENSORBOARD):
        found = table.read(str(path))
        if download.is_tensorboard(found):
            return download.read_tensorboard(found, path, name=name)
        return download.read_panel(found) if download.is_panel(found) else None
    if is_document(text):
        return read_document(path, name=name) or None
    preset = console.recognise(text.splitlines())
    return None if preset is None else console.read_console(path, name=name, pattern=preset)


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
        if dvclive.is_dvclive(here) or dvclive.is_catboost(here):
            inner.clear()  # event files of the same
            read_folder = dvclive.read_dvclive if dvclive.is_dvclive(here) else dvclive.read_catboost
            yield read_folder(here, name=_name(here, folder))
            continue
        files = sorted(name for name in names if not name.startswith("."))
        found: list[Run] = []
        for file in sorted(files, key=lambda file: CANONICAL.index(file) if file in CANONICAL else len(CANONICAL)):
            if file == STATE:  # each checkpoint holds all that went before it
                owner = here.parent if here.name.startswith("checkpoint-") and here != folder else here
                name = _name(owner, folder)
                state = read_state(here / file, name=name)
                states[name] = max(states.get(name, state), state, key=lambda pair: pair[0])
            elif EVENTS not in file:
                found += _of_member(here / file, _name(here if file in CANONICAL else here / file, folder))
        yield from found
        events = [here / file for file in files if EVENTS in file]
        if events and (run := read_events(events, name=_name(here, folder), source=str(here))).metrics:
            yield run
        elif not found and STATE not in files:
            yield from (run for file in files for run in _of_words(here / file, _name(here / file, folder)))
    yield from (run for _, run in states.values())


def _of_member(path: Path, name: str) -> list[Run]:
    """The runs in a file of a folder, none if it is something else: not all that lies there is a log."""
    if not path.is_file():  # a pipe would wait for ever, a link may lead nowhere
        return []
    with path.open("rb") as file:
        head = file.read(HEAD)
    if is_database(head):
        return _of_database(path) or []
    if is_wandb(head):
        return read_wandb(path, name=name)
    if archive.is_zip(head):
        if path.name.endswith(ZIPPED):
            return [run_of_table(name, archive.read_table(path))]
        return archive.read_arrays(path, name=name) if path.suffix == ".npz" else []
    if path.suffix not in TEXTS:
        return []
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    if path.suffix != ".csv":
        first = text.partition("\n")[0]
        lines_of_json = text.startswith("{") and is_lines(first if len(first) < len(text) else _first_line(path))
        return (_of_file(path, name) or []) if lines_of_json or is_state(text) else []
    lines = text.splitlines()
    if lines and (download.LEAST in lines[0] or lines[0] == ",".join(download.TENSORBOARD)):
        return _of_file(path, name) or []
    if len(lines) < 2 or not any(plain(cell) in TIMES for cell in re.split("[,;\t]", lines[0])):
        return []  # a data set, or a log with nothing in it yet
    return [run_of_table(name, table.read(str(path)))]


def _of_words(path: Path, name: str) -> list[Run]:
    """The runs in a JSON document or a printed log of a folder; there, a name must say what it measures.

    Many a configuration holds a list of numbers.
    """
    if path.suffix not in PRINTED or not path.is_file():
        return []
    with path.open("rb") as file:
        text = file.read(HEAD).decode("utf-8", "replace").lstrip("\ufeff")
    found: list[Run] = []
    if is_document(text):
        with suppress(ValueError):  # nobody says that it is a log
            found = read_document(path, name=name)
    elif (preset := console.recognise(text.splitlines())) is not None:
        found = console.read_console(path, name=name, pattern=preset)
    return [run for run in found if any(metric_named(metric) is not None for metric in run.metrics)]


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
