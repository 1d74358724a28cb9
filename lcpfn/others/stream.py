"""Beliefs that follow a running curve of a search."""

from __future__ import annotations

from typing import Any

from lcpfn.belief import Belief


class GivenStream:
    """One running curve beside the other runs of its search; made by `Given.stream`.

    Args:
        search: the engine that knows the other runs.
        own: a stream of the network, which checks the points.
        run_end: the time at which the run will end, None if nobody knows.
    """

    def __init__(self, search: Any, own: Any, run_end: float | None) -> None:
        self._search, self._own, self._run_end = search, own, run_end
        self._t: list[float] = []
        self._y: list[float] = []

    def __len__(self) -> int:
        return len(self._own)

    def observe(self, t: float, y: float) -> None:
        """Take in one point; as for `Stream.observe`.

        Raises:
            ValueError: if the time is not after the last one, or t or y is not in the world of the checkpoint.
        """
        before = len(self._own)
        self._own.observe(t, y)
        if len(self._own) != before:
            self._t.append(float(t))
            self._y.append(float(y))

    def predict(self, t_query: Any = None, *, horizon: float | None = None, kind: str = "value") -> Belief:
        """The belief after the points so far; arguments and answer as for `Given.predict` of one curve."""
        return self._search.predict(
            self._y, t_query, horizon=horizon, t=self._t or None, kind=kind, run_end=self._run_end
        )
