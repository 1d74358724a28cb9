"""What is decided about one run, from its points and what is known of the others: no state, no clock, no randomness."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from lcpfn.context import read_context
from lcpfn.engine import Engine
from lcpfn.metric import Metric
from lcpfn.pfn import load
from lcpfn.stopping import checks
from lcpfn.stopping.best import DEFAULT
from lcpfn.stopping.decision import QUANTILES, Decision, Reason
from lcpfn.stopping.options import Alarm, NotFinite
from lcpfn.stopping.question import Question, Target, best_of
from lcpfn.stopping.rule import Array, Rivals, Rule
from lcpfn.stopping.spelling import spelled

EXPLODED = 1000.0  # two values in a row this many times larger than all before, on the bad side: the run diverged
# By which factor a run is longer, or a finished one shorter, than the horizon before its unit is doubted; other tools
# end runs early, none trains them for twice their budget.
LONG, SHORT = 2.0, 20.0


@spelled
@dataclass(frozen=True, kw_only=True)
class Policy:
    """How runs are judged.

    Attributes:
        horizon: the number of steps of a whole run, its budget: the time at which it ends.
        rule: `Best()`, `Paper()`, `Worth()` or `Converged(min_delta=...)` of `lcpfn.stopping`.
        metric: direction and bounds of the values; the engine's own by default.
        engine: the name of a checkpoint, read when it is first needed, or an engine.
        min_points: no run stops, unless it diverged, before it has so many.
        every: a run is judged after every so many points.
        first_step: the step of a run's first report. The time of a step is step - first_step + 1.
        nan: "stop" takes a value that is not finite, and after which none is finite, for divergence; "skip" leaves it
            out. NaN before the first finite value is no measurement, and left out by both.
        alarm: asked before a rule stops a run: "surprise" lets it go on where the curve is unlike the prior of the
            engine, if that can tell (`PFN.surprise`); a function of the question returns a text that says why the run
            is not to be judged, or None; None never asks.
        target: what runs are ranked by in the end: "best", the best value of each, or "last", its last one.
        stretch_time: as for `PFN.predict`: for runs that are not counted from 1 to 100 under a checkpoint that is.

    Raises:
        ValueError: if a value is out of its range.
        TypeError: if metric is no Metric, rule no rule, or an argument is unknown.
    """

    horizon: float
    rule: Rule = DEFAULT
    metric: Metric | None = None
    engine: str | Engine = "default"
    min_points: int = 2
    every: int = 1
    first_step: int = 1
    nan: NotFinite = "stop"
    alarm: Alarm = "surprise"
    target: Target = "best"
    stretch_time: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.rule, str | type) or not hasattr(self.rule, "judge"):
            raise TypeError(f"rule must be a rule of lcpfn.stopping, as in rule=Best(level=0.05), got {self.rule!r}")
        checks.choice(self.nan, "nan", ("stop", "skip"))
        checks.choice(self.target, "target", ("best", "last"))
        checks.choice(self.first_step, "first_step", (0, 1))
        if self.metric is not None and not isinstance(self.metric, Metric):
            raise TypeError(f'metric must be a lcpfn.Metric, got {self.metric!r}; write Metric("min", bounds=(0, 1))')
        if not checks.is_real(self.horizon) or not math.isfinite(self.horizon) or self.horizon < 2:
            raise ValueError(f"horizon must be a finite number of steps, 2 or more, got {self.horizon!r}")
        if not (self.alarm is None or self.alarm == "surprise" or callable(self.alarm)):
            raise ValueError(f'alarm must be "surprise", a function of the question or None, got {self.alarm!r}')
        checks.count(self.every, "every")
        checks.count(self.min_points, "min_points")
        if self.min_points < self.rule.least_points:
            raise ValueError(
                f"{type(self.rule).__name__} takes {self.rule.least_points} points at least, "
                f"got min_points={self.min_points}"
            )

    @property
    def predictor(self) -> Engine:
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

    def standing(self, points: Mapping[float, float] | Mapping[int, float]) -> float | None:
        """What a run with these values by step is ranked by: its best finite value, or its last; None if none is."""
        finite: dict[float, float] = {step: y for step, y in points.items() if math.isfinite(y)}
        if not finite:
            return None
        return finite[max(finite)] if self.target == "last" else best_of(list(finite.values()), self.measured)

    def doubt(self, last: float, *, over: bool) -> str | None:
        """Why the horizon may be in another unit than the steps, so that nothing is ever stopped; None if it may not.

        Args:
            last: the last step of a run.
            over: whether the run was trained to its end.
        """
        t = last - self.first_step + 1.0
        if self.horizon / SHORT <= t <= self.horizon * LONG or (t < self.horizon and not over):
            return None
        came = f"ended at step {last:g}" if over else f"is at step {last:g}"
        return (
            f"horizon={self.horizon:g} may be in another unit than the steps, since a run {came}: nothing is stopped "
            "past the horizon, and little far before it; give the number of steps of a whole run"
        )

    def decide(self, steps: Iterable[float], values: Iterable[float | None], rivals: Rivals) -> Decision:
        """The decision about one run.

        Args:
            steps: (T,) distinct, in any order.
            values: (T,) what was measured at them; None where nothing was.
            rivals: the other runs.

        Raises:
            TypeError: if a step or value is no number.
            ValueError: if a step is negative, before first_step or repeated, or a value is outside of the metric's
                bounds.
        """
        known = [
            (check_step(step, self.first_step), check_value(value, self.measured))
            for step, value in zip(steps, values, strict=True)
            if value is not None
        ]
        known.sort(key=lambda point: point[0])
        if any(later[0] == sooner[0] for sooner, later in pairwise(known)):
            raise ValueError(f"steps must be distinct, got {[step for step, _ in known]}; keep one value of each")
        finite = [(step, value) for step, value in known if math.isfinite(value)]
        if self.nan == "stop" and (broken := _broken(known)) is not None:
            step, value = broken
            return Decision(stop=True, reason="diverged", detail=f"the value at step {step:g} is {value}")
        if not finite:
            return Decision(stop=False, reason="no points", detail="nothing was measured yet")
        t, y = (np.array(column) for column in zip(*finite))
        t = t - self.first_step + 1.0
        if (exploded := self._exploded(y)) is not None:
            return Decision(stop=True, reason="diverged", detail=exploded)
        return self._judge(t, y, rivals, _left_out(known))

    def _judge(self, t: Array, y: Array, rivals: Rivals, notices: tuple[str, ...]) -> Decision:
        count, bar = len(t), self.rule.bar(rivals, self.measured)

        def go_on(reason: Reason, detail: str) -> Decision:
            return Decision(stop=False, reason=reason, detail=detail, incumbent=bar, notices=notices)

        if t[-1] >= self.horizon:
            return go_on("horizon reached", f"the run is at {t[-1]:g} of {self.horizon:g}: finish it")
        if count < self.min_points:
            return go_on("too few points", f"{count} of at least {self.min_points}")
        if count % self.every:
            return go_on("between looks", f"{count} points, judged at every {self.every}")
        if bar is None and self.rule.compares:
            return go_on("no incumbent", f"{len(rivals.finished)} runs are finished, {self.rule.rank} needed")
        run = Question(
            self.predictor, self.measured, t, y, self.horizon, self.stretch_time, every=self.every, target=self.target
        )
        if bar is not None and run.beats(bar):
            return go_on("ahead", f"its best {run.record:.5g} is better than {bar:.5g}")
        verdict = self.rule.judge(run, rivals)
        why = self._rings(run) if verdict.stop else None
        found = f"{verdict.what} = {verdict.found:.3g} {'<=' if verdict.stop else '>'} {verdict.threshold:.3g}"
        return Decision(
            stop=verdict.stop and why is None,
            p_better=run.prob_beating(verdict.target),
            expected_end=run.expected_end(),
            quantiles=run.quantiles(QUANTILES),
            reason="alarm" if why else self.rule.reason if verdict.stop else "promising",
            detail=found if why is None else f"{found}, but {why}",
            incumbent=bar,
            verdict=verdict,
            notices=notices,
            run=run,
            rule=self.rule,
            rivals=rivals,
        )

    def _rings(self, run: Question) -> str | None:
        """Why the run is not to be judged, None if nothing is against it."""
        if self.alarm is None or callable(self.alarm):
            return None if self.alarm is None else self.alarm(run)
        since = run.unlike_since()
        return None if since is None else f"the curve is unlike the prior since {since:g}"

    def _exploded(self, y: Array) -> str | None:
        """Why the finite values (T,) mean divergence, None if they do not."""
        if len(y) < 4 or None not in self.measured.bounds:
            return None
        before, bad = float(np.abs(y[:-2]).max()), -self.measured.sign * y[-2:]
        if before > 0 and (bad > EXPLODED * before).all():
            return f"the last two values, {y[-2]:.3g} and {y[-1]:.3g}, are over {EXPLODED:g} times all before"
        return None


Points = list[tuple[float, float]]  # (step, value) by step


def _broken(known: Points) -> tuple[float, float] | None:
    """The first point of those that are not finite at the end of a run: there it diverged.

    NaN before the first finite value is what frameworks report where nothing was measured yet (the mean reward before
    the first episode ends); an infinite value was measured.
    """
    finite = [i for i, (_, value) in enumerate(known) if math.isfinite(value)]
    if finite:
        return known[finite[-1] + 1] if finite[-1] + 1 < len(known) else None
    return next((point for point in known if math.isinf(point[1])), None)


def _left_out(known: Points) -> tuple[str, ...]:
    """Notices of the values that are not finite, where finite ones come after them."""
    measured = [i for i, (_, value) in enumerate(known) if not math.isnan(value)]
    odd = [point for point in known[measured[0] :] if not math.isfinite(point[1])]
    if not odd:
        return ()
    step, value = odd[0]
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    return (f"the value at step {step:g}, {value},{more} {'are' if more else 'is'} left out",)


def check_step(step: Any, first: int) -> float:
    """The step as a number.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is not finite, or before the first one.
    """
    if not checks.is_real(step):
        raise TypeError(
            f"step must be a number that counts epochs, steps or seconds, got {step!r} of type {type(step).__name__}"
        )
    number = _float(step, "step")
    if not math.isfinite(number) or number < first:
        hint = "; give first_step=0 if your steps start at 0" if step == 0 else ""
        raise ValueError(f"step must be finite and not before first_step={first}, got {step!r}{hint}")
    return number


def check_value(value: Any, metric: Metric) -> float:
    """The value as a number, perhaps not a finite one.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is outside of the metric's bounds.
    """
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()  # a 0-d array or tensor
    if not checks.is_real(value):
        raise TypeError(
            f"value must be a number, got {value!r} of type {type(value).__name__}; "
            "for a step without a measurement give None, or call nothing"
        )
    number = _float(value, "value")
    if math.isfinite(number):
        read_context([number], metric=metric)  # its error says what to do about percentages
    return number


def _float(value: Any, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be below 1.8e308, got a whole number of more digits than a double has") from None


@cache
def _loaded(name: str) -> Engine:
    return load(name)
