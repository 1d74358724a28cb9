"""Pictures of results, drawn by `report.py --figures`: how calibrated answers are, how scores grow with training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import mcmc, stopping, training


def draw(results: Path, folder: Path) -> list[Path]:
    """The pictures of the results that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    pictures: dict[str, tuple[str, Callable[[Any, dict[str, Any]], None]]] = {
        "calibration": ("quality", calibration),
        "speedrun": ("speedrun", speedrun),
        "versus_mcmc": ("versus_mcmc", mcmc.picture),
        "stopping": ("stopping", stopping.picture),
        "scaling": ("scaling", training.scaling_picture),
    }
    from matplotlib.figure import Figure  # no pyplot: no window, no global state

    for name, (source, paint) in pictures.items():
        path = results / f"{source}.json"
        if path.exists():
            figure = Figure(figsize=(6.4, 4.0), layout="constrained")
            paint(figure.subplots(), json.loads(path.read_text())["results"])
            figure.savefig(folder / f"{name}.png", dpi=150)
            drawn.append(folder / f"{name}.png")
    return drawn


def calibration(axes: Any, results: dict[str, Any]) -> None:
    """Coverage less the level, of the first network, by cut-off; a line for each kind, the 90 % interval."""
    network = next(each for each in results["networks"] if each.get("calibration"))
    cells = [cell for cell in network["calibration"] if cell["cut"] is not None and cell["level"] == 0.9]
    for kind in dict.fromkeys(cell["kind"] for cell in cells):
        chosen = [cell for cell in cells if cell["kind"] == kind]
        cuts, means = [cell["cut"] for cell in chosen], [100 * cell["mean"] for cell in chosen]
        axes.errorbar(cuts, means, [200 * cell["se"] for cell in chosen], marker="o", capsize=3, label=kind)
    axes.axhline(90, color="black", linewidth=0.8)
    axes.set(xlabel="points seen, of 100", ylabel="truth in the 90 % interval, %", title=network["name"])
    axes.legend(frameon=False)


def speedrun(axes: Any, results: dict[str, Any]) -> None:
    """Score less that of LC-PFN's best network, by minutes of training; a line for each cut-off."""
    best = next(row for row in results["rows"] if row["name"] == "LC-PFN P3")
    for place, cut in enumerate(results["runs"][0]["log_density"]):
        scores = [run["log_density"][cut] for run in results["runs"]]
        gaps = [score["mean"] - best["log_density"][place] for score in scores]
        errors = [2 * score["se"] for score in scores]
        minutes = [run["minutes"] for run in results["runs"]]
        axes.errorbar(minutes, gaps, errors, marker="o", capsize=3, label=f"after {cut}")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="minutes of training, each a complete run", ylabel="mean log density less that of P3, nats")
    axes.legend(frameon=False)
