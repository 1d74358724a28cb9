"""Folders of tab-separated tables, one a metric: those of DVCLive, and CatBoost's `catboost_info`.

Source: dvclive/plots/metric.py; catboost/libs/logging and catboost/libs/train_lib, checked against their files.
"""

from __future__ import annotations

import os
from pathlib import Path

from lcpfn.logs import table
from lcpfn.logs.run import Run, run_of_points

PLOTS = "plots/metrics"  # of DVCLive; below it the file's path is the metric's name
CLOCKS = ("step", "timestamp")  # the second if it was asked for; it is text
ERRORS = {"learn_error.tsv": "learn", "test_error.tsv": "test"}  # of CatBoost, and the set that each is about
ITERATION = "iter"


def is_dvclive(folder: Path) -> bool:
    """Whether a folder is one that DVCLive writes."""
    return (folder / PLOTS).is_dir()


def read_dvclive(folder: Path, *, name: str) -> list[Run]:
    """The run in a folder of DVCLive; metrics are called as in `live.log_metric`.

    Raises:
        ValueError: if a table is damaged, with its line.
    """
    below = folder / PLOTS
    files = sorted(
        Path(where, file) for where, _, files in os.walk(below) for file in files if Path(file).suffix == ".tsv"
    )
    return [run for file in files for run in _run(file, name, file.relative_to(below).with_suffix("").as_posix())]


def is_catboost(folder: Path) -> bool:
    """Whether a folder is one that CatBoost writes while it trains."""
    return any(_begins(folder / file, ITERATION) for file in ERRORS)


def read_catboost(folder: Path, *, name: str) -> list[Run]:
    """The run in a folder of CatBoost; metrics are called `learn/Logloss` and `test/Logloss`.

    Raises:
        ValueError: if a table is damaged, with its line.
    """
    files = {folder / file: part for file, part in ERRORS.items() if _begins(folder / file, ITERATION)}
    return [run for file, part in files.items() for run in _run(file, name, part)]


def _run(path: Path, name: str, metric: str) -> list[Run]:
    """What one table says of the run: a metric a column; that of DVCLive is called as its file."""
    if path.stat().st_size == 0:
        return []  # of a run that has only begun
    found = table.read(str(path))
    clocks = [column for column in found.names if column in (*CLOCKS, ITERATION)]
    others = [column for column in found.names if column not in clocks]
    runs = []
    for column in others:
        called = f"{metric}/{column}" if ITERATION in clocks else metric
        where = [found.index(clock) for clock in clocks if clock != "timestamp"]
        values, times = found.numbers(found.index(column)), [found.numbers(clock) for clock in where]
        points = [(*(float(t[i]) for t in times), float(y)) for i, y in enumerate(values)]
        runs.append(run_of_points(name, str(path), [found.names[i] for i in where], {called: points}))
    return runs


def _begins(path: Path, word: str) -> bool:
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(len(word) + 1) == f"{word}\t"
