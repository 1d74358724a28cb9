"""MCMC: the same question as `PFN.predict`, answered by sampling the posterior of the prior's parameters.

Letters: B curves, T observed points, Q query points, S draws.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric
from lcpfn.prepare import World, prepare

try:
    import jax
    import jax.numpy as jnp

    from lcpfn.mcmc import smc
    from lcpfn.mcmc.chains import ensemble, no_u_turn
    from lcpfn.mcmc.density import Density, Points
    from lcpfn.mcmc.diagnostics import ConvergenceWarning, Diagnostics, bfmi, judged, warn
    from lcpfn.mcmc.posterior import Posterior, SampledBelief
    from lcpfn.priors.combination import Combination
    from lcpfn.priors.paper import Paper
except ImportError as error:
    raise ImportError("lcpfn.mcmc needs jax, numpyro and torch: install this project with '.[mcmc]'") from error

__all__ = ["AIES", "MCMC", "NUTS", "SMC", "ConvergenceWarning", "Diagnostics", "Posterior", "SampledBelief"]

JUDGED_TIMES = 12  # of the asked ones, at most, whose chains are judged; the others are told of the nearest
DIGITS = 12  # y is rounded to so many, so that 1 - (1 - y) gives the same chains


@dataclass(frozen=True)
class NUTS:
    """The no-U-turn sampler; its chains start from particles of a small SMC run."""

    chains: int = 4
    warmup: int = 300
    draws: int = 500  # of each chain
    target_accept: float = 0.8
    depth: int = 8  # of its trees, at most


@dataclass(frozen=True)
class AIES:
    """The affine-invariant ensemble with the LC-PFN paper's M3 settings; M1 has 2000 samples."""

    walkers: int = 100
    burn_in: int = 500
    samples: int = 4000  # of each walker, after burn-in
    kept: int = 4000  # draws kept in all, evenly spaced


@dataclass(frozen=True)
class SMC:
    """Tempered sequential Monte Carlo, several independent runs combined by their evidence."""

    particles: int = 2048
    runs: int = 4
    moves: int = 10  # of each particle at each temperature
    threshold: float = 0.6  # share of the particles that the effective sample size may fall to


Sampler = NUTS | AIES | SMC


class MCMC:
    """An engine that samples: `predict` as of `PFN`, and the same answers with diagnostics.

    Args:
        prior: a weighted sum of families, as `lcpfn.priors.Paper()` or `Domhan()`.
        sampler: "nuts", "aies", "smc", or one of these with settings of its own.
        seed: of all randomness; the same curve gets the same draws whatever stands beside it.

    Raises:
        ValueError: if there is no such sampler, or the prior's density has no gradient and the sampler needs one.
        TypeError: if the prior is not a sum of families.
    """

    def __init__(self, prior: Combination | None = None, *, sampler: Sampler | str = "nuts", seed: int = 0) -> None:
        prior = Paper() if prior is None else prior
        if not isinstance(prior, Combination):
            raise TypeError(f"prior must be a weighted sum of families, as lcpfn.priors.Paper(), got {prior!r}")
        if isinstance(sampler, str):
            names: dict[str, Sampler] = {"nuts": NUTS(), "aies": AIES(), "smc": SMC()}
            if sampler not in names:
                raise ValueError(f"sampler must be one of {', '.join(names)}, or its settings, got {sampler!r}")
            sampler = names[sampler]
        self.prior, self.sampler, self.seed = prior, sampler, seed
        self.density = Density(prior)
        if isinstance(sampler, NUTS) and not self.density.smooth:
            raise ValueError(
                f"nuts needs a gradient, but each curve of {prior.name!r} picks {prior.terms} of "
                f'{len(prior.families)} families; use sampler="smc"'
            )
        if isinstance(sampler, AIES) and sampler.walkers < 2 * sum(self.density.size):
            raise ValueError(f"aies needs {2 * sum(self.density.size)} walkers or more, got {sampler.walkers}")
        self.metric = Metric("max", bounds=prior.bounds)

    def __repr__(self) -> str:
        return f"MCMC(prior={self.prior.name!r}, sampler={self.sampler})"

    def predict(
        self,
        y: Any,
        t_query: Any = None,
        *,
        horizon: float | None = None,
        t: Any = None,
        kind: str = "value",
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
    ) -> SampledBelief:
        """The belief about later times, given the points seen so far; arguments as of `PFN.predict`.

        "value" is exact given the draws; "signal" and "best" are smoothed, see `Posterior.components`. For "best" a
        run is taken to be measured at steps of 1, or at the typical gap of t.

        Returns:
            Belief of batch (Q,) for one curve, (B, Q) for several, with `diagnostics` of the same shape.

        Raises:
            ValueError: as for `PFN.predict`, or if the curve is outside of the prior's support.
            TypeError: as for `PFN.predict`.

        Warns:
            ConvergenceWarning: where the diagnostics are bad.
        """
        question = prepare(
            World(self.metric, (1.0, float(self.prior.horizon)), name="prior"),
            y,
            t_query,
            horizon=horizon,
            t=t,
            kind=kind,
            metric=metric,
            run_end=run_end,
            stretch_time=stretch_time,
        )
        metric, points, asked, clocked = question.metric, question.points, question.asked_user, question.asked
        low, high = metric.upward_bounds
        parts, judgements = [], []
        for i, count in enumerate(points.count):
            x, at = np.round((metric.sign * points.y[i, :count] - low) / (high - low), DIGITS), points.t[i, :count]
            posterior = self.sample(x, at)
            last = float(question.t_user[i, count - 1]) if count else 0.0
            steps = _steps(last, points.step, asked[i], clocked[i])
            seed = np.random.default_rng([self.seed, _digest(x, at)])
            means, stds = posterior.components(clocked[i], kind, steps, seed)
            parts.append((np.broadcast_to(posterior.log_weights, means.shape), means, stds))
            judgements.append(self._diagnose(posterior, clocked[i], seed))
        laws = _stacked(parts)
        shape = asked.shape
        diagnostics = Diagnostics(**{name: np.stack([each[name] for each in judgements]) for name in judgements[0]})
        warn(diagnostics)
        belief = SampledBelief(
            Mixture(*laws),
            np.full(shape, low),
            np.full(shape, high - low),
            metric=metric,
            kind=kind,
            t=np.array(asked),
            diagnostics=diagnostics,
        )
        return belief[0] if points.single else belief

    def sample(self, y: Any, t: Any = None) -> Posterior:
        """Draws of the posterior of one curve in the prior's own unit and time.

        Args:
            y: (T,) measured values, upward, as the prior's signal lies in its bounds.
            t: (T,) times from 1; 1..T if not given.

        Raises:
            ValueError: if no particle of the prior has a positive likelihood.
        """
        y = np.asarray(y, dtype=np.float64)
        t = np.arange(1.0, len(y) + 1) if t is None else np.asarray(t, dtype=np.float64)
        with jax.enable_x64(True):  # noqa: FBT003
            key = jax.random.fold_in(jax.random.key(self.seed), _digest(y, t))
            points = _points(y, t, self.prior.horizon)
            if isinstance(self.sampler, SMC):
                return self._particles(key, points, self.sampler)
            return self._chains(key, points, self.sampler)

    def _particles(self, key: Any, points: Points, settings: SMC) -> Posterior:
        clouds, evidences = [], []
        for run in range(settings.runs):
            cloud, evidence = self._cloud(jax.random.fold_in(key, run), points, settings)
            clouds.append(cloud)
            evidences.append(evidence)
        theta, beta = (np.concatenate([np.asarray(cloud[i]) for cloud in clouds]) for i in (0, 1))
        logs = np.repeat(evidences, settings.particles)
        total = np.logaddexp.reduce(evidences) - np.log(settings.runs)
        return Posterior(
            self.prior,
            self._natural(theta, beta),
            logs - np.logaddexp.reduce(logs),
            np.repeat(np.arange(settings.runs), settings.particles),
            {},
            1.0,
            float("nan"),
            float("nan"),
            float(total),
        )

    def _cloud(self, key: Any, points: Points, settings: SMC) -> tuple[smc.Cloud, float]:
        start, go = jax.random.split(key)
        cloud = smc.start(self.density, start, settings.particles)
        cloud, evidence, _ = smc.advance(
            self.density,
            go,
            cloud,
            points,
            jnp.zeros(len(points.t)),
            moves=settings.moves,
            threshold=settings.threshold,
        )
        if not np.isfinite(evidence):
            raise ValueError(
                "no curve of the prior has a positive likelihood here: y is outside of the prior's support; "
                "check bounds and direction of the metric, or the curve's outliers"
            )
        return cloud, float(evidence)

    def _chains(self, key: Any, points: Points, settings: NUTS | AIES) -> Posterior:
        begin, go = jax.random.split(key)
        wanted = settings.chains if isinstance(settings, NUTS) else settings.walkers
        first, _ = self._cloud(begin, points, SMC(particles=max(512, 2 * wanted), runs=1, moves=5, threshold=0.5))
        first = smc.Cloud(first.theta[:wanted], first.beta[:wanted])
        if isinstance(settings, NUTS):
            run = no_u_turn(
                self.density,
                go,
                first,
                points,
                warmup=settings.warmup,
                draws=settings.draws,
                target_accept=settings.target_accept,
                depth=settings.depth,
            )
        else:
            thinning = max(1, settings.samples * settings.walkers // settings.kept)
            run = ensemble(
                self.density, go, first, points, burn_in=settings.burn_in, draws=settings.samples, thinning=thinning
            )
        run = jax.tree.map(np.asarray, run)
        shape = run.log_ratio.shape
        inside = np.isfinite(run.log_ratio).reshape(-1)
        if not inside.any():
            raise ValueError('no draw lies within the prior\'s support: y is at its edge; use sampler="smc"')
        theta, beta = (part.reshape(-1, part.shape[-1]) for part in (run.theta, run.beta))
        whole = self._natural(theta, beta)
        chains = {name: value.reshape(shape) for name, value in whole.items()}
        nuts = isinstance(settings, NUTS)
        return Posterior(
            self.prior,
            {name: value[inside] for name, value in whole.items()},
            np.full(int(inside.sum()), -np.log(inside.sum())),
            np.repeat(np.arange(shape[0]), shape[1])[inside],
            chains,
            float(inside.mean()),
            float(run.diverging.mean()) if nuts else float("nan"),
            float(np.min(bfmi(run.energy))) if nuts else float("nan"),
            float("nan"),
        )

    def _natural(self, theta: Any, beta: Any) -> dict[str, np.ndarray]:
        values = self.density.parameters(jnp.asarray(theta), jnp.asarray(beta))
        return {name: np.asarray(value) for name, value in values.items()}

    def _diagnose(self, posterior: Posterior, t: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
        size = len(t)
        r_hat, bulk, tail = np.full((3, size), np.nan)
        if posterior.chains and size:
            sigma = posterior.chains["sigma"]
            whole = {name: value.reshape(-1) for name, value in posterior.chains.items()}
            places = np.unique(np.linspace(0, size - 1, JUDGED_TIMES).round().astype(int))
            nearest = np.abs(t[:, None] - t[places]).argmin(axis=1)
            signal = np.asarray(self.prior.signal(whole, t[places])).reshape(*sigma.shape, -1)
            noise = judged(np.log(sigma))
            rows = []
            for q in range(len(places)):
                r_hat_q, *sizes = zip(judged(signal[..., q]), noise)
                rows.append([max(r_hat_q), *map(min, sizes)])
            r_hat, bulk, tail = np.array(rows).T[:, nearest]
            bulk, tail = bulk * posterior.inside, tail * posterior.inside
        found = {
            "r_hat": r_hat,
            "ess_bulk": bulk,
            "ess_tail": tail,
            "divergences": posterior.divergences,
            "bfmi": posterior.bfmi,
            "inside": posterior.inside,
            "draws": float(len(posterior.log_weights)),
            "chains": float(posterior.run.max() + 1),
            "spread": posterior.spread(t, generator),
            "log_evidence": posterior.log_evidence,
        }
        return {name: np.broadcast_to(np.asarray(value, dtype=np.float64), (size,)) for name, value in found.items()}


def _steps(last: float, step: float, asked: np.ndarray, clocked: np.ndarray) -> np.ndarray:
    """Times on the clock at which a curve will be measured, up to the last asked one.

    Args:
        last: time of its last point on the user's clock.
        step: between two measurements on the user's clock.
        asked: (Q,) asked times on the user's clock.
        clocked: (Q,) the same on the prior's clock.
    """
    if not len(asked):
        return np.empty(0)
    steps = np.arange(last + step, asked.max() + 1e-9, step)
    if len(np.unique(asked)) > 1:  # the map onto the clock is linear
        a, b = np.argmin(asked), np.argmax(asked)
        slope = (clocked[b] - clocked[a]) / (asked[b] - asked[a])
        return clocked[a] + (steps - asked[a]) * slope
    return steps - asked[0] + clocked[0] if np.allclose(asked, clocked) else clocked


def _points(y: np.ndarray, t: np.ndarray, horizon: int) -> Points:
    """The curve as arrays of one of a few lengths, so that few shapes are compiled."""
    grid = np.arange(1.0, horizon + 1)
    if len(t) and not ((t == np.round(t)) & (t >= 1) & (t <= horizon)).all():
        extra = 2 ** max(5, int(np.ceil(np.log2(len(t)))))
    else:
        extra = 0
    times = np.concatenate([grid, np.ones(extra)])
    values, weight = np.zeros(horizon + extra), np.zeros(horizon + extra)
    at = horizon + np.arange(len(t)) if extra else t.astype(int) - 1
    times[at], values[at], weight[at] = t, y, 1.0
    return Points(*map(jnp.asarray, (times, values, weight, np.arange(horizon + extra) < horizon)))


def _digest(y: np.ndarray, t: np.ndarray) -> int:
    """A number that stands for the curve, the same whatever rounding did in its last digits."""
    return zlib.crc32(np.round(np.stack([y, t]), 6).astype(np.float32).tobytes())


def _stacked(parts: Sequence[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    """Weights, means and standard deviations of B curves, (B, Q, S); fewer draws are filled up with weight 0."""
    most = max(means.shape[1] for _, means, _ in parts)
    out = []
    for place, fill in enumerate((-np.inf, None, None)):
        rows = []
        for part in parts:
            values = part[place]
            missing = most - values.shape[1]
            if missing:
                rest = values[:, :1] if fill is None else np.full((len(values), 1), fill)
                values = np.concatenate([values, np.repeat(rest, missing, axis=1)], axis=1)
            rows.append(values)
        out.append(np.stack(rows))
    return out
