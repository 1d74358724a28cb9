"""What a belief needs of a law of u."""

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Law(Protocol):
    """A continuous law of u for every element of a batch (...); u broadcasts against the batch.

    Where a method takes `low` and `high` it answers for the law given low < U < high, if both are given; they have the
    shape of the batch and may be infinite.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch."""

    @property
    def width(self) -> int:
        """Parameters of one element, in units of the largest: decides how many elements are worked through at once."""

    @property
    def cost(self) -> int:
        """Numbers worked through for one value of a density or probability, at one u."""

    def __getitem__(self, index: Any) -> Self: ...

    def log_pdf(self, u: ArrayLike) -> Array:
        """Log density at u."""

    def cdf(self, u: ArrayLike) -> Array:
        """P(U <= u)."""

    def sf(self, u: ArrayLike) -> Array:
        """P(U > u)."""

    def log_mass(self, low: ArrayLike, high: ArrayLike) -> Array:
        """log P(low < U < high), accurate in both tails, -inf where low >= high."""

    def moments(self, transform: str, low: Array | None = None, high: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of g(U), shape of the batch each."""

    def tail_quantile(self, log_p: Array, log_q: Array, low: Array | None = None, high: Array | None = None) -> Array:
        """(..., M) the u with probability p below and q = 1 - p above, from (M,) logs of both.

        Both are given since 1 - p has no digits left where p is tiny.
        """

    def knots(self, low: Array, high: Array) -> Array:
        """(..., P) points, not sorted, between which the cdf given low < U < high is smooth; the mass lies within."""

    def sample(
        self, n: int, *, generator: np.random.Generator, low: Array | None = None, high: Array | None = None
    ) -> Array:
        """(n, ...) independent draws."""
