"""Does stopping pay? Searches over measured runs replayed with our rules, those of others, and none.

    python benchmarks/stopping/search.py --workers 2

Tasks of at least 20 runs, those for development, or by `--split test` those set aside for tests. Goes on where an
earlier run of the same settings was cut off. See benchmarks/README.md for what is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

import hashlib
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

import numpy as np
from data import curves, parquet
from data.curve import RealCurve
from real import cases
from record import QUICK, ROOT, Record, parser, say
from report import stopping
from report.text import markdown

from lcpfn.network.checkpoint import digest
from lcpfn.pfn import locate
from lcpfn.stopping.thresholds import RATIOS
from stopping import overhead, scores
from stopping.rules import NONE, names, rules
from stopping.summary import summary
from stopping.table import GOOD, LEAST_RUNS, LEFT_OUT, Table, tables

SCRIPT = "benchmarks/stopping/search.py"
PROTOCOL = 1  # goes up when the same command would give other numbers
SEED = 0
PER_TASK, TASKS, ORDERS = 200, 12, 40
QUICK_PER_TASK, QUICK_TASKS, QUICK_ORDERS = 40, 1, 6
OTHERS = 200  # curves of other tasks that the last value learns from
FRONT = 24  # numbers of epochs whose place is kept for the picture

Job = tuple[Table, list[RealCurve]]


def jobs(source: str, told: Any, read: Callable[..., list[RealCurve]]) -> Iterator[Job]:
    """The tables of a source, each with curves of other tasks."""
    found = read("taskset" if source == GOOD else source, per_task=told.per_task or None, seed=SEED, split=told.split)
    made = list(tables(source, found))
    if told.tasks and len(made) > told.tasks:
        draw = cases.stream(SEED, "tables", source)
        made = [made[i] for i in np.sort(draw.choice(len(made), told.tasks, replace=False))]
    pools: dict[str, dict[str, list[RealCurve]]] = {}
    for curve in found:
        pools.setdefault(curve.source, {}).setdefault(curve.task, []).append(curve)
    for table in made:
        like = next(curve for curve in found if (curve.task, curve.name) == (table.task, table.name))
        yield table, cases.neighbours(like, pools, seed=SEED, limit=OTHERS)


def measured(job: Job, known: dict[str, Any] | None, checkpoint: str, orders: int) -> dict[str, Any]:
    """All that is known of a table afterwards, a line of JSON; rules in `known` are not played again."""
    table, others = job
    known = {"rules": {}, "seconds": 0.0} if known is None else known
    began = time.process_time()
    with cases.silence():
        made = rules(table, others, checkpoint=checkpoint)
        formed = time.process_time() - began
        drawn = table.orders(orders, seed=SEED)
        epochs = scores.front(table, drawn)
        found = {
            name: scores.played(rule, table, drawn, budget=scores.BUDGET)
            for name, rule in made.items()
            if name == NONE or name not in known["rules"]
        }
    kept = np.unique(np.round(np.geomspace(1, len(epochs[0]), min(FRONT, len(epochs[0])))).astype(int)) - 1
    size = min(scores.POOL, len(table.runs))
    work, regret = (part[kept].mean(axis=1) for part in epochs)
    return {
        **{"task": table.task, "metric": table.name, "runs": len(table.runs), "points": table.longest},
        "front": {"work": [round(float(x), 5) for x in work / size], "regret": [round(float(x), 5) for x in regret]},
        "rules": known["rules"] | {name: _told(each, found[NONE], epochs, size) for name, each in found.items()},
        "seconds": round(known["seconds"] + time.process_time() - began, 1),
        "forming": round(formed, 1),
    }


def _told(own: scores.Played, none: scores.Played, epochs: scores.Pair, size: int) -> dict[str, Any]:
    return {
        "speed_up": scores.speed_up(none.regret, own.regret),
        "harmed": scores.harmed(none.regret, own.regret),
        "regret": float(own.regret[:, -1].mean()),
        "tried": own.tried,
        "winners": own.winners,
        "lost": own.lost,
        "place": scores.place(own.pool, epochs),
        "work": float(own.pool[0].mean()) / size,
        "pool_regret": float(own.pool[1].mean()),
    }


def flags() -> Any:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="stopping")
    made.add_argument("--sources", help="names, separated by commas (default: all that have enough runs)")
    made.add_argument("--split", choices=("development", "test"), default="development", help="of the tasks")
    made.add_argument("--checkpoint", default="default", help="of the rules best and worth (default: default)")
    made.add_argument("--per-task", type=int, help=f"runs of a task at most (default: {PER_TASK}; 0: all)")
    made.add_argument("--tasks", type=int, help=f"tables of a source at most, drawn (default: {TASKS}; 0: all)")
    made.add_argument("--orders", type=int, help=f"random orders of the runs (default: {ORDERS})")
    made.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    made.add_argument("--rows", type=Path, help="a line for each table (default: runs/stopping, quick: runs/quick)")
    return made


def main(
    arguments: Sequence[str] | None = None,
    *,
    read: Callable[..., list[RealCurve]] = curves.read,
    sources: Sequence[str] | None = None,
) -> int:
    """Replay, judge, write, print tables; 0 when done, 1 where there are no curves.

    Args:
        arguments: the command line, None for the process's own.
        read: reads the curves of a source, as curves.read does.
        sources: that there are; None: those of curves.py.
    """
    told = flags().parse_args(arguments)
    there = list(curves.sources() if sources is None else sources)
    if not there:
        print(parquet.MISSING)
        return 1
    full, quick = (PER_TASK, TASKS, ORDERS), (QUICK_PER_TASK, QUICK_TASKS, QUICK_ORDERS)
    for name, value in zip(("per_task", "tasks", "orders"), quick if told.quick else full):
        if getattr(told, name) is None:
            setattr(told, name, value)
    if "taskset" in there:
        there.append(GOOD)
    asked = there if told.sources is None else told.sources.split(",")
    path = locate(told.checkpoint)
    settings = {
        **{"protocol": PROTOCOL, "per_task": told.per_task, "tasks": told.tasks, "orders": told.orders},
        **{"split": told.split, "least_runs": LEAST_RUNS, "budget": scores.BUDGET, "pool": scores.POOL},
        **{"noise": scores.NOISE, "left_out": LEFT_OUT},
        **{"checkpoint": path.name, "sha256": digest(path), "ratios": RATIOS},
    }
    name = "stopping" if told.split == "development" else "stopping_test"
    record = Record(SCRIPT, name=name, told=told, arguments=arguments, seed=SEED, settings=settings)
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=4).hexdigest()
    folder = (told.rows or (QUICK if told.quick else ROOT / "runs") / "stopping") / key
    rows: dict[str, list[dict[str, Any]]] = {}
    for source in (source for source in asked if source not in LEFT_OUT):
        if found := _rows(source, told, read, folder / f"{source}.jsonl"):
            rows[source] = found
            record.write(summary(rows, seed=SEED), complete=False)
    costs = overhead.measure(told.checkpoint, count=5 if told.quick else 100)
    results = {**summary(rows, seed=SEED), "overhead": costs}
    record.write(results, complete=True)
    for name, table in stopping.TABLES.items():
        print(f"\n{name}\n{markdown(table(results))}")
    print(f"\n{record.path}")
    return 0


def _rows(source: str, told: Any, read: Callable[..., list[RealCurve]], path: Path) -> list[dict[str, Any]]:
    """A row for each table of a source, those that are in the file already as they are."""
    known = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            known[row["task"], row["metric"]] = row
    made = list(jobs(source, told, read))
    left = [(job, row) for job in made if not _whole(row := known.get((job[0].task, job[0].name)), job[0])]
    path.parent.mkdir(parents=True, exist_ok=True)
    began = time.time()
    for row in _played(left, told):
        known[row["task"], row["metric"]] = row
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
    rows = [known[table.task, table.name] for table, _ in made]
    if rows:
        speed = math.exp(np.mean([math.log(row["rules"]["best"]["speed_up"]) for row in rows]))
        say(
            f"{source}: {len(rows)} tables, {len(left)} of them played in {time.time() - began:.0f} s; best {speed:.2f}"
        )
    return rows


def _whole(row: dict[str, Any] | None, table: Table) -> bool:
    """Whether all rules were played."""
    return row is not None and set(names(table)) <= set(row["rules"])


def _played(left: Sequence[tuple[Job, dict[str, Any] | None]], told: Any) -> Iterator[dict[str, Any]]:
    if not left:
        return
    if told.workers < 2:
        yield from map(measured, *zip(*left), repeat(told.checkpoint), repeat(told.orders))
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch
    with ProcessPoolExecutor(told.workers, mp_context=context) as pool:
        yield from pool.map(measured, *zip(*left), repeat(told.checkpoint), repeat(told.orders))


if __name__ == "__main__":
    raise SystemExit(main())
