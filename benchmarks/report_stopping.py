"""Tables and the picture of the benchmark of stopping, made of results/stopping.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COMMAND = "python benchmarks/stopping.py"
OURS = ("best", "paper", "worth")
FIRST = ("no stopping", "oracle")
VARIANTS = ("best, ", "each look", "worth, ", "last value, ")  # names that begin so are settings of our rules

Rows = list[list[str]]  # the first is the head


def overview(results: dict[str, Any]) -> Rows:
    """What each rule is worth over all sources."""
    return _overview(results, [name for name in results["all"] if not name.startswith(VARIANTS)])


def variants(results: dict[str, Any]) -> Rows:
    """The same for our rule in other settings."""
    return _overview(results, ["best", *(name for name in results["all"] if name.startswith(VARIANTS))])


def _overview(results: dict[str, Any], names: list[str]) -> Rows:
    head = ["rule", "speed-up", "harmed", "false stops", "final regret", "runs begun", "on or beyond i-Epoch", "beyond"]
    rows = [head]
    for name in sorted(names, key=lambda name: -results["all"][name]["speed_up"]):
        told = results["all"][name]
        lost = "" if told["false_stops"] is None else _percent(told["false_stops"])
        shares = [_percent(told[key]) for key in ("on_or_beyond", "beyond")]
        speed = f"{told['speed_up']:.2f} ({told['low']:.2f} to {told['high']:.2f})"
        rows.append(
            [name, speed, _percent(told["harmed"]), lost, f"{told['regret']:.3f}", f"{told['tried']:.0f}", *shares]
        )
    return rows


def speeds(results: dict[str, Any]) -> Rows:
    """Speed-up by source, with the share of tables that are harmed where there are any."""

    def cell(told: dict[str, Any]) -> str:
        harm = f", {_percent(told['harmed'])} harmed" if told["harmed"] else ""
        return f"{told['speed_up']:.2f}{harm}"

    return _by_source(results, cell)


def false_stops(results: dict[str, Any]) -> Rows:
    """Share of the runs that would have beaten what stood that were stopped, by source."""
    return _by_source(
        results, lambda told: "" if told["false_stops"] is None else _percent(told["false_stops"], digits=1)
    )


def overhead(results: dict[str, Any]) -> Rows:
    """What a decision costs."""
    from report import duration  # here: it makes documents of these tables

    told = results["overhead"]
    names = {
        "cold_s": "`Policy.decide`, nothing kept",
        "streamed_s": "a point into a stream, and the odds",
        "replayed_s": "out of a replay of whole runs",
    }
    return [["a decision, one thread", "takes"], *([name, duration(told[key])] for key, name in names.items())]


def _by_source(results: dict[str, Any], cell: Callable[[dict[str, Any]], str]) -> Rows:
    sources = results["sources"]
    counts = [f"{name} ({told['tables']})" for name, told in sources.items()]
    rows = [["rule", "all", *counts]]
    for name in sorted(results["all"], key=lambda name: -results["all"][name]["speed_up"]):
        cells = [cell(told["rules"][name]) if name in told["rules"] else "" for told in sources.values()]
        rows.append([name, cell(results["all"][name]), *cells])
    return rows


def _percent(share: float, *, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


TABLES: dict[str, Callable[[dict[str, Any]], Rows]] = {
    "stopping": overview,
    "stopping-speed": speeds,
    "stopping-false": false_stops,
    "stopping-variants": variants,
    "stopping-overhead": overhead,
}
