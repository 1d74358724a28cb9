"""The table of the alarm, made of results/alarm.json."""

from __future__ import annotations

from functools import partial
from typing import Any

from report.text import Rows

COMMAND = "python benchmarks/real/alarm.py"
LEVEL = 90  # of the intervals whose coverage is shown


def rows(results: dict[str, Any], name: str) -> Rows:
    """How often it rings, on curves of the network's own prior and of each source, and errors with and without."""
    head = ["curves", "forecasts", "rings", "... in the worst 10 %", "CRPS calm", "CRPS alarm"]
    lines = [[*head, f"{LEVEL} % interval calm", f"{LEVEL} % interval alarm"]]
    own = results[name]["own_prior"]
    rings = f"{100 * own['rings']:.1f} ± {100 * own['se']:.1f} %"
    lines.append([f"its prior, {own['prior']}", f"{own['curves']:,}", rings, *[""] * 5])
    for source, told in results[name]["sources"].items():
        lines.append([f"`{source}`", f"{told['forecasts']:,}", *_numbers(told)])
    if (mean := results[name]["average"]) is not None:
        lines.append([f"average of {mean['sources']}, worse in {mean['worse_where_it_rings']}", "", *_numbers(mean)])
    return lines


def strange_rows(results: dict[str, Any], name: str) -> Rows:
    """Errors of the tenth of the forecasts before which evidence was highest, and of the others."""
    head = ["curves", "CRPS, usual", "CRPS, strangest tenth", "ratio"]
    lines = [[*head, f"{LEVEL} % interval, usual", f"{LEVEL} % interval, strangest"]]
    for source, told in results[name]["sources"].items():
        if told["strange"]["forecasts"]:
            ratio = told["strange"]["crps"] / told["usual"]["crps"]
            lines.append([f"`{source}`", *_beside(told, ratio)])
    if (mean := results[name]["average_strange"]) is not None:
        lines.append([f"{mean['sources']} sources, worse in {mean['worse']}", *_beside(mean, mean["ratio"])])
    return lines


def _beside(told: dict[str, Any], ratio: float) -> list[str]:
    parts = [told[part] for part in ("usual", "strange")]
    shown = [f"{part['crps']:.3f}" for part in parts]
    return [*shown, f"{ratio:.2f}", *(f"{part['coverage']:.2f}" for part in parts)]


def _numbers(told: dict[str, Any]) -> list[str]:
    def show(value: float | None, style: str) -> str:
        return "-" if value is None else format(value, style)

    parts = [told[part] for part in ("calm", "alarm")]
    shares = [f"{100 * told[name]:.0f} %" for name in ("rings", "rings_in_worst")]
    return shares + [show(part["crps"], ".3f") for part in parts] + [show(part["coverage"], ".2f") for part in parts]


TABLES = {
    f"{table}-{name}": partial(make, name=f"ours:{name}-small")
    for name in ("general", "paper")
    for table, make in (("alarm", rows), ("evidence", strange_rows))
}
