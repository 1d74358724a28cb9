"""From what the user asks to what the network is asked: one path for predict, replay, stream and surprise.

check -> clock -> thin -> tame. The points are checked and brought onto the network's clock, then thinned to as many as
it was trained on. Wild first values are tamed last, and anew for every prefix that is asked about (`tamed`): what
counts as wild depends on the values that follow, so that a belief after c points reads those c points alone.

Letters: B curves, T observed points, Q query points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lcpfn.clock import on_clock
from lcpfn.context import Context, read, thin
from lcpfn.metric import Metric
from lcpfn.query import read_query

WILD = 1e3  # ranges of the second half that a value of the first half may lie below it: 1 / the scale's SPREAD_FLOOR
LEAST = 5  # points of a curve that is tamed: fewer do not show what is wild


@dataclass(frozen=True)
class World:
    """What an engine knows: prepare refuses, stretches or thins what lies outside.

    Attributes:
        metric: what values are taken for where the user says nothing.
        clock: first and last time that the engine knows; None: any.
        bounded: whether both bounds of a metric must be known.
        limit: most points of a curve; None: any number.
        name: what errors call the engine.
    """

    metric: Metric
    clock: tuple[float, float] | None = None
    bounded: bool = True
    limit: int | None = None
    name: str = "checkpoint"


@dataclass(frozen=True, eq=False)
class Prepared:
    """A question as the network is asked it; each time says whose clock it is on.

    Attributes:
        points: observed points, at most the engine's limit; times on the engine's clock, values as measured.
        t_user: (B, T) times of these points on the user's clock.
        asked_user: (B, Q) asked times on the user's clock.
        asked: (B, Q) the same on the engine's clock.
        metric: direction and bounds of the values.
    """

    points: Context
    t_user: np.ndarray
    asked_user: np.ndarray
    asked: np.ndarray
    metric: Metric


def prepare(
    world: World,
    y: Any,
    t_query: Any = None,
    *,
    horizon: Any = None,
    t: Any = None,
    kind: str = "value",
    metric: Metric | None = None,
    run_end: Any = None,
    stretch_time: bool = False,
    replay: bool = False,
) -> Prepared:
    """The question that an engine with this world is asked; arguments as of `PFN.predict`.

    Args:
        world: of the engine.
        y: a curve, several, or arrays.
        t_query: asked times.
        horizon: all later steps up to this one instead.
        t: times of arrays.
        kind: of the question.
        metric: of y.
        run_end: budget of the runs.
        stretch_time: map [first time, last asked time] linearly onto the engine's clock.
        replay: the question is asked after every prefix; without times it is about the points themselves.

    Raises:
        TypeError: if something is not of the type that it must have.
        ValueError: if it is outside of the engine's world; the message says what to do.
    """
    if metric is not None and not isinstance(metric, Metric):
        raise TypeError(f'metric must be a lcpfn.Metric, got {metric!r}; write Metric("min", bounds=(0, 1))')
    points, metric = read(y, t=t, metric=metric, run_end=run_end, default=world.metric)
    if world.bounded and None in metric.bounds:
        raise ValueError(
            f"this {world.name} needs both bounds of a metric, got bounds={metric.bounds}; give them, as in "
            'Metric("min", bounds=(0, 1)), or use lcpfn.load() which takes any metric'
        )
    if replay and t_query is None and horizon is None:  # the time that a stretched clock must reach, if any
        asked_user = np.empty((len(points.count), 0)) if points.end is None else points.end[:, None]
    else:
        asked_user = read_query(t_query, horizon, points, kind, replay=replay)
    clocked, asked = points, asked_user
    if world.clock is not None:
        clocked, asked = on_clock(points, asked_user, world.clock, stretch=stretch_time, name=world.name)
    if world.limit is None:
        return Prepared(clocked, points.t, asked_user, asked, metric)
    return Prepared(thin(clocked, world.limit), thin(points, world.limit).t, asked_user, asked, metric)


def tamed(y: np.ndarray, count: np.ndarray, metric: Metric) -> np.ndarray:
    """(B, T) values without the wildness of early ones, which would set the scale of everything after them.

    A value of a curve's first half that is worse than all of its second half by more than WILD times the range of that
    is taken for that much worse: a loss that begins at 1e12 and settles at 1 has told all that it tells at 1e3. Metrics
    with both bounds are left alone: their bounds say how far a value can lie.

    Args:
        y: (B, T) values.
        count: (B,) how many of them are looked at; later ones do not matter.
        metric: says what is worse.

    Returns:
        The same object if no value is wild.

    Example:
        >>> y = np.array([[1e12, 5.0, 4.0, 3.0, 2.5, 2.2]])
        >>> tamed(y, np.array([6]), Metric("min"))[0, :2]
        array([803.,   5.])
    """
    if None not in metric.bounds or y.shape[1] < LEAST:
        return y
    up, place, count = metric.sign * y, np.arange(y.shape[1]), count[:, None]
    late = (place >= count // 2) & (place < count)
    worst = np.where(late, up, np.inf).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        room = np.where(late, up, -np.inf).max(axis=1, keepdims=True) - worst
        least = np.where((count >= LEAST) & (room > 0), worst - WILD * room, -np.inf)
        wild = (up < least) & (place < count)
    return metric.sign * np.where(wild, least, up) if wild.any() else y


def wild_prefixes(points: Context, metric: Metric, needed: np.ndarray) -> np.ndarray:
    """(B, T + 1) whether a curve's first c points hold a value that `tamed` changes, of the needed prefixes."""
    found = np.zeros_like(needed)
    if None not in metric.bounds or points.t.shape[1] < LEAST:
        return found
    up, length = metric.sign * points.y, points.t.shape[1]
    # The range of the second half is at least that of the last three values: most prefixes need no closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        room = np.maximum(np.abs(up[:, 2:] - up[:, 1:-1]), np.abs(up[:, 2:] - up[:, :-2]))
        counts = np.arange(3, length + 1)
        worst = np.minimum.accumulate(up, axis=1)[:, np.maximum(counts // 2 - 1, 0)]
        maybe = needed[:, 3:] & (worst < up[:, 2:] - WILD * room) & (counts <= points.count[:, None])
    for c in counts[maybe.any(axis=0)]:
        rows = np.flatnonzero(maybe[:, c - 3])
        part = points.y[rows, :c]
        changed = tamed(part, np.full(len(rows), c), metric)
        if changed is not part:
            found[rows, c] = (changed != part).any(axis=1)
    return found


def prefix(points: Context, rows: np.ndarray, counts: np.ndarray, metric: Metric) -> Context:
    """The first counts (R,) points of the curves at rows (R,), tamed: contexts of their own."""
    most = int(counts.max(initial=0))
    t, y = points.t[rows, :most], points.y[rows, :most]
    seen = np.arange(most) < counts[:, None]
    t, y = np.where(seen, t, np.nan), np.where(seen, y, np.nan)
    end = None if points.end is None else points.end[rows]
    return replace(points, t=t, y=tamed(y, counts, metric), count=counts, end=end, diverged=None)
