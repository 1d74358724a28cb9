"""The tables of forecasts that know other runs, made of results/others.json."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from report.text import Rows

COMMAND = "python benchmarks/real/others.py"
STAGES = ("finished", "search")


def rows(results: dict[str, Any], stage: str, method: str = "given") -> Rows:
    """CRPS saved by a method, in percent of the network's alone, for each source and number of others; coverage."""
    sources = results[stage]
    counts = _counts(sources)
    lines = [["source", *(f"{n} known" for n in counts), *(f"90 % interval, {n}" for n in counts)]]
    for source, told in sources.items():
        cells = [told.get(n, {}).get(method) for n in counts]
        lines.append([f"`{source}`", *_shown(cells, "saved"), *_shown(cells, "inside")])
    means = [[_mean(sources, n, method, what)] for what in ("saved", "inside") for n in counts]
    lines.append([f"mean of {len(sources)}", *(f"{100 * mean:.0f}" for (mean,) in means)])
    return lines


def method_rows(results: dict[str, Any], stage: str) -> Rows:
    """Means over sources: CRPS saved, coverage, log score, Brier score of "beats the best", time of a question."""
    sources = results[stage]
    counts = _counts(sources)
    names = list(dict.fromkeys(name for told in sources.values() for each in told.values() for name in each))
    head = ["method", *(f"saved, {n}" for n in counts), *(f"90 % interval, {n}" for n in counts)]
    last = counts[-1] if counts else ""
    lines = [[*head, f"log score, {last}", f"Brier, {last}", f"ms, {last}"]]
    for name in names:
        numbers = [_mean(sources, n, name, what) for what in ("saved", "inside") for n in counts]
        rest = [_mean(sources, last, name, what) for what in ("log_score", "brier", "ms")]
        shown = [f"{rest[0]:.2f}", f"{rest[1]:.3f}", f"{rest[2]:.0f}"]
        lines.append([name, *(f"{100 * number:.0f}" for number in numbers), *shown])
    return lines


def _counts(sources: dict[str, Any]) -> list[str]:
    return sorted({n for told in sources.values() for n in told}, key=int)


def _shown(cells: list[Any], what: str) -> list[str]:
    return ["-" if cell is None else f"{100 * cell[what]:.0f}" for cell in cells]


def _mean(sources: dict[str, Any], n: str, method: str, what: str) -> float:
    found = [told[n][method][what] for told in sources.values() if method in told.get(n, {})]
    return float(np.mean(found)) if found else float("nan")


TABLES = {
    f"others-{name}-{stage}": partial(make, stage=stage)
    for stage in STAGES
    for name, make in (("sources", rows), ("methods", method_rows))
}
