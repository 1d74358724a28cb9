"""A mixture of normals: the law of u that the network answers with."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_ndtr, ndtr, ndtri, ndtri_exp

from lcpfn.distributions import normal
from lcpfn.distributions.normal import HALF_LOG_2PI, log_sum
from lcpfn.frozen import frozen, take

Array = NDArray[np.float64]

# Caps for "sinh" coordinates: with free widths, means exploded by a million while the log score hardly noticed.
MAX_MEAN = 8.0
MAX_LOG_STD = 0.5
MIN_LOG_STD = -7.0
LOG_STD_OFFSET = float(np.log(-MIN_LOG_STD / MAX_LOG_STD))  # makes raw = 0 give std 1

# Where the panels of a quadrature begin and end, in standard deviations of each component.
_KNOTS = np.array([-5.5, -2.5, -0.9, 0.9, 2.5, 5.5])
WIDE = 64  # components beyond which a mixture stands for draws of a posterior
_LEVELS = np.linspace(-6.0, 6.0, 61)  # ndtr of these are the levels of the panels' ends in a wide mixture
_THIN = float(np.log(1e-6))  # with less mass between the bounds, differences of cdfs lose too many digits


@dataclass(frozen=True, eq=False, repr=False)
class Mixture:
    """Mixtures of K normals, one for each element of a batch. Computes in float64 whatever it stores.

    NaN parameters mark a law that does not exist: its answers are NaN.

    Attributes:
        log_weights: (..., K) log weights; normalised in float64 wherever they are used.
        means: (..., K) means.
        stds: (..., K) standard deviations, positive.

    Raises:
        TypeError: an array does not hold real numbers.
        ValueError: the shapes differ, there is no component, a mean or standard deviation is infinite, or the latter
            is not positive.

    Example:
        >>> law = Mixture([0.0, 0.0], means=[-1.0, 1.0], stds=[0.5, 0.5])
        >>> law, float(law.mean()), float(law.cdf(0.0))
        (Mixture(shape=(), components=2), 0.0, 0.5)
    """

    log_weights: NDArray[Any]
    means: NDArray[Any]
    stds: NDArray[Any]

    def __post_init__(self) -> None:
        for name in ("log_weights", "means", "stds"):
            object.__setattr__(self, name, frozen(getattr(self, name), name))
        shapes = self.log_weights.shape, self.means.shape, self.stds.shape
        if len(set(shapes)) > 1 or not self.means.shape or self.means.shape[-1] < 1:
            raise ValueError(
                "log_weights, means and stds must have one shape (..., K) with K >= 1, "
                f"got {shapes[0]}, {shapes[1]} and {shapes[2]}; broadcast them before"
            )
        for name, wrong, rule in (
            ("stds", self.stds <= 0, "positive; put a floor under them"),
            ("stds", np.isinf(self.stds), "finite; cap them"),
            ("means", np.isinf(self.means), "finite; NaN marks a law that does not exist"),
        ):
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                must, _, advice = rule.partition("; ")
                raise ValueError(f"{name} must be {must}, got {getattr(self, name)[at]:.4g} at index {at}; {advice}")

    @classmethod
    def from_raw(cls, raw: ArrayLike) -> Self:
        """The mixture that the outputs of a network stand for, with smooth caps on means and standard deviations.

        Args:
            raw: (..., 3K) outputs [logits | means | log stds]; raw = 0 means equal weights, mean 0, std 1.

        Raises:
            ValueError: the last axis is not a multiple of 3.
        """
        raw = np.asarray(raw)
        if raw.ndim == 0 or raw.shape[-1] % 3 or not raw.shape[-1]:
            raise ValueError(f"raw must have a last axis of 3 K numbers [logits | means | log stds], got {raw.shape}")
        if raw.dtype not in (np.float32, np.float64):
            raw = raw.astype(np.float64)
        logits, means, log_stds = np.split(raw, 3, axis=-1)
        means = MAX_MEAN * np.tanh(means / MAX_MEAN)
        log_stds = MIN_LOG_STD + (MAX_LOG_STD - MIN_LOG_STD) * expit(log_stds + LOG_STD_OFFSET)
        return cls(logits - log_sum(logits)[..., None], means, np.exp(log_stds))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return self.means.shape[:-1]

    @property
    def parameters(self) -> tuple[Array, Array, Array]:
        """Weights that sum to one, means and standard deviations, (..., K) float64 each."""
        return self._weights, self._means, self._stds

    @property
    def width(self) -> int:
        """Numbers to work through for one value of the cdf: K."""
        return self.means.shape[-1]

    @property
    def cost(self) -> int:
        """Numbers worked through for one probability: all components."""
        return self.width

    def __getitem__(self, index: Any) -> Self:
        return type(self)(*(take(part, index, inner=1) for part in (self.log_weights, self.means, self.stds)))

    def __repr__(self) -> str:
        return f"Mixture(shape={self.shape}, components={self.width})"

    def log_pdf(self, u: ArrayLike) -> Array:
        """Log density at u, broadcast against the batch; finite for every finite u short of overflow."""
        z = self._standardise(u)
        with np.errstate(over="ignore"):
            return log_sum(self._log_weights - np.log(self._stds) - z * z / 2) - HALF_LOG_2PI

    def cdf(self, u: ArrayLike) -> Array:
        """P(U <= u), u broadcast against the batch."""
        z = self._standardise(u)
        return np.minimum(np.vecdot(self._weights, ndtr(z, out=z)), 1.0)

    def sf(self, u: ArrayLike) -> Array:
        """P(U > u), u broadcast against the batch; accurate where it is tiny."""
        z = self._standardise(u)
        return np.minimum(np.vecdot(self._weights, ndtr(np.negative(z, out=z), out=z)), 1.0)

    def log_cdf(self, u: ArrayLike) -> Array:
        """log P(U <= u), u broadcast against the batch; accurate far out in the tail."""
        return np.minimum(log_sum(self._log_weights + log_ndtr(self._standardise(u))), 0.0)

    def log_sf(self, u: ArrayLike) -> Array:
        """log P(U > u), u broadcast against the batch; accurate far out in the tail."""
        return np.minimum(log_sum(self._log_weights + log_ndtr(-self._standardise(u))), 0.0)

    def log_mass(self, low: ArrayLike, high: ArrayLike) -> Array:
        """log P(low < U < high), both broadcast against the batch; accurate in both tails, -inf where low >= high."""
        parts = normal.interval_log_mass(self._standardise(low), self._standardise(high))
        return np.minimum(log_sum(self._log_weights + parts), 0.0)

    def mean(self) -> Array:
        """Means, shape of the batch."""
        return self.moments("identity")[0]

    def variance(self) -> Array:
        """Variances, shape of the batch."""
        return self.moments("identity")[1]

    def moments(self, transform: str, low: Array | None = None, high: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of g(U), given low < U < high if both are given; shape of the batch each."""
        if low is None or high is None:
            shares = self._weights
            means, variances = normal.moments(transform, self._means, self._stds)
        else:
            alpha, beta = self._standardise(low), self._standardise(high)
            shares = self._shares(alpha, beta)
            absent = shares < 1e-25  # not worth the effort that the moments of a far tail take
            shares = np.where(absent, 0.0, shares)
            alpha, beta = np.where(absent, -np.inf, alpha), np.where(absent, np.inf, beta)
            means, variances = normal.interval_moments(transform, self._means, self._stds, alpha, beta)
        mean = (shares * means).sum(axis=-1)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = (shares * (variances + (means - mean[..., None]) ** 2)).sum(axis=-1)
        return mean, variance

    def quantile(self, q: ArrayLike) -> Array:
        """The u with P(U <= u) = q: shape of the batch for one q, (..., M) for M of them."""
        q = np.asarray(q, dtype=np.float64)
        with np.errstate(divide="ignore"):
            u = self.tail_quantile(np.log(q).reshape(-1), np.log1p(-q).reshape(-1))
        return u if q.ndim else u[..., 0]

    def tail_quantile(self, log_p: Array, log_q: Array, low: Array | None = None, high: Array | None = None) -> Array:
        """The u with a probability p below and q = 1 - p above, given low < U < high if both are given.

        Args:
            log_p: (M,) log of p.
            log_q: (M,) log of q, given apart since 1 - p has no digits left where p is tiny.
            low: shape of the batch, may be -inf.
            high: shape of the batch, may be inf.

        Returns:
            (..., M)
        """
        shape = (*self.shape, log_p.shape[-1])
        log_p, log_q = np.broadcast_to(log_p, shape), np.broadcast_to(log_q, shape)
        if low is None or high is None:
            return self._invert(log_p, log_q)
        inside = self.log_mass(low, high)
        thin = inside < _THIN
        with np.errstate(invalid="ignore"):
            below = np.logaddexp(self.log_cdf(low)[..., None], log_p + inside[..., None])
            above = np.logaddexp(self.log_sf(high)[..., None], log_q + inside[..., None])
        below[thin] = np.nan  # not worth a search
        u = self._invert(np.minimum(below, 0.0), np.minimum(above, 0.0))
        if thin.any():
            u[thin] = self[thin]._bisect(log_p[thin], log_q[thin], low[thin], high[thin])
        return np.clip(u, low[..., None], high[..., None])

    def knots(self, low: Array, high: Array) -> Array:
        """(..., P) points, not sorted, between which the cdf given low < U < high is smooth; the mass lies within."""
        if self.width > WIDE:  # the cdf of so many normals is smooth between its quantiles
            levels = ndtr(_LEVELS)
            return self.tail_quantile(np.log(levels), np.log(levels[::-1]), low, high)
        alpha, beta = (self._standardise(end)[..., None] for end in (low, high))
        z = normal.interval_quantile(alpha, beta, log_ndtr(_KNOTS), log_ndtr(-_KNOTS))  # (..., K, knots)
        return (self._means[..., None] + self._stds[..., None] * z).reshape(*self.shape, -1)

    def sample(
        self, n: int, *, generator: np.random.Generator, low: Array | None = None, high: Array | None = None
    ) -> Array:
        """(n, ...) independent draws, given low < U < high if both are given."""
        shape = (n, *self.shape)
        alpha, beta = (None if end is None else self._standardise(end) for end in (low, high))
        shares = self._weights if alpha is None or beta is None else self._shares(alpha, beta)
        ceilings = np.cumsum(shares, axis=-1)
        draw = generator.random(shape)
        pick = np.zeros((*shape, 1), dtype=np.intp)
        for k in range(self.width - 1):  # a loop over components: (n, ..., K) at once may not fit
            pick[..., 0] += draw > ceilings[..., k]

        def of(part: Array) -> Array:
            return np.take_along_axis(np.broadcast_to(part, (*shape, self.width)), pick, axis=-1)[..., 0]

        if alpha is None or beta is None:
            z = generator.standard_normal(shape)
        else:
            p = np.maximum(generator.random(shape), 2.0**-54)  # never 0: that may stand for -inf
            z = normal.interval_quantile(of(alpha), of(beta), np.log(p), np.log1p(-p))
        return of(self._means) + of(self._stds) * z

    @cached_property
    def _log_weights(self) -> Array:
        logits = self.log_weights.astype(np.float64)
        return logits - log_sum(logits)[..., None]

    @cached_property
    def _weights(self) -> Array:
        return np.exp(self._log_weights)

    @cached_property
    def _means(self) -> Array:
        return self.means.astype(np.float64, copy=False)

    @cached_property
    def _stds(self) -> Array:
        return self.stds.astype(np.float64, copy=False)

    @cached_property
    def _heights(self) -> Array:
        return self._weights / self._stds * np.exp(-HALF_LOG_2PI)

    def _standardise(self, u: ArrayLike) -> Array:
        with np.errstate(over="ignore"):
            z = np.asarray(u, dtype=np.float64)[..., None] - self._means
            return np.divide(z, self._stds, out=z)

    def _shares(self, alpha: Array, beta: Array) -> Array:
        """(..., K) weights of the components given alpha < (U - mean) / std < beta."""
        logits = self._log_weights + normal.interval_log_mass(alpha, beta)
        return np.exp(logits - log_sum(logits)[..., None])

    def _invert(self, log_below: Array, log_above: Array) -> Array:
        """(..., M) the u with these log cdf and log sf, by safeguarded Newton steps on the probit of the cdf.

        The probit of a mixture's cdf is straight in the tails and nearly so elsewhere, so few steps are needed; each
        side is counted from its own tail (the upper one mirrored), so no digit is lost in either.
        """
        shape = log_below.shape
        target = ndtri_exp(np.minimum(log_below, log_above)).reshape(-1)  # probit, never above 0
        side = np.where(log_above < log_below, -1.0, 1.0).reshape(-1)  # -1: mirrored
        centre, variance = (part.reshape(-1) for part in self.moments("identity"))
        row = np.arange(target.size) // max(shape[-1], 1)
        out = np.where(np.isneginf(target), -side * np.inf, np.nan)
        active = np.flatnonzero(np.isfinite(target) & np.isfinite(centre[row]))
        row, target, side = row[active], target[active], side[active]

        flat = -1, self.width
        means, stds = side[:, None] * self._means.reshape(flat)[row], self._stds.reshape(flat)[row]
        weights, heights = self._weights.reshape(flat)[row], self._heights.reshape(flat)[row]
        ends = means + stds * target[:, None]  # the components' own quantiles enclose the mixture's
        low, high = ends.min(axis=-1), ends.max(axis=-1)
        u = np.clip(side * centre[row] + np.sqrt(variance[row]) * target, low, high)
        finest = stds.min(axis=-1)
        last = high - low
        live = np.ones(active.size, dtype=bool)
        with np.errstate(all="ignore"):  # 0 / 0 where the density vanishes between modes: the interval is halved there
            while live.any():
                if 2 * np.count_nonzero(live) < live.size:
                    active, target, side, u, low, high, last, finest, means, stds, weights, heights = (
                        part[live]
                        for part in (active, target, side, u, low, high, last, finest, means, stds, weights, heights)
                    )
                    live = np.ones(active.size, dtype=bool)
                z = (u[:, None] - means) / stds
                probit = ndtri(np.vecdot(weights, ndtr(z)))
                over = probit > target
                high, low = np.where(over, u, high), np.where(over, low, u)
                parts = heights * np.exp(-0.5 * z * z)
                density = parts.sum(axis=-1)
                slope = density * np.exp(0.5 * probit * probit + HALF_LOG_2PI)
                step = (target - probit) / slope
                bend = probit * slope - np.vecdot(parts, z / stds) / density
                step /= np.clip(1 + 0.5 * step * bend, 0.5, 2.0)  # Halley
                size = np.abs(step)
                good = (size <= 1e-6 * finest) | ((size < 0.7 * last) & (u + step > low) & (u + step < high))
                step = np.where(good, step, 0.5 * (low + high) - u)
                u = np.clip(u + step, low, high)
                last = np.abs(step)
                # A Halley step leaves less than its square; a halving leaves as much as it moves.
                done = live & (last <= np.where(good, 1e-6, 1e-11) * finest + 4e-16 * np.abs(u))
                out[active[done]] = side[done] * u[done]
                live &= ~done
        return out.reshape(shape)

    def _bisect(self, log_p: Array, log_q: Array, low: Array, high: Array) -> Array:
        """(N, M) quantiles given low < U < high of N laws that hardly reach between low and high."""
        alpha, beta = (self._standardise(end)[:, None] for end in (low, high))
        ends = normal.interval_quantile(alpha, beta, log_p[..., None], log_q[..., None])  # (N, M, K)
        ends = self._means[:, None] + self._stds[:, None] * ends
        left, right = ends.min(axis=-1), ends.max(axis=-1)
        law, inside = self[:, None], self.log_mass(low, high)[:, None]
        for _ in range(60):
            middle = (left + right) / 2
            over = law.log_mass(low[:, None], middle) - inside > log_p
            left, right = np.where(over, left, middle), np.where(over, middle, right)
        return (left + right) / 2
