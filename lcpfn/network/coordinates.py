"""From the user's metric to the network and back: the only place that knows about scale.

Written once for NumPy arrays and torch tensors: every function takes the array namespace `xp`.
Everything is causal: what is said about the first c points reads those points alone, so that one
pass serves every prefix. Index c of a frame is "after c points", from 0 (nothing seen) to T.

Letters: B curves, T observed points, F features, P queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from lcpfn.network.features import (
    ASKED_ON_CLOCK,
    ASKED_RELATIVE,
    ON_CLOCK,
    QUERY,
    RELATIVE,
    TOKEN,
    UNTIL_END,
    VALUES,
    Asked,
    Seen,
)

Array = Any  # numpy.ndarray or torch.Tensor, the same kind throughout one call

# Levels and quantiles of noisy values under the LC-PFN prior (a hundred thousand curves); the ends are those of 1e-5.
UNIT_QUANTILES = (
    (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0),
    (-1.0, -0.016, 0.093, 0.203, 0.277, 0.381, 0.465, 0.542, 0.613, 0.682, 0.751, 0.822, 0.9, 0.945, 0.999, 1.15, 2.1),
)
PLAIN = "value"  # the feature of a point that "unit" values have: y itself
EMPTY_RANGE = 0.25  # d before the first point, relative to the distance between the bounds


@dataclass(frozen=True)
class Coordinates:
    """How a network sees values and times.

    Raises:
        ValueError: if a choice is unknown, or the clock is not a pair first < last.
    """

    values: Literal["local", "unit"] = "local"  # relative to what was seen; or y as it is, in [0, 1]
    times: Literal["absolute", "relative"] = "absolute"  # on the clock; or through ratios and counts alone
    clock: tuple[float, float] | None = (1.0, 100.0)  # the times an "absolute" network knows
    bounded: bool = True  # both bounds of the metric must be known
    ends: bool = False  # a query may say when the run ends; needs "relative" times
    tokens: tuple[str, ...] = ()  # features of a point, names of TOKEN; none: those that the choices above stand for
    queries: tuple[str, ...] = ()  # features of a query, names of QUERY; the same

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

        clocked = self.times == "absolute"
        values = tuple(VALUES) if self.values == "local" else (PLAIN,)
        tokens = (*values, *(ON_CLOCK if clocked else RELATIVE))
        queries = (*(ASKED_ON_CLOCK if clocked else ASKED_RELATIVE), *(UNTIL_END if self.ends else ()))
        # A header of before features had names lists none.
        object.__setattr__(self, "tokens", tuple(self.tokens) or tokens)
        object.__setattr__(self, "queries", tuple(self.queries) or queries)
        for what, names, known in (("tokens", self.tokens, {PLAIN, *TOKEN}), ("queries", self.queries, set(QUERY))):
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"{what} must be features that this version knows, got {unknown}: upgrade lcpfn")

    @property
    def transform(self) -> Literal["sinh", "identity"]:
        """The map from u to y: "sinh" for local values, "identity" for unit."""
        return "sinh" if self.values == "local" else "identity"

    @property
    def token_features(self) -> int:
        """F of a token."""
        return len(self.tokens)

    @property
    def query_features(self) -> int:
        """F of a query."""
        return len(self.queries)


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
        scale = location + 1.0
    else:
        empty, empty_scale = _empty(lower[:, None], upper[:, None], xp)
        if y.shape[1] == 0:
            location, scale = empty, empty_scale
    if y.shape[1] == 0:
        return Frame(location, scale, xp.zeros((y.shape[0], 0, coordinates.token_features), dtype=y.dtype))
    seen = Seen(t, y, lower, upper, coordinates.clock if coordinates.times == "absolute" else None, xp)
    tokens = xp.stack([y if name == PLAIN else TOKEN[name](seen) for name in coordinates.tokens], axis=2)
    if coordinates.values == "local":
        location = xp.concatenate([empty, y], axis=1)
        scale = xp.concatenate([empty_scale, seen.d], axis=1)
    return Frame(location, scale, tokens)


def _empty(low: Array, high: Array, xp: Any) -> tuple[Array, Array]:
    """(B, 1) location and scale of a curve without a point, from its bounds (B, 1): all that is known of it."""
    has_low, has_high = xp.isfinite(low), xp.isfinite(high)
    both = has_low & has_high
    low, high = xp.where(has_low, low, xp.zeros_like(low)), xp.where(has_high, high, xp.zeros_like(high))
    width = xp.where(both, high - low, xp.ones_like(low))
    middle = xp.where(both, (low + high) / 2, xp.where(has_low, low, high))
    return middle, xp.where(both, EMPTY_RANGE * width, width)


def query_features(
    coordinates: Coordinates, t: Array, t_query: Array, after: Array, xp: Any, end: Array | None = None
) -> Array:
    """(B, P, F) features of queries at t_query (B, P), each asked after `after` (B, P) points of times t (B, T).

    Coordinates with ends also read `end`, (B,), the time at which the run ends, NaN or None where nobody knows.
    """
    clock = coordinates.clock if coordinates.times == "absolute" else None
    asked = Asked(t, t_query, after, end, clock, xp)
    return xp.stack([QUERY[name](asked) for name in coordinates.queries], axis=2)


def bar_edges(coordinates: Coordinates, bars: int) -> np.ndarray:
    """(bars + 1,) edges of bars in u: about equally likely under the LC-PFN prior, or equal as far as the caps reach.

    Unit values lie outside of [0, 1] with their noise in one case of a hundred: bars of equal width would leave that to
    half-normals as narrow as a bar, and such values would cost thousands of nats each.
    """
    if coordinates.values == "unit":
        return np.interp(np.linspace(0.0, 1.0, bars + 1), *UNIT_QUANTILES)
    return np.linspace(-9.0, 9.0, bars + 1)
