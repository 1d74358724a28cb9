"""Tables and the picture of the benchmark of stopping, made of results/stopping.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from report.text import Rows, duration

COMMAND = "python benchmarks/stopping/search.py"
SEARCH = "python benchmarks/stopping/parallel.py"
VARIANTS = (
    "best, ",
    "each look",
    "worth, ",
    "last value, ",
)  # names that begin so are settings of our rules
NOT_CHOSEN = ("best, higher start", "best, 5 points", "last value, higher start")


def overview(results: dict[str, Any]) -> Rows:
    """What each rule is worth over all sources."""
    return _overview(results, [name for name in results["all"] if not name.startswith(VARIANTS)])


def variants(results: dict[str, Any]) -> Rows:
    """The same for our rule in other settings."""
    return _overview(results, ["best", *(name for name in results["all"] if name.startswith(VARIANTS))])


def held_out(results: dict[str, Any]) -> Rows:
    """What each rule is worth on test tasks, and what ours would be in settings that were not chosen."""
    return _overview(results, [name for name in results["all"] if _main(name) or name in NOT_CHOSEN])


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

    return _by_source(results, cell, [name for name in results["all"] if _main(name)])


def false_stops(results: dict[str, Any]) -> Rows:
    """Share of the runs that would have beaten what stood that were stopped, by source."""
    names = [name for name, told in results["all"].items() if told["false_stops"] is not None and _main(name)]

    def cell(told: dict[str, Any]) -> str:
        return "" if told["false_stops"] is None else _percent(told["false_stops"], digits=1)

    return _by_source(results, cell, names)


def _main(name: str) -> bool:
    return not name.startswith(VARIANTS)


def overhead(results: dict[str, Any]) -> Rows:
    """What a decision costs."""
    told = results["overhead"]
    names = {
        "cold_s": "`Policy.decide`, nothing kept",
        "streamed_s": "a point into a stream, and the odds",
        "replayed_s": "out of a replay of whole runs",
    }
    return [["a decision, one thread", "takes"], *([name, duration(told[key])] for key, name in names.items())]


def search(results: dict[str, Any]) -> Rows:
    """What each pruner of Optuna is worth in a parallel search."""
    rows = [["pruner", "speed-up", "harmed", "final regret", "trials", "pruned", "a report takes"]]
    for name, told in sorted(results["all"].items(), key=lambda item: -item[1]["speed_up"]):
        numbers = [f"{told['regret']:.3f}", f"{told['trials']:.0f}", f"{told['pruned']:.0f}"]
        rows.append([name, f"{told['speed_up']:.2f}", _percent(told["harmed"]), *numbers, duration(told["report_s"])])
    return rows


# What stands out in the picture: colour, marker, label.
SHOWN = {
    "best": ("#D55E00", "o", "ours: best"),
    "paper": ("#0072B2", "s", "LC-PFN's rule"),
    "last value": ("#009E73", "D", "last value"),
    "median": ("#777777", "v", "median"),
    "ASHA 3": ("#777777", "^", "ASHA 3"),
    "patience 10": ("#777777", "x", "patience 10"),
    "halving 3": ("#777777", "P", "halving 3"),
    "oracle": ("black", "*", "oracle"),
}
SHARES = (0.03, 0.1, 0.3, 1.0)  # ticks
ROOM = 0.01  # regret below which the scale is straight


def picture(axes: Any, results: dict[str, Any]) -> None:
    """Regret against work for a fixed pool of runs, a panel for each source: the front of i-Epoch, and the rules."""
    figure, sources = axes.figure, results["sources"]
    axes.remove()
    rows = (len(sources) + 4) // 4
    figure.set_size_inches(11, 2.6 * rows + 0.4)
    panels = figure.subplots(rows, 4, squeeze=False).ravel()
    for panel, (name, told) in zip(panels, sources.items()):
        front = told["front"]
        panel.plot(front["work"], front["regret"], color="#BBBBBB", marker=".", zorder=1, label="i-Epoch, every i")
        for rule, (colour, marker, label) in SHOWN.items():
            if rule in told["rules"]:
                each = told["rules"][rule]
                at = [each["work"]], [each["pool_regret"]]
                panel.plot(*at, color=colour, marker=marker, linestyle="", clip_on=False, zorder=2, label=label)
        panel.set_xscale("log")
        panel.set_xticks(SHARES, [f"{share:.0%}" for share in SHARES])
        panel.set_xticks([], minor=True)
        panel.set_yscale("symlog", linthresh=ROOM)
        panel.set(xlim=(0.025, 1.15), ylim=(0, 1), title=f"{name}, {told['tables']} tables")
        panel.set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
        panel.grid(visible=True, color="#EEEEEE", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    handles = panels[0].get_legend_handles_labels()
    for panel in panels[len(sources) :]:
        panel.axis("off")
    panels[-1].legend(*handles, loc="center left", frameon=False, fontsize=9)
    figure.supxlabel("training, share of what all runs of the pool would take", fontsize=10)
    figure.supylabel("regret (1: as bad as the median run)", fontsize=10)


def _by_source(results: dict[str, Any], cell: Callable[[dict[str, Any]], str], names: list[str]) -> Rows:
    sources = results["sources"]
    counts = [f"{name} ({told['tables']})" for name, told in sources.items()]
    rows = [["rule", "all", *counts]]
    for name in sorted(names, key=lambda name: -results["all"][name]["speed_up"]):
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
