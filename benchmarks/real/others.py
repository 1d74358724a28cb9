"""What the other runs of a search are worth to a forecast of the final value.

    python benchmarks/real/others.py

Each run is asked about its last value after 10, 20, 40 and 80 % of its points, with 1, 3, 10 and 30 other runs of its
task known: to the end, or as in a search, where half of them have stopped at random times. See benchmarks/README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from data import curves
from data.curve import RealCurve
from record import Record, parser, say
from report import others as table
from report.text import markdown

from lcpfn import PFN, Belief, Curve, load
from lcpfn.distributions.mixture import Mixture
from lcpfn.others.given import EXPERTS, Given

SCRIPT = "benchmarks/real/others.py"
SEED = 0
CUTS = (0.1, 0.2, 0.4, 0.8)
COUNTS = (1, 3, 10, 30)
STAGES = ("finished", "search")
STOPS = (0.1, 0.9)  # shares of a run between which half of the others stop, at the stage "search"
RUNS = 36  # of a task: those asked about, and enough others
ASKED, QUICK_ASKED = 10, 2  # of these
LEAST = 12  # runs of one length that a task needs
GROUPS, QUICK_GROUPS = 10, 1  # of a source: tasks and metrics
FLOOR = 0.01  # added to every CRPS, in interquartile ranges of the final values: what is smaller does not matter
LEVEL = 0.9

Read = Callable[..., list[RealCurve]]
Group = list[RealCurve]
Ask = Callable[[Curve, list[Curve], float, str], Belief]  # asked run, others, time, kind


def groups(source: str, read: Read, *, split: str, most: int) -> Iterator[Group]:
    """Runs of one task, metric and length, drawn, for up to `most` pairs of task and metric, drawn too."""
    found: dict[tuple[str, str], Group] = defaultdict(list)
    for curve in read(source, split=split):
        if len(curve) >= 8 and np.isfinite(curve.y).all():
            found[curve.task, curve.name].append(curve)
    names, rng = sorted(found), np.random.default_rng(SEED)
    given = 0
    for k in rng.permutation(len(names)):
        runs = found[names[k]]
        length = int(np.bincount([len(run) for run in runs]).argmax())
        runs = [run for run in runs if len(run) == length]
        if len(runs) >= LEAST and given < most:
            given += 1
            yield [runs[i] for i in rng.permutation(len(runs))[:RUNS]]


def methods(pfn: PFN, only: Sequence[str] | None = None) -> dict[str, Ask]:
    """Whatever is asked: the network alone, with the others, each expert by itself, and opponents."""

    def alone(run: Curve, _: list[Curve], t: float, kind: str) -> Belief:
        return pfn.predict(run, [t], kind=kind)[0]

    def given(experts: Sequence[str]) -> Ask:
        def ask(run: Curve, others: list[Curve], t: float, kind: str) -> Belief:
            return Given(pfn, others, experts=experts).predict(run, [t], kind=kind)[0]

        return ask

    def conformal(run: Curve, others: list[Curve], t: float, kind: str) -> Belief:
        return _conformal(pfn, run, others, t, kind)

    found = {"alone": alone, "given": given(EXPERTS), "conformal": conformal}
    found |= {f"expert: {name}": given((name,)) for name in EXPERTS if name != "network"}
    return {name: ask for name, ask in found.items() if only is None or name in only or name == "alone"}


def _conformal(pfn: PFN, run: Curve, others: list[Curve], t: float, kind: str) -> Belief:
    """The network's median and width, with the law of the other runs' errors in these units (Vovk et al. 2005).

    Each error stands for a narrow normal, one more at each side for what was not seen yet, as split conformal has it.
    """
    own = pfn.predict(run, [t], kind=kind)[0]
    known = [each for each in others if len(each) and each.t[-1] >= t and each.t[0] <= run.t[-1]]
    if not known:
        return own
    seen = [each[: int(np.searchsorted(each.t, run.t[-1], side="right"))] for each in known]
    believed = pfn.predict(seen, [t], kind=kind)[:, 0]

    def centre_and_width(belief: Belief) -> tuple[Any, Any]:
        low, middle, high = np.moveaxis(belief.quantile([0.25, 0.5, 0.75]), -1, 0)
        return middle, (high - low) / 1.349

    truth = np.array([_outcome(each, float(run.t[-1]), t, kind) for each in known])
    middle, width = centre_and_width(believed)
    errors = (truth - middle) / np.maximum(width, 1e-300)
    middle, width = centre_and_width(own)
    spread = max(0.1, float(np.subtract(*np.quantile(errors, [0.75, 0.25]))) / 1.349)
    errors = np.concatenate([errors, [errors.min() - spread, errors.max() + spread]])
    sign, size = own.metric.sign, len(errors)
    law = Mixture(np.zeros(size), means=sign * errors, stds=np.full(size, 1.06 * spread * size**-0.2))
    return Belief(law, sign * middle, max(width, 1e-300), metric=own.metric, kind=kind, t=t)


def _outcome(run: Curve, now: float, t: float, kind: str) -> float:
    if kind == "value":
        return float(np.interp(t, run.t, run.y))
    assert run.metric is not None
    later = run.y[(run.t > now) & (run.t <= t)]
    return float(run.metric.sign * (run.metric.sign * later).max())


def stopped(run: Curve, stage: str, rng: np.random.Generator) -> Curve:
    """The run as the search knows it at this stage."""
    if stage == "finished" or rng.random() < 0.5:
        return run
    return run[: max(2, round(rng.uniform(*STOPS) * len(run)))]


def judged(asks: dict[str, Ask], runs: Group, stage: str, counts: Sequence[int], asked: int) -> list[dict[str, Any]]:
    """A row for each run that is asked about, cut and number of others: scores of every method."""
    whole = [Curve(run.t, run.y, metric=run.metric, run_end=float(run.t[-1])) for run in runs]
    ends = np.array([run.y[-1] for run in whole])
    spread = np.subtract(*np.percentile(np.concatenate([run.y for run in whole]), [95, 5]))
    unit = float(max(np.subtract(*np.percentile(ends, [75, 25])), 1e-3 * spread, 1e-9 * np.abs(ends).max(), 1e-300))
    sign, rows = runs[0].metric.sign, []
    for cut in CUTS:
        for i in range(min(asked, len(whole))):
            rng = np.random.default_rng([SEED, round(100 * cut), i])
            rest = [stopped(run, stage, rng) for j, run in enumerate(whole) if j != i]
            run, t = whole[i], float(whole[i].t[-1])
            seen = run[: max(2, round(cut * len(run)))]
            for n in counts:
                others = rest[:n]
                if len(others) < min(n, LEAST - 1):
                    continue
                incumbent = sign * max((sign * each.y).max() for each in (*others, seen))
                won = float((sign * run.y[len(seen) :]).max() > sign * incumbent)
                row: dict[str, Any] = {"cut": cut, "n": n}
                for name, ask in asks.items():
                    began = time.perf_counter()
                    belief = ask(seen, others, t, "value")
                    seconds = time.perf_counter() - began
                    low, high = belief.interval(LEVEL)
                    row[name] = {
                        "crps": min(float(belief.crps(run.y[-1])) / unit, 10.0),
                        "inside": float(low <= run.y[-1] <= high),
                        "log_score": max(float(belief.log_prob(run.y[-1])) + np.log(unit), -20.0),
                        "brier": (float(ask(seen, others, t, "best").prob_better(incumbent)) - won) ** 2,
                        "ms": 1e3 * seconds,
                    }
                rows.append(row)
    return rows


def summary(cells: dict[tuple[str, ...], list[dict[str, Any]]], counts: Sequence[int]) -> dict[str, Any]:
    """Of a source, by number of others and method: CRPS saved as a geometric mean over cells, the rest as means.

    Args:
        cells: rows by task and metric.
        counts: numbers of others.
    """
    found: dict[str, Any] = {}
    for n in counts:
        rows = [row for each in cells.values() for row in each if row["n"] == n]
        if not rows:
            continue
        names = [name for name in rows[0] if name not in ("cut", "n")]
        found[str(n)] = {}
        for name in names:
            logs: dict[str, list[float]] = defaultdict(list)  # by task: geometric means, so that no single one rules
            for (task, *_), each in cells.items():
                for cut in CUTS:
                    here = [row for row in each if row["n"] == n and row["cut"] == cut]
                    if here:
                        mine, alone = (np.mean([row[who]["crps"] for row in here]) for who in (name, "alone"))
                        logs[task].append(float(np.log((mine + FLOOR) / (alone + FLOOR))))
            scores = {what: float(np.mean([row[name][what] for row in rows])) for what in rows[0][name]}
            saved = 1 - float(np.exp(np.mean([np.mean(each) for each in logs.values()])))
            found[str(n)][name] = {"saved": saved, **scores, "questions": len(rows)}
    return found


def main(
    arguments: Sequence[str] | None = None,
    *,
    read: Read = curves.read,
    sources: Sequence[str] | None = None,
    engine: Callable[[], PFN] = load,
) -> int:
    """Ask, judge, write, print a table for each stage; 0 when done, 1 where there are no curves.

    Args:
        arguments: the command line, None for the process's own.
        read: reads the curves of a source.
        sources: that there are; None: those of curves.py.
        engine: makes the network.
    """
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="others")
    made.add_argument("--others", default=",".join(map(str, COUNTS)), help="how many are known, comma between")
    made.add_argument("--stages", default=",".join(STAGES), help=f"of {', '.join(STAGES)}")
    made.add_argument("--split", default="development", choices=("development", "test"), help="whose tasks")
    made.add_argument("--methods", help="comma between; default: all")
    made.add_argument("--sources", help="comma between; default: all")
    made.add_argument("--groups", type=int, default=GROUPS, help=f"tasks and metrics of a source (default: {GROUPS})")
    made.add_argument("--asked", type=int, default=ASKED, help=f"runs of each that are asked about (default: {ASKED})")
    told = made.parse_args(arguments)
    there = tuple(curves.sources() if sources is None else sources)
    if told.sources:
        there = tuple(source for source in there if source in told.sources.split(","))
    if not there:
        print(curves.MISSING)
        return 1
    return _run(told, arguments, there, read, engine())


def _run(told: argparse.Namespace, arguments: Sequence[str] | None, there: Sequence[str], read: Read, pfn: PFN) -> int:
    counts = tuple(int(part) for part in told.others.split(",") if int(part))  # with none it is the network alone
    stages = tuple(told.stages.split(","))
    most, asked = (QUICK_GROUPS, QUICK_ASKED) if told.quick else (told.groups, told.asked)
    asks = methods(pfn, told.methods.split(",") if told.methods else None)
    settings = {
        **{"split": told.split, "cuts": CUTS, "others": counts, "stages": stages, "groups": most, "asked": asked},
        **{"runs": RUNS, "floor": FLOOR, "level": LEVEL, "methods": list(asks)},
    }
    record = Record(SCRIPT, name="others", told=told, arguments=arguments, seed=SEED, settings=settings)
    found: dict[str, Any] = {stage: {} for stage in stages}
    for source in there:
        cells: dict[str, dict[tuple[str, ...], list[dict[str, Any]]]] = {stage: {} for stage in stages}
        for runs in groups(source, read, split=told.split, most=most):
            for stage in stages:
                with warnings.catch_warnings():  # of copies that sources hold, which are left out
                    warnings.simplefilter("ignore", UserWarning)
                    cells[stage][runs[0].task, runs[0].name] = judged(asks, runs, stage, counts, asked)
        for stage in stages:
            if cells[stage]:
                found[stage][source] = summary(cells[stage], counts)
        say(f"{source}: {len(cells[stages[0]])} tasks and metrics")
        record.write(found, complete=False)
    record.write(found, complete=True)
    for stage in stages:
        print(f"\n{stage}\n\n{markdown(table.rows(found, stage))}\n\n{markdown(table.method_rows(found, stage))}")
    print(f"\n{record.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
