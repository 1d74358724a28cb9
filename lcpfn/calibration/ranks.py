"""Whether draws behave as the truth does: simulation-based calibration, and TARP for several numbers at once.

Letters: S draws, B curves, D numbers of one curve, T observed points, Q queries of one curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lcpfn.belief import Belief
from lcpfn.calibration.ecdf import BAND, EcdfDifference, ecdf_difference
from lcpfn.frozen import frozen
from lcpfn.metric import Metric

Array = NDArray[np.float64]

ROWS = 2000  # curves that an engine is asked about at once


class Predicts(Protocol):
    """An engine, as far as it is judged here."""

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric | None) -> Belief:
        """The belief (B, Q) about times t_query (Q,) or (B, Q), given y (B, T) at times t (B, T)."""


def sbc_ranks(draws: ArrayLike, truth: ArrayLike, *, generator: np.random.Generator) -> NDArray[np.int64]:
    """Ranks of the truth among its draws: uniform on 0..S if draws and truth come from one law given the data.

    Any scalar will do: a parameter, or a quantity that depends on the data too, such as the log likelihood, the final
    value or the best one; those find errors that parameters hide (Modrák et al. 2023). Draws of one chain depend on
    each other and make ranks too extreme: thin a chain to about its effective sample size first.

    Args:
        draws: (S, ...) of the posterior.
        truth: (...) what the data were made from.
        generator: breaks ties at random, so that ranks of quantities with atoms stay uniform.

    Returns:
        (...) numbers of draws below the truth, 0..S.

    Raises:
        ValueError: shapes do not fit, there are no draws, or something is NaN.

    Source:
        Talts, Betancourt, Simpson, Vehtari, Gelman 2018; Modrák et al. 2023, section 2.
    """
    draws, truth = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if draws.ndim < 1 or draws.shape[1:] != truth.shape or not len(draws):
        raise ValueError(f"draws must be (S, ...) for truth (...), got {draws.shape} and {truth.shape}; draws go first")
    if np.isnan(draws).any() or np.isnan(truth).any():
        raise ValueError("draws and truth must be numbers, got NaN; leave those curves out of both")
    ties = (draws == truth).sum(axis=0)
    return np.asarray((draws < truth).sum(axis=0) + generator.integers(0, ties + 1), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Sbc:
    """What ranks say of the law of the draws.

    Attributes:
        draws: S.
        edges: (M + 1,) first rank of each bin, and S + 1.
        count: (M,) ranks in each bin. High in the middle: the draws spread too far; high at both ends: not enough.
        expected: (M,) what calibrated draws give.
        chi2: distance of the two.
        p: probability of a larger one under calibration (asymptotic).
        ecdf: of the ranks, spread over their S + 1 cells at random: exact at any number of curves.
    """

    draws: int
    edges: NDArray[np.int64]
    count: Array
    expected: Array
    chi2: float
    p: float
    ecdf: EcdfDifference


def sbc(ranks: ArrayLike, *, draws: int, generator: np.random.Generator, bins: int = 20, level: float = BAND) -> Sbc:
    """Whether ranks are uniform on 0..S, by chi-square and by the ECDF.

    Args:
        ranks: (B,) of `sbc_ranks`, independent.
        draws: S, the number of draws that each was ranked among.
        generator: spreads ranks over their cells.
        bins: of the chi-square; fewer if there are not five curves for each.
        level: probability of the ECDF's bands.

    Raises:
        ValueError: ranks are not whole numbers in 0..S, have more than one axis, or are fewer than ten.

    Source:
        Talts et al. 2018; Säilynoja, Bürkner, Vehtari 2022.
    """
    values = np.asarray(ranks)
    if values.ndim != 1 or values.dtype.kind not in "iu" or len(values) < 10:
        raise ValueError(
            f"ranks must be ten or more whole numbers (B,), got {values.dtype} of shape {values.shape}; rank one "
            "quantity at a time with sbc_ranks"
        )
    if draws < 1 or values.min() < 0 or values.max() > draws:
        raise ValueError(
            f"ranks must lie in 0..{draws}, got {values.min()} to {values.max()}; draws is how many there were"
        )
    bins = max(2, min(bins, draws + 1, len(values) // 5))
    edges = np.round(np.linspace(0, draws + 1, bins + 1)).astype(np.int64)
    count = np.histogram(values, edges - 0.5)[0].astype(np.float64)
    expected = len(values) * np.diff(edges) / (draws + 1)
    chi2 = float(np.sum((count - expected) ** 2 / expected))
    spread = (values + generator.random(len(values))) / (draws + 1)
    ecdf = ecdf_difference(spread, level=level)
    p = float(stats.chi2.sf(chi2, bins - 1))
    edges.flags.writeable = False
    return Sbc(draws, edges, frozen(count, "count"), frozen(expected, "expected"), chi2, p, ecdf)


def tarp(
    draws: ArrayLike,
    truth: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    generator: np.random.Generator,
    level: float = BAND,
) -> Sbc:
    """Whether joint draws are calibrated, by distances to random points (tests of accuracy with random points).

    The region of draws closer to a reference point than the truth has as many of them as its credibility says. Its
    expected coverage at credibility z is `ecdf.difference + ecdf.z` of the answer. Marginals that are right with a
    wrong dependence are found as well. Distances are Euclidean, in units of the spread of each number.

    Args:
        draws: (S, B, D) of the joint law.
        truth: (B, D).
        reference: (B, D) points that may depend on the data and not on the truth. None: drawn around the draws, from
            a normal law with their mean and spread. Both are taken with the truth among the draws: then all S + 1
            are treated alike, and ranks are uniform at any S.
        generator: draws references, breaks ties.
        level: probability of the bands.

    Returns:
        What the ranks of the truth's distance say.

    Raises:
        ValueError: shapes do not fit, or something is NaN.

    Source:
        Lemos, Coogan, Hezaveh, Perreault-Levasseur 2023, algorithm 2.
    """
    draws, truth = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if draws.ndim != 3 or draws.shape[1:] != truth.shape or not draws.size:
        raise ValueError(f"draws must be (S, B, D) for truth (B, D), got {draws.shape} and {truth.shape}; draws first")
    points = np.concatenate([draws, truth[None]])  # (S + 1, B, D)
    centre, spread = points.mean(axis=0), points.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    if reference is None:
        reference = centre + spread * generator.standard_normal(truth.shape)
    reference = np.asarray(reference, dtype=np.float64)
    if reference.shape != truth.shape:
        raise ValueError(f"reference must be of truth's shape {truth.shape}, got {reference.shape}; one for each curve")
    distance = np.linalg.norm((points - reference) / spread, axis=-1)  # (S + 1, B)
    ranks = sbc_ranks(distance[:-1], distance[-1], generator=generator)
    return sbc(ranks, draws=len(draws), generator=generator, level=level)


def joint_draws(
    engine: Predicts,
    y: ArrayLike,
    t_query: ArrayLike,
    *,
    draws: int,
    generator: np.random.Generator,
    t: ArrayLike | None = None,
    metric: Metric | None = None,
) -> Array:
    """Draws of the values at several times together, from an engine that tells each time's law alone.

    The value at the first time is drawn and becomes a point of the curve, then the second is drawn, and so on. That
    is a joint law for any engine; it is the posterior's own if the engine's answers are exact.

    Args:
        engine: of PFN's `predict`.
        y: (B, T) curves, NaN where nothing was measured.
        t_query: (Q,) later times, increasing, or (B, Q).
        draws: S for each curve.
        generator: draws.
        t: (B, T) or (T,) times; 1..T if not given.
        metric: of y.

    Returns:
        (S, B, Q) values.

    Raises:
        ValueError: y has not two axes, or what the engine says.

    Source:
        The chain rule; for neural processes Bruinsma et al. 2023, "Autoregressive conditional neural processes".
    """
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 2:
        raise ValueError(f"y must be (B, T), got shape {y.shape}; write y[None] for one curve")
    b, q = len(y), np.shape(t_query)[-1]
    seen = np.broadcast_to(np.arange(1.0, y.shape[1] + 1) if t is None else np.asarray(t, dtype=np.float64), y.shape)
    asked = np.broadcast_to(np.asarray(t_query, dtype=np.float64), (b, q))
    row = np.tile(np.arange(b), draws)  # curve of each draw
    out = np.empty((draws * b, q))
    for start in range(0, draws * b, ROWS):
        block = row[start : start + ROWS]
        values, times = y[block], seen[block]
        for k in range(q):
            now = asked[block, k][:, None]
            belief = engine.predict(values, now, t=times, kind="value", metric=metric)
            value = belief.sample(1, generator=generator)[0]  # (rows, 1)
            values, times = np.concatenate([values, value], axis=1), np.concatenate([times, now], axis=1)
            out[start : start + len(block), k] = value[:, 0]
    return out.reshape(draws, b, q)
