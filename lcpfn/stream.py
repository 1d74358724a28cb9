"""Beliefs that follow a running curve: one token for each new point, against cached keys and values."""

from __future__ import annotations

from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.context import read_context
from lcpfn.inference import Inference
from lcpfn.metric import Metric
from lcpfn.network.forward import Cache
from lcpfn.prepare import Prepared, World, prepare, wild_prefixes


class Stream:
    """One running curve; made by `PFN.stream`. Its answers are those of `PFN.predict` on the points so far.

    Points are encoded when they are first needed, each once. A curve that has outgrown the network's limit is thinned
    and encoded anew at each question, and so is one that begins with a wild value (`lcpfn.prepare.tamed`).

    Args:
        inference: of the PFN.
        world: of the PFN.
        metric: direction and bounds of the curve's values; None: the PFN's own.
        run_end: the time at which the run will end, None if nobody knows.

    Raises:
        TypeError, ValueError: as for `PFN.predict`.
    """

    def __init__(
        self, inference: Inference, world: World, metric: Metric | None = None, run_end: float | None = None
    ) -> None:
        self._inference, self._world, self._run_end = inference, world, run_end
        self._metric = prepare(world, [], metric=metric, replay=True).metric  # its errors belong here
        self._t: list[float] = []
        self._y: list[float] = []
        self._cache = Cache()
        self._encoded = 0  # points whose keys and values are cached
        self._state: Any = None

    def __len__(self) -> int:
        return len(self._y)

    def observe(self, t: float, y: float) -> None:
        """Take in one point; a missing value (NaN or None) is left out.

        Args:
            t: its time, after the last one.
            y: its value, in the metric's unit.

        Raises:
            ValueError: if the time is not after the last one, or t or y is not in the world of the checkpoint.
        """
        point = prepare(self._world, [[y]], t=[[t]], metric=self._metric, replay=True).points
        if not point.count[0]:
            return
        self._inference.check_size(point)
        time, value = read_context([[y]], t=[[t]], metric=self._metric).t[0, 0], float(point.y[0, 0])
        if self._t and time <= self._t[-1]:
            raise ValueError(
                f"a stream takes points in order of time, got t={time:g} after t={self._t[-1]:g}; for late or repeated "
                "points use predict, which sorts"
            )
        self._t.append(float(time))
        self._y.append(value)

    def predict(self, t_query: Any = None, *, horizon: float | None = None, kind: str = "value") -> Belief:
        """The belief after the points so far; arguments and answer as for `PFN.predict` of one curve."""
        counted = self._t == list(range(1, len(self._t) + 1))
        asked = prepare(
            self._world,
            self._y,
            t_query,
            horizon=horizon,
            t=None if counted else self._t,
            kind=kind,
            metric=self._metric,
            run_end=self._run_end,
        )
        points, after = asked.points, np.full(asked.asked.shape, asked.points.count[0])
        self._inference.check_empty(points, asked.metric)
        thinned, last = points.count[0] < len(self._y), np.zeros((1, points.t.shape[1] + 1), dtype=bool)
        last[0, -1] = True
        if thinned or wild_prefixes(points, asked.metric, last).any():
            return self._inference.answer(asked, after, kind)[0]
        return self._answer(asked, after, kind)

    def _answer(self, asked: Prepared, after: np.ndarray, kind: str) -> Belief:
        """The same as `Inference.answer`, with the tokens alone that are new."""
        view = self._inference.view(asked.points, asked.metric)
        if self._state is None or self._encoded < len(self._y):
            self._state = self._inference.encode(view.tokens[:, self._encoded :], self._cache)[:, -1:]
            self._encoded = len(self._y)
        raw = self._inference.decode(asked.points, self._state, after, asked.asked, kind)
        shape = asked.asked.shape
        location, scale = (np.broadcast_to(part[:, -1:], shape) for part in (view.location, view.scale))
        return self._inference.belief_of(raw, location, scale, asked.asked_user, kind, asked.metric)[0]
