"""Statistical tests with thresholds from theory, at one false-alarm rate for the whole suite.

Every comparison below alarms with probability RATE at most if both sides have the same law. The suite has fewer than a
thousand comparisons, so all of it alarms falsely with probability 1e-6 at most, if its seeds were drawn by chance.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

SUITE_RATE = 1e-6
RATE = SUITE_RATE / 1000
Z = float(stats.norm.isf(RATE / 2))  # 6.1 standard errors, two-sided


def ks_threshold(n: int, m: int | None = None) -> float:
    """The largest Kolmogorov-Smirnov distance of n draws from their law, or from m others, that is no alarm.

    Source: Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant; for two samples Wei and Dudley 2012.
    """
    return float(np.sqrt(np.log(2 / RATE) / 2 * (1 / n + (1 / m if m else 0.0))))


def differs_from_law(draws: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether independent draws cannot come from the continuous law with this cdf."""
    distance = stats.kstest(draws, cdf, method="asymp").statistic
    return bool(distance > ks_threshold(len(draws)))


def share_differs(successes: int, n: int, share: float) -> bool:
    """Whether so many of n independent coins cannot come from this share."""
    return bool(stats.binomtest(successes, n, share).pvalue < RATE)


def mean_differs(draws: np.ndarray, expected: float) -> bool:
    """Whether independent draws of a light-tailed law cannot have this mean."""
    return bool(abs(draws.mean() - expected) > Z * draws.std(ddof=1) / np.sqrt(len(draws)))


def means_differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether independent draws of two light-tailed laws cannot have one mean."""
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return bool(abs(a.mean() - b.mean()) > Z * error)


def laws_differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether independent draws of two light-tailed laws cannot have one law: by distance, mean or spread.

    Three comparisons: moments see a changed scale in fewer draws than the distance does.
    """
    distance = stats.ks_2samp(a, b, method="asymp").statistic
    spread_a, spread_b = ((x - b.mean()) ** 2 for x in (a, b))
    return bool(distance > ks_threshold(len(a), len(b))) or means_differ(a, b) or means_differ(spread_a, spread_b)
