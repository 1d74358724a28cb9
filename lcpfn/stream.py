"""Beliefs that follow a running curve: one token for each new point, against cached keys and values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.context import Context, read_context, read_end, read_query, thin, typical_gap
from lcpfn.inference import Engine
from lcpfn.metric import Metric
from lcpfn.network.forward import Cache


class Stream:
    """One running curve; made by `PFN.stream`.

    Args:
        engine: of the PFN.
        metric: direction and bounds of the curve's values.
        run_end: the time at which the run will end, None if nobody knows.
    """

    def __init__(self, engine: Engine, metric: Metric, run_end: float | None = None) -> None:
        self._engine = engine
        self._metric = metric
        self._run_end = run_end
        self._t: list[float] = []
        self._y: list[float] = []
        self._cache = Cache()
        self._view = engine.view(self._context(), metric)
        self._state: Any = engine.encode(self._view.tokens)

    def __len__(self) -> int:
        return len(self._y)

    def observe(self, t: float, y: float) -> None:
        """Take in one point.

        A missing value (NaN) is left out. Once the network's limit is reached, the curve is thinned to half the limit
        (`lcpfn.context.thin`) and encoded anew, so a stream of any length goes on.

        Args:
            t: its time, after the last one.
            y: its value, in the metric's unit.

        Raises:
            ValueError: if the time is not after the last one, or t or y is not in the world of the checkpoint.
        """
        point = read_context([[y]], t=[[t]], metric=self._metric)
        if not point.count[0]:
            return
        self._engine.clock(point, point.t[:, :0])
        self._engine.check_size(point)
        time, value = float(point.t[0, 0]), float(point.y[0, 0])
        if self._t and time <= self._t[-1]:
            raise ValueError(
                f"a stream takes points in order of time, got t={time:g} after t={self._t[-1]:g}; for late or repeated "
                "points use predict, which sorts"
            )
        limit = self._engine.config.limit
        if len(self._y) >= limit:
            kept = thin(self._context(), max(2, limit // 2))
            self._t, self._y = kept.t[0].tolist(), kept.y[0].tolist()
            self._cache = Cache()
        fresh = not self._cache.keys
        self._t.append(time)
        self._y.append(value)
        self._view = self._engine.view(self._context(), self._metric)
        tokens = self._view.tokens if fresh else self._view.tokens[:, -1:]
        self._state = self._engine.encode(tokens, self._cache)[:, -1:]

    def predict(self, t_query: Any = None, *, horizon: float | None = None, kind: str = "value") -> Belief:
        """The belief after the points so far; arguments and answer as for `PFN.predict` of one curve."""
        context = read_end(self._run_end, self._context())
        if horizon is not None and len(self._t) > 1:
            context = replace(context, step=typical_gap(context.t))
        self._engine.check_empty(context, self._metric)
        asked = read_query(t_query, horizon, context, kind)
        _, clocked = self._engine.clock(context, asked)
        after = np.full(asked.shape, len(self._y))
        raw = self._engine.decode(context, self._state, after, clocked, kind)
        location, scale = (
            np.broadcast_to(part[0, -1:], asked[0].shape) for part in (self._view.location, self._view.scale)
        )
        law, outcome = self._engine.law(raw[0]), self._engine.outcome(raw[0])
        return self._engine.belief(law, location, scale, asked[0], kind, self._metric, outcome)

    def _context(self) -> Context:
        t, y = np.array([self._t]), np.array([self._y])
        return Context(t, y, np.array([len(self._y)]), single=True)
