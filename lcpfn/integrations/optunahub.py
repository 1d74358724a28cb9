"""Forecasts for the conformal pruner of OptunaHub: `ConformalPruner(predictor=causal_predictor(horizon=50, ...))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcpfn.metric import Metric
from lcpfn.pfn import PFN, load

__all__ = ["causal_predictor"]

Curves = NDArray[np.float64]


def causal_predictor(
    *,
    horizon: int,
    metric: Metric | None = None,
    t: ArrayLike | None = None,
    kind: str = "value",
    engine: str | PFN = "default",
    negated: bool | None = None,
) -> Callable[[ArrayLike], Curves]:
    """A function that forecasts, for curves (n, T), how each ends, from every prefix: (n, T), in one pass.

    Column j of its answer is the median forecast after columns 0..j, and rests on nothing else, so that a conformal
    rule may be calibrated with it. T may be smaller than the horizon: running trials have the same forecasts as whole
    ones. The last column of a whole curve is what was measured (its best for kind "best").

    A value that is not finite is left out: the forecast rests on those before it, and is NaN where there are none. Of
    curves with more columns than the network was trained on, evenly spaced columns are read, always the same ones.

    Args:
        horizon: number of columns of a whole curve.
        metric: direction and bounds of what is measured; the engine's own by default.
        t: (horizon,) increasing times of the columns; 1..horizon if not given.
        kind: "value" forecasts the last value, which OptunaHub's pruner compares; "best" the best one.
        engine: the name of a checkpoint, or an engine.
        negated: whether curves come with their sign changed, lower being better, as that pruner passes those of a
            study to maximize; the forecasts then have it changed too. By default so for a "max" metric.

    Raises:
        ValueError: if horizon, t or kind are none of these; from the function, if curves have more columns than the
            horizon, or values outside of the metric's bounds.

    Source: OptunaHub, package pruners/conformal, whose `predictor` has this contract.

    Example:
        >>> forecast = causal_predictor(horizon=30, metric=Metric("max", bounds=(0, 1)))
        >>> accuracies = np.array([[0.9 - 0.5 / t for t in range(1, 31)], [0.5 - 0.3 / t for t in range(1, 31)]])
        >>> ends = -forecast(-accuracies)
        >>> ends.shape, bool(np.abs(ends[:, 10] - accuracies[:, -1]).max() < 0.05)
        ((2, 30), True)
        >>> bool(np.allclose(forecast(-accuracies[:, :11]), -ends[:, :11], atol=1e-6))
        True
    """
    pfn = load(engine) if isinstance(engine, str) else engine
    measured = metric or pfn.metric
    times = np.arange(1.0, horizon + 1) if t is None else np.asarray(t, dtype=np.float64)
    if horizon < 2 or times.shape != (horizon,) or not (np.diff(times) > 0).all():
        raise ValueError(f"t must be {horizon} increasing times, one a column, and the horizon 2 or more, got {times}")
    if kind not in ("value", "best"):
        raise ValueError(f'kind must be "value" or "best", got {kind!r}')
    limit = pfn.inference.config.limit
    read = np.arange(horizon) if horizon <= limit else np.arange(limit) * (horizon - 1) // (limit - 1)
    sign = -1.0 if (measured.sign > 0 if negated is None else negated) else 1.0

    def forecast(curves: ArrayLike) -> Curves:
        y = sign * np.asarray(curves, dtype=np.float64)
        if y.ndim != 2 or y.shape[1] > horizon:
            raise ValueError(f"curves must have shape (n, T) with T up to the horizon {horizon}, got {y.shape}")
        known = np.isfinite(y)
        y = np.where(known, y, np.nan)
        columns = read[read < y.shape[1]]
        options: dict[str, Any] = {"kind": kind, "metric": measured, "run_end": times[-1]}
        replay = pfn.replay(y[:, columns], times[-1], t=times[columns], **options)
        medians = replay.belief.median()[..., 0]  # (n, 1 + most points of a curve)
        points = np.cumsum(known[:, columns], axis=1)[:, np.searchsorted(columns, np.arange(y.shape[1]), "right") - 1]
        ends = np.where(points > 0, np.take_along_axis(medians, points, axis=1), np.nan)
        if kind == "best":  # the belief is about what comes; what was reached counts too
            ends = measured.sign * np.fmax(measured.sign * ends, _so_far(measured.sign * y))
        if y.shape[1] == horizon:
            last = measured.sign * _so_far(measured.sign * y)[:, -1] if kind == "best" else y[:, -1]
            ends[:, -1] = np.where(known[:, -1], last, ends[:, -1])
        return sign * ends

    return forecast


def _so_far(y: Curves) -> Curves:
    """(n, T) the highest of the values up to each, NaN where there is none."""
    return np.fmax.accumulate(y, axis=1)
