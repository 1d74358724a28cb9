"""Times that come again: what a restart of a run has replaced, and what is no restart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcpfn.logs.rows import Rows, rises


@dataclass(frozen=True, eq=False)
class Kept:
    """The rows that count, by increasing time, and how many others there are."""

    rows: Rows  # (K,) indices, or all
    replaced: int = 0  # rows that are left out
    abandoned: int = 0  # of these, rows of a time that has not come again


def latest(t: np.ndarray) -> Kept:
    """The rows that count, when rows of these times were written in this order.

    Times in any order are sorted. If some come again and the time goes back and on, there was a restart: the rows of
    that time and of later ones, written before, belong to what was given up. A time that comes again alone was
    measured again, and nothing else is given up.

    >>> latest(np.array([30, 10, 20])).rows, latest(np.array([1, 2, 3, 4, 2, 3]))
    (array([1, 2, 0]), Kept(rows=array([0, 4, 5]), replaced=3, abandoned=1))
    >>> latest(np.array([1, 2, 3, 2])).rows
    array([0, 3, 2])
    """
    if rises(t):
        return Kept(np.arange(len(t)))
    distinct = len(np.unique(t))
    if distinct == len(t):
        return Kept(np.argsort(t, kind="stable"))
    if (t[1:] >= t[:-1]).all():  # times that stand still: the last of each counts
        rows = np.flatnonzero(np.append(t[1:] > t[:-1], True))
        return Kept(rows, len(t) - len(rows))
    if (pieces := _attempts(t)) is not None:
        rows = np.concatenate([np.arange(start, stop) for start, stop in pieces])
        return Kept(rows, len(t) - len(rows), distinct - len(rows))
    kept: list[int] = []
    times = t.tolist()
    for i, time in enumerate(times):
        goes_on = i + 1 < len(times) and times[i + 1] > time
        if kept and times[kept[-1]] > time and not goes_on:
            place = len(kept)
            while place and times[kept[place - 1]] >= time:
                place -= 1
            if place < len(kept) and times[kept[place]] == time:
                kept[place] = i
            else:
                kept.insert(place, i)
            continue
        while kept and times[kept[-1]] >= time:
            kept.pop()
        kept.append(i)
    rows = np.array(kept, dtype=int)
    return Kept(rows, len(t) - len(rows), distinct - len(rows))


def last_attempt(t: np.ndarray) -> Kept:
    """As `latest`, where all rows of times that only rise are a slice: a list of them takes eight bytes for each."""
    return Kept(slice(0, len(t))) if rises(t) else latest(t)


def _attempts(t: np.ndarray) -> list[tuple[int, int]] | None:
    """The rows that count, from one to another, where each restart goes on; None where a time comes again alone.

    The same as what `latest` does row by row, for logs of millions of rows.
    """
    starts = np.concatenate([[0], np.flatnonzero(~(t[1:] > t[:-1])) + 1, [len(t)]])
    if np.isnan(t).any():
        return None
    kept: list[tuple[int, int]] = []
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist()):
        last = kept[-1][1] - 1 if kept else start
        if stop - start == 1 and t[last] > t[start]:
            return None
        while kept and t[kept[-1][0]] >= t[start]:
            kept.pop()
        if kept:
            begin, end = kept.pop()
            kept.append((begin, begin + int(np.searchsorted(t[begin:end], t[start]))))
        kept.append((start, stop))
    return kept


def starts_over(t: np.ndarray) -> int:
    """The row at which times go back to the first one or before it, while some come again; 0 if they do not."""
    back = np.flatnonzero(t[1:] <= t[0]) + 1
    back = back[t[back] < t[back - 1]]
    return int(back[0]) if len(back) and len(np.unique(t)) < len(t) else 0


def stands_still(t: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The first time that stands in several rows in a row, and those rows, if that is so of more than half of them."""
    still = np.append(False, t[1:] == t[:-1])
    if np.count_nonzero(still & ~np.append(still[1:], False)) * 2 <= np.count_nonzero(~still):
        return None
    first = int(still.argmax())
    return float(t[first]), np.flatnonzero(t == t[first])


def coarse(t: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a time stands still while another one goes on: epochs of values that were logged every few steps."""
    return any(((t[1:] == t[:-1]) & (other[1:] > other[:-1])).any() for other in others)
