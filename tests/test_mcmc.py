"""The sampling engine: it keeps the contract of every engine, says how far it can be trusted, and agrees with PFN."""

import dataclasses
import warnings

import numpy as np
import pytest
from contracts import check_engine

import lcpfn
from lcpfn import Metric
from lcpfn.distributions.mixture import Mixture
from lcpfn.mcmc import AIES, MCMC, NUTS, SMC, ConvergenceWarning, Diagnostics, SampledBelief
from lcpfn.priors import Domhan

Y = [0.20, 0.34, 0.41, 0.48, 0.50, 0.55]
SMALL = SMC(particles=256, runs=2, moves=3, threshold=0.5)


@pytest.fixture(autouse=True)
def _small_runs_may_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def test_particles_keep_the_contract():
    check_engine(MCMC(sampler=SMALL))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [NUTS(chains=2, warmup=60, draws=60), AIES(walkers=30, burn_in=50, samples=100)])
def test_chains_keep_the_contract(sampler):
    check_engine(MCMC(sampler=sampler))


def test_the_network_agrees_with_particles():
    belief = MCMC(sampler=SMC(particles=2048, runs=2)).predict(Y, [10, 30, 90])
    network = lcpfn.load("paper").predict(Y, [10, 30, 90])
    np.testing.assert_allclose(network.quantile([0.1, 0.5, 0.9]), belief.quantile([0.1, 0.5, 0.9]), atol=0.06)


def test_diagnostics_follow_the_belief_and_few_particles_are_no_reference():
    with pytest.warns(ConvergenceWarning, match="nats") as caught:
        belief = MCMC(sampler=SMC(particles=64, runs=2, moves=1, threshold=0.3)).predict([Y, Y[:3]], [50, 90])
    told = belief.diagnostics
    assert told.spread.shape == (2, 2) and (told.spread > 0.02).any()
    assert not told.is_reference.all() and np.isfinite(told.log_evidence).all()
    np.testing.assert_array_equal(belief[1].diagnostics.spread, told.spread[1])
    assert caught[0].message.diagnostics.spread.shape == (2, 2)


def test_nothing_seen_is_the_prior_and_off_grid_times_are_taken():
    engine = MCMC(sampler=SMALL)
    assert 0.2 < float(engine.predict([], [100]).median()[0]) < 0.95
    between = engine.predict([0.2, 0.4, 0.5], [9.5, 80], t=[1.5, 3.25, 6.0])
    assert between.shape == (2,) and np.isfinite(between.mean()).all()


def test_a_prior_that_picks_families_is_sampled_by_particles_alone():
    with pytest.raises(ValueError, match="gradient"):
        MCMC(Domhan(), sampler="nuts")
    belief = MCMC(Domhan(), sampler=SMALL).predict(Y, [20, 90])
    assert ((belief.median() > 0.5) & (belief.median() < 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "gibbs"}, "nuts, aies, smc"),
        ({"sampler": AIES(walkers=10)}, "26 walkers"),
    ],
)
def test_wrong_samplers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MCMC(**arguments)


def test_wrong_input_is_refused():
    engine = MCMC(sampler=SMALL)
    with pytest.raises(TypeError, match="weighted sum of families"):
        MCMC("paper")
    with pytest.raises(ValueError, match="both bounds"):
        engine.predict(Y, 50, metric=Metric("min"))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        engine.predict([10.0, 20.0], 50)
    with pytest.raises(ValueError, match="this prior"):
        engine.predict(Y, 500)


def test_a_part_of_a_sampled_belief_keeps_all_that_is_known() -> None:
    """Indexing dropped the outcome, and would drop whatever a belief is given next."""
    shape = (2, 3)
    diagnostics = Diagnostics(**{field.name: np.ones(shape) for field in dataclasses.fields(Diagnostics)})
    outcome = np.arange(12.0).reshape(*shape, 2) / 100
    belief = SampledBelief(
        Mixture(np.zeros((*shape, 1)), np.zeros((*shape, 1)), np.ones((*shape, 1))),
        np.zeros(shape),
        np.ones(shape),
        metric=Metric(),
        t=np.arange(6.0).reshape(shape),
        outcome=outcome,
        diagnostics=diagnostics,
    )
    part = belief[1, 1:]
    assert isinstance(part, SampledBelief) and part.diagnostics.r_hat.shape == (2,)
    np.testing.assert_array_equal(part.outcome, outcome[1, 1:])
    np.testing.assert_array_equal(part.prob_diverged(), outcome[1, 1:].sum(-1))
    np.testing.assert_array_equal(part.t, [4, 5])
