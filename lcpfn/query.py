"""What can be asked of a run: the kinds of question, each with its times, its answer and its words; the asked times.

Letters: B curves, T observed points, Q query points, P queries of one curve in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from lcpfn.arrays import numbers
from lcpfn.context import Context

KindName = Literal["value", "signal", "best"]

MAX_QUERIES = 100_000  # that `horizon` makes on its own; more are welcome as t_query
SAME_TIME = 1e-6  # of the spacing: a grid point this close to the horizon is the horizon


@dataclass(frozen=True)
class Kind:
    """A kind of question about a run.

    Attributes:
        name: by which it is asked for.
        ahead: whether it is about times after the last observed point alone.
        says: what the answer is, in words.
        title: of its forecast in a picture.
        share: of the questions that a network is trained on, unless its options say otherwise.
    """

    name: KindName
    ahead: bool
    says: str
    title: str
    share: float

    def answer(self, y: Any, signal: Any, after: Any, at: Any, xp: Any) -> Any:
        """The true answers (B, P) on curves that are known to the end: what a network is trained to say.

        Args:
            y: (B, T) measured values for which higher is better.
            signal: (B, T) the same without measurement noise.
            after: (B, P) how many points each question may know.
            at: (B, P) place of the asked time, from 0.
            xp: numpy or torch, which the arrays belong to.
        """
        take = getattr(xp, "take_along_axis", None) or xp.take_along_dim
        if self.name == "value":
            return take(y, at, 1)
        if self.name == "signal":
            return take(signal, at, 1)
        assert self.name == "best", "a new kind says here what its answer is"
        place = xp.arange(y.shape[1], device=y.device)
        inside = (place >= after[..., None]) & (place <= at[..., None])  # (B, P, T)
        return xp.amax(xp.where(inside, y[:, None, :], xp.full_like(y, -math.inf)[:, None, :]), -1)


# A network knows a kind by its place in this table: a new one is added at the end.
KIND: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("value", ahead=True, says="what will be measured at t", title="forecast", share=0.7),
        Kind(
            "signal",
            ahead=False,
            says="what the run is worth at t, without measurement noise",
            title="forecast without noise",
            share=0.15,
        ),
        Kind(
            "best",
            ahead=True,
            says="the best that will be measured after the last point, up to t",
            title="best to come",
            share=0.15,
        ),
    )
}
KINDS: tuple[KindName, ...] = get_args(KindName)
assert tuple(KIND) == KINDS


def check_kind(kind: str) -> Kind:
    """The kind of this name.

    Raises:
        ValueError: if there is none.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    return KIND[kind]


def read_query(t_query: Any, horizon: Any, context: Context, kind: str, *, replay: bool = False) -> np.ndarray:
    """Times of the queries, one row a curve; exactly one of t_query and horizon is given.

    A horizon asks about every step that is left: from the last observed time (of the curve that has come furthest:
    curves of a batch share their queries) in steps of 1, or, if the user gave times, in steps of the typical gap
    between two observations (the lower median over the batch, so a gap that occurred). The last query is the horizon.

    Args:
        t_query: a number, (Q,) shared by all curves, or (B, Q); in any order, repeats allowed.
        horizon: one number, after the last observed time.
        context: the observed points; before `thin`.
        kind: name of the kind, which says whether the past may be asked about.
        replay: the questions are asked after every prefix: times may lie in the past of the whole curve, and a horizon
            asks about all steps from the first point on.

    Returns:
        (B, Q) float64, read-only.

    Raises:
        TypeError: if t_query or horizon is no number or array of numbers.
        ValueError: if both or neither are given, a time is not finite or not after the last observed time, shapes do
            not match, or the horizon would make more than 100,000 queries.

    Example:
        >>> from lcpfn.context import read_context
        >>> from lcpfn.metric import Metric
        >>> context = read_context([0.5, 0.6, 0.7], metric=Metric())
        >>> read_query(None, 6, context, "value")
        array([[4., 5., 6.]])
    """
    ahead = check_kind(kind).ahead and not replay
    if (t_query is None) == (horizon is None):
        raise ValueError(f"give either t_query or horizon, got {'neither' if horizon is None else 'both'}")
    queries = _steps(horizon, context, whole=replay) if t_query is None else _query_times(t_query, context)
    queries = np.broadcast_to(queries, (len(context.count), queries.shape[-1]))  # a view: one row serves all curves
    if ahead and (bad := queries <= context.last[:, None]).any():
        i, j = np.argwhere(bad)[0]
        curve = "" if context.single else f"curve {i}, "
        raise ValueError(
            f'kind="{kind}" asks about times after the last observed one, got t_query={queries[i, j]:.9g} at {curve}'
            f"query {j}, where the last observation is at t={context.last[i]:.9g}; what a curve was worth in the past "
            'is asked with kind="signal"'
        )
    return queries


def _steps(horizon: Any, context: Context, *, whole: bool) -> np.ndarray:
    """(Q,) the steps after the last observed time, or all from the first one on, up to the horizon."""
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
    if whole and context.count.any():
        last = float(np.nanmin(context.t)) - step  # the grid begins with the first point
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
