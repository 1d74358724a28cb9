"""Folders of tab-separated tables: those of DVCLive, one a metric, and CatBoost's `catboost_info`.

Source: dvclive/plots/metric.py; catboost/private/libs/app_helpers; checked against the files of both (3.49, 1.2).
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from lcpfn.logs import table
from lcpfn.logs.columns import Table
from lcpfn.logs.run import Run

PLOTS = "plots/metrics"  # of DVCLive; below it the file's path is the metric's name
STEP, TIMESTAMP = "step", "timestamp"  # the second where `live.log_metric` was asked for it
ERRORS = {"learn_error.tsv": "learn", "test_error.tsv": "test"}  # of CatBoost, and the set that each is about
ITERATION = "iter"


def is_dvclive(folder: Path) -> bool:
    """Whether a folder is one that DVCLive writes."""
    return (folder / PLOTS).is_dir()


def read_dvclive(folder: Path, *, name: str) -> Run:
    """The run in a folder of DVCLive; metrics are called as in `live.log_metric`, and read when they are asked for."""
    below = folder / PLOTS
    files = (Path(where, file) for where, _, files in os.walk(below) for file in files if file.endswith(".tsv"))
    columns = {}
    for path in sorted(files):
        values = [column for column in _header(path) if column not in (STEP, TIMESTAMP)]
        if len(values) == 1:
            columns[path.relative_to(below).with_suffix("").as_posix()] = (path, STEP, values[0])
    return Run(name, str(folder), tuple(columns), partial(_table, columns))


def is_catboost(folder: Path) -> bool:
    """Whether a folder is one that CatBoost writes while it trains."""
    return any(_header(folder / file)[:1] == [ITERATION] for file in ERRORS)


def read_catboost(folder: Path, *, name: str) -> Run:
    """The run in a folder of CatBoost; metrics are called `learn/Logloss` and `test/Logloss`."""
    columns = {
        f"{part}/{column}": (folder / file, ITERATION, column)
        for file, part in ERRORS.items()
        for column in _header(folder / file)[1:]
    }
    return Run(name, str(folder), tuple(columns), partial(_table, columns))


def _header(path: Path) -> list[str]:
    """The columns of a table that has a row, none if there is no such table."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        header, row = (file.readline(1 << 16).rstrip("\n") for _ in range(2))
    return header.split("\t") if row else []


def _table(columns: dict[str, tuple[Path, str, str]], metric: str) -> Table:
    """The times and the values of one metric.

    Raises:
        ValueError: if the file is damaged, with its line.
    """
    path, clock, column = columns[metric]
    found = table.read(str(path))
    one = found.select((found.index(clock), found.index(column)), (clock, metric))
    return replace(one, restarts=True)  # a resumed run writes on
