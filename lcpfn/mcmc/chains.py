"""Markov chains by NumPyro: the no-U-turn sampler, and the affine-invariant ensemble that the LC-PFN paper used.

The whole run is inside `jax.jit`, for one number of points, so that it is compiled once: `MCMC.run` alone compiles
anew for every curve.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
from numpyro import distributions
from numpyro.infer import AIES as Ensemble
from numpyro.infer import MCMC as Chains
from numpyro.infer import NUTS as NoUTurn

from lcpfn.mcmc.density import Density, Points
from lcpfn.mcmc.smc import Cloud


class Run(NamedTuple):
    """What the chains visited; C chains (or walkers), N draws of each."""

    theta: Any  # (C, N, D)
    beta: Any  # (C, N, J)
    log_ratio: Any  # (C, N) as of `State`, -inf outside of the prior's support
    diverging: Any  # (C, N) bool; False for an ensemble
    energy: Any  # (C, N); 0 for an ensemble


def model(density: Density, points: Points, *, soft: bool = True) -> None:
    """The NumPyro model of one curve: standard normals "theta" and "z", and all else as one factor.

    Args:
        density: of the prior's parameters.
        points: of the curve.
        soft: see `Density.state`.
    """
    theta_size, z_size = density.size
    theta = numpyro.sample("theta", distributions.Normal(0.0, 1.0).expand([theta_size]).to_event(1))
    z = numpyro.sample("z", distributions.Normal(0.0, 1.0).expand([z_size]).to_event(1))
    state = density.state(jnp.asarray(theta)[None], points, z=jnp.asarray(z)[None], soft=soft)
    numpyro.factor("curve", state.log_ratio[0])


@partial(jax.jit, static_argnums=(0,), static_argnames=("warmup", "draws", "target_accept", "depth"))
def no_u_turn(
    density: Density,
    key: Any,
    first: Cloud,
    points: Points,
    *,
    warmup: int,
    draws: int,
    target_accept: float,
    depth: int,
) -> Run:
    """Chains of the no-U-turn sampler from C first states; source: Hoffman and Gelman 2014."""
    kernel = NoUTurn(partial(model, density), target_accept_prob=target_accept, max_tree_depth=depth)
    chains = Chains(
        kernel,
        num_warmup=warmup,
        num_samples=draws,
        num_chains=len(first.theta),
        chain_method="vectorized",
        progress_bar=False,
    )
    z = density.state(first.theta, points, beta=first.beta).z
    fields = ("diverging", "energy")
    chains.run(key, points, init_params={"theta": first.theta, "z": z}, extra_fields=fields)
    extra = chains.get_extra_fields(group_by_chain=True)
    found = chains.get_samples(group_by_chain=True)
    return _run(density, found["theta"], found["z"], points, extra["diverging"], extra["energy"])


@partial(jax.jit, static_argnums=(0,), static_argnames=("burn_in", "draws", "thinning"))
def ensemble(
    density: Density, key: Any, first: Cloud, points: Points, *, burn_in: int, draws: int, thinning: int
) -> Run:
    """Walkers of the affine-invariant ensemble sampler from C first states, every `thinning`-th draw of each.

    Source: Goodman and Weare 2010; half of the moves are ter Braak's (2006) differential evolution.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpyro, on its own defaults
        with jax.ensure_compile_time_eval():  # it looks at the numbers of its moves
            moves = {Ensemble.DEMove(): 0.5, Ensemble.StretchMove(): 0.5}
            kernel = Ensemble(partial(model, density, soft=False), moves=moves)
        chains = Chains(
            kernel,
            num_warmup=burn_in,
            num_samples=draws,
            num_chains=len(first.theta),
            chain_method="vectorized",
            progress_bar=False,
            thinning=thinning,
        )
        z = density.state(first.theta, points, beta=first.beta).z
        chains.run(key, points, init_params={"theta": first.theta, "z": z})
        found = chains.get_samples(group_by_chain=True)
    shape = found["z"].shape[:2]
    return _run(density, found["theta"], found["z"], points, jnp.zeros(shape, bool), jnp.zeros(shape))


def _run(density: Density, theta: Any, z: Any, points: Points, diverging: Any, energy: Any) -> Run:
    shape = theta.shape[:2]
    state = density.state(theta.reshape(-1, theta.shape[-1]), points, z=z.reshape(-1, z.shape[-1]))
    beta, log_ratio = state.beta.reshape(*shape, -1), state.log_ratio.reshape(shape)
    return Run(theta, beta, log_ratio, diverging, energy)
