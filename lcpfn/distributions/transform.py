"""The maps g in y = location + scale * g(u), by name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TRANSFORMS = ("identity", "sinh")


def forward(transform: str, u: Any) -> Any:
    """g(u), any shape; inf where sinh overflows."""
    return np.sinh(u) if transform == "sinh" else u


def inverse(transform: str, z: Any) -> Any:
    """The u with g(u) = z, any shape."""
    return np.arcsinh(z) if transform == "sinh" else z


def log_slope(transform: str, u: Array) -> Array:
    """log g'(u), any shape, for any u (cosh overflows beyond 710)."""
    if transform == "identity":
        return np.zeros_like(u)
    size = np.abs(u)
    return size + np.log1p(np.exp(-2 * size)) - np.log(2)
