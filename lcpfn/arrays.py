"""Numbers as users have them: arrays of any library, lists, scalars; read as float64 without importing that library."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np


def numbers(values: Any, name: str) -> np.ndarray | list[np.ndarray]:
    """Values as a float64 array of their shape; a list of 1-D sequences as a list of 1-D arrays.

    Args:
        values: a number, an array of any library that NumPy can read (torch tensors, also on an accelerator or with a
            gradient, jax arrays, pandas Series, masked arrays, where masked means missing), or a list; None in a list
            becomes NaN.
        name: what errors call it.

    Raises:
        TypeError: if it is text, bool, complex, or an array of Python objects.
        ValueError: if a list mixes numbers and curves, or is deeper, or a whole number is too large for float64.
    """
    if _is_number(type(values)):
        return np.reshape(numbers([values], name), ())  # for the caller to judge
    if hasattr(values, "__array__"):
        return _from_array(values, name)
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise TypeError(f"{name} must be numbers, got {type(values).__name__} {str(values)[:40]!r}")
    kinds = set(map(type, values))  # at the speed of C: lists of 10,000 numbers are common
    if all(kind is type(None) or _is_number(kind) for kind in kinds):
        try:
            return np.array(values, dtype=np.float64)  # None becomes NaN
        except OverflowError:
            raise ValueError(f"{name} must be finite, got a whole number too large for float64") from None
    parts = [np.array(np.nan) if value is None else numbers(value, name) for value in values]
    rows = [part for part in parts if isinstance(part, np.ndarray)]  # an entry that is a list again is no row
    ranks = {row.ndim for row in rows} if len(rows) == len(parts) else {2}
    if ranks == {0}:
        return np.array(rows)
    if ranks != {1}:
        raise ValueError(
            f"{name} as a list must hold numbers, or 1-D curves, not a mix and nothing deeper, got {str(values)[:60]}"
        )
    return rows


def _is_number(kind: type) -> bool:
    """Whether a Python or NumPy scalar of this type is a real number; a bool is not."""
    return issubclass(kind, Real) and not issubclass(kind, bool)


def _from_array(values: Any, name: str) -> np.ndarray:
    """Any library's array as float64; without importing that library."""
    for method in ("detach", "cpu"):  # torch: off the gradient tape, into host memory
        values = getattr(values, method)() if hasattr(values, method) else values
    if "bfloat16" in str(getattr(values, "dtype", "")) and hasattr(values, "float"):
        values = values.float()  # torch's bfloat16 has no NumPy type
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        values = np.ma.filled(values.astype(np.float64), np.nan)
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":  # the latter is what jax hands out
        raise TypeError(
            f"{name} must be real numbers, got an array of type {array.dtype}"
            + ("; convert it with .astype(float), None becomes NaN" if array.dtype.kind == "O" else "")
        )
    return array.astype(np.float64)
