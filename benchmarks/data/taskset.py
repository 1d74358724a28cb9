"""TaskSet (Metz et al. 2020): 1,162 tasks, on each up to five sets of 1,000 optimizer settings, 51 evaluations.

To get it: the public bucket `gs://gresearch/task_set_data/` (also
https://storage.googleapis.com/gresearch/task_set_data/), which holds `task_names.txt` and for each task `<task>/<set of
optimizers>_10000_replica5.npz`. Keep these folders, and set LCPFN_TASKSET to the folder above them. The files of Deep
Power Laws, `data/taskset/<task>.json` in github.com/releaunifreiburg/DPL, can lie there as well or instead: one set,
already averaged.

Layout of an npz: `optimizers`, 1,000 names as bytes; `xs` (51,) steps; `ys` (setting, replica, step, channel) losses,
with channels train, validation (inner), validation (outer) and test. Of a json: a list of objects with `train.loss` and
`valid.loss` (51,). A curve is the mean over the five replicas, as others report it: where one is NaN, so is the mean.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from data.raw import Raw, rank

SUFFIX = "_10000_replica5.npz"
CHANNELS = ("train/loss", "valid/loss", "outer_valid/loss", "test/loss")
STEPS = 200.0 * np.arange(51)  # of the json files, which do not say


def read(path: Path, wanted: Callable[[str], bool], *, per_task: int | None = None, seed: int = 0) -> Iterator[Raw]:
    """The curves of the wanted tasks by step, of each set of settings the first `per_task` in the order of a hash."""
    for file in sorted(path.glob(f"*/*{SUFFIX}")):
        if wanted(file.parent.name):
            yield from _drawn(_npz(file), per_task=per_task, seed=seed)
    for file in sorted(path.glob("*.json")):
        if wanted(file.stem):
            yield from _drawn(_json(file), per_task=per_task, seed=seed)


def _drawn(raws: Iterable[Raw], *, per_task: int | None, seed: int) -> Iterator[Raw]:
    """The runs that can be among the first of a task: all of the 1,162 tasks would not fit into memory."""
    placed = [(rank(seed, each.task, each.run), each) for each in raws]
    first = set(sorted({place for place, _ in placed})[:per_task])
    return (dataclasses.replace(each, place=place) for place, each in placed if place in first)


def _npz(path: Path) -> Iterator[Raw]:
    with np.load(path) as archive:  # refuses pickles
        names, xs, ys = archive["optimizers"], archive["xs"].astype(float), archive["ys"]
    if ys.ndim != 4 or ys.shape != (len(names), ys.shape[1], len(xs), len(CHANNELS)):
        raise ValueError(
            f"ys must be (settings, replicas, steps, {len(CHANNELS)} channels) for {len(names)} settings and "
            f"{len(xs)} steps, got {ys.shape} in {path}; download the file anew"
        )
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs
        means = ys.mean(axis=1, dtype=float)
    for name, mean in zip(names, means):
        run = name.decode() if isinstance(name, bytes) else str(name)
        for metric, y in zip(CHANNELS, mean.T):
            yield Raw(path.parent.name, run, metric, "min", "step", xs, y)


def _json(path: Path) -> Iterator[Raw]:
    for i, found in enumerate(json.loads(path.read_text())):
        for part in ("train", "valid"):  # "test" is the outer validation there
            y = np.array(found[part]["loss"], dtype=float)
            yield Raw(path.stem, f"dpl/{i}", f"{part}/loss", "min", "step", STEPS[: len(y)], y)
