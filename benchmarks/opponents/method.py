"""What every method of the contest on real curves must do: forecast a curve from its first points.

Letters: B curves, T observed points, Q query points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from data.curve import RealCurve

from lcpfn.belief import Belief
from lcpfn.metric import Metric


class Method(Protocol):
    """A way to forecast a curve from its first points."""

    name: str  # in the tables

    def prepare(self, others: Sequence[RealCurve]) -> None:
        """Learn what may be learnt from curves of other tasks (spreads, scales); called before each task.

        None of the curves is of the task that is forecast next. Methods that learn nothing do nothing here.
        """

    def predict(
        self,
        y: Sequence[np.ndarray],
        t_query: Sequence[np.ndarray],
        *,
        t: Sequence[np.ndarray],
        kind: str,
        metric: Metric,
        horizon: Sequence[float],
    ) -> list[Belief]:
        """For each of B curves of one task and metric the belief (Q_i,) about its own later times.

        Args:
            y: B arrays (T_i,) of finite observed values, at least two each.
            t_query: B arrays (Q_i,), increasing, later than what was observed; lengths may differ.
            t: B arrays (T_i,), the times of y.
            kind: "value" or "best" (best measurement after the last observed point, up to the asked time).
            metric: of all B curves.
            horizon: B last times of the runs, as a user knows the budget.
        """


def facts(method: Method) -> dict[str, Any]:
    """What the result's JSON says of a method: its name and its settings, where it has any."""
    return {"name": method.name, **getattr(method, "settings", {})}
