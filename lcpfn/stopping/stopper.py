"""`Stopper`: all runs of a search, judged as they report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from lcpfn.metric import Metric
from lcpfn.stopping.audit import Audit, Auditor, after
from lcpfn.stopping.decision import Decision
from lcpfn.stopping.policy import Policy, check_step, check_value
from lcpfn.stopping.question import Rivals
from lcpfn.stopping.state import Trial, Trials, from_json, to_json, write


@dataclass(frozen=True)
class Incumbent:
    """The run to beat, and its best value."""

    trial: str
    value: float


class Stopper:
    """Judges runs as they report, and remembers them.

    A decision depends on the points and on what is known of the other runs, not on how often it was asked for: the same
    update twice changes nothing, and points may come late. A value for a known step replaces it, as after a
    restart from a checkpoint. One process a state; within it any number of threads. A pickle holds the state, and no
    weights unless `engine` is an engine.

    Args:
        path: a file for the state, read if it is there, and replaced as a whole after every change.
        audit: share of the runs to be stopped that are let go on, so that `report` can say how often stopping is wrong.
        seed: of the choice of those, which depends on the trial's name alone.
        **policy: fields of `lcpfn.stopping.policy.Policy`: horizon, metric, rule, level and so on.

    Raises:
        ValueError: if a value is out of its range, or the state is cut off, of another version, or of another metric
            or horizon.

    Example:
        >>> import lcpfn
        >>> stopper = Stopper(metric=lcpfn.Metric("max", bounds=(0, 1)), horizon=50)
        >>> for epoch in range(1, 51):
        ...     decision = stopper.update("first", epoch, 0.9 - 0.5 / epoch)
        >>> decision.stop, decision.reason
        (False, 'horizon reached')
        >>> stopper.finish("first")
        >>> stopper.incumbent
        Incumbent(trial='first', value=0.89)
        >>> for epoch in range(1, 51):
        ...     decision = stopper.update("second", epoch, 0.5 - 0.3 / epoch)
        ...     if decision.stop:
        ...         break
        >>> decision.reason, epoch < 25
        ('hopeless', True)
    """

    def __init__(
        self, *, path: str | os.PathLike[str] | None = None, audit: float = 0.0, seed: int = 0, **policy: Any
    ) -> None:
        self.policy = Policy(**policy)
        self.auditor = Auditor(self.policy, audit, seed)
        self.path = None if path is None else Path(path)
        self._lock = RLock()
        self._trials: Trials = {}
        if self.path is not None and self.path.exists():
            self._trials = from_json(self.path.read_text(encoding="utf-8"), source=str(self.path), **self._about())

    def update(self, trial: str | int, step: float, value: float) -> Decision:
        """The decision about a trial after a new value.

        Args:
            trial: its name or number; 7 and "7" are one trial.
            step: of the value, in the unit of the horizon.
            value: in the metric's unit; NaN and infinities mean that the run diverged.

        Raises:
            TypeError: if an argument is no number; a trial, no text or whole number.
            ValueError: if the step is before the first one, or the value outside of the metric's bounds. A step past
                the horizon is no error and stops nothing.
        """
        name = _name(trial)
        step, value = check_step(step, self.policy.first_step), check_value(value, self.metric)
        with self._lock:
            known = self._trials.get(name, Trial())
            if known.over:
                return Decision(
                    stop=known.stopped, reason="finished", detail="the trial is over; the value is left out"
                )
            points = {**known.points, step: value}
            decision = self.policy.decide(list(points), list(points.values()), self.rivals(name))
            doom = known.doom
            if decision.stop and doom is None:
                doom = self.auditor.doom(name, max(points), decision)
            now = Trial(points, doom=doom)
            if not _same(now, known) or name not in self._trials:
                self._trials[name] = now
                self._save()
        return after(doom, decision)

    def finish(self, trial: str | int) -> None:
        """Takes note that a trial is over; if it was not told to stop, its best value counts from now on.

        Raises:
            ValueError: if there is no such trial.
        """
        name = _name(trial)
        with self._lock:
            known = self._trials.get(name)
            if known is None:
                raise ValueError(
                    f"finish must name a trial that was updated, got {name!r}; known are {list(self._trials)[:5]}"
                )
            if known.over:
                return
            known.over = True
            known.won = self.auditor.won(known, self.rivals(name))
            self._save()

    @property
    def metric(self) -> Metric:
        """Direction and bounds of the values."""
        return self.policy.measured

    @property
    def incumbent(self) -> Incumbent | None:
        """The finished trial to beat, the `rank`-th best; None if there is none yet."""
        with self._lock:
            bests = {
                name: y
                for name, trial in self._trials.items()
                if trial.finished and (y := self.policy.best_of(list(trial.points.values()))) is not None
            }
        ranked = sorted(bests, key=lambda name: -self.metric.sign * bests[name])
        if len(ranked) < self.policy.rank:
            return None
        name = ranked[self.policy.rank - 1]
        return Incumbent(name, bests[name])

    def rivals(self, trial: str | int) -> Rivals:
        """What is known of all trials but this one."""
        with self._lock:
            others = [each for name, each in self._trials.items() if name != _name(trial)]
            bests = [(each.finished, self.policy.best_of(list(each.points.values()))) for each in others]
            return Rivals(
                finished=tuple(y for finished, y in bests if finished and y is not None),
                concluded=sum(each.over or each.stopped for each in others),
                running=tuple(y for finished, y in bests if not finished and y is not None),
            )

    def report(self) -> Audit:
        """How often stopping was wrong, from the audited trials.

        Raises:
            ValueError: if nothing is audited.
        """
        with self._lock:
            return self.auditor.report(self._trials.values())

    def to_json(self) -> str:
        """The state as text, to put into a checkpoint."""
        with self._lock:
            return to_json(self._trials, **self._about())

    def load_json(self, text: str) -> None:
        """Replaces the state by one that `to_json` gave.

        Raises:
            ValueError: if it is cut off, of another version, or of another metric or horizon.
        """
        trials = from_json(text, source="the state", **self._about())
        with self._lock:
            self._trials = trials
            self._save()

    def __contains__(self, trial: str | int) -> bool:
        with self._lock:
            return _name(trial) in self._trials

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {**self.__dict__, "_lock": None, "_trials": dict(self._trials)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=RLock())

    def _about(self) -> dict[str, Any]:
        return {"direction": self.metric.direction, "horizon": self.policy.horizon}

    def _save(self) -> None:
        if self.path is not None:
            write(self.path, self.to_json())


def _name(trial: object) -> str:
    if isinstance(trial, bool) or not isinstance(trial, str | int | np.integer):
        raise TypeError(f"trial must be a name or a whole number, got {trial!r} of type {type(trial).__name__}")
    return str(trial)


def _same(a: Trial, b: Trial) -> bool:
    """Whether two trials are alike, a value that is not finite equal to another one."""
    return to_json({"": a}) == to_json({"": b})
