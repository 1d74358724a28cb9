"""Mixtures of normals against quadrature, Monte Carlo and each other; the normal law on an interval."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import CASES, TRANSFORMS, Case
from scipy import integrate, stats
from scipy.special import log_ndtr, ndtri
from statistical import differs_from_law, mean_differs

from lcpfn.distributions.mixture import MAX_LOG_STD, MAX_MEAN, MIN_LOG_STD, Mixture

BOTH = pytest.mark.parametrize("transform", list(TRANSFORMS))
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def ends(case: Case) -> tuple[np.ndarray, np.ndarray]:
    return np.array(case.low), np.array(case.high)


@st.composite
def mixtures(draw: st.DrawFn, *, most: int = 6) -> Mixture:
    """Any mixture that capped outputs of a network can stand for."""
    k = draw(st.integers(1, most))
    numbers = st.floats(-12, 12, width=32)
    return Mixture.from_raw(np.array(draw(st.lists(numbers, min_size=3 * k, max_size=3 * k))))


@EVERY
def test_density_and_cdf_are_those_of_the_definition(case: Case) -> None:
    law, w = case.law, np.array(case.weights)
    u = np.linspace(-12, 12, 301)
    parts = stats.norm(case.means, case.stds)
    np.testing.assert_allclose(law.cdf(u), parts.cdf(u[:, None]) @ w, atol=1e-15)
    np.testing.assert_allclose(law.sf(u), parts.sf(u[:, None]) @ w, atol=1e-15)
    np.testing.assert_allclose(law.log_pdf(u), np.logaddexp.reduce(parts.logpdf(u[:, None]) + np.log(w), axis=1))
    for ours, theirs in ((law.log_cdf(u), parts.logcdf(u[:, None])), (law.log_sf(u), parts.logsf(u[:, None]))):
        np.testing.assert_allclose(ours, np.logaddexp.reduce(theirs + np.log(w), axis=1), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in ("three", "cut below")], ids=str)
def test_the_oracle_agrees_with_adaptive_quadrature(case: Case) -> None:
    def integral(value) -> float:
        inside = max(case.low, -9), min(case.high, 9)
        return integrate.quad(lambda u: value(u) * case.density(np.array(u)), *inside, points=case.means, limit=200)[0]

    mean = integral(np.sinh) / integral(np.ones_like)
    assert case.moments("sinh")[0] == pytest.approx(mean, rel=1e-8)
    generator = np.random.default_rng(0)
    pick = generator.choice(len(case.means), size=400_000, p=case.weights)
    draws = generator.normal(np.array(case.means)[pick], np.array(case.stds)[pick])
    draws = draws[draws > case.low]
    one, other = draws[: draws.size // 2], draws[draws.size // 2 : draws.size // 2 * 2]
    scores = np.abs(one - 0.4) - np.abs(one - other) / 2
    assert not mean_differs(scores, case.crps("identity", 0.4))
    assert mean_differs(scores, 1.1 * case.crps("identity", 0.4))


@EVERY
@BOTH
def test_moments_are_those_of_quadrature(case: Case, transform: str) -> None:
    mean, variance = case.law.moments(transform, *ends(case))
    wanted_mean, wanted_variance = case.moments(transform)
    assert abs(mean - wanted_mean) <= 1e-8 * np.sqrt(wanted_variance) + 1e-13 * abs(wanted_mean)
    assert variance == pytest.approx(wanted_variance, rel=1e-7)


@pytest.mark.parametrize("case", [case for case in CASES if np.isinf(case.low) and np.isinf(case.high)], ids=str)
@BOTH
def test_moments_of_a_whole_law_do_not_depend_on_how_they_are_asked(case: Case, transform: str) -> None:
    np.testing.assert_allclose(case.law.moments(transform), case.law.moments(transform, *ends(case)), rtol=1e-12)


def test_mean_and_variance_in_closed_form() -> None:
    law = Mixture(np.log([0.25, 0.75]), [0.0, 4.0], [1.0, 2.0])
    assert law.mean() == pytest.approx(3.0)
    assert law.variance() == pytest.approx(0.25 * (1 + 9) + 0.75 * (4 + 1))
    m, s = 1.2, 0.7
    mean, variance = Mixture([0.0], [m], [s]).moments("sinh")
    assert mean == pytest.approx(np.exp(s * s / 2) * np.sinh(m))
    assert variance == pytest.approx((np.exp(2 * s * s) * np.cosh(2 * m) - 1) / 2 - mean**2)


@BOTH
def test_moments_are_those_of_draws(transform: str) -> None:
    case = next(case for case in CASES if case.name == "cut on both sides")
    draws = case.law.sample(100_000, generator=np.random.default_rng(0), low=ends(case)[0], high=ends(case)[1])
    values = TRANSFORMS[transform](draws)
    mean, variance = case.law.moments(transform, *ends(case))
    assert abs(values.mean() - mean) < 6.1 * np.sqrt(variance / values.size)
    fourth = ((values - mean) ** 4).mean()
    assert abs(values.var() - variance) < 6.1 * np.sqrt((fourth - variance**2) / values.size)


@EVERY
def test_masses_add_up_between_any_points(case: Case) -> None:
    law = case.law
    points = np.sort(np.concatenate([np.random.default_rng(0).normal(size=40) * 3, np.array(case.means), [0.0]]))
    left, right = np.exp(law.log_mass(-np.inf, points)), np.exp(law.log_mass(points, np.inf))
    np.testing.assert_allclose(left + right, 1, rtol=1e-13)
    np.testing.assert_allclose(left, law.cdf(points), rtol=1e-9, atol=1e-300)
    between = np.exp(law.log_mass(points[:-1], points[1:]))
    np.testing.assert_allclose(np.cumsum(between), (left - left[0])[1:], rtol=1e-11, atol=1e-15)
    assert np.isneginf(law.log_mass(points, points)).all() and np.isneginf(law.log_mass(1.0, 0.0))


def test_masses_of_far_slices_keep_their_digits() -> None:
    law = Mixture([0.0], [0.0], [1.0])
    for side in (-1, 1):
        low, high = sorted((side * 40.0, side * 41.0))
        wanted = log_ndtr(-40.0) + np.log1p(-np.exp(log_ndtr(-41.0) - log_ndtr(-40.0)))
        assert law.log_mass(low, high) == pytest.approx(wanted, rel=1e-14)
    assert law.log_mass(1e-9, 2e-9) == pytest.approx(np.log(1e-9) - np.log(2 * np.pi) / 2, rel=1e-8)
    assert np.isfinite(law.log_mass(1e8, np.inf))


@pytest.mark.parametrize("sds", [50.0, 1e6, 1e100])
def test_densities_and_tails_are_finite_far_out(sds: float) -> None:
    law = Mixture(np.log([0.5, 0.5]), [0.0, 0.0], [0.5, 1.0])
    assert np.isfinite(law.log_pdf([-sds, sds])).all()
    assert law.log_cdf(-sds) == law.log_sf(sds) == pytest.approx(log_ndtr(-sds) + np.log(0.5))


@given(mixtures(), st.floats(1e-9, 1 - 1e-9), st.floats(1e-9, 1 - 1e-9))
def test_quantiles_invert_the_cdf(law: Mixture, p: float, q: float) -> None:
    u = law.quantile([p, q])
    np.testing.assert_allclose(law.cdf(u), [p, q], rtol=1e-9)
    np.testing.assert_allclose(law.sf(u), [1 - p, 1 - q], rtol=1e-9)
    assert (u[0] <= u[1]) == (p <= q) or abs(u[1] - u[0]) < 1e-9


@given(mixtures(), st.floats(-12, 12), st.floats(1e-6, 20), st.floats(0.001, 0.999))
def test_quantiles_between_ends_invert_the_mass_between_them(law: Mixture, low: float, width: float, p: float) -> None:
    high = low + width
    u = law.tail_quantile(np.log([p]), np.log1p([-p]), np.array(low), np.array(high))[0]
    assert low <= u <= high
    inside, below = law.log_mass(low, high), law.log_mass(low, u)
    density = np.exp(law.log_pdf(u) - inside)
    noise = 1e-12 * (1 + abs(u)) * density + 1e-12 * abs(inside)  # far out, u and log masses have 12 digits
    assert abs(np.exp(below - inside) - p) < 1e-9 + noise


@pytest.mark.parametrize("q", [1e-300, 1e-30, 1e-3, 0.5, 0.999, 1 - 1e-16])
def test_quantiles_of_one_normal(q: float) -> None:
    assert Mixture([0.0], [2.0], [0.25]).quantile(q) == pytest.approx(2.0 + 0.25 * ndtri(q), rel=1e-12)


def test_quantiles_at_the_ends_and_between_far_modes() -> None:
    law = Mixture(np.log([0.5, 0.5]), [-1e6, 1e6], [1e-3, 1e-3])
    np.testing.assert_array_equal(law.quantile([0.0, 1.0]), [-np.inf, np.inf])
    np.testing.assert_allclose(law.quantile([0.25, 0.75]), [-1e6, 1e6], atol=1e-9)
    assert -1e6 <= law.quantile(0.5) <= 1e6  # anywhere in between is right
    assert law.quantile([]).shape == (0,)


@EVERY
def test_knots_enclose_the_law(case: Case) -> None:
    law, (low, high) = case.law, ends(case)
    knots = law.knots(low, high)
    assert knots.shape == (6 * len(case.means),) and (knots >= low).all() and (knots <= high).all()
    missing = np.logaddexp(law.log_mass(low, knots.min()), law.log_mass(knots.max(), high)) - law.log_mass(low, high)
    assert missing < np.log(1e-5)


@EVERY
def test_draws_follow_the_cdf(case: Case) -> None:
    law, (low, high) = case.law, ends(case)
    draws = law.sample(20_000, generator=np.random.default_rng(1), low=low, high=high)
    assert (draws >= low).all() and (draws <= high).all()

    def cdf(u: np.ndarray) -> np.ndarray:
        return np.exp(law.log_mass(low, u) - law.log_mass(low, high))

    assert not differs_from_law(draws, cdf)
    assert differs_from_law(draws + 0.1 * draws.std(), cdf)


def test_draws_of_a_whole_law_follow_its_cdf_and_do_not_repeat() -> None:
    law = Mixture(np.log([[0.2, 0.8], [0.5, 0.5]]), [[-1, 1], [0, 3]], [[0.5, 1.0], [1.0, 0.1]])
    draws = law.sample(50_000, generator=np.random.default_rng(2))
    assert draws.shape == (50_000, 2)
    for i in range(2):
        assert not differs_from_law(draws[:, i], law[i].cdf)
        assert differs_from_law(draws[:, i] * 1.1, law[i].cdf)
    assert abs(np.corrcoef(draws.T)[0, 1]) < 6.1 / np.sqrt(50_000)


def test_raw_zeros_stand_for_a_standard_normal() -> None:
    law = Mixture.from_raw(np.zeros((2, 12)))
    assert law.shape == (2,) and law.width == 4
    np.testing.assert_allclose(law.means, 0)
    np.testing.assert_allclose(law.stds, 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(law.log_weights), 0.25)


def test_raw_outputs_are_capped_smoothly() -> None:
    raw = np.array([0.0, 0.0, 0.0, -1e4, 0.3, 1e4, -1e4, 0.0, 1e4])
    law = Mixture.from_raw(raw)
    np.testing.assert_allclose(law.means, [-MAX_MEAN, 8 * np.tanh(0.3 / 8), MAX_MEAN])
    np.testing.assert_allclose(np.log(law.stds), [MIN_LOG_STD, 0.0, MAX_LOG_STD], atol=1e-12)
    weights = Mixture.from_raw(np.array([1.0, 3.0, -7.5, 2.0, -1.0, 0.7])).log_weights
    np.testing.assert_allclose(weights, np.log([1, np.e**2]) - np.log(1 + np.e**2))


def test_what_is_stored_is_what_was_given_and_answers_are_float64() -> None:
    raw = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    law = Mixture.from_raw(raw)
    assert law.log_weights.dtype == law.means.dtype == law.stds.dtype == np.float32
    wide = Mixture(*(part.astype(np.float64) for part in (law.log_weights, law.means, law.stds)))
    for ask in (lambda x: x.cdf(0.3), lambda x: x.log_pdf(0.3), lambda x: x.quantile([0.1, 0.9]), lambda x: x.mean()):
        assert ask(law).dtype == np.float64
        np.testing.assert_array_equal(ask(law), ask(wide))
    assert Mixture([0, 0], [0, 1], [1, 2]).means.dtype == np.float64  # whole numbers become float64


def test_weights_need_not_be_normalised() -> None:
    one, other = (Mixture(np.array([0.0, 1.0]) + c, [0.0, 1.0], [1.0, 2.0]) for c in (0.0, 300.0))
    np.testing.assert_allclose(one.cdf(0.5), other.cdf(0.5), rtol=1e-13)
    assert one.cdf(np.inf) == 1.0 and Mixture([0.0, -np.inf], [0.0, 50.0], [1.0, 1.0]).mean() == 0.0


def test_elements_of_a_batch_do_not_see_each_other() -> None:
    law = Mixture.from_raw(np.random.default_rng(0).normal(size=(30, 15)) * 3)
    q = [0.03, 0.5, 0.9]
    for i in (0, 7, 29):
        np.testing.assert_array_equal(law[i].quantile(q), law.quantile(q)[i])
        np.testing.assert_array_equal(law[i].moments("sinh"), np.array(law.moments("sinh"))[:, i])


def test_a_mixture_is_a_value_that_is_indexed_like_an_array() -> None:
    means = np.arange(24.0).reshape(2, 3, 4)
    law = Mixture(np.zeros((2, 3, 4)), means, np.ones((2, 3, 4)))
    means[...] = -1  # the caller's own array stays theirs
    assert law.means[0, 0, 1] == 1.0
    for part in (law, law[0], law[:, 1:], law[np.array([0, 1, 0])]):
        with pytest.raises(ValueError, match="read-only"):
            part.means[...] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.means = means
    assert law[..., -1].shape == (2,) and law[1].shape == (3,) and law[None].shape == (1, 2, 3)
    np.testing.assert_array_equal(law[..., -1].means, law.means[:, -1])
    np.testing.assert_array_equal(law[np.array([True, False])].means, law.means[:1])
    assert repr(law) == "Mixture(shape=(2, 3), components=4)"
    for index in ((0, 0, 0), 2):
        with pytest.raises(IndexError):
            law[index]


def test_a_law_that_does_not_exist_answers_nan() -> None:
    means = np.array([[0.0, 1.0], [np.nan, 1.0]])
    law = Mixture(np.zeros((2, 2)), means, np.ones((2, 2)))
    low, high = np.full(2, -1.0), np.full(2, 1.0)
    answers = [law.mean(), law.variance(), law.cdf(0.0), law.sf(0.0), law.log_pdf(0.0), law.log_mass(low, high)]
    answers += [
        law.quantile(0.3),
        law.moments("sinh", low, high)[1],
        law.tail_quantile(*np.log([[0.5], [0.5]]), low, high),
    ]
    for answer in answers:
        assert np.isfinite(answer[0]).all() and np.isnan(answer[1]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([0.0], [0.0, 1.0], [1.0]), ValueError, r"one shape \(..., K\).*got \(1,\), \(2,\) and \(1,\).*broadcast"),
        ((0.0, 0.0, 1.0), ValueError, "one shape"),
        (([], [], []), ValueError, "K >= 1"),
        (([[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]), ValueError, r"stds must be positive.*got 0 at index \(0, 1\)"),
        (([0.0], [np.inf], [1.0]), ValueError, "means must be finite.*index"),
        (([0.0], [0.0], [np.inf]), ValueError, "stds must be finite"),
        ((["a"], [0.0], [1.0]), TypeError, "log_weights must hold real numbers"),
        (([0.0], [1j], [1.0]), TypeError, "means must hold real numbers, got dtype complex128"),
    ],
)
def test_errors_say_the_rule_and_what_came(arguments: tuple, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Mixture(*arguments)


def test_raw_outputs_of_a_wrong_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 K numbers.*got \(2, 7\)"):
        Mixture.from_raw(np.zeros((2, 7)))
