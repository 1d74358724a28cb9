"""Bars with half-normal tails: the law of u that the networks of the LC-PFN paper answer with."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from lcpfn.distributions import normal
from lcpfn.distributions.normal import HALF_LOG_2PI, log_sum
from lcpfn.distributions.transform import forward
from lcpfn.frozen import frozen, take

Array = NDArray[np.float64]

_LOG_2 = float(np.log(2))
HALF_NORMAL_MEDIAN = float(ndtri(0.75))
_OUTER = np.array([-np.inf, 0.0]), np.array([0.0, np.inf])  # the sides of the two half-normals, in standard deviations
_KNOTS = np.array([0.7, 1.5, 2.7, 4.0, 5.5])  # where panels of a quadrature end in them
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(5)


@dataclass(frozen=True, eq=False, repr=False)
class Bars:
    """Piecewise uniform laws on shared bars, one law for each element of a batch.

    The first and the last bar are half-normals that begin at their inner edge and go on for ever; half of their mass
    lies within the bar's width. Computes in float64 whatever it stores.

    Attributes:
        edges: (N + 1,) increasing edges.
        log_masses: (..., N) log masses; normalised in float64 wherever they are used.

    Raises:
        TypeError: an array does not hold real numbers.
        ValueError: the shapes do not fit, there are fewer than two bars, or the edges do not increase.

    Source:
        FullSupportBarDistribution of Mueller et al. 2022, the head of LC-PFN (Adriaensen et al. 2023).

    Example:
        >>> law = Bars([0.0, 0.5, 1.0, 1.5], log_masses=[0.0, 0.0, 0.0])
        >>> law, float(law.mean()), float(law.cdf(1.0))
        (Bars(shape=(), bars=3), 0.75, 0.6666666666666666)
    """

    edges: NDArray[Any]
    log_masses: NDArray[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", frozen(self.edges, "edges"))
        object.__setattr__(self, "log_masses", frozen(self.log_masses, "log_masses"))
        bars = self.log_masses.shape[-1] if self.log_masses.ndim else 0
        if bars < 2 or self.edges.shape != (bars + 1,):
            raise ValueError(
                f"N >= 2 bars need edges (N + 1,) and log_masses (..., N), got {self.edges.shape} and "
                f"{self.log_masses.shape}; give both outer edges"
            )
        if not (np.isfinite(self.edges).all() and (np.diff(self.edges) > 0).all()):
            at = int(np.argmin(np.diff(self.edges) > 0))
            raise ValueError(
                f"edges must be finite and increase, got {self.edges[at]:.6g} then {self.edges[at + 1]:.6g} "
                f"at edge {at}; sort them and drop repeated ones"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return self.log_masses.shape[:-1]

    @property
    def width(self) -> int:
        """Number of bars N."""
        return self.log_masses.shape[-1]

    @property
    def cost(self) -> int:
        """Numbers worked through for one probability: the place of u among the bars is found, not all of them."""
        return 8

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.edges, take(self.log_masses, index, inner=1))

    def __repr__(self) -> str:
        return f"Bars(shape={self.shape}, bars={self.width})"

    def log_pdf(self, u: ArrayLike) -> Array:
        """Log density at u, broadcast against the batch; finite for every finite u short of overflow."""
        u, bar = self._locate(u)
        first, last = self._tails(u)
        with np.errstate(over="ignore"):
            tails = [
                _LOG_2 - HALF_LOG_2PI - np.log(std) - z * z / 2
                for z, std in ((first, self._stds[0]), (last, self._stds[1]))
            ]
        height = np.where(bar == 0, tails[0], np.where(bar == self.width - 1, tails[1], -np.log(self._widths)[bar]))
        return self._of(self._log_masses, bar) + height

    def cdf(self, u: ArrayLike) -> Array:
        """P(U <= u), u broadcast against the batch."""
        return np.minimum(self._below(*self._locate(u)), 1.0)

    def sf(self, u: ArrayLike) -> Array:
        """P(U > u), u broadcast against the batch; accurate where it is tiny."""
        return np.minimum(self._above(*self._locate(u)), 1.0)

    def log_cdf(self, u: ArrayLike) -> Array:
        """log P(U <= u), u broadcast against the batch; accurate far out in the tail."""
        u, bar = self._locate(u)
        with np.errstate(divide="ignore"):
            inside = np.log(np.minimum(self._below(u, bar), 1.0))
        tail = self._log_masses[..., 0] + _LOG_2 + log_ndtr(self._tails(u)[0])
        return np.where(bar == 0, tail, inside)

    def log_sf(self, u: ArrayLike) -> Array:
        """log P(U > u), u broadcast against the batch; accurate far out in the tail."""
        u, bar = self._locate(u)
        with np.errstate(divide="ignore"):
            inside = np.log(np.minimum(self._above(u, bar), 1.0))
        tail = self._log_masses[..., -1] + _LOG_2 + log_ndtr(-self._tails(u)[1])
        return np.where(bar == self.width - 1, tail, inside)

    def log_mass(self, low: ArrayLike, high: ArrayLike) -> Array:
        """log P(low < U < high), both broadcast against the batch; -inf where low >= high.

        Accurate in relative terms within a tail; between the tails to about 1e-16 of the whole mass.
        """
        (low, first), (high, last) = self._locate(low), self._locate(high)
        below = self._below(high, last)
        with np.errstate(divide="ignore"):
            between = np.where(
                below < 0.5, below - self._below(low, first), self._above(low, first) - self._above(high, last)
            )
            mass = np.log(np.clip(between, 0.0, 1.0))
        (low_z, low_w), (high_z, high_w) = self._tails(low), self._tails(high)
        mass = np.where(last == 0, self._log_masses[..., 0] + _LOG_2 + normal.interval_log_mass(low_z, high_z), mass)
        upper = self._log_masses[..., -1] + _LOG_2 + normal.interval_log_mass(low_w, high_w)
        return np.where(low >= high, -np.inf, np.where(first == self.width - 1, upper, mass))

    def mean(self) -> Array:
        """Means, shape of the batch."""
        return self.moments("identity")[0]

    def variance(self) -> Array:
        """Variances, shape of the batch."""
        return self.moments("identity")[1]

    def moments(self, transform: str, low: Array | None = None, high: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of g(U), given low < U < high if both are given; shape of the batch each."""
        low = (np.full(self.shape, -np.inf) if low is None else low)[..., None]
        high = (np.full(self.shape, np.inf) if high is None else high)[..., None]
        left = np.clip(self._edges[1:-2], low, high)  # (..., N - 2)
        right = np.clip(self._edges[2:-1], low, high)
        half = (right - left)[..., None] / 2
        values = forward(transform, left[..., None] + half * (1 + _NODES))
        means = np.vecdot(values, _NODE_WEIGHTS / 2)
        variances = np.vecdot((values - means[..., None]) ** 2, _NODE_WEIGHTS / 2)
        with np.errstate(divide="ignore"):
            shares = self._log_masses[..., 1:-1] + np.log(right - left) - np.log(self._widths[1:-1])
        # The tails are halves of normals: an interval of their outer side.
        alpha, beta = ((np.concatenate([end, end], axis=-1) - self._starts) / self._stds for end in (low, high))
        alpha, beta = np.clip(alpha, _OUTER[0], _OUTER[1]), np.clip(beta, _OUTER[0], _OUTER[1])
        tail_means, tail_variances = normal.interval_moments(
            transform, np.broadcast_to(self._starts, alpha.shape), np.broadcast_to(self._stds, alpha.shape), alpha, beta
        )
        tail_shares = self._log_masses[..., [0, -1]] + _LOG_2 + normal.interval_log_mass(alpha, beta)
        shares = np.concatenate([shares, tail_shares], axis=-1)
        shares = np.exp(shares - log_sum(shares)[..., None])
        means, variances = (
            np.where(shares > 0, np.concatenate(parts, axis=-1), np.where(np.isnan(shares), np.nan, 0.0))
            for parts in ((means, tail_means), (variances, tail_variances))
        )
        mean = (shares * means).sum(axis=-1)
        return mean, (shares * (variances + (means - mean[..., None]) ** 2)).sum(axis=-1)

    def quantile(self, q: ArrayLike) -> Array:
        """The u with P(U <= u) = q: shape of the batch for one q, (..., M) for M of them."""
        q = np.asarray(q, dtype=np.float64)
        with np.errstate(divide="ignore"):
            u = self.tail_quantile(np.log(q).reshape(-1), np.log1p(-q).reshape(-1))
        return u if q.ndim else u[..., 0]

    def tail_quantile(self, log_p: Array, log_q: Array, low: Array | None = None, high: Array | None = None) -> Array:
        """The u with probability p below and q = 1 - p above, given low < U < high if both are given.

        Args:
            log_p: (M,) or (..., M) log of p.
            log_q: log of q, given apart since 1 - p has no digits left where p is tiny.
            low: shape of the batch, may be -inf.
            high: shape of the batch, may be inf.

        Returns:
            (..., M)
        """
        shape = (*self.shape, log_p.shape[-1])
        log_p, log_q = np.broadcast_to(log_p, shape), np.broadcast_to(log_q, shape)
        if low is None or high is None:
            return self._invert(log_p, log_q)
        inside = self.log_mass(low, high)[..., None]
        below = np.logaddexp(self.log_cdf(low)[..., None], log_p + inside)
        above = np.logaddexp(self.log_sf(high)[..., None], log_q + inside)
        return np.clip(self._invert(below, above), low[..., None], high[..., None])

    def knots(self, low: Array, high: Array) -> Array:
        """(..., P) points, not sorted, between which the cdf given low < U < high is smooth; the mass lies within."""
        low, high = low[..., None], high[..., None]
        alpha, beta = (np.clip((end - self._starts) / self._stds, *_OUTER)[..., None] for end in (low, high))
        outer, inner = np.log(2 * ndtr(-_KNOTS)), np.log(1 - 2 * ndtr(-_KNOTS))
        z = normal.interval_quantile(alpha, beta, np.stack([outer, inner]), np.stack([inner, outer]))  # (..., 2, knots)
        tails = (self._starts[:, None] + self._stds[:, None] * z).reshape(*self.shape, -1)
        return np.concatenate([tails, np.clip(self._edges[1:-1], low, high)], axis=-1)

    def sample(
        self, n: int, *, generator: np.random.Generator, low: Array | None = None, high: Array | None = None
    ) -> Array:
        """(n, ...) independent draws, given low < U < high if both are given."""
        p = np.maximum(generator.random((*self.shape, n)), 2.0**-54)  # never 0: that stands for -inf
        return np.moveaxis(self.tail_quantile(np.log(p), np.log1p(-p), low, high), -1, 0)

    @cached_property
    def _edges(self) -> Array:
        return self.edges.astype(np.float64, copy=False)

    @cached_property
    def _widths(self) -> Array:
        return np.diff(self._edges)

    @cached_property
    def _starts(self) -> Array:
        """(2,) inner edges of the half-normals."""
        return self._edges[[1, -2]]

    @cached_property
    def _stds(self) -> Array:
        """(2,) standard deviations of the half-normals."""
        return self._widths[[0, -1]] / HALF_NORMAL_MEDIAN

    @cached_property
    def _log_masses(self) -> Array:
        logits = self.log_masses.astype(np.float64)
        return logits - log_sum(logits)[..., None]

    @cached_property
    def _masses(self) -> Array:
        return np.exp(self._log_masses)

    @cached_property
    def _before(self) -> Array:
        """(..., N) mass of all bars before each."""
        return np.cumsum(self._masses, axis=-1) - self._masses

    @cached_property
    def _after(self) -> Array:
        """(..., N) mass of all bars after each."""
        return np.cumsum(self._masses[..., ::-1], axis=-1)[..., ::-1] - self._masses

    def _locate(self, u: ArrayLike) -> tuple[Array, NDArray[np.intp]]:
        u = np.asarray(u, dtype=np.float64)
        return u, np.clip(np.searchsorted(self._edges, u) - 1, 0, self.width - 1)

    def _tails(self, u: Array) -> tuple[Array, Array]:
        """u in standard deviations of both half-normals."""
        return (u - self._starts[0]) / self._stds[0], (u - self._starts[1]) / self._stds[1]

    def _of(self, table: Array, bar: NDArray[np.intp]) -> Array:
        """table (..., N) at the bars, which are broadcast against the batch."""
        shape = np.broadcast_shapes(self.shape, bar.shape)
        table, bar = np.broadcast_to(table, (*shape, self.width)), np.broadcast_to(bar, shape)
        return np.take_along_axis(table, bar[..., None], axis=-1)[..., 0]

    def _below(self, u: Array, bar: NDArray[np.intp]) -> Array:
        first, last = self._tails(u)
        share = np.where(bar == 0, 2 * ndtr(first), (u - self._edges[bar]) / self._widths[bar])
        share = np.where(bar == self.width - 1, 1 - 2 * ndtr(-last), share)
        return self._of(self._before, bar) + self._of(self._masses, bar) * share

    def _above(self, u: Array, bar: NDArray[np.intp]) -> Array:
        first, last = self._tails(u)
        share = np.where(bar == 0, 1 - 2 * ndtr(first), (self._edges[bar + 1] - u) / self._widths[bar])
        share = np.where(bar == self.width - 1, 2 * ndtr(-last), share)
        return self._of(self._after, bar) + self._of(self._masses, bar) * share

    def _invert(self, log_below: Array, log_above: Array) -> Array:
        """(..., M) the u with these log cdf and log sf."""
        p = np.exp(log_below)
        bar = np.zeros(p.shape, dtype=np.intp)
        for power in reversed(range((self.width - 1).bit_length())):  # the last bar that begins at or below p
            higher = np.minimum(bar + 2**power, self.width - 1)
            bar = np.where(np.take_along_axis(self._before, higher, axis=-1) <= p, higher, bar)
        before, mass = (np.take_along_axis(table, bar, axis=-1) for table in (self._before, self._masses))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(mass > 0, np.clip((p - before) / mass, 0, 1), 0.0)
        u = self._edges[bar] + self._widths[bar] * share
        first = ndtri_exp(np.minimum(log_below - self._log_masses[..., :1], 0.0) - _LOG_2)
        last = -ndtri_exp(np.minimum(log_above - self._log_masses[..., -1:], 0.0) - _LOG_2)
        u = np.where(bar == 0, self._starts[0] + self._stds[0] * first, u)
        return np.where(
            (bar == self.width - 1) | (log_above <= self._log_masses[..., -1:]),
            self._starts[1] + self._stds[1] * last,
            u,
        )
