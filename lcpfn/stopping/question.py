"""What a stopping rule may ask about one run: odds, gains and times, of any engine that has `predict`.

Letters: T observed points, Q query points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from lcpfn.belief import Belief
from lcpfn.metric import Metric

# Gauss-Legendre in the cube root of a share of the tail: a quantile rises like a root of a logarithm at its end.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
TAIL = ((1 + _NODES) / 2) ** 3  # shares of the probability of beating a value
SHARES = 1.5 * ((1 + _NODES) / 2) ** 2 * _WEIGHTS  # and their weights, 1 in all
EPSILON = 2.0**-52  # next to 1, smaller probabilities are lost
TIMES = 200  # looked at for the time to a target


class Predictor(Protocol):
    """An engine: `lcpfn.PFN`, `lcpfn.mcmc.MCMC`, or anything with their `predict`."""

    def predict(
        self,
        y: Any,
        t_query: Any = None,
        *,
        horizon: float | None = None,
        t: Any = None,
        kind: str = "value",
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
    ) -> Belief:
        """Returns the belief about later times, as `PFN.predict` does."""


@dataclass(frozen=True)
class Rivals:
    """What is known of the other runs.

    Attributes:
        finished: the best value of each run that was trained to its end.
        concluded: number of runs that are over, finished or stopped.
        running: the best value so far of each run that is not finished.
    """

    finished: tuple[float, ...] = ()
    concluded: int = 0
    running: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Question:
    """One run as it stands, and what can be asked about it.

    Attributes:
        engine: who answers.
        metric: direction and bounds of y.
        t: (T,) times of the points, increasing, at least one.
        y: (T,) finite values.
        horizon: time at which the run ends, after the last point.
        stretch_time: as for `PFN.predict`.

    Example:
        >>> import lcpfn
        >>> y = np.array([0.20, 0.34, 0.41, 0.48, 0.50, 0.55])
        >>> run = Question(lcpfn.load("paper"), lcpfn.Metric(bounds=(0, 1)), np.arange(1.0, 7.0), y, 100.0)
        >>> 0 < run.prob_beating(0.9) < run.prob_beating(0.6) < 1
        True
        >>> 7 <= run.time_to(0.6) < 20, run.time_to(0.5), run.time_to(0.99)
        (True, 6.0, None)
    """

    engine: Predictor
    metric: Metric
    t: np.ndarray
    y: np.ndarray
    horizon: float
    stretch_time: bool = False

    @cached_property
    def record(self) -> float:
        """The best value so far."""
        return best_of(self.y, self.metric)

    @cached_property
    def to_come(self) -> Belief:
        """() the belief about the best value after the last point up to the horizon."""
        return self._ask([self.horizon], kind="best")[0]

    def values(self) -> Belief:
        """(Q,) the beliefs about the values at all later times up to the horizon."""
        if len(self.t) > 1:
            return self._ask(horizon=self.horizon)
        return self._ask(np.arange(self.t[-1] + 1, self.horizon + 1))  # one point does not tell the spacing

    def beats(self, target: float) -> bool:
        """Whether the run has already been better than the target."""
        return self.metric.sign * self.record > self.metric.sign * target

    def prob_beating(self, target: float) -> float:
        """The probability that the run is ever better than the target, 1 if it already was."""
        return 1.0 if self.beats(target) else float(self.to_come.prob_better(target))

    def prob_at_start(self, target: float) -> float:
        """The probability that a run with its first point alone is ever better than the target."""
        return self._first.prob_beating(target)

    @cached_property
    def _first(self) -> Question:
        return Question(self.engine, self.metric, self.t[:1], self.y[:1], self.horizon, self.stretch_time)

    def unlike_since(self) -> float | None:
        """The time since which the curve is unlike the prior of the engine; None if it is not, or nobody can tell."""
        surprise = getattr(self.engine, "surprise", None)
        if surprise is None:
            return None
        told = surprise(
            self.y,
            t=self.t,
            metric=self.metric,
            run_end=self.horizon,
            horizon=self.horizon,
            stretch_time=self.stretch_time,
        )
        return float(told.since) if told.alarm else None

    def expected_gain(self, target: float) -> float:
        """By how much the run's best will exceed the target in the mean, 0 where it does not; in units of y."""
        ahead = self.metric.sign * (self.record - target)
        if ahead > 0:
            return ahead + gain_over(self.to_come, self.record)
        return gain_over(self.to_come, target)

    def quantiles(self, q: Sequence[float]) -> dict[float, float]:
        """Quantiles of the run's best value at the horizon, what it has reached included; in units of y, by q."""
        better = np.fmax if self.metric.sign > 0 else np.fmin
        return {p: float(better(self.record, y)) for p, y in zip(q, self.to_come.quantile(np.array(q)))}

    def gain_by(self, t: float) -> float:
        """By how much the run's best will have improved at time t in the mean, in units of y, never negative."""
        return gain_over(self._ask([t], kind="best")[0], self.record)

    def time_to(self, target: float, *, probability: float = 0.5) -> float | None:
        """The time at which the target has been beaten with this probability, None if not within the horizon.

        "How much more training for half a point?" is `time_to(record + 0.005) - t[-1]`. If the run has beaten the
        target already, it is the time at which it did.
        """
        if self.beats(target):
            return float(self.t[np.argmax(self.metric.sign * self.y > self.metric.sign * target)])
        later = self.values().t if len(self.t) > 1 else np.linspace(self.t[-1], self.horizon, TIMES + 1)[1:]
        later = later[np.unique(np.linspace(0, len(later) - 1, min(len(later), TIMES)).astype(int))]
        odds = np.maximum.accumulate(self._ask(later, kind="best").prob_better(target))
        reached = odds >= probability
        return float(later[np.argmax(reached)]) if reached.any() else None

    def _ask(self, t_query: Any = None, **how: Any) -> Belief:
        return self.engine.predict(
            self.y,
            t_query,
            t=self.t,
            metric=self.metric,
            run_end=self.horizon,
            stretch_time=self.stretch_time,
            **how,
        )


def best_of(y: np.ndarray | Sequence[float], metric: Metric) -> float:
    """The best of at least one finite value."""
    return float(metric.sign * np.max(metric.sign * np.asarray(y)))


def gain_over(best: Belief, over: float) -> float:
    """E[(best - over)+] in the better direction, from quantiles inside the tail, however thin it is."""
    p = float(best.prob_better(over))
    if p <= EPSILON:
        return 0.0
    tail = np.maximum(p * TAIL, EPSILON)
    y = best.quantile(1 - tail if best.metric.sign > 0 else tail)
    return p * float(SHARES @ np.maximum(best.metric.sign * (y - over), 0.0))
