"""From measured numbers to the curves of the contest: which runs, which metrics, which scale.

Everything that is drawn is decided by a hash of names, so that it does not change when other curves are added.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data.curve import RealCurve
from data.lattice import resolution
from lcpfn.metric import Metric
from lcpfn.names import metric_named

SPLITS = ("development", "test")
DEVELOPMENT = 2 / 3  # of the tasks
# By tasks alone, before anything was forecast: the first for which every source of several tasks is on both sides,
# those of more than three with 50 to 80 % in development, a source of one task in the test, and 65 to 70 % of all tasks
# in development.
SPLIT_SEED = 540
LEAST_SHARE, SLACK = 0.1, 1.1  # see `scales`
Kinds = tuple[tuple[str, ...], ...]
# What one data set or environment is called in several sources, and variants of one workload.
_BEFORE = re.compile(r"^.*/|^dmc_")
_VARIANT = re.compile(r"_(tanh|glu_tanh|model_size|large_bn_init|valid)$")


@dataclass(frozen=True, eq=False, slots=True)
class Raw:
    """A curve as a file has it; letters and words as in `data.curve.RealCurve`.

    `place` is the run's place in the order in which runs are drawn, where its reader had to decide that; else a hash
    does.
    """

    task: str
    run: str
    name: str
    direction: str
    x_unit: str
    t: np.ndarray
    y: np.ndarray
    place: int | None = None
    lr: np.ndarray | None = None


def rank(*path: object) -> int:
    """A place in the order in which things of these names are drawn: the first 64 bits of a hash."""
    return int.from_bytes(hashlib.blake2b(repr(path).encode(), digest_size=8).digest(), "big")


def kin(task: str) -> str:
    """What the task shares with others under other names: a data set of both LCDBs, an environment, a workload.

    Language models that were trained on one text saw the same batches in the same order, so that their losses share
    their noise whatever the model's size: they are akin by the text.

    Example:
        >>> kin("dmc_vision/dmc_walker_run") == kin("walker-run")
        True
        >>> kin("wmt_glu_tanh")
        'wmt'
        >>> kin("slimpajama/llama_norm-8x6x384")
        'slimpajama'
    """
    if "/llama_norm-" in task:
        return task.split("/")[0].removesuffix("_chunk1").lower()
    name = task.lower().replace("-", "_")
    while (shorter := _VARIANT.sub("", _BEFORE.sub("", name))) != name:
        name = shorter
    return name


def side(task: str) -> str:
    """The part of the tasks that a task belongs to, "development" or "test"; akin tasks are on the same side."""
    return SPLITS[rank("split", SPLIT_SEED, kin(task)) >= DEVELOPMENT * 2**64]


def wanted(task: str, *, tasks: Sequence[str] | None, split: str | None) -> bool:
    """Whether a task is among those asked for.

    Raises:
        ValueError: no such split.
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"split must be one of {SPLITS} or None for all tasks, got {split!r}")
    return (tasks is None or task in tasks) and (split is None or side(task) == split)


def chosen(raws: Iterable[Raw], kinds: Kinds) -> list[Raw]:
    """Of every run the first name that it has of each kind; with no kinds everything."""
    if not kinds:
        return list(raws)
    place = {name: (kind, i) for kind, names in enumerate(kinds) for i, name in enumerate(names)}
    best: dict[tuple[str, str, int], Raw] = {}
    for each in raws:
        if each.name in place:
            kind, i = place[each.name]
            key = (each.task, each.run, kind)
            if key not in best or i < place[best[key].name][1]:
                best[key] = each
    return list(best.values())


def assemble(source: str, raws: Iterable[Raw], *, per_task: int | None, seed: int) -> list[RealCurve]:
    """The curves of the contest, sorted by task, then in the order in which runs are drawn.

    Metric and resolution are decided from all of `raws`, before runs are drawn.

    Args:
        source: their name.
        raws: of one source.
        per_task: curves of each metric in a task at most; fewer are the first of more. None for all.
        seed: of the order.
    """
    groups: dict[tuple[str, str], list[Raw]] = {}
    for each in raws:
        groups.setdefault((each.task, each.name), []).append(each)
    found: list[tuple[str, int, RealCurve]] = []
    for (task, name), group in groups.items():
        ranks = {each.run: rank(seed, source, task, each.run) if each.place is None else each.place for each in group}
        first = set(sorted(ranks, key=lambda run: (ranks[run], run))[:per_task])
        for part in scales(name, group):
            metric, step = _metric(part), resolution(np.concatenate([each.y for each in part]))
            found.extend(
                (
                    task,
                    ranks[each.run],
                    RealCurve(source, task, each.run, name, metric, each.t, each.y, each.x_unit, step, each.lr),
                )
                for each in part
                if each.run in first
            )
    found.sort(key=lambda item: (item[0], item[1], item[2].run, item[2].name))
    return [curve for _, _, curve in found]


def scales(name: str, group: Sequence[Raw]) -> list[list[Raw]]:
    """The curves of a metric in a task, those in fractions apart from those in percent if there are both.

    Runs that never pass 1, beside runs that do, are taken for fractions if a hundred times their highest values lie
    where the highest values of the others are, and either are a tenth of the runs at least: BLEU in `mlperf_training`
    reaches 0.2395 to 0.2445 in 35 runs, and 24.0 to 24.4 in 46. Otherwise they are bad runs in percent: BLEU in
    `algoperf` reaches 0.29 to 0.50 in 5 runs, and 19 to 31 in 275.
    """
    named = metric_named(name)
    if named is None or named.bounds != (0, 1):
        return [list(group)]
    tops = np.array([np.max(each.y, where=np.isfinite(each.y), initial=-np.inf) for each in group])
    low = np.isfinite(tops) & (tops <= 1)
    high = tops > 1
    if min(low.sum(), high.sum()) >= max(1, LEAST_SHARE * len(group)):
        scaled = 100 * tops[low]
        if scaled.min() >= tops[high].min() / SLACK and scaled.max() <= tops[high].max() * SLACK:
            return [[each for each, percent in zip(group, high) if percent == part] for part in (False, True)]
    return [list(group)]


def _metric(group: Sequence[Raw]) -> Metric:
    """Direction as the file has it, bounds by the table of metric names and the values."""
    y = np.concatenate([each.y for each in group])
    y = y[np.isfinite(y)]
    named = metric_named(group[0].name, [y.min(), y.max()] if y.size else None)
    return Metric(group[0].direction, bounds=(None, None) if named is None else named.bounds)
