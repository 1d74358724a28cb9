"""An engine that knows the other runs of a search.

Letters: B curves, T observed points, Q query points, N beliefs, J components.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcpfn.belief import Belief
from lcpfn.context import Context, read, thin
from lcpfn.curve import Curve
from lcpfn.metric import Metric
from lcpfn.others.answer import Answer, answer
from lcpfn.others.forecast import pooled
from lcpfn.others.runs import Run, check_clocks, read_runs
from lcpfn.others.search import questions
from lcpfn.others.stream import GivenStream
from lcpfn.others.weights import START
from lcpfn.surprise import RATE, Surprise

Array = NDArray[np.float64]

EXPERTS = tuple(START)


class Given:
    """An engine with the other runs of a search; made by `PFN.given`. A value: nothing can be changed.

    It answers as its network does, and pools that answer with those of experts that see the other runs, weighted by
    how each would have forecast them from the rest. Up to 200 runs are kept, those that have come furthest; a question
    looks at the 32 that have come as far as the asked run and are nearest to it by position and slope.

    Args:
        pfn: the engine of single runs.
        runs: curves, or pairs (t, y); finished, stopped early or still going, in any order, on their own grids.
        metric: of all runs; by default what the curves say, else the engine's own.
        experts: those that are pooled, of `lcpfn.others.weights.START`; all by default.

    Attributes:
        pfn: as given.
        experts: as given.
        runs: those that are kept and have a point, in an order of their own.
        metric: of all runs.

    Raises:
        TypeError: an entry of runs is neither a curve nor a pair of arrays.
        ValueError: runs are of several metrics, their times cannot be of one search, or an expert is not known.

    Example:
        >>> import lcpfn
        >>> others = [lcpfn.Curve(None, [0.1, 0.4 + a, 0.5 + a, 0.6 + a, 0.61 + a]) for a in (0.0, 0.05, 0.1)]
        >>> search = Given(lcpfn.load(), others)
        >>> search, search.predict([0.12, 0.43, 0.54], [5]).shape
        (Given(runs=3), (1,))
    """

    def __init__(
        self, pfn: Any, runs: Iterable[Any], *, metric: Metric | None = None, experts: Sequence[str] = EXPERTS
    ) -> None:
        runs = list(runs)
        told = {each.metric for each in runs if isinstance(each, Curve) and each.metric is not None}
        if metric is None and len(told) == 1:
            metric = next(iter(told))
        if wrong := sorted({*experts} - {*EXPERTS}):
            raise ValueError(f"experts are {', '.join(EXPERTS)}, got {', '.join(wrong)}")
        self.pfn = pfn
        self.experts = tuple(experts)
        self.metric = pfn.metric if metric is None else metric
        self.runs = read_runs(runs, self.metric)

    def __repr__(self) -> str:
        return f"Given(runs={len(self.runs)})"

    def given(self, runs: Iterable[Any], *, metric: Metric | None = None) -> Given:
        """The engine with these other runs instead; what was computed of runs that stay is used again."""
        return Given(self.pfn, runs, metric=self.metric if metric is None else metric, experts=self.experts)

    def predict(
        self,
        y: Any,
        t_query: Any = None,
        *,
        horizon: float | None = None,
        t: Any = None,
        kind: str = "value",
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
    ) -> Belief:
        """The belief about later times, given the points seen so far and the other runs; as for `PFN.predict`.

        A run among the others that begins with the points of the asked one, three different values at least, is taken
        for a copy and left out; so is a run of the same name.

        Raises:
            ValueError: as for `PFN.predict`; the metric is not that of the others, or their times cannot be of one
                search.

        Warns:
            UserWarning: a copy of the asked run was left out.
        """
        question = {"kind": kind, "metric": self._agreed(metric), "run_end": run_end, "stretch_time": stretch_time}
        own = self.pfn.predict(y, t_query, horizon=horizon, t=t, **question)
        if not self.runs:
            return own
        context, _ = read(y, t=t, metric=self.metric, run_end=run_end, default=self.metric)
        whole = own[None] if context.single else own
        asked = [(row, int(context.count[row]), np.s_[row, :]) for row in range(len(context.count))]
        belief = self._pooled(whole, context, asked, _marks(y), stretch_time)
        return belief[0] if context.single else belief

    def replay(
        self,
        y: Any,
        t_query: Any = None,
        *,
        horizon: float | None = None,
        t: Any = None,
        kind: str = "value",
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
    ) -> Any:
        """The beliefs after every prefix of the curves, as `PFN.replay` gives them; every prefix knows the other runs.

        Raises:
            ValueError: as for `predict`.
        """
        question = {"kind": kind, "metric": self._agreed(metric), "run_end": run_end, "stretch_time": stretch_time}
        own = self.pfn.replay(y, t_query, horizon=horizon, t=t, **question)
        if not self.runs:
            return own
        context, _ = read(y, t=t, metric=self.metric, run_end=run_end, default=self.metric)
        belief, valid = (own.belief[None], own.valid[None]) if context.single else (own.belief, own.valid)
        length = belief.shape[1] - 1
        if context.t.shape[1] > length:  # as the network did
            context = thin(context, length)
        asked = [
            (row, count, np.s_[row, count, valid[row, count]])
            for row in range(len(context.count))
            for count in range(1, int(context.count[row]) + 1)
            if valid[row, count].any()
        ]
        belief = self._pooled(belief, context, asked, _marks(y), stretch_time)
        return replace(own, belief=belief[0] if context.single else belief)

    def surprise(
        self,
        y: Any,
        *,
        t: Any = None,
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
        rate: float = RATE,
    ) -> Surprise:
        """How well each point was foreseen by the points before it and the other runs; as for `PFN.surprise`.

        Raises:
            ValueError: as for `predict`, or if rate is not between 0 and 1.
        """
        question = {"t": t, "metric": self._agreed(metric), "run_end": run_end, "stretch_time": stretch_time}
        alone = self.pfn.surprise(y, rate=rate, **question)
        if not self.runs:
            return alone
        belief = self.replay(y, **question).belief[..., :-1, 0]
        context, _ = read(y, t=t, metric=self.metric, run_end=run_end, default=self.metric)
        values = thin(context, max(2, alone.t.shape[-1])).y
        values = np.where(np.isnan(alone.pit), np.nan, values[0] if context.single else values)
        return Surprise.of(belief, values, t=alone.t, rate=rate)

    def stream(self, *, metric: Metric | None = None, run_end: float | None = None) -> GivenStream:
        """An empty stream: feed it points one by one, ask in between."""
        return GivenStream(self, self.pfn.stream(metric=self._agreed(metric), run_end=run_end), run_end)

    def _agreed(self, metric: Metric | None) -> Metric | None:
        """What the network is told; without other runs whatever the user says."""
        if metric is not None and self.runs and metric != self.metric:
            raise ValueError(
                f"all runs of a search are of one metric, got {metric} asked about where the others are of "
                f"{self.metric}; give both the same direction and bounds"
            )
        return self.metric if self.runs else metric

    def _pooled(
        self,
        own: Belief,
        context: Context,
        asked: Sequence[tuple[int, int, Any]],
        marks: Sequence[tuple[str, str]],
        stretch_time: bool,
    ) -> Belief:
        """The network's beliefs with the experts' answers where there are any.

        Args:
            own: of any batch.
            context: B curves.
            asked: curve, how many of its points are seen, and the index of the beliefs (Q,) about it from there.
            marks: name and clock of each curve.
            stretch_time: as for `predict`.
        """
        places = np.arange(int(np.prod(own.shape))).reshape(own.shape)
        found: dict[int, Answer] = {}
        for row, others in self._others(context, marks).items():
            for _, count, index in (each for each in asked if each[0] == row):
                where = places[index]
                if not count or not others:
                    continue
                t, y = context.t[row, :count], context.y[row, :count]
                times = own.t.reshape(-1)[where]
                where, times = where[times > t[-1]], times[times > t[-1]]  # of the past the run itself knows best
                if not len(where):
                    continue
                end = np.nan if context.end is None else float(context.end[row])
                part = own[np.unravel_index(where, own.shape)]
                made = questions(
                    self.pfn,
                    others,
                    t,
                    y,
                    end=end,
                    asked=times,
                    own=part,
                    kind=own.kind,
                    metric=own.metric,
                    stretch_time=stretch_time,
                )
                found |= (
                    {} if made is None else dict(zip(where.tolist(), (answer(each, self.experts) for each in made)))
                )
        return pooled(own, found) if found else own

    def _others(self, context: Context, marks: Sequence[tuple[str, str]]) -> dict[int, list[Run]]:
        """For each curve with points the other runs, without itself."""
        found = {}
        for row in np.flatnonzero(context.count).tolist():
            t, y = (part[row, : context.count[row]] for part in (context.t, context.y))
            name, clock = marks[row] if marks else ("", "")
            copies = [run for run in self.runs if run.begins_with(t, y) and not (name and run.name == name)]
            if copies:
                warnings.warn(
                    f"{len(copies)} of the other runs begin with all points of the asked one and were left out as "
                    "copies of it; give runs names to say which they are",
                    UserWarning,
                    stacklevel=5,
                )
            others = [run for run in self.runs if run not in copies and not (name and run.name == name)]
            check_clocks([Run(t, y, clock=clock), *others])
            found[row] = others
        return found


def _marks(y: Any) -> list[tuple[str, str]]:
    """Names and clocks of curves; nothing for arrays."""
    curves = [y] if isinstance(y, Curve) else y if isinstance(y, (list, tuple)) else []
    return [(each.name, each.clock) for each in curves if isinstance(each, Curve)]
