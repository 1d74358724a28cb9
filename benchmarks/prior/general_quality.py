"""Does the general checkpoint mean what it says on runs of its own prior?

    python benchmarks/prior/general_quality.py

Fresh runs, seen to a share of their points, asked about the last point, a later one drawn at random, and the best from
here on, through the public `predict`. What has exploded or broken off by then is an outcome of its own, judged apart
(`prob_diverged`). See benchmarks/README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from record import Record, parser, say
from report import general
from report.text import markdown

import lcpfn
from lcpfn.network.checkpoint import digest
from lcpfn.pfn import PFN, locate
from lcpfn.priors import Curves, RunPrior
from lcpfn.priors.names import built_in
from lcpfn.training.questions import EXPLOSION
from lcpfn.training.randomness import generator

SCRIPT = "benchmarks/prior/general_quality.py"
CHECKPOINT = "general-small"
CURVES, QUICK_CURVES = 2000, 60
BLOCK = 100  # runs drawn at a time; fewer runs are always the first of more
STREAM = 103  # training draws from paths that begin with 0 to 2, the exam from 100 and 101, the alarm from 102
SEED = 0
CUTS = (10, 20, 40, 80)  # percent of the points that are seen
FEWEST = 5  # points of a run that counts, as in the collection of measured curves
LEVELS = (0.5, 0.8, 0.9, 0.95)
KINDS = ("later", "final", "best")
FACTS = ("lower", "upper", "sign", "horizon", "diverged", "end", "planned", "unit")  # of the prior's curves


@dataclass(frozen=True)
class Run:
    """A run of the prior as a user would have it.

    Attributes:
        t: (T,) times.
        y: (T,) values in the metric's direction.
        planned: points that there would be had it not broken off.
        broken: whether it broke off in NaN.
        end: when it was to end.
        told: the same as far as it is known, else NaN.
        unit: the size of its changes.
        metric: with the bounds as far as they are known.
    """

    t: np.ndarray
    y: np.ndarray
    planned: int
    broken: bool
    end: float
    told: float
    unit: float
    metric: lcpfn.Metric


def drawn(prior: RunPrior, count: int, *, limit: int, seed: int = SEED) -> Iterator[Run]:
    """The first `count` runs of the stream that have enough points, as far as a network may see and be asked."""
    block = 0
    while count:
        curves = prior.sample_runs(BLOCK, limit, 28, generator=generator(seed, STREAM, block))
        block += 1
        for run in _runs(curves):
            if run.planned >= FEWEST and count:
                count -= 1
                yield run


def _runs(curves: Curves) -> Iterator[Run]:
    parts = {name: getattr(curves, name) for name in FACTS}
    if missing := [name for name, part in parts.items() if part is None]:
        raise ValueError(f"a prior of runs that diverge says {FACTS} of its curves, this one leaves out {missing}")
    for i in range(len(curves)):
        rows = curves.seen[i].numpy()
        t, y = (part[i].double().numpy()[rows] for part in (curves.t, curves.y))
        told = {name: float(part[i]) for name, part in parts.items()}
        low, high = (told[name] if np.isfinite(told[name]) else None for name in ("lower", "upper"))
        metric = lcpfn.Metric("max" if told["sign"] > 0 else "min", bounds=(low, high))
        facts = {"planned": int(told["planned"]), "broken": bool(told["diverged"]), "metric": metric}
        yield Run(t, y, end=told["end"], told=told["horizon"], unit=told["unit"], **facts)


def judged(engine: PFN, run: Run, cut: int, *, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """(3, 2) cdf of the true value of each of KINDS, NaN without one, and whether it is an atom; (2,) odds and outcome.

    An atom is a value that was measured before, or lies exactly on a known bound: a density cannot hold one. None if
    the run has nothing left at this cut-off.
    """
    seen = max(2, int(np.ceil(cut * run.planned / 100)))
    if seen > min(len(run.y), engine.checkpoint.config["model"]["limit"]) or seen >= run.planned:
        return None
    t, up = run.t[:seen], run.metric.sign * run.y
    ends = None if np.isnan(run.told) else run.told
    bar = up[:seen].min() - EXPLOSION * run.unit
    outcome = run.broken or bool((up[seen:] < bar).any())
    final = engine.predict(run.y[:seen], [run.end], t=t, metric=run.metric, run_end=ends)
    odds = np.array([float(final.prob_diverged()[0]), float(outcome)])
    found = np.full((len(KINDS), 2), np.nan)
    if run.broken or seen == len(run.y):
        return found, odds
    place = int(random.integers(seen, len(run.y)))
    best = engine.predict(run.y[:seen], [run.end], t=t, metric=run.metric, run_end=ends, kind="best")
    later = engine.predict(run.y[:seen], [run.t[place]], t=t, metric=run.metric, run_end=ends)
    for row, (belief, truth) in enumerate([(later, up[place]), (final, up[-1]), (best, up[seen:].max())]):
        if truth >= bar:
            found[row] = belief.cdf(run.metric.sign * truth)[0], _atom(run, seen, truth)
    return found, odds


def _atom(run: Run, seen: int, upward: float) -> bool:
    known = [bound for bound in run.metric.upward_bounds if np.isfinite(bound)]
    return bool(np.isin(upward, run.metric.sign * run.y[:seen]).any() or np.isin(upward, known).any())


def summary(found: np.ndarray, odds: np.ndarray) -> dict[str, Any]:
    """Coverage by kind, of all values and without atoms, with standard errors over runs; and what was said of outcomes.

    Args:
        found: (runs, cut-offs, kinds, 2) as `judged` gives, NaN where nothing was.
        odds: (runs, cut-offs, 2) likewise.
    """
    told: dict[str, Any] = {"coverage": []}
    for k, kind in enumerate(KINDS):
        pits, atoms = found[:, :, k, 0], found[:, :, k, 1] == 1
        for name, part in (("all", np.isfinite(pits)), ("no atoms", np.isfinite(pits) & ~atoms)):
            for level in LEVELS:
                inside = np.where(part, np.abs(pits - 0.5) <= level / 2, np.nan)
                told["coverage"].append({"kind": kind, "values": name, "level": level} | _mean(inside))
    known = np.isfinite(odds[..., 0])
    said, came = odds[known].T
    rate = came.mean()
    told["diverged"] = {"said": float(said.mean()), "came": float(rate), "brier": float(((said - came) ** 2).mean())}
    return told | {"constant_brier": float(rate * (1 - rate))}


def _mean(inside: np.ndarray) -> dict[str, float]:
    """The mean over answers, with its standard error: answers about one run hang together, runs do not."""
    known = np.isfinite(inside)
    share, count = inside[known].mean(), known.sum()
    apart = np.where(known, inside - share, 0.0).sum(axis=1)
    return {"mean": float(share), "se": float(np.sqrt((apart**2).sum()) / count), "answers": int(count)}


def examine(engine: PFN, prior: RunPrior, count: int, *, bounded: bool) -> dict[str, Any]:
    """The summary of so many runs, with beliefs that are cut off at known bounds, as users have them, or are not."""
    found = np.full((count, len(CUTS), len(KINDS), 2), np.nan)
    odds = np.full((count, len(CUTS), 2), np.nan)
    limit = engine.checkpoint.config["model"]["limit"]
    for i, run in enumerate(drawn(prior, count, limit=limit)):
        run = replace(run, metric=replace(run.metric, overshoot=not bounded))
        for c, cut in enumerate(CUTS):
            told = judged(engine, run, cut, random=np.random.default_rng([SEED, STREAM, i, cut]))
            if told is not None:
                found[i, c], odds[i, c] = told
    return summary(found, odds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, ask, judge, write and print."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="general_quality")
    made.add_argument("--checkpoint", default=CHECKPOINT, help=f"name or path (default: {CHECKPOINT})")
    made.add_argument("--curves", type=int, default=CURVES, help=f"runs (default: {CURVES:,})")
    told = made.parse_args(arguments)
    torch.set_num_threads(1)
    engine = lcpfn.load(told.checkpoint)
    law = engine.checkpoint.provenance["prior"]
    prior = built_in(law["name"], law["parameters"])
    if not isinstance(prior, RunPrior):
        print(f"{told.checkpoint} was trained on {law['name']!r}, not on runs: benchmarks/prior/quality.py scores it")
        return 2
    count = QUICK_CURVES if told.quick else told.curves
    path = locate(told.checkpoint)
    settings = {"checkpoint": path.stem, "sha256": digest(path), "curves": count, "cuts": CUTS, "fewest": FEWEST}
    record = Record(SCRIPT, name="general_quality", told=told, arguments=arguments, seed=SEED, settings=settings)
    results: dict[str, Any] = {}
    for name, bounded in (("cut", True), ("free", False)):
        results[name] = examine(engine, prior, count, bounded=bounded)
        record.write(results, complete=not bounded)
    print(markdown(general.rows(results)), markdown(general.outcomes(results)), sep="\n\n")
    say(f"{record.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
