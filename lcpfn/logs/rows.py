"""Which rows of a long log are meant, without a number of eight bytes for each of them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import numpy as np

MOST_POINTS = 1_000_000  # of a curve: of more, a few at even distances stand for all
BLOCK = 4096  # numbers that are looked at together

Rows = slice | np.ndarray  # a slice from one row to another, or (K,) indices


class Places:
    """Whole numbers that mostly follow one another, such as the lines in which a metric stands; N of them.

    >>> found = Places([3, 5, 7])
    >>> found.append(9)
    >>> len(found), found[2], found.array()
    (4, 7, array([3, 5, 7, 9]))
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._parts: list[range | array[int]] = []  # numbers at one distance from each other, or any others
        self._starts: list[int] = []  # how many stand before each part
        self._size, self._last = 0, array("q")  # those in parts; those that came since
        self.extend(numbers)

    def __len__(self) -> int:
        return self._size + len(self._last)

    def append(self, number: int) -> None:
        """Adds one number."""
        self._last.append(number)
        if len(self._last) == BLOCK:
            self._close()

    def extend(self, numbers: Iterable[int]) -> None:
        """Adds numbers."""
        for number in numbers:
            self.append(number)

    def _close(self) -> None:
        """Makes a part of the last numbers, or a longer one of the part before."""
        part: range | array[int] = self._last
        step = part[1] - part[0]
        if step > 0 and bool((np.diff(np.frombuffer(self._last, dtype=np.int64)) == step).all()):
            part = range(part[0], part[-1] + step, step)
            before = self._parts[-1] if self._parts else None
            if isinstance(before, range) and before.step == step and before.stop == part.start:
                self._parts[-1] = range(before.start, part.stop, step)
                self._size, self._last = self._size + BLOCK, array("q")
                return
        self._parts.append(part)
        self._starts.append(self._size)
        self._size, self._last = self._size + BLOCK, array("q")

    def __getitem__(self, i: int) -> int:
        if not -len(self) <= i < len(self):
            raise IndexError(f"place {i} of {len(self)}")
        i = i % len(self)
        if i >= self._size:
            return self._last[i - self._size]
        part = bisect_right(self._starts, i) - 1
        return self._parts[part][i - self._starts[part]]

    def __iter__(self) -> Iterator[int]:
        for part in (*self._parts, self._last):
            yield from part

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Places) and self._parts == other._parts and self._last == other._last

    __hash__ = None  # type: ignore[assignment]  # it grows

    def array(self) -> np.ndarray:
        """(N,) the numbers as int64."""
        found, start = np.empty(len(self), dtype=np.int64), 0
        for part in (*self._parts, self._last):
            at = slice(start, start + len(part))
            found[at] = np.arange(part.start, part.stop, part.step) if isinstance(part, range) else part
            start += len(part)
        return found


def where(mask: np.ndarray) -> Rows:
    """The rows of a mask (N,); a slice where they follow one another, so that `values[rows]` is no copy.

    >>> where(np.array([False, True, True])), where(np.array([True, False, True]))
    (slice(1, 3, None), array([0, 2]))
    """
    first = int(mask.argmax()) if len(mask) else 0
    count = int(np.count_nonzero(mask))
    return slice(first, first + count) if mask[first : first + count].all() else np.flatnonzero(mask)


def row(rows: Rows, i: int) -> int:
    """The row at one place of rows."""
    return rows.start + int(i) if isinstance(rows, slice) else int(rows[i])


def among(rows: Rows, kept: Rows) -> Rows:
    """Those of the rows at some places."""
    if isinstance(rows, np.ndarray):
        return rows[kept]
    if isinstance(kept, np.ndarray):
        return kept + rows.start if rows.start else kept
    return slice(rows.start + kept.start, rows.start + kept.stop)


def size(rows: Rows) -> int:
    """How many rows there are."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def rises(t: np.ndarray) -> bool:
    """Whether each time is later than the one before."""
    return bool((t[1:] > t[:-1]).all())  # no differences: eight bytes for each


def stays(t: np.ndarray) -> bool:
    """Whether some time is the same as the one before."""
    return bool((t[1:] == t[:-1]).any())


def counts(t: np.ndarray) -> bool:
    """Whether times are rows: 1, 2, 3, ... or 0, 1, 2, ..."""
    if not len(t) or t[0] not in (0.0, 1.0):
        return False
    return all(bool((np.diff(t[i : i + BLOCK + 1]) == 1.0).all()) for i in range(0, len(t), BLOCK))


def thinned(y: np.ndarray, finite: np.ndarray) -> Rows:
    """Which of the values (N,) make a curve: all, or at most 1,000,000 and a few.

    Args:
        y: the values.
        finite: (N,) which of them are measured and finite; at least one.

    Of more than `MOST_POINTS`, each second one counts, or each fourth, eighth, ...; and the first, the last, the last
    finite, the smallest and the largest one, so that the best value so far stays what it is.
    """
    if len(y) <= MOST_POINTS:
        return slice(0, len(y))
    step = 2
    while -(-len(y) // step) > MOST_POINTS:
        step *= 2
    low, high = y.min(where=finite, initial=np.inf), y.max(where=finite, initial=-np.inf)
    also = [0, len(y) - 1, len(y) - 1 - int(finite[::-1].argmax())]
    also += [int(((y == end) & finite).argmax()) for end in (low, high)]
    return np.union1d(np.arange(0, len(y), step), also)
