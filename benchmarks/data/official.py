"""The official downloads of LCBench, NATS-Bench, TaskSet and PD1, each found through an environment variable.

How to get each of them stands in the file that reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data import lcbench, nats, pd1, taskset
from data.raw import Kinds, Raw, wanted

FEWEST = 5  # points of a curve, as in the Parquet collection


@dataclass(frozen=True)
class Official:
    """A benchmark in the layout of its authors.

    Attributes:
        variable: of the environment, with the path of the data.
        kinds: which metrics are forecast, as `curves.FORECAST` says it.
        read: yields its curves, given the path, whether a task is wanted, how many runs of a task are needed, and the
            seed.
    """

    variable: str
    kinds: Kinds
    read: Callable[..., Iterator[Raw]]


SOURCES = {
    "lcbench": Official("LCPFN_LCBENCH", (("validation/accuracy",), ("validation/cross_entropy",)), lcbench.read),
    "nats_bench": Official(
        "LCPFN_NATS_BENCH",
        (("x-valid/accuracy", "ori-test/accuracy"), ("x-valid/loss", "ori-test/loss")),
        nats.read,
    ),
    "pd1": Official("LCPFN_PD1", (("valid/error_rate",), ("valid/ce_loss",)), pd1.read),
    "taskset_official": Official("LCPFN_TASKSET", (("valid/loss",),), taskset.read),
}


def present() -> tuple[str, ...]:
    """Names of the benchmarks whose variable is set."""
    return tuple(name for name, each in SOURCES.items() if os.environ.get(each.variable))


def read(
    source: str,
    *,
    tasks: Sequence[str] | None = None,
    split: str | None = None,
    per_task: int | None = None,
    seed: int = 0,
) -> Iterator[Raw]:
    """The curves of a benchmark, all metrics; those of fewer than five points are left out.

    Args:
        source: a name of `SOURCES`.
        tasks: of these tasks only.
        split: of this part of the tasks only.
        per_task: runs of a task that are needed. A reader that saves time or memory by it yields fewer than all, and
            scale and resolution are then decided from those.
        seed: of the order in which runs are drawn.

    Raises:
        FileNotFoundError: the variable is not set, or there are no data where it points.
        ValueError: no such split.
    """
    each = SOURCES[source]
    told = os.environ.get(each.variable)
    advice = f"benchmarks/{each.read.__module__.replace('.', '/')}.py says where to get them"
    if not told or not Path(told).exists():
        raise FileNotFoundError(f"{each.variable} must be the path of the data of {source}, got {told!r}; {advice}")
    met: set[str] = set()

    def asked_for(task: str) -> bool:
        met.add(task)
        return wanted(task, tasks=tasks, split=split)

    for raw in each.read(Path(told), asked_for, per_task=per_task, seed=seed):
        if len(raw.t) >= FEWEST:
            yield raw
    if not met:
        raise FileNotFoundError(f"{each.variable} must lead to the data of {source}, got none in {told!r}; {advice}")
