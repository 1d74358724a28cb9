"""What the user passes, read and checked once at the edge: observed points, and the times asked about.

Everything is float64 from here on, so that differences of close values keep their digits.

Letters: B curves, T observed points, Q query points.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lcpfn.arrays import numbers
from lcpfn.metric import Metric
from lcpfn.network.config import KINDS

MAX_QUERIES = 100_000  # that `horizon` makes on its own; more are welcome as t_query
SAME_TIME = 1e-6  # of the spacing: a grid point this close to the horizon is the horizon


@dataclass(frozen=True, eq=False)
class Context:
    """Observed points of B curves, in time order, padded at the end with NaN; the arrays are read-only.

    T is the number of points of the longest curve. Times are the user's: whether they fit the clock of a checkpoint is
    asked where the clock is known.
    """

    t: np.ndarray  # (B, T) float64, strictly increasing
    y: np.ndarray  # (B, T) float64, finite, in the user's unit
    count: np.ndarray  # (B,) int64, number of observed points, 0..T
    single: bool  # y came as one curve, so the answer has no batch axis
    step: float = 1.0  # spacing of the queries that `horizon` makes: 1, or the typical gap of the user's own times
    end: np.ndarray | None = None  # (B,) float64, time at which the run ends, NaN or None where that is not known

    def __post_init__(self) -> None:
        assert self.t.shape == self.y.shape == (len(self.count), self.t.shape[1])
        for field in fields(self):
            if isinstance(values := getattr(self, field.name), np.ndarray):
                values = values.view()  # the caller's own array stays writeable
                values.flags.writeable = False
                object.__setattr__(self, field.name, values)

    @property
    def last(self) -> np.ndarray:
        """(B,) time of each curve's last observed point, -inf where nothing was observed."""
        if self.t.shape[1] == 0:
            return np.full(len(self.count), -np.inf)
        last = np.take_along_axis(self.t, np.maximum(self.count - 1, 0)[:, None], axis=1)[:, 0]
        return np.where(self.count > 0, last, -np.inf)


def read_context(y: Any, *, t: Any = None, metric: Metric) -> Context:
    """The observed points in y, checked, sorted by time, without the missing ones.

    A missing value is NaN, or None in a list; it is dropped together with its time, which then may be anything. Arrays
    of any library that NumPy can read are welcome: torch tensors (also on an accelerator, or with a gradient), jax
    arrays, pandas Series (their index is not read: pass it as t), masked arrays (masked means missing). So are lists
    of 0-d tensors, as training loops gather them.

    Args:
        y: values in the user's unit. One curve: (T,), empty if nothing was observed yet. Several: (B, T), or a list of
            1-D sequences of any lengths.
        t: times, in any order, no two alike within a curve. None: 1..T, where missing points count too. Else (T,)
            shared by all curves, or as y.
        metric: bounds that y has to respect, unless it allows overshoot.

    Returns:
        The context. Nothing observed at all is a valid context: its answer is the prior predictive.

    Raises:
        TypeError: if y or t is text, bool, complex, a Python object array, or no array at all.
        ValueError: if values are infinite or out of bounds, times are repeated or not finite, or shapes do not match.

    Warns:
        UserWarning: if y is one curve with entries, and all of them are missing.

    Example:
        >>> context = read_context([0.5, None, 0.7], metric=Metric())
        >>> context.t, context.y, context.count
        (array([[1., 3.]]), array([[0.5, 0.7]]), array([2]))
    """
    values, lengths, single = _curves(y, "y")
    times = np.arange(1.0, values.shape[1] + 1)[None] if t is None else _times(t, lengths, single=single)
    times = np.broadcast_to(times, values.shape)
    observed = ~np.isnan(values)
    _check_values(values, metric, single=single)
    if (bad := observed & ~np.isfinite(times)).any():
        raise ValueError(
            f"t must be finite, got {times[bad][0]} {_place(bad, single)}; drop the point, or mark its y "
            "as missing with NaN"
        )
    if single and values.size and not observed.any():
        warnings.warn(
            "all values of y are NaN: nothing was observed, and the answer is the prior predictive",
            UserWarning,
            stacklevel=3,
        )  # 3: whoever called the method that reads its y here

    count = observed.sum(axis=1)
    if not observed.all() or (t is not None and not (times[:, 1:] > times[:, :-1]).all()):  # else as it should be
        order = np.argsort(np.where(observed, times, np.inf), axis=1, kind="stable")[:, : count.max()]
        _check_repeats(times, order, count, single=single)
        kept = np.arange(order.shape[1]) < count[:, None]
        times = np.where(kept, np.take_along_axis(times, order, axis=1), np.nan)
        values = np.where(kept, np.take_along_axis(values, order, axis=1), np.nan)
    return Context(times, values, count, single, 1.0 if t is None else typical_gap(times))


def read_end(run_end: Any, context: Context) -> Context:
    """The context with the times at which its runs end.

    Args:
        run_end: one time for all curves, or (B,) of them; None or NaN where it is not known.
        context: the observed points; before `thin`.

    Raises:
        TypeError: if run_end is no number or array of numbers.
        ValueError: if there is not one for each curve, or a run has been observed after its end.
    """
    if run_end is None:
        return context
    end = numbers(run_end, "run_end")
    if isinstance(end, list) or end.shape not in ((), context.count.shape):
        raise ValueError(f"run_end must be one time, or one for each of {len(context.count)} curves, got {run_end!r}")
    end = np.broadcast_to(end, context.count.shape)
    if (bad := (end < context.last) | np.isinf(end)).any():
        i = int(bad.argmax())
        raise ValueError(
            f"run_end must be finite and not before the last observed time, got {end[i]:.9g} "
            f"where the last observation is at t={context.last[i]:.9g}; leave it out if nobody knows"
        )
    return replace(context, end=end)


def read_query(t_query: Any, horizon: Any, context: Context, kind: str) -> np.ndarray:
    """Times of the queries, one row a curve; exactly one of t_query and horizon is given.

    A horizon asks about every step that is left: from the last observed time (of the curve that has come furthest:
    curves of a batch share their queries) in steps of 1, or, if the user gave times, in steps of the typical gap
    between two observations (the lower median over the batch, so a gap that occurred). The last query is the horizon.

    Args:
        t_query: a number, (Q,) shared by all curves, or (B, Q); in any order, repeats allowed.
        horizon: one number, after the last observed time.
        context: the observed points; before `thin`.
        kind: "value" and "best" lie ahead of what was observed, "signal" may lie anywhere.

    Returns:
        (B, Q) float64, read-only.

    Raises:
        TypeError: if t_query or horizon is no number or array of numbers.
        ValueError: if both or neither are given, a time is not finite or not after the last observed time, shapes do
            not match, or the horizon would make more than 100,000 queries.

    Example:
        >>> context = read_context([0.5, 0.6, 0.7], metric=Metric())
        >>> read_query(None, 6, context, "value")
        array([[4., 5., 6.]])
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    if (t_query is None) == (horizon is None):
        raise ValueError(f"give either t_query or horizon, got {'neither' if horizon is None else 'both'}")
    queries = _steps(horizon, context) if t_query is None else _query_times(t_query, context)
    queries = np.broadcast_to(queries, (len(context.count), queries.shape[-1]))  # a view: one row serves all curves
    if kind != "signal" and (bad := queries <= context.last[:, None]).any():
        i, j = np.argwhere(bad)[0]
        curve = "" if context.single else f"curve {i}, "
        raise ValueError(
            f'kind="{kind}" asks about times after the last observed one, got t_query={queries[i, j]:.9g} at {curve}'
            f"query {j}, where the last observation is at t={context.last[i]:.9g}; what a curve was worth in the past "
            'is asked with kind="signal"'
        )
    return queries


def thin(context: Context, limit: int) -> Context:
    """The context with at most `limit` points a curve, for networks that were trained on no more.

    A curve of n > limit points keeps those of rank (counted from 0) k * (n - 1) // (limit - 1), k = 0..limit - 1: the
    first, the last, and between them points evenly spaced by rank, whatever their times. So curves that are sampled
    more densely in places stay so. Shorter curves are not touched.

    Args:
        context: the observed points.
        limit: most points of a curve, at least 2.

    Returns:
        A context of T <= limit points; the same object if no curve was too long.

    Raises:
        ValueError: if limit is below 2.

    Example:
        >>> thin(read_context([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], metric=Metric()), 3).t
        array([[1., 3., 6.]])
    """
    if limit < 2:
        raise ValueError(f"limit must be at least 2, to hold the first and the last point, got {limit}")
    if context.t.shape[1] <= limit:
        return context
    k, count = np.arange(limit), context.count[:, None]
    rank = np.where(count > limit, k * (count - 1) // (limit - 1), k)  # (B, limit)
    t, y = (np.take_along_axis(values, rank, axis=1) for values in (context.t, context.y))
    return replace(context, t=t, y=y, count=np.minimum(context.count, limit))


def _curves(values: Any, name: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """(B, T) curves padded with NaN, their lengths (B,), and whether they came as one curve."""
    parts = numbers(values, name)
    if isinstance(parts, list):
        lengths = np.array([len(part) for part in parts])
        matrix = np.full((len(parts), lengths.max()), np.nan)
        for row, part in zip(matrix, parts):
            row[: len(part)] = part
        return matrix, lengths, False
    if parts.ndim not in (1, 2):
        raise ValueError(
            f"{name} must be one curve (T,) or several (B, T), got shape {parts.shape}"
            + ("; one point is a list of one number" if parts.ndim == 0 else "")
        )
    if parts.ndim == 2 and not len(parts):
        raise ValueError(f"{name} must hold at least one curve, got shape {parts.shape}")
    matrix = np.atleast_2d(parts)
    return matrix, np.full(len(matrix), matrix.shape[1]), parts.ndim == 1


def _times(t: Any, lengths: np.ndarray, *, single: bool) -> np.ndarray:
    """(1 or B, T) the user's times, as many as y has points."""
    times, given, shared = _curves(t, "t")
    if not shared and (single or len(given) != len(lengths)):
        raise ValueError(
            "t must be 1-D, or have one row for each curve of y, got "
            f"{len(given)} rows for {'one 1-D curve' if single else f'{len(lengths)} curves'}"
        )
    if (bad := given != lengths).any():
        i = int(bad.argmax())
        raise ValueError(
            f"t must have one time for each point of y, got {np.broadcast_to(given, lengths.shape)[i]} "
            f"times for {lengths[i]} points{'' if single else f' at curve {i}'}"
        )
    return times


def _check_values(values: np.ndarray, metric: Metric, *, single: bool) -> None:
    """Raises ValueError if values (B, T) are infinite, or beyond the bounds of a metric that has no overshoot."""
    if (bad := np.isinf(values)).any():
        raise ValueError(
            f"y must be finite, got {values[bad][0]} {_place(bad, single)}; a run that diverged is over: "
            "stop it, or leave the point out (NaN means missing)"
        )
    lower, upper = (np.inf * sign if bound is None else bound for bound, sign in zip(metric.bounds, (-1, 1)))
    if metric.overshoot or not (bad := (values < lower) | (values > upper)).any():
        return
    advice = "declare the true bounds with Metric(bounds=...), or overshoot=True if noise carries y past them"
    if (lower, upper) == (0, 1) and np.nanmin(values) >= 0 and 1 < np.nanmax(values) <= 100:
        advice = "divide percentages by 100, or use Metric(bounds=(0, 100))"
    raise ValueError(f"y must lie in [{lower:g}, {upper:g}], got {values[bad][0]:.9g} {_place(bad, single)}; {advice}")


def _check_repeats(times: np.ndarray, order: np.ndarray, count: np.ndarray, *, single: bool) -> None:
    """Raises ValueError if a curve was observed twice at a time; times (B, T), order (B, T') sorts the observed."""
    ordered = np.take_along_axis(times, order, axis=1)
    later = np.arange(1, order.shape[1]) < count[:, None]  # (B, T' - 1), without the padding
    repeat = later & (ordered[:, 1:] == ordered[:, :-1])
    if repeat.any():
        i, k = np.argwhere(repeat)[0]
        place = f"{'' if single else f'curve {i}, '}points {order[i, k]} and {order[i, k + 1]}"
        raise ValueError(
            f"t must not repeat within a curve, got {ordered[i, k]:.9g} at {place}; average repeated "
            "measurements, or keep one"
        )


def typical_gap(times: np.ndarray) -> float:
    """The lower median of the gaps in (B, T) sorted times, NaN if there is none."""
    with np.errstate(over="ignore"):
        gaps = np.sort(np.diff(times, axis=1), axis=None)  # infinite and NaN last
    gaps = gaps[: np.isfinite(gaps).sum()]
    return float(gaps[(len(gaps) - 1) // 2]) if len(gaps) else math.nan


def _steps(horizon: Any, context: Context) -> np.ndarray:
    """(Q,) the steps after the last observed time up to the horizon."""
    number = numbers(horizon, "horizon")
    if isinstance(number, list) or number.ndim or not math.isfinite(number):
        raise ValueError(f"horizon must be one finite number, got {horizon!r}; several times are given as t_query")
    end, step = float(number), context.step
    if math.isnan(step):
        raise ValueError("horizon needs two observed points of a curve, to know the spacing of t; give t_query instead")
    last = float(context.last.max()) if context.count.any() else 0.0
    if end <= last:
        raise ValueError(
            f"horizon must lie after the last observed time, got horizon={end:.9g} and a last observation "
            f"at t={last:.9g}; times in the past are asked with t_query and kind='signal'"
        )
    steps = (end - last) / step
    if not steps <= MAX_QUERIES:
        raise ValueError(
            f"horizon={end:.9g} makes {steps:.3g} queries in steps of {step:.3g}, more than "
            f"{MAX_QUERIES:,}; give the times of interest as t_query, [horizon] for the end alone"
        )
    queries = last + step * np.arange(1.0, max(1, math.ceil(steps - SAME_TIME)) + 1)
    queries[-1] = end
    return queries


def _query_times(t_query: Any, context: Context) -> np.ndarray:
    """(Q,) or (B, Q) the user's own query times."""
    times = numbers(t_query, "t_query")
    if isinstance(times, list):
        if len({len(row) for row in times}) > 1:
            raise ValueError("t_query must have as many times for each curve, got rows of unequal length")
        times = np.stack(times)
    times = np.atleast_1d(times)
    if times.ndim > 2 or (times.ndim == 2 and (context.single or len(times) != len(context.count))):
        allowed = "a number or (Q,)" if context.single else f"a number, (Q,) or ({len(context.count)}, Q)"
        raise ValueError(f"t_query must be {allowed}, got shape {times.shape}")
    if not times.size:
        raise ValueError("t_query must name at least one time, got none")
    if (bad := ~np.isfinite(times)).any():
        raise ValueError(f"t_query must be finite, got {times[bad][0]} at {tuple(map(int, np.argwhere(bad)[0]))}")
    return times


def _place(bad: np.ndarray, single: bool) -> str:
    """Where the first True of (B, T) stands, in the user's own order."""
    i, j = np.argwhere(bad)[0]
    return f"at point {j}" if single else f"at curve {i}, point {j}"
