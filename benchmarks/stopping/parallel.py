"""Does stopping pay in a parallel search by Optuna? Trials draw measured runs, four at a time, and report their points.

    python benchmarks/stopping/parallel.py

A clock is simulated: a worker needs the time that a stretch of its run costs, and asks Optuna at every point. See
benchmarks/README.md for what is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

import heapq
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from data import curves, parquet
from data.curve import RealCurve
from record import Record, parser, say
from report import stopping
from report.text import markdown

from lcpfn.integrations.optuna import LearningCurvePruner
from lcpfn.stopping import Best, Rule
from stopping import scores
from stopping.replay import Trace
from stopping.table import Table, tables

SCRIPT = "benchmarks/stopping/parallel.py"
SEED = 0
SOURCES = ("taskset", "deepobs")  # whose points are evenly spaced: Optuna's rungs count them
PER_TASK, TASKS, STUDIES, WORKERS = 200, 3, 8, 4
QUICK_PER_TASK, QUICK_TASKS, QUICK_STUDIES, QUICK_BUDGET = 30, 1, 2, 8.0
NONE = "NopPruner"

Make = Callable[[Table], optuna.pruners.BasePruner]


def ours(rule: Rule) -> Make:
    """Makes our pruner for a table."""
    return lambda table: LearningCurvePruner(horizon=table.longest, first_step=1, metric=table.metric, rule=rule)


PRUNERS: dict[str, Make] = {
    NONE: lambda table: optuna.pruners.NopPruner(),
    "MedianPruner": lambda table: optuna.pruners.MedianPruner(),
    "SuccessiveHalvingPruner": lambda table: optuna.pruners.SuccessiveHalvingPruner(reduction_factor=3),
    "HyperbandPruner": lambda table: optuna.pruners.HyperbandPruner(max_resource=table.longest),
    "LearningCurvePruner": ours(Best()),
    "LearningCurvePruner, each look at 0.1": ours(Best(spend=False, level=0.1)),
}


@dataclass(frozen=True, eq=False)
class Search:
    """A study on the simulated clock.

    Attributes:
        trace: all points of all workers in the order in which they came.
        pruned: trials that were pruned.
        trials: that were begun.
        seconds: of the pruner, for each report.
    """

    trace: Trace
    pruned: int
    trials: int
    seconds: np.ndarray


def search(table: Table, pruner: optuna.pruners.BasePruner, *, seed: int, workers: int, budget: float) -> Search:
    """Trials of random runs until the workers have spent the budget of whole runs together.

    A run's best value is what the trial returns; one that diverges fails.
    """
    direction = "maximize" if table.metric.direction == "max" else "minimize"
    study = optuna.create_study(
        study_name=f"search {seed}",  # which Hyperband draws its brackets by; without one it is random
        direction=direction,
        sampler=optuna.samplers.RandomSampler(seed=seed),
        pruner=pruner,
    )
    clock: list[tuple[float, int, int]] = []  # when a point comes, of which trial, and which one
    trials: dict[int, tuple[optuna.Trial, int]] = {}
    spent, values, seconds, total = [], [], [], 0.0

    def begin(now: float) -> None:
        trial = study.ask()
        run = trial.suggest_int("run", 0, len(table.runs) - 1)
        trials[trial.number] = trial, run
        heapq.heappush(clock, (now + float(table.runs[run].work[0]), trial.number, 0))

    for _ in range(workers):
        begin(0.0)
    while total < budget:
        now, number, point = heapq.heappop(clock)
        trial, run = trials[number]
        each = table.runs[run]
        total += float(each.work[point] - (each.work[point - 1] if point else 0.0))
        spent.append(total)
        values.append(float(table.up[run][point]))
        trial.report(float(each.y[point]), point + 1)
        began = time.perf_counter()
        prune = trial.should_prune()
        seconds.append(time.perf_counter() - began)
        if prune:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif point + 1 == len(each):
            if each.diverged:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, table.metric.sign * float(table.finals[run]))
        else:
            heapq.heappush(clock, (now + float(each.work[point + 1] - each.work[point]), number, point + 1))
            continue
        begin(now)
    pruned = sum(trial.state is optuna.trial.TrialState.PRUNED for trial in study.get_trials(deepcopy=False))
    return Search(Trace(np.array(spent), np.maximum.accumulate(values)), pruned, len(trials), np.array(seconds))


def main(
    arguments: Sequence[str] | None = None,
    *,
    read: Callable[..., list[RealCurve]] = curves.read,
    sources: Sequence[str] = SOURCES,
) -> int:
    """Search, judge, write, print a table; 0 when done, 1 where there are no curves.

    Args:
        arguments: the command line, None for the process's own.
        read: reads the curves of a source, as curves.read does.
        sources: to search in.
    """
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="stopping_search")
    made.add_argument("--studies", type=int, help=f"of each pruner on a table (default: {STUDIES})")
    told = made.parse_args(arguments)
    if read is curves.read and not parquet.folders():
        print(parquet.MISSING)
        return 1
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    per_task, count, studies = (
        (QUICK_PER_TASK, QUICK_TASKS, QUICK_STUDIES) if told.quick else (PER_TASK, TASKS, STUDIES)
    )
    studies, budget = told.studies or studies, QUICK_BUDGET if told.quick else scores.BUDGET
    settings = {
        **{"sources": list(sources), "per_task": per_task, "tasks": count, "studies": studies, "workers": WORKERS},
        **{"budget": budget, "split": "development", "optuna": optuna.__version__},
    }
    record = Record(SCRIPT, name="stopping_search", told=told, arguments=arguments, seed=SEED, settings=settings)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in PRUNERS}
    for source in sources:
        for table in list(tables(source, read(source, per_task=per_task, seed=SEED, split="development")))[:count]:
            for name, told_row in _table(table, studies=studies, budget=budget).items():
                rows[name].append({"source": source, "task": table.task, "metric": table.name, **told_row})
            record.write(_results(rows), complete=False)
            say(f"{source}, {table.task}, {table.name}")
    results = _results(rows)
    record.write(results, complete=True)
    print(f"\n{markdown(stopping.search(results))}\n\n{record.path}")
    return 0


def _table(table: Table, *, studies: int, budget: float) -> dict[str, dict[str, Any]]:
    """What each pruner is worth on a table."""
    budgets, found = scores.grid(budget), {}
    none: np.ndarray | None = None
    for name, make in PRUNERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            played = [search(table, make(table), seed=i, workers=WORKERS, budget=budget) for i in range(studies)]
        regret = np.stack([table.regret(each.trace.at(budgets)) for each in played])
        none = regret if none is None else none
        found[name] = {
            "speed_up": scores.speed_up(none, regret),
            "harmed": scores.harmed(none, regret),
            "regret": float(regret[:, -1].mean()),
            "trials": float(np.mean([each.trials for each in played])),
            "pruned": float(np.mean([each.pruned for each in played])),
            "report_s": float(np.mean(np.concatenate([each.seconds for each in played]))),
        }
    return found


def _results(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The rows, and for each pruner their means; of speed-ups the geometric one."""
    means = {}
    for name, each in rows.items():
        if each:
            keys = ("harmed", "regret", "trials", "pruned", "report_s")
            means[name] = {
                "tables": len(each),
                "speed_up": float(np.exp(np.mean([np.log(row["speed_up"]) for row in each]))),
                **{key: float(np.mean([row[key] for row in each])) for key in keys},
            }
    return {"all": means, "tables": rows}


if __name__ == "__main__":
    raise SystemExit(main())
