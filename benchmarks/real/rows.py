"""Rows of the contest on real curves as they are kept: a method in a source, cell by cell.

Letters: N cases, C columns of cell.COLUMNS.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcpfn import files
from real import cell

SAVE_EVERY_S = 20.0


@dataclass(frozen=True, eq=False)
class Rows:
    """All cases of a method in a source.

    Attributes:
        values: (N, C).
        task: (N,) names.
        metric: (N,) names.
        run: (N,) names.
        counts: cases that were forecast, and those that were not by the reason; failures.
        reasons: why the method failed, how often.
    """

    values: np.ndarray
    task: np.ndarray
    metric: np.ndarray
    run: np.ndarray
    counts: Counter[str]
    reasons: Counter[str]


class Store:
    """The rows of a method in a source, cell by cell, in a file that survives an interruption.

    Args:
        path: of the npz.
        settings: rows made with others are left behind.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self._settings = path, json.dumps(settings, sort_keys=True)
        self._parts: dict[tuple[str, str], cell.Forecasts] = {}
        self._saved = time.monotonic()
        if path.exists():
            with np.load(path) as kept:
                if str(kept["settings"]) == self._settings:
                    self._take(kept)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._parts

    def add(self, key: tuple[str, str], found: cell.Forecasts) -> None:
        """Keep a cell; the file is written now and then."""
        self._parts[key] = found
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            self.save()

    def rows(self) -> Rows:
        """All cells, in the order of their names, however they came in."""
        keys = sorted(self._parts)
        parts = [self._parts[key] for key in keys]
        sizes = [len(part.rows) for part in parts]
        task, metric = (np.repeat(np.array([key[i] for key in keys], dtype=str), sizes) for i in (0, 1))
        values, runs = np.concatenate([part.rows for part in parts]), np.concatenate([part.runs for part in parts])
        counts, reasons = (sum((getattr(part, name) for part in parts), Counter()) for name in ("counts", "reasons"))
        return Rows(values, task, metric, runs, counts, reasons)

    def save(self) -> None:
        """Put all cells in place of the file, in one step."""
        keys = sorted(self._parts)
        parts = [self._parts[key] for key in keys]
        about = [(*key, len(part.rows), part.counts, part.reasons) for key, part in zip(keys, parts)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(self.path) as temporary, open(temporary, "wb") as file:  # savez adds .npz to a name
            np.savez_compressed(
                file,
                settings=self._settings,
                columns=np.array(cell.COLUMNS),
                cells=json.dumps(about),
                rows=np.concatenate([part.rows for part in parts]),
                runs=np.concatenate([part.runs for part in parts]),
            )
        self._saved = time.monotonic()

    def _take(self, kept: Mapping[str, np.ndarray]) -> None:
        start = 0
        rows, runs = kept["rows"], kept["runs"]
        for task, metric, size, counts, reasons in json.loads(str(kept["cells"])):
            stop = start + size
            part = cell.Forecasts(rows[start:stop], runs[start:stop], Counter(counts), Counter(reasons))
            self._parts[task, metric], start = part, stop
