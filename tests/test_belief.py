"""Beliefs: answers in the user's unit against quadrature, the two directions, bounds, blocks, and being a value."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from contracts import check_belief
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import CASES, LOCATION, SCALE, TRANSFORMS, Case
from scipy.special import ndtr
from scipy.stats import uniform
from statistical import differs_from_law

import lcpfn.belief
from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

BOTH = pytest.mark.parametrize("transform", list(TRANSFORMS))
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def batch(shape: tuple[int, ...], *, metric: Metric, transform: str = "sinh", components: int = 20) -> Belief:
    raw = np.random.default_rng(0).normal(size=(*shape, 3 * components))
    location = metric.sign * np.linspace(0.6, 0.99, max(1, int(np.prod(shape)))).reshape(shape)
    law = Mixture.from_raw(raw.astype(np.float32))
    return Belief(law, location, 0.03, transform=transform, metric=metric, t=np.arange(location.size).reshape(shape))


METRICS = [
    Metric(),
    Metric("min"),
    Metric("max", bounds=(0, 1)),
    Metric("min", bounds=(0, None)),
    Metric("min", bounds=(None, 1)),
    Metric("max", bounds=(0, 1), overshoot=True),
]


@pytest.mark.parametrize("metric", METRICS, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
@BOTH
def test_mixtures_keep_the_contract(metric: Metric, shape: tuple[int, ...], transform: str) -> None:
    check_belief(batch(shape, metric=metric, transform=transform, components=5))


@EVERY
@BOTH
def test_every_case_keeps_the_contract(case: Case, transform: str) -> None:
    check_belief(case.belief(transform))


@EVERY
@BOTH
def test_mean_and_std_are_those_of_quadrature(case: Case, transform: str) -> None:
    belief = case.belief(transform)
    mean, variance = case.moments(transform)
    assert abs(belief.mean() - (LOCATION + SCALE * mean)) <= 1e-8 * SCALE * np.sqrt(variance) + 1e-15
    assert belief.std() == pytest.approx(SCALE * np.sqrt(variance), rel=1e-7)


@EVERY
@BOTH
def test_cdf_is_that_of_quadrature(case: Case, transform: str) -> None:
    belief = case.belief(transform)
    for y in belief.quantile([0.05, 0.5, 0.99]):
        z = (y - LOCATION) / SCALE
        u = np.arcsinh(z) if transform == "sinh" else z
        assert belief.cdf(y) == pytest.approx(case.expect(np.ones_like, stop=u), abs=1e-8)


def test_answers_for_one_normal_in_closed_form() -> None:
    belief = Belief(Mixture([0.0], [0.0], [1.0]), 2.0, 0.5, metric=Metric(), t=1)
    x = np.array([-3.0, 1.0, 2.0, 2.2])
    z = (x - 2.0) / 0.5
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(belief.crps(x), 0.5 * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))
    np.testing.assert_allclose(belief.cdf(x), ndtr(z))
    np.testing.assert_allclose(belief.log_prob(x), np.log(density / 0.5))
    np.testing.assert_allclose(belief.interval(0.9), 2.0 + 0.5 * np.array([-1.6448536269514722, 1.6448536269514722]))
    assert belief.mean() == belief.median() == 2.0 and belief.std() == 0.5


def test_a_half_normal_in_closed_form() -> None:
    """Half of a normal remains when the bound is its mode."""
    belief = Belief(Mixture([0.0], [0.0], [1.0]), 1.0, 0.2, metric=Metric("max", bounds=(None, 1.0)), t=1)
    assert belief.mean() == pytest.approx(1.0 - 0.2 * np.sqrt(2 / np.pi), rel=1e-14)
    assert belief.std() == pytest.approx(0.2 * np.sqrt(1 - 2 / np.pi), rel=1e-13)
    assert belief.median() == pytest.approx(1.0 - 0.2 * 0.6744897501960817, rel=1e-14)
    assert belief.log_prob(1.0) == pytest.approx(np.log(2 / 0.2 / np.sqrt(2 * np.pi)))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(METRICS),
    st.sampled_from(list(TRANSFORMS)),
    st.floats(0.001, 0.999),
)
def test_quantiles_invert_the_cdf_and_the_cdf_quantiles(seed: int, metric: Metric, transform: str, q: float) -> None:
    raw = np.random.default_rng(seed).normal(size=(4, 15)) * 2
    law = Mixture.from_raw(raw)
    belief = Belief(law, metric.sign * 0.6, 0.1, transform=transform, metric=metric, t=1)
    y = belief.quantile(q)
    density = np.exp(belief.log_prob(y))
    noise = 4 * np.spacing(np.abs(y) + 1) * density  # of writing y down
    assert (np.abs(belief.cdf(y) - q) < 1e-9 + noise).all()
    back = [element.quantile(p) for element, p in zip(belief, belief.cdf(y), strict=True)]
    np.testing.assert_allclose(back, y, rtol=1e-6, atol=1e-9 + 1e-14 / density.min())


@EVERY
@BOTH
def test_the_density_is_the_derivative_of_the_cdf(case: Case, transform: str) -> None:
    belief = case.belief(transform)
    for q in np.linspace(0.06, 0.96, 19):
        near, x, far = belief.quantile([q - 1e-5, q, q + 1e-5])
        slope = (belief.cdf(far) - belief.cdf(near)) / (far - near)
        assert slope == pytest.approx(np.exp(belief.log_prob(x)), rel=1e-3)


@EVERY
@BOTH
def test_min_of_minus_y_mirrors_max_of_y_exactly(case: Case, transform: str) -> None:
    up, down = case.belief(transform, "max"), case.belief(transform, "min")
    x = np.append(up.quantile([0.01, 0.3, 0.5, 0.9]), [-3.0, 0.7, 5.0])
    q = np.array([0.0, 0.125, 0.5, 0.75, 1.0])  # 1 - q is exact
    same = np.testing.assert_array_equal
    same(down.mean(), -up.mean())
    same(down.std(), up.std())
    same(down.median(), -up.median())
    same(down.quantile(1 - q), -up.quantile(q))
    same(down.interval(0.8), -up.interval(0.8)[::-1])
    same(down.cdf(-x), up.prob_above(x))
    same(down.prob_above(-x), up.cdf(x))
    same(down.prob_better(-x), up.prob_better(x))
    same(down.log_prob(-x), up.log_prob(x))
    same(down.crps(-x), up.crps(x))
    same(down.sample(50, generator=np.random.default_rng(0)), -up.sample(50, generator=np.random.default_rng(0)))


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.sampled_from(list(TRANSFORMS)),
    st.sampled_from([case for case in CASES if "slice" not in case.name and "mode" not in case.name]),
)
def test_a_change_of_unit_changes_the_unit_of_the_answers(
    shift: float, factor: float, transform: str, case: Case
) -> None:
    one = case.belief(transform)
    ends = [None if end is None else factor * end + shift for end in one.metric.bounds]
    other = dataclasses.replace(
        one, location=factor * one.location + shift, scale=factor * one.scale, metric=Metric(bounds=tuple(ends))
    )
    noise = 1e-12 * (abs(shift) + factor)  # in units of y; as a share of the spread:
    relative = 1e-7 + 1e3 * noise / (factor * one.std())
    assume(relative < 1e-2)
    x = one.quantile([0.1, 0.5, 0.8])
    close = np.testing.assert_allclose
    close(other.mean(), factor * one.mean() + shift, rtol=1e-12, atol=noise + relative * factor * one.std())
    close(other.std(), factor * one.std(), rtol=relative)
    close(
        other.cdf(factor * x + shift), one.cdf(x), atol=relative + 1e3 * noise / factor * np.exp(one.log_prob(x)).max()
    )


@pytest.mark.parametrize("sds", [50.0, 1e6, 1e200])
@BOTH
def test_log_prob_is_finite_however_far_out(sds: float, transform: str) -> None:
    belief = Belief(Mixture([0.0, 0.0], [0.0, 1.0], [0.1, 1.0]), 0.5, 1e-3, transform=transform, metric=Metric(), t=1)
    x = 0.5 + sds * belief.std() * np.array([-1, 1])
    assert np.isfinite(belief.log_prob(x)).all()
    assert np.isneginf(belief.log_prob([-np.inf, np.inf])).all()
    tiny = dataclasses.replace(belief, scale=1e-290)
    assert np.isfinite(tiny.log_prob([-sds, sds])).all()
    if transform == "identity" and sds < 1e100:
        assert belief.log_prob(x[1]) == pytest.approx(-(((x[1] - 0.501) / 1e-3) ** 2) / 2, rel=1e-2)


def test_past_a_bound_that_cuts_there_is_nothing() -> None:
    belief = batch((2,), metric=Metric("max", bounds=(0, 1)))
    assert np.isneginf(belief.log_prob([[-0.01], [1.01]])).all() and np.isfinite(belief.log_prob([[0.0], [1.0]])).all()
    np.testing.assert_array_equal(belief.cdf([[-0.01], [0.0], [1.0], [1.01]]), [[0, 0], [0, 0], [1, 1], [1, 1]])
    np.testing.assert_array_equal(belief.quantile([0.0, 1.0]), [[0, 1], [0, 1]])
    np.testing.assert_allclose(belief.crps(3.0), 2 + belief.crps(1.0), rtol=1e-12)
    noisy = dataclasses.replace(belief, metric=Metric("max", bounds=(0, 1), overshoot=True))
    assert np.isfinite(noisy.log_prob(1.01)).all() and (noisy.prob_above(1.0) > 0).all()
    assert (noisy.quantile(0.999) > 1).all()


def test_small_probabilities_keep_their_digits() -> None:
    belief = Belief(Mixture([0.0], [0.0], [1.0]), 0.0, 1.0, metric=Metric(), t=1)
    assert belief.prob_above(20.0) == pytest.approx(ndtr(-20.0), rel=1e-13)
    cut = dataclasses.replace(belief, metric=Metric("max", bounds=(0, 25)))
    assert cut.prob_above(20.0) == pytest.approx(2 * (ndtr(-20.0) - ndtr(-25.0)), rel=1e-12)
    assert cut.cdf(1e-12) == pytest.approx(2e-12 / np.sqrt(2 * np.pi), rel=1e-3)


@pytest.mark.parametrize(("mean", "bound"), [(1e9, 1.0), (-1e9, 0.0)])
def test_a_law_with_nothing_between_the_bounds_stands_at_the_nearer_one(mean: float, bound: float) -> None:
    belief = Belief(Mixture([0.0], [mean], [1e-3]), 0.0, 1.0, metric=Metric("max", bounds=(0, 1)), t=1)
    assert belief.mean() == belief.median() == bound and belief.std() == 0
    np.testing.assert_array_equal(belief.interval(), [bound, bound])
    np.testing.assert_array_equal(belief.sample(3, generator=np.random.default_rng(0)), bound)
    np.testing.assert_array_equal(belief.cdf([-0.1, 0.5, 1.0]), [0, 1 - bound, 1])
    assert np.isfinite(belief.log_prob([0.0, 0.3, 1.0])).all()
    np.testing.assert_allclose(belief.crps([0.25, 2.0]), np.abs(bound - np.array([0.25, 2.0])))


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_draws_follow_the_cdf(metric: Metric) -> None:
    belief = batch((2,), metric=metric)
    draws = belief.sample(20_000, generator=np.random.default_rng(0))
    for i in range(2):
        assert not differs_from_law(belief[i].cdf(draws[:, i]), uniform.cdf)
        wrong = dataclasses.replace(belief[i], location=belief[i].location + 0.1 * belief[i].std())
        assert differs_from_law(wrong.cdf(draws[:, i]), uniform.cdf)
    assert abs(np.corrcoef(belief.cdf(draws).T)[0, 1]) < 6.1 / np.sqrt(20_000)


@pytest.mark.parametrize("metric", METRICS[:4], ids=str)
def test_answers_do_not_depend_on_blocks(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    belief = batch((4, 5), metric=metric)
    asks = {
        "mean": lambda b: b.mean(),
        "std": lambda b: b.std(),
        "quantile": lambda b: b.quantile([0.1, 0.5]),
        "interval": lambda b: b.interval(),
        "cdf": lambda b: b.cdf(0.8),
        "cdf of rows": lambda b: b.cdf(np.linspace(0.5, 0.9, 15).reshape(3, 1, 5)),
        "log_prob": lambda b: b.log_prob(np.linspace(0.5, 0.9, 5)),
        "crps": lambda b: b.crps(np.linspace(0.5, 0.9, 8).reshape(2, 4, 1)),
    }
    whole = {name: ask(belief) for name, ask in asks.items()}
    assert whole["cdf of rows"].shape == (3, 4, 5) and whole["crps"].shape == (2, 4, 5)
    assert whole["quantile"].shape == (4, 5, 2)
    for block in (1, 100):
        monkeypatch.setattr(lcpfn.belief, "BLOCK", block)
        for name, ask in asks.items():
            np.testing.assert_array_equal(ask(belief), whole[name], err_msg=name)
        lone = belief[1, 2]
        np.testing.assert_array_equal(lone.cdf([0.1, 0.7, 0.9]), belief[1:2, 2].cdf([0.1, 0.7, 0.9]))
    assert belief.sample(3, generator=np.random.default_rng(0)).shape == (3, 4, 5)


def test_many_beliefs_need_no_more_memory_than_some_do() -> None:
    def peak(ask, n: int) -> int:
        law = Mixture.from_raw(np.random.default_rng(0).normal(size=(n, 48)).astype(np.float32))
        belief = Belief(law, 0.5, 0.1, transform="sinh", metric=Metric("max", bounds=(0, 1)), t=np.arange(n))
        tracemalloc.start()
        ask(belief)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    full = lcpfn.belief.BLOCK // 16  # elements in a block
    for ask in (Belief.mean, lambda belief: belief.cdf(0.6)):
        assert peak(ask, 3 * full) < 1.2 * peak(ask, full) + 8 * 8 * 3 * full  # and a few arrays of one number each


def test_float32_in_is_stored_and_answered_in_float64() -> None:
    belief = batch((3,), metric=Metric("max", bounds=(0, 1)))
    narrow = dataclasses.replace(
        belief, location=belief.location.astype(np.float32), scale=belief.scale.astype(np.float32)
    )
    wide = dataclasses.replace(
        narrow,
        law=Mixture(*(part.astype(np.float64) for part in (belief.law.log_weights, belief.law.means, belief.law.stds))),
        location=narrow.location.astype(np.float64),
        scale=narrow.scale.astype(np.float64),
    )
    assert narrow.location.dtype == narrow.law.means.dtype == np.float32
    for ask in (Belief.mean, Belief.std, Belief.interval, lambda b: b.log_prob(0.9), lambda b: b.crps(0.9)):
        assert ask(narrow).dtype == np.float64
        np.testing.assert_array_equal(ask(narrow), ask(wide))


@pytest.mark.parametrize("metric", METRICS, ids=str)
@pytest.mark.parametrize("place", ["location", "scale", "law"])
def test_a_belief_that_does_not_exist_answers_nan_and_spoils_no_other(metric: Metric, place: str) -> None:
    good = batch((3,), metric=metric)
    hole = np.array([0.0, np.nan, 0.0])
    if place == "law":
        law = Mixture(good.law.log_weights, good.law.means + hole[:, None], good.law.stds)
        belief = dataclasses.replace(good, law=law)
    else:
        belief = dataclasses.replace(good, **{place: getattr(good, place) + hole})
    asks = [Belief.mean, Belief.std, Belief.median, Belief.interval, lambda b: b.quantile([0.2, 0.5])]
    asks += [lambda b, name=name: getattr(b, name)(0.7) for name in ("cdf", "prob_above", "log_prob", "crps")]
    for ask in asks:
        assert np.isnan(ask(belief)[1]).all()
        np.testing.assert_allclose(ask(belief)[[0, 2]], ask(good)[[0, 2]], rtol=1e-12)
    assert np.isnan(belief.sample(2, generator=np.random.default_rng(0))[:, 1]).all()
    for name in ("cdf", "log_prob", "crps"):
        assert np.isnan(getattr(good, name)(np.nan)).all()  # nor does an outcome


def test_indexing_keeps_law_location_scale_and_time_together() -> None:
    belief = batch((4, 5), metric=Metric("max", bounds=(0, 1)))
    for index in (2, -1, np.s_[1:3], np.s_[..., -1], np.s_[:, 2], (1, 2), np.array([3, 0]), belief.t % 2 == 0, None):
        part = belief[index]
        assert part.shape == part.law.shape == belief.t[index].shape
        np.testing.assert_array_equal(part.t, belief.t[index])
        np.testing.assert_array_equal(part.mean(), belief.mean()[index])
        with pytest.raises(ValueError, match="read-only"):
            part.t[...] = 0
    assert len(belief) == 4 and [part.shape for part in belief] == [(5,)] * 4
    for index in (4, (0, 0, 0), (..., 5)):
        with pytest.raises(IndexError):
            belief[index]
    with pytest.raises(TypeError, match="no length"):
        len(belief[0, 0])


def test_a_belief_keeps_nothing_that_others_can_change() -> None:
    t, location = np.arange(3.0), np.zeros(3)
    belief = Belief(Mixture(np.zeros((3, 1)), np.zeros((3, 1)), np.ones((3, 1))), location, 1.0, metric=Metric(), t=t)
    t[0] = location[0] = 99
    assert belief.t[0] == 0 and belief.mean()[0] == 0
    assert repr(belief) == "Belief(value, max, shape=(3,))"


LAW = Mixture(np.zeros((2, 1)), np.zeros((2, 1)), np.ones((2, 1)))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"transform": "log"}, ValueError, "transform must be one of identity, sinh, got 'log'"),
        ({"kind": "mean"}, ValueError, "kind must be one of value, signal, best, got 'mean'"),
        ({"metric": "max"}, TypeError, r"metric must be a Metric, got 'max'; write Metric\(\"max\"\)"),
        ({"scale": 0.0}, ValueError, "scale positive.*from 0 to 0.*floor"),
        ({"scale": np.inf}, ValueError, "finite"),
        ({"location": [np.inf, 0.0]}, ValueError, "location must be finite"),
        ({"location": np.zeros(3)}, ValueError, r"location must broadcast to .*\(2,\), got \(3,\)"),
        ({"t": np.zeros((2, 2))}, ValueError, r"t must broadcast to .*\(2,\), got \(2, 2\)"),
        ({"t": ["now", "then"]}, TypeError, "t must hold real numbers"),
    ],
)
def test_errors_of_construction_say_the_rule_and_what_came(change: dict, error: type[Exception], says: str) -> None:
    fields = {"law": LAW, "location": 0.0, "scale": 1.0, "metric": Metric(), "t": [1.0, 2.0]}
    with pytest.raises(error, match=says):
        Belief(**{**fields, **change})


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda b: b.quantile(50), r"q must lie in \[0, 1\], got 50; divide percentages by 100"),
        (lambda b: b.quantile([0.5, np.nan]), "got nan"),
        (lambda b: b.quantile([[0.5]]), r"q must be one probability or a list.*\(1, 1\)"),
        (lambda b: b.interval(90), "level must lie between 0 and 1, got 90"),
        (lambda b: b.interval(0.0), "level must lie between 0 and 1"),
        (lambda b: b.cdf(np.zeros(3)), r"x must broadcast against .*\(2,\), got \(3,\)"),
        (lambda b: b.crps(np.zeros((2, 3))), "x must broadcast"),
        (lambda b: b.sample(-1, generator=np.random.default_rng(0)), "n must not be negative, got -1"),
    ],
)
def test_errors_of_asking_say_the_rule_and_what_came(ask, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ask(Belief(LAW, 0.0, 1.0, metric=Metric(), t=[1.0, 2.0]))


def test_an_empty_batch_has_empty_answers() -> None:
    for metric in METRICS[:3]:
        belief = batch((2,), metric=metric)[:0]
        assert belief.mean().shape == belief.crps(0.5).shape == belief.cdf(0.5).shape == (0,)
        assert belief.quantile([0.1, 0.9]).shape == (0, 2) and belief.quantile([]).shape == (0, 0)
        assert belief.sample(3, generator=np.random.default_rng(0)).shape == (3, 0)
