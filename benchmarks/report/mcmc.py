"""Tables and the picture of the network against MCMC, made of results/versus_mcmc.json."""

from __future__ import annotations

from typing import Any

import numpy as np

from report.text import Rows, duration

COMMAND = "python benchmarks/mcmc/comparison.py"
NAMES = {
    "nuts": "NUTS, 4 chains of 500 draws",
    "aies-m1": "ensemble, the paper's M1",
    "aies-m3": "ensemble, the paper's M3",
    "smc": "SMC, 2,048 particles",
    "reference": "reference, 4 x 4,096 particles or more",
}


def gaps(results: dict[str, Any]) -> Rows:
    """How far each method is from the reference, mean and median of the same curves, and what a curve costs."""
    methods = [each for each in results["methods"] if "gap" in each]
    fastest = min((seconds(each) for each in methods if "batch_seconds" in each), default=None)
    rows = [["method", "curves", *(f"gap after {cut}" for cut in _cuts(results)), "a curve, one core", "times ours"]]
    for each in methods:
        ratio = "-" if fastest is None else f"{seconds(each) / fastest:,.0f}"
        rows.append([_name(each), f"{each['paired']:,}", *_gaps(each), duration(seconds(each)), ratio])
        if "batch_seconds" in each:
            batch = batch_seconds(each)
            rows.append(
                [f"{_name(each)}, in a batch", "", *[""] * len(each["gap"]), duration(batch), f"{batch / fastest:.2g}"]
            )
    return rows


def networks(results: dict[str, Any]) -> Rows:
    """How far each checkpoint is from the reference."""
    found = [each for each in results["methods"] if "gap" in each and "batch_seconds" in each]
    head = ["file", "curves", *(f"after {cut}" for cut in _cuts(results))]
    return [head, *([_name(each), f"{each['paired']:,}", *_gaps(each)] for each in found)]


def scores(results: dict[str, Any]) -> Rows:
    """Mean log density with the noise's level controlled, and CRPS, of all curves that a method has answered."""
    cuts = _cuts(results)
    rows = [["method", "curves", *(f"log density after {cut}" for cut in cuts), *(f"CRPS after {cut}" for cut in cuts)]]
    for each in results["methods"]:
        if "controlled" in each:
            density = [f"{cell['mean']:.3f} ± {cell['se']:.3f}" for cell in each["controlled"].values()]
            crps = [f"{cell['mean']:.4f}" for cell in each["crps"].values()]
            rows.append([_name(each), f"{each['curves']:,}", *density, *crps])
    theirs = next(each for each in results["published"] if each["name"] == "MCMC M3")
    rows.append(["MCMC M3 (published, 103 s)", "", *(f"{x:.3f}" for x in theirs["log_density"]), *[""] * len(cuts)])
    return rows


def convergence(results: dict[str, Any]) -> Rows:
    """How far draws can be trusted: the worst twentieth of all curves and cut-offs."""
    rows = [["method", "cells", "R-hat, 95th percentile", "ESS, 5th percentile", "converged", "spread", "reference"]]
    for each in results["methods"]:
        if each["name"] == "reference":
            apart = [cell["q95"] for cell in each["spread"].values()]
            share = np.mean(list(each["is_reference"].values()))
            told = ["", "", "", f"{max(apart):.3f} nats", f"{100 * share:.0f} %"]
        elif "r_hat" in each:
            hat, size = [cell["q95"] for cell in each["r_hat"].values()], [c["q05"] for c in each["ess"].values()]
            share = np.mean(list(each["converged"].values()))
            told = [f"{max(hat):.4f}", f"{min(size):,.0f}", f"{100 * share:.0f} %", "", ""]
        else:
            continue
        rows.append([_name(each), f"{each['curves'] * len(_cuts(results)):,}", *told])
    return rows


def seconds(method: dict[str, Any]) -> float:
    """Seconds of a forecast of all later points, mean over cut-offs of the median over curves."""
    return float(np.mean([cell["median"] for cell in method["seconds"].values()]))


def batch_seconds(method: dict[str, Any]) -> float:
    """The same for a network that is asked about many curves at once, a curve."""
    return float(np.mean(list(method["batch_seconds"].values())))


def picture(axes: Any, results: dict[str, Any]) -> None:
    """Gap to the reference against seconds, a line for each method's four cut-offs."""
    for i, each in enumerate(each for each in results["methods"] if "gap" in each):
        gap = [cell["mean"] for cell in each["gap"].values()]
        error = [cell["se"] for cell in each["gap"].values()]
        colour, name = f"C{i}", _name(each).strip("`")
        places = [(seconds(each), "o", name)]
        if "batch_seconds" in each:
            places.append((batch_seconds(each), "s", f"{name}, in a batch"))
        for place, marker, label in places:
            x = place * np.array([0.88, 0.96, 1.04, 1.13])  # side by side
            axes.errorbar(x, gap, error, fmt=marker, color=colour, markersize=5, capsize=2, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    cuts = ", ".join(_cuts(results))
    axes.set(
        xlabel=f"seconds of one core for a curve (from left to right after {cuts} points)",
        ylabel="log density below the reference, nats",
    )
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8)


def _gaps(method: dict[str, Any]) -> list[str]:
    return [f"{c['mean']:.3f} ± {c['se']:.3f} ({c['median']:.3f})" for c in method["gap"].values()]


def _cuts(results: dict[str, Any]) -> list[str]:
    return list(results["methods"][0]["log_density"])


def _name(method: dict[str, Any]) -> str:
    return NAMES.get(method["name"], f"`{method['name']}`")
