"""The questions of the contest on real curves: a curve, how much of it is seen, what is asked, and what was true.

Letters: B curves, T points, Q queries.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from data.curve import RealCurve
from opponents.method import Method

from lcpfn.belief import Belief

CUTS = (10, 20, 40, 80)  # percent of the points that are seen
LEAST_SEEN = 2
LATER = 25  # later points of a curve that are asked at most, the last one included
INCUMBENTS = 8  # final values of other runs that a run has to beat, at most
NOT_FINITE = "a belief that is not finite"
OTHERS = 200  # curves of other tasks that a method may learn from, at most


@dataclass(frozen=True, eq=False)
class Case:
    """A curve at a cut-off.

    Attributes:
        curve: the whole of it.
        cut: percent of its points that are seen.
        seen: number of its points that are seen, finite or not.
        asked: (Q,) places in the curve of the later points that are asked, increasing; the last one is the curve's.
    """

    curve: RealCurve
    cut: int
    seen: int
    asked: np.ndarray

    @property
    def observed(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and values that a method gets: those seen that are finite."""
        t, y = self.curve.t[: self.seen], self.curve.y[: self.seen]
        known = np.isfinite(y)
        return t[known], y[known]

    @property
    def later(self) -> np.ndarray:
        """(Q,) values at the asked places."""
        return self.curve.y[self.asked]

    @property
    def best(self) -> float:
        """Best of all later values, NaN if none is finite."""
        later = self.curve.y[self.seen :]
        later = later[np.isfinite(later)]
        sign = self.curve.metric.sign
        return float(sign * np.max(sign * later)) if later.size else np.nan

    @property
    def diverges(self) -> bool:
        """Whether the run does not end with a number."""
        return not np.isfinite(self.curve.y[-1])

    @property
    def hopeless(self) -> str | None:
        """Why there is nothing to forecast, None if there is."""
        rest = self.curve.y[self.seen - 1 :]
        if not np.isfinite(rest).any():
            return "diverged before the cut-off"
        if len(self.observed[0]) < LEAST_SEEN:
            return f"fewer than {LEAST_SEEN} finite points seen"
        return None


def case(curve: RealCurve, cut: int) -> Case:
    """The curve at a cut-off: a share of its points, rounded up, two at least.

    Raises:
        ValueError: if nothing is left to forecast.
    """
    seen = max(LEAST_SEEN, ceil(cut * len(curve) / 100))
    if seen >= len(curve):
        raise ValueError(
            f"a curve needs a point after the {seen} that are seen at {cut} %, got {len(curve)} points in run "
            f"{curve.run!r} of {curve.source}, {curve.task}; leave short curves out when reading"
        )
    places = np.linspace(seen, len(curve) - 1, min(LATER, len(curve) - seen))
    return Case(curve, cut, seen, np.unique(np.round(places).astype(int)))


def stream(*path: Any) -> np.random.Generator:
    """A generator of its own for everything that is drawn about one thing, whatever else is run."""
    digest = hashlib.blake2b(repr(path).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def incumbents(curve: RealCurve, finals: dict[str, float], *, seed: int) -> np.ndarray:
    """(up to INCUMBENTS,) final values of other runs of the task, drawn without replacement.

    Args:
        curve: that has to beat them.
        finals: last value of the runs of task and metric, by run; those that are not finite are no incumbents.
        seed: of the contest.
    """
    others = np.array([y for run, y in sorted(finals.items()) if run != curve.run and np.isfinite(y)])
    draw = stream(seed, "incumbents", curve.source, curve.task, curve.name, curve.run)
    return draw.choice(others, min(INCUMBENTS, len(others)), replace=False) if len(others) else others


def neighbours(
    curve: RealCurve, pools: Mapping[str, dict[str, list[RealCurve]]], *, seed: int, limit: int = OTHERS
) -> list[RealCurve]:
    """Curves of other tasks that a method may learn from: of the source, if it has another task; else of all others.

    Of the same metric's name, if there are any; drawn where there are more than `limit`.

    Args:
        curve: any of the source, task and metric that is forecast next.
        pools: source -> task -> curves.
        seed: of the contest.
        limit: how many.
    """
    found = [each for task, curves in pools[curve.source].items() if task != curve.task for each in curves]
    if not found:
        elsewhere = (tasks.values() for source, tasks in pools.items() if source != curve.source)
        found = [each for tasks in elsewhere for curves in tasks for each in curves]
    found = [each for each in found if each.name == curve.name] or found
    if len(found) > limit:
        draw = stream(seed, "others", curve.source, curve.task, curve.name)
        found = [found[i] for i in np.sort(draw.choice(len(found), limit, replace=False))]
    return found


def divergence_rate(others: Sequence[RealCurve], cut: int) -> float:
    """The share of other tasks' runs, alive at the cut-off, that do not end with a number; never quite 0 or 1."""
    ends = [each.diverges for each in (case(curve, cut) for curve in others) if each.hopeless is None]
    return (sum(ends) + 0.5) / (len(ends) + 1)


@dataclass(frozen=True)
class Answer:
    """What a method said about a batch of cases.

    Attributes:
        beliefs: (B) of them, None where it failed.
        reasons: why it failed, by position in the batch.
        cpu_s: processor time of the batch.
    """

    beliefs: list[Belief | None]
    reasons: dict[int, str]
    cpu_s: float


def ask(method: Method, cases: Sequence[Case], *, kind: str) -> Answer:
    """The method's beliefs about the asked times of all cases, of one task and metric.

    kind "value" is asked at all of them, "best" at the last one. Where the batch raises, every curve is asked alone; a
    curve that raises, or gets an answer that is none, is a failure with its reason.
    """
    began = time.process_time()
    beliefs: list[Belief | None] = [None] * len(cases)
    reasons: dict[int, str] = {}
    with silence():
        try:
            beliefs = list(_predict(method, cases, kind))
        except Exception:
            for i, each in enumerate(cases):
                try:
                    (beliefs[i],) = _predict(method, [each], kind)
                except Exception as error:
                    reasons[i] = reason(error)
    spent, asked = time.process_time() - began, times(cases, kind)
    for i, belief in enumerate(beliefs):
        if belief is not None and (wrong := _wrong(belief, asked[i])):
            beliefs[i], reasons[i] = None, wrong
    return Answer(beliefs, reasons, spent)


def divergence(method: Method, cases: Sequence[Case], *, others: Sequence[RealCurve]) -> np.ndarray:
    """(B,) probabilities that the runs do not end with a number.

    By the method, if it has `prob_diverges(y, *, t, metric, horizon) -> (B,)`; else the rate in other tasks.
    """
    if hasattr(method, "prob_diverges"):
        t, y = zip(*(each.observed for each in cases))
        told = {"metric": cases[0].curve.metric, "horizon": [float(each.curve.t[-1]) for each in cases]}
        return np.clip(np.asarray(method.prob_diverges(y, t=t, **told), dtype=np.float64), 0.0, 1.0)
    rates = {cut: divergence_rate(others, cut) for cut in {each.cut for each in cases}}
    return np.array([rates[each.cut] for each in cases])


def times(cases: Sequence[Case], kind: str) -> list[np.ndarray]:
    """The asked times (Q_i,) of each case: all of them, of "best" the last one alone."""
    return [each.curve.t[each.asked if kind == "value" else each.asked[-1:]] for each in cases]


@contextmanager
def silence() -> Iterator[None]:
    """No warnings while a method works: a fit that complains is judged by its forecast."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def reason(error: Exception) -> str:
    """What went wrong, in one short line."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:120].rstrip(": ")


def _predict(method: Method, cases: Sequence[Case], kind: str) -> list[Belief]:
    t, y = zip(*(each.observed for each in cases))
    beliefs = method.predict(
        list(y),
        times(cases, kind),
        t=list(t),
        kind=kind,
        metric=cases[0].curve.metric,
        horizon=[float(each.curve.t[-1]) for each in cases],
    )
    if len(beliefs) != len(cases):
        raise ValueError(f"a batch of {len(cases)} curves needs as many beliefs, got {len(beliefs)}")
    return beliefs


def _wrong(belief: Belief, t: np.ndarray) -> str | None:
    """Why the belief is no answer to the times, None if it is one."""
    if belief.shape != t.shape:
        return f"a belief of shape {belief.shape} about {len(t)} times"
    if not np.isfinite(belief.cdf(belief.location)).all():
        return NOT_FINITE
    return None
