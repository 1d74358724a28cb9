"""The runs below a folder, by the names of the folders or files they lie in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from lcpfn.logs import dvclive, mlflow
from lcpfn.logs.formats import EVENTS, of_member, of_words
from lcpfn.logs.records import read_state
from lcpfn.logs.run import Run, broken
from lcpfn.logs.source import is_regular
from lcpfn.logs.tensorboard import read_events

STATE = "trainer_state.json"
CANONICAL = ("result.json", "progress.csv", "metrics.csv")  # the log of the folder they lie in; the first one counts
MAX_FILES = 100_000  # in a folder, before it must be the wrong one


def of_folder(folder: Path) -> Iterator[Run]:
    """The runs below a folder; what cannot be read is a run with a problem.

    Raises:
        ValueError: if it holds more files than the folder of runs may.
    """
    states: dict[str, list[tuple[int, Run]]] = {}
    count = 0
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        here = Path(where)
        count += len(names)
        if count > MAX_FILES:
            raise ValueError(f"{folder} holds more than {MAX_FILES:,} files: give the folder of the run itself")
        own = _name(here, folder)
        if mlflow.is_run(here):
            inner.clear()
            yield from _tried(partial(_tracked, here), own, here)
            continue
        if dvclive.is_dvclive(here) or dvclive.is_catboost(here):
            inner.clear()  # event files of the same
            reader = dvclive.read_dvclive if dvclive.is_dvclive(here) else dvclive.read_catboost
            yield from _tried(partial(_as_list, reader, here, own), own, here)
            continue
        # A pipe would wait for ever, a device never ends, a link may lead nowhere.
        files = sorted(name for name in names if not name.startswith(".") and is_regular(here / name))
        found: list[Run] = []
        for file in sorted(files, key=lambda file: CANONICAL.index(file) if file in CANONICAL else len(CANONICAL)):
            path = here / file
            if file == STATE:  # each checkpoint holds all that went before it
                owner = here.parent if here.name.startswith("checkpoint-") and here != folder else here
                name = _name(owner, folder)
                states.setdefault(name, []).append(_state(path, name))
            elif EVENTS not in file:
                name = own if file in CANONICAL else _name(path, folder)
                found += _tried(partial(of_member, path, name), name, path)
        yield from found
        events = [here / file for file in files if EVENTS in file]
        if events:
            read = _tried(partial(_events, events, own, here), own, here)
            yield from (run for run in read if run.metrics or run.problem)
        elif not found and STATE not in files:
            for file in files:
                path, name = here / file, _name(here / file, folder)
                yield from _tried(partial(of_words, path, name), name, path)
    yield from (_last(found) for found in states.values())


def _tried(read: Callable[[], list[Run]], name: str, path: Path) -> list[Run]:
    """What a reader finds, or a run with the reason why it finds nothing."""
    try:
        return read()
    except (ValueError, OSError) as error:
        return [broken(name, str(path), str(error))]


def _as_list(reader: Callable[..., Run], folder: Path, name: str) -> list[Run]:
    return [reader(folder, name=name)]


def _tracked(folder: Path) -> list[Run]:
    run = mlflow.read_run(folder)
    return [] if run is None else [run]


def _events(files: list[Path], name: str, folder: Path) -> list[Run]:
    return [read_events(files, name=name, source=str(folder))]


def _state(path: Path, name: str) -> tuple[int, Run]:
    try:
        return read_state(path, name=name)
    except (ValueError, OSError) as error:
        return -1, broken(name, str(path), str(error))


def _last(found: list[tuple[int, Run]]) -> Run:
    """The state of the last checkpoint that can be read, with a notice for each that cannot."""
    run = max(found, key=lambda pair: pair[0])[1]
    if run.problem is not None:
        return run
    return replace(run, notices=tuple(other.problem for _, other in found if other.problem is not None))


def _name(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder).as_posix()
    return folder.resolve().name if inside == "." else inside
