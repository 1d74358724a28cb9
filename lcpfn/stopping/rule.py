"""What a stopping rule is: a value that takes beliefs about a run after some numbers of points, and says when to stop.

The rules lie beside this file, one each: `best`, `paper`, `worth`, `converged`. A rule is asked only where there is
something to judge: runs that diverged, that have too few points, or that nothing can be compared with are dealt with
before (`lcpfn.stopping.policy`).

Letters: L prefixes of one run, judged together. One prefix alone has the shape ().
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lcpfn.metric import Metric

Array = NDArray[np.float64]
Floats = float | Array  # a number for one prefix, (L,) for many
EPSILON = 2.0**-52  # next to 1, smaller probabilities are lost
Stop = Literal["hopeless", "not worth it", "converged"]


@dataclass(frozen=True)
class Rivals:
    """What is known of the other runs.

    Attributes:
        finished: what each run that was trained to its end came to: its best value, or its last one, as the runs are
            ranked.
        concluded: number of runs that are over, finished or stopped.
        running: the same so far of each run that is not finished.
    """

    finished: tuple[float, ...] = ()
    concluded: int = 0
    running: tuple[float, ...] = ()

    def ranked(self, metric: Metric, rank: int) -> float | None:
        """The `rank`-th best of the finished runs; None if there are fewer."""
        values = sorted(self.finished, key=lambda y: -metric.sign * y)
        return values[rank - 1] if len(values) >= rank else None


class Prospects(Protocol):
    """What a rule may ask about one run, as it stood after L numbers of points.

    `lcpfn.stopping.question.Question` asks an engine about one prefix; the replays of the benchmark hold beliefs about
    all of them.
    """

    @property
    def metric(self) -> Metric:
        """Direction and bounds of what is measured."""

    @property
    def horizon(self) -> float:
        """The time at which the run ends."""

    @property
    def now(self) -> Floats:
        """(L,) the time of the last point."""

    @property
    def record(self) -> Floats:
        """(L,) the best value so far."""

    @property
    def gap(self) -> Floats:
        """(L,) points between two looks, of a run that will have more than 100 points as if it had 100."""

    def prob_beating(self, target: Floats) -> Floats:
        """(L,) the probability that the run ends better than the target."""

    def prob_at_start(self, target: float) -> float:
        """The same after the run's first point alone."""

    def prob_at_any(self, target: Floats) -> Floats:
        """(L,) the probability that a value at a later time is better than the target, at the likeliest time."""

    def expected_gain(self, target: float) -> Floats:
        """(L,) by how much the run will end better than the target in the mean; in units of y, 0 where it is worse."""

    def fresh_gain(self, target: float) -> float:
        """The same of a run that has not begun."""

    def value_beaten(self, probability: float) -> Floats:
        """(L,) the value that the run ends better than with this probability."""

    def any_value_beaten(self, probability: float) -> Floats:
        """(L,) the value that a later one is better than with this probability, at the likeliest time."""


@dataclass(frozen=True)
class Verdict:
    """What a rule found: the run may stop where `found` is at most `threshold`.

    Attributes:
        found: (L,) a probability, or for "worth" a gain per unit of time.
        threshold: (L,) the highest one that stops the run.
        target: (L,) the value that the run had to beat.
        what: `found` in words.
        began: the probability that it was after the run's first point, None where that does not count.
    """

    found: Floats
    threshold: Floats
    target: Floats
    what: str
    began: float | None = field(default=None, repr=False)

    @property
    def stops(self) -> NDArray[np.bool_]:
        """(L,) whether the run may stop."""
        return np.asarray(np.less_equal(self.found, self.threshold))

    @property
    def stop(self) -> bool:
        """Whether the run may stop, of one prefix."""
        return bool(self.stops)


class Rule(Protocol):
    """A stopping rule: pure, and of a few arguments of its own."""

    @property
    def reason(self) -> Stop:
        """What a run that it stops is called."""

    @property
    def rank(self) -> int:
        """The incumbent is the `rank`-th best run."""

    @property
    def compares(self) -> bool:
        """Whether it needs an incumbent."""

    @property
    def least_points(self) -> int:
        """The fewest points that it judges."""

    def bar(self, rivals: Rivals, metric: Metric) -> float | None:
        """The value of the incumbent, None if none stands."""

    def target(self, rivals: Rivals, metric: Metric) -> float | None:
        """What a run has to beat: the incumbent, by the least gain that counts; None if nothing stands."""

    def judge(self, run: Prospects, rivals: Rivals) -> Verdict:
        """What it finds of a run, after each of L numbers of points."""

    def turning_target(self, run: Prospects, rivals: Rivals) -> float | None:
        """The target at which the verdict on one prefix would turn, None where it is not about one."""
