"""PD1 (Wang et al. 2024): optimizer settings of large networks, on 24 pairs of data set and model.

To get it: http://storage.googleapis.com/gresearch/pint/pd1.tar.gz (CC-BY 4.0). Set LCPFN_PD1 to the archive or to the
folder it unpacks to. Read are the two `matched` files (the same settings for all tasks), not the `unmatched` ones.

Layout: `pd1_matched_phase{0,1}_results.jsonl.gz`, on each line a run: `trial_dir` identifies it, `dataset`, `model`,
`hps.batch_size` and, for one model, `hps.activation_fn` define the task; lists aligned with `global_step`. A diverged
run can have null instead of the lists, and any entry can be null: that is NaN here. Error rates are fractions. A run
whose lists are missing or have fewer than five entries is no curve.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.raw import Raw

FILES = re.compile(r"pd1_matched_phase[01]_results\.jsonl(\.gz)?")
METRICS = tuple(f"{part}/{name}" for part in ("valid", "test", "train") for name in ("error_rate", "ce_loss"))


def read(path: Path, wanted: Callable[[str], bool], *, per_task: int | None = None, seed: int = 0) -> Iterator[Raw]:
    """The curves of the wanted tasks by step, of all runs: the files are in no order, however few are needed."""
    for line in _lines(path):
        found = json.loads(line)
        task = task_of(found)
        if not wanted(task) or not found.get("global_step"):
            continue
        t = np.array(found["global_step"], dtype=float)
        for name in METRICS:
            y = np.array(found.get(name) or [], dtype=float)
            n = min(len(t), len(y))  # a list of a diverged run can be short
            known = np.isfinite(t[:n])
            times, last = np.unique(t[:n][known][::-1], return_index=True)  # of a step logged twice the later one
            values = y[:n][known][::-1][last]
            yield Raw(task, found["trial_dir"], name, "min", "step", times, values)


def task_of(found: dict[str, Any]) -> str:
    """The usual name of a run's task.

    Example:
        >>> task_of({"dataset": "imagenet", "model": "resnet", "hps.batch_size": 512, "hps.activation_fn": None})
        'imagenet_resnet_batch_size_512'
    """
    activation = found.get("hps.activation_fn")
    parts = [found["dataset"], found["model"], *([activation] if activation else [])]
    return "_".join([*parts, "batch_size", str(int(found["hps.batch_size"]))])


def _lines(path: Path) -> Iterator[str]:
    """The lines of the files of runs, whether they lie in an archive or in a folder."""
    if path.is_dir():
        for file in sorted(path.rglob("pd1_*")):
            if FILES.fullmatch(file.name):
                with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
                    yield from lines
        return
    with tarfile.open(path) as archive:
        for member in archive:
            packed = archive.extractfile(member) if FILES.fullmatch(Path(member.name).name) else None
            if packed is not None:
                with gzip.open(packed, "rt") if member.name.endswith(".gz") else io.TextIOWrapper(packed) as lines:
                    yield from lines
