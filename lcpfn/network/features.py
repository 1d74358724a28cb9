"""What a network reads, by name: of each observed point (a token) and of each query. A new input is a row here.

Written once for NumPy arrays and torch tensors: `xp` is the array namespace of all arrays of one call. Everything is
causal: what is said of point i reads points 1..i alone, so that one pass serves every prefix.

Letters: B curves, T observed points, F features, P queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from lcpfn.network.namespace import Array

DECAYS = (0.5, 0.8, 0.95)  # of the exponentially weighted means, per point
MAIN = 1  # DECAYS[MAIN] makes the local scale d
SPREAD_FLOOR = 1e-3  # of d, relative to the spread so far: a quiet stretch after a large move keeps some width
RANGE_FLOOR = 3e-4  # of d, relative to the distance between the bounds
MAGNITUDE_FLOOR = 1e-7  # of d, relative to |y|: the resolution of float32
FIRST_RANGE = 0.1  # d after one point, relative to the distance between the bounds
FIRST_MAGNITUDE = 0.1  # d after one point without two bounds, relative to |y|


class Seen:
    """Statistics of the points of B curves after each of them; every array is (B, T) unless it says otherwise.

    Args:
        t: (B, T) times, increasing; padding at the end may hold any finite value.
        y: (B, T) values for which higher is better (a "min" metric comes negated), finite; T is 1 or more.
        lower: (B,) lowest possible value, -inf if unknown.
        upper: (B,) highest possible value, inf if unknown.
        clock: first and last time of a network that knows no others.
        xp: numpy or torch.
    """

    def __init__(self, t: Array, y: Array, lower: Array, upper: Array, clock: tuple[float, float] | None, xp: Any):
        self.t, self.y, self.clock, self.xp = t, y, clock, xp
        low, high = lower[:, None], upper[:, None]
        self.has_low, self.has_high = xp.isfinite(low), xp.isfinite(high)
        self.both = self.has_low & self.has_high
        self.low = xp.where(self.has_low, low, xp.zeros_like(low))  # (B, 1), as are the next two
        self.high = xp.where(self.has_high, high, xp.zeros_like(high))
        self.width = xp.where(self.both, self.high - self.low, xp.zeros_like(low))  # 0 where a bound is unknown

    @cached_property
    def moved(self) -> Array:
        """Distance from the first value. All statistics are of differences: exact under a shift of y."""
        return self.y - self.y[:, :1]

    @cached_property
    def change(self) -> Array:
        """Distance from the value before; 0 at the first point."""
        return self.xp.concatenate([self.xp.zeros_like(self.y[:, :1]), self.y[:, 1:] - self.y[:, :-1]], axis=1)

    @cached_property
    def bend(self) -> Array:
        """Change of the change; 0 at the first two points."""
        start = self.xp.zeros_like(self.change[:, :2])
        bend = self.xp.concatenate([start, self.change[:, 2:] - self.change[:, 1:-1]], axis=1)
        return bend[:, : self.y.shape[1]]

    @cached_property
    def mean(self) -> Array:
        """Mean of `moved` so far."""
        return _running_mean(self.moved, self.xp)

    @cached_property
    def spread(self) -> Array:
        """Standard deviation of the values so far."""
        square = _running_mean(self.moved * self.moved, self.xp)
        return self.xp.sqrt(self.xp.clip(square - self.mean * self.mean, min=0.0))  # rounding may leave it below 0

    @cached_property
    def steps(self) -> list[Array]:
        """Weighted means of the size of the changes so far, one for each of DECAYS; (B, T - 1), from point 2 on."""
        return [weighted(self.xp.abs(self.change)[:, 1:], decay, self.xp) for decay in DECAYS]

    @cached_property
    def first(self) -> Array:
        """(B, 1) the scale of a curve that has not moved yet: a share of its range, else of its size, else 1."""
        xp = self.xp
        first = xp.where(self.both, FIRST_RANGE * self.width, FIRST_MAGNITUDE * xp.abs(self.y)[:, :1])
        return xp.where(first > 0, first, xp.ones_like(first))

    @cached_property
    def still(self) -> Array:
        """Whether nothing says what the scale is: no two bounds, and all values so far are equal."""
        return (self.spread == 0) & ~self.both

    @cached_property
    def d(self) -> Array:
        """The local scale: by how much values change from point to point, with floors. Positive."""
        xp = self.xp
        tiny = 1e-290 if str(self.y.dtype).endswith("64") else 1e-36
        floor = xp.maximum(RANGE_FLOOR * self.width, MAGNITUDE_FLOOR * xp.abs(self.y))
        floor = xp.maximum(SPREAD_FLOOR * self.spread, floor)
        floor = xp.where(floor > 0, floor, xp.ones_like(floor) * tiny)
        d = xp.concatenate([self.first, xp.maximum(self.steps[MAIN], floor[:, 1:])], axis=1)
        return xp.where(self.still, self.first, d)

    @cached_property
    def before(self) -> Array:
        """The local scale one point earlier.

        Without bounds the scale of a curve that has not moved yet is a guess from its size, which depends on the unit
        and on a shift (rewards often begin with zeros): its first move is compared with itself.
        """
        xp = self.xp
        earlier = xp.concatenate([self.first, self.d[:, :-1]], axis=1)
        unknown = xp.concatenate([xp.zeros_like(self.still[:, :1]), self.still[:, :-1]], axis=1)
        return xp.where(unknown, self.d, earlier)

    def relative(self, x: Array) -> Array:
        """A distance in units of d, large ones compressed."""
        return self.xp.asinh(x / self.d)

    def log_ratio(self, x: Array) -> Array:
        """Log of the ratio of a size to d, within what a network can use."""
        return self.xp.clip(self.xp.log((x + 1e-6 * self.d) / self.d), min=-8.0, max=8.0) / 2

    def padded(self, x: Array) -> Array:
        """(B, T) from (B, T - 1): 0 at the first point."""
        return self.xp.concatenate([self.xp.zeros_like(self.d[:, :1]), x], axis=1)

    def log_distance(self, x: Array) -> Array:
        """Log distance to a bound in units of d; a value past the bound counts as on it."""
        return self.xp.log(self.xp.clip(x / self.d, min=0.02, max=1e6)) / 4

    def zeros(self) -> Array:
        """(B, T)."""
        return self.xp.zeros_like(self.d)

    @cached_property
    def gap(self) -> Array:
        """Time since the point before; at the first point since 0."""
        xp, first = self.xp, self.t[:, :1]
        if self.clock is None:
            first = xp.abs(first)
        return xp.concatenate([first, self.t[:, 1:] - self.t[:, :-1]], axis=1)

    @cached_property
    def count(self) -> Array:
        """How many points there are so far."""
        return self.xp.cumsum(self.xp.ones_like(self.t), axis=1)

    @cached_property
    def typical_gap(self) -> Array:
        """Mean time between two points so far; where there is one, its time. 1 where that is 0."""
        xp = self.xp
        span = self.t - self.t[:, :1]
        typical = xp.where(self.count > 1, span / xp.clip(self.count - 1, min=1.0), self.gap)
        return xp.where(typical > 0, typical, xp.ones_like(typical))

    @cached_property
    def offset(self) -> Array:
        """Where the clock stood at the first point, in typical gaps; 0 where there is no such gap."""
        xp = self.xp
        known = (self.count > 1) & (self.t > self.t[:, :1]) | (self.count <= 1) & (self.gap > 0)
        return xp.where(known, self.t[:, :1] / self.typical_gap, xp.zeros_like(self.t))


def _from_weighted(decay: float) -> Callable[[Seen], Array]:
    return lambda seen: seen.relative(seen.moved - weighted(seen.moved, decay, seen.xp))


def _between_bounds(seen: Seen, x: Array) -> Array:
    """x where both bounds are known, else 0."""
    return seen.xp.where(seen.both, x, seen.zeros())


def _safe_width(seen: Seen, instead: Array) -> Array:
    return seen.xp.where(seen.both, seen.width, instead)


Token = Callable[[Seen], Array]
# Of a point: its value beside those before it, in units of the local scale d, and that scale beside others.
VALUES: Mapping[str, Token] = {
    "change": lambda seen: seen.relative(seen.change),
    "from first": lambda seen: seen.relative(seen.moved),
    "from mean": lambda seen: seen.relative(seen.moved - seen.mean),
    "from best": lambda seen: seen.relative(seen.moved - running_max(seen.moved, seen.xp)),
    "bend": lambda seen: seen.relative(seen.bend),
    **{f"from weighted mean {decay}": _from_weighted(decay) for decay in DECAYS},
    "change in spreads": lambda seen: seen.change / (seen.spread + 1e-3 * seen.d),
    "log spread": lambda seen: seen.log_ratio(seen.spread),
    "log growth of scale": lambda seen: seen.xp.clip(seen.xp.log(seen.d / seen.before), min=-8.0, max=8.0),
    f"log step {DECAYS[0]}": lambda seen: seen.log_ratio(seen.padded(seen.steps[0])),
    f"log step {DECAYS[2]}": lambda seen: seen.log_ratio(seen.padded(seen.steps[2])),
    "log bend": lambda seen: seen.log_ratio(weighted(seen.xp.abs(seen.bend), DECAYS[MAIN], seen.xp)),
    "to lower bound": lambda seen: seen.xp.where(seen.has_low, seen.log_distance(seen.y - seen.low), seen.zeros()),
    "to upper bound": lambda seen: seen.xp.where(seen.has_high, seen.log_distance(seen.high - seen.y), seen.zeros()),
    "place between bounds": lambda seen: _between_bounds(
        seen, (seen.y - seen.low) / _safe_width(seen, seen.xp.ones_like(seen.width)) * 2 - 1
    ),
    "log scale between bounds": lambda seen: _between_bounds(
        seen, seen.xp.log(seen.d / _safe_width(seen, seen.d)) / 4 + 1
    ),
    "bounds known": lambda seen: (
        seen.zeros() + seen.xp.where(seen.has_low, 1.0, 0.0) - seen.xp.where(seen.has_high, 1.0, 0.0)
    ),
}
# Of a point's time, on a clock with a first and a last time, or through ratios and counts alone.
ON_CLOCK: Mapping[str, Token] = {
    "time": lambda seen: 2 * seen.t / _last(seen) - 1,
    "log time": lambda seen: seen.xp.log(seen.t / _first(seen)) / 2 - 1,
    "inverse time": lambda seen: _first(seen) / seen.t,
    # padding repeats its time, so a gap may be 0
    "log gap": lambda seen: seen.xp.log(seen.xp.clip(seen.gap, min=1e-3 * _first(seen)) / _first(seen)) / 2,
}
RELATIVE: Mapping[str, Token] = {
    "log count": lambda seen: seen.xp.log(seen.count) / 3,
    "inverse count": lambda seen: 1 / seen.count,
    "gap in typical gaps": lambda seen: seen.xp.asinh(seen.gap / seen.typical_gap) - 0.88,  # asinh(1): the usual gap
    "start of the clock": lambda seen: seen.xp.asinh(seen.offset) / 3,
}
TOKEN: Mapping[str, Token] = {**VALUES, **ON_CLOCK, **RELATIVE}


class Asked:
    """Times of queries beside those of the points that they may know; every array is (B, P).

    Args:
        t: (B, T) times of points.
        t_query: asked times.
        after: how many points each query may know.
        end: (B,) the time at which the run ends, NaN where nobody knows; None: nobody knows any.
        clock: first and last time of a network that knows no others.
        xp: numpy or torch.
    """

    def __init__(
        self, t: Array, t_query: Array, after: Array, end: Array | None, clock: tuple[float, float] | None, xp: Any
    ):
        self.t_query, self.clock, self.xp = t_query, clock, xp
        if t.shape[1] == 0:
            t = xp.zeros_like(t_query[:, :1])
        nothing = after == 0
        take = getattr(xp, "take_along_axis", None) or xp.take_along_dim
        self.last = xp.where(nothing, xp.zeros_like(t_query), take(t, xp.clip(after - 1, min=0), 1))
        # before its first point nobody knows where the clock of a run starts
        self.origin = xp.where(nothing, xp.zeros_like(t_query), t[:, :1] + xp.zeros_like(t_query))
        self.count = xp.where(nothing, xp.ones_like(t_query), after + xp.zeros_like(t_query))
        self._several, self._end = after > 1, end

    @cached_property
    def gap(self) -> Array:
        """Mean time between two points; where there is one, its time; positive."""
        xp = self.xp
        gap = xp.where(self._several, (self.last - self.origin) / xp.clip(self.count - 1, min=1.0), xp.abs(self.last))
        return xp.where(gap > 0, gap, xp.where(self.t_query > 0, self.t_query, xp.ones_like(self.t_query)))

    @cached_property
    def ahead(self) -> Array:
        """Gaps from the last point to the asked time."""
        return (self.t_query - self.last) / self.gap

    @cached_property
    def since(self) -> Array:
        """The asked time as a multiple of the time that the run has taken; below 0 before its first point."""
        return (self.t_query - self.origin) / (self.last - self.origin + self.gap)

    @cached_property
    def _length(self) -> tuple[Array, Array]:
        """Time from the start of the run to its end, and whether that is known; 1 where it is not."""
        xp, none = self.xp, self.xp.zeros_like(self.t_query)
        if self._end is None:
            return none + 1, none > 0
        length = self._end[:, None] + none - self.origin + self.gap
        known = xp.isfinite(length) & (length > 0)
        return xp.where(known, length, xp.ones_like(length)), known

    @cached_property
    def done(self) -> Array:
        """Share of the run that is over at the last point."""
        return self.xp.clip((self.last - self.origin + self.gap) / self._length[0], min=1e-4, max=1.5)

    @cached_property
    def by_then(self) -> Array:
        """Share of the run that is over at the asked time."""
        return self.xp.clip((self.t_query - self.origin + self.gap) / self._length[0], min=1e-4, max=1.5)

    def where_known(self, x: Array) -> Array:
        """x where the end of the run is known, else 0."""
        return self.xp.where(self._length[1], x, self.xp.zeros_like(self.t_query))

    @property
    def known(self) -> Array:
        """The last time on a clock; half a unit before its first where nothing was seen: it has a finite log."""
        return self.xp.clip(self.last, min=_first(self) / 2)


def _signed_log(asked: Asked) -> Array:
    """Log distance from the first point; the sign says on which side of it."""
    xp, since = asked.xp, asked.since
    signed = xp.where(since >= 0, xp.ones_like(since), -xp.ones_like(since))
    return xp.log(xp.abs(since) + 1e-3) / 2 * signed


Query = Callable[[Asked], Array]
ASKED_ON_CLOCK: Mapping[str, Query] = {
    "time": lambda asked: 2 * asked.t_query / _last(asked) - 1,
    "log time": lambda asked: asked.xp.log(asked.t_query / _first(asked)) / 2 - 1,
    "ahead": lambda asked: (asked.t_query - asked.last) / _last(asked),
    "log ratio": lambda asked: asked.xp.log(asked.t_query / asked.known) / 2,
    "inverse time": lambda asked: _first(asked) / asked.t_query,
    "inverse last time": lambda asked: _first(asked) / asked.known,
}
ASKED_RELATIVE: Mapping[str, Query] = {
    "gaps ahead": lambda asked: asked.xp.asinh(asked.ahead) / 3,
    "shares ahead": lambda asked: asked.xp.asinh(asked.ahead / asked.count),
    "log since start": _signed_log,
    "log count": lambda asked: asked.xp.log(asked.count) / 3,
    "inverse count": lambda asked: 1 / asked.count,
    "closeness": lambda asked: 1 / (1 + asked.xp.abs(asked.ahead)),
}
# How far a run is towards its end; all 0 where nobody knows that.
UNTIL_END: Mapping[str, Query] = {
    "end known": lambda asked: asked.where_known(asked.xp.zeros_like(asked.t_query) + 1),
    "share done": lambda asked: asked.where_known(asked.done),
    "share by then": lambda asked: asked.where_known(asked.by_then),
    "log share done": lambda asked: asked.where_known(asked.xp.log(asked.done) / 4 + 1),
    "log share left": lambda asked: asked.where_known(
        asked.xp.log(1.001 - asked.xp.clip(asked.by_then, max=1.0)) / 4 + 1
    ),
}
QUERY: Mapping[str, Query] = {**ASKED_ON_CLOCK, **ASKED_RELATIVE, **UNTIL_END}


def _first(of: Seen | Asked) -> float:
    assert of.clock is not None
    return of.clock[0]


def _last(of: Seen | Asked) -> float:
    assert of.clock is not None
    return of.clock[1]


def _running_mean(x: Array, xp: Any) -> Array:
    return xp.cumsum(x, axis=1) / xp.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)


def running_max(x: Array, xp: Any) -> Array:
    """(B, T) the largest entry up to each one."""
    return xp.maximum.accumulate(x, axis=1) if hasattr(xp.maximum, "accumulate") else xp.cummax(x, 1).values


def weighted(x: Array, decay: float, xp: Any) -> Array:
    """(B, T) exponentially weighted mean of all entries up to each one, weights normalised."""
    length = x.shape[1]
    return x @ _weights(64 * (1 + length // 64), decay, xp, x.dtype, x.device)[:length, :length].T


@lru_cache(maxsize=64)
def _weights(size: int, decay: float, xp: Any, dtype: Any, device: Any) -> Array:
    """(size, size) row i weighs entries 0..i; a corner of it serves shorter curves."""
    powers = decay ** xp.arange(size, dtype=dtype, device=device)
    place = xp.arange(size, device=device)
    weights = xp.tril(powers[abs(place[:, None] - place[None, :])])
    return weights / xp.cumsum(powers, axis=0)[:, None]
