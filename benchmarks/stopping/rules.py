"""All rules of the benchmark of stopping by name, made for one table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from data.curve import RealCurve

from lcpfn.pfn import PFN, load
from stopping import beliefs
from stopping.baselines import Asha, Epochs, Halving, Median, Never, Oracle, Patience
from stopping.replay import Judge, Rule, Sequential
from stopping.table import Table

NONE, BEST = "no stopping", "best"
PATIENCES = (1, 5, 10, 20)
ETAS = (2, 3, 4)
EPOCHS = (1, 3, 10)
# What would repair what: the rule `best` in other settings.
VARIANTS: dict[str, dict[str, Any]] = {
    "best, level 0.1": {"level": 0.1},
    "best, level 0.2": {"level": 0.2},
    "best, 5 points": {"min_points": 5},
    "best, no alarm": {"alarm": False},
    "best, no cap": {"cap": 1.0},
    "best, cap at level": {"cap": 0.05},
    "best, higher start": {"start": "higher"},
    "best, higher start, 5 points": {"start": "higher", "min_points": 5},
    "best, against n runs": {"start": "runs"},
    "each look at 0.05": {"spend": False},
    "each look at 0.1": {"spend": False, "level": 0.1},
    "each look at 0.2": {"spend": False, "level": 0.2},
    "each look at 0.2, 5 points": {"spend": False, "level": 0.2, "min_points": 5},
}
LAST: dict[str, dict[str, Any]] = {
    "last value, against n runs": {"start": "runs"},
    "last value, higher start": {"start": "higher"},
    "last value, each look at 0.05": {"spend": False},
}


def rules(table: Table, others: Sequence[RealCurve], *, checkpoint: str) -> dict[str, Rule]:
    """The rules by name, for runs of the table; beliefs about all of them are formed here.

    Args:
        table: of runs.
        others: curves of other tasks, that the last value learns its errors from.
        checkpoint: of `best` and `worth`.
    """
    general, paper = loaded(checkpoint), loaded("paper")
    ours, naive = beliefs.general(general, table), beliefs.naive(beliefs.last_value(others), table)
    look = partial(lookup, table, ours, general, alarms=rings(general, table))
    judges: dict[str, Judge] = {
        NONE: Never(),
        **{f"patience {n}": Patience(n) for n in PATIENCES},
        "median": Median(),
        **{f"ASHA {eta}": Asha(eta) for eta in ETAS},
        "last value": lookup(table, naive, general, rule="best"),
        "paper": lookup(table, beliefs.paper(paper, table), paper, rule="paper"),
        BEST: look(rule="best"),
        "worth": look(rule="worth", spread=True),
        "oracle": Oracle(),
    }
    if None not in table.metric.bounds:
        judges["worth, prior"] = look(rule="worth")
    for name, options in LAST.items():
        judges[name] = lookup(table, naive, general, rule="best", **options)
    for name, options in VARIANTS.items():
        told = dict(options)
        quiet = {"alarms": None} if not told.pop("alarm", True) else {}
        judges[name] = look(rule="best", **quiet, **told)
    return {
        **{name: Sequential(judge) for name, judge in judges.items()},
        **{f"{i}-Epoch": Epochs(i) for i in EPOCHS},
        **{f"halving {eta}": Halving(eta) for eta in ETAS},
        "Hyperband 3": Halving(3, hyperband=True),
    }


def names(table: Table) -> list[str]:
    """The names of all rules that are played on a table."""
    sequential = [NONE, "median", "last value", "paper", BEST, "worth", "oracle", *LAST, *VARIANTS]
    sequential += ["worth, prior"] if None not in table.metric.bounds else []
    counted = [f"patience {n}" for n in PATIENCES] + [f"ASHA {eta}" for eta in ETAS]
    return [*sequential, *counted, *(f"{i}-Epoch" for i in EPOCHS), *(f"halving {e}" for e in ETAS), "Hyperband 3"]


def lookup(table: Table, about: Sequence[beliefs.Beliefs], engine: PFN, **told: Any) -> beliefs.Lookup:
    """A rule of the library on these beliefs."""
    outside = {name: told.pop(name) for name in ("alarms", "spread") if name in told}
    return beliefs.Lookup(told, list(about), table, engine=engine, **outside)


def rings(engine: PFN, table: Table) -> np.ndarray:
    """(N,) the number of points after which the alarm rings, more than a run has if it does not."""
    runs = table.runs
    told = engine.surprise(
        [run.y for run in runs],
        t=[run.t for run in runs],
        metric=table.metric,
        run_end=np.array([run.horizon for run in runs]),
    )
    since = [np.searchsorted(run.t, at) + 1 if np.isfinite(at) else len(run) + 1 for run, at in zip(runs, told.since)]
    return np.array(since)


@cache
def loaded(name: str) -> PFN:
    """The engine, read once in a process."""
    return load(name)
