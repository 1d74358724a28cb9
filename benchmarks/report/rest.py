"""The tables of what comes after, made of results/prior_rest.json."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from report.text import Rows

COMMAND = "python benchmarks/prior/continuation.py"


def rest(results: dict[str, Any]) -> Rows:
    """Shares in percent of the gain to come over the range seen: measured curves, mean of the sources, and priors."""
    ends = [-math.inf, *results["edges"], math.inf]
    rows = [["seen, grid, curves", *(_between(low, high) for low, high in pairwise(ends))]]
    made = results["shares"]
    sources = [name for name in made if name not in ("prior", "against")]
    for cut in made["prior"]:
        for grid in made["prior"][cut]:
            held = [made[source][cut][grid] for source in sources if grid in made[source][cut]]
            if held:
                name = f"measured, {len(held)} sources" if len(held) > 1 else "measured, 1 source"
                rows.append(_row(f"{cut} %, {grid}: {name}", np.mean(held, axis=0)))
                rows.append(_row(f"{cut} %, {grid}: prior", made["prior"][cut][grid]))
                rows.append(_row(f"{cut} %, {grid}: the other prior", made["against"][cut][grid]))
    return rows


def neighbours(results: dict[str, Any]) -> Rows:
    """By how much percent the prior's CRPS differs from the other's, forecasts by neighbours."""
    rows = [["source", "final", "best"]]
    for source, told in results["errors"].items():
        rows.append([f"`{source}`", *(f"{100 * math.expm1(told[kind]):+.0f} %" for kind in ("final", "best"))])
    means = [np.mean([told[kind] for told in results["errors"].values()]) for kind in ("final", "best")]
    return [*rows, ["all", *(f"{100 * math.expm1(mean):+.1f} %" for mean in means)]]


def _between(low: float, high: float) -> str:
    """A column's name.

    >>> _between(-math.inf, 0.3), _between(0.3, 1.0), _between(1.0, math.inf)
    ('< 0.3', '0.3 to 1', '> 1')
    """
    if math.isinf(low):
        return f"< {high:g}"
    return f"> {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def _row(name: str, values: Any) -> list[str]:
    return [name, *(f"{100 * value:.1f}" for value in values)]


TABLES = {"prior-rest": rest, "prior-neighbours": neighbours}
