"""Ranks of the truth among draws: exact posteriors pass, wrong ones are found, each by the quantity that sees it."""

import numpy as np
import pytest
from scipy import stats
from statistical import RATE, Z

from lcpfn import Belief, Metric
from lcpfn.calibration import joint_draws, sbc, sbc_ranks, tarp
from lcpfn.distributions.mixture import Mixture

B, S, T = 4_000, 49, 4


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def conjugate() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """B means from N(0, 1), T measurements of each with noise 1, and the posterior's mean (B,) and deviation."""
    draw = generator(1)
    mean = draw.normal(size=B)
    y = mean[:, None] + draw.normal(size=(B, T))
    return mean, y, y.sum(axis=1) / (T + 1), (T + 1) ** -0.5


def log_likelihood(mean: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of means (..., B) given measurements (B, T)."""
    return stats.norm.logpdf(y, mean[..., None]).sum(axis=-1)


def judge(draws: np.ndarray, truth: np.ndarray) -> float:
    """The smaller p value of both tests."""
    told = sbc(sbc_ranks(draws, truth, generator=generator(2)), draws=len(draws), generator=generator(3))
    return min(told.p, told.ecdf.p)


def test_the_exact_posterior_passes_in_every_quantity() -> None:
    mean, y, centre, sd = conjugate()
    draws = centre + sd * generator().normal(size=(S, B))
    assert judge(draws, mean) > RATE
    assert judge(log_likelihood(draws, y), log_likelihood(mean, y)) > RATE
    future = generator(5).normal(size=(3, B))
    best = (mean + future).max(axis=0)
    assert judge((draws[:, None] + generator(6).normal(size=(S, 3, B))).max(axis=1), best) > RATE


@pytest.mark.parametrize(("shift", "factor"), [(0.2, 1.0), (-0.2, 1.0), (0.0, 0.8), (0.0, 1.25)])
def test_a_wrong_posterior_is_found(shift: float, factor: float) -> None:
    mean, _, centre, sd = conjugate()
    draws = centre + sd * (shift + factor * generator().normal(size=(S, B)))
    told = sbc(sbc_ranks(draws, mean, generator=generator(2)), draws=S, generator=generator(3))
    assert told.p < RATE and told.ecdf.p < RATE and not told.ecdf.inside
    ends = told.count[0] + told.count[-1] - told.expected[0] - told.expected[-1]
    assert shift or (ends > 0) == (factor < 1), "both ends are full where draws spread too little"


def test_draws_of_the_prior_hide_from_the_parameter_and_not_from_the_likelihood() -> None:
    """Modrák et al. 2023: a sampler that never looks at the data passes by the parameter's ranks."""
    mean, y, _, _ = conjugate()
    draws = generator().normal(size=(S, B))
    assert judge(draws, mean) > RATE
    assert judge(log_likelihood(draws, y), log_likelihood(mean, y)) < RATE


def test_ties_are_broken_at_random_and_ranks_stay_uniform() -> None:
    draws, truth = generator(1).integers(0, 3, (S, B)), generator(2).integers(0, 3, B)
    ranks = sbc_ranks(draws, truth, generator=generator())
    told = sbc(ranks, draws=S, generator=generator())
    assert min(told.p, told.ecdf.p) > RATE and told.count.sum() == B
    low = (draws < truth).sum(axis=0)
    assert min(sbc(low, draws=S, generator=generator()).p, 1) < RATE, "without that they are not"
    assert (ranks >= low).all() and (ranks <= (draws <= truth).sum(axis=0)).all()
    np.testing.assert_array_equal(sbc_ranks([[1.0], [2.0], [3.0]], [2.5], generator=generator()), [2])


@pytest.mark.parametrize(("draws", "bins"), [(1, 20), (7, 20), (49, 20), (49, 7), (1_000, 20)])
def test_bins_of_any_number_of_draws_are_right(draws: int, bins: int) -> None:
    ranks = generator(draws).integers(0, draws + 1, B)
    told = sbc(ranks, draws=draws, bins=bins, generator=generator())
    assert told.edges[0] == 0 and told.edges[-1] == draws + 1 and (np.diff(told.edges) > 0).all()
    assert told.count.sum() == B and told.expected.sum() == pytest.approx(B)
    for low, high, count in zip(told.edges, told.edges[1:], told.count):
        assert count == ((ranks >= low) & (ranks < high)).sum()
    assert min(told.p, told.ecdf.p) > RATE


def pairs(n: int, correlation: float, seed: int) -> np.ndarray:
    """(n, B, 2) normal pairs around a place of each curve, with spreads that differ a thousandfold."""
    z = generator(seed).normal(size=(n, B, 2))
    z[..., 1] = correlation * z[..., 0] + np.sqrt(1 - correlation**2) * z[..., 1]
    return generator(9).normal(size=(B, 2)) + z * [1e-3, 1.0]


@pytest.mark.parametrize("given", [False, True])
def test_tarp_passes_the_right_joint_law(given: bool) -> None:
    reference = generator(4).normal(size=(B, 2)) if given else None
    told = tarp(pairs(S, 0.9, 1), pairs(1, 0.9, 2)[0], reference, generator=generator())
    assert min(told.p, told.ecdf.p) > RATE and told.draws == S


def test_tarp_passes_at_few_draws() -> None:
    told = tarp(pairs(3, 0.9, 1), pairs(1, 0.9, 2)[0], generator=generator())
    assert min(told.p, told.ecdf.p) > RATE


def test_tarp_finds_a_wrong_dependence_that_marginals_hide() -> None:
    draws, truth = pairs(S, 0.9, 1), pairs(1, 0.0, 2)[0]
    for k in range(2):
        assert judge(draws[..., k], truth[:, k]) > RATE
    told = tarp(draws, truth, generator=generator())
    assert told.p < RATE and told.ecdf.p < RATE


def test_tarp_finds_draws_that_are_too_narrow() -> None:
    draws, truth = pairs(S, 0.5, 1), pairs(1, 0.5, 2)[0]
    assert tarp(draws.mean(axis=0) + 0.8 * (draws - draws.mean(axis=0)), truth, generator=generator()).p < RATE


class RandomWalk:
    """The exact engine for random walks with steps N(0, 1); a belief about a "min" metric holds its negative."""

    def predict(self, y, t_query, *, t, kind, metric) -> Belief:
        assert kind == "value" and metric == Metric("min")
        y, t = np.asarray(y), np.asarray(t)
        assert (np.diff(t, axis=1) > 0).all()
        place = y.shape[1] - 1 - np.argmax(~np.isnan(y[:, ::-1]), axis=1)[:, None]
        last, since = np.take_along_axis(y, place, axis=1), np.take_along_axis(t, place, axis=1)
        shape = np.shape(t_query)
        law = Mixture(np.zeros((*shape, 1)), np.zeros((*shape, 1)), np.ones((*shape, 1)))
        scale = np.sqrt(t_query - since)
        return Belief(law, np.broadcast_to(-last, shape), scale, metric=metric, t=np.asarray(t_query))


def test_joint_draws_of_an_exact_engine_have_its_joint_law() -> None:
    seen = np.array([[0.0, 2.0, np.nan], [0.0, 1.0, -5.0]])
    drawn = joint_draws(RandomWalk(), seen, [4.0, 8.0, 9.0], draws=20_000, metric=Metric("min"), generator=generator())
    assert drawn.shape == (20_000, 2, 3)
    for i, (start, gaps) in enumerate([(2.0, [2.0, 4.0, 1.0]), (-5.0, [1.0, 4.0, 1.0])]):
        steps = np.diff(drawn[:, i], axis=1, prepend=start) / np.sqrt(gaps)
        assert np.abs(steps.mean(axis=0)).max() < Z / np.sqrt(20_000)
        assert np.abs(np.cov(steps.T) - np.eye(3)).max() < Z * np.sqrt(2 / 20_000)


def test_joint_draws_pass_tarp_and_independent_ones_do_not() -> None:
    walks = np.cumsum(generator(8).normal(size=(3_000, 12)), axis=1)
    query, truth = [10.0, 11.0, 12.0], walks[:, 9:]
    options = {"draws": 20, "metric": Metric("min")}
    drawn = joint_draws(RandomWalk(), walks[:, :3], query, generator=generator(), **options)
    assert tarp(drawn, truth, generator=generator()).ecdf.p > RATE
    apart = [joint_draws(RandomWalk(), walks[:, :3], [t], generator=generator(int(t)), **options) for t in query]
    assert tarp(np.concatenate(apart, axis=2), truth, generator=generator()).ecdf.p < RATE


def test_times_of_each_curve_are_its_own() -> None:
    own = {"t": [[1.0, 2.0], [10.0, 20.0]], "metric": Metric("min"), "generator": generator()}
    drawn = joint_draws(RandomWalk(), [[0.0, 0.0], [0.0, 0.0]], [[3.0], [120.0]], draws=4_000, **own)
    np.testing.assert_allclose(drawn.std(axis=0)[:, 0], [1.0, 10.0], rtol=Z / np.sqrt(8_000))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: sbc_ranks(np.zeros((5, 3)), np.zeros(4), generator=g), r"\(5, 3\) and \(4,\).*go first"),
        (lambda g: sbc_ranks(np.zeros((0, 3)), np.zeros(3), generator=g), "draws must be"),
        (lambda g: sbc_ranks([[np.nan], [1.0]], [0.5], generator=g), "got NaN"),
        (lambda g: sbc_ranks([[0.0], [1.0]], [np.nan], generator=g), "got NaN"),
        (lambda g: sbc(np.zeros(9, dtype=int), draws=5, generator=g), "ten or more"),
        (lambda g: sbc(np.zeros(20), draws=5, generator=g), "whole numbers"),
        (lambda g: sbc(np.zeros((20, 2), dtype=int), draws=5, generator=g), "one quantity at a time"),
        (lambda g: sbc(np.arange(20), draws=5, generator=g), r"0\.\.5, got 0 to 19"),
        (lambda g: sbc(np.zeros(20, dtype=int), draws=0, generator=g), "draws"),
        (lambda g: tarp(np.zeros((5, 20)), np.zeros(20), generator=g), r"\(S, B, D\)"),
        (lambda g: tarp(np.zeros((5, 20, 2)), np.full((20, 2), np.nan), generator=g), "NaN"),
        (lambda g: tarp(np.zeros((5, 20, 2)), np.zeros((20, 2)), np.zeros(2), generator=g), "one for each curve"),
        (lambda g: joint_draws(RandomWalk(), [0.1, 0.2], [5.0], draws=3, generator=g), r"y\[None\]"),
    ],
)
def test_wrong_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(generator())
