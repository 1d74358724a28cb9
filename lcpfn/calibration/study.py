"""`calibrate`: known curves are cut off, asked about, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcpfn.belief import Array
from lcpfn.calibration.ecdf import ecdf_difference
from lcpfn.calibration.intervals import LEVELS, coverage, one_each, pit, sharpness
from lcpfn.calibration.ranks import Predicts, joint_draws, tarp
from lcpfn.calibration.reliability import reliability
from lcpfn.calibration.report import JOINT, Calibration, Report
from lcpfn.metric import Metric
from lcpfn.query import KINDS

CUTS = (10, 20, 40, 80)  # points seen: the columns of the LC-PFN paper
ASKED = 5  # random later times of each curve, at each cut-off
FEWEST = 10  # curves to judge by


def calibrate(
    engine: Predicts,
    y: ArrayLike,
    *,
    generator: np.random.Generator,
    signal: ArrayLike | None = None,
    t: ArrayLike | None = None,
    cuts: Sequence[int] = CUTS,
    kinds: Sequence[str] = ("value",),
    asked: int = ASKED,
    draws: int = 0,
    levels: Sequence[float] = LEVELS,
    metric: Metric | None = None,
) -> Report:
    """How well an engine is calibrated on curves whose end is known.

    At every cut-off the engine sees the first points of each curve and is asked about random later ones. On curves of
    a prior this says how well the engine answers for its prior; on curves of your own, how well the prior fits them.
    Curves count as independent of each other: runs of one experiment are not, and then the bands are too narrow.

    Args:
        engine: of PFN's `predict`.
        y: (B, T) whole curves, NaN where nothing was measured.
        generator: chooses times and answers.
        signal: (B, T) the same without noise, for kind "signal".
        t: (T,) or (B, T) times, increasing; 1..T if not given.
        cuts: columns of y that are seen; a curve without any point before or after a cut-off is left out there. For
            kind "best" a curve ends at its first gap, since nobody knows the best of what was not measured.
        kinds: of the questions: "value", "signal", "best".
        asked: random later times of each curve at each cut-off.
        draws: of the joint law, for TARP (kind "value" alone); 0 leaves it out. It costs this many times more.
        levels: of the central intervals.
        metric: of y; the engine's own by default, "max" for the question of what is better if it has none.

    Raises:
        ValueError: if shapes, cuts or kinds do not fit, y is infinite somewhere, or fewer than ten curves are left at
            a cut-off.

    Example:
        >>> import lcpfn
        >>> rng = np.random.default_rng(0)
        >>> y = 0.9 - rng.uniform(0.1, 0.8, (20, 1)) * np.arange(1, 31) ** -0.5 + rng.normal(0, 0.01, (20, 30))
        >>> report = calibrate(lcpfn.load(), y, cuts=(10, 20), generator=rng)
        >>> report.kinds[0].pits.shape
        (2, 20, 5)
    """
    curves = _curves(y, t, signal)
    _check(curves, cuts, kinds, asked=asked, draws=draws)
    metric = metric or getattr(engine, "metric", None)
    exam = _Exam(engine, curves, tuple(int(cut) for cut in cuts), asked, draws, tuple(levels), metric, generator)
    return Report(len(curves.y), tuple(_judge(exam, kind) for kind in kinds))


@dataclass(frozen=True, eq=False)
class _Curves:
    """Whole curves, (B, T) each."""

    y: Array
    times: Array
    signal: Array | None


@dataclass(frozen=True, eq=False)
class _Exam:
    """What is asked, of whom, about which curves."""

    engine: Predicts
    curves: _Curves
    cuts: tuple[int, ...]
    asked: int
    draws: int
    levels: tuple[float, ...]
    metric: Metric | None
    generator: np.random.Generator

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return -1 if self.metric is not None and self.metric.direction == "min" else 1


def _judge(exam: _Exam, kind: str) -> Calibration:
    y, times, generator = exam.curves.y, exam.curves.times, exam.generator
    shape = (len(exam.cuts), len(y), exam.asked)
    when, pits = np.full(shape, np.nan), np.full(shape, np.nan)
    turn = generator.permutation(len(y)) % len(exam.cuts)  # the one cut-off of each curve where it stands for itself
    ecdf, width, score = {}, {}, {}
    said, happened, drawn, drawn_truth = [], [], [], []
    for c, cut in enumerate(exam.cuts):
        whole, known = _truth(exam, kind, cut)
        judged = np.flatnonzero((~np.isnan(y[:, :cut])).any(axis=1) & known.any(axis=1))  # (N,)
        if len(judged) < FEWEST:
            raise ValueError(
                f"{FEWEST} curves must have points before and after every cut-off, got {len(judged)} at cut-off "
                f"{cut}; give more curves, or leave that cut-off out"
            )
        seen, clock = y[judged, :cut], times[judged]
        columns = cut + _choose(known[judged], exam.asked, generator)  # (N, Q)
        query, truth = (np.take_along_axis(part, columns, axis=1) for part in (clock, whole[judged]))
        belief = exam.engine.predict(seen, query, t=clock[:, :cut], kind=kind, metric=exam.metric)
        when[c, judged], pits[c, judged] = query, pit(belief, truth)
        ecdf[cut] = ecdf_difference(one_each(pits[c, judged], generator=generator))
        width[cut], score[cut] = sharpness(belief), float(belief.log_prob(truth).mean())

        rival = whole[judged[_next_below(exam.sign * seen)], columns[:, 0]]  # at the first time asked
        mine = turn[judged] == c
        fair = mine & ~np.isnan(rival)
        said.append(belief[:, 0].prob_better(np.where(fair, rival, truth[:, 0]))[fair])
        happened.append(exam.sign * truth[fair, 0] > exam.sign * rival[fair])
        if exam.draws and kind == "value":
            chosen = cut + np.sort(_choose(known[judged], JOINT, generator, apart=True), axis=1)
            rows = np.flatnonzero(mine & (chosen[:, 0] >= cut))  # a curve with fewer later points is left out
            query, truth = (np.take_along_axis(part[judged[rows]], chosen[rows], axis=1) for part in (times, y))
            drawn_truth.append(truth)
            drawn.append(_joint(exam, seen[rows], clock[rows, :cut], query))
    joint = None
    if sum(map(len, drawn_truth)) >= FEWEST:
        joint = tarp(np.concatenate(drawn, axis=1), np.concatenate(drawn_truth), generator=generator)
    covered = tuple(
        cell
        for cell in coverage(pits, levels=exam.levels, cuts=exam.cuts)
        if cell.cut is not None or len(exam.cuts) > 1
    )
    events = reliability(np.concatenate(said), np.concatenate(happened))
    return Calibration(kind, exam.cuts, when, pits, covered, ecdf, width, score, events, joint)


def _truth(exam: _Exam, kind: str, cut: int) -> tuple[Array, NDArray[np.bool_]]:
    """What answers are compared with, (B, T), and whether it is known after the cut-off, (B, T - cut)."""
    y, signal = exam.curves.y, exam.curves.signal
    if kind != "best":
        whole = y if kind == "value" or signal is None else signal
        return whole, ~np.isnan(whole[:, cut:])
    best = exam.sign * np.maximum.accumulate(exam.sign * y[:, cut:], axis=1)  # NaN from the first gap on
    return np.concatenate([np.full_like(y[:, :cut], np.nan), best], axis=1), ~np.isnan(best)


def _next_below(seen: Array) -> NDArray[np.intp]:
    """(N,) the curve whose last known value is the next lower one, of the lowest the highest; seen is (N, T)."""
    last = seen.shape[1] - 1 - np.argmax(~np.isnan(seen[:, ::-1]), axis=1)
    order = np.argsort(seen[np.arange(len(seen)), last], kind="stable")
    below = np.empty_like(order)
    below[order] = np.roll(order, 1)
    return below


def _joint(exam: _Exam, seen: Array, times: Array, query: Array) -> Array:
    """(S, N, JOINT) draws of the values at several times."""
    if not len(seen):
        return np.empty((exam.draws, 0, JOINT))
    return joint_draws(
        exam.engine, seen, query, t=times, draws=exam.draws, metric=exam.metric, generator=exam.generator
    )


def _curves(y: ArrayLike, t: ArrayLike | None, signal: ArrayLike | None) -> _Curves:
    """The arrays (B, T), checked."""
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 2 or len(y) < FEWEST:
        raise ValueError(
            f"y must be (B, T) with {FEWEST} curves at least, got shape {y.shape}; fill short ones with NaN at the end"
        )
    if (bad := np.isinf(y)).any():
        i, j = np.argwhere(bad)[0]
        raise ValueError(f"y must be finite or NaN, got {y[i, j]} at curve {i}, point {j}; leave diverged runs out")
    times = np.arange(1.0, y.shape[1] + 1) if t is None else np.asarray(t, dtype=np.float64)
    if times.shape not in ((y.shape[1],), y.shape):
        raise ValueError(f"t must be (T,) or (B, T) as y {y.shape}, got {times.shape}; leave it out for 1..T")
    if not np.all(np.diff(times, axis=-1) > 0):
        raise ValueError("t must increase along each curve and be known everywhere; sort the points by time first")
    if signal is not None:
        signal = np.asarray(signal, dtype=np.float64)
        if signal.shape != y.shape:
            raise ValueError(f"signal must be of y's shape {y.shape}, got {signal.shape}; it is y without its noise")
    return _Curves(y, np.broadcast_to(times, y.shape), signal)


def _check(curves: _Curves, cuts: Sequence[int], kinds: Sequence[str], *, asked: int, draws: int) -> None:
    length = curves.y.shape[1]
    if not len(cuts) or len(set(cuts)) < len(cuts) or not all(0 < cut < length for cut in cuts):
        raise ValueError(
            f"cuts must be different numbers from 1 to {length - 1}, got {tuple(cuts)}; y has {length} points"
        )
    if isinstance(kinds, str) or not len(kinds) or not set(kinds) <= set(KINDS):
        raise ValueError(f'kinds must be some of {", ".join(KINDS)}, got {kinds!r}; write kinds=("value",)')
    if "signal" in kinds and curves.signal is None:
        raise ValueError('kind "signal" needs the curves without noise; give signal, or ask for "value" and "best"')
    if asked < 1 or draws < 0:
        raise ValueError(f"asked must be at least 1 and draws at least 0, got {asked} and {draws}")


def _choose(
    known: NDArray[np.bool_], n: int, generator: np.random.Generator, *, apart: bool = False
) -> NDArray[np.intp]:
    """(B, n) random columns among the known ones (B, T).

    Args:
        known: which there are, one at least in each row.
        n: how many to choose.
        generator: chooses.
        apart: all different; -1 where there are not enough of them.
    """
    if apart:
        key = np.where(known, generator.random(known.shape), np.inf)
        key = np.concatenate([key, np.full((len(key), n), np.inf)], axis=1)
        order = np.argsort(key, axis=1)[:, :n]
        return np.asarray(np.where(np.isinf(np.take_along_axis(key, order, axis=1)), -1, order))
    nth = np.floor(generator.random((len(known), n)) * known.sum(axis=1)[:, None])
    place = np.where(known, np.cumsum(known, axis=1) - 1, -1)  # each known column's number
    return np.asarray(np.argmax(place[:, None, :] == nth[:, :, None], axis=2))
