"""Opponents that fit a formula by least squares, with bootstrap spread.

Every formula is c + A g(t; theta): two linear parameters and one to four others. The linear ones are solved for
(variable projection), the others searched on a grid and then, from the best places, by scipy.optimize.least_squares.
The replicates of the bootstrap are fitted on the same grid, all at once; their difference from the grid's own fit is
added to the refined one.

CAUTION and MISFIT are no part of a plain bootstrap. They, and the grids of `gp`, were chosen on a sample of
six of the contest's own sources, which favours these opponents: without the former, formulas with two or more shapes
run wild after a handful of points; without the latter, 90 % intervals held 60 % of the truths (with it about 75 %).

Letters: T observed points, N bins of points, G places of a grid, P parameters of a place, S replicates, M times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtri

from lcpfn.belief import Belief
from lcpfn.metric import Metric
from opponents.draws import COMPONENTS, Prefix, ahead, binned, draw_generator, each, peaks, read_off

REPLICATES = 4 * COMPONENTS
HUBER = 2.5  # residuals beyond so many robust standard deviations count less
STARTS = 3  # of the local search
LEAST_NOISE = (
    0.02  # standard deviation of the noise at least, in units of the prefix (its median distance from its end)
)
LEAST_JUMP = 0.1  # ... and as a share of the median absolute difference of neighbouring points
CAUTION = 3.0  # units that a curve may move until four times the last time before a fit is penalised for it
MISFIT = 0.6  # standard deviation, in units, of how far a curve has left its formula after a doubling of the time
FAR = 1e3  # units from the last value beyond which no fit is believed

SETTINGS = {"replicates": REPLICATES, "starts": STARTS, "caution": CAUTION, "misfit": MISFIT, "noise": LEAST_NOISE}

Basis = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (M,) times relative to the last, (G, P) log parameters: (G, M)


def pow3(t: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """t^-alpha."""
    return t ** -np.exp(theta[:, :1])


def pow4(t: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """(t + d)^-alpha, which is (a t + b)^-alpha but for its scale."""
    return (t + np.exp(theta[:, 1:2])) ** -np.exp(theta[:, :1])


def exp4(t: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """exp(-(t / tau)^beta)."""
    return np.exp(-((t / np.exp(theta[:, :1])) ** np.exp(theta[:, 1:2])))


def mmf4(t: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """1 / (1 + (t / kappa)^delta)."""
    return 1 / (1 + (t / np.exp(theta[:, :1])) ** np.exp(theta[:, 1:2]))


def bnsl(t: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """t^-c0 (1 + (t / d)^(1 / f))^(-c1 f): one break at d, of sharpness f; c1 may be negative."""
    c0, c1, d, f = (theta[:, i : i + 1] for i in range(4))
    f = np.exp(f)
    return np.exp(-np.exp(c0) * np.log(t) - c1 * f * np.logaddexp(0.0, (np.log(t) - d) / f))


@dataclass(frozen=True)
class Formula:
    """A family of curves and where to look for it."""

    name: str
    basis: Basis
    axes: tuple[tuple[float, ...], ...]  # of the grid, in logs

    @property
    def places(self) -> np.ndarray:
        """(G, P) the grid."""
        return np.array(list(product(*self.axes)))


def _logs(low: float, high: float, size: int) -> tuple[float, ...]:
    return tuple(np.linspace(np.log(low), np.log(high), size).tolist())


POW3 = Formula("POW3", pow3, (_logs(0.02, 6, 96),))
POW4 = Formula("POW4", pow4, (_logs(0.05, 6, 20), (-15.0, *_logs(1e-3, 10, 15))))
EXP4 = Formula("EXP4", exp4, (_logs(2e-3, 8, 24), _logs(0.25, 3, 12)))
MMF4 = Formula("MMF4", mmf4, (_logs(2e-3, 20, 24), _logs(0.25, 6, 14)))
BNSL = Formula(
    "BNSL", bnsl, (_logs(0.02, 3, 7), (-0.8, -0.3, 0.3, 0.8, 2.0, 4.0), _logs(0.02, 3, 8), _logs(0.05, 1, 3))
)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted formula with its replicates: signals are those of `of`, noise is independent.

    Attributes:
        centre: (P + 2,) place, c and A of the refined fit.
        grid: (P + 2,) of the grid's own fit.
        replicates: (S, P + 2).
        noise: (S,) standard deviations.
        strays: (S,) standard normal numbers: which way the curve leaves its formula.
        last: last observed time, the unit of time.
    """

    formula: Formula
    centre: np.ndarray
    grid: np.ndarray
    replicates: np.ndarray
    noise: np.ndarray
    strays: np.ndarray
    last: float

    def signal(self, times: np.ndarray) -> np.ndarray:
        """(S, M) values without noise."""
        t = times / self.last
        centre, grid = (_curves(self.formula, part[None], t) for part in (self.centre, self.grid))
        stray = MISFIT * np.sqrt(np.log2(np.maximum(t, 1.0))) * self.strays[:, None]
        return np.clip(centre + _curves(self.formula, self.replicates, t) - grid + stray, -FAR, FAR)


@dataclass
class LeastSquares:
    """A formula behind the question of all methods."""

    formula: Formula
    settings: dict[str, float] = field(
        default_factory=lambda: {
            "replicates": REPLICATES,
            "starts": STARTS,
            "misfit": MISFIT,
            "least_noise": LEAST_NOISE,
        }
    )

    @property
    def name(self) -> str:
        """In the tables."""
        return self.formula.name

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
        found = _fitted(self.formula, prefix.t.tobytes(), prefix.u.tobytes())
        times = asked + prefix.shift
        if kind == "value":
            signal = found.signal(times)
            return prefix.from_draws(signal, np.broadcast_to(found.noise[:, None], signal.shape), asked, kind)
        steps, count = ahead(prefix.t, float(times.max()))
        signal = np.clip(found.signal(steps), prefix.low, prefix.high)
        best = read_off(steps, peaks(signal, found.noise[:, None], count, draw_generator(prefix)), times)
        return prefix.from_draws(best, np.full_like(best, 0.1 * LEAST_NOISE), asked, kind)


@lru_cache(maxsize=4096)  # the same curve is asked about values and about the best of them
def _fitted(formula: Formula, t: bytes, u: bytes) -> Fit:
    return fit(formula, np.frombuffer(t), np.frombuffer(u), generator=np.random.default_rng(len(t)))


def fit(formula: Formula, t: np.ndarray, u: np.ndarray, *, generator: np.random.Generator) -> Fit:
    """The formula fitted to values u (T,) at positive times t (T,)."""
    last = float(t[-1])
    x, values, count = binned(t / last, u)
    floor = max(LEAST_NOISE, LEAST_JUMP * float(np.median(np.abs(np.diff(u)))))
    places = formula.places
    rows = formula.basis(x, places)  # (G, N)
    drift = _drift(formula, places)
    weights = np.sqrt(count)  # neighbouring errors are alike: many points of a bin are not worth as many
    parameters = places.shape[1] + 2
    dof = max(len(x) - parameters, 1)
    for _ in range(3):
        at, line = _best(rows, values[None], weights, drift, floor)
        rest = values - (line[0, 0] + line[0, 1] * rows[at[0]])
        robust = max(1.4826 * float(np.median(np.abs(rest))) * np.sqrt(len(x) / dof), floor)
        weights = np.sqrt(count) * np.minimum(1.0, HUBER * robust / np.maximum(np.abs(rest), 1e-12))
    grid = np.concatenate([places[at[0]], line[0]])
    centre = _refined(formula, x, values, weights, rows, places, robust)
    curve = _curves(formula, centre[None], x)[0]
    rest = (values - curve) * np.sqrt(weights) / np.sqrt(weights).max()
    sigma = max(float(np.sqrt((rest**2).sum() / dof)), floor)
    rest = (rest - rest.mean()) * (sigma / max(float(rest.std()), 1e-12) if rest.std() > floor else 0.0)
    drawn = _blocks(rest, generator) if rest.any() else sigma * generator.standard_normal((REPLICATES, len(x)))
    data = _curves(formula, grid[None], x) + drawn / np.sqrt(count / count.min())
    # Shapes that fit equally well, as all do where there are no more points than parameters: any of them, a Gumbel
    # number being what makes the best one a draw in proportion to exp(-loss / 2 sigma^2).
    ties = 2 * sigma**2 * min(1.0, parameters / len(x)) * generator.gumbel(size=len(places))
    at, lines = _best(rows, data, weights, drift, sigma, ties, generator)
    if len(x) <= parameters:
        centre = grid  # the replicates alone say what is possible
    raw = u[len(u) // 2 :] - _curves(formula, centre[None], t[len(u) // 2 :] / last)[0]
    late = max(float(np.sqrt((np.minimum(np.abs(raw), 4 * np.median(np.abs(raw)) + floor) ** 2).mean())), floor)
    late *= np.sqrt(len(x) / dof)
    noise = late * np.sqrt(dof / generator.chisquare(dof + 1, REPLICATES))
    strays = ndtri((generator.permutation(REPLICATES) + 0.5) / REPLICATES)
    return Fit(formula, centre, grid, np.concatenate([places[at], lines], axis=1), noise, strays, last)


def _curves(formula: Formula, whole: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(S, M) of parameters (S, P + 2)."""
    return whole[:, -2:-1] + whole[:, -1:] * formula.basis(t, whole[:, :-2])


def _best(
    rows: np.ndarray,
    data: np.ndarray,
    weights: np.ndarray,
    drift: np.ndarray,
    noise: float,
    ties: np.ndarray | None = None,
    generator: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Best place (S,) of the grid for each row of data (S, N), and c and A there (S, 2)."""
    share = weights / weights.sum()
    means = rows @ share
    centred = rows - means[:, None]
    size = np.sqrt((centred**2) @ share)
    flat = size < 1e-9 * np.maximum(np.abs(means), 1e-300)  # a basis that is constant here explains nothing
    unit = np.where(flat[:, None], 0.0, centred / np.where(flat, 1.0, size)[:, None])
    level = data @ share
    along = ((data - level[:, None]) * share) @ unit.T  # (S, G)
    change = along * np.where(flat, 0.0, drift / np.where(flat, 1.0, size))
    gain = weights.sum() * along**2 - (noise * _excess(change)) ** 2
    if ties is not None and generator is not None:
        gain = gain + ties[generator.permuted(np.tile(np.arange(len(ties)), (len(data), 1)), axis=1)]
    gain[:, flat] -= 1e-9
    at = np.argmax(gain, axis=1)
    slope = np.where(flat[at], 0.0, along[np.arange(len(data)), at] / np.where(flat[at], 1.0, size[at]))
    return at, np.stack([level - slope * means[at], slope], axis=1)


def _refined(
    formula: Formula,
    x: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray,
    places: np.ndarray,
    noise: float,
) -> np.ndarray:
    """(P + 2,) the best of local searches from the best places of the grid."""
    low, high = places.min(axis=0), places.max(axis=0)
    share, root = weights / weights.sum(), np.sqrt(weights)

    def solved(place: np.ndarray) -> tuple[np.ndarray, float, float]:
        row = formula.basis(x, np.clip(place, low, high)[None])[0]
        mean = row @ share
        centred = row - mean
        level, size = values @ share, (centred**2) @ share
        slope = (centred * share) @ (values - level) / size if size > 1e-18 * max(mean * mean, 1e-300) else 0.0
        rest = root * (values - level - slope * centred)
        prior = noise * _excess(slope * _drift(formula, np.clip(place, low, high)[None]))
        return np.concatenate([rest, prior]), level - slope * mean, slope

    starts, chosen = _apart(rows, values, weights, places, _drift(formula, places), noise), None
    for start in starts:
        found = start
        if len(x) > len(start) + 2:
            found = least_squares(lambda place: solved(place)[0], start, max_nfev=12, method="trf", x_scale=0.3).x
        rest, level, slope = solved(found)
        if chosen is None or rest @ rest < chosen[0]:
            chosen = rest @ rest, np.array([*np.clip(found, low, high), level, slope])
    return chosen[1]


def _drift(formula: Formula, places: np.ndarray) -> np.ndarray:
    """(G,) how far a basis moves from the last time to four times it."""
    return np.diff(formula.basis(np.array([1.0, 4.0]), places), axis=1)[:, 0]


def _excess(change: np.ndarray) -> np.ndarray:
    """How implausible a change (in units) between the last time and four times it is, in prior deviations."""
    return np.maximum(np.abs(change) - CAUTION, 0.0)


def _apart(
    rows: np.ndarray, values: np.ndarray, weights: np.ndarray, places: np.ndarray, drift: np.ndarray, noise: float
) -> np.ndarray:
    """(STARTS, P) good places of the grid that are not neighbours: the best one of each third of the first axis."""
    found = []
    for part in np.array_split(np.argsort(places[:, 0], kind="stable"), STARTS):
        at, _ = _best(rows[part], values[None], weights, drift[part], noise)
        found.append(places[part[at[0]]])
    return np.array(found)


def _blocks(rest: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(S, N) residuals drawn in blocks of neighbours, as those of real curves are alike."""
    size = len(rest)
    length = max(1, round(size ** (1 / 3)))
    first = generator.integers(size, size=(REPLICATES, -(-size // length), 1))
    place = (first + np.arange(length)) % size
    sign = generator.choice([-1.0, 1.0], size=first.shape)
    return (rest[place] * sign).reshape(REPLICATES, -1)[:, :size]
