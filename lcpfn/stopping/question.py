"""What a stopping rule may ask about one run: odds, gains and times, of any engine that has `predict`.

Letters: T observed points, Q query points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lcpfn.belief import Belief
from lcpfn.engine import Engine
from lcpfn.metric import Metric
from lcpfn.stopping.rule import EPSILON, Array, Floats

Target = Literal["best", "last"]

# Gauss-Legendre in the cube root of a share of the tail: a quantile rises like a root of a logarithm at its end.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
TAIL = ((1 + _NODES) / 2) ** 3  # shares of the probability of beating a value
SHARES = 1.5 * ((1 + _NODES) / 2) ** 2 * _WEIGHTS  # and their weights, 1 in all
TIMES = 200  # looked at for the time to a target


@dataclass(frozen=True, eq=False)
class Question:
    """One run as it stands, and what can be asked about it: the `lcpfn.stopping.rule.Prospects` of one prefix.

    Attributes:
        engine: who answers.
        metric: direction and bounds of y.
        t: (T,) times of the points, increasing, at least one.
        y: (T,) finite values.
        horizon: time at which the run ends, after the last point.
        stretch_time: as for `PFN.predict`.
        every: points between two looks at the run.
        target: what a run is ranked by in the end: "best", the best value that it ever had, or "last", its last one.

    Example:
        >>> import lcpfn
        >>> y = np.array([0.20, 0.34, 0.41, 0.48, 0.50, 0.55])
        >>> run = Question(lcpfn.load("paper"), lcpfn.Metric(bounds=(0, 1)), np.arange(1.0, 7.0), y, 100.0)
        >>> 0 < run.prob_beating(0.9) < run.prob_beating(0.6) < 1
        True
        >>> 7 <= run.time_to(0.6) < 20, run.time_to(0.5), run.time_to(0.99)
        (True, 6.0, None)
    """

    engine: Engine
    metric: Metric
    t: Array
    y: Array
    horizon: float
    stretch_time: bool = False
    every: int = 1
    target: Target = "best"

    @property
    def now(self) -> float:
        """The time of the last point."""
        return float(self.t[-1])

    @cached_property
    def record(self) -> float:
        """The best value so far."""
        return best_of(self.y, self.metric)

    @property
    def gap(self) -> float:
        """Points between two looks, of a run that will have more than 100 points as if it had 100."""
        count = len(self.t)
        if count == 1:
            return self.every * min(1.0, 100 / self.horizon)
        points = count + (self.horizon - self.t[-1]) / ((self.t[-1] - self.t[0]) / (count - 1))
        return float(self.every * min(1.0, 100 / points))

    @cached_property
    def to_come(self) -> Belief:
        """() the belief about what the run is ranked by: its best value from now to the horizon, or its last one."""
        return self._ask([self.horizon], kind="best" if self.target == "best" else "value")[0]

    @cached_property
    def later(self) -> Belief:
        """(Q,) the beliefs about the values at all later times up to the horizon."""
        if len(self.t) > 1:
            return self._ask(horizon=self.horizon)
        return self._ask(np.arange(self.t[-1] + 1, self.horizon + 1))  # one point does not tell the spacing

    def beats(self, target: float) -> bool:
        """Whether the run has already been better than the target, and is ranked by the best value that it had."""
        return self.target == "best" and self.metric.sign * self.record > self.metric.sign * target

    def prob_beating(self, target: Floats) -> float:
        """The probability that the run ends better than the target, 1 if it has beaten it for good."""
        return 1.0 if self.beats(float(target)) else float(self.to_come.prob_better(float(target)))

    def prob_at_start(self, target: float) -> float:
        """The probability that a run with its first point alone ends better than the target."""
        return self._first.prob_beating(target)

    @cached_property
    def _first(self) -> Question:
        return replace(self, t=self.t[:1], y=self.y[:1])

    def prob_at_any(self, target: Floats) -> float:
        """The probability that a later value is better than the target, at the likeliest time."""
        return float(np.max(self.later.prob_better(float(target))))

    def value_beaten(self, probability: float) -> float:
        """The value that the run ends better than with this probability, what it has reached left out."""
        return float(self.to_come.quantile(1 - probability if self.metric.sign > 0 else probability))

    def any_value_beaten(self, probability: float) -> float:
        """The value that a later one is better than with this probability, at the likeliest time."""
        values = self.later.quantile(1 - probability if self.metric.sign > 0 else probability)
        return best_of(values, self.metric)

    def unlike_since(self) -> float | None:
        """The time since which the curve is unlike the prior of the engine; None if it is not, or nobody can tell."""
        surprise = getattr(self.engine, "surprise", None)
        if surprise is None:
            return None
        found = surprise(
            self.y,
            t=self.t,
            metric=self.metric,
            run_end=self.horizon,
            stretch_time=self.stretch_time,
        )
        return float(found.since) if found.alarm else None

    def expected_gain(self, target: float) -> float:
        """By how much the run will end better than the target in the mean, 0 where it does not; in units of y."""
        ahead = self.metric.sign * (self.record - target)
        if self.target == "best" and ahead > 0:
            return ahead + gain_over(self.to_come, self.record)
        return gain_over(self.to_come, target)

    def fresh_gain(self, target: float) -> float:
        """The same of a run that has not begun, as the prior knows it.

        Raises:
            ValueError: if the metric has no bounds, without which the prior knows no unit.
        """
        if None in self.metric.bounds:
            raise ValueError(
                f"Worth needs min_rate where the metric has no bounds, got bounds={self.metric.bounds}: nothing "
                "says what to expect of a fresh run; give the gain per unit of time that is worth going on for"
            )
        fresh = self.engine.predict(
            [],
            [self.horizon],
            kind="best" if self.target == "best" else "value",
            metric=self.metric,
            run_end=self.horizon,
            stretch_time=self.stretch_time,
        )
        return gain_over(fresh[0], target)

    def expected_end(self) -> float:
        """The mean of what the run is ranked by in the end."""
        if self.target == "last":
            return float(self.to_come.mean())
        return self.record + self.metric.sign * self.expected_gain(self.record)

    def quantiles(self, q: Sequence[float]) -> dict[float, float]:
        """Quantiles of what the run is ranked by in the end, the best value that it has had included; by q."""
        values = self.to_come.quantile(np.array(q))
        if self.target == "best":
            values = self.metric.sign * np.fmax(self.metric.sign * self.record, self.metric.sign * values)
        return {p: float(y) for p, y in zip(q, values)}

    def gain_by(self, t: float) -> float:
        """By how much the run's best will have improved at time t in the mean, in units of y, never negative."""
        return gain_over(self._ask([t], kind="best")[0], self.record)

    def time_to(self, target: float, *, probability: float = 0.5) -> float | None:
        """The time at which the target has been beaten with this probability, None if not within the horizon.

        "How much more training for half a point?" is `time_to(record + 0.005) - t[-1]`. If the run has beaten the
        target already, it is the time at which it did.
        """
        if self.metric.sign * self.record > self.metric.sign * target:
            return float(self.t[np.argmax(self.metric.sign * self.y > self.metric.sign * target)])
        later = self.later.t if len(self.t) > 1 else np.linspace(self.t[-1], self.horizon, TIMES + 1)[1:]
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


def best_of(y: Array | Sequence[float], metric: Metric) -> float:
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
