"""What is decided about one run, from its points and what is known of the others: no state, no clock, no randomness."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from lcpfn.context import read_context
from lcpfn.metric import Metric
from lcpfn.pfn import load
from lcpfn.stopping.decision import QUANTILES, Decision
from lcpfn.stopping.question import Predictor, Question, Rivals, best_of
from lcpfn.stopping.rules import RULES
from lcpfn.stopping.thresholds import CAP, STARTS

EXPLODED = 1000.0  # two values in a row this many times larger than all before, on the bad side: the run diverged
STOPS = {"paper": "hopeless", "best": "hopeless", "worth": "not worth it", "converged": "converged"}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How runs are judged.

    Attributes:
        horizon: the time at which a run ends, in steps (see first_step): its whole budget.
        metric: direction and bounds of the values; the engine's own by default.
        engine: the name of a checkpoint, read when it is first needed, or an engine.
        rule: "best", "paper", "worth" or "converged"; see `lcpfn.stopping.rules`.
        level: for "best" the chance that a run which would have beaten the incumbent is ever stopped; for "paper" and
            "converged" the probability that each look compares with.
        min_delta: by how much the incumbent has to be beaten, in units of y; for "converged" the gain that is worth
            going on for.
        rank: 1 compares with the best finished run, k with the k-th best.
        min_rate: for "worth": the gain per unit of time that is worth going on for; None compares with a fresh run.
        min_points: no run stops, unless it diverged, before it has so many.
        every: a run is judged after every so many points.
        first_step: the step of a run's first report. The time of a step is step - first_step + 1.
        nan: "stop" takes a value that is not finite for divergence, "skip" leaves it out.
        start: of "best": "own" compares later odds with those that the engine gave the run after its first point,
            however many others there are, "runs" with those of a run among all that are over, "higher" with the
            higher of both; see `lcpfn.stopping.thresholds`.
        cap: of "own" and "higher": no run is stopped whose probability of winning is above this and above level.
        spend: False makes "best" compare with level itself at each look: then level bounds the share of winners among
            the stopped runs only.
        alarm: asked before a rule stops a run: "surprise" lets it go on where the curve is unlike the prior of the
            engine, if that can tell (`PFN.surprise`); a function of the question returns a text that says why the run
            is not to be judged, or None; None never asks.
        stretch_time: as for `PFN.predict`: for runs that are not counted from 1 to 100 under a checkpoint that is.

    Raises:
        ValueError: if a value is out of its range.
        TypeError: if metric is no Metric.
    """

    horizon: float
    metric: Metric | None = None
    engine: str | Predictor = "default"
    rule: str = "best"
    level: float = 0.05
    min_delta: float = 0.0
    rank: int = 1
    min_rate: float | None = None
    min_points: int = 2
    every: int = 1
    first_step: int = 1
    nan: str = "stop"
    start: str = "own"
    cap: float = CAP
    spend: bool = True
    alarm: Callable[[Question], str | None] | str | None = "surprise"
    stretch_time: bool = False

    def __post_init__(self) -> None:
        for name, known in (
            ("rule", tuple(RULES)),
            ("nan", ("stop", "skip")),
            ("first_step", (0, 1)),
            ("start", STARTS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {getattr(self, name)!r}")
        if self.metric is not None and not isinstance(self.metric, Metric):
            raise TypeError(f'metric must be a lcpfn.Metric, got {self.metric!r}; write Metric("min", bounds=(0, 1))')
        if not _real(self.horizon) or not math.isfinite(self.horizon) or self.horizon < 2:
            raise ValueError(f"horizon must be a finite number of steps, 2 or more, got {self.horizon!r}")
        if not _real(self.level) or not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {self.level!r}; divide percentages by 100")
        if not _real(self.cap) or not 0 < self.cap <= 1:
            raise ValueError(f"cap must be a probability above 0, got {self.cap!r}; divide percentages by 100")
        if not (self.alarm is None or self.alarm == "surprise" or callable(self.alarm)):
            raise ValueError(f'alarm must be "surprise", a function of the question or None, got {self.alarm!r}')
        for name in ("rank", "every", "min_points"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number, 1 or more, got {value!r}")
        if self.rule == "paper" and self.min_points < 2:
            raise ValueError(f'the rule "paper" takes 2 points at least, got min_points={self.min_points}')
        for name in ("min_delta", "min_rate"):
            value = getattr(self, name)
            if value is not None and not (_real(value) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number, 0 or more, got {value!r}")
        if self.rule == "converged" and not self.min_delta:
            raise ValueError(
                "converged needs min_delta, the gain worth going on for, above 0: noise alone gains a little"
            )

    @property
    def predictor(self) -> Predictor:
        """The engine; weights are read once in a process, and never become part of a pickle."""
        return _loaded(self.engine) if isinstance(self.engine, str) else self.engine

    @property
    def measured(self) -> Metric:
        """Direction and bounds of the values."""
        if self.metric is not None:
            return self.metric
        metric = getattr(self.predictor, "metric", None)
        if not isinstance(metric, Metric):
            raise TypeError("this engine names no metric of its own: give metric=lcpfn.Metric(...)")
        return metric

    def bar(self, rivals: Rivals) -> float | None:
        """The value that a run has to beat: of all runs for "paper", else of the finished ones; None if none stands."""
        sign = self.measured.sign
        if self.rule == "paper":
            values = (*rivals.finished, *rivals.running)
            return sign * max(sign * y for y in values) if values else None
        ranked = sorted((sign * y for y in rivals.finished), reverse=True)
        return sign * ranked[self.rank - 1] if len(ranked) >= self.rank else None

    def best_of(self, values: Sequence[float]) -> float | None:
        """The best of the values that are finite, None if none is."""
        finite = [y for y in values if math.isfinite(y)]
        return best_of(finite, self.measured) if finite else None

    def gap(self, run: Question) -> float:
        """Points between two looks at a run, of one that will have more than 100 points as if it had 100."""
        count, t = len(run.t), run.t
        if count == 1:
            return self.every * min(1.0, 100 / run.horizon)
        points = count + (run.horizon - t[-1]) / ((t[-1] - t[0]) / (count - 1))
        return float(self.every * min(1.0, 100 / points))

    def decide(self, steps: Sequence[float], values: Sequence[float], rivals: Rivals) -> Decision:
        """The decision about one run.

        Args:
            steps: (T,) distinct, in any order.
            values: (T,) what was measured at them; values that are not finite mean divergence.
            rivals: the other runs.

        Raises:
            TypeError: if a step or value is no number.
            ValueError: if a step is negative, before first_step or repeated, or a value is outside of the metric's
                bounds.
        """
        known = [
            (check_step(step, self.first_step), check_value(value, self.measured))
            for step, value in zip(steps, values, strict=True)
        ]
        known.sort(key=lambda point: point[0])
        if any(later[0] == sooner[0] for sooner, later in pairwise(known)):
            raise ValueError(f"steps must be distinct, got {[step for step, _ in known]}; keep one value of each")
        finite = [(step, value) for step, value in known if math.isfinite(value)]
        if self.nan == "stop" and len(finite) < len(known):
            step, value = next(point for point in known if not math.isfinite(point[1]))
            return Decision(stop=True, reason="diverged", detail=f"the value at step {step:g} is {value}")
        if not finite:
            return Decision(stop=False, reason="no points", detail="nothing was measured yet")
        t, y = (np.array(column) for column in zip(*finite))
        t = t - self.first_step + 1.0
        if (exploded := self._exploded(y)) is not None:
            return Decision(stop=True, reason="diverged", detail=exploded)
        return self._judge(t, y, rivals)

    def _judge(self, t: np.ndarray, y: np.ndarray, rivals: Rivals) -> Decision:
        count, bar = len(t), None if self.rule == "converged" else self.bar(rivals)

        def go_on(reason: str, detail: str) -> Decision:
            return Decision(stop=False, reason=reason, detail=detail, incumbent=bar)

        if t[-1] >= self.horizon:
            return go_on("horizon reached", f"the run is at {t[-1]:g} of {self.horizon:g}: finish it")
        if count < self.min_points:
            return go_on("too few points", f"{count} of at least {self.min_points}")
        if count % self.every:
            return go_on("between looks", f"{count} points, judged at every {self.every}")
        if bar is None and self.rule != "converged":
            return go_on("no incumbent", f"{len(rivals.finished)} runs are finished, {self.rank} needed")
        run = Question(self.predictor, self.measured, t, y, self.horizon, self.stretch_time)
        if bar is not None and run.beats(bar):
            return go_on("ahead", f"its best {run.record:.5g} is better than {bar:.5g}")
        verdict = RULES[self.rule](run, rivals, self)
        why = self._rings(run) if verdict.stop else None
        found = f"{verdict.what} = {verdict.found:.3g} {'<=' if verdict.stop else '>'} {verdict.threshold:.3g}"
        return Decision(
            stop=verdict.stop and why is None,
            p_better=run.prob_beating(verdict.target),
            expected_best=run.record + run.metric.sign * run.expected_gain(run.record),
            quantiles=run.quantiles(QUANTILES),
            reason="alarm" if why else STOPS[self.rule] if verdict.stop else "promising",
            detail=found if why is None else f"{found}, but {why}",
            incumbent=bar,
            verdict=verdict,
            run=run,
        )

    def _rings(self, run: Question) -> str | None:
        """Why the run is not to be judged, None if nothing is against it."""
        if self.alarm is None or callable(self.alarm):
            return None if self.alarm is None else self.alarm(run)
        since = run.unlike_since()
        return None if since is None else f"the curve is unlike the prior since {since:g}"

    def _exploded(self, y: np.ndarray) -> str | None:
        """Why the finite values (T,) mean divergence, None if they do not."""
        if len(y) < 4 or None not in self.measured.bounds:
            return None
        before, bad = float(np.abs(y[:-2]).max()), -self.measured.sign * y[-2:]
        if before > 0 and (bad > EXPLODED * before).all():
            return f"the last two values, {y[-2]:.3g} and {y[-1]:.3g}, are over {EXPLODED:g} times all before"
        return None


def check_step(step: Any, first: int) -> float:
    """The step as a number.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is not finite, or before the first one.
    """
    if not _real(step):
        raise TypeError(
            f"step must be a number that counts epochs, steps or seconds, got {step!r} of type {type(step).__name__}"
        )
    if not math.isfinite(step) or step < first:
        hint = "; give first_step=0 if your steps start at 0" if step == 0 else ""
        raise ValueError(f"step must be finite and not before first_step={first}, got {step!r}{hint}")
    return float(step)


def check_value(value: Any, metric: Metric) -> float:
    """The value as a number, perhaps not a finite one.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is outside of the metric's bounds.
    """
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()  # a 0-d array or tensor
    if not _real(value):
        raise TypeError(
            f"value must be a number, got {value!r} of type {type(value).__name__}; "
            "for a step without a measurement call nothing"
        )
    number = float(value)
    if math.isfinite(number):
        read_context([number], metric=metric)  # its error says what to do about percentages
    return number


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


@cache
def _loaded(name: str) -> Predictor:
    return load(name)
