"""The rules: each takes one run, its rivals and the policy, and says whether the run is worth going on with.

A rule is asked only where there is something to judge: the policy has dealt with runs of too few points, that diverged,
or that nothing can be compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lcpfn.belief import Belief
from lcpfn.stopping.question import EPSILON, Question, Rivals, gain_over
from lcpfn.stopping.thresholds import threshold_by

if TYPE_CHECKING:
    from lcpfn.stopping.policy import Policy


GRID = 200  # probabilities looked at for the target at which a verdict turns


@dataclass(frozen=True)
class Verdict:
    """What a rule found: the run may stop where `found` is at most `threshold`.

    Attributes:
        found: a probability, or for "worth" a gain per unit of time.
        threshold: the highest one that stops the run.
        target: the value that the run had to beat.
        what: `found` in words.
        about: the beliefs whose highest probability of beating the target `found` is, None if it is something else.
        limit: the threshold for another target, None if it would be the same.
        began: the probability that it was after the run's first point, None where that does not count.
    """

    found: float
    threshold: float
    target: float
    what: str
    about: Belief | None = field(default=None, repr=False, compare=False)
    limit: Callable[[float], float] | None = field(default=None, repr=False, compare=False)
    began: float | None = field(default=None, repr=False)

    @property
    def stop(self) -> bool:
        """Whether the run may stop."""
        return self.found <= self.threshold

    def turning_target(self) -> float | None:
        """The target at which the verdict turns, None where it is not about one."""
        if self.about is None:
            return None
        about, sign = self.about, self.about.metric.sign

        def reached(p: float) -> float:  # with probability p, at the likeliest time
            return sign * float(np.max(sign * about.quantile(1 - p if sign > 0 else p)))

        limit = self.limit
        if limit is None:
            return reached(self.threshold)

        def stops(p: float) -> bool:
            return p <= limit(reached(p))

        grid = np.geomspace(0.5, EPSILON, GRID)
        place = next((i for i, p in enumerate(grid) if stops(p)), None)
        if not place:
            return None  # whatever the target, or within what is more likely than not
        high, low = grid[place - 1], grid[place]
        for _ in range(50):
            middle = math.sqrt(high * low)
            high, low = (high, middle) if stops(middle) else (middle, low)
        return reached(low)


def paper(run: Question, rivals: Rivals, policy: Policy) -> Verdict:
    """Stops when P(y_t > best so far of any run) <= level at every later t.

    The level is what each look compares with, as published; nothing is spent over looks.

    Source: Domhan et al. 2015, section 4; Adriaensen et al. 2023, section 5.3.
    """
    sign = run.metric.sign
    target = sign * max(sign * y for y in (*rivals.finished, *rivals.running, run.record))
    later = run.values()
    found = float(np.max(later.prob_better(target)))
    return Verdict(found, policy.level, target, f"P(better than {target:.5g}) at the likeliest later time", later)


def best(run: Question, rivals: Rivals, policy: Policy) -> Verdict:
    """Stops when P(the run's best beats the incumbent by min_delta) is too small; see `lcpfn.stopping.thresholds`."""
    bar = policy.bar(rivals)
    assert bar is not None
    target = bar + run.metric.sign * policy.min_delta
    limit = partial(_threshold, run, rivals, policy)
    what = f"P(beats {target:.5g} within the horizon)"
    return Verdict(
        run.prob_beating(target), limit(target), target, what, run.to_come, limit, _began(run, policy, target)
    )


def _began(run: Question, policy: Policy, target: float) -> float | None:
    """The probability of beating the target after the run's first point, None where it does not count."""
    return run.prob_at_start(target) if policy.spend and policy.start != "runs" else None


def _threshold(run: Question, rivals: Rivals, policy: Policy, target: float) -> float:
    """The probability of beating the target at or below which "best" stops."""
    if not policy.spend:
        return policy.level
    own = _began(run, policy, target)
    runs = max(rivals.concluded, policy.rank)  # as many as are finished, at least
    return threshold_by(
        policy.start, policy.level, gap=policy.gap(run), runs=runs, rank=policy.rank, own=own, cap=policy.cap
    )


def worth(run: Question, rivals: Rivals, policy: Policy) -> Verdict:
    """Stops when the expected improvement on the incumbent per unit of time left is less than elsewhere.

    Elsewhere is `min_rate`, or without it a fresh run from its first to its last step, as the prior knows it.

    Raises:
        ValueError: if there is no min_rate, and the metric has no bounds that would say what to expect of a fresh run.
    """
    bar = policy.bar(rivals)
    assert bar is not None
    target = bar + run.metric.sign * policy.min_delta
    rate = policy.min_rate
    if rate is None:
        if None in run.metric.bounds:
            raise ValueError(
                f"worth needs min_rate where the metric has no bounds, got bounds={run.metric.bounds}: nothing "
                "says what to expect of a fresh run; give the gain per unit of time that is worth going on for"
            )
        fresh = run.engine.predict(
            [], [run.horizon], kind="best", metric=run.metric, run_end=run.horizon, stretch_time=run.stretch_time
        )
        rate = gain_over(fresh[0], target) / run.horizon
    found = run.expected_gain(target) / (run.horizon - float(run.t[-1]))
    return Verdict(found, rate, target, f"expected improvement on {target:.5g} per unit of time")


def converged(run: Question, rivals: Rivals, policy: Policy) -> Verdict:
    """Stops when P(the run improves on its own best by more than min_delta) <= level; needs no other run.

    Of the runs that it stops, `level` at most would have gained more, however often one looks: a probability that is
    right at each look is right at the one that stops.
    """
    target = run.record + run.metric.sign * policy.min_delta
    found = float(run.to_come.prob_better(target))
    return Verdict(found, policy.level, target, f"P(gains more than {policy.min_delta:.5g} within the horizon)")


RULES = {rule.__name__: rule for rule in (paper, best, worth, converged)}
