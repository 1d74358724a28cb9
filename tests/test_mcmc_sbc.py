"""Simulation-based calibration of the sampler on the prior of the paper: its draws behave as the truth does."""

import numpy as np
import pytest
import torch
from scipy import stats

from lcpfn.calibration import sbc, sbc_ranks
from lcpfn.mcmc import MCMC, SMC
from lcpfn.priors import Paper

CURVES, SEEN, DRAWS = 150, 3, 15
QUANTITIES = ("log sigma", "signal at 100", "log likelihood", "best to come")
# Of all tests below together, false alarms are less likely than 1e-3 if the sampler is right.
ALARM = 1e-4
# A run of 256 particles with 6 moves is too small: 250 curves find its log likelihoods too low (p 2e-5, 4 points).
SIZE = SMC(particles=512, runs=1, moves=8, threshold=0.5)
GRID = np.arange(1.0, 101.0)

pytestmark = pytest.mark.slow


def quantities(signal: np.ndarray, sigma: np.ndarray, noise: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """QUANTITIES (S,) of S states: signal (S, 100), sigma (S,), their noise (S, 100) in units of sigma; y (SEEN,)."""
    likelihood = stats.norm.logpdf(y, signal[:, :SEEN], sigma[:, None]).sum(axis=1)
    best = (signal + sigma[:, None] * noise)[:, SEEN:].max(axis=1)
    return dict(zip(QUANTITIES, (np.log(sigma), signal[:, -1], likelihood, best)))


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The truth (CURVES,), draws of its posterior (DRAWS, CURVES), and draws each of another curve's posterior."""
    prior, generator = Paper(), np.random.default_rng(2)
    drawn = prior.draw(CURVES, generator=torch.Generator().manual_seed(2))
    parameters = {name: value.numpy().astype(np.float64) for name, value in drawn.items()}
    signal, sigma = np.asarray(prior.signal(parameters, GRID)), parameters["sigma"]
    noise = generator.normal(size=signal.shape)
    y = (signal + sigma[:, None] * noise)[:, :SEEN]
    engine = MCMC(prior, sampler=SIZE)
    states = []
    for curve in y:
        posterior = engine.sample(curve)
        pick = generator.choice(len(posterior.log_weights), DRAWS, replace=False)
        states.append((posterior.signal(GRID)[pick], posterior.parameters["sigma"][pick]))

    def gathered(step: int) -> dict[str, np.ndarray]:
        """Draw s of curve i is that of curve i - step * (s + 1)."""
        rows = []
        for i in range(CURVES):
            own = [states[(i - step * (s + 1)) % CURVES] for s in range(DRAWS)]
            signals, sigmas = (np.stack([state[k][s] for s, state in enumerate(own)]) for k in (0, 1))
            rows.append(quantities(signals, sigmas, generator.normal(size=(DRAWS, 100)), y[i]))
        return {name: np.stack([row[name] for row in rows], axis=1) for name in QUANTITIES}

    each = [quantities(signal[i : i + 1], sigma[i : i + 1], noise[i : i + 1], y[i]) for i in range(CURVES)]
    truth = {name: np.concatenate([row[name] for row in each]) for name in QUANTITIES}
    return truth, gathered(0), gathered(1)


def p_value(draws: np.ndarray, truth: np.ndarray) -> float:
    ranks = sbc_ranks(draws, truth, generator=np.random.default_rng(1))
    judged = sbc(ranks, draws=DRAWS, bins=8, generator=np.random.default_rng(2))
    return min(judged.p, judged.ecdf.p)


@pytest.mark.parametrize("name", QUANTITIES)
def test_draws_of_the_posterior_are_calibrated(told, name: str) -> None:
    truth, draws, _ = told
    assert p_value(draws[name], truth[name]) > ALARM


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_draws_that_are_too_narrow_or_too_wide_are_found(told, name: str, factor: float) -> None:
    truth, draws, _ = told
    centre = draws[name].mean(axis=0)
    assert p_value(centre + factor * (draws[name] - centre), truth[name]) < ALARM


def test_draws_that_know_nothing_of_the_curve_are_found_by_the_likelihood_alone(told) -> None:
    """Draws of other curves' posteriors are draws of the prior: the ranks of parameters cannot see it."""
    truth, _, other = told
    assert p_value(other["log sigma"], truth["log sigma"]) > ALARM
    assert p_value(other["signal at 100"], truth["signal at 100"]) > ALARM
    assert p_value(other["log likelihood"], truth["log likelihood"]) < ALARM
