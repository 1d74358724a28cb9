"""What a method did in a source, as the numbers of its JSON: averages, skills, coverage, events, failures, time.

Letters: N cases, C columns of cell.COLUMNS.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from lcpfn.calibration.reliability import reliability
from real import averages
from real.cell import COLUMNS, EVENTS, PLACE, TARGETS
from real.rows import Rows

DIGITS = 6  # significant ones that are kept
COMPARED = {target: f"{target}_crps" for target in TARGETS}  # what a skill is made of
AVERAGED = [i for i, name in enumerate(COLUMNS) if name not in ("cut", "seen")]


def summary(rows: Rows, baseline: dict[str, Any] | None, *, seed: int) -> dict[str, Any]:
    """The results of the JSON.

    Args:
        rows: of the method in a source.
        baseline: the results of the baseline in the source; None: these rows are the baseline's.
        seed: of the bootstrap over tasks.

    Raises:
        ValueError: if the baseline was asked about other cases.
    """
    cuts = rows.values[:, PLACE["cut"]]
    tasks, cut, means = averages.by_task_and_cut(rows.values, task=rows.task, metric=rows.metric, cut=cuts)
    names, by_task = averages.group(means, tasks)
    found: dict[str, Any] = {
        "curves": len(set(zip(rows.task, rows.metric, rows.run))),
        "tasks": len(names),
        "counts": dict(sorted(rows.counts.items())),
        "reasons": dict(rows.reasons.most_common(20)),
        "scores": _named(averages.mean(by_task)),
        "by_cut": {f"{each:g}": _named(averages.mean(means[cut == each])) for each in np.unique(cut)},
        "by_task": {
            str(name): {key: _short(row[PLACE[column]]) for key, column in COMPARED.items()}
            for name, row in zip(names, by_task)
        },
        "reliability": {event: _events(rows.values, event) for event in EVENTS},
    }
    against = found if baseline is None else baseline
    if list(against["by_task"]) != list(found["by_task"]) or against["curves"] != found["curves"]:
        raise ValueError("a method and the baseline must be asked about the same curves: run the baseline again")
    skills = {target: averages.skill(column(found, target), column(against, target), seed=seed) for target in COMPARED}
    found["skill"] = {
        target: told and {k: _short(v) for k, v in asdict(told).items()} for target, told in skills.items()
    }
    return found


def column(results: dict[str, Any], target: str) -> np.ndarray:
    """(tasks,) mean CRPS of the target in each task, NaN where there is none."""
    return np.array([np.nan if each[target] is None else each[target] for each in results["by_task"].values()])


def _named(means: np.ndarray) -> dict[str, float | None]:
    return {COLUMNS[i]: _short(means[i]) for i in AVERAGED}


def _short(value: float | None) -> float | None:
    return float(f"{value:.{DIGITS}g}") if value is not None and np.isfinite(value) else None


def _events(values: np.ndarray, event: str) -> dict[str, Any] | None:
    """Reliability over all cases, one incumbent each; None if there is no event."""
    said, happened = values[:, PLACE[f"{event}_said"]], values[:, PLACE[f"{event}_happened"]]
    known = np.isfinite(said)
    if not known.any():
        return None
    told = reliability(np.clip(said[known], 0.0, 1.0), happened[known])
    parts = {name: _short(getattr(told, name)) for name in ("brier", "miscalibration", "resolution", "uncertainty")}
    bins = {name: [_short(x) for x in getattr(told, name)] for name in ("count", "said", "happened")}
    return {**parts, **bins}
