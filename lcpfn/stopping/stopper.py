"""`Stopper`: all runs of a search, judged as they report."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any, Unpack

import numpy as np

from lcpfn.metric import Metric
from lcpfn.stopping.audit import Audit, Auditor, after
from lcpfn.stopping.best import DEFAULT
from lcpfn.stopping.decision import Decision
from lcpfn.stopping.options import Judging
from lcpfn.stopping.policy import Policy, check_step, check_value
from lcpfn.stopping.rule import Rivals, Rule
from lcpfn.stopping.spelling import spelled
from lcpfn.stopping.state import Trial, Trials, from_json, merged, to_json
from lcpfn.stopping.store import Store


@dataclass(frozen=True)
class Incumbent:
    """The run to beat, and its best value."""

    trial: str
    value: float


@spelled
class Stopper:
    """Judges runs as they report, and remembers them.

    A decision depends on the points and on what is known of the other runs, not on how often it was asked for: the same
    update twice changes nothing, and points may come late. A value for a known step replaces it, as after a
    restart from a checkpoint. Threads may share a stopper, and processes a file: each reads what another one wrote
    before it decides. A pickle holds the state, and no weights unless `engine` is an engine.

    Args:
        horizon: the number of steps of a whole run, its budget.
        rule: `Best()`, `Paper()`, `Worth()` or `Converged(min_delta=...)`.
        metric: direction and bounds of the values; the engine's own by default.
        path: a file for the state, read if it is there, and replaced as a whole after every change. A write that fails
            raises OSError; nothing is forgotten then, and the next call writes it.
        audit: share of the runs to be stopped that are let go on, so that `report` can say how often stopping is wrong.
        seed: of the choice of those, which depends on the trial's name alone.
        **options: `engine`, `min_points`, `every`, `first_step`, `nan`, `alarm`, `target` and `stretch_time` of
            `lcpfn.stopping.Policy`.

    Raises:
        ValueError: if a value is out of its range, or the state is cut off, of another version, or of another metric
            or horizon.
        TypeError: if an argument is unknown.

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
        self,
        *,
        horizon: float,
        rule: Rule = DEFAULT,
        metric: Metric | None = None,
        path: str | os.PathLike[str] | None = None,
        audit: float = 0.0,
        seed: int = 0,
        **options: Unpack[Judging],
    ) -> None:
        self._auditor = Auditor(Policy(horizon=horizon, rule=rule, metric=metric, **options), audit, seed)
        self._store = None if path is None else Store(path)
        self._lock = RLock()
        self._trials: Trials = {}
        self._unsaved = self._warned = False
        with self._alone():
            pass

    @property
    def policy(self) -> Policy:
        """How runs are judged; it does not change."""
        return self._auditor.policy

    def update(self, trial: str | int, step: float, value: float | None) -> Decision:
        """The decision about a trial after a new value.

        Args:
            trial: its name or number; 7 and "7" are one trial.
            step: of the value, in the unit of the horizon.
            value: in the metric's unit; None where nothing was measured. NaN before the first finite value means the
                same; NaN and infinities after it, that the run diverged, until a finite value follows.

        Raises:
            TypeError: if an argument is no number; a trial, no text or whole number.
            ValueError: if the step is before the first one, or the value outside of the metric's bounds. A step past
                the horizon is no error and stops nothing.
        """
        name, step = _name(trial), check_step(step, self.policy.first_step)
        value = None if value is None else check_value(value, self.metric)
        with self._alone():
            known = self._trials.get(name, Trial())
            if known.over:
                self._save(changed=False)
                return Decision(
                    stop=known.stopped, reason="finished", detail="the trial is over; the value is left out"
                )
            points = dict(known.points) if value is None else {**known.points, step: value}
            decision = self.policy.decide(list(points), list(points.values()), self._rivals(name))
            past = known.given_up
            if decision.stop and past is None:
                past = self._auditor.given_up(name, max(points), decision)
            now = Trial(points, given_up=past)
            changed = bool(points) and (name not in self._trials or not _same(now, known))
            if changed:
                self._trials[name] = now
            self._save(changed=changed)
        if points:
            self._doubt(max(points), over=False)
        return after(past, decision)

    def finish(self, trial: str | int) -> None:
        """Takes note that a trial is over; if it was not to be stopped, what it came to counts from now on.

        Raises:
            ValueError: if there is no such trial.
        """
        name = _name(trial)
        with self._alone():
            known = self._trials.get(name)
            if known is None:
                raise ValueError(
                    f"finish must name a trial that was updated, got {name!r}; known are {list(self._trials)[:5]}"
                )
            if not known.over:
                ended = replace(known, over=True)
                self._trials[name] = replace(ended, won=self._auditor.won(ended, self._rivals(name)))
            self._save(changed=not known.over)
        if not (known.over or known.stopped) and len(known.points) > 1:
            self._doubt(max(known.points), over=True)

    @property
    def metric(self) -> Metric:
        """Direction and bounds of the values."""
        return self.policy.measured

    @property
    def incumbent(self) -> Incumbent | None:
        """The finished trial to beat, the `rank`-th best of the rule; None if there is none yet."""
        with self._alone():
            ends = {
                name: y
                for name, trial in self._trials.items()
                if trial.finished and (y := self.policy.standing(trial.points)) is not None
            }
        ranked, rank = sorted(ends, key=lambda name: -self.metric.sign * ends[name]), self.policy.rule.rank
        return Incumbent(ranked[rank - 1], ends[ranked[rank - 1]]) if len(ranked) >= rank else None

    def rivals(self, trial: str | int) -> Rivals:
        """What is known of all trials but this one."""
        with self._alone():
            return self._rivals(_name(trial))

    def report(self) -> Audit:
        """How often stopping was wrong, from the audited trials.

        Raises:
            ValueError: if nothing is audited.
        """
        with self._alone():
            return self._auditor.report(self._trials.values())

    def to_json(self) -> str:
        """The state as text, to put into a checkpoint."""
        with self._alone():
            return self._text()

    def load_json(self, text: str) -> None:
        """Replaces the state by one that `to_json` gave.

        Raises:
            ValueError: if it is cut off, of another version, or of another metric or horizon.
        """
        trials = from_json(text, source="the state", **self._about())
        with self._alone():
            self._trials = trials
            self._save(changed=True)

    def __contains__(self, trial: str | int) -> bool:
        with self._alone():
            return _name(trial) in self._trials

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {**self.__dict__, "_lock": None, "_trials": dict(self._trials)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=RLock())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps threads and other processes away, and knows what the latter wrote; not to be entered twice."""
        with self._lock:
            if self._store is None:
                yield
                return
            with self._store.alone():
                if (text := self._store.news()) is not None:
                    theirs = from_json(text, source=str(self._store.path), **self._about())
                    # What is not written yet is news here; all else was known to whoever wrote last.
                    ours = self._trials
                    self._trials = merged(ours, theirs) if self._unsaved else merged(theirs, ours)
                yield

    def _rivals(self, trial: str) -> Rivals:
        others = [each for name, each in self._trials.items() if name != trial]
        ends = [(each.finished, self.policy.standing(each.points)) for each in others]
        return Rivals(
            finished=tuple(y for finished, y in ends if finished and y is not None),
            concluded=sum(each.over or each.stopped for each in others),
            running=tuple(y for finished, y in ends if not finished and y is not None),
        )

    def _doubt(self, last: float, *, over: bool) -> None:
        """Warns, once, where the horizon may be in another unit than the steps."""
        if not self._warned and (why := self.policy.doubt(last, over=over)) is not None:
            self._warned = True
            warnings.warn(why, stacklevel=3)

    def _about(self) -> dict[str, Any]:
        return {"direction": self.metric.direction, "horizon": self.policy.horizon}

    def _text(self) -> str:
        return to_json(self._trials, **self._about())

    def _save(self, *, changed: bool) -> None:
        """Writes what is not written yet; what a failed write left stays to be written by the next call."""
        self._unsaved = self._unsaved or changed
        if self._unsaved and self._store is not None:
            self._store.put(self._text())
        self._unsaved = False


def _name(trial: object) -> str:
    if isinstance(trial, bool) or not isinstance(trial, str | int | np.integer):
        raise TypeError(f"trial must be a name or a whole number, got {trial!r} of type {type(trial).__name__}")
    return str(trial)


def _same(a: Trial, b: Trial) -> bool:
    """Whether two trials are alike, a value that is not finite equal to another one."""
    return to_json({"": a}) == to_json({"": b})
