"""Pools and warped laws: the contract of every belief, and closed forms where there are some."""

import numpy as np
import pytest
from contracts import check_belief
from scipy.stats import norm

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.distributions.pool import Pool
from lcpfn.distributions.warped import Warped
from lcpfn.metric import Metric

METRICS = [Metric(), Metric("min"), Metric("max", bounds=(0, 1)), Metric("min", bounds=(0, None))]
NORMAL = Mixture([0.0], means=[0.4], stds=[1.5])


def mixture(shape: tuple[int, ...], seed: int = 0) -> Mixture:
    return Mixture.from_raw(np.random.default_rng(seed).normal(size=(*shape, 12)))


def pool(shape: tuple[int, ...]) -> Pool:
    law = mixture(shape)
    warped = Warped(law, np.full(shape, 0.7), np.full(shape, 0.5))
    weights = np.broadcast_to(np.log([0.2, 0.5, 0.3]), (*shape, 3))
    return Pool((law, warped, mixture(shape, 1)), ("sinh", "sinh", "identity"), weights)


@pytest.mark.parametrize("metric", METRICS, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
def test_pools_keep_the_contract(metric: Metric, shape: tuple[int, ...]) -> None:
    check_belief(Belief(pool(shape), metric.sign * 0.7, 0.05, metric=metric, t=5))


@pytest.mark.parametrize("transform", ["identity", "sinh"])
@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_warped_laws_keep_the_contract(metric: Metric, transform: str) -> None:
    law = Warped(mixture((3,)), [-0.5, 0.0, 1.0], [0.5, 1.0, 1.4])
    check_belief(Belief(law, metric.sign * 0.7, 0.05, transform=transform, metric=metric, t=5))


def test_a_warped_normal_is_the_normal_that_it_should_be() -> None:
    law, u = Warped(NORMAL, 0.6, 0.5), np.linspace(-6, 6, 41)
    true = norm(0.4 + 0.6 * 1.5, 0.5 * 1.5)
    np.testing.assert_allclose(law.cdf(u), true.cdf(u), rtol=1e-9)
    np.testing.assert_allclose(law.sf(u), true.sf(u), rtol=1e-9)
    np.testing.assert_allclose(law.log_pdf(u), true.logpdf(u), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(law.moments("identity"), (true.mean(), true.var()), rtol=1e-12)
    levels = np.array([1e-12, 0.3, 0.999])
    np.testing.assert_allclose(law.tail_quantile(np.log(levels), np.log1p(-levels)), true.ppf(levels), rtol=1e-9)


def test_a_law_warped_by_nothing_is_the_law() -> None:
    law, u = mixture(()), np.linspace(-4, 4, 21)
    same = Warped(law, 0.0, 1.0)
    np.testing.assert_allclose(same.cdf(u), law.cdf(u), rtol=1e-9)
    np.testing.assert_allclose(same.log_pdf(u), law.log_pdf(u), rtol=1e-9)


def test_a_pool_of_normals_is_their_mixture() -> None:
    whole = Mixture(np.log([0.25, 0.75]), means=[0.0, 3.0], stds=[1.0, 0.2])
    parts = [Mixture([0.0], means=[mean], stds=[std]) for mean, std in ((0.0, 1.0), (3.0, 0.2))]
    pooled, u = Pool(tuple(parts), ("identity", "identity"), np.log([0.25, 0.75])), np.linspace(-5, 5, 31)
    np.testing.assert_allclose(pooled.cdf(u), whole.cdf(u), rtol=1e-12)
    np.testing.assert_allclose(pooled.log_pdf(u), whole.log_pdf(u), rtol=1e-10)
    np.testing.assert_allclose(pooled.moments("identity"), whole.moments("identity"), rtol=1e-12)
    levels = np.array([1e-9, 0.1, 0.5, 1 - 1e-9])
    logs = np.log(levels), np.log1p(-levels)
    np.testing.assert_allclose(pooled.tail_quantile(*logs), whole.tail_quantile(*logs), rtol=1e-7)
    low, high = np.array(-1.0), np.array(2.9)
    np.testing.assert_allclose(pooled.log_mass(low, high), whole.log_mass(low, high), rtol=1e-12)
    np.testing.assert_allclose(pooled.moments("identity", low, high), whole.moments("identity", low, high), rtol=1e-9)


def test_a_part_without_weight_does_not_count() -> None:
    law = mixture(())
    pooled = Pool((law, NORMAL), ("sinh", "identity"), [0.0, -np.inf])
    alone = Belief(law, 0.5, 0.1, transform="sinh", metric=Metric(), t=1)
    belief = Belief(pooled, 0.5, 0.1, metric=Metric(), t=1)
    for level in (0.01, 0.5, 0.99):
        assert belief.quantile(level) == pytest.approx(alone.quantile(level), rel=1e-7)
    assert belief.crps(0.7) == pytest.approx(alone.crps(0.7), rel=1e-4)
    assert belief.mean() == pytest.approx(alone.mean(), rel=1e-9)


def test_pools_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="parts of one shape"):
        Pool((mixture(()), mixture((2,))), ("sinh", "sinh"), [0.0, 0.0])
    with pytest.raises(ValueError, match="log_weights must have shape"):
        Pool((mixture(()),), ("sinh",), [0.0, 0.0])
    with pytest.raises(ValueError, match="stretch must be positive"):
        Warped(NORMAL, 0.0, 0.0)
    with pytest.raises(ValueError, match="law of z itself"):
        pool(()).moments("sinh")
