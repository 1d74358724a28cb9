"""Probabilities and what happened: parts of the Brier score, bands, and who is found out."""

import numpy as np
import pytest
from scipy import stats
from statistical import RATE, Z

from lcpfn.calibration import reliability


def events(n: int, *, sharper: float = 1.0, bias: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are said, and events; said log odds are `sharper` times the true ones, plus the bias."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(size=n) * 1.5
    return 1 / (1 + np.exp(-(sharper * odds + bias))), generator.random(n) < 1 / (1 + np.exp(-odds))


def test_calibrated_probabilities_pass() -> None:
    told = reliability(*events(20_000), level=0.999999)
    assert ((told.lower <= told.happened) & (told.happened <= told.upper)).all()
    assert told.p > RATE and told.inside
    assert told.error < 0.02 and told.miscalibration < 0.001


@pytest.mark.parametrize("sharper", [1.25, 0.8])
def test_over_and_underconfidence_are_found(sharper: float) -> None:
    told = reliability(*events(20_000, sharper=sharper))
    assert told.p < RATE and not told.inside
    tails = told.happened[[0, 9]] - told.said[[0, 9]]
    assert (np.sign(tails) == ([1, -1] if sharper > 1 else [-1, 1])).all()
    assert told.miscalibration > 4 * reliability(*events(20_000)).miscalibration


def test_probabilities_that_are_all_too_high_leave_the_bands() -> None:
    told = reliability(*events(20_000, bias=0.3))
    assert (told.happened < told.lower).sum() >= 8


@pytest.mark.parametrize(("n", "bins", "sharper"), [(3, 2, 1.0), (50, 10, 2.0), (5_000, 7, 0.5), (5_000, 1, 1.0)])
def test_the_brier_score_is_the_sum_of_its_parts(n: int, bins: int, sharper: float) -> None:
    p, x = events(n, sharper=sharper)
    told = reliability(p, x, bins=bins)
    assert told.brier == pytest.approx(np.mean((p - x) ** 2))
    assert told.brier == pytest.approx(told.miscalibration - told.resolution + told.uncertainty + told.within)
    row = np.minimum((p * bins).astype(int), bins - 1)
    said, happened = (np.array([part[row == r].mean() for r in row]) for part in (p, x))
    variance, covariance = np.mean((p - said) ** 2), np.mean((p - said) * (x - happened))
    assert told.within == pytest.approx(variance - 2 * covariance), "Stephenson, Coelho, Jolliffe 2008"
    assert told.miscalibration == pytest.approx(np.mean((said - happened) ** 2))
    assert told.resolution == pytest.approx(np.mean((happened - x.mean()) ** 2))
    assert told.error == pytest.approx(np.mean(np.abs(said - happened)))


def test_two_probabilities_have_nothing_within_bins() -> None:
    told = reliability([0.2] * 10 + [0.9] * 10, [1, 1] + [0] * 8 + [1] * 8 + [0, 0])
    assert told.within == pytest.approx(0) and told.miscalibration == pytest.approx(0.005)
    assert told.uncertainty == 0.25 and told.resolution == pytest.approx(0.09)
    np.testing.assert_array_equal(np.flatnonzero(told.count), [2, 9])
    assert np.isnan(told.said[0]) and np.isnan(told.happened[0]) and np.isnan(told.lower[0])


def test_bands_are_binomial_and_empty_bins_have_none() -> None:
    told = reliability(np.full(30, 0.55), np.arange(30) < 16, level=0.9)
    law = stats.binom(30, 0.55)
    assert told.lower[5] == law.ppf(0.05) / 30 and told.upper[5] == law.ppf(0.95) / 30
    assert told.count.tolist() == [0, 0, 0, 0, 0, 30, 0, 0, 0, 0]


def test_p_values_of_calibrated_probabilities_keep_their_rate() -> None:
    p = np.array([reliability(*events(60, seed=seed)).p for seed in range(2_000)])
    assert (p < 0.05).mean() < 0.06 + Z * np.sqrt(0.06 * 0.94 / len(p))
    assert (p < 0.5).mean() > 0.4


def test_certain_probabilities() -> None:
    assert reliability([0.0, 1.0, 1.0], [0, 1, 1]).p == 1
    assert reliability([0.0, 1.0, 1.0], [0, 1, 0]).p == 0
    assert reliability([1.0], [True]).count[9] == 1


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        reliability([0.5], [1]).said[0] = 0


@pytest.mark.parametrize(
    ("p", "x", "options", "message"),
    [
        ([0.5], [1, 0], {}, r"\(1,\) and \(2,\)"),
        ([], [], {}, "one length"),
        ([[0.5]], [[1]], {}, "flatten"),
        ([0.5, 50.0], [1, 0], {}, r"\[0, 1\], got 50 at event 1"),
        ([0.5, np.nan], [1, 0], {}, "got nan at event 1"),
        ([0.5, 0.5], [1, 0.5], {}, "0 or 1, got 0.5 at event 1"),
        ([0.5], [1], {"bins": 0}, "bins must be at least 1"),
        ([0.5], [1], {"level": 95}, "level between 0 and 1"),
    ],
)
def test_wrong_input_is_refused(p, x, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reliability(p, x, **options)
