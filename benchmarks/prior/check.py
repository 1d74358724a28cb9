"""Prior predictive check: where does a prior put no mass that reality has, and the reverse?

Summary statistics of curves (`traits.py`) from every source of measured curves and from every prior, side by side: a
mirror to correct the shares and scales of a prior by. No network is trained on measured curves, and none is asked here.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from data.curve import RealCurve
from record import ROOT, Record, parser, say

from lcpfn.priors import Curves, Prior, RunPrior, by_name
from prior.traits import LIMIT, TRAITS, traits

PRIORS = ("general", "paper", "domhan")
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
CENTRAL = 0.98  # mass of the range that a prior or all sources together are said to cover
SEED = 0
Table = dict[str, np.ndarray]  # trait -> values of the curves that have it


def of_prior(prior: Prior, count: int, *, seed: int = SEED) -> Table:
    """The traits of `count` curves of a prior; runs are measured when the prior says, else at 1, 2, ..., 100."""
    return _table(_read(drawn(prior, count, seed=seed)))


def drawn(prior: Prior, count: int, *, seed: int = SEED) -> Curves:
    """`count` curves of a prior, of up to `LIMIT` points, as they come: a metric to be minimised falls."""
    random = torch.Generator().manual_seed(seed)
    if isinstance(prior, RunPrior):
        return prior.sample_runs(count, LIMIT, 1, generator=random)
    return prior.sample(count, torch.arange(1.0, 101.0), generator=random)


def of_curves(curves: Sequence[RealCurve]) -> Table:
    """The traits of measured curves."""
    return _table(
        traits(curve.t, curve.metric.sign * curve.y, width=_width(*curve.metric.upward_bounds)) for curve in curves
    )


def _read(curves: Curves) -> Iterable[dict[str, float]]:
    curves = curves.upward()
    t, y, seen = (part.double().numpy() for part in (curves.t, curves.y, curves.seen))
    for i in range(len(curves)):
        count = int(seen[i].sum())
        times, values = t[i, :count], y[i, :count]
        if curves.diverged is not None and bool(curves.diverged[i]):  # what is not seen any more is NaN in a log
            times, values = np.append(times, 2 * times[-1] - times[0] + 1), np.append(values, math.nan)
        bounds = (-math.inf, math.inf)
        if curves.lower is not None and curves.upper is not None:
            bounds = (float(curves.lower[i]), float(curves.upper[i]))
        if len(values) >= 5:  # as the collection of measured curves has it
            yield traits(times, values, width=_width(*bounds))


def _width(lower: float, upper: float) -> float:
    return upper - lower if math.isfinite(upper - lower) else math.nan


def _table(rows: Iterable[dict[str, float]]) -> Table:
    held = list(rows)
    columns = {trait.name: np.array([row[trait.name] for row in held]) for trait in TRAITS}
    return {name: values[np.isfinite(values)] for name, values in columns.items()}


def compare(sources: dict[str, Table], priors: dict[str, Table]) -> dict[str, Any]:
    """Everything that is reported, as JSON.

    For every trait: quantiles (or the share, of a yes or no) by source and by prior; for every prior and source the
    shares of the source's curves below and above the prior's central range; and the shares of the prior's curves below
    and above the central range of all sources together, in which every source weighs the same.
    """
    found: dict[str, Any] = {}
    for trait in TRAITS:
        values = {name: table[trait.name] for name, table in (sources | priors).items()}
        entry: dict[str, Any] = {"about": trait.about, "share": trait.share, "counts": {}, "of": {}}
        for name, each in values.items():
            entry["counts"][name] = len(each)
            if len(each):
                entry["of"][name] = (
                    round(float(each.mean()), 4)
                    if trait.share
                    else [round(float(q), 4) for q in np.quantile(each, QUANTILES)]
                )
        if not trait.share:
            present = [values[name] for name in sources if len(values[name])]
            if present:
                real = _range(np.concatenate(present), np.concatenate([np.full(len(v), 1 / len(v)) for v in present]))
                entry["priors_outside"] = {name: _outside(values[name], *real) for name in priors if len(values[name])}
            entry["sources_outside"] = {
                prior: {
                    name: _outside(values[name], *_range(values[prior], np.ones(len(values[prior]))))
                    for name in sources
                    if len(values[name])
                }
                for prior in priors
                if len(values[prior])
            }
        found[trait.name] = entry
    return found


def _range(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The central range of weighted values."""
    order = np.argsort(values)
    mass = np.cumsum(weights[order]) / weights.sum()
    tail = (1 - CENTRAL) / 2
    low, high = (values[order][min(np.searchsorted(mass, level), len(values) - 1)] for level in (tail, 1 - tail))
    return float(low), float(high)


def _outside(values: np.ndarray, low: float, high: float) -> list[float]:
    """Shares of values below and above the range, beyond rounding."""
    slack = 1e-6 * (1 + abs(low) + abs(high))
    return [round(float((values < low - slack).mean()), 4), round(float((values > high + slack).mean()), 4)]


def text(found: dict[str, Any], sources: Sequence[str], priors: Sequence[str]) -> str:
    """The table for people: quantiles of every trait, and beside a source what lies outside of each prior."""
    lines = []
    for name, entry in found.items():
        lines.append(f"\n{name}: {entry['about']}")
        head = "share" if entry["share"] else "  ".join(f"{100 * q:>5.0f} %" for q in QUANTILES)
        outside = "" if entry["share"] else "   outside " + ", ".join(priors)
        lines.append(f"  {'':20} {'curves':>6}  {head}{outside}")
        for each in (*sources, *priors):
            if each not in entry["of"]:
                continue
            of = entry["of"][each]
            shown = f"{of:5.2f}" if entry["share"] else "  ".join(f"{q:7.2f}" for q in of)
            if each in sources and not entry["share"]:
                shares = [sum(entry["sources_outside"].get(prior, {}).get(each, [math.nan])) for prior in priors]
                shown += "   " + "  ".join(f"{100 * share:4.0f} %" for share in shares)
            elif not entry["share"] and "priors_outside" in entry:
                shown += f"   {100 * sum(entry['priors_outside'][each]):4.0f} % outside of the sources"
            lines.append(f"  {each:20} {entry['counts'][each]:6}  {shown}")
    return "\n".join(lines)


def worst(found: dict[str, Any], prior: str, *, least: float = 0.05) -> list[str]:
    """Where a prior lacks mass: the traits and sources with the largest shares outside of its central range."""
    rows = [
        (sum(shares), f"{source}: {name}, {100 * shares[0]:.0f} % below and {100 * shares[1]:.0f} % above")
        for name, entry in found.items()
        for source, shares in entry.get("sources_outside", {}).get(prior, {}).items()
    ]
    return [line for share, line in sorted(rows, reverse=True) if share > least]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, write the result, draw the pictures; 2 if there are no measured curves."""
    about = "Compare statistics of measured curves with those of priors."
    made = parser("benchmarks/prior/check.py", about, name="prior_check")
    made.add_argument("--per-task", type=int, default=20, help="measured curves of each task (default: 20)")
    made.add_argument("--count", type=int, default=4000, help="curves of each prior (default: 4000)")
    made.add_argument("--priors", nargs="+", default=list(PRIORS), metavar="NAME", help=f"default: {' '.join(PRIORS)}")
    made.add_argument("--figures", action="store_true", help="also draw the two pictures into benchmarks/figures")
    told: argparse.Namespace = made.parse_args(arguments)
    if told.quick:
        told.per_task, told.count = 2, 200
    from data import curves, parquet  # here: the comparison above also serves without measured curves

    names = curves.sources()
    if not names:
        print(f"prior_check: {parquet.MISSING}", file=sys.stderr)
        return 2
    record = Record(
        "benchmarks/prior/check.py",
        name="prior_check",
        told=told,
        arguments=arguments,
        seed=SEED,
        settings={
            "per_task": told.per_task,
            "split": "development",
            "curves_of_each_prior": told.count,
            "quantiles": list(QUANTILES),
            "central": CENTRAL,
            "priors": {name: by_name(name).parameters() for name in told.priors},
        },
    )
    sources = {}
    for name in names:
        measured = curves.read(name, per_task=told.per_task, split="development")
        say(f"{name}: {len(measured)} curves")
        if measured:  # a source may have test tasks alone
            sources[name] = of_curves(measured)
    priors = {name: of_prior(by_name(name), told.count) for name in told.priors}
    found = compare(sources, priors)
    record.write(
        {"traits": found, "lacking": {name: worst(found, name) for name in priors}, "sources": list(sources)},
        complete=True,
    )
    say(text(found, list(sources), list(priors)))
    for name in priors:
        lines = worst(found, name)
        say(f"\n{name}: more than 5 % of a source outside of its central {100 * CENTRAL:.0f} % range")
        say("\n".join(f"  {line}" for line in lines) or "  nowhere")
    if told.figures:
        from prior.pictures import distributions, examples  # here: matplotlib

        folder = ROOT / "benchmarks" / "figures"
        say(str(distributions(found, list(sources), list(priors), folder / "prior_check.png")))
        say(str(examples(drawn(by_name("general"), 40, seed=1), folder / "general_prior.png")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
