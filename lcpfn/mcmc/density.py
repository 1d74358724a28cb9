"""The posterior of a prior's parameters given one curve, as a density for samplers; made from the prior's own data.

Given the other parameters a weighted sum of families is a linear model, so the linear parameters (asymptotes,
amplitudes) have nearly a normal conditional law. They are written as its mean plus its root times a vector z of
standard normals, and all other parameters as transforms of standard normals theta. What a sampler sees is
N(theta; 0, 1) N(z; 0, 1) exp(log_ratio): long thin ridges in the prior's own coordinates are round in these.

Letters: n states, P points, D entries of theta, J linear parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr

from lcpfn.priors import families as formulas
from lcpfn.priors.combination import Combination
from lcpfn.priors.laws import Law, LogNormal, LogUniform, Normal, OneMinusLogUniform, Uniform

LOG_2PI = float(np.log(2 * np.pi))
WALL = 0.03  # of a parameter's range: how softly "nuts" is turned back at its ends
CURVE_WALL = 0.01  # the same for the signal, in its own unit


class Points(NamedTuple):
    """Where the density looks at a curve; all arrays (P,), padded with points of weight 0 outside of the grid."""

    t: Any
    y: Any  # 0 where nothing was measured
    weight: Any  # of the measurement in the likelihood: 1, or 0 where there is none
    grid: Any  # bool: the signal must be acceptable here


class State(NamedTuple):
    """Everything about n states at one set of weights."""

    theta: Any  # (n, D)
    z: Any  # (n, J)
    beta: Any  # (n, J) linear parameters
    log_ratio: Any  # (n,) log density of (theta, z) against independent standard normals
    log_density: Any  # (n, P) log density of each measurement


@dataclass(frozen=True)
class Density:
    """The density of a prior's parameters.

    Attributes:
        prior: a weighted sum of families.
    """

    prior: Combination

    @cached_property
    def linear(self) -> tuple[tuple[str, str, Uniform | Normal], ...]:
        """Family, parameter and law of the J linear parameters."""
        return tuple(
            (family, key, law)
            for family, laws in self.prior.laws.items()
            for key, law in laws.items()
            if key in formulas.LINEAR.get(family, ()) and isinstance(law, Uniform | Normal)
        )

    @cached_property
    def other(self) -> tuple[tuple[str, Law], ...]:
        """Name and law of the parameters that theta stands for; "order.*" choose which families take part."""
        linear = {(family, key) for family, key, _ in self.linear}
        named: list[tuple[str, Law]] = [(f"{family}.weight", self.prior.weight) for family in self.prior.families]
        if self.prior.terms < len(self.prior.families):
            named += [(f"order.{family}", Uniform(0, 1)) for family in self.prior.families]
        for family, laws in self.prior.laws.items():
            named += [(f"{family}.{key}", law) for key, law in laws.items() if (family, key) not in linear]
        return (*named, ("sigma", self.prior.noise))

    @property
    def size(self) -> tuple[int, int]:
        """D and J."""
        return len(self.other), len(self.linear)

    @property
    def smooth(self) -> bool:
        """Whether the density has a gradient everywhere: all families take part in every curve."""
        return self.prior.terms == len(self.prior.families)

    def parameters(self, theta: Any, beta: Any) -> dict[str, Any]:
        """The prior's parameters, (n,) each, as `prior.signal` takes them."""
        values = {name: _value(law, theta[:, i]) for i, (name, law) in enumerate(self.other)}
        if not self.smooth:
            order = jnp.stack([values.pop(f"order.{family}") for family in self.prior.families], -1)
            rank = order.argsort(-1).argsort(-1)
            for i, family in enumerate(self.prior.families):
                values[f"{family}.weight"] = jnp.where(rank[:, i] < self.prior.terms, values[f"{family}.weight"], 0.0)
        return values | {f"{family}.{key}": beta[:, j] for j, (family, key, _) in enumerate(self.linear)}

    def design(self, values: dict[str, Any], t: Any) -> tuple[Any, list[Any]]:
        """The signal where all linear parameters are 0, (n, P), and what one unit of each adds, J arrays (n, P)."""
        offset: Any = 0.0
        columns = []
        for family, laws in self.prior.laws.items():
            formula, weight = getattr(formulas, family), values[f"{family}.weight"][:, None]
            keys = [key for f, key, _ in self.linear if f == family]
            fixed = {key: values[f"{family}.{key}"][:, None] for key in laws if key not in keys}
            start = formula(t, **fixed, **dict.fromkeys(keys, 0.0))
            offset = offset + weight * start
            units = [{**dict.fromkeys(keys, 0.0), key: 1.0} for key in keys]
            columns += [weight * (formula(t, **fixed, **unit) - start) for unit in units]
        shape = (len(values["sigma"]), len(t))
        arrays = [jnp.broadcast_to(array, shape) for array in (offset, *columns)]
        offset, *columns = jax.lax.optimization_barrier(arrays)  # XLA would evaluate them anew in every sum
        return offset, columns

    def state(self, theta: Any, points: Points, *, z: Any = None, beta: Any = None, soft: bool = False) -> State:
        """The state at theta (n, D), and either z or beta (n, J).

        Args:
            theta: other parameters.
            points: of the curve.
            z: linear parameters, relative to their conditional law.
            beta: linear parameters.
            soft: turn back softly at the ends of the support, for gradients; inside nothing changes. Else the log
                ratio is -inf outside.
        """
        values = self.parameters(theta, jnp.zeros((len(theta), len(self.linear))))
        offset, columns = self.design(values, points.t)
        sigma = values["sigma"][:, None]
        mean, root = self._conditional(offset, columns, sigma, points)
        size = len(self.linear)
        if beta is None:
            beta = mean + jnp.stack(_solve_transposed(root, [z[:, i] for i in range(size)]), -1)
        else:
            apart = beta - mean
            z = jnp.stack([sum(root[k][i] * apart[:, k] for k in range(i, size)) for i in range(size)], -1)
        signal = offset + sum(beta[:, j, None] * column for j, column in enumerate(columns))
        scaled = (points.y - signal) / sigma
        log_density = jnp.where(points.weight > 0, -0.5 * scaled * scaled - jnp.log(sigma) - 0.5 * LOG_2PI, 0.0)
        log_ratio = (
            (points.weight * log_density).sum(-1)
            + self._log_prior(beta, soft=soft)
            + self._log_acceptable(signal, points.grid, soft=soft)
            - sum(jnp.log(root[i][i]) for i in range(size))
            + 0.5 * (z * z).sum(-1)
            + 0.5 * size * LOG_2PI
        )
        return State(theta, z, beta, jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio), log_density)

    def proposals(self, key: Any, n: int, grid: Any) -> tuple[Any, Any, Any]:
        """n independent draws of the prior before its rule: theta (n, D), beta (n, J), and which pass, (n,)."""
        d, j = self.size
        draws = jax.random.normal(key, (n, d + j))
        theta = draws[:, :d]
        beta = jnp.stack([_value(law, draws[:, d + i]) for i, (_, _, law) in enumerate(self.linear)], -1)
        offset, columns = self.design(self.parameters(theta, beta), grid)
        signal = offset + sum(beta[:, i, None] * column for i, column in enumerate(columns))
        return theta, beta, self._log_acceptable(signal, jnp.ones(len(grid), bool), soft=False) == 0

    def _conditional(self, offset: Any, columns: list[Any], sigma: Any, points: Points) -> tuple[Any, list[list[Any]]]:
        """Mean (n, J) and Cholesky root of the precision, J rows of (n,), of beta, its prior taken for normal."""
        weight = points.weight / (sigma * sigma)  # (n, P)
        design = jnp.stack(columns, -1)  # (n, P, J)
        gram = jnp.einsum("npj,npk->njk", weight[..., None] * design, design)
        projected = jnp.einsum("npj,np->nj", design, weight * (points.y - offset))
        rows, target = [], []
        for i, (_, _, law) in enumerate(self.linear):
            centre, variance = _moments(law)
            rows.append([gram[:, i, k] + (1 / variance if i == k else 0.0) for k in range(i + 1)])
            target.append(projected[:, i] + centre / variance)
        root = _cholesky(rows)
        return jnp.stack(_solve_transposed(root, _solve(root, target)), -1), root

    def _log_prior(self, beta: Any, *, soft: bool) -> Any:
        total: Any = 0.0
        for j, (_, _, law) in enumerate(self.linear):
            x = beta[:, j]
            if isinstance(law, Normal):
                total = total - 0.5 * ((x - law.mean) / law.sd) ** 2 - np.log(law.sd) - 0.5 * LOG_2PI
            else:
                width = law.high - law.low
                total = total + _wall(x - law.low, WALL * width, soft) + _wall(law.high - x, WALL * width, soft)
                total = total - np.log(width)
        return total

    def _log_acceptable(self, signal: Any, grid: Any, *, soft: bool) -> Any:
        """0 where 0 <= f <= 1 on the grid and f ends above its start; the grid's points are in time order."""
        low, high = self.prior.bounds
        first, last = jnp.argmax(grid), len(grid) - 1 - jnp.argmax(grid[::-1])
        inside = _wall(jnp.where(grid, signal - low, jnp.inf).min(-1), CURVE_WALL, soft)
        inside = inside + _wall(jnp.where(grid, high - signal, jnp.inf).min(-1), CURVE_WALL, soft)
        return inside + _wall(signal[:, last] - signal[:, first], CURVE_WALL, soft)


def _wall(room: Any, width: float, soft: bool) -> Any:
    """0 where there is room; without, -inf, or softly less and less."""
    return jnp.where(room < 0, -0.5 * (room / width) ** 2 if soft else -jnp.inf, 0.0)


def _value(law: Law, u: Any) -> Any:
    """The parameter that a standard normal u stands for."""
    if isinstance(law, Normal):
        return law.mean + law.sd * u
    if isinstance(law, LogNormal):
        return jnp.exp(law.mean + law.sd * u)
    flat = law.low + (law.high - law.low) * ndtr(u)
    if isinstance(law, LogUniform):
        return jnp.exp(flat)
    return -jnp.expm1(flat) if isinstance(law, OneMinusLogUniform) else flat


def _moments(law: Uniform | Normal) -> tuple[float, float]:
    """Mean and variance."""
    if isinstance(law, Normal):
        return law.mean, law.sd**2
    return (law.low + law.high) / 2, (law.high - law.low) ** 2 / 12


# Small triangular systems written out: every entry is an array (n,), so that all of it is one fused loop over n.
# Batched LAPACK calls took most of the time of a sampler.


def _cholesky(rows: list[list[Any]]) -> list[list[Any]]:
    """The lower root of symmetric matrices whose lower triangles are these rows."""
    root: list[list[Any]] = []
    for i, row in enumerate(rows):
        root.append([])
        for k in range(i):
            inner = row[k] - sum(root[i][m] * root[k][m] for m in range(k))
            root[i].append(inner / root[k][k])
        root[i].append(jnp.sqrt(row[i] - sum(root[i][m] ** 2 for m in range(i))))
    return root


def _solve(root: list[list[Any]], target: list[Any]) -> list[Any]:
    """x with root x = target."""
    x: list[Any] = []
    for i, row in enumerate(root):
        x.append((target[i] - sum(row[k] * x[k] for k in range(i))) / row[i])
    return x


def _solve_transposed(root: list[list[Any]], target: list[Any]) -> list[Any]:
    """x with root^T x = target."""
    size = len(root)
    x: list[Any] = [None] * size
    for i in reversed(range(size)):
        x[i] = (target[i] - sum(root[k][i] * x[k] for k in range(i + 1, size))) / root[i][i]
    return x
