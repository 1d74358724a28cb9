"""The report on an engine's calibration: known curves are cut off, asked about, and compared with what happened.

Letters: B curves, T points, C cut-offs, Q queries of one curve.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lcpfn.belief import Array
from lcpfn.calibration import LEVELS, Coverage, EcdfDifference, coverage, ecdf_difference, one_each, pit, sharpness
from lcpfn.config import KINDS
from lcpfn.metric import Metric
from lcpfn.ranks import Predicts, Sbc, joint_draws, tarp
from lcpfn.reliability import Reliability, reliability

CUTS = (10, 20, 40, 80)  # points seen: the columns of the LC-PFN paper
ASKED = 5  # random later times of each curve, at each cut-off
JOINT = 3  # later times whose values are drawn together


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known of the answers to questions of one kind.

    Attributes:
        kind: of the questions.
        cuts: (C,) points seen.
        times: (C, B, Q) asked, NaN where a curve has no such time.
        pits: (C, B, Q) cdf of the truth there.
        coverage: shares inside central intervals, by level and cut-off.
        ecdf: of one PIT value a curve, by cut-off.
        sharpness: mean width of the 90 % intervals, by cut-off.
        log_score: mean log density of the truth, nats per answer, by cut-off.
        reliability: of the probability to be better than another curve was at that time; one event a curve.
        joint: TARP of the values at JOINT later times, one cut-off a curve; None if it was not asked for.
    """

    kind: str
    cuts: tuple[int, ...]
    times: Array
    pits: Array
    coverage: tuple[Coverage, ...]
    ecdf: dict[int, EcdfDifference]
    sharpness: dict[int, float]
    log_score: dict[int, float]
    reliability: Reliability
    joint: Sbc | None

    def table(self) -> str:
        """Text for people: coverage, uniformity, sharpness, probabilities."""
        return "\n".join(self._lines())

    def document(self) -> dict[str, Any]:
        """The same as JSON, without the PIT values."""
        told: dict[str, Any] = {"kind": self.kind}
        told["coverage"] = [asdict(cell) | {"inside": cell.inside} for cell in self.coverage]
        told["cuts"] = [
            {"cut": cut, **_uniform(self.ecdf[cut]), "width": self.sharpness[cut], "log_score": self.log_score[cut]}
            for cut in self.cuts
        ]
        told["reliability"] = {
            name: [None if np.isnan(x) else float(x) for x in part] if isinstance(part, np.ndarray) else part
            for name, part in vars(self.reliability).items()
        }
        told["joint"] = None if self.joint is None else {"draws": self.joint.draws, **_uniform(self.joint.ecdf)}
        return told

    def _lines(self) -> Iterator[str]:
        yield f"{self.kind}: truth inside central intervals, in % (what calibration gives, 95 % band)"
        levels = list(dict.fromkeys(cell.level for cell in self.coverage))
        yield f"  {'seen':>5}" + "".join(f"{f'{100 * level:.4g} %':>22}" for level in levels)
        for cut in (*self.cuts, None):
            cells = [cell for cell in self.coverage if cell.cut == cut]
            row = "".join(
                f"{100 * c.mean:8.1f}{' ' if c.inside else '!'}({100 * c.lower:5.1f}-{100 * c.upper:5.1f})"
                for c in cells
            )
            yield f"  {'all' if cut is None else cut:>5}{row}"
        yield f"\n  {'seen':>5}  {'curves':>6}  {'PIT uniform':<20}  {'90 % width':>10}  {'log score':>9}"
        for cut in self.cuts:
            ecdf = self.ecdf[cut]
            yield (
                f"  {cut:>5}  {ecdf.n:>6}  {_verdict(ecdf):<20}  {self.sharpness[cut]:>10.4g}"
                f"  {self.log_score[cut]:>9.3f}"
            )
        told = self.reliability
        yield (
            f"\n  P(better than another curve): Brier {told.brier:.4f} = miscalibration {told.miscalibration:.4f}"
            f" - resolution {told.resolution:.4f} + uncertainty {told.uncertainty:.4f}"
            f" + within bins {told.within:.4f};"
        )
        yield f"  calibration error {told.error:.4f}, p {told.p:.3g}"
        if self.joint is not None:
            yield f"  values at {JOINT} times together (TARP, {self.joint.draws} draws): {_verdict(self.joint.ecdf)}"


@dataclass(frozen=True, eq=False)
class Report:
    """The calibration of an engine on known curves.

    Attributes:
        curves: how many.
        kinds: what was found for each kind of question.
    """

    curves: int
    kinds: tuple[Calibration, ...]

    def table(self) -> str:
        """Text for people."""
        checks = [cell.inside for told in self.kinds for cell in told.coverage]
        checks += [ecdf.inside for told in self.kinds for ecdf in told.ecdf.values()]
        tables = "\n\n".join(told.table() for told in self.kinds)
        end = f"{len(checks) - sum(checks)} of {len(checks)} shares and ECDFs are outside their 95 % bands (!)"
        return f"{tables}\n\n{end}; of a calibrated engine, one in twenty"

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        document = {"format": 1, "curves": self.curves, "kinds": [told.document() for told in self.kinds]}
        json.dumps(document, allow_nan=False)  # whoever prints it must not find out
        return document


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
        cuts: columns of y that are seen; a curve without any point before or after a cut-off is left out there.
        kinds: of the questions: "value", "signal", "best".
        asked: random later times of each curve at each cut-off.
        draws: of the joint law, for TARP (kind "value" alone); 0 leaves it out. It costs this many times more.
        levels: of the central intervals.
        metric: of y; the engine's own by default, "max" for the question of what is better if it has none.

    Raises:
        ValueError: if shapes, cuts or kinds do not fit, or fewer than ten curves are left at a cut-off.

    Example:
        >>> import lcpfn
        >>> rng = np.random.default_rng(0)
        >>> y = 0.9 - rng.uniform(0.1, 0.8, (20, 1)) * np.arange(1, 31) ** -0.5 + rng.normal(0, 0.01, (20, 30))
        >>> report = calibrate(lcpfn.load(), y, cuts=(10, 20), generator=rng)
        >>> report.kinds[0].pits.shape
        (2, 20, 5)
    """
    y, times, signal = _curves(y, t, signal)
    _check(y, cuts, kinds, signal, asked=asked, draws=draws)
    metric = metric or getattr(engine, "metric", None)
    found = []
    for kind in kinds:
        source = signal if kind == "signal" and signal is not None else y
        found.append(_kind(engine, y, source, times, cuts, kind, asked, draws, levels, metric, generator))
    return Report(len(y), tuple(found))


def _kind(
    engine: Predicts,
    y: Array,
    source: Array,
    times: Array,
    cuts: Sequence[int],
    kind: str,
    asked: int,
    draws: int,
    levels: Sequence[float],
    metric: Metric | None,
    generator: np.random.Generator,
) -> Calibration:
    sign = -1 if metric is not None and metric.direction == "min" else 1
    shape = (len(cuts), len(y), asked)
    when, pits = np.full(shape, np.nan), np.full(shape, np.nan)
    turn = generator.permutation(len(y)) % len(cuts)  # the one cut-off of each curve where it stands for itself
    said, happened, ranked = [], [], []
    ecdf, width, score = {}, {}, {}
    for c, cut in enumerate(cuts):
        known = ~np.isnan(source[:, cut:])
        judged = np.flatnonzero((~np.isnan(y[:, :cut])).any(axis=1) & known.any(axis=1))
        if len(judged) < 10:
            raise ValueError(
                f"ten curves must have points before and after every cut-off, got {len(judged)} at cut-off {cut}; "
                "give more curves, or leave it out"
            )
        columns = cut + _choose(known[judged], asked, generator)  # (B, Q)
        whole = _best(source, cut, sign) if kind == "best" else source
        seen, clock = y[judged, :cut], times[judged]
        query = np.take_along_axis(clock, columns, axis=1)
        truth = np.take_along_axis(whole[judged], columns, axis=1)
        belief = engine.predict(seen, query, t=clock[:, :cut], kind=kind, metric=metric)
        when[c, judged], pits[c, judged] = query, pit(belief, truth)
        ecdf[cut] = ecdf_difference(one_each(pits[c, judged], generator=generator))
        width[cut], score[cut] = sharpness(belief), float(belief.log_prob(truth).mean())
        mine = turn[judged] == c
        rival = whole[np.roll(judged, 1)[:, None], columns[:, :1]][:, 0]  # another curve at the first time asked
        fair = mine & ~np.isnan(rival)
        said.append(belief[:, 0].prob_better(np.where(np.isnan(rival), truth[:, 0], rival))[fair])
        happened.append((sign * truth[:, 0] > sign * rival)[fair])
        if draws and kind == "value" and mine.any():
            chosen = np.sort(_choose(known[judged], JOINT, generator, apart=True), axis=1)
            rows = np.flatnonzero(mine & (chosen[:, 0] >= 0))  # a curve with fewer later points is left out
            spread = cut + chosen[rows]
            query, truth = (np.take_along_axis(part[judged][rows], spread, axis=1) for part in (times, y))
            drawn = joint_draws(
                engine, seen[rows], query, t=clock[rows, :cut], draws=draws, metric=metric, generator=generator
            )
            ranked.append((drawn, truth))
    joint = None
    if ranked:
        drawn, truth = (np.concatenate(part, axis=axis) for part, axis in zip(zip(*ranked), (1, 0)))
        joint = tarp(drawn, truth, generator=generator) if len(truth) >= 10 else None
    named = tuple(int(cut) for cut in cuts)
    covered = coverage(pits, levels=levels, cuts=named)
    events = reliability(np.concatenate(said), np.concatenate(happened))
    return Calibration(kind, named, when, pits, covered, ecdf, width, score, events, joint)


def _curves(y: ArrayLike, t: ArrayLike | None, signal: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    """The arrays (B, T): y, times, signal."""
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 2 or len(y) < 10:
        raise ValueError(f"y must be (B, T) with ten curves at least, got shape {y.shape}; fill short ones with NaN")
    times = np.arange(1.0, y.shape[1] + 1) if t is None else np.asarray(t, dtype=np.float64)
    if times.shape not in ((y.shape[1],), y.shape):
        raise ValueError(f"t must be (T,) or (B, T) as y {y.shape}, got {times.shape}; leave it out for 1..T")
    if not np.all(np.diff(times, axis=-1) > 0):
        raise ValueError("t must increase along each curve and be known everywhere; sort the points by time first")
    if signal is not None:
        signal = np.asarray(signal, dtype=np.float64)
        if signal.shape != y.shape:
            raise ValueError(f"signal must be of y's shape {y.shape}, got {signal.shape}; it is y without its noise")
    return y, np.broadcast_to(times, y.shape), signal


def _check(
    y: Array, cuts: Sequence[int], kinds: Sequence[str], signal: Array | None, *, asked: int, draws: int
) -> None:
    bad = [cut for cut in cuts if not 0 < cut < y.shape[1]]
    if bad or not len(cuts) or len(set(cuts)) < len(cuts):
        raise ValueError(f"cuts must be different numbers from 1 to {y.shape[1] - 1}, got {tuple(cuts)}")
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kinds must be of {', '.join(KINDS)}, got {kind!r}")
        if kind == "signal" and signal is None:
            raise ValueError('kind "signal" needs the curves without noise; give signal, or ask for "value" and "best"')
    if asked < 1 or draws < 0:
        raise ValueError(f"asked must be at least 1 and draws at least 0, got {asked} and {draws}")


def _choose(known: np.ndarray, n: int, generator: np.random.Generator, *, apart: bool = False) -> np.ndarray:
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
        return np.where(np.isinf(np.take_along_axis(key, order, axis=1)), -1, order)
    nth = np.floor(generator.random((len(known), n)) * known.sum(axis=1)[:, None])
    place = np.where(known, np.cumsum(known, axis=1) - 1, -1)  # each known column's number
    return np.argmax(place[:, None, :] == nth[:, :, None], axis=2)


def _best(y: Array, cut: int, sign: int) -> Array:
    """(B, T) the best value after the cut-off up to each column; -inf is never met where something is known."""
    later = np.maximum.accumulate(np.where(np.isnan(y[:, cut:]), -np.inf, sign * y[:, cut:]), axis=1)
    later = np.where(np.isinf(later), np.nan, sign * later)
    return np.concatenate([np.full_like(y[:, :cut], np.nan), later], axis=1)


def _verdict(ecdf: EcdfDifference) -> str:
    return f"{'inside' if ecdf.inside else 'outside!'} (p {ecdf.p:.3g})"


def _uniform(ecdf: EcdfDifference) -> dict[str, Any]:
    return {"curves": ecdf.n, "inside": ecdf.inside, "p": ecdf.p, "largest": float(np.abs(ecdf.difference).max())}
