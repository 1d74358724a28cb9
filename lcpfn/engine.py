"""What PFN and MCMC have in common: one question, and beliefs as the answer."""

from __future__ import annotations

from typing import Any, Protocol

from lcpfn.belief import Belief
from lcpfn.metric import Metric


class Engine(Protocol):
    """Whatever answers questions about learning curves: stopping rules, benchmarks and plots take any."""

    metric: Metric  # what y is taken for where nothing else is said

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
        """The belief about later times, given the points seen so far; see `lcpfn.PFN.predict`."""
