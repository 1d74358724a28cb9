"""Collections of curves in Parquet files, one file a source: where they lie, and how a row is read.

Columns: `task`, `run_id`, `metric`, `direction`, `x_unit`, the lists `x` and `y`, `hyperparameters` as JSON, and in
some files the list `lr`, the learning rate at each x.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.raw import Raw, wanted

VARIABLE = "LCPFN_CURVES"
_SHARED = Path(__file__).resolve().parents[3] / "shared"
DEFAULTS = (_SHARED / "curves", _SHARED / "more_curves")
MISSING = (
    f"no real curves: set {VARIABLE} to their folders, joined by {os.pathsep!r} "
    "(default: ../shared/curves and ../shared/more_curves beside the clone)"
)
COLUMNS = ["task", "run_id", "metric", "direction", "x_unit", "x", "y"]


def folders() -> tuple[Path, ...]:
    """The folders of Parquet files that there are; with none of them, `MISSING` says why."""
    told = os.environ.get(VARIABLE)
    named = [Path(part) for part in told.split(os.pathsep) if part] if told else DEFAULTS
    return tuple(path for path in named if path.is_dir())


def files() -> dict[str, Path]:
    """Source -> its file; a later folder's file replaces one of the same name in an earlier one."""
    return {path.stem: path for folder in folders() for path in sorted(folder.glob("*.parquet"))}


def read(path: Path, names: Sequence[str], *, tasks: Sequence[str] | None, split: str | None) -> Iterator[Raw]:
    """The curves of a file, those of the wanted tasks and of the named metrics, of all metrics without names.

    A run that went on from a checkpoint of another (`_kind` "branch") has that run's points before its own, as its
    training had: the log of the branch alone is the end of a curve, and its start is the parent's.

    Raises:
        ValueError: there is no such split.
        KeyError: a branch's parent is not in its task.
    """
    known = pc.unique(pq.read_table(path, columns=["task"])["task"]).to_pylist()
    asked = [task for task in known if wanted(task, tasks=tasks, split=split)]
    if not asked:
        return
    filters = [("task", "in", asked)] + ([("metric", "in", list(names))] if names else [])
    there = pq.read_schema(path).names
    columns = COLUMNS + [name for name in ("hyperparameters", "lr") if name in there]
    raws, facts = [], []
    for batch in pq.read_table(path, columns=columns, filters=filters).to_batches():
        words = [batch[column].to_pylist() for column in COLUMNS[:5]]
        t, y = (_cut(batch[column]) for column in ("x", "y"))
        rates = _cut(batch["lr"]) if "lr" in there else [None] * len(batch)
        raws += [Raw(*row, lr=rate) for *row, rate in zip(*words, t, y, rates)]
        facts += batch["hyperparameters"].to_pylist() if "hyperparameters" in there else [None] * len(batch)
    yield from _whole(raws, facts)


def _whole(raws: Sequence[Raw], facts: Iterable[str | None]) -> Iterator[Raw]:
    """The curves, branches with what their parents had logged before."""
    told: list[dict[str, Any]] = [json.loads(each) if each else {} for each in facts]
    found = {(each.task, each.run, each.name): (each, about) for each, about in zip(raws, told)}

    def whole(each: Raw, about: dict[str, Any]) -> Raw:
        if about.get("_kind") != "branch":
            return each
        # A parent may be a branch itself: its own start comes with it.
        parent = whole(*found[each.task, about["_parent"], each.name])
        before = parent.t < min(about["_branch_step"], each.t[0])
        lr = None
        if parent.lr is not None and each.lr is not None:
            lr = np.concatenate([parent.lr[before], each.lr])
        t, y = (np.concatenate([old[before], new]) for old, new in ((parent.t, each.t), (parent.y, each.y)))
        return replace(each, t=t, y=y, lr=lr)

    yield from (whole(each, about) for each, about in zip(raws, told))


def _cut(lists: pa.ListArray) -> list[np.ndarray]:
    """The rows of a column of lists as float64."""
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []
