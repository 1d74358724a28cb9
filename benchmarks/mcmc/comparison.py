"""How far is the network from the true posterior, and how long would MCMC take to get as close?

    python benchmarks/mcmc/comparison.py                       # all methods, for hours; goes on where it was cut off
    python benchmarks/mcmc/comparison.py --methods nuts        # one of them, perhaps beside another
    python benchmarks/mcmc/comparison.py --minutes 0           # collects what is there

See benchmarks/README.md for what is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread

# isort: split
# NumPy and XLA read the number of threads when they are imported: above this line.

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from prior import exam
from prior.published import PUBLISHED, SOURCE
from record import ROOT, Record, parser, say
from report import documents
from report.text import markdown

from mcmc import samplers

SCRIPT = "benchmarks/mcmc/comparison.py"
CURVES, REFERENCE_CURVES = 200, 100
QUICK = 10
BATCH = 1000  # curves that a network is asked about at once, for its time in a batch
NUMBERS = ("log_density", "crps", "seconds", "r_hat", "ess", "divergences", "spread", "inside")
SOURCES = {"aies-m1": "aies", "aies-m3": "aies"}  # rows that one run of chains gives


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="versus_mcmc")
    made.add_argument("--methods", help="names, comma-separated (default: all)")
    made.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many (default: never)")
    made.add_argument("--curves", type=int, help=f"for networks and ensembles (default: {CURVES}, quick: {QUICK})")
    made.add_argument("--nuts-curves", type=int, help="default: as many; a curve takes up to a minute")
    made.add_argument("--reference-curves", type=int, help=f"default: {REFERENCE_CURVES}, quick: {QUICK}")
    made.add_argument("--seed", type=int, default=0, help="of the samplers (default: 0)")
    made.add_argument("--state", type=Path, help="folder of what is done (default: runs/versus_mcmc, quick: /quick)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Work till all is done or time is up, then collect; 0 when done."""
    told = flags().parse_args(arguments)
    curves = told.curves or (QUICK if told.quick else CURVES)
    nuts_curves = min(curves, told.nuts_curves or curves)
    reference_curves = min(curves, told.reference_curves or (QUICK if told.quick else REFERENCE_CURVES))
    folder = told.state or ROOT / "runs" / "versus_mcmc" / ("quick" if told.quick else "full")
    made = samplers.methods(curves=curves, nuts_curves=nuts_curves, reference_curves=reference_curves, seed=told.seed)
    wanted = list(made) if told.methods is None else told.methods.split(",")
    if unknown := set(wanted) - set(made):
        raise SystemExit(f"{SCRIPT}: --methods must be of {', '.join(made)}, got {', '.join(sorted(unknown))}")
    settings: dict[str, Any] = {
        "threads": one_thread.THREADS,
        "curves": curves,
        "reference_curves": reference_curves,
        "stream": exam.EXAM,
    }
    settings["methods"] = {name: method.settings for name, method in made.items()}
    record = Record(SCRIPT, name="versus_mcmc", told=told, arguments=arguments, seed=told.seed, settings=settings)
    blocks = list(exam.draw(curves))
    y = np.concatenate([block.y for block in blocks])
    work([made[name] for name in wanted], folder, y, until=time.monotonic() + 60 * told.minutes)
    results = collect(made, folder, np.concatenate([block.noise for block in blocks]))
    complete = all(len(load(method, folder)) >= method.curves for method in made.values())
    record.write(results, complete=complete)
    for table in ("versus_mcmc", "mcmc_scores", "mcmc_convergence"):
        print("\n" + markdown(documents.TABLES[table].rows(results)))
    print(f"\n{record.path}")
    return 0


def path(method: samplers.Method, folder: Path) -> Path:
    """The file of a method's cells: a line of settings, then a line for each curve."""
    return folder / f"{method.name}.jsonl"


def load(method: samplers.Method, folder: Path) -> dict[int, list[samplers.Cell]]:
    """Cells by curve.

    Raises:
        SystemExit: if the file was made with other settings.
    """
    file = path(method, folder)
    if not file.exists():
        return {}
    settings, *lines = file.read_text().splitlines()
    if json.loads(settings) != json.loads(json.dumps(method.settings)):
        raise SystemExit(f"{SCRIPT}: {file.name} was made with other settings, {settings}; move it, or use --state")
    whole = [json.loads(line) for line in lines if line.endswith("}")]  # the last may have been cut off
    return {line["curve"]: line["cells"] for line in whole if line["curve"] < method.curves}


def work(methods: list[samplers.Method], folder: Path, y: np.ndarray, *, until: float) -> None:
    """Answers curve after curve by all methods, appended to their files as they come."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {method.name: set(load(method, folder)) for method in methods}
    warm = set()
    for number in range(len(y)):
        for method in methods:
            if number in done[method.name] or number >= method.curves:
                continue
            if time.monotonic() > until:
                return
            if method.name not in warm:  # compiles; its time is not counted
                method.answer(y[number], number)
                warm.add(method.name)
            began = time.monotonic()
            cells = method.answer(y[number], number)
            append(path(method, folder), method.settings, {"curve": number, "cells": cells})
            if method.name not in ("reference",) and number % 20:
                continue
            shown = " ".join(f"{cell['cut']}:{cell['log_density']:.3f}" for cell in cells)
            say(f"{method.name}, curve {number}: {shown} ({time.monotonic() - began:.1f} s)")


def append(file: Path, settings: dict[str, Any], line: dict[str, Any]) -> None:
    """One more line; a last line that a kill cut off is dropped first."""
    if not file.exists():
        file.write_text(json.dumps(settings) + "\n")
    text = file.read_bytes()
    if not text.endswith(b"\n"):
        file.write_bytes(text[: text.rfind(b"\n") + 1])
    with file.open("a") as out:
        out.write(json.dumps(line) + "\n")


def collect(methods: dict[str, samplers.Method], folder: Path, noise: np.ndarray) -> dict[str, Any]:
    """Means over the curves that a method has answered, and paired differences to the reference, as JSON.

    Args:
        methods: all of them.
        folder: of what is done.
        noise: (B,) of each curve, for the means with the noise's level controlled.
    """
    found = {name: load(method, folder) for name, method in methods.items()}
    rows = {name: cells for name, cells in found.items() if name != "aies"}
    rows["aies-m3"] = found["aies"]
    rows["aies-m1"] = {number: [half(cell) for cell in cells] for number, cells in found["aies"].items()}
    best = rows["reference"]
    results: dict[str, Any] = {"methods": [], "published": list(PUBLISHED), "source": SOURCE}
    for name, cells in rows.items():
        if not cells:
            continue
        row: dict[str, Any] = {"name": name, "curves": len(cells)}
        for number in NUMBERS:
            if number in next(iter(cells.values()))[0]:
                row[number] = {cut: spread(values) for cut, values in by_cut(cells, number).items()}
        if len(cells) > 2:
            level = noise[list(cells)]
            row["controlled"] = {
                cut: exam.mean_and_error(exam.controlled(values, level))
                for cut, values in by_cut(cells, "log_density").items()
            }
        if "converged" in next(iter(cells.values()))[0]:
            row["converged"] = {cut: float(values.mean()) for cut, values in by_cut(cells, "converged").items()}
        if name == "reference":
            apart = by_cut(cells, "spread")
            row["is_reference"] = {cut: float((x <= samplers.MAX_SPREAD).mean()) for cut, x in apart.items()}
        elif len(common := {n: cells[n] for n in cells if n in best}) > 1:
            mine, theirs = (by_cut(part, "log_density") for part in (common, {n: best[n] for n in common}))
            row["gap"] = {cut: spread(theirs[cut] - mine[cut]) for cut in mine}
            row["paired"] = len(common)
        results["methods"].append(row)
    for row in results["methods"]:
        if "sha256" in methods.get(row["name"], methods["nuts"]).settings:
            row["batch_seconds"] = batch_seconds(row["name"])
    return results


def by_cut(cells: dict[int, list[samplers.Cell]], number: str) -> dict[str, np.ndarray]:
    """(B,) values of the curves at each cut-off."""
    return {
        str(cut): np.array([curve[c][number] for curve in cells.values()], dtype=float)
        for c, cut in enumerate(exam.CUTS)
    }


def half(cell: samplers.Cell) -> samplers.Cell:
    """The cell of the paper's M1, of the first half of M3's draws; its seconds are the share of its iterations."""
    burn_in, samples = samplers.AIES.burn_in, samplers.AIES.samples
    share = (burn_in + samples / 2) / (burn_in + samples)
    return cell["half"] | {"seconds": share * cell["seconds"]}


def spread(values: np.ndarray) -> dict[str, float]:
    """Mean and standard error of (B,), median and both ends."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    told = exam.mean_and_error(values) if len(values) > 1 else {"mean": float(values.mean()), "se": 0.0}
    return told | {"q05": float(low), "median": float(middle), "q95": float(high)}


def batch_seconds(name: str) -> dict[str, float]:
    """Seconds of the processor a curve, by cut-off, where a network is asked about many at once."""
    contestant = next(each for each in exam.shipped() if each.name == name)
    y = np.concatenate([block.y for block in exam.draw(BATCH)])
    told = {}
    for cut in exam.CUTS:
        asked = np.arange(cut + 1.0, y.shape[1] + 1)
        began = time.process_time()
        contestant.answers.predict(y[:, :cut], asked, kind="value", metric=exam.METRIC)
        told[str(cut)] = (time.process_time() - began) / len(y)
    return told


if __name__ == "__main__":
    raise SystemExit(main())
