"""Bars with half-normal tails, the head of LC-PFN: definition, inverse, moments, what it refuses."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from contracts import check_belief
from hypothesis import given
from hypothesis import strategies as st
from oracles import WEIGHTS, nodes
from originals import Bars
from scipy import stats
from statistical import differs_from_law

from lcpfn.belief import Belief
from lcpfn.metric import Metric

EDGES = np.array([-1.0, -0.4, -0.1, 0.0, 0.3, 1.0, 1.2])
MASSES = np.array([0.1, 0.2, 0.05, 0.25, 0.3, 0.1])
LAW = Bars(EDGES, np.log(MASSES))
CUTS = [
    (-np.inf, np.inf),
    (-0.7, 0.8),
    (-0.2, 0.1),
    (0.05, 0.2),
    (-np.inf, -0.5),
    (1.05, np.inf),
    (2.5, np.inf),
    (-5, 5),
]


def panels(low: float, high: float) -> np.ndarray:
    points = np.concatenate([EDGES, np.linspace(-12, EDGES[1], 40), np.linspace(EDGES[-2], 12, 40)])
    return np.unique(np.clip(points, low, high))


def integral(value, low: float, high: float) -> float:
    u, half = nodes(panels(low, high))
    return float((value(u) * np.exp(LAW.log_pdf(u)) * half * WEIGHTS).sum())


def test_the_density_is_that_of_full_support_bars() -> None:
    for bar in range(1, 5):
        inside = np.linspace(EDGES[bar], EDGES[bar + 1], 7)[1:-1]
        np.testing.assert_allclose(np.exp(LAW.log_pdf(inside)), MASSES[bar] / (EDGES[bar + 1] - EDGES[bar]))
    first = stats.halfnorm(scale=0.6 / stats.halfnorm.ppf(0.5))
    np.testing.assert_allclose(np.exp(LAW.log_pdf(-0.4 - np.array([0.1, 0.6, 3.0]))), 0.1 * first.pdf([0.1, 0.6, 3.0]))
    last = stats.halfnorm(scale=0.2 / stats.halfnorm.ppf(0.5))
    np.testing.assert_allclose(np.exp(LAW.log_pdf(1.0 + np.array([0.01, 0.2, 1.5]))), 0.1 * last.pdf([0.01, 0.2, 1.5]))
    # Half of an outer bar's mass lies within its width.
    np.testing.assert_allclose(LAW.cdf([EDGES[0], EDGES[-1]]), [0.05, 0.95], rtol=1e-14)


def test_the_cdf_is_the_integral_of_the_density() -> None:
    u = np.linspace(-2.013, 2.017, 41)
    wanted = [integral(np.ones_like, -np.inf, x) for x in u]
    np.testing.assert_allclose(LAW.cdf(u), wanted, rtol=1e-9)
    np.testing.assert_allclose(LAW.cdf(u) + LAW.sf(u), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(LAW.log_cdf(u)), LAW.cdf(u), rtol=1e-13)
    np.testing.assert_allclose(np.exp(LAW.log_sf(u)), LAW.sf(u), rtol=1e-13)
    np.testing.assert_array_equal(LAW.cdf([-np.inf, np.inf]), [0, 1])
    for far in (50.0, 1e6):
        assert np.isfinite([LAW.log_pdf(far), LAW.log_pdf(-far), LAW.log_cdf(-far), LAW.log_sf(far)]).all()


@pytest.mark.parametrize(("low", "high"), CUTS)
@pytest.mark.parametrize("transform", ["identity", "sinh"])
def test_masses_and_moments_are_those_of_quadrature(low: float, high: float, transform: str) -> None:
    g = np.sinh if transform == "sinh" else lambda u: u
    mass = integral(np.ones_like, low, high)
    assert np.exp(LAW.log_mass(low, high)) == pytest.approx(mass, rel=1e-9)
    wanted = integral(g, low, high) / mass
    mean, variance = LAW.moments(transform, np.array(float(low)), np.array(float(high)))
    assert mean == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert variance == pytest.approx(integral(lambda u: (g(u) - wanted) ** 2, low, high) / mass, rel=1e-7)


def test_mean_and_variance_are_those_of_the_whole_law() -> None:
    mean = integral(lambda u: u, -np.inf, np.inf)
    assert LAW.mean() == pytest.approx(mean, rel=1e-10)
    assert LAW.variance() == pytest.approx(integral(lambda u: (u - mean) ** 2, -np.inf, np.inf), rel=1e-9)


@given(st.lists(st.floats(-8, 8), min_size=6, max_size=6), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_invert_the_cdf(logits: list[float], q: list[float]) -> None:
    law = Bars(EDGES, logits)
    np.testing.assert_allclose(law.cdf(law.quantile(q)), q, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("low", "high"), CUTS)
def test_quantiles_and_draws_between_ends_follow_the_cdf(low: float, high: float) -> None:
    ends = np.array(float(low)), np.array(float(high))

    def cdf(u: np.ndarray) -> np.ndarray:
        return np.exp(LAW.log_mass(low, u) - LAW.log_mass(low, high))

    q = np.array([1e-6, 0.2, 0.5, 0.9])
    np.testing.assert_allclose(cdf(LAW.tail_quantile(np.log(q), np.log1p(-q), *ends)), q, rtol=1e-7)
    draws = LAW.sample(20_000, generator=np.random.default_rng(0), low=ends[0], high=ends[1])
    assert (draws >= low).all() and (draws <= high).all()
    assert not differs_from_law(draws, cdf)
    assert differs_from_law(draws + 0.1 * draws.std(), cdf)


def test_quantiles_keep_their_digits_in_both_tails() -> None:
    for log_p in (-50.0, -700.0, -1e5):
        low = LAW.tail_quantile(np.array([log_p]), np.array([0.0]))
        high = LAW.tail_quantile(np.array([0.0]), np.array([log_p]))
        np.testing.assert_allclose([LAW.log_cdf(low), LAW.log_sf(high)], log_p, rtol=1e-11)


def test_an_empty_bar_holds_no_quantile() -> None:
    law = Bars([0.0, 1.0, 2.0, 3.0, 4.0], np.log([0.25, 0.25, 1e-300, 0.5]))
    assert law.quantile(0.4) == pytest.approx(1.6) and law.quantile(0.5 + 1e-9) > 3.0


def test_a_thousand_bars_in_a_batch() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3, 1000)).astype(np.float32)
    law = Bars(np.linspace(0, 1, 1001), logits)
    q = np.array([0.001, 0.5, 0.999])
    np.testing.assert_allclose(law[..., None].cdf(law.quantile(q)), np.broadcast_to(q, (4, 3, 3)), rtol=1e-9)
    np.testing.assert_array_equal(law[2].quantile(q), law.quantile(q)[2])
    masses = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=-1, keepdims=True)
    middles = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(law.mean(), masses @ middles, atol=1e-5)  # but for the half-normals
    assert law.log_masses.dtype == np.float32 and repr(law) == "Bars(shape=(4, 3), bars=1000)"


def test_bars_are_a_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LAW.edges = EDGES
    for array in (LAW.edges, LAW.log_masses, Bars(EDGES, np.zeros((2, 6)))[0].log_masses):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(IndexError):
        LAW[0]


@pytest.mark.parametrize(
    ("edges", "log_masses", "error", "says"),
    [
        ([0.0, 1.0], [0.0], ValueError, r"N >= 2 bars.*got \(2,\) and \(1,\)"),
        ([0.0, 1.0], [0.0, 0.0], ValueError, r"edges \(N \+ 1,\).*both outer edges"),
        ([0.0, 1.0, 1.0], [0.0, 0.0], ValueError, "increase, got 1 then 1 at edge 1"),
        ([0.0, 1.0, np.inf], [0.0, 0.0], ValueError, "finite"),
        ([0.0, 1.0, 2.0], ["a", "b"], TypeError, "log_masses must hold real numbers"),
    ],
)
def test_errors_say_the_rule_and_what_came(edges: list, log_masses: list, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Bars(edges, log_masses)


@pytest.mark.parametrize(
    "metric",
    [Metric(), Metric("min", bounds=(0, None)), Metric(bounds=(0, 1)), Metric(bounds=(0, 1), overshoot=True)],
    ids=str,
)
@pytest.mark.parametrize("transform", ["identity", "sinh"])
def test_beliefs_of_bars_keep_the_contract(metric: Metric, transform: str) -> None:
    law = Bars(np.linspace(-1, 1, 51), np.random.default_rng(0).normal(size=(2, 50)))
    check_belief(Belief(law, metric.sign * 0.8, [0.1, 0.3], transform=transform, metric=metric, kind="best", t=7))


@pytest.mark.parametrize("transform", ["identity", "sinh"])
def test_crps_of_bars_is_that_of_its_definition(transform: str) -> None:
    law = Bars([-1.0, -0.5, 0.0, 0.4, 1.0], np.log([0.1, 0.4, 0.3, 0.2]))
    belief = Belief(law, 0.0, 1.0, transform=transform, metric=Metric("max", bounds=(None, 0.9)), t=1)
    for outcome in (-3.0, 0.1, 0.8, 1.5):
        split = min(outcome, 0.9)
        ends = np.arcsinh([-1e4, split, 0.9])
        left, right = (np.sinh(np.linspace(a, b, 5001)) for a, b in pairwise(ends))
        wanted = np.trapezoid(belief.cdf(left) ** 2, left) + np.trapezoid(belief.prob_above(right) ** 2, right)
        assert belief.crps(outcome) == pytest.approx(wanted + outcome - split, rel=1e-4)
