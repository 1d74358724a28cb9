"""The LC-PFN paper's normalisation: any metric onto [0, 1], upward, and beliefs back from there.

Letters: B curves, T observed points, Q query points, M levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logit, ndtr

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric
from opponents.draws import least

UNIT = Metric("max", bounds=(0.0, 1.0))
EDGE = 1e-9  # values this close to 0 and 1 are not told apart: beyond, the logistic function has no digits
OUTLIER = 4.0  # times the median distance from the best possible value, beyond which a first value is not typical
ROOM = 1.0  # gains like the one seen so far that are thought to come, where nothing bounds the metric
_LEVELS = ndtr(np.linspace(-5.5, 5.5, 45))
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


@dataclass(frozen=True)
class Normaliser:
    """z = slope * expit(w) + offset with w = 2 (x - worst) / (best - worst) - 1, for upward values x.

    [worst, best] is where curves are expected: there the logistic function is nearly straight. Slope and offset are
    such that hard bounds go to 0 and 1. Between two hard bounds the map is straight (an accuracy stays as it is).

    Attributes:
        low: hard lower bound of x, may be -inf.
        high: hard upper bound of x, may be inf.
        worst: soft lower bound.
        best: soft upper bound, above it.

    Source:
        Adriaensen et al. 2023, "Normalization", and `pfn_normalize` of their code, from the formulas.
    """

    low: float
    high: float
    worst: float
    best: float

    @classmethod
    def of(cls, x: np.ndarray, metric: Metric) -> Normaliser:
        """What a user would choose who has seen upward values x (T,) and knows the metric.

        The soft bounds of a loss are its first value and its bound, as in the paper. Where the best value is not
        known, as much gain as was seen is expected once more.
        """
        low, high = metric.upward_bounds
        if np.isfinite(low) and np.isfinite(high):
            return cls(low, high, low, high)
        unit = 100 * least(metric, x)
        if np.isfinite(high):
            away = high - x
            return cls(low, high, high - max(min(away[0], OUTLIER * float(np.median(away))), unit), high)
        worst, top = (low if np.isfinite(low) else float(np.quantile(x, 0.05))), float(x.max())
        return cls(low, high, worst, top + max(ROOM * (top - worst), unit))

    @property
    def straight(self) -> bool:
        """Whether both hard bounds are known."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """z in [0, 1] of upward values, any shape."""
        if self.straight:
            return np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)
        return np.clip(self._slope * expit(self._w(x)) + self._offset, 0.0, 1.0)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Upward values of z, any shape; finite."""
        if self.straight:
            return self.low + (self.high - self.low) * z
        share = np.clip((np.clip(z, EDGE, 1 - EDGE) - self._offset) / self._slope, EDGE**2, 1 - EDGE / 10)
        return np.clip(self.worst + (logit(share) + 1) / 2 * (self.best - self.worst), self.low, self.high)

    def log_slope(self, x: np.ndarray) -> np.ndarray:
        """log dz / dx, any shape."""
        if self.straight:
            return np.full(np.shape(x), -np.log(self.high - self.low))
        w = self._w(x)
        return np.log(2 * self._slope / (self.best - self.worst)) + log_expit(w) + log_expit(-w)

    def belief(self, inner: Belief, metric: Metric) -> Belief:
        """The belief (Q,) about y, from one about z (Q,), by change of variables."""
        if self.straight and isinstance(inner.law, Mixture):
            width = self.high - self.low
            location, scale = self.low + width * inner.location, width * inner.scale
            parts = dict(transform=inner.transform, kind=inner.kind, t=inner.t)
            return Belief(inner.law, location, scale, metric=metric, **parts)
        return Belief(Mapped(inner, self), 0.0, 1.0, metric=metric, kind=inner.kind, t=inner.t)

    def _w(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.clip(2 * (x - self.worst) / (self.best - self.worst) - 1, -600, 600)

    @property
    def _slope(self) -> float:
        ends = expit(self._w(np.array([self.low, self.high])))
        return float(1 / (ends[1] - ends[0]))

    @property
    def _offset(self) -> float:
        return -self._slope * float(expit(self._w(np.array(self.low))))


@dataclass(frozen=True, eq=False, repr=False)
class Mapped:
    """The law of x, where z = forward(x) is believed to be distributed as `inner`, which is cut to [0, 1].

    A `lcpfn.distributions.law.Law`; for a thousand bars also cheaper than they are, as quadratures need
    fewer knots. Bounds given as
    `low` and `high` are those of the map, where the law ends in any case.
    """

    inner: Belief
    normaliser: Normaliser

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return self.inner.shape

    @property
    def width(self) -> int:
        """Parameters of one element."""
        return self.inner.law.width

    @property
    def cost(self) -> int:
        """Numbers to work through for one value of the cdf."""
        return self.inner.law.cost

    def __getitem__(self, index: Any) -> Mapped:
        return Mapped(self.inner[index], self.normaliser)

    def log_pdf(self, u: np.ndarray) -> np.ndarray:
        """Log density at u: with the Jacobian of the map."""
        return self.inner.log_prob(self.normaliser.forward(u)) + self.normaliser.log_slope(u)

    def cdf(self, u: np.ndarray) -> np.ndarray:
        """P(U <= u)."""
        return self.inner.cdf(self.normaliser.forward(u))

    def sf(self, u: np.ndarray) -> np.ndarray:
        """P(U > u)."""
        return self.inner.prob_above(self.normaliser.forward(u))

    def log_mass(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """log P(low < U < high)."""
        below, above = self.cdf(low), self.sf(high)
        mass = np.where(below < 0.5, self.cdf(high) - below, self.sf(low) - above)
        with np.errstate(divide="ignore"):
            return np.log(np.clip(mass, 0.0, 1.0))

    def moments(
        self, transform: str, low: np.ndarray | None = None, high: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of U, by quadrature over its quantiles."""
        assert transform == "identity"
        x = self.normaliser.inverse(self.inner.quantile((1 + _NODES) / 2))
        mean = x @ _WEIGHTS / 2
        return mean, (x - mean[..., None]) ** 2 @ _WEIGHTS / 2

    def tail_quantile(
        self, log_p: np.ndarray, log_q: np.ndarray, low: np.ndarray | None = None, high: np.ndarray | None = None
    ) -> np.ndarray:
        """(..., M) quantiles."""
        return self.normaliser.inverse(self.inner.quantile(np.exp(log_p)))

    def knots(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(..., P) points between which the cdf is smooth."""
        return self.normaliser.inverse(self.inner.quantile(_LEVELS))

    def sample(
        self,
        n: int,
        *,
        generator: np.random.Generator,
        low: np.ndarray | None = None,
        high: np.ndarray | None = None,
    ) -> np.ndarray:
        """(n, ...) independent draws."""
        return self.normaliser.inverse(self.inner.sample(n, generator=generator))
