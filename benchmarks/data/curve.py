"""A measured learning curve, as every benchmark takes it.

Letters: T observed points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcpfn.metric import Metric


@dataclass(frozen=True, eq=False)
class RealCurve:
    """One measured learning curve, as its source has it.

    Attributes:
        source: collection, as "algoperf".
        task: data set or workload.
        run: identifies the run within source and task; curves of one run differ in the metric.
        name: of the metric, as "validation/accuracy".
        metric: direction and bounds, by the table of metric names.
        t: (T,) times, finite, strictly increasing, in `x_unit`.
        y: (T,) raw values; NaN and infinities stand for a run that diverged.
        x_unit: "epoch", "step", "samples", "tokens" or "seconds".
        resolution: distance of neighbouring possible values where the metric is quantised, 0 where that is not known.
        lr: (T,) the learning rate at each time, None where the source did not log it.
    """

    source: str
    task: str
    run: str
    name: str
    metric: Metric
    t: np.ndarray
    y: np.ndarray
    x_unit: str = "epoch"
    resolution: float = 0.0
    lr: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.t)
