"""One question to a search: where the asked run and the others stand, and what became of the others.

Letters: n other runs; arrays of n + 1 begin with the asked run. G points of a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_KNOWN = 0.02  # share of an outcome; a run that says less is as good as silent
NARROW = 0.02  # of the typical width of a forecast: narrower ones count as that wide


@dataclass(frozen=True, eq=False)
class Question:
    """What is known at the asked run's time about the asked time; values are sign * y, so that up is better.

    Attributes:
        now: (n + 1,) the runs' values at that time.
        slope: (n + 1,) what they gained lately.
        centre: (n + 1,) medians of the network's forecasts from there.
        width: (n + 1,) their widths, half the central 50 % over 0.674, as the standard deviation of a normal.
        truth: (n,) what became of the others: measured, or the median of their own latest forecast.
        known: (n,) how much of it is known, from LEAST_KNOWN to 1 for what was measured.
        cdf: of the forecasts at (G,) values, (n + 1, G).
        score: (n,) normal scores of the truths under their forecasts.
        diverged: how many runs have exploded or broken off by the asked time; they are not among the n.
    """

    now: Array
    slope: Array
    centre: Array
    width: Array
    truth: Array
    known: Array
    cdf: Callable[[Array], Array]
    score: Array
    diverged: tuple[int, int] = (0, 0)

    @property
    def typical(self) -> float:
        """The typical width of a forecast, positive."""
        return float(max(np.median(self.width), 1e-300))

    def features(self) -> Array:
        """(n + 1, 3) position, slope and forecast gain, each relative to the others, in logarithmic units far out.

        Zeros with less than three others.
        """
        columns = np.stack([self.now, self.slope, self.centre - self.now], axis=1)
        if len(columns) < 4:  # of two others nobody can say what is near
            return np.zeros_like(columns)
        centre = np.median(columns[1:], axis=0)
        least = np.maximum(1e-9 * np.abs(centre), 1e-300)
        return np.asarray(np.arcsinh((columns - centre) / np.maximum(spread(columns[1:]), least)))


def novelty(features: Array) -> float:
    """How far the asked run lies outside of where the others are, in the worst feature; 0 inside."""
    reach = np.abs(features)
    return float(np.maximum(reach[0] - reach[1:].max(axis=0), 0.0).max())


def spread(values: Array) -> Array:
    """A robust standard deviation over the first axis that does not vanish where most values are the same, but not all.

    The median deviation, and a third of the standard deviation of what is not further out than ten of them or the
    middle 80 %: a single explosion to 1e26 must not set the scale of all others.
    """
    apart = np.abs(values - np.median(values, axis=0))
    middle = 1.48 * np.median(apart, axis=0)
    reach = np.maximum(10 * middle, np.quantile(apart, 0.8, axis=0))
    return np.asarray(middle + 0.3 * np.sqrt(np.mean(np.minimum(apart, reach) ** 2, axis=0)))
