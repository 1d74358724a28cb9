"""Summary statistics of learning curves: the few numbers by which curves of a prior and measured ones are compared.

Every trait is of one curve alone, free of its unit; time enters through the spacing only. Curves are turned so that
higher is better, and thinned by rank to `LIMIT` points, so that long and short ones can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LIMIT = 200  # points
FEWEST = 8  # points of a curve whose noise can be told from its trend
QUIET = 1e-6  # noise below this share of the range counts as none


@dataclass(frozen=True)
class Trait:
    """A number or a yes or no (1 or 0) that a curve has; NaN where it is too short to have it."""

    name: str
    about: str
    share: bool = False  # yes or no: its mean over curves is a share


TRAITS = (
    Trait("length", f"log10 of the number of points, {LIMIT} at most"),
    Trait("spacing", "log10 of the gaps of the last third over those of the first"),
    Trait("diverged", "has a value that is not finite", share=True),
    Trait("constant", "never changes", share=True),
    Trait("still", "moves less than 2 % of its magnitude or of its bounds after the third point", share=True),
    Trait("unlearned", "its last tenth is no better than its first two points", share=True),
    Trait("reach", "log10 of the range over the magnitude, or over the distance of the bounds"),
    Trait("noise", "log10 of the noise over the range"),
    Trait("noise_trend", "log10 of the noise of the last third over that of the first"),
    Trait("early_gain", "share of the gain after a tenth of the points"),
    Trait("half_gain", "share of the gain after half of the points"),
    Trait("late_gain", "share of the gain in the last fifth of the points"),
    Trait("setback", "largest fall of the smoothed curve over its range"),
    Trait("fall_from_best", "best of the smoothed curve less its last tenth, over its range"),
    Trait("first_step", "share of the range between the first and the second point"),
    Trait("correlation", "lag-one correlation of what smoothing takes away"),
    Trait("kurtosis", "log10 of the kurtosis of the second differences (3 for a normal law)"),
    Trait("ties", "share of points that repeat the one before exactly"),
    Trait("plateau", "longest stretch within 1 % of the range, as a share of the points"),
    Trait("jump", "largest step for the better after the first tenth, over the range"),
)


def traits(t: np.ndarray, y: np.ndarray, *, width: float = math.nan) -> dict[str, float]:
    """The traits of one curve by name.

    Args:
        t: (T,) times, increasing.
        y: (T,) values for which higher is better; from the first that is not finite on, the curve is over.
        width: distance between the bounds of the metric, NaN where it has not both.
    """
    finite = np.isfinite(y)
    end = len(y) if finite.all() else int(np.argmin(finite))
    made = dict.fromkeys((trait.name for trait in TRAITS), math.nan)
    made |= {"length": math.log10(min(len(y), LIMIT)), "diverged": float(end < len(y)), "spacing": _spacing(t)}
    if end < 3:
        return made
    rank = np.unique(np.linspace(0, end - 1, min(end, LIMIT)).round().astype(int))
    y = np.asarray(y, dtype=np.float64)[rank]
    n, span = len(y), float(np.ptp(y))
    size = width if math.isfinite(width) else float(np.median(np.abs(y)))
    made["constant"] = float(span == 0)
    rest = float(np.ptp(y[3:])) if n > 3 else math.nan
    made["still"] = float(rest <= 0.02 * size) if n > 4 else math.nan
    if size > 0 and span > 0:
        made["reach"] = float(np.clip(math.log10(span / size), -8, 8))
    last = float(np.median(y[-max(1, n // 10) :]))
    made["unlearned"] = float(last <= float(y[:2].max()))
    if span == 0 or n < FEWEST:
        return made
    v = (y - y.min()) / span
    made |= _gains(v, (last - y.min()) / span) | _noise(v)
    steps = np.diff(v)
    made["first_step"] = float(abs(steps[0]))
    made["ties"] = float((np.diff(y) == 0).mean())
    made["plateau"] = _plateau(v, 0.01) / n
    made["jump"] = float(max(steps[max(1, n // 10) :].max(), 0))
    return made


def _spacing(t: np.ndarray) -> float:
    gaps = np.diff(t)
    third = max(1, len(gaps) // 3)
    if len(gaps) < 3:
        return math.nan
    return float(np.log10(max(np.median(gaps[-third:]), 1e-300) / max(np.median(gaps[:third]), 1e-300)))


def _gains(v: np.ndarray, last: float) -> dict[str, float]:
    n = len(v)
    smooth = _smoothed(v)
    falls = float((np.maximum.accumulate(smooth) - smooth).max())
    made = {"setback": falls, "fall_from_best": float(smooth.max() - last)}
    gain = last - v[0]
    if abs(gain) > 0.05:
        shares = {
            name: float(np.clip((smooth[min(n - 1, round(place * n))] - v[0]) / gain, -1, 2))
            for name, place in (("early_gain", 0.1), ("half_gain", 0.5), ("late_gain", 0.8))
        }
        shares["late_gain"] = 1 - shares["late_gain"]
        made |= shares
    return made


def _noise(v: np.ndarray) -> dict[str, float]:
    bend = (v[1:-1] - (v[:-2] + v[2:]) / 2) * math.sqrt(2 / 3)  # of white noise: its standard deviation
    size = _robust_std(bend)
    made = {"noise": math.log10(max(size, QUIET))}
    third = len(bend) // 3
    first, last = _robust_std(bend[1 : 1 + third]), _robust_std(bend[-third:])
    if len(bend) >= 12 and size > QUIET:
        made["noise_trend"] = float(np.clip(math.log10(max(last, QUIET) / max(first, QUIET)), -4, 4))
        tail = bend[len(bend) // 10 :]
        if tail.std() > QUIET:
            made["kurtosis"] = math.log10(float(((tail - tail.mean()) ** 4).mean() / tail.var() ** 2))
        rest = (v - _smoothed(v, wide=True))[2:]
        if rest.std() > QUIET:
            made["correlation"] = float(np.corrcoef(rest[1:], rest[:-1])[0, 1])
    return made


def _robust_std(x: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(x)))


def _smoothed(v: np.ndarray, *, wide: bool = False) -> np.ndarray:
    """Medians of 3 and more neighbours; wide: means of a fifth of the points."""
    half = max(2, len(v) // 10) if wide else max(1, min(3, len(v) // 20))
    padded = np.pad(v, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return windows.mean(1) if wide else np.median(windows, axis=1)


def _plateau(v: np.ndarray, tolerance: float) -> int:
    """Points of the longest stretch whose range is within the tolerance."""
    best = start = 0
    for end in range(len(v)):
        while np.ptp(v[start : end + 1]) > tolerance:
            start += 1
        best = max(best, end - start + 1)
    return best
