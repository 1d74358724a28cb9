"""A linear pool: several forecasts of one number, each in its own coordinates, as one law."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, ndtri_exp

from lcpfn.distributions.law import Law
from lcpfn.distributions.normal import log_sum
from lcpfn.distributions.transform import TRANSFORMS, forward, inverse, log_slope
from lcpfn.frozen import frozen, take

Array = NDArray[np.float64]

_STEPS = 80  # at most; about ten are needed
_FINE = 1e-13  # relative width of asinh(z) that is fine enough


@dataclass(frozen=True, eq=False, repr=False)
class Pool:
    """The mixture of laws of z, given as laws of u with z = g(u), g one of `transforms`. z itself is not transformed.

    Attributes:
        parts: P laws of one batch shape (...).
        transforms: P names of g.
        log_weights: (..., P); normalised in float64 wherever they are used.

    Raises:
        ValueError: the parts' shapes differ, or there is not one transform and weight for each.

    Example:
        >>> from lcpfn.distributions.mixture import Mixture
        >>> normal = Mixture([0.0], means=[0.0], stds=[1.0])
        >>> pool = Pool((normal, normal), ("identity", "sinh"), [0.0, 0.0])
        >>> pool, float(pool.cdf(0.0))
        (Pool(shape=(), parts=2), 0.5)
    """

    parts: tuple[Law, ...]
    transforms: tuple[str, ...]
    log_weights: NDArray[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_weights", frozen(self.log_weights, "log_weights"))
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "transforms", tuple(self.transforms))
        shapes = {part.shape for part in self.parts}
        if len(shapes) != 1 or len(self.parts) != len(self.transforms) or not set(self.transforms) <= set(TRANSFORMS):
            raise ValueError(
                f"a pool needs parts of one shape and a transform for each, got shapes {sorted(shapes)} "
                f"and transforms {self.transforms}"
            )
        if self.log_weights.shape != (*self.shape, len(self.parts)):
            raise ValueError(
                f"log_weights must have shape {(*self.shape, len(self.parts))}, got {self.log_weights.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return self.parts[0].shape

    @property
    def width(self) -> int:
        """Of all parts together."""
        return sum(part.width for part in self.parts)

    @property
    def cost(self) -> int:
        """Of all parts together."""
        return sum(part.cost for part in self.parts)

    def __getitem__(self, index: Any) -> Self:
        parts = tuple(part[index] for part in self.parts)
        return type(self)(parts, self.transforms, take(self.log_weights, index, inner=1))

    def __repr__(self) -> str:
        return f"Pool(shape={self.shape}, parts={len(self.parts)})"

    def log_pdf(self, u: ArrayLike) -> Array:
        """Log density at z = u."""
        logs = []
        for part, transform in zip(self.parts, self.transforms):
            inner = inverse(transform, np.asarray(u, dtype=np.float64))
            logs.append(part.log_pdf(inner) - log_slope(transform, inner))
        return log_sum(self._log_weights + np.stack(logs, axis=-1))

    def cdf(self, u: ArrayLike) -> Array:
        """P(Z <= u)."""
        return np.minimum((self._weights * self._each("cdf", u)).sum(axis=-1), 1.0)

    def sf(self, u: ArrayLike) -> Array:
        """P(Z > u)."""
        return np.minimum((self._weights * self._each("sf", u)).sum(axis=-1), 1.0)

    def log_mass(self, low: ArrayLike, high: ArrayLike) -> Array:
        """log P(low < Z < high), -inf where low >= high."""
        with np.errstate(divide="ignore"):
            return np.minimum(log_sum(self._log_weights + self._masses(low, high)), 0.0)

    def moments(self, transform: str, low: Array | None = None, high: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of Z.

        Raises:
            ValueError: transform is not "identity": each part has its own.
        """
        if transform != "identity":
            raise ValueError(f'a pool is a law of z itself: transform must be "identity", got {transform!r}')
        shares = self._weights
        if low is not None and high is not None:
            logits = self._log_weights + self._masses(low, high)
            shares = np.exp(logits - log_sum(logits)[..., None])
        means, variances = [], []
        for part, inner, share in zip(self.parts, self.transforms, np.moveaxis(shares, -1, 0)):
            ends = () if low is None or high is None else (inverse(inner, low), inverse(inner, high))
            mean, variance = part.moments(inner, *ends)
            present = share > 1e-25  # else far out in its tail, where moments have no digits
            means.append(np.where(present, mean, 0.0))
            variances.append(np.where(present, variance, 0.0))
        mean = (shares * np.stack(means, axis=-1)).sum(axis=-1)
        spread = np.stack(variances, axis=-1) + (np.stack(means, axis=-1) - mean[..., None]) ** 2
        return mean, (shares * spread).sum(axis=-1)

    def tail_quantile(self, log_p: Array, log_q: Array, low: Array | None = None, high: Array | None = None) -> Array:
        """(..., M) the z with probability p below and q = 1 - p above, from logs of both.

        The quantiles of the parts enclose that of the pool; the normal score of its cdf is nearly straight in asinh(z).
        """
        shape = (*self.shape, log_p.shape[-1])
        log_p, log_q = np.broadcast_to(log_p, shape), np.broadcast_to(log_q, shape)
        floor, ceiling = np.asarray(-np.inf), np.asarray(np.inf)
        if low is not None and high is not None:
            inside = self.log_mass(low, high)[..., None]
            floor, ceiling = low[..., None], high[..., None]
            ends = np.full_like(low, -np.inf), np.full_like(high, np.inf)
            log_p = np.minimum(np.logaddexp(self.log_mass(ends[0], low)[..., None], log_p + inside), 0.0)
            log_q = np.minimum(np.logaddexp(self.log_mass(high, ends[1])[..., None], log_q + inside), 0.0)
        own = [forward(g, part.tail_quantile(log_p, log_q)) for part, g in zip(self.parts, self.transforms)]
        left, right = np.arcsinh(np.minimum.reduce(own)), np.arcsinh(np.maximum.reduce(own))
        lower = log_p < log_q
        target = np.where(lower, ndtri_exp(log_p), -ndtri_exp(log_q))
        wide = self[..., None] if self.shape else self[None]

        def miss(x: Array) -> Array:
            z = np.sinh(x)
            return np.where(lower, ndtri(wide.cdf(z)), -ndtri(wide.sf(z))) - target

        return np.clip(np.sinh(_root(miss, left, right)), floor, ceiling)

    def knots(self, low: Array, high: Array) -> Array:
        """(..., P) points between which the cdf given low < Z < high is smooth."""
        found = [
            forward(g, part.knots(inverse(g, low), inverse(g, high))) for part, g in zip(self.parts, self.transforms)
        ]
        return np.concatenate(found, axis=-1)

    def sample(
        self, n: int, *, generator: np.random.Generator, low: Array | None = None, high: Array | None = None
    ) -> Array:
        """(n, ...) independent draws."""
        p = np.maximum(generator.random((*self.shape, n)), 2.0**-54)  # never 0: that stands for -inf
        return np.moveaxis(self.tail_quantile(np.log(p), np.log1p(-p), low, high), -1, 0)

    @cached_property
    def _log_weights(self) -> Array:
        logits = self.log_weights.astype(np.float64)
        return logits - log_sum(logits)[..., None]

    @cached_property
    def _weights(self) -> Array:
        return np.exp(self._log_weights)

    def _each(self, method: str, u: ArrayLike) -> Array:
        """(..., P) the parts' answers."""
        u = np.asarray(u, dtype=np.float64)
        return np.stack([getattr(part, method)(inverse(g, u)) for part, g in zip(self.parts, self.transforms)], axis=-1)

    def _masses(self, low: ArrayLike, high: ArrayLike) -> Array:
        """(..., P) log masses of the parts between the ends."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        return np.stack(
            [part.log_mass(inverse(g, low), inverse(g, high)) for part, g in zip(self.parts, self.transforms)], axis=-1
        )


def _root(miss: Callable[[Array], Array], left: Array, right: Array) -> Array:
    """Where a rising function, given as arrays in and out, passes zero between left and right.

    Each element stops for itself, so that its answer does not depend on the others'.

    Source:
        Chandrupatla 1997: inverse quadratic interpolation where that is safe, else halving.
    """
    here, there = left, right
    with np.errstate(all="ignore"):  # of ends that are one point, or infinite
        f_here, f_there = miss(here), miss(there)
        done = ~(np.isfinite(here) & np.isfinite(there)) | (here == there) | (f_here >= 0)
        share = np.full(np.shape(left), 0.5)
        for _ in range(_STEPS):
            x = np.where(done, here, here + share * (there - here))
            f = miss(x)
            same = np.sign(f) == np.sign(f_here)
            last, f_last = np.where(same, here, there), np.where(same, f_here, f_there)
            there, f_there = np.where(same | done, there, here), np.where(same | done, f_there, f_here)
            here, f_here = x, np.where(done, f_here, f)
            fine = _FINE * np.maximum(np.abs(here), 1e-3) / np.abs(there - here)
            done = done | (fine > 0.5) | (f_here == 0)
            if done.all():
                break
            xi, phi = (here - there) / (last - there), (f_here - f_there) / (f_last - f_there)
            curved = f_here / (f_there - f_here) * f_last / (f_there - f_last)
            curved += (last - here) / (there - here) * f_here / (f_last - f_here) * f_there / (f_last - f_there)
            safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi) & np.isfinite(curved)
            share = np.clip(np.where(safe, curved, 0.5), fine, 1 - fine)
    return here
