"""A law whose normal scores are shifted and stretched: what recalibration makes of a forecast."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr, ndtri_exp

from lcpfn.distributions.law import Law
from lcpfn.distributions.normal import HALF_LOG_2PI, interval_log_mass
from lcpfn.distributions.transform import forward
from lcpfn.frozen import frozen, take

Array = NDArray[np.float64]

_LEVELS = np.linspace(-6.0, 6.0, 49)  # normal scores between which the cdf is smooth enough for quadrature
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


@dataclass(frozen=True, eq=False, repr=False)
class Warped:
    """The law of U where F(U), F the cdf of `law`, has the normal score shift + stretch * N(0, 1).

    With shift 0 and stretch 1 it is `law` itself. If a forecaster's outcomes lie a standard deviation above its
    medians, in its own normal scores, a shift of 1 puts that right whatever the shape of its forecast.

    Attributes:
        law: batch (...).
        shift: (...) of the normal score.
        stretch: (...) positive.

    Raises:
        ValueError: the shapes differ from the law's, or a stretch is not positive.

    Example:
        >>> from lcpfn.distributions.mixture import Mixture
        >>> law = Warped(Mixture([0.0], means=[5.0], stds=[2.0]), 1.0, 0.5)
        >>> round(float(law.tail_quantile(np.log([0.5]), np.log([0.5]))[0]), 6)
        7.0
    """

    law: Law
    shift: NDArray[Any]
    stretch: NDArray[Any]

    def __post_init__(self) -> None:
        for name in ("shift", "stretch"):
            object.__setattr__(self, name, np.broadcast_to(frozen(getattr(self, name), name), self.law.shape))
        if np.any(self.stretch <= 0):
            raise ValueError(f"stretch must be positive, got {self.stretch.min():.4g}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return self.law.shape

    @property
    def width(self) -> int:
        """As the law's."""
        return self.law.width

    @property
    def cost(self) -> int:
        """As the law's."""
        return self.law.cost

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.law[index], take(self.shift, index), take(self.stretch, index))

    def __repr__(self) -> str:
        return f"Warped({self.law!r})"

    def log_pdf(self, u: ArrayLike) -> Array:
        """Log density at u; finite where the law's is."""
        score = self._score(u)
        z = (score - self.shift) / self.stretch
        # d/du of Phi((score - shift) / stretch), with score' = f / phi(score)
        return np.asarray(self.law.log_pdf(u) + (score * score - z * z) / 2 - np.log(self.stretch))

    def cdf(self, u: ArrayLike) -> Array:
        """P(U <= u)."""
        return np.asarray(ndtr((self._score(u) - self.shift) / self.stretch))

    def sf(self, u: ArrayLike) -> Array:
        """P(U > u)."""
        return np.asarray(ndtr(-(self._score(u) - self.shift) / self.stretch))

    def log_mass(self, low: ArrayLike, high: ArrayLike) -> Array:
        """log P(low < U < high), -inf where low >= high."""
        ends = ((self._score(end) - self.shift) / self.stretch for end in (low, high))
        return np.asarray(interval_log_mass(*np.broadcast_arrays(*ends)))

    def moments(self, transform: str, low: Array | None = None, high: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of g(U), by quadrature over normal scores (40 nodes)."""
        u = self.tail_quantile(log_ndtr(_NODES), log_ndtr(-_NODES), low, high)
        shares = _NODE_WEIGHTS * np.exp(-HALF_LOG_2PI)
        values = forward(transform, u)
        mean = (values * shares).sum(axis=-1)
        return mean, ((values - mean[..., None]) ** 2 * shares).sum(axis=-1)

    def tail_quantile(self, log_p: Array, log_q: Array, low: Array | None = None, high: Array | None = None) -> Array:
        """(..., M) the u with probability p below and q = 1 - p above, from (M,) logs of both."""
        z = np.where(log_p < log_q, ndtri_exp(log_p), -ndtri_exp(log_q))
        if low is not None and high is not None:
            ends = [((self._score(end) - self.shift) / self.stretch)[..., None] for end in (low, high)]
            inside = interval_log_mass(*ends)
            below = np.logaddexp(log_ndtr(ends[0]), log_p + inside)
            above = np.logaddexp(log_ndtr(-ends[1]), log_q + inside)
            z = np.where(below < above, ndtri_exp(np.minimum(below, 0.0)), -ndtri_exp(np.minimum(above, 0.0)))
        score = self.shift[..., None] + self.stretch[..., None] * z
        u = self.law.tail_quantile(log_ndtr(score), log_ndtr(-score))
        return u if low is None or high is None else np.clip(u, low[..., None], high[..., None])

    def knots(self, low: Array, high: Array) -> Array:
        """(..., P) points between which the cdf given low < U < high is smooth."""
        return self.tail_quantile(log_ndtr(_LEVELS), log_ndtr(-_LEVELS), low, high)

    def sample(
        self, n: int, *, generator: np.random.Generator, low: Array | None = None, high: Array | None = None
    ) -> Array:
        """(n, ...) independent draws."""
        p = np.maximum(generator.random((*self.shape, n)), 2.0**-54)  # never 0: that stands for -inf
        return np.moveaxis(self.tail_quantile(np.log(p), np.log1p(-p), low, high), -1, 0)

    def _score(self, u: ArrayLike) -> Array:
        """The normal score of F(u), counted from the nearer tail."""
        u = np.asarray(u, dtype=np.float64)
        below, above = self.law.log_mass(np.full_like(u, -np.inf), u), self.law.log_mass(u, np.full_like(u, np.inf))
        return np.where(below < above, ndtri_exp(np.minimum(below, 0.0)), -ndtri_exp(np.minimum(above, 0.0)))
