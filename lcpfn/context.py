"""The observed points that the user passes, read and checked once at the edge.

Everything is float64 from here on, so that differences of close values keep their digits.

Letters: B curves, T observed points.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lcpfn.arrays import numbers
from lcpfn.curve import Curve
from lcpfn.metric import Metric


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
    diverged: np.ndarray | None = None  # (B,) bool, whether a value that is not finite came after the last point

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


def read(
    y: Any, *, t: Any = None, metric: Metric | None = None, run_end: Any = None, default: Metric
) -> tuple[Context, Metric]:
    """The observed points and their metric, from curves or from arrays.

    A `Curve` brings its own times, metric and end of run; what it does not say may be given beside it.

    Args:
        y: a curve, a list of curves, or values as for `read_context`.
        t: times of values; not of curves.
        metric: of all curves; None: the curves' own, else the default.
        run_end: as for `read_end`; not where a curve says another.
        default: the engine's own metric.

    Raises:
        TypeError: as for `read_context` and `read_end`.
        ValueError: as for these, or if curves and arguments contradict each other, or curves of one batch have
            different metrics.
    """
    curves = [y] if isinstance(y, Curve) else list(y) if isinstance(y, (list, tuple)) else []
    if not any(isinstance(each, Curve) for each in curves):
        wanted = default if metric is None else metric
        return read_end(run_end, read_context(y, t=t, metric=wanted)), wanted
    if not all(isinstance(each, Curve) for each in curves):
        raise TypeError("a batch holds curves or arrays, not both: make each a lcpfn.Curve(t, y)")
    if t is not None:
        raise ValueError("a curve has its own times: leave out t, or make another curve with curve.t changed")
    wanted = _one_metric(curves, metric, default)
    context = read_context([each.y for each in curves], t=[each.t for each in curves], metric=wanted)
    counted = all((each.t == np.arange(1.0, len(each) + 1)).all() for each in curves)
    context = replace(
        context,
        single=isinstance(y, Curve),
        step=1.0 if counted else context.step,
        diverged=np.array([each.diverged_at is not None for each in curves]),
    )
    return read_end(_ends(curves, run_end), context), wanted


def _one_metric(curves: Sequence[Curve], metric: Metric | None, default: Metric) -> Metric:
    """The metric of all these curves."""
    known = {each.metric for each in curves} - {None}
    if metric is not None:
        known.add(metric)
    if len(known) > 1:
        raise ValueError(
            f"curves of one question must have one metric, got {sorted(map(str, known))}; ask about each metric apart"
        )
    return next(iter(known), None) or default


def _ends(curves: Sequence[Curve], run_end: Any) -> Any:
    """(B,) ends of the runs, by the curves themselves or by what was given beside them; None if nobody knows one."""
    own = np.array([np.nan if each.run_end is None else each.run_end for each in curves])
    if run_end is None:
        return None if np.isnan(own).all() else own
    given = numbers(run_end, "run_end")
    if isinstance(given, list) or given.shape not in ((), own.shape):
        return run_end  # `read_end` says what is wrong
    given = np.broadcast_to(given, own.shape)
    if (bad := (own != given) & ~np.isnan(own) & ~np.isnan(given)).any():
        i = int(bad.argmax())
        raise ValueError(f"run_end must be the curve's own, got {given[i]:g} for a curve with run_end={own[i]:g}")
    return np.where(np.isnan(own), given, own)


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
            stacklevel=_callers(),
        )

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


def _callers() -> int:
    """The stack level of whoever called this library: the warning belongs there, by whatever path the question came."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "lcpfn":
        frame, level = frame.f_back, level + 1
    return level


def _place(bad: np.ndarray, single: bool) -> str:
    """Where the first True of (B, T) stands, in the user's own order."""
    i, j = np.argwhere(bad)[0]
    return f"at point {j}" if single else f"at curve {i}, point {j}"
