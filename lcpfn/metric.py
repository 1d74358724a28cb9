"""What is measured: its direction and its bounds."""

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Real

LEAST, LARGEST = 1e-250, 1e250  # between two bounds: thousandths of less, and sums of more, leave the range of float64


@dataclass(frozen=True)
class Metric:
    """A metric: which direction is better, and which values are possible.

    Attributes:
        direction: "max" if higher is better (accuracy, reward), "min" if lower is better (loss, error rate).
        bounds: lowest and highest possible value in the user's unit; None where there is no such bound.
        overshoot: measurement noise may carry values past the bounds (as in the prior of the LC-PFN paper);
            beliefs are then not cut off at the bounds.

    Raises:
        ValueError: direction is neither "max" nor "min", or the bounds are not two increasing finite numbers or None.
        TypeError: a bound is not a number, or overshoot is not a bool.

    Example:
        >>> Metric("min", bounds=(0, None)).upward_bounds
        (-inf, -0.0)
    """

    direction: str = "max"
    _: KW_ONLY
    bounds: tuple[float | None, float | None] = (None, None)
    overshoot: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.direction, str) or self.direction not in ("max", "min"):
            raise ValueError(
                f'direction must be "max" (higher is better) or "min" (lower is better), got {self.direction!r}; '
                'write Metric("max") for an accuracy, Metric("min") for a loss'
            )
        if not isinstance(self.bounds, (tuple, list)) or len(self.bounds) != 2:
            raise ValueError(
                f"bounds must be a pair (lowest, highest), got {self.bounds!r}; write None for a side without a bound, "
                "as in bounds=(0, None)"
            )
        low, high = (_bound(value, name) for value, name in zip(self.bounds, ("lowest", "highest"), strict=True))
        if low is not None and high is not None and not low < high:
            raise ValueError(
                f"bounds must increase, got ({low:g}, {high:g}); give them as (lowest, highest) whatever the direction"
            )
        if low is not None and high is not None and not LEAST <= high - low <= LARGEST:
            raise ValueError(
                f"bounds must lie {LEAST:g} to {LARGEST:g} apart to be told from each other in float64, got ({low!r}, "
                f"{high!r}); rescale the values"
            )
        if not isinstance(self.overshoot, bool):
            raise TypeError(
                f"overshoot must be True or False, got {self.overshoot!r}; "
                "True means that noise may carry measured values past the bounds"
            )
        object.__setattr__(self, "bounds", (low, high))

    @property
    def sign(self) -> float:
        """+1.0 if higher is better, -1.0 if lower is: sign * y always improves upward."""
        return 1.0 if self.direction == "max" else -1.0

    @property
    def upward_bounds(self) -> tuple[float, float]:
        """Bounds (lowest, highest) of sign * y, infinite where unknown."""
        low = -math.inf if self.bounds[0] is None else self.bounds[0]
        high = math.inf if self.bounds[1] is None else self.bounds[1]
        return (low, high) if self.direction == "max" else (-high, -low)


def _bound(value: object, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"the {name} bound must be a number or None, got {value!r} of type {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"the {name} bound must be finite, got a whole number too large for float64") from None
    if not math.isfinite(number):
        raise ValueError(f"the {name} bound must be finite, got {number}; write None where the metric has no bound")
    return number
