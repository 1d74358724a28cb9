"""What is believed about a number: a law of u, brought into the user's unit and direction."""

import math
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcpfn.distributions import crps
from lcpfn.distributions.law import Law
from lcpfn.distributions.ties import tie_ends
from lcpfn.distributions.transform import TRANSFORMS, forward, inverse, log_slope
from lcpfn.frozen import floats, frozen, take
from lcpfn.metric import Metric
from lcpfn.query import KINDS

Array = NDArray[np.float64]

BLOCK = 2**18  # numbers worked through at once: arrays of 2 MB, however many elements there are
_LOST = -1e9  # a log mass between the bounds below which its digits are gone


class _Cut(NamedTuple):
    """The bounds as they cut the law of u; shape of the batch each."""

    low: Array
    high: Array
    log_mass: Array  # between them
    lost: NDArray[np.bool_]  # nothing is left between them: the law is not cut, answers are clipped to the bounds
    first: Array  # u up to which a value counts as the lower bound, -inf for none
    last: Array  # u from which a value counts as the upper bound, inf for none


@dataclass(frozen=True, eq=False, repr=False)
class Belief:
    """A batch of predictive distributions of y, with the times that they are about. A value: nothing can be changed.

    direction * y = location + scale * g(u), with u distributed as `law` says and direction +1 for "max", -1 for "min".
    Where the metric has a bound and noise does not overshoot it, the law is cut off there and renormalised. Index,
    slice and iterate it like an array of its shape. Answers are float64 and in the user's unit; x broadcasts against
    the batch. A NaN location marks a belief that does not exist.

    Attributes:
        law: law of u; its shape is the shape of the batch (...).
        location: (...) what u = 0 stands for, in units of direction * y.
        scale: (...) positive.
        transform: g, "identity" or "sinh".
        metric: direction and bounds.
        kind: "value" (noisy y at t), "signal" (noiseless y at t) or "best" (best y up to t).
        t: (...) times.
        outcome: (..., 2) probabilities that the run has exploded by t, or broken off in NaN; None if nobody says. The
            law is that of runs which did neither.
        resolution: (...) in units of the scale: if the location stands at a bound that cuts the law, values as near to
            it as this count as the bound, so that an interval holds it, and beating it is not certain. 0: none do.

    Raises:
        ValueError: unknown transform or kind, a scale that is not positive, or shapes that do not fit the law's.
        TypeError: metric is no Metric, or an array does not hold real numbers.

    Example:
        >>> from lcpfn.distributions.mixture import Mixture
        >>> law = Mixture([[0.0], [0.0]], means=[[0.5], [0.6]], stds=[[0.1], [0.1]])
        >>> belief = Belief(law, 0.0, 1.0, metric=Metric("max"), t=[10, 20])
        >>> belief
        Belief(value, max, shape=(2,))
        >>> belief.mean(), belief[-1].interval(0.9).round(3)
        (array([0.5, 0.6]), array([0.436, 0.764]))
    """

    law: Law
    location: NDArray[Any]
    scale: NDArray[Any]
    _: KW_ONLY
    transform: str = "identity"
    metric: Metric
    kind: str = "value"
    t: NDArray[Any]
    outcome: NDArray[Any] | None = None
    resolution: NDArray[Any] | float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("transform", TRANSFORMS), ("kind", KINDS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not isinstance(self.metric, Metric):
            raise TypeError(f'metric must be a Metric, got {self.metric!r}; write Metric("max") or Metric("min")')
        for name in ("location", "scale", "t", "resolution"):
            array = frozen(getattr(self, name), name)
            try:
                array = np.broadcast_to(array, self.law.shape)
            except ValueError:
                raise ValueError(
                    f"{name} must broadcast to the shape of the law {self.law.shape}, got {array.shape}; "
                    "give one number for each element, or one for all"
                ) from None
            object.__setattr__(self, name, array)
        if np.any(self.scale <= 0) or np.any(np.isinf(self.scale)) or np.any(np.isinf(self.location)):
            raise ValueError(
                f"location must be finite and scale positive and finite, got scale from {self.scale.min():.4g} to "
                f"{self.scale.max():.4g}, location from {self.location.min():.4g} to {self.location.max():.4g}; "
                "put a floor under the scale"
            )
        if self.outcome is not None:
            outcome = frozen(self.outcome, "outcome")
            if outcome.shape != (*self.law.shape, 2) or np.any(outcome < 0) or np.any(outcome.sum(axis=-1) > 1 + 1e-9):
                raise ValueError(
                    f"outcome must be two probabilities for each of the batch {self.law.shape}, "
                    f"got shape {outcome.shape}"
                )
            object.__setattr__(self, "outcome", outcome)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return self.law.shape

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a belief about one number has no length; its shape is ()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: Any) -> Self:
        names = ("location", "scale", "t", "resolution")
        parts: dict[str, Any] = {name: take(getattr(self, name), index) for name in names}
        outcome = None if self.outcome is None else take(self.outcome, index, inner=1)
        return replace(self, law=self.law[index], outcome=outcome, **parts)

    def __repr__(self) -> str:
        return f"Belief({self.kind}, {self.metric.direction}, shape={self.shape})"

    def mean(self) -> Array:
        """Means, shape of the batch."""
        return self._blocks(lambda part, _: part._moments()[0], 0.0, self.law.width)

    def std(self) -> Array:
        """Standard deviations, shape of the batch."""
        return self._blocks(lambda part, _: part._moments()[1], 0.0, self.law.width)

    def median(self) -> Array:
        """Medians, shape of the batch."""
        return self.quantile(0.5)

    def quantile(self, q: ArrayLike) -> Array:
        """The y with P(Y <= y) = q.

        Args:
            q: one probability, or (M,) of them, in [0, 1].

        Returns:
            Shape of the batch for one q, (..., M) for M of them.

        Raises:
            ValueError: q is outside [0, 1], NaN, or has more than one axis.
        """
        q = floats(q, "q")
        if q.ndim > 1:
            raise ValueError(f"q must be one probability or a list of them, got shape {q.shape}; flatten it")
        if not np.all((q >= 0) & (q <= 1)):
            bad = q.reshape(-1)[~((q >= 0) & (q <= 1)).reshape(-1)][0]
            raise ValueError(f"q must lie in [0, 1], got {bad:.4g}; divide percentages by 100")
        y = self._quantiles(q.reshape(-1), 1 - q.reshape(-1))
        return y if q.ndim else y[..., 0]

    def interval(self, level: float = 0.9) -> Array:
        """The central interval that holds y with probability `level`: (..., 2), lower end first.

        Raises:
            ValueError: level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level!r}; divide percentages by 100")
        tail = (1 - level) / 2
        return self._quantiles(np.array([tail, 1 - tail]), np.array([1 - tail, tail]))

    def cdf(self, x: ArrayLike) -> Array:
        """P(Y <= x); 0 and 1 outside the bounds that cut the law."""
        return self._sided(x, above=self.metric.sign < 0, strict=False)

    def prob_above(self, x: ArrayLike) -> Array:
        """P(Y > x), accurate where it is tiny."""
        return self._sided(x, above=self.metric.sign > 0, strict=True)

    def prob_better(self, x: ArrayLike) -> Array:
        """The probability of being better than x: above it for a "max" metric, below it for "min"."""
        return self._sided(x, above=True, strict=True)

    def prob_diverged(self, *, into_nan: bool = False) -> Array:
        """The probability that the run has diverged by t, shape of the batch.

        A run has exploded once it is worse than everything seen before by 30 times its own gain, and has broken off
        once it measures NaN or infinity for good. All other answers are about a run that does neither.

        Args:
            into_nan: only by breaking off.

        Raises:
            ValueError: nobody says: the belief is of a network that was trained without.
        """
        if self.outcome is None:
            raise ValueError(
                "this belief does not say whether a run diverges: the network was trained without; "
                'lcpfn.load("general") knows, and so do networks of `lcpfn train --divergence`'
            )
        outcome = self.outcome.astype(np.float64, copy=False)
        return np.asarray(outcome[..., 1] if into_nan else outcome.sum(axis=-1))[()]

    def log_prob(self, x: ArrayLike) -> Array:
        """Log density at x, per unit of y, of the law without ties: finite however far out, -inf past a bound."""

        def rule(part: Belief, x: Array) -> Array:
            u, cut = part._to_u(x), part._cut
            log_density = part.law.log_pdf(u) - log_slope(part.transform, u) - np.log(part._scale)
            if cut is not None:
                log_density = log_density - cut.log_mass
            low, high = part._bounds
            inside = np.isnan(x) | (np.isfinite(x) & (x >= low) & (x <= high))
            return np.where(inside, np.maximum(log_density, np.finfo(np.float64).min), -np.inf)

        return self._blocks(rule, self.metric.sign * self._checked(x), self.law.width)

    def crps(self, x: ArrayLike) -> Array:
        """Continuous ranked probability score at x, in units of y, never negative; lower is better.

        In closed form for a mixture that no bound cuts, else by quadrature with a relative error below 1e-5.

        Source:
            Gneiting and Raftery 2007, section 4.2.
        """
        return self._blocks(Belief._crps, self.metric.sign * self._checked(x), crps.width(self.law), flat=True)

    def sample(self, n: int, *, generator: np.random.Generator) -> Array:
        """(n, ...) independent draws; elements of the batch are drawn independently of each other too.

        Raises:
            ValueError: n is negative.
        """
        if n < 0:
            raise ValueError(f"n must not be negative, got {n}")

        def rule(part: Belief, _: Array) -> Array:
            cut = part._cut
            ends = {} if cut is None else {"low": cut.low, "high": cut.high}
            return part._from_u(np.moveaxis(part.law.sample(n, generator=generator, **ends), 0, -1))

        return np.moveaxis(self._blocks(rule, 0.0, max(n, self.law.width)), -1, 0)

    @cached_property
    def _location(self) -> Array:
        return self.location.astype(np.float64, copy=False)

    @cached_property
    def _scale(self) -> Array:
        return self.scale.astype(np.float64, copy=False)

    @property
    def _bounds(self) -> tuple[float, float]:
        """Between which sign * y lies."""
        return (-math.inf, math.inf) if self.metric.overshoot else self.metric.upward_bounds

    @cached_property
    def _cut(self) -> _Cut | None:
        low, high = self._bounds
        if math.isinf(low) and math.isinf(high):
            return None
        u = self._to_u(np.full(self.shape, low)), self._to_u(np.full(self.shape, high))
        log_mass = self.law.log_mass(*u)
        lost = log_mass < _LOST
        ends = tie_ends(self.transform, self._location, self._scale, np.asarray(self.resolution), low, high)
        u_low, u_high, first, last = (np.where(lost, s * np.inf, e) for s, e in zip((-1, 1, -1, 1), (*u, *ends)))
        return _Cut(u_low, u_high, np.where(lost, 0.0, log_mass), lost, first, last)

    def _to_u(self, x: Array) -> Array:
        """u of x = sign * y, broadcast against the batch."""
        with np.errstate(over="ignore"):
            z = (apart := x - self._location) / self._scale
        u = inverse(self.transform, z)
        if self.transform == "sinh" and np.isinf(u).any():  # the quotient overflows, its logarithm does not
            with np.errstate(divide="ignore"):
                far = np.copysign(np.log(np.abs(apart)) - np.log(self._scale) + np.log(2), apart)
            u = np.where(np.isinf(u), far, u)
        return u

    def _from_u(self, u: Array) -> Array:
        """(..., M) y of u (..., M)."""
        with np.errstate(over="ignore"):
            x = self._location[..., None] + self._scale[..., None] * forward(self.transform, u)
        low, high = self._bounds
        if (cut := self._cut) is not None:  # an end of the law is the bound itself, not its image after rounding
            first, last = np.maximum(cut.low, cut.first)[..., None], np.minimum(cut.high, cut.last)[..., None]
            x = np.where(u <= first, low, np.where(u >= last, high, x))
        return self.metric.sign * np.clip(x, low, high)

    def _moments(self) -> tuple[Array, Array]:
        """Means and standard deviations of y."""
        cut = self._cut
        if cut is None:
            centre, variance = self.law.moments(self.transform)
        else:
            centre, variance = self.law.moments(self.transform, cut.low, cut.high)
            variance = np.where(cut.lost, 0.0, variance)
        x = np.clip(self._location + self._scale * centre, *self._bounds)
        return self.metric.sign * x, np.where(np.isnan(x), np.nan, self._scale * np.sqrt(variance))

    def _quantiles(self, below: Array, above: Array) -> Array:
        """(..., M) the y with these probabilities (M,) below and above."""
        p, q = (below, above) if self.metric.sign > 0 else (above, below)
        with np.errstate(divide="ignore"):
            log_p, log_q = np.log(p), np.log(q)

        def rule(part: Belief, _: Array) -> Array:
            cut = part._cut
            if cut is None:
                return part._from_u(part.law.tail_quantile(log_p, log_q))
            low, high = cut.low[..., None], cut.high[..., None]
            u = part.law.tail_quantile(log_p, log_q, cut.low, cut.high)
            return part._from_u(np.where(p == 0, low, np.where(q == 0, high, u)))

        return self._blocks(rule, 0.0, self.law.width * len(p))

    def _sided(self, x: ArrayLike, *, above: bool, strict: bool) -> Array:
        """P(sign * Y > sign * x), or the other side of it; >= or < where strict says so."""

        def rule(part: Belief, x: Array) -> Array:
            u, cut = part._to_u(x), part._cut
            if cut is None:
                return part.law.sf(u) if above else part.law.cdf(u)
            u = np.clip(np.clip(u, cut.first, cut.last), cut.low, cut.high)
            log_mass = part.law.log_mass(u, cut.high) if above else part.law.log_mass(cut.low, u)
            side = np.exp(np.minimum(log_mass - cut.log_mass, 0.0))
            low, high = part._bounds
            under, over = (x < low, x >= high) if above == strict else (x <= low, x > high)  # > and <=, or >= and <
            return np.where(under, float(above), np.where(over, float(not above), side))

        return self._blocks(rule, self.metric.sign * self._checked(x), self.law.width)

    def _crps(self, x: Array) -> Array:
        """(N,) scores of a batch (N,)."""
        cut = self._cut
        with np.errstate(over="ignore"):
            z = (x - self._location) / self._scale
        ends = () if cut is None else (cut.low, cut.high)
        score = self._scale * crps.score(self.law, self.transform, z, *ends)
        if cut is not None and cut.lost.any():
            score = np.where(cut.lost, np.abs(x - self.metric.sign * self._moments()[0]), score)
        return score

    def _checked(self, x: ArrayLike) -> Array:
        x = floats(x, "x")
        try:
            np.broadcast_shapes(self.shape, x.shape)
        except ValueError:
            raise ValueError(
                f"x must broadcast against the shape of the belief {self.shape}, got {x.shape}; "
                "add an axis in front for several x for each element"
            ) from None
        return x

    def _blocks(
        self, rule: "Callable[[Belief, Array], Array]", x: ArrayLike, width: int, *, flat: bool = False
    ) -> Array:
        """rule(belief, x) for all elements, a block at a time if they are many; `flat`: always as a batch (N,)."""
        x = np.asarray(x, dtype=np.float64)
        shape = np.broadcast_shapes(self.shape, x.shape)
        total = math.prod(shape)
        if not flat and total * width <= BLOCK:
            return np.asarray(rule(self, x))[()]
        whole = self if self.shape else self[None]
        if not flat and x.ndim > len(whole.shape) and shape[-len(whole.shape) :] == whole.shape:
            return self._columns(whole, rule, np.broadcast_to(x, shape))
        wide = np.broadcast_shapes(whole.shape, x.shape)
        x = np.broadcast_to(x, wide).reshape(-1)
        rows = np.broadcast_to(np.arange(math.prod(whole.shape)).reshape(whole.shape), wide).reshape(-1)
        step = max(1, BLOCK // width)
        parts = []
        for start in range(0, max(total, 1), step):
            row = rows[start : start + step]
            parts.append(rule(whole[np.unravel_index(row, whole.shape)], x[start : start + step]))
        out = np.concatenate(parts)
        return out.reshape(shape + out.shape[1:])[()]

    @staticmethod
    def _columns(whole: "Belief", rule: "Callable[[Belief, Array], Array]", x: Array) -> Array:
        """The same for x (..., *batch): an element serves all of its x, rather than being copied for each."""
        count, law = math.prod(whole.shape), whole.law
        columns = x.reshape(-1, count)
        rows, tall = np.arange(count), min(len(columns), max(1, BLOCK // law.cost))
        step = max(1, BLOCK // max(law.cost * tall, law.width))
        out = np.empty(columns.shape)
        for start in range(0, count, step):
            row = rows[start : start + step]
            part = whole[np.unravel_index(row, whole.shape)]
            for top in range(0, len(columns), tall):
                out[top : top + tall, row] = rule(part, columns[top : top + tall, row])
        return out.reshape(x.shape)
