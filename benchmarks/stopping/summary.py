"""Rows of the benchmark of stopping, a table of runs each, made into numbers for each source and for all.

Letters: T tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stopping.table import GOOD

RESAMPLES = 1000
LEVEL = 0.95  # of bootstrap intervals over tables

Row = dict[str, Any]


def summary(rows: dict[str, list[Row]], *, seed: int) -> dict[str, Any]:
    """The results: of each source, and of all but GOOD, which holds runs of another source again."""
    sources = {source: _source(found, seed=seed) for source, found in rows.items()}
    counted = {source: found for source, found in rows.items() if source != GOOD}
    every = {name: _all(name, counted, sources, seed=seed) for name in _names(counted)} if counted else {}
    return {"sources": sources, "all": every}


def _source(rows: Sequence[Row], *, seed: int) -> dict[str, Any]:
    return {
        "tables": len(rows),
        "runs": int(sum(row["runs"] for row in rows)),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "rules": {
            name: _rule([row["rules"][name] for row in rows if name in row["rules"]], seed=seed)
            for name in _names({"": rows})
        },
        "front": _front(rows),
        "by_table": {
            f"{row['task']} {row['metric']}": {name: round(told["speed_up"], 3) for name, told in row["rules"].items()}
            for row in rows
        },
    }


def _names(rows: dict[str, Sequence[Row]] | dict[str, list[Row]]) -> list[str]:
    return list(dict.fromkeys(name for found in rows.values() for row in found for name in row["rules"]))


def _rule(told: Sequence[Row], *, seed: int) -> dict[str, Any]:
    """Of one rule in a source."""
    logs = np.log([each["speed_up"] for each in told])
    low, high = _interval(logs[_drawn(len(logs), seed)].mean(axis=1))
    lost = [each["lost"] / each["winners"] for each in told if each["winners"]]
    return {
        "tables": len(told),
        "speed_up": float(np.exp(logs.mean())),
        "low": float(np.exp(low)),
        "high": float(np.exp(high)),
        "harmed": float(np.mean([each["harmed"] for each in told])),
        "regret": float(np.mean([each["regret"] for each in told])),
        "tried": float(np.mean([each["tried"] for each in told])),
        "false_stops": float(np.mean(lost)) if lost else None,
        "winners": int(sum(each["winners"] for each in told)),
        "on_or_beyond": float(np.mean([each["place"] != "behind" for each in told])),
        "beyond": float(np.mean([each["place"] == "beyond" for each in told])),
        "work": float(np.mean([each["work"] for each in told])),
        "pool_regret": float(np.mean([each["pool_regret"] for each in told])),
    }


def _all(name: str, rows: dict[str, list[Row]], sources: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """Of one rule over sources, each with the same weight; tables are resampled within their source."""
    having = [source for source in rows if name in sources[source]["rules"]]
    each = [sources[source]["rules"][name] for source in having]
    draws = []
    for i, source in enumerate(having):
        logs = np.log([row["rules"][name]["speed_up"] for row in rows[source] if name in row["rules"]])
        draws.append(logs[_drawn(len(logs), seed + i)].mean(axis=1))
    low, high = _interval(np.mean(draws, axis=0))
    told = {
        key: float(np.mean([one[key] for one in each]))
        for key in ("harmed", "regret", "tried", "on_or_beyond", "beyond", "work", "pool_regret")
    }
    lost = [one["false_stops"] for one in each if one["false_stops"] is not None]
    return {
        "sources": len(having),
        "speed_up": float(np.exp(np.mean([np.log(one["speed_up"]) for one in each]))),
        "low": float(np.exp(low)),
        "high": float(np.exp(high)),
        "false_stops": float(np.mean(lost)) if lost else None,
        **told,
    }


def _front(rows: Sequence[Row]) -> dict[str, list[float]]:
    """The front of i-Epoch in the mean over tables, whose numbers of points differ: by the place among the kept i."""
    count = min(len(row["front"]["work"]) for row in rows)
    places = [np.round(np.linspace(0, len(row["front"]["work"]) - 1, count)).astype(int) for row in rows]
    return {
        key: [
            round(float(x), 5)
            for x in np.mean([np.array(row["front"][key])[p] for row, p in zip(rows, places)], axis=0)
        ]
        for key in ("work", "regret")
    }


def _drawn(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
