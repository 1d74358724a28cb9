"""Read-only arrays: what makes a law or a belief a value."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def frozen(value: ArrayLike, name: str) -> NDArray[Any]:
    """The value as a read-only array of float32 or float64 that nobody else can write to.

    Args:
        value: numbers of any shape; float32 and float64 are stored as they are, all other numbers as float64.
        name: what errors call it.

    Raises:
        TypeError: the value does not hold real numbers.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; convert it to floating point")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    elif array.flags.writeable:
        array = array.copy()
    array.flags.writeable = False
    return array


def take(array: NDArray[Any], index: Any, *, inner: int = 0) -> NDArray[Any]:
    """array[index] of the leading axes, read-only, with the last `inner` axes left whole.

    Raises:
        IndexError: the index has more entries than there are leading axes, or points outside.
    """
    entries = index if isinstance(index, tuple) else (index,)
    if not any(entry is Ellipsis for entry in entries):
        entries = (*entries, Ellipsis)
    taken = np.asarray(array[entries + (slice(None),) * inner])
    taken.flags.writeable = False
    return taken


def floats(values: Any, name: str) -> NDArray[np.float64]:
    """Numbers as float64.

    Raises:
        ValueError: if a whole number is too large for it: NumPy's own OverflowError does not say which argument.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except OverflowError:
        raise ValueError(f"{name} must be finite, got a whole number too large for float64") from None
