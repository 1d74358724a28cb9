"""The samplers of the posterior: a density that is right, a path that finds the evidence, chains that agree with it."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from lcpfn.mcmc import chains, smc
from lcpfn.mcmc.density import Density, Points
from lcpfn.priors import Domhan, Paper, families
from lcpfn.priors.laws import LCPFN

GRID = np.arange(1.0, 101.0)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(new_val=True):
        yield


def points(y: np.ndarray, count: int) -> Points:
    weight = (np.arange(100) < count).astype(float)
    return Points(jnp.asarray(GRID), jnp.asarray(y * weight), jnp.asarray(weight), jnp.ones(100, bool))


def curve(number: int) -> np.ndarray:
    drawn = Paper().sample(8, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(5))
    return drawn.y[number].numpy().astype(float)


@pytest.mark.parametrize("family", sorted(families.LINEAR))
def test_linear_parameters_are_those_in_which_a_family_is_affine(family):
    formula = getattr(families, family)
    _, *names = inspect.signature(formula).parameters
    fixed = {name: 0.5 + 0.2 * i for i, name in enumerate(names)}
    for name in names:
        values = [formula(GRID, **{**fixed, name: x}) for x in (0.2, 0.4, 0.6)]
        affine = np.allclose(values[0] + values[2], 2 * values[1], atol=1e-12)
        assert affine == (name in families.LINEAR[family]), name


@pytest.mark.parametrize("prior", [Paper(), Domhan()], ids=["paper", "domhan"])
def test_particles_of_the_prior_are_the_priors_own_curves(prior):
    density = Density(prior)
    cloud = smc.start(density, jax.random.key(0), 2000)
    values = density.parameters(jnp.asarray(cloud.theta), jnp.asarray(cloud.beta))
    signal = prior.signal({name: np.asarray(value) for name, value in values.items()}, GRID)
    assert (signal >= 0).all() and (signal <= 1).all() and (signal[:, -1] > signal[:, 0]).all()
    reference = prior.sample(2000, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(0)).signal.numpy()
    for place in (0, 9, 99):  # two samples of 2000: the difference of their means has a standard error of 0.022 sd
        gap = signal[:, place].mean() - reference[:, place].mean()
        assert abs(gap) < 6 * 0.0316 * reference[:, place].std()


def test_density_is_that_of_the_prior_and_the_likelihood():
    density, y = Density(Paper()), curve(0)
    cloud = smc.start(density, jax.random.key(1), 64)
    state = density.state(jnp.asarray(cloud.theta), points(y, 20), beta=jnp.asarray(cloud.beta))
    again = density.state(state.theta, points(y, 20), z=state.z)
    np.testing.assert_allclose(again.beta, state.beta, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(again.log_ratio, state.log_ratio, rtol=1e-6)
    # The Jacobian, by differences: log_ratio + log N(z) - log prior - log likelihood is log |d beta / d z|.
    values = {name: np.asarray(v) for name, v in density.parameters(state.theta, state.beta).items()}
    signal = Paper().signal(values, GRID)[:, :20]
    scaled = (y[:20] - signal) / values["sigma"][:, None]
    likelihood = (-0.5 * scaled**2 - np.log(values["sigma"])[:, None] - 0.5 * np.log(2 * np.pi)).sum(1)
    ranges = [LCPFN[family][key].high - LCPFN[family][key].low for family, key, _ in density.linear]
    z = np.asarray(state.z)
    normal = -0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    jacobian = np.asarray(state.log_ratio) + normal + np.log(ranges).sum() - likelihood
    for i in range(5):
        rows = [
            density.state(state.theta[i : i + 1], points(y, 20), z=state.z[i : i + 1] + h).beta[0]
            for h in np.eye(z.shape[1])
        ]
        slope = np.stack(rows) - np.asarray(state.beta[i])  # beta is affine in z
        np.testing.assert_allclose(np.linalg.slogdet(slope)[1], jacobian[i], rtol=1e-5, atol=1e-5)


def evidence(y: np.ndarray, count: int, seed: int, *, stages: tuple[int, ...] = (), particles: int = 1024) -> float:
    density, total = Density(Paper()), 0.0
    cloud, before = smc.start(density, jax.random.key(seed), particles), np.zeros(100)
    for stage in (*stages, count):
        now = points(y, stage)
        cloud, gained, _ = smc.advance(
            density, jax.random.key(seed + stage), cloud, now, jnp.asarray(before), moves=5, threshold=0.5
        )
        before, total = np.asarray(now.weight), total + float(gained)
    return total


def test_evidence_is_the_mean_likelihood_under_the_prior():
    y = curve(1)
    cloud = smc.start(Density(Paper()), jax.random.key(9), 200_000)
    values = Density(Paper()).parameters(jnp.asarray(cloud.theta), jnp.asarray(cloud.beta))
    signal = Paper().signal({name: np.asarray(v) for name, v in values.items()}, GRID[:3])
    sigma = np.asarray(values["sigma"])[:, None]
    likelihood = np.exp((-0.5 * ((y[:3] - signal) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)).sum(1))
    error = likelihood.std() / np.sqrt(len(likelihood)) / likelihood.mean()
    runs = [evidence(y, 3, seed) for seed in range(4)]
    spread = np.hypot(error, np.std(runs, ddof=1) / 2)
    assert abs(np.mean(runs) - np.log(likelihood.mean())) < 5.3 * max(spread, 0.02)


def test_stages_lead_to_the_same_evidence_as_one_step():
    y = curve(1)
    once = [evidence(y, 20, seed) for seed in range(3)]
    staged = [evidence(y, 20, seed, stages=(10,)) for seed in range(3)]
    assert abs(np.mean(once) - np.mean(staged)) < 5.3 * max(np.std([*once, *staged], ddof=1) * 0.82, 0.05)


@pytest.mark.slow
def test_chains_and_particles_agree_on_the_end_of_a_curve():
    density, y = Density(Paper()), curve(2)
    now = points(y, 20)
    cloud = smc.start(density, jax.random.key(0), 2048)
    cloud, _, _ = smc.advance(density, jax.random.key(1), cloud, now, jnp.zeros(100), moves=8, threshold=0.6)

    def end(theta, beta):
        values = density.parameters(jnp.asarray(theta), jnp.asarray(beta))
        return Paper().signal({name: np.asarray(v) for name, v in values.items()}, GRID[-1:])[:, 0]

    reference = end(cloud.theta, cloud.beta)
    first = smc.Cloud(cloud.theta[:4], cloud.beta[:4])
    nuts = chains.no_u_turn(density, jax.random.key(2), first, now, warmup=200, draws=300, target_accept=0.8, depth=8)
    walkers = smc.Cloud(cloud.theta[:60], cloud.beta[:60])
    aies = chains.ensemble(density, jax.random.key(3), walkers, now, burn_in=300, draws=600, thinning=10)
    for run in (nuts, aies):
        inside = np.isfinite(np.asarray(run.log_ratio)).reshape(-1)
        ends = end(run.theta.reshape(len(inside), -1), run.beta.reshape(len(inside), -1))[inside]
        assert abs(ends.mean() - reference.mean()) < 0.3 * reference.std()  # an effective 300 draws: 5 standard errors
        assert 0.75 < ends.std() / reference.std() < 1.33
