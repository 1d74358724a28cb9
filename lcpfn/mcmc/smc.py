"""Tempered sequential Monte Carlo: particles are led from the prior to the posterior, and give the evidence on the way.

Temperatures are chosen so that the effective sample size falls to a set share at each. Between them particles are
resampled and moved: differential evolution, random walks, fresh draws of some parameters, and steps of the linear
parameters alone. Half of the particles move at a time, by what the other half says, so each move leaves the
posterior as it is. The points of a curve may come in stages, each of which starts from the one before.

Source:
    Del Moral, Doucet, Jasra 2006; ter Braak 2006 (differential evolution).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lcpfn.mcmc.density import Density, Points, State

PROPOSED = 2**16  # proposals of the prior at once
PATIENCE = 64  # such batches


class Cloud(NamedTuple):
    """Particles of equal weight."""

    theta: Any  # (N, D)
    beta: Any  # (N, J)


def start(density: Density, key: Any, particles: int) -> Cloud:
    """Independent draws of the prior.

    Raises:
        ValueError: if too few proposals of the prior are acceptable.
    """
    grid = jnp.arange(1.0, density.prior.horizon + 1.0)
    thetas, betas, found = [], [], 0
    size = min(PROPOSED, 8 * particles)
    for number in range(PATIENCE):
        theta, beta, passed = _proposals(density, jax.random.fold_in(key, number), size, grid)
        keep = np.flatnonzero(passed)
        thetas.append(np.asarray(theta)[keep])
        betas.append(np.asarray(beta)[keep])
        found += len(keep)
        if found >= particles:
            return Cloud(np.concatenate(thetas)[:particles], np.concatenate(betas)[:particles])
    raise ValueError(f"too few draws of the prior are acceptable: {found} of {PATIENCE * size}, {particles} are needed")


@partial(jax.jit, static_argnums=(0, 2))
def _proposals(density: Density, key: Any, n: int, grid: Any) -> Any:
    return density.proposals(key, n, grid)


@partial(jax.jit, static_argnums=(0,), static_argnames=("moves", "threshold"))
def advance(
    density: Density, key: Any, cloud: Cloud, points: Points, before: Any, *, moves: int, threshold: float
) -> tuple[Cloud, Any, Any]:
    """The particles led from the likelihood with weights `before` (P,) to that with `points.weight`.

    Args:
        density: of the parameters.
        key: of the randomness.
        cloud: N particles, N even.
        points: of the curve.
        before: (P,) weights of the measurements that the particles know.
        moves: of each particle at each temperature.
        threshold: share of N that the effective sample size may fall to between two temperatures.

    Returns:
        The particles; the log of the ratio of both evidences, nan if no particle has a positive likelihood; and
        counts: temperatures, and the share of accepted moves at the last one.
    """
    n = cloud.theta.shape[0]
    change = points.weight - before
    anything = points._replace(weight=jnp.maximum(before, points.weight))  # log densities wherever they are needed

    def weighed(share: Any) -> Points:
        return points._replace(weight=before + share * change)

    def gain(theta: Any, beta: Any) -> Any:  # log likelihood that the new weights add
        values = density.parameters(theta, beta)
        offset, columns = density.design(values, points.t)
        signal = offset + sum(beta[:, j, None] * column for j, column in enumerate(columns))
        scaled = (points.y - signal) / values["sigma"][:, None]
        each = -0.5 * scaled * scaled - jnp.log(values["sigma"])[:, None] - 0.5 * np.log(2 * np.pi)
        return jnp.where(anything.weight > 0, change * each, 0.0).sum(-1)

    def body(carry: Any) -> Any:
        key, share, theta, beta, evidence, steps, _ = carry
        key, pick, move = jax.random.split(key, 3)
        added = gain(theta, beta)
        new = _next(share, added, threshold * n)
        logs = (new - share) * added
        evidence = evidence + jax.scipy.special.logsumexp(logs) - jnp.log(n)
        chosen = _systematic(pick, jax.nn.softmax(logs))
        theta, beta, accepted = _move(density, move, theta[chosen], beta[chosen], weighed(new), moves)
        return key, new, theta, beta, evidence, steps + 1, accepted

    def going(carry: Any) -> Any:
        return (carry[1] < 1.0) & jnp.isfinite(carry[4])

    first = (key, jnp.zeros(()), cloud.theta, cloud.beta, jnp.zeros(()), 0, jnp.zeros(()))
    _, _, theta, beta, evidence, steps, accepted = jax.lax.while_loop(going, body, first)
    return Cloud(theta, beta), evidence, (steps, accepted)


def _next(share: Any, added: Any, wanted: float) -> Any:
    """The largest share at which the effective sample size is still what is wanted."""

    def size(new: Any) -> Any:
        logs = (new - share) * added
        logs = logs - logs.max()
        w = jnp.exp(logs)
        return w.sum() ** 2 / (w * w).sum()

    def halve(_: int, ends: Any) -> Any:
        low, high = ends
        middle = (low + high) / 2
        good = size(middle) >= wanted
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    low, _ = jax.lax.fori_loop(0, 40, halve, (share, jnp.ones(())))
    step = jnp.maximum(low, share + 1e-9 * (1 - share))  # always on
    return jnp.where(size(1.0) >= wanted, 1.0, jnp.minimum(step, 1.0))


def _systematic(key: Any, weights: Any) -> Any:
    """(N,) indices of the resampled, shuffled so that both halves are alike."""
    n = len(weights)
    place, order = jax.random.split(key)
    at = (jnp.arange(n) + jax.random.uniform(place)) / n
    index = jnp.minimum(jnp.searchsorted(jnp.cumsum(weights), at), n - 1)
    return jax.random.permutation(order, index)


def _move(density: Density, key: Any, theta: Any, beta: Any, points: Points, moves: int) -> Any:
    """The particles after so many moves, and the share of accepted ones."""
    half = len(theta) // 2
    state = density.state(theta, points, beta=beta)
    halves = (_rows(state, slice(None, half)), _rows(state, slice(half, None)))

    def body(number: int, carry: Any) -> Any:
        left, right, accepted = carry
        one, two = jax.random.split(jax.random.fold_in(key, number))
        left, a = _step(density, one, left, right.theta, points)
        right, b = _step(density, two, right, left.theta, points)
        return left, right, accepted + (a + b) / (2 * moves)

    left, right, accepted = jax.lax.fori_loop(0, moves, body, (*halves, jnp.zeros(())))
    return jnp.concatenate([left.theta, right.theta]), jnp.concatenate([left.beta, right.beta]), accepted


def _step(density: Density, key: Any, state: State, others: Any, points: Points) -> tuple[State, Any]:
    """One Metropolis-Hastings step of each particle, by differences of the others."""
    n, d = state.theta.shape
    keys = jax.random.split(key, 12)
    uniform = partial(jax.random.uniform, shape=(n, 1))
    # Which of theta's entries change: all, about half, or about one.
    share = jnp.select([uniform(keys[0]) < 1 / 3, uniform(keys[1]) < 0.5], [1.0, 0.5], 1 / d)
    mask = jax.random.uniform(keys[2], (n, d)) < share
    pair = jax.random.randint(keys[3], (2, n), 0, len(others))
    count = jnp.maximum(mask.sum(-1, keepdims=True), 1)
    stride = jnp.where(uniform(keys[4]) < 0.1, 1.0, 2.38 / jnp.sqrt(2 * count) * uniform(keys[5]))
    noise = jax.random.normal(keys[6], (n, d))
    evolved = state.theta + stride * (others[pair[0]] - others[pair[1]]) + 1e-3 * noise
    walked = state.theta + jnp.exp(jnp.log(0.01) * uniform(keys[7])) * others.std(0) * noise
    # 0.45 evolution, 0.2 random walk, 0.15 fresh draws of the prior, 0.2 the linear parameters alone
    what = uniform(keys[8])
    fresh = (what > 0.65) & (what < 0.8)
    theta = jnp.where(what < 0.45, evolved, jnp.where(what < 0.65, walked, noise))
    theta = jnp.where(mask & (what < 0.8), theta, state.theta)
    keep = jnp.sqrt(jnp.array([0.0, 0.5, 0.9, 0.99]))[jax.random.randint(keys[9], (n, 1), 0, 4)]
    z = keep * state.z + jnp.sqrt(1 - keep * keep) * jax.random.normal(keys[10], state.z.shape)
    new = density.state(theta, points, z=z)
    # Fresh draws come from the prior of theta, so its density cancels; z's step leaves its normal law as it is.
    prior = jnp.where(fresh[:, 0], 0.0, 0.5 * (state.theta**2 - theta**2).sum(-1))
    accept = jnp.log(jax.random.uniform(keys[11], (n,))) < prior + new.log_ratio - state.log_ratio
    mixed = State(*(jnp.where(accept[:, None] if a.ndim == 2 else accept, a, b) for a, b in zip(new, state)))
    return mixed, accept.mean()


def _rows(state: State, rows: slice) -> State:
    return State(*(part[rows] for part in state))
