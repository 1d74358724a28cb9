"""All rules of the benchmark of stopping by name, made for one table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from data.curve import RealCurve

from lcpfn.pfn import PFN, load
from lcpfn.stopping import Best, Paper, Worth
from lcpfn.stopping import Rule as StoppingRule
from stopping import beliefs
from stopping.baselines import Asha, Epochs, Halving, Median, Never, Oracle, Patience
from stopping.replay import Judge, Rule, Sequential
from stopping.table import Table

NONE, BEST = "no stopping", "best"
PATIENCES = (1, 5, 10, 20)
ETAS = (2, 3, 4)
EPOCHS = (1, 3, 10)
# What would repair what: the rule `best` in other settings.
LOOK = Best(spend=False)  # level is what each look compares with
VARIANTS: dict[str, tuple[StoppingRule, dict[str, Any]]] = {
    "best, level 0.1": (Best(level=0.1), {}),
    "best, level 0.2": (Best(level=0.2), {}),
    "best, 5 points": (Best(), {"min_points": 5}),
    "best, no alarm": (Best(), {"alarms": None}),
    "best, no cap": (Best(cap=1.0), {}),
    "best, cap at level": (Best(cap=0.05), {}),
    "best, higher start": (Best(start="higher"), {}),
    "best, higher start, 5 points": (Best(start="higher"), {"min_points": 5}),
    "best, against n runs": (Best(start="runs"), {}),
    "each look at 0.05": (LOOK, {}),
    "each look at 0.1": (replace(LOOK, level=0.1), {}),
    "each look at 0.2": (replace(LOOK, level=0.2), {}),
    "each look at 0.2, 5 points": (replace(LOOK, level=0.2), {"min_points": 5}),
}
LAST: dict[str, StoppingRule] = {
    "last value, against n runs": Best(start="runs"),
    "last value, higher start": Best(start="higher"),
    "last value, each look at 0.05": LOOK,
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
    alarms = rings(general, table)

    def look(rule: StoppingRule, **how: Any) -> beliefs.Lookup:
        return lookup(rule, table, ours, general, **{"alarms": alarms, **how})

    judges: dict[str, Judge] = {
        NONE: Never(),
        **{f"patience {n}": Patience(n) for n in PATIENCES},
        "median": Median(),
        **{f"ASHA {eta}": Asha(eta) for eta in ETAS},
        "last value": lookup(Best(), table, naive, general),
        "paper": lookup(Paper(), table, beliefs.paper(paper, table), paper),
        BEST: look(Best()),
        "worth": look(Worth(), spread=True),
        "oracle": Oracle(),
    }
    if None not in table.metric.bounds:
        judges["worth, prior"] = look(Worth())
    judges |= {name: lookup(rule, table, naive, general) for name, rule in LAST.items()}
    judges |= {name: look(rule, **how) for name, (rule, how) in VARIANTS.items()}
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


def lookup(
    rule: StoppingRule, table: Table, about: Sequence[beliefs.Beliefs], engine: PFN, **how: Any
) -> beliefs.Lookup:
    """A rule of the library on these beliefs."""
    outside = {name: how.pop(name) for name in ("alarms", "spread") if name in how}
    return beliefs.Lookup(rule, list(about), table, engine=engine, options=how, **outside)


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
