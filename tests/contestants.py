"""Small curves and methods for tests of the contest on real curves."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "real.cases",
    "real.cell",
    "data.curve",
    "real.gallery",
    "real.contest",
    "real.rows",
    "report.scoreboard",
    "real.scores",
    "real.summary",
)
METRIC = Metric("max", bounds=(0, 1))
SOURCES = ("alone", "many")


def load() -> dict[str, ModuleType]:
    """The modules of the contest by their last names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return {name.rpartition(".")[2]: importlib.import_module(name) for name in MODULES}


def curve(bench: dict[str, ModuleType], y: Any, *, task: str = "a", run: str = "0", **facts: Any) -> Any:
    """A curve of the source "many" with one point per epoch."""
    y = np.asarray(y, dtype=np.float64)
    told = {"source": "many", "name": "val/accuracy", "metric": METRIC, "t": np.arange(1.0, len(y) + 1)} | facts
    return bench["curve"].RealCurve(task=task, run=run, y=y, **told)


def rising(bench: dict[str, ModuleType], source: str, **_: Any) -> list[Any]:
    """Three tasks of two runs each, or one task: noisy rises, a constant, an end in NaN, and an explosion."""
    draw = np.random.default_rng(SOURCES.index(source))
    found = []
    for task in ("a", "b", "c") if source == "many" else ("only",):
        for run in range(4):
            y = draw.uniform(0.5, 0.9) * (1 - np.exp(-np.arange(1, 31) / draw.uniform(3, 20)))
            y = np.round(y + draw.normal(0, 0.01, 30), 3)
            found.append(curve(bench, y, task=task, run=str(run), source=source, resolution=0.001))
    found[0].y[25:] = np.nan
    found[1].y[:] = 0.1
    return found


class Hopeful:
    """The last value with a fixed spread."""

    name = "hopeful"

    def __init__(self, std: float = 0.1, *, wrong: str = "", after: int = 10**9) -> None:
        self.std, self.wrong, self.after, self.asked, self.learnt = std, wrong, after, 0, []

    def prepare(self, others: Sequence[Any]) -> None:
        self.learnt.append(others)

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric, horizon: Any) -> list[Belief]:
        self.asked += 1
        if self.asked > self.after:
            raise KeyboardInterrupt
        if self.wrong == "raises" and any(len(values) > 5 for values in y):
            raise FloatingPointError("too many points\nand more")
        found = []
        for values, times in zip(y, t_query):
            ones = np.ones((len(times) + (self.wrong == "shape"), 1))
            location = np.nan if self.wrong == "nan" else metric.sign * values[-1]
            law = Mixture(0 * ones, 0 * ones, ones)
            when = np.resize(times, len(ones))
            found.append(Belief(law, location, self.std, metric=metric, kind=kind, t=when))
        return found


class Oracle(Hopeful):
    """Knows all curves."""

    name = "oracle"

    def __init__(self, curves: Sequence[Any]) -> None:
        super().__init__()
        self.curves = curves

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric, horizon: Any) -> list[Belief]:
        found = []
        for values, times, seen in zip(y, t_query, t):
            own = next(each for each in self.curves if (each.y[: len(values)] == values).all())
            later = own.t > seen[-1]
            truth = np.nan_to_num(own.y[np.searchsorted(own.t, times)])
            if kind == "best":
                truth = np.array([np.nanmax(own.y[later])])
            law = Mixture(np.zeros((len(times), 1)), np.zeros((len(times), 1)), np.ones((len(times), 1)))
            found.append(Belief(law, truth, 1e-4, metric=metric, kind=kind, t=times))
        return found
