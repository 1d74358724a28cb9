"""From the user's metric to the network and back: the only place that knows about scale.

Written once for NumPy arrays and torch tensors: every function takes the array namespace `xp`.
Everything is causal: what is said about the first c points reads those points alone, so that one
pass serves every prefix. Index c of a frame is "after c points", from 0 (nothing seen) to T.

Letters: B curves, T observed points, F features, P queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

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
    Token,
)
from lcpfn.network.namespace import Array

A = TypeVar("A", bound=Array)

EMPTY_RANGE = 0.25  # d before the first point, relative to the distance between the bounds


class Frame(NamedTuple, Generic[A]):
    """The local coordinates after 0..T points, and what the encoder reads."""

    location: A  # (B, T + 1)
    scale: A  # (B, T + 1), positive
    tokens: A  # (B, T, F)


@dataclass(frozen=True)
class Coordinates:
    """How a network sees values and times: values relative to what was seen, u with y = location + scale * sinh(u).

    Attributes:
        transform: the map from u to (y - location) / scale; a subclass, as in benchmarks/opponents/original, may have
            another one, and other features of a value.
        of_value: the features of a point's value by name.

    Raises:
        ValueError: if a choice is unknown, or the clock is not a pair first < last.
    """

    times: Literal["absolute", "relative"] = "absolute"  # on the clock; or through ratios and counts alone
    clock: tuple[float, float] | None = (1.0, 100.0)  # the times an "absolute" network knows
    bounded: bool = True  # both bounds of the metric must be known
    ends: bool = False  # a query may say when the run ends; needs "relative" times
    tokens: tuple[str, ...] = ()  # features of a point, names of TOKEN; none: those that the choices above stand for
    queries: tuple[str, ...] = ()  # features of a query, names of QUERY; the same

    transform: ClassVar[Literal["sinh", "identity"]] = "sinh"
    of_value: ClassVar[Mapping[str, Token]] = VALUES

    def __post_init__(self) -> None:
        if self.times not in ("absolute", "relative"):
            raise ValueError(f'times must be "absolute" or "relative", got {self.times!r}')
        if self.clock is not None:
            object.__setattr__(self, "clock", (float(self.clock[0]), float(self.clock[1])))
        if self.times == "absolute" and (self.clock is None or not 0 < self.clock[0] < self.clock[1]):
            raise ValueError(f'"absolute" times need a clock 0 < first < last, got {self.clock!r}')
        if self.ends and self.times != "relative":
            raise ValueError(f'ends needs times="relative": on a clock all runs end together, got {self.times!r}')

        clocked = self.times == "absolute"
        tokens = (*self.of_value, *(ON_CLOCK if clocked else RELATIVE))
        queries = (*(ASKED_ON_CLOCK if clocked else ASKED_RELATIVE), *(UNTIL_END if self.ends else ()))
        # A header of before features had names lists none.
        object.__setattr__(self, "tokens", tuple(self.tokens) or tokens)
        object.__setattr__(self, "queries", tuple(self.queries) or queries)
        for what, names, known in (
            ("tokens", self.tokens, {*self.of_value, *TOKEN}),
            ("queries", self.queries, set(QUERY)),
        ):
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"{what} must be features that this version knows, got {unknown}: upgrade lcpfn")

    @property
    def token_features(self) -> int:
        """F of a token."""
        return len(self.tokens)

    @property
    def query_features(self) -> int:
        """F of a query."""
        return len(self.queries)

    @property
    def known_clock(self) -> tuple[float, float] | None:
        """First and last time that the network knows; None if it knows ratios and counts alone."""
        return self.clock if self.times == "absolute" else None

    def frame(self, t: A, y: A, lower: A, upper: A, xp: Any) -> Frame[A]:
        """Locations, scales and token features of every prefix of B curves.

        Args:
            t: (B, T) times, increasing; padding at the end may hold any finite value.
            y: (B, T) values for which higher is better (a "min" metric comes negated), finite.
            lower: (B,) lowest possible value, -inf if unknown.
            upper: (B,) highest possible value, inf if unknown.
            xp: numpy or torch.

        Returns:
            The frame, in the floating-point type of y.
        """
        location, scale = _empty(lower[:, None], upper[:, None], xp)
        if y.shape[1] == 0:
            return Frame(location, scale, self.no_tokens(y, xp))
        seen = Seen(t, y, lower, upper, self.known_clock, xp)
        tokens = self.tokens_of(seen)
        return Frame(xp.concatenate([location, y], axis=1), xp.concatenate([scale, seen.d], axis=1), tokens)

    def tokens_of(self, seen: Seen) -> Any:
        """(B, T, F) what the encoder reads of each point."""
        table = {**TOKEN, **self.of_value}
        return seen.xp.stack([table[name](seen) for name in self.tokens], axis=2)

    def no_tokens(self, y: Array, xp: Any) -> Any:
        """(B, 0, F) the same of curves without a point."""
        return xp.zeros((y.shape[0], 0, self.token_features), dtype=y.dtype)

    def query(self, t: A, t_query: A, after: A, xp: Any, end: A | None = None) -> A:
        """(B, P, F) features of queries at t_query (B, P), each asked after `after` (B, P) points of times t (B, T).

        Coordinates with ends also read `end`, (B,), the time at which the run ends, NaN or None where nobody knows.
        """
        asked = Asked(t, t_query, after, end, self.known_clock, xp)
        return xp.stack([QUERY[name](asked) for name in self.queries], axis=2)


def _empty(low: Array, high: Array, xp: Any) -> tuple[Any, Any]:
    """(B, 1) location and scale of a curve without a point, from its bounds (B, 1): all that is known of it."""
    has_low, has_high = xp.isfinite(low), xp.isfinite(high)
    both = has_low & has_high
    low, high = xp.where(has_low, low, xp.zeros_like(low)), xp.where(has_high, high, xp.zeros_like(high))
    width = xp.where(both, high - low, xp.ones_like(low))
    middle = xp.where(both, (low + high) / 2, xp.where(has_low, low, high))
    return middle, xp.where(both, EMPTY_RANGE * width, width)
