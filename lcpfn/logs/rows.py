"""Which rows of a long log are meant, without a number of eight bytes for each of them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import numpy as np

MOST_POINTS = 1_000_000  # of a curve: of more, about as many at even distances stand for all
INTERVALS = 99  # between the points that a network sees
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
    """Which of the values (N,) make a curve: all, or about `MOST_POINTS` where there are more.

    They are evenly spaced by rank among the finite ones, in `INTERVALS` times as many steps: so a network that thins a
    curve to 100 points by rank (see `lcpfn.context.thin`) sees the same 100 values as of the whole curve, noise and
    all. (Each k-th value would have it see their neighbours: with noise a tenth of the interval's width, its ends moved
    by 12 to 23 % of the width.) The smallest and the largest value stand in for a neighbour, so that the best value so
    far stays what it is; the first and the last row are kept also where they are not finite.

    Args:
        y: the values.
        finite: (N,) which of them are measured and finite; at least one.
    """
    if len(y) <= MOST_POINTS:
        return slice(0, len(y))
    count = int(np.count_nonzero(finite))
    each = max(1, (MOST_POINTS - 1) // INTERVALS)
    parts = each * INTERVALS
    ranks = np.arange(parts + 1) * (count - 1) // parts if count > parts else np.arange(count)
    points = _of_rank(finite, ranks)
    low, high = y.min(where=finite, initial=np.inf), y.max(where=finite, initial=-np.inf)
    for end in (low, high):
        if not (y[points] == end).any():
            best = int(((y == end) & finite).argmax())
            after = int(np.searchsorted(points, best))  # between two that are kept
            # One that the network sees stays, and so does an extreme that took a place before.
            free = [i for i in (after - 1, after) if i % each and y[points[i]] not in (low, high)]
            if free:
                points[free[0]] = best
    return np.union1d(points, [0, len(y) - 1])


def _of_rank(mask: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The rows of a mask (N,) that have these ranks among them, which rise; a list of all rows would be large."""
    found, before = np.empty(len(ranks), dtype=np.int64), 0
    for start in range(0, len(mask), BLOCK):
        rows = np.flatnonzero(mask[start : start + BLOCK])
        first, last = np.searchsorted(ranks, [before, before + len(rows)])
        found[first:last] = start + rows[ranks[first:last] - before]
        before += len(rows)
    return found
