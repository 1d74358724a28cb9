"""From the user's metric to the network and back: the only place that knows about scale.

Written once for NumPy arrays and torch tensors: every function takes the array namespace `xp`.
Everything is causal: what is said about the first c points reads those points alone, so that one
pass serves every prefix. Index c of a frame is "after c points", from 0 (nothing seen) to T.

Letters: B curves, T observed points, F features, P queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Array = Any  # numpy.ndarray or torch.Tensor, the same kind throughout one call

DECAYS = (0.5, 0.8, 0.95)  # of the exponentially weighted means, per point
MAIN = 1  # DECAYS[MAIN] makes the local scale d
SPREAD_FLOOR = 1e-3  # of d, relative to the spread so far: a quiet stretch after a large move keeps some width
RANGE_FLOOR = 3e-4  # of d, relative to the distance between the bounds
MAGNITUDE_FLOOR = 1e-7  # of d, relative to |y|: the resolution of float32
FIRST_RANGE = 0.1  # d after one point, relative to the distance between the bounds
FIRST_MAGNITUDE = 0.1  # d after one point without two bounds, relative to |y|
# Levels and quantiles of noisy values under the LC-PFN prior (a hundred thousand curves); the ends are those of 1e-5.
UNIT_QUANTILES = (
    (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0),
    (-1.0, -0.016, 0.093, 0.203, 0.277, 0.381, 0.465, 0.542, 0.613, 0.682, 0.751, 0.822, 0.9, 0.945, 0.999, 1.15, 2.1),
)
EMPTY_RANGE = 0.25  # d before the first point, relative to the distance between the bounds


@dataclass(frozen=True)
class Coordinates:
    """How a network sees values and times.

    Raises:
        ValueError: if a choice is unknown, or the clock is not a pair first < last.
    """

    values: str = "local"  # "local": relative to what was seen; "unit": y as it is, in [0, 1]
    times: str = "absolute"  # "absolute": on the clock; "relative": through ratios and counts alone
    clock: tuple[float, float] | None = (1.0, 100.0)  # the times an "absolute" network knows
    bounded: bool = True  # both bounds of the metric must be known
    ends: bool = False  # a query may say when the run ends; needs "relative" times

    def __post_init__(self) -> None:
        if self.values not in ("local", "unit"):
            raise ValueError(f'values must be "local" or "unit", got {self.values!r}')
        if self.times not in ("absolute", "relative"):
            raise ValueError(f'times must be "absolute" or "relative", got {self.times!r}')
        if self.clock is not None:
            object.__setattr__(self, "clock", (float(self.clock[0]), float(self.clock[1])))
        if self.times == "absolute" and (self.clock is None or not 0 < self.clock[0] < self.clock[1]):
            raise ValueError(f'"absolute" times need a clock 0 < first < last, got {self.clock!r}')
        if self.ends and self.times != "relative":
            raise ValueError(f'ends needs times="relative": on a clock all runs end together, got {self.times!r}')

    @property
    def transform(self) -> str:
        """The map from u to y: "sinh" for local values, "identity" for unit."""
        return "sinh" if self.values == "local" else "identity"

    @property
    def token_features(self) -> int:
        """F of a token."""
        return (19 if self.values == "local" else 1) + 4

    @property
    def query_features(self) -> int:
        """F of a query."""
        return 11 if self.ends else 6


class Frame(NamedTuple):
    """The local coordinates after 0..T points, and what the encoder reads."""

    location: Array  # (B, T + 1)
    scale: Array  # (B, T + 1), positive
    tokens: Array  # (B, T, F)


def frame(coordinates: Coordinates, t: Array, y: Array, lower: Array, upper: Array, xp: Any) -> Frame:
    """Locations, scales and token features of every prefix of B curves.

    Args:
        coordinates: the choice of coordinates.
        t: (B, T) times, increasing; padding at the end may hold any finite value.
        y: (B, T) values for which higher is better (a "min" metric comes negated), finite.
        lower: (B,) lowest possible value, -inf if unknown.
        upper: (B,) highest possible value, inf if unknown.
        xp: numpy or torch.

    Returns:
        The frame, in the floating-point type of y.
    """
    if coordinates.values == "unit":
        zeros = xp.zeros_like(y[:, :1]) if y.shape[1] else xp.zeros_like(lower)[:, None]
        location = xp.concatenate([zeros, xp.zeros_like(y)], axis=1)
        tokens = xp.concatenate([y[..., None], _token_times(coordinates, t, xp)], axis=2)
        return Frame(location, location + 1.0, tokens)
    return _local(coordinates, t, y, lower, upper, xp)


def bar_edges(coordinates: Coordinates, bars: int) -> np.ndarray:
    """(bars + 1,) edges of bars in u: about equally likely under the LC-PFN prior, or equal as far as the caps reach.

    Unit values lie outside of [0, 1] with their noise in one case of a hundred: bars of equal width would leave that to
    half-normals as narrow as a bar, and such values would cost thousands of nats each.
    """
    if coordinates.values == "unit":
        return np.interp(np.linspace(0.0, 1.0, bars + 1), *UNIT_QUANTILES)
    return np.linspace(-9.0, 9.0, bars + 1)


def _local(coordinates: Coordinates, t: Array, y: Array, lower: Array, upper: Array, xp: Any) -> Frame:
    tiny = 1e-290 if str(y.dtype).endswith("64") else 1e-36
    low, high = lower[:, None], upper[:, None]
    has_low, has_high = xp.isfinite(low), xp.isfinite(high)
    both = has_low & has_high
    low, high = xp.where(has_low, low, xp.zeros_like(low)), xp.where(has_high, high, xp.zeros_like(high))
    width = xp.where(both, high - low, xp.zeros_like(low))  # (B, 1), 0 where a bound is unknown
    empty = xp.where(both, (low + high) / 2, xp.where(has_low, low, high))
    empty_scale = xp.where(both, EMPTY_RANGE * width, xp.ones_like(width))
    if y.shape[1] == 0:
        return Frame(empty, empty_scale, xp.zeros((y.shape[0], 0, coordinates.token_features), dtype=y.dtype))

    moved = y - y[:, :1]  # all statistics are of differences: exact under a shift of y
    change = xp.concatenate([xp.zeros_like(y[:, :1]), y[:, 1:] - y[:, :-1]], axis=1)
    bend = xp.concatenate([xp.zeros_like(change[:, :2]), change[:, 2:] - change[:, 1:-1]], axis=1)[:, : y.shape[1]]
    mean = _running_mean(moved, xp)
    spread = xp.sqrt(xp.clip(_running_mean(moved * moved, xp) - mean * mean, min=0.0))
    steps = [_weighted(xp.abs(change)[:, 1:], decay, xp) for decay in DECAYS]  # each (B, T - 1)
    magnitude = xp.abs(y)
    floor = xp.maximum(SPREAD_FLOOR * spread, xp.maximum(RANGE_FLOOR * width, MAGNITUDE_FLOOR * magnitude))
    floor = xp.where(floor > 0, floor, xp.ones_like(floor) * tiny)
    first = xp.where(both, FIRST_RANGE * width, FIRST_MAGNITUDE * magnitude[:, :1])
    first = xp.where(first > 0, first, xp.ones_like(first))
    d = xp.concatenate([first, xp.maximum(steps[MAIN], floor[:, 1:])], axis=1)
    d = xp.where((spread == 0) & ~both, first, d)  # without bounds, ties from the start say nothing of the scale
    before = xp.concatenate([first, d[:, :-1]], axis=1)
    if d.shape[1] > 1:  # without bounds the scale after one point is a guess from |y|, which a shift would change
        before = xp.concatenate([first, xp.where(both, first, d[:, 1:2]), d[:, 1:-1]], axis=1)

    def relative(x: Array) -> Array:
        return xp.asinh(x / d)

    def ratio(x: Array) -> Array:
        return xp.clip(xp.log((x + 1e-6 * d) / d), min=-8.0, max=8.0) / 2

    pad = xp.zeros_like(d[:, :1])
    features = [
        relative(change),
        relative(moved),
        relative(moved - mean),
        relative(moved - _running_max(moved, xp)),
        relative(bend),
        *(relative(moved - _weighted(moved, decay, xp)) for decay in DECAYS),
        change / (spread + 1e-3 * d),
        ratio(spread),
        xp.clip(xp.log(d / before), min=-8.0, max=8.0),
        ratio(xp.concatenate([pad, steps[0]], axis=1)),
        ratio(xp.concatenate([pad, steps[2]], axis=1)),
        ratio(_weighted(xp.abs(bend), DECAYS[MAIN], xp)),
        xp.where(has_low, _distance((y - low) / d, xp), xp.zeros_like(d)),
        xp.where(has_high, _distance((high - y) / d, xp), xp.zeros_like(d)),
        xp.where(both, (y - low) / xp.where(both, width, xp.ones_like(width)) * 2 - 1, xp.zeros_like(d)),
        xp.where(both, xp.log(d / xp.where(both, width, d)) / 4 + 1, xp.zeros_like(d)),
        xp.zeros_like(d) + xp.where(has_low, 1.0, 0.0) - xp.where(has_high, 1.0, 0.0),
    ]
    tokens = xp.concatenate([xp.stack(features, axis=2), _token_times(coordinates, t, xp)], axis=2)
    return Frame(xp.concatenate([empty, y], axis=1), xp.concatenate([empty_scale, d], axis=1), tokens)


def query_features(
    coordinates: Coordinates, t: Array, t_query: Array, after: Array, xp: Any, end: Array | None = None
) -> Array:
    """(B, P, F) features of queries at t_query (B, P), each asked after `after` (B, P) points of times t (B, T).

    Coordinates with ends also read `end`, (B,), the time at which the run ends, NaN or None where nobody knows.
    """
    if t.shape[1] == 0:
        t = xp.zeros_like(t_query[:, :1])
    index = xp.clip(after - 1, min=0)
    nothing = after == 0
    take = getattr(xp, "take_along_axis", None) or xp.take_along_dim
    last = xp.where(nothing, xp.zeros_like(t_query), take(t, index, 1))
    if coordinates.times == "absolute":
        assert coordinates.clock is not None
        start, end = coordinates.clock
        known = xp.clip(last, min=start / 2)  # "half a unit before the first": a finite log where nothing was seen
        return xp.stack(
            [
                2 * t_query / end - 1,
                xp.log(t_query / start) / 2 - 1,
                (t_query - last) / end,
                xp.log(t_query / known) / 2,
                start / t_query,
                start / known,
            ],
            axis=2,
        )
    origin = xp.where(nothing, xp.zeros_like(t_query), t[:, :1] + xp.zeros_like(t_query))  # unknown before a point
    count = xp.where(nothing, xp.ones_like(t_query), after + xp.zeros_like(t_query))
    gap = xp.where(after > 1, (last - origin) / xp.clip(count - 1, min=1.0), xp.abs(last))
    gap = xp.where(gap > 0, gap, xp.where(t_query > 0, t_query, xp.ones_like(t_query)))
    ahead = (t_query - last) / gap
    since = (t_query - origin) / (last - origin + gap)
    signed = xp.where(since >= 0, xp.ones_like(since), -xp.ones_like(since))
    features = [
        xp.asinh(ahead) / 3,
        xp.asinh(ahead / count),
        xp.log(xp.abs(since) + 1e-3) / 2 * signed,
        xp.log(count) / 3,
        1 / count,
        1 / (1 + xp.abs(ahead)),
    ]
    if coordinates.ends:
        features += _until_end(t_query - origin + gap, last - origin + gap, origin, gap, end, xp)
    return xp.stack(features, axis=2)


def _until_end(asked: Array, done: Array, origin: Array, gap: Array, end: Array | None, xp: Any) -> list[Array]:
    """Five features (B, P) of times since the run began, as shares of its length; zeros where the end is unknown."""
    none = xp.zeros_like(asked)
    if end is None:
        return [none] * 5
    length = end[:, None] + none - origin + gap
    known = xp.isfinite(length) & (length > 0)
    length = xp.where(known, length, xp.ones_like(length))
    share, asked = (xp.clip(part / length, min=1e-4, max=1.5) for part in (done, asked))
    left = xp.log(1.001 - xp.clip(asked, max=1.0)) / 4
    parts = [none + 1, share, asked, xp.log(share) / 4 + 1, left + 1]
    return [xp.where(known, part, none) for part in parts]


def _token_times(coordinates: Coordinates, t: Array, xp: Any) -> Array:
    """(B, T, 4) what a token says of its time."""
    if coordinates.times == "absolute":
        assert coordinates.clock is not None
        start, end = coordinates.clock
        gap = xp.concatenate([t[:, :1], t[:, 1:] - t[:, :-1]], axis=1)
        gap = xp.clip(gap, min=1e-3 * start)  # padding repeats its time
        return xp.stack([2 * t / end - 1, xp.log(t / start) / 2 - 1, start / t, xp.log(gap / start) / 2], axis=2)
    count = xp.cumsum(xp.ones_like(t), axis=1)
    gap = xp.concatenate([xp.abs(t[:, :1]), t[:, 1:] - t[:, :-1]], axis=1)
    span = t - t[:, :1]
    typical = xp.where(count > 1, span / xp.clip(count - 1, min=1.0), gap)
    safe = xp.where(typical > 0, typical, xp.ones_like(typical))
    offset = xp.where(typical > 0, t[:, :1] / safe, xp.zeros_like(safe))  # where the clock stood at the first point
    return xp.stack([xp.log(count) / 3, 1 / count, xp.asinh(gap / safe) - 0.88, xp.asinh(offset) / 3], axis=2)


def _distance(x: Array, xp: Any) -> Array:
    """Log distance to a bound in units of d; a value past the bound counts as on it."""
    return xp.log(xp.clip(x, min=0.02, max=1e6)) / 4


def _running_mean(x: Array, xp: Any) -> Array:
    return xp.cumsum(x, axis=1) / xp.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)


def _running_max(x: Array, xp: Any) -> Array:
    return xp.maximum.accumulate(x, axis=1) if hasattr(xp.maximum, "accumulate") else xp.cummax(x, 1).values


def _weighted(x: Array, decay: float, xp: Any) -> Array:
    """Exponentially weighted mean of all entries up to each one, weights normalised."""
    length = x.shape[1]
    return x @ _weights(64 * (1 + length // 64), decay, xp, x.dtype, x.device)[:length, :length].T


@lru_cache(maxsize=64)
def _weights(size: int, decay: float, xp: Any, dtype: Any, device: Any) -> Array:
    """(size, size) row i weighs entries 0..i; a corner of it serves shorter curves."""
    powers = decay ** xp.arange(size, dtype=dtype, device=device)
    place = xp.arange(size, device=device)
    weights = xp.tril(powers[abs(place[:, None] - place[None, :])])
    return weights / xp.cumsum(powers, axis=0)[:, None]
