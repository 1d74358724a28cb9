"""Opponent that knows nothing of learning curves: general-purpose forecasting of time series, by statsforecast.

Pretrained models for time series download their weights, which is why none of them stands here. AutoETS is one of what
they are measured against; AutoTheta did a little worse (a CRPS of 0.38 against 0.36 over six sources) and moves
NumPy's global random state.

Letters: T observed points, Q query points, M steps ahead, S draws.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri
from statsforecast.models import AutoETS

from lcpfn.belief import Belief
from lcpfn.metric import Metric
from opponents.draws import COMPONENTS, Prefix, draw_generator, each, peaks

POINTS = 40  # of the grid in log t that a prefix is read off on, at most
FEWEST = 8  # measurements that the model needs; with fewer the last value goes on as a random walk
LEAST_STD = 0.02  # in units of the prefix
FAR = 1e3  # units from the last value beyond which no forecast is believed
LEVEL = 80  # percent, of the interval that the standard deviation is read off
DRAWS = 4 * COMPONENTS

log = logging.getLogger(__name__)


class ExponentialSmoothing:
    """AutoETS, its form chosen by an information criterion, on an even grid of log t.

    On the run's own grid of measurements trends run away: a CRPS of 0.46 over six sources, against 0.36.
    """

    name = "AutoETS"

    def __init__(self) -> None:
        self.settings = {"points": POINTS, "fewest": FEWEST, "least_std": LEAST_STD}

    def prepare(self, others: Sequence[object]) -> None:
        """Learns nothing."""

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
        """See `opponents.method.Method`."""
        return each(self._forecast, y, t_query, t, kind, metric)

    def _forecast(self, prefix: Prefix, asked: np.ndarray, kind: str) -> Belief:
        x, asked_x = np.log(prefix.t), np.log(asked + prefix.shift)
        points = min(len(x), POINTS)
        grid = np.linspace(x[0], x[-1], points)
        later = np.maximum((asked_x - x[-1]) / (grid[1] - grid[0]), 1e-6)  # in steps of the grid
        mean, std = self._steps(np.interp(grid, x, prefix.u), max(1, int(np.ceil(later.max() - 1e-9))))
        mean, std = np.clip(mean, -FAR, FAR), np.clip(std, LEAST_STD, FAR)
        steps = np.arange(len(mean) + 1.0)
        if kind == "value":
            centre = np.interp(later, steps, np.concatenate([[0.0], mean]))
            spread = np.interp(later, steps, np.concatenate([std[:1], std]))
            levels = ndtri((np.arange(DRAWS) + 0.5) / DRAWS)[:, None]
            return prefix.from_draws(centre + 0.9 * spread * levels, 0.43 * np.tile(spread, (DRAWS, 1)), asked, kind)
        # The variance beyond that of one step ahead is the state's, which wanders; the rest is noise, drawn once a
        # step: drawn for each measurement it made the best far too good.
        generator = draw_generator(prefix)
        wander = np.maximum(np.diff(np.maximum.accumulate(std**2), prepend=std[0] ** 2), 0.0)
        paths = mean + np.cumsum(np.sqrt(wander) * generator.standard_normal((DRAWS, len(mean))), axis=1)
        paths = np.clip(paths, prefix.low, prefix.high)
        best = peaks(paths, std[0], np.ones(len(mean)), generator)
        place = np.clip(np.floor(later + 1e-6).astype(int) - 1, 0, len(mean) - 1)
        return prefix.from_draws(best[:, place], np.zeros((DRAWS, len(asked))), asked, kind)

    def _steps(self, u: np.ndarray, ahead: int) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations (M,) of values 1 to M steps after u (T,)."""
        if len(u) >= FEWEST and np.ptp(u) > 0:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of the model's own optimiser
                    told = AutoETS(season_length=1).forecast(u, h=ahead, level=[LEVEL])
                low, high = (np.asarray(told[f"{end}-{LEVEL}"], dtype=np.float64) for end in ("lo", "hi"))
                mean, std = np.asarray(told["mean"], dtype=np.float64), (high - low) / (2 * ndtri(0.5 + LEVEL / 200))
                if np.isfinite(mean).all() and np.isfinite(std).all():
                    return mean, std
            except (ValueError, ArithmeticError, IndexError, NotImplementedError, np.linalg.LinAlgError) as error:
                log.debug("%s failed: %s", self.name, error)
        move = float(np.sqrt(np.mean(np.diff(u[-20:]) ** 2))) if len(u) > 1 else 1.0
        return np.zeros(ahead), move * np.sqrt(np.arange(1.0, ahead + 1))
