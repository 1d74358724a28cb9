"""Tables as web pages hand them out: TensorBoard's download of one curve, and the export of a panel of W&B.

Source: tensorboard/plugins/scalar/http_api.md; the export of Weights & Biases' line plots.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from lcpfn.logs.columns import Table
from lcpfn.logs.run import Run

TENSORBOARD = ("Wall time", "Step", "Value")
_NAMED = re.compile(r"run[-_](?P<run>.*?)[-_,]tag[-_](?P<tag>.+)", re.DOTALL)
_COPY = re.compile(r" ?\(\d+\)$")  # what browsers add to the second download of one name
LEAST, MOST, BETWEEN = "__MIN", "__MAX", " - "  # "calm-lake-3 - val_acc__MIN"


def is_tensorboard(table: Table) -> bool:
    """Whether a table is one curve as TensorBoard hands it out."""
    return table.names == TENSORBOARD


def read_tensorboard(table: Table, path: Path, *, name: str) -> list[Run]:
    """The run of such a table; its own name and that of its metric are told by the file's name."""
    run, tag = named(path, name)
    one = replace(table.select((1, 2), (TENSORBOARD[1], tag)), restarts=True)
    return [Run(run, table.source, (tag,), lambda metric: one)]


def named(path: Path, name: str) -> tuple[str, str]:
    """The names of the run and of the metric in the name of a download.

    >>> named(Path("run-fold_1-tag-val_loss (2).csv"), ""), named(Path("acc.csv"), "logs/acc.csv")
    (('fold_1', 'val_loss'), ('logs/acc.csv', 'acc'))
    """
    stem = _COPY.sub("", path.stem)
    found = _NAMED.fullmatch(stem)
    if found is None:
        return name, stem
    return found["run"] if found["run"] not in ("", ".") else name, found["tag"]


def is_panel(table: Table) -> bool:
    """Whether a table is an export of a panel: beside a column stand those of its least and largest values."""
    return any({name + LEAST, name + MOST} <= set(table.names) for name in table.names)


def read_panel(table: Table) -> list[Run]:
    """The runs of a panel: `calm-lake-3 - val_acc` is the metric `val_acc` of the run `calm-lake-3`.

    The first column holds the times. Cells without a value are steps of other runs.
    """
    runs: dict[str, dict[str, int]] = {}
    for i, column in enumerate(table.names):
        if i and not column.endswith((LEAST, MOST)):
            run, _, metric = column.rpartition(BETWEEN)
            runs.setdefault(run or column, {})[metric] = i
    return [_run(run, metrics, table) for run, metrics in runs.items()]


def _run(name: str, metrics: dict[str, int], table: Table) -> Run:
    def one(metric: str) -> Table:
        i = metrics[metric]
        kept = np.flatnonzero(table.columns[i].measured)
        return replace(table.select((0, i), (table.names[0], metric)).take(kept), restarts=True)

    return Run(name, table.source, tuple(m for m, i in metrics.items() if table.columns[i].measured.any()), one)
