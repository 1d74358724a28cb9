"""How often stopping is wrong, as far as runs that were given up and yet let go on by chance can tell."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv

from lcpfn.stopping.decision import Decision
from lcpfn.stopping.policy import Policy
from lcpfn.stopping.rule import Rivals
from lcpfn.stopping.state import GivenUp, Trial


@dataclass(frozen=True)
class Audit:
    """How often stopping was wrong, as far as runs that were let go on by chance can tell.

    Attributes:
        given_up: runs that a rule gave up.
        audited: those of them that were let go on, and are finished.
        wrong: those of the audited that beat what they had to beat.
        winners: finished runs that beat what they had to beat, audited or never given up.
        rate: estimated share of runs that would have beaten the incumbent and were given up; NaN without winners.
        interval: of the rate, 95 %, exact (Clopper and Pearson 1934).
    """

    given_up: int
    audited: int
    wrong: int
    winners: int
    rate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Auditor:
    """Draws the runs that go on although they were given up, and counts what became of them.

    Attributes:
        policy: by which runs are given up.
        share: of the runs to be stopped that are let go on; 0 lets none.
        seed: of the choice of those, which depends on the trial's name alone.

    Raises:
        ValueError: if the share is not in [0, 1), or the rule knows no incumbent.
    """

    policy: Policy
    share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"audit must be a share of at least 0 and below 1, got {self.share!r}")
        if self.share and not self.policy.rule.compares:
            name = type(self.policy.rule).__name__
            raise ValueError(f"audit compares with an incumbent, which {name} does not have: leave it out")

    def given_up(self, name: str, step: float, decision: Decision) -> GivenUp:
        """What a decision to stop means for the trial of this name, at the step of its last point."""
        target = None if decision.verdict is None else float(decision.verdict.target)
        drawn = np.random.default_rng([self.seed, zlib.crc32(name.encode())]).random() < self.share
        return GivenUp(step, target, target is not None and bool(drawn))

    def won(self, trial: Trial, rivals: Rivals) -> bool | None:
        """Whether a trial that just ended beat what it had to; None if it was stopped, or nothing stood."""
        if trial.stopped:
            return None
        metric, end = self.policy.measured, self.policy.standing(trial.points)
        past = trial.given_up
        target = self.policy.rule.target(rivals, metric) if past is None else past.target
        return None if target is None or end is None else metric.sign * end > metric.sign * target

    def report(self, trials: Iterable[Trial]) -> Audit:
        """How often stopping was wrong, from the audited ones of these trials.

        Raises:
            ValueError: if nothing is audited.
        """
        if not self.share:
            raise ValueError("the report needs runs that were let go on: give audit=0.05, say")
        trials = list(trials)
        given_up = [each for each in trials if each.given_up and each.given_up.target is not None]
        winners = sum(each.finished and each.won is True for each in trials)
        audited = [each for each in given_up if each.finished]
        wrong = sum(each.won is True for each in audited)

        def share(q: float) -> float:  # of the observed winners, `wrong` ones stand for 1 / audit each
            return float(q / (q + self.share * (1 - q)))

        low = betaincinv(wrong, winners - wrong + 1, 0.025) if wrong else 0.0
        high = betaincinv(wrong + 1, winners - wrong, 0.975) if wrong < winners else 1.0
        rate = share(wrong / winners) if winners else math.nan
        return Audit(len(given_up), len(audited), wrong, winners, rate, (share(low), share(high)))


def after(past: GivenUp | None, decision: Decision) -> Decision:
    """The decision that holds for a trial with such a past: one that was given up stays so, or goes on as a check."""
    if past is None:
        return decision
    if past.audited:
        detail = f"given up at step {past.step:g}, goes on as a check"
        return replace(decision, stop=False, reason="audit", detail=detail)
    if decision.stop:
        return decision
    return replace(decision, stop=True, reason="stopped before", detail=f"given up at step {past.step:g}")
