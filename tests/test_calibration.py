"""PIT values, bands, coverage, sharpness: right laws pass at the stated rate, wrong ones are found."""

import itertools
from math import factorial, prod

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr
from statistical import RATE, Z, differs_from_law

import lcpfn.calibration as door
from lcpfn import Belief, Metric
from lcpfn.calibration import coverage, ecdf_bands, ecdf_difference, one_each, pit, sharpness
from lcpfn.distributions.mixture import Mixture

NORMAL = Mixture(np.zeros(1), np.zeros(1), np.ones(1))


def beliefs(n: int, *, factor: float = 1.0, shift: float = 0.0) -> tuple[Belief, np.ndarray]:
    """n beliefs about one number each, and the numbers, whose standard deviation is the beliefs' over the factor."""
    generator = np.random.default_rng(3)
    location, scale = generator.normal(size=n), np.exp(generator.normal(size=n))
    truth = location + scale * generator.normal(size=n)
    law = NORMAL[None][np.zeros(n, dtype=int)]
    return Belief(law, location + shift * scale, factor * scale, metric=Metric("max"), t=np.ones(n)), truth


def test_all_is_offered_at_one_door() -> None:
    assert door.__all__ == sorted(door.__all__)
    assert all(hasattr(door, name) for name in door.__all__)


def test_pits_of_calibrated_beliefs_are_uniform() -> None:
    belief, truth = beliefs(20_000)
    values = pit(belief, truth)
    assert values.shape == (20_000,)
    assert not differs_from_law(values, stats.uniform.cdf)
    assert ecdf_difference(values).p > RATE


@pytest.mark.parametrize(
    ("wrong", "left", "right"),
    [({"factor": 0.9}, 1, -1), ({"factor": 1.1}, -1, 1), ({"shift": 0.1}, 1, 1), ({"shift": -0.1}, -1, -1)],
)
def test_pits_find_beliefs_that_are_wrong_by_a_tenth(wrong: dict[str, float], left: int, right: int) -> None:
    """Too narrow: above the diagonal on the left, below on the right; too high: above everywhere."""
    belief, truth = beliefs(20_000, **wrong)
    ecdf = ecdf_difference(pit(belief, truth))
    assert not ecdf.inside and ecdf.p < RATE
    assert np.sign(ecdf.difference[14]) == left and np.sign(ecdf.difference[84]) == right


def test_what_is_not_known_has_no_pit() -> None:
    belief, truth = beliefs(12)
    truth[3] = np.nan
    values = pit(belief, truth)
    assert np.isnan(values[3]) and np.isfinite(np.delete(values, 3)).all()
    assert ecdf_difference(values).n == 11


def outcomes(n: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """All counts of n uniform values up to each of the inner points, (M, points - 1), and their probabilities (M,)."""
    cells = [c for c in itertools.product(range(n + 1), repeat=points) if sum(c) == n]
    chance = [factorial(n) / prod(map(factorial, c)) / points**n for c in cells]
    return np.cumsum(cells, axis=1)[:, :-1], np.array(chance)


@pytest.mark.parametrize(("n", "points"), [(2, 2), (3, 5), (6, 3), (6, 6), (8, 4)])
def test_p_values_and_bands_of_few_values_are_those_of_an_enumeration(n: int, points: int) -> None:
    counts, chance = outcomes(n, points)
    assert chance.sum() == pytest.approx(1)
    law = stats.binom(n, np.arange(1, points) / points)
    tail = 2 * np.minimum(law.cdf(counts), law.sf(counts - 1)).min(axis=1)
    exact = np.array([chance[tail <= each * (1 + 1e-7)].sum() for each in tail])
    middle = [np.diff([0, *row, n]) for row in counts]
    values = [np.repeat((np.arange(points) + 0.5) / points, cells) for cells in middle]
    told = np.array([ecdf_difference(each, points=points).p for each in values])
    np.testing.assert_allclose(told, np.minimum(exact, 1), atol=1e-9)

    for level in (0.5, 0.8, 0.95):
        bands = ecdf_bands(n, level=level, points=points)
        inside = ((counts / n >= bands.lower - 1e-9) & (counts / n <= bands.upper + 1e-9)).all(axis=1)
        possible = [chance[tail > each * (1 + 1e-7)].sum() for each in (0.0, *tail)]
        least = min(share for share in possible if share >= level - 1e-9)  # no narrower bands of this kind hold enough
        assert chance[inside].sum() == pytest.approx(least)
        np.testing.assert_array_equal([ecdf_difference(v, level=level, points=points).inside for v in values], inside)


@pytest.mark.parametrize("n", [10, 60, 1_000])
def test_bands_hold_the_whole_ecdf_as_often_as_they_say(n: int) -> None:
    repeats, level = 20_000, 0.9
    bands = ecdf_bands(n, level=level)
    cells = np.random.default_rng(n).multinomial(n, np.full(len(bands.z) + 1, 1 / (len(bands.z) + 1)), size=repeats)
    share = np.cumsum(cells, axis=1)[:, :-1] / n
    inside = ((share >= bands.lower - 1e-9) & (share <= bands.upper + 1e-9)).all(axis=1).mean()
    error = Z * np.sqrt(level * (1 - level) / repeats)
    assert level - error < inside < level + 0.02 + error  # counts are whole numbers: a little more than the level
    pointwise = stats.binom(n, bands.z)
    narrow = (share >= pointwise.ppf(0.05) / n - 1e-9) & (share <= pointwise.ppf(0.95) / n + 1e-9)
    assert narrow.all(axis=1).mean() < level - error, "pointwise bands are too narrow, and that is seen"


def test_bands_are_symmetric_and_shrink_as_the_root_of_the_number() -> None:
    for n in (2, 3, 17, 100, 10_000):
        bands = ecdf_bands(n)
        np.testing.assert_allclose(bands.lower, 1 - bands.upper[::-1], atol=1e-12)
        assert (bands.lower <= bands.z).all() and (bands.z <= bands.upper).all()
    few, many = (np.ptp([b.lower[49], b.upper[49]]) * np.sqrt(n) for n in (1_000, 10_000) for b in [ecdf_bands(n)])
    assert few == pytest.approx(many, rel=0.05)
    with pytest.raises(ValueError, match="read-only"):
        ecdf_bands(10).lower[0] = 1  # they are kept for the next caller


def test_p_values_of_uniform_values_are_no_smaller_than_they_should_be() -> None:
    generator = np.random.default_rng(5)
    p = np.array([ecdf_difference(generator.random(25)).p for _ in range(1_000)])
    for level in (0.05, 0.3):
        assert (p <= level).mean() < level + Z * np.sqrt(level * (1 - level) / len(p))
    assert (p <= 0.3).mean() > 0.2


def test_far_values_have_a_p_value_of_zero_not_less() -> None:
    assert ecdf_difference(np.zeros(3_000)).p == 0 and ecdf_difference(np.ones(3_000)).p == 0
    assert ecdf_difference([0.25, 0.75]).p == 1


def test_one_of_each_curve_is_taken_at_random() -> None:
    values = np.arange(30_000.0).reshape(10_000, 3)
    values[0], values[1, :2], values[2, 0] = np.nan, np.nan, np.nan
    taken = one_each(values, generator=np.random.default_rng(0))
    assert len(taken) == 9_999 and taken[0] == 5 and taken[1] in (7, 8)
    np.testing.assert_array_equal(taken // 3, np.arange(1, 10_000))
    share = np.bincount((taken % 3).astype(int)[2:]) / 9_997
    assert np.abs(share - 1 / 3).max() < Z * np.sqrt(2 / 9 / 9_997)
    assert one_each(np.empty((4, 0)), generator=np.random.default_rng(0)).shape == (0,)


def test_answers_of_one_curve_are_dependent_and_one_each_cures_that() -> None:
    one = np.random.default_rng(2).random((400, 1))
    same = np.broadcast_to(one, (400, 25))
    assert (
        ecdf_difference(same.reshape(-1)).p
        < 1e-3
        < ecdf_difference(one_each(same, generator=np.random.default_rng(0))).p
    )


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_the_band_of_one_answer_a_curve_is_binomial(level: float) -> None:
    n = 40
    (cell,) = coverage(np.linspace(0.001, 0.999, n), levels=[level])
    low, high = round(cell.lower * n), round(cell.upper * n)
    law = stats.binom(n, level)
    assert law.cdf(low - 1) < 0.025 <= law.cdf(low) and law.sf(high) <= 0.025 < law.sf(high - 1)
    assert cell.inside and cell.curves == n and cell.cut is None
    assert cell.mean == np.mean(np.abs(np.linspace(0.001, 0.999, n) - 0.5) <= level / 2)
    assert cell.se == pytest.approx(np.sqrt(cell.mean * (1 - cell.mean) / (n - 1)))


@pytest.mark.parametrize("n", [10, 30, 300])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 1.0])
def test_bands_of_several_answers_a_curve_keep_their_rate(n: int, correlation: float) -> None:
    """A normal band of shares near 1 is rough with few curves."""
    generator, repeats = np.random.default_rng(7), 200
    own, shared = generator.normal(size=(repeats, n, 5)), generator.normal(size=(repeats, n, 1))
    values = ndtr(np.sqrt(1 - correlation) * own + np.sqrt(correlation) * shared)
    outside = np.array([[not cell.inside for cell in coverage(each)] for each in values]).mean(axis=0)  # by level
    allowed = 0.06 if n == 300 else 0.12
    assert (outside < allowed + Z * np.sqrt(allowed * (1 - allowed) / repeats)).all()
    wrong = ndtr(1.5 * (np.sqrt(1 - correlation) * own + np.sqrt(correlation) * shared))
    found = np.array([[not cell.inside for cell in coverage(each)] for each in wrong]).mean(axis=0)
    assert n < 300 or (found > 0.9).all(), "and find intervals that are too narrow"


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_coverage_finds_intervals_that_are_wrong_by_a_tenth(factor: float) -> None:
    values = ndtr(np.random.default_rng(1).normal(size=(4_000, 5)) / factor)
    for cell in coverage(values):
        assert not cell.inside and (cell.mean > cell.level) == (factor > 1)


def test_coverage_by_cut_off_is_that_of_its_part() -> None:
    values = np.random.default_rng(0).random((2, 50, 3))
    values[1, 7] = np.nan
    cells = coverage(values, levels=(0.5, 0.9), cuts=(5, 20))
    assert [(cell.level, cell.cut) for cell in cells] == list(itertools.product((0.5, 0.9), (None, 5, 20)))
    for cut, part in zip((5, 20), values):
        alone = coverage(part, levels=(0.9,))[0]
        cell = next(each for each in cells if each.cut == cut and each.level == 0.9)
        assert (cell.mean, cell.se, cell.curves, cell.lower) == (alone.mean, alone.se, alone.curves, alone.lower)
    assert [cell.curves for cell in cells[:3]] == [50, 50, 49]
    votes = np.nanmean(np.where(np.isnan(values), np.nan, np.abs(values - 0.5) <= 0.25).transpose(1, 0, 2), axis=(1, 2))
    assert cells[0].mean == pytest.approx(votes.mean())


def test_sharpness_is_the_mean_width() -> None:
    belief, _ = beliefs(50)
    assert sharpness(belief) == pytest.approx(2 * 1.6448536 * belief.scale.mean(), rel=1e-6)
    assert sharpness(belief, level=0.5) == pytest.approx(2 * 0.6744898 * belief.scale.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_each([1.0, 2.0], generator=np.random.default_rng(0)), r"\(B, Q\).*\(2,\)"),
        (lambda: ecdf_bands(1), "at least two values"),
        (lambda: ecdf_bands(10, level=95), "divide percentages by 100"),
        (lambda: ecdf_bands(10, points=1), "two steps"),
        (lambda: ecdf_difference([0.5]), "judge more curves"),
        (lambda: ecdf_difference([np.nan, np.nan, 0.5]), "at least two values"),
        (lambda: ecdf_difference(np.full((3, 2), 0.5)), "one_each"),
        (lambda: ecdf_difference([0.5, 1.5]), r"\[0, 1\], got 1.5"),
        (lambda: coverage(np.full((2, 3, 4), 0.5)), "give cuts"),
        (lambda: coverage(np.full((2, 3, 4), 0.5), cuts=(10,)), "C = 1 cuts"),
        (lambda: coverage([0.5, 0.6], levels=[95]), "divide percentages by 100"),
        (lambda: coverage([0.5, -0.6]), r"\[0, 1\], got -0.6"),
        (lambda: coverage([0.5, np.nan]), "two curves with a PIT value, got 1;"),
        (lambda: coverage([[[0.5], [0.5]], [[0.5], [np.nan]]], cuts=(3, 7)), "got 1 at cut-off 7"),
    ],
)
def test_wrong_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
