"""How good are forecasts of real learning curves? Every method against the last value, source by source.

    python benchmarks/real/contest.py --methods last-value,ours:paper-small --per-task 30 --workers 2

Takes up where an earlier run of the same settings stopped. See benchmarks/README.md for what is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

import argparse
import json
import math
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from data import curves, parquet
from data.curve import RealCurve
from opponents import registry
from opponents.method import Method, facts
from record import QUICK, RESULTS, ROOT, Record, parser, say
from report import scoreboard

from real import cases, cell, scores
from real.rows import Store
from real.summary import summary

SCRIPT = "benchmarks/real/contest.py"
PROTOCOL = 1  # goes up when the same command would give other numbers
SEED = 0
PER_TASK = 30
QUICK_PER_TASK, QUICK_TASKS, QUICK_MINUTES = 4, 3, 2.0

Read = Callable[..., list[RealCurve]]
Make = Callable[[str], Method]


@dataclass(frozen=True)
class Plan:
    """What a run depends on.

    Attributes:
        per_task: curves of each metric in a task at most, None for all.
        most_tasks: tasks of a source at most, drawn; None for all.
        split: part of the tasks, as the reader knows it.
        seed: of everything that is drawn.
        sources: all that there are: curves of others are learnt from where a source has one task.
    """

    per_task: int | None
    most_tasks: int | None
    split: str | None
    seed: int
    sources: tuple[str, ...]


class Library(Mapping[str, dict[str, list[RealCurve]]]):
    """Source -> task -> curves, read when they are asked for.

    Args:
        plan: which of them.
        read: of curves.py.
    """

    def __init__(self, plan: Plan, read: Read) -> None:
        self._plan, self._read = plan, read
        self._kept: dict[str, dict[str, list[RealCurve]]] = {}

    def __getitem__(self, source: str) -> dict[str, list[RealCurve]]:
        if source not in self._kept:
            plan, tasks = self._plan, {}
            for curve in self._read(source, per_task=plan.per_task, seed=plan.seed, split=plan.split):
                tasks.setdefault(curve.task, []).append(curve)
            if plan.most_tasks is not None and len(tasks) > plan.most_tasks:
                draw = cases.stream(plan.seed, "tasks", source)
                kept = draw.choice(sorted(tasks), plan.most_tasks, replace=False)
                tasks = {task: curves for task, curves in tasks.items() if task in kept}
            self._kept[source] = tasks
        return self._kept[source]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.sources)

    def __len__(self) -> int:
        return len(self._plan.sources)


def cells(tasks: dict[str, list[RealCurve]]) -> dict[tuple[str, str], list[RealCurve]]:
    """The curves of a source by task and metric; a name that stands for several metrics is told apart by bounds."""
    found: dict[tuple[str, str], list[RealCurve]] = {}
    for task, members in sorted(tasks.items()):
        metrics = {name: {each.metric for each in members if each.name == name} for name in {c.name for c in members}}
        for each in sorted(members, key=lambda curve: (curve.name, repr(curve.metric))):
            name = each.name if len(metrics[each.name]) == 1 else f"{each.name} {each.metric.bounds}"
            found.setdefault((task, name), []).append(each)
    return found


@dataclass(frozen=True)
class Places:
    """Where results and rows lie."""

    results: Path
    rows: Path

    def result(self, name: str, source: str) -> Path:
        """The JSON of a method in a source."""
        return self.results / source / f"{slug(name)}.json"

    def store(self, name: str, source: str) -> Path:
        """Its rows."""
        return self.rows / source / f"{slug(name)}.npz"


def slug(name: str) -> str:
    """A method's name as part of a file name.

    >>> slug("LC-PFN (as published)")
    'lc-pfn-as-published'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def settings(plan: Plan, method: Method) -> dict[str, Any]:
    """All that the numbers depend on, as it stands in the JSON."""
    protocol = {
        "protocol": PROTOCOL,
        "per_task": plan.per_task,
        "most_tasks": plan.most_tasks,
        "split": plan.split,
        "cuts": cases.CUTS,
        "later": cases.LATER,
        "incumbents": cases.INCUMBENTS,
        "others": cases.OTHERS,
        "fence": scores.FENCE,
        "least_scale": [scores.RANGE_SHARE, scores.MAGNITUDE_SHARE],
        "method": facts(method),
    }
    return json.loads(json.dumps(protocol))


def compete(
    name: str, source: str, library: Library, *, make: Make, plan: Plan, places: Places, until: float, told: Any
) -> bool:
    """Whether the JSON of a method in a source is there now; False: time was up, the cells so far are kept.

    Args:
        name: of the method, as in `opponents/registry.py`.
        source: its name.
        library: of curves.
        make: makes a method of its name.
        plan: what the run depends on.
        places: where to write.
        until: time.time() after which no new cell is begun.
        told: the command line.
    """
    method = make(name)
    about = settings(plan, method)
    path = places.result(name, source)
    if path.exists() and not told.redo and _finished(path, about):
        return True
    if not library[source]:
        return True  # the split has no task of this source
    if told.redo:  # the rows too: a JSON that is made again of kept rows would name a commit that did not make them
        places.store(name, source).unlink(missing_ok=True)
    store = Store(places.store(name, source), about)
    began, asked = time.time(), 0
    for key, members in cells(library[source]).items():
        if key in store:
            continue
        if time.time() > until:
            if asked:
                store.save()
            return False
        others = cases.neighbours(members[0], library, seed=plan.seed)
        store.add(key, cell.forecast(method, members, others=others, seed=plan.seed))
        asked += 1
    store.save()
    baseline = (
        None
        if name == scoreboard.BASELINE
        else json.loads(places.result(scoreboard.BASELINE, source).read_text())["results"]
    )
    arguments = ["--methods", name, "--sources", source, *_flags(told)]
    record = Record(
        SCRIPT,
        name=f"real/{source}/{slug(name)}",
        told=argparse.Namespace(quick=told.quick, out=path),
        arguments=arguments,
        seed=plan.seed,
        settings=about,
    )
    results = {"method": name, "source": source, **summary(store.rows(), baseline, seed=plan.seed)}
    record.write(results, complete=True)
    skill = results["skill"]["later"]
    shown = "" if skill is None else f", skill of later points {skill['value']:.3f}"
    say(f"{source}, {name}: {results['curves']:,} curves in {time.time() - began:.0f} s{shown}")
    return True


def _finished(path: Path, about: dict[str, Any]) -> bool:
    whole = json.loads(path.read_text())
    return bool(whole["complete"] and whole["settings"] == about)


def _flags(told: Any) -> list[str]:
    flags = ["--per-task", str(told.per_task)] if told.per_task is not None else []
    return flags + (["--split", told.split] if told.split else []) + (["--quick"] if told.quick else [])


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="real/SOURCE/METHOD")
    made.add_argument("--methods", help="names, separated by commas (default: the cheap ones)")
    made.add_argument("--sources", help="names, separated by commas (default: all but those that came later)")
    made.add_argument("--per-task", type=int, help=f"runs of each metric in a task (default: {PER_TASK}; 0: all)")
    made.add_argument("--split", choices=("development", "test"), help="of the tasks (default: both)")
    made.add_argument("--minutes", type=float, help=f"then stop, to go on later (quick: {QUICK_MINUTES:g})")
    made.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    made.add_argument("--redo", action="store_true", help="forget results that are there")
    made.add_argument("--rows", type=Path, help="scores of every forecast (default: runs/real, quick: runs/quick/rows)")
    return made


def main(
    arguments: Sequence[str] | None = None,
    *,
    methods: Sequence[str] = registry.CHEAP,
    make: Make = registry.make,
    read: Read = curves.read,
    sources: Sequence[str] | None = None,
) -> int:
    """Ask, judge, write, print a table; 0 when all is done, 3 if time was up before.

    Args:
        arguments: the command line, None for the process's own.
        methods: asked if the command line names none.
        make: makes a method of its name.
        read: reads the curves of a source, as curves.read does.
        sources: that there are; None: those of curves.py.
    """
    told = flags().parse_args(arguments)
    there = tuple(curves.sources() if sources is None else sources)
    if not there:
        raise SystemExit(f"{SCRIPT}: {parquet.MISSING}")
    later = curves.LATER if sources is None else ()  # asked for by name alone, and learnt from only then
    named = [] if told.sources is None else [name.strip() for name in told.sources.split(",")]
    added = tuple(name for name in named if name in later and name in curves.sources(later=True))
    if added and len(added) < len(named):
        raise SystemExit(f"{SCRIPT}: {', '.join(added)} came later and stand in tables of their own: name them alone")
    there += added
    asked = list(methods) if told.methods is None else [name.strip() for name in told.methods.split(",")]
    plan = Plan(
        per_task=(QUICK_PER_TASK if told.quick else PER_TASK) if told.per_task is None else told.per_task or None,
        most_tasks=QUICK_TASKS if told.quick else None,
        split=told.split,
        seed=SEED,
        sources=there,
    )
    results = told.out or (QUICK if told.quick else RESULTS) / (scoreboard.MORE if added else scoreboard.FOLDER)
    places = Places(results, told.rows or (QUICK / "rows" if told.quick else ROOT / "runs" / "real"))
    minutes = QUICK_MINUTES if told.quick and told.minutes is None else told.minutes
    until = math.inf if minutes is None else time.time() + 60 * minutes
    chosen = _sources(told.sources, there)
    jobs = [[(scoreboard.BASELINE, source) for source in chosen]]
    jobs.append([(name, source) for source in chosen for name in asked if name != scoreboard.BASELINE])
    done = [
        each
        for part in jobs  # the baseline first: all others are compared with it
        for each in _run(part, make, read, plan=plan, places=places, until=until, told=told)
    ]
    for table in scoreboard.TABLES:
        print(f"\n{table}\n{scoreboard.show(table, results)}")
    left = done.count(False)
    say(f"\n{results}" + (f"; {left} of {len(done)} are not done: run it again to go on" if left else ""))
    return 3 if left else 0


def _run(jobs: Sequence[tuple[str, str]], make: Make, read: Read, **rest: Any) -> list[bool]:
    """Whether each job is done."""
    if rest["told"].workers < 2:
        library = Library(rest["plan"], read)
        return [_job(name, source, library, make=make, **rest) for name, source in jobs]
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch
    with ProcessPoolExecutor(rest["told"].workers, mp_context=context) as pool:
        library = Library(rest["plan"], read)
        parts = [pool.submit(_job, name, source, library, make=make, **rest) for name, source in jobs]
        return [part.result() for part in parts]


def _job(name: str, source: str, library: Library, **rest: Any) -> bool:
    """Whether a method is through with a source; one that cannot be made here says why, and is not."""
    if time.time() > rest["until"]:
        return False
    try:
        return compete(name, source, library, **rest)
    except (RuntimeError, FileNotFoundError) as error:
        say(f"{source}, {name}: {cases.reason(error)}")
        return False


def _sources(told: str | None, known: Sequence[str]) -> list[str]:
    """The named ones of those that there are."""
    asked = list(known) if told is None else [name.strip() for name in told.split(",")]
    if unknown := [name for name in asked if name not in known]:
        raise SystemExit(f"{SCRIPT}: there is no source {', '.join(unknown)}, only {', '.join(known)}")
    return asked


if __name__ == "__main__":
    raise SystemExit(main())
