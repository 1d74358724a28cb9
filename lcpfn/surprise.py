"""The alarm: whether a curve is unlike anything that the network was trained on.

Each point is held against the belief that the points before it gave. If beliefs are calibrated, the probabilities of
something worse (PIT values) are independent and uniform, whatever the curve; a bettor against that starts with 1 and
wins nothing on average, so that the wealth passes 1 / rate, now or ever, with probability `rate` at most. No network is
exactly calibrated; a checkpoint that says how high the wealth climbs on curves of its own prior is held to that.

Letters: B curves, T observed points, K bets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from lcpfn.belief import Belief
from lcpfn.frozen import frozen

Array = NDArray[np.float64]

RATE = 0.01  # of false alarms, per curve
POINT_RATE = 1e-3  # a point is called surprising if something as far out comes this rarely
TAIL = 1e-6  # PIT values count no further out: tails of a network's beliefs were checked to 1e-5, and one wild point,
# however wild, is no alarm
KEPT = 0.1  # share of the curves of the prior whose highest evidence a checkpoint's header keeps
LATE = 0.25  # the bettor waits until after point n with probability (n + 1)^-LATE: early starts are likelier, but what
# was calm for 50 points costs only six nats
_SHARP = (0.2, 0.6)  # exponents of the densities that are bet on: a few far out, or many a little
# (a, b) of Beta densities: all worse than believed, all better, and beliefs that are too sure.
BETS = tuple(pair for a in _SHARP for pair in ((a, 1.0), (1.0, a), (a, a)))


@dataclass(frozen=True, eq=False)
class NullDistribution:
    """How high the evidence climbs on whole curves of the prior, as far as they were looked at.

    Attributes:
        curves: how many were looked at; 0: none.
        highest: (K,) the highest log e values among the highest of each curve, falling.

    Raises:
        ValueError: if highest does not fall, or is longer than there were curves.
    """

    curves: int = 0
    highest: Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "highest", frozen(self.highest, "highest"))
        if self.highest.ndim != 1 or len(self.highest) > self.curves or (np.diff(self.highest) > 0).any():
            raise ValueError(
                f"highest must fall, with one number a curve at most, got {self.highest} of {self.curves} curves"
            )

    @classmethod
    def of(cls, highest: Array) -> NullDistribution:
        """Of the highest log e value of each curve; the upper KEPT of them are kept."""
        return cls(len(highest), np.sort(highest)[::-1][: math.ceil(KEPT * len(highest))].round(3))

    def p_value(self, log_e: Array) -> Array:
        """(...) probability that a curve of the prior ever has evidence as high as this.

        Ville's inequality or the share of the curves that had as much, whichever is larger; above all of them it
        falls with the evidence.
        """
        bound = np.exp(-np.maximum(log_e, 0.0))
        if not self.curves:
            return np.asarray(bound)
        as_high = len(self.highest) - np.searchsorted(self.highest[::-1], log_e)
        beyond = np.exp(-np.maximum(log_e - self.highest.max(initial=0.0), 0.0))
        return np.maximum(bound, (1 + as_high) / (1 + self.curves) * beyond)


@dataclass(frozen=True, eq=False)
class Surprise:
    """How surprising curves were, after every point. A value: nothing can be changed.

    For one curve the leading axis is missing. Points are those that the network saw: in order of time, without missing
    ones, and thinned where there are more than its limit. Padding of shorter curves has NaN in `t` and `pit`.

    Attributes:
        t: (B, T) times of the points.
        pit: (B, T) probability of something worse than was measured, by the belief before it; NaN where there was
            no belief, as before the first point of a metric without bounds.
        log_e: (B, T) log of the bettor's wealth after each point: an e value, evidence against the prior in nats.
        rate: of false alarms under the prior, however often one looks.
        null: what the evidence of curves of the prior was found to be; without, beliefs are taken to be calibrated.

    Raises:
        ValueError: if rate is not between 0 and 1.

    Source:
        Ville 1939 for the guarantee; Ramdas et al. 2023 (arXiv 2210.01948) for e values and betting.
    """

    t: Array
    pit: Array
    log_e: Array
    rate: float = RATE
    null: NullDistribution = NullDistribution()

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"rate must lie between 0 and 1, got {self.rate!r}; it is the share of false alarms")
        for name in ("t", "pit", "log_e"):
            object.__setattr__(self, name, frozen(getattr(self, name), name))

    @classmethod
    def of(
        cls, belief: Belief, y: Array, *, t: Array, rate: float = RATE, null: NullDistribution = NullDistribution()
    ) -> Surprise:
        """The surprise of values y (..., T) at times t, each with the belief (..., T) before it; NaN is no bet."""
        pit = pits(belief, y)
        return cls(t, pit, log_wealth(pit), rate, null)

    @cached_property
    def p_value(self) -> Array:
        """(B, T) probability that a curve of the prior is ever this surprising, at most; it never rises."""
        return self.null.p_value(np.maximum.accumulate(self.log_e, axis=-1))

    @cached_property
    def alarm(self) -> NDArray[np.bool_]:
        """(B,) whether the alarm rang; once it did it stays."""
        return np.asarray((self.p_value <= self.rate).any(axis=-1))

    @cached_property
    def since(self) -> Array:
        """(B,) time of the point at which it rang, NaN if it did not."""
        rang = self.p_value <= self.rate
        first = np.where(rang & ~np.isnan(self.t), self.t, np.inf).min(axis=-1, initial=np.inf)
        return np.asarray(np.where(self.alarm, first, np.nan))

    @cached_property
    def surprising(self) -> NDArray[np.bool_]:
        """(B, T) which points lie so far out that one in a thousand would under the prior, worse or better."""
        return np.abs(self.pit - 0.5) >= 0.5 - POINT_RATE / 2


def pits(belief: Belief, y: Array) -> Array:
    """(...) the probability of something worse than y, by a belief (...); NaN for NaN.

    Exactly on a bound that cuts the belief off, as an accuracy of 1 may be, the belief is asked as if nothing did: it
    gives the bound itself no probability, so the chance of a false alarm is the same.
    """
    inside = 1.0 - belief.prob_better(y)
    on_bound = np.isin(y, [bound for bound in belief.metric.bounds if bound is not None])
    if belief.metric.overshoot or not on_bound.any():
        return np.asarray(inside)
    free = replace(belief, metric=replace(belief.metric, overshoot=True))
    return np.where(on_bound, 1.0 - free.prob_better(y), inside)


def log_wealth(pit: Array) -> Array:
    """(..., T) log of the wealth of a bettor against uniform PIT values, who starts with 1; NaN is no bet.

    A mixture of bettors: each of them waits, then stakes all on one Beta density at every later point, flat beyond
    TAIL. Since the densities integrate to 1 and only what came before decides on the stakes, the wealth is a martingale
    if the values are uniform given those before.
    """
    missing = np.isnan(pit)
    p = np.clip(np.where(missing, 0.5, pit), TAIL, 1 - TAIL)
    low, high = np.log(p)[..., None], np.log1p(-p)[..., None]
    a, b = np.array(BETS).T
    bets = (a - 1) * low + (b - 1) * high - betaln(a, b) - np.log(_mass(a, b))  # (..., T, K)
    bets = np.where(missing[..., None], 0.0, bets)
    waiting = -LATE * np.log(np.arange(1.0, pit.shape[-1] + 2))  # (T + 1,) log share that waits after n points
    starts = np.log(-np.diff(np.exp(waiting)))
    out = np.empty(pit.shape)
    running = np.full((*pit.shape[:-1], len(BETS)), -np.inf)
    for n in range(pit.shape[-1]):
        running = np.logaddexp(running, starts[n]) + bets[..., n, :]
        mean = np.logaddexp.reduce(running, axis=-1) - np.log(len(BETS))
        out[..., n] = np.logaddexp(mean, waiting[n + 1])
    return out


def _mass(a: Array, b: Array) -> Array:
    """Integrals of Beta densities that are cut off at the height of TAIL at both ends."""
    heights = sum(np.exp((a - 1) * np.log(p) + (b - 1) * np.log1p(-p) - betaln(a, b)) for p in (TAIL, 1 - TAIL))
    return np.asarray(betainc(a, b, 1 - TAIL) - betainc(a, b, TAIL) + TAIL * heights)
