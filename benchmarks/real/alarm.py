"""Is a forecast of a real curve worse where the alarm rings, or evidence is high? The error of the final point.

    python benchmarks/real/alarm.py

Before that, how often it rings on whole curves of the network's own prior. Development tasks alone. The alarm is
`PFN.surprise` of what was seen, the error the CRPS of the last point in units of the task, as in real_curves.py. See
benchmarks/README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from data import curves, parquet
from data.curve import RealCurve
from opponents import networks
from opponents.method import facts
from opponents.normalise import UNIT, Normaliser
from record import Record, parser, say
from report import alarm
from report.text import markdown

from lcpfn.pfn import PFN
from lcpfn.priors.names import built_in
from lcpfn.surprise import RATE, Surprise
from lcpfn.training.alarm import highest
from lcpfn.training.randomness import generator
from real import cases, scores
from real.contest import QUICK_PER_TASK, QUICK_TASKS, SEED, Library, Plan, Read, cells

SCRIPT = "benchmarks/real/alarm.py"
METHODS = "ours:general-small,ours:paper-small"
PER_TASK = 10
WORST = 0.1  # share of a source's forecasts that count as its worst
STRANGE = 0.1  # share of the forecasts after a cut-off, those of the highest evidence, that count as the strangest
LEAST = 5  # cases with an alarm, and without, that a source needs to count in the averages

OWN, QUICK_OWN = 1000, 100  # curves of the network's own prior
STREAM = 102  # of these; training draws from paths that begin with 0 to 2, the exam from 100 and 101

Network = networks.Normalised | networks.Direct


def surprise(method: Network, asked: Sequence[cases.Case]) -> Surprise:
    """The surprise of what is seen of the curves, as the network sees it when it is asked."""
    metric, ends = asked[0].curve.metric, [float(each.curve.t[-1]) for each in asked]
    t, y = zip(*(each.observed for each in asked))
    if isinstance(method, networks.Direct):
        return method.engine.surprise(list(y), t=list(t), metric=metric, run_end=np.array(ends))
    units = [Normaliser.of(metric.sign * x, metric).forward(metric.sign * x) for x in y]
    times = [networks.on_clock(seen, seen[-1:], end)[0] for seen, end in zip(t, ends)]
    return method.engine.surprise(units, t=times, metric=UNIT)


def judged(method: Network, members: Sequence[RealCurve]) -> np.ndarray:
    """(N, 5) cut-off, whether the alarm rings, CRPS of the final point, whether its interval covers it, evidence.

    The evidence is the highest log e value on the way.

    Args:
        method: our network.
        members: curves of one task and metric.
    """
    yard = scores.yardstick(
        np.concatenate([curve.y for curve in members]),
        metric=members[0].metric,
        resolution=max(curve.resolution for curve in members),
    )
    rows = [np.empty((0, 5))]
    columns = [scores.NAMES.index("crps"), scores.NAMES.index(f"coverage{alarm.LEVEL}")]
    for cut in cases.CUTS:
        found = (cases.case(curve, cut) for curve in members)
        asked = [replace(each, asked=each.asked[-1:]) for each in found if not (each.hopeless or each.diverges)]
        if not asked:
            continue
        beliefs = cases.ask(method, asked, kind="value").beliefs
        with cases.silence():
            told = surprise(method, asked)
        rang, climbed = told.alarm, told.log_e.max(-1, initial=0.0, where=~np.isnan(told.t))
        kept = [i for i, belief in enumerate(beliefs) if belief is not None]
        scored = scores.judge(
            [beliefs[i] for i in kept],
            [asked[i].later for i in kept],
            yard,
            steps=[asked[i].curve.resolution for i in kept],
        )
        lines = [[cut, rang[i], *each[0, columns], climbed[i]] for i, each in zip(kept, scored)]
        rows.append(np.array(lines).reshape(-1, 5))
    return np.concatenate(rows)


def false_alarms(engine: PFN, count: int) -> dict[str, Any]:
    """On which share of whole curves of its own prior the alarm rings, with the standard error."""
    told = engine.checkpoint.provenance["prior"]
    prior = built_in(told["name"], told["parameters"])
    rings = engine.null.p_value(highest(engine, prior, count, random=generator(SEED, STREAM))) <= RATE
    share = float(rings.mean())
    return {"prior": prior.name, "curves": count, "rings": share, "se": float(np.sqrt(share * (1 - share) / count))}


def summary(rows: np.ndarray) -> dict[str, Any]:
    """Of rows as `judged` gives: how often it rings, and the errors with and without, and of the strangest.

    It rings later rather than sooner, when forecasts are better anyway: so the means without an alarm weigh the
    cut-offs as those with one do.
    """
    rang, crps = rows[:, 1] > 0, rows[:, 2]
    worst = crps >= np.quantile(crps, 1 - WORST)
    weight = rang.astype(np.float64)
    for cut in np.unique(rows[:, 0]):
        here = rows[:, 0] == cut
        calm, loud = here & ~rang, here & rang
        weight[calm] = loud.sum() / max(calm.sum(), 1)
        if not calm.any():
            weight[loud] = 0.0  # nothing to compare with
    told: dict[str, Any] = {
        "forecasts": len(rows),
        "rings": float(rang.mean()),
        "rings_in_worst": float(rang[worst].mean()),
    }
    for name, part in (("calm", ~rang), ("alarm", rang)):
        told[name] = {"forecasts": int((part & (weight > 0)).sum()), "crps": None, "coverage": None}
        if weight[part].any():
            crps_mean, coverage = np.average(rows[part][:, 2:4], axis=0, weights=weight[part])
            told[name] |= {"crps": float(crps_mean), "coverage": float(coverage)}
    strange = strangest(rows)
    for name, part in (("usual", ~strange), ("strange", strange)):
        means = rows[part][:, 2:4].mean(0) if part.any() else (None, None)
        told[name] = {"forecasts": int(part.sum()), **dict(zip(("crps", "coverage"), means))}
    return told


def strangest(rows: np.ndarray) -> np.ndarray:
    """(N,) whether a row is among those of the highest evidence after its cut-off; of equals, the first are."""
    found = np.zeros(len(rows), bool)
    for cut in np.unique(rows[:, 0]):
        here = np.flatnonzero(rows[:, 0] == cut)
        order = np.argsort(-rows[here, 4], kind="stable")
        found[here[order[: round(STRANGE * len(here))]]] = True
    return found


def average(sources: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Means over the sources that have enough of both; None if there are none."""
    both = [each for each in sources if min(each[part]["forecasts"] for part in ("calm", "alarm")) >= LEAST]
    if not both:
        return None
    told: dict[str, Any] = {name: float(np.mean([each[name] for each in both])) for name in ("rings", "rings_in_worst")}
    for part in ("calm", "alarm"):
        told[part] = {name: float(np.mean([each[part][name] for each in both])) for name in ("crps", "coverage")}
    worse = sum(each["alarm"]["crps"] > each["calm"]["crps"] for each in both)
    return {"sources": len(both), "worse_where_it_rings": worse, **told}


def average_strange(sources: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Over the sources that have enough of the strangest: means, how much worse these are, and in how many sources."""
    enough = [each for each in sources if each["strange"]["forecasts"] >= LEAST]
    if not enough:
        return None
    parts = ("usual", "strange")
    told: dict[str, Any] = {
        part: {name: float(np.mean([each[part][name] for each in enough])) for name in ("crps", "coverage")}
        for part in parts
    }
    times = [each["strange"]["crps"] / each["usual"]["crps"] for each in enough]
    ratio = float(np.exp(np.mean(np.log(times))))
    return {"sources": len(enough), "worse": sum(bool(each > 1) for each in times), "ratio": ratio, **told}


def _own(told: dict[str, Any]) -> str:
    rings, se = 100 * told["rings"], 100 * told["se"]
    return f"the alarm rings on {rings:.1f} ± {se:.1f} % of {told['curves']:,} curves of the prior {told['prior']}"


def main(
    arguments: Sequence[str] | None = None,
    *,
    make: Callable[[str], Network] = networks.ours,
    read: Read = curves.read,
    sources: Sequence[str] | None = None,
) -> int:
    """Ask, judge, write, print a table for each network; 0 when done, 1 where there are no curves.

    Args:
        arguments: the command line, None for the process's own.
        make: makes a method of the name of a checkpoint.
        read: reads the curves of a source.
        sources: that there are; None: those of curves.py.
    """
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="alarm")
    made.add_argument("--methods", default=METHODS, help=f"ours:NAME or ours:PATH, comma between (default: {METHODS})")
    made.add_argument("--per-task", type=int, default=PER_TASK, help=f"runs in a task (default: {PER_TASK})")
    told = made.parse_args(arguments)
    there = tuple(curves.sources() if sources is None else sources)
    if not there:
        print(parquet.MISSING)
        return 1
    sizes = (QUICK_PER_TASK, QUICK_TASKS) if told.quick else (told.per_task, None)
    plan = Plan(*sizes, split="development", seed=SEED, sources=there)
    methods = {name: make(name.removeprefix("ours:")) for name in told.methods.split(",")}
    settings = {
        **{"per_task": plan.per_task, "most_tasks": plan.most_tasks, "split": plan.split, "cuts": cases.CUTS},
        **{"rate": RATE, "level": alarm.LEVEL, "worst": WORST, "strange": STRANGE, "least": LEAST},
        "methods": [facts(method) for method in methods.values()],
    }
    record = Record(SCRIPT, name="alarm", told=told, arguments=arguments, seed=SEED, settings=settings)
    found: dict[str, dict[str, Any]] = {}
    for name, method in methods.items():
        own = false_alarms(method.engine, QUICK_OWN if told.quick else OWN)
        found[name] = {"own_prior": own, "sources": {}, "average": None, "average_strange": None}
        say(f"{name}: {_own(own)}")
    for source in there:
        groups = cells(Library(plan, read)[source]).values()
        for name, method in methods.items():
            rows = np.concatenate([np.empty((0, 5)), *(judged(method, members) for members in groups)])
            if len(rows):
                found[name]["sources"][source] = summary(rows)
                found[name]["average"] = average(list(found[name]["sources"].values()))
                found[name]["average_strange"] = average_strange(list(found[name]["sources"].values()))
                say(f"{source}, {name}: {len(rows):,} forecasts, the alarm rings in {100 * rows[:, 1].mean():.0f} %")
        record.write(found, complete=False)
    record.write(found, complete=True)
    for name in found:
        print(f"\n{name}\n\n{markdown(alarm.rows(found, name))}\n\n{markdown(alarm.strange_rows(found, name))}")
    print(f"\n{record.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
