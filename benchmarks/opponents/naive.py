"""Opponents that hardly look: the last value with spreads learnt from other tasks, and a line in log t.

Letters: T observed points, Q query points, N errors, K mixture components, W windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from data.curve import RealCurve
from scipy.special import stdtrit
from scipy.stats import chi2

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric
from opponents.draws import COMPONENTS, Prefix, ahead, draw_generator, each, least, mixed, peaks, read_off

CUTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9)  # shares of a curve's points after which errors are collected
LATER = 8  # times asked after each
PER_TASK = 40  # curves of one task that count, at most
ENOUGH = 80  # errors that a cell needs; else a coarser one answers
SEEN = np.array([0.02, 0.06, 0.15, 0.3, 0.6])  # edges of cells: share of the horizon seen
REST = np.array([0.03, 0.1, 0.3, 0.7])  # ... and share of what is left
LEAST_STD = 0.02  # of a component, in asinh of an error in local scales
KINDS = ("value", "best")
WINDOWS = (1.0, 0.5, 0.25)  # shares of the prefix, from its end, that a line is drawn through
SLOPE_STD = 1.0  # prior, in units of the prefix per doubling of t
NOISE_STD = 0.1  # prior, in the same unit


class Errors(NamedTuple):
    """What the last value missed by, N rows: asinh of errors in local scales, one column for each of KINDS."""

    cell: np.ndarray  # (N, 3) flat, seen, rest
    u: np.ndarray  # (N, 2)


class LastValue:
    """The last value, with the law of the errors that it made in other tasks.

    Errors are divided by a causal scale (the prefix's median distance from its last value) and pooled in cells:
    whether the curve moved at all, which share of the horizon was seen, and how far ahead the question lies. Errors of
    curves with the same metric are preferred where there are enough of them. A scale of the last few differences did
    worse: 0.24 against 0.21 in CRPS over six sources.
    """

    name = "last value"

    def __init__(self) -> None:
        self.settings = {"cuts": CUTS, "per_task": PER_TASK, "enough": ENOUGH}
        self._kept: dict[tuple[str, str, str, str], Errors] = {}
        self._pools: dict[object, Errors] = {}
        self._laws: dict[object, list[np.ndarray]] = {}

    def prepare(self, others: Sequence[RealCurve]) -> None:
        """Collects the errors made in other tasks."""
        taken: dict[tuple[str, str, str], int] = {}
        parts: dict[Metric, list[Errors]] = {}
        for curve in others:
            group = curve.source, curve.task, curve.name
            taken[group] = taken.get(group, 0) + 1
            if taken[group] <= PER_TASK:
                parts.setdefault(curve.metric, []).append(self._errors(curve))
        self._laws = {}
        pools = {metric: _stacked(rows) for metric, rows in parts.items()}
        self._pools = {**pools, None: _stacked(list(pools.values()))}

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
        out = []
        for values, asked, times, end in zip(y, t_query, t, horizon):
            x, asked = metric.sign * np.asarray(values, dtype=np.float64), np.asarray(asked, dtype=np.float64)
            scale, flat = self.scale(x, metric)
            cells = self.cells(np.asarray(times), asked, end, flat=flat)
            logs, means, stds = (np.stack(part) for part in zip(*(self._law(tuple(c), kind, metric) for c in cells)))
            law = Mixture(logs, means=means, stds=stds)
            out.append(Belief(law, x[-1], scale, transform="sinh", metric=metric, kind=kind, t=asked))
        return out

    def scale(self, x: np.ndarray, metric: Metric) -> tuple[float, bool]:
        """The unit of errors after upward values (T,), positive, and whether that is only because of its floor."""
        away, floor = float(np.median(np.abs(x[:-1] - x[-1]))), least(metric, x)
        return max(away, floor), away <= floor

    def cells(self, t: np.ndarray, asked: np.ndarray, horizon: float, *, flat: bool) -> np.ndarray:
        """(Q, 3) the cells that questions about times (Q,) fall into."""
        whole = max(horizon, float(asked.max()) if len(asked) else horizon) - min(t[0], 0.0)
        seen = np.searchsorted(SEEN, (t[-1] - min(t[0], 0.0)) / whole)
        rest = np.searchsorted(REST, (asked - t[-1]) / max(whole + min(t[0], 0.0) - t[-1], 1e-300))
        return np.stack([np.full(len(asked), int(flat)), np.full(len(asked), seen), rest], axis=1)

    def _errors(self, curve: RealCurve) -> Errors:
        key = curve.source, curve.task, curve.run, curve.name
        if key not in self._kept:
            self._kept[key] = self._measured(curve)
        return self._kept[key]

    def _measured(self, curve: RealCurve) -> Errors:
        x, rows = curve.metric.sign * np.asarray(curve.y, dtype=np.float64), []
        for cut in sorted({max(2, round(share * len(x))) for share in CUTS}):
            good = np.isfinite(x[:cut])
            later = np.unique(np.round(np.geomspace(1, max(len(x) - cut, 1), LATER)).astype(int)) + cut - 1
            later = later[later < len(x)]
            if good.sum() < 2 or not len(later):
                continue
            prefix, times = x[:cut][good], curve.t[:cut][good]
            scale, flat = self.scale(prefix, curve.metric)
            with np.errstate(over="ignore", invalid="ignore"):
                missed = np.stack([x, np.maximum.accumulate(np.where(np.arange(len(x)) < cut, -np.inf, x))], axis=1)
                u = np.arcsinh((missed[later] - prefix[-1]) / scale)
            cells = self.cells(times, curve.t[later], curve.t[-1], flat=flat)
            fine = np.isfinite(u).all(axis=1)
            rows.append(Errors(cells[fine], u[fine]))
        return _stacked(rows)

    def _law(self, cell: tuple[int, ...], kind: str, metric: Metric) -> list[np.ndarray]:
        key = cell, kind, metric
        if key not in self._laws:
            self._laws[key] = smoothed(self._found(np.array(cell), metric)[:, KINDS.index(kind)])
        return self._laws[key]

    def _found(self, cell: np.ndarray, metric: Metric) -> np.ndarray:
        """(N, 2) errors of the finest cell that has enough of them: of the metric first, then of all."""
        for pool in (self._pools.get(metric), self._pools.get(None)):
            if pool is None:
                continue
            same = pool.cell == cell
            for match in (same.all(axis=1), same[:, 1] & same[:, 2], same[:, 0] & same[:, 2], same[:, 2]):
                if match.sum() >= ENOUGH:
                    return pool.u[match]
        return default_errors()


class ConformalLastValue(LastValue):
    """Split conformal prediction around the last value: one bucket for each horizon, no other condition.

    The conformal predictive law puts 1 / (N + 1) between neighbouring errors of other tasks, and as much beyond each
    end.
    """

    name = "conformal last value"

    def cells(self, t: np.ndarray, asked: np.ndarray, horizon: float, *, flat: bool) -> np.ndarray:
        """(Q, 3) buckets of log2(t / last observed t), the other columns unused."""
        first = min(t[0], 0.0)
        ratio = (asked - first) / max(t[-1] - first, 1e-300)
        bucket = np.digitize(np.log2(np.maximum(ratio, 1)), [0.02, 0.1, 0.3, 1, 2, 3, 4])
        return np.stack([np.zeros_like(bucket), np.zeros_like(bucket), bucket], axis=1)

    def _found(self, cell: np.ndarray, metric: Metric) -> np.ndarray:
        pool = self._pools.get(None)
        found = default_errors() if pool is None else pool.u[pool.cell[:, 2] == cell[2]]
        if len(found) < 2:
            return default_errors()
        # The mass beyond an end lies around as far out as the distance between the outermost errors and the quartiles.
        ends = np.quantile(found, [0, 0.25, 0.75, 1], axis=0)
        return np.concatenate([found, (2 * ends[0] - ends[1])[None], (2 * ends[3] - ends[2])[None]])


class LinearLogT:
    """A line in log t by Bayesian regression over all, the last half and the last quarter of the points, averaged.

    The slope has a normal prior around 0 of one unit (the median distance from the last value) per doubling of t, the
    variance an inverse-gamma prior worth one observation; the predictive law of each window is Student's t, as a
    mixture of normals.
    """

    name = "linear in log t"

    def __init__(self) -> None:
        self.settings = {"windows": WINDOWS, "prior_slope_std": SLOPE_STD, "prior_noise_std": NOISE_STD}

    def prepare(self, others: Sequence[RealCurve]) -> None:
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
        generator = draw_generator(prefix)
        times, count = (
            ahead(prefix.t, float(asked.max()) + prefix.shift) if kind == "best" else (asked + prefix.shift, 1)
        )
        signals, noises = [], []
        for share in WINDOWS:
            kept = max(2, int(np.ceil(share * len(prefix.t))))
            signal, noise = _lines(prefix.t[-kept:], prefix.u[-kept:], times, 2 * COMPONENTS, generator)
            signals.append(signal)
            noises.append(noise)
        signal, noise = np.concatenate(signals), np.concatenate(noises)
        if kind == "best":
            signal = read_off(times, peaks(signal, noise, count, generator), asked + prefix.shift)
            return prefix.from_draws(signal, np.zeros_like(signal), asked, kind)
        return prefix.from_draws(signal, noise, asked, kind)


def _lines(
    t: np.ndarray, u: np.ndarray, times: np.ndarray, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws (S, M) of a line in log2 t at times (M,), and the noise (S, M) that goes with them."""
    x = np.log2(t / t[-1])
    design = np.stack([np.ones_like(x), x], axis=1)
    precision = design.T @ design + np.diag([1e-4, (NOISE_STD / SLOPE_STD) ** 2])
    beta = np.linalg.solve(precision, design.T @ u)
    rest = u - design @ beta
    dof = len(t)  # one of the prior, as many as points, less one for the level
    variance = (rest @ rest + NOISE_STD**2) / dof
    levels = (generator.permutation(size) + 0.5) / size
    sigma = np.sqrt(variance * dof / chi2.ppf(levels, dof))  # (S,)
    root = np.linalg.cholesky(np.linalg.inv(precision))
    coefficients = beta + sigma[:, None] * (generator.standard_normal((size, 2)) @ root.T)
    signal = coefficients[:, :1] + coefficients[:, 1:] * np.log2(times / t[-1])
    return signal, np.broadcast_to(sigma[:, None], signal.shape)


def smoothed(u: np.ndarray) -> list[np.ndarray]:
    """Log weights, means and standard deviations (K,) of errors (N,): sorted, cut into K groups, each a normal."""
    levels = (np.arange(8 * COMPONENTS) + 0.5) / (8 * COMPONENTS)
    law = mixed(np.quantile(u, levels)[:, None], np.full((len(levels), 1), LEAST_STD))
    return [law.log_weights[0], law.means[0], law.stds[0]]


def default_errors() -> np.ndarray:
    """(N, 2) errors where nothing was learnt: Student's t with 3 degrees of freedom, two local scales wide."""
    errors = np.arcsinh(2 * stdtrit(3, (np.arange(200) + 0.5) / 200))
    return np.stack([errors, errors], axis=1)


def _stacked(parts: Sequence[Errors]) -> Errors:
    if not parts:
        return Errors(np.zeros((0, 3), dtype=int), np.zeros((0, 2)))
    return Errors(np.concatenate([part.cell for part in parts]), np.concatenate([part.u for part in parts]))
