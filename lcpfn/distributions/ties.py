"""Values at a bound: how near to it a value counts as the bound itself.

A law with a density gives every single value the probability zero, also the bound at which a run has stood for thirty
points. What it can say is how much lies closer to the bound than it tells values apart. That mass counts as the bound:
a probability of its own, an atom, where the run stands there; elsewhere nothing changes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lcpfn.distributions.mixture import MIN_LOG_STD
from lcpfn.distributions.transform import inverse
from lcpfn.network.features import RANGE_FLOOR

Array = NDArray[np.float64]

# Of local coordinates, in units of their scale: four standard deviations of the narrowest component, by which a network
# says "no change". After 30 zeros of a metric in [0, 1] the general one puts 0.95 of the next value there, and 0.01 up
# to a full scale.
NARROWEST = 4 * math.exp(MIN_LOG_STD)


def resolution(scale: Array, low: float, high: float) -> Array:
    """How far apart two values must be to be told apart, in units of the scale (...) of local coordinates.

    NARROWEST; and a whole scale where the scale is at its floor: the curve then never changed by more than that, a few
    ten-thousandths of the distance between the bounds, and all a network was shown of it are changes in this unit.
    """
    width = high - low
    quiet = scale <= RANGE_FLOOR * width * (1 + 1e-6) if math.isfinite(width) else np.zeros(scale.shape, dtype=bool)
    return np.where(quiet, 1.0, NARROWEST)


def tie_ends(
    transform: str, location: Array, scale: Array, near: Array, low: float, high: float
) -> tuple[Array, Array]:
    """The u (...) up to which a value counts as the lower bound, and from which it counts as the upper one.

    Only where the location, the last value, is itself so near to that bound; else -inf and inf.

    Args:
        transform: of the belief.
        location: (...) of direction * y.
        scale: (...) of the belief.
        near: (...) the resolution, in units of the scale; 0: no value counts as a bound.
        low: lower bound of direction * y, -inf if there is none.
        high: upper bound, likewise.
    """
    with np.errstate(over="ignore"):  # an infinite bound is infinitely far
        below, above = (location - low) / scale, (high - location) / scale
    first = np.where((np.abs(below) <= near) & (near > 0), inverse(transform, near - below), -np.inf)
    last = np.where((np.abs(above) <= near) & (near > 0), inverse(transform, above - near), np.inf)
    return first, last
