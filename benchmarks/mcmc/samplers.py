"""The posterior of exam curves by every method that claims to know it, and what each answer is worth and costs.

A line of work is one curve: its cells, one for each cut-off, are dictionaries of plain numbers. Seconds are those of
the processor (`time.process_time`) on one thread: this machine is shared, and a clock on the wall would count others'
work.

Letters: T points of a curve, S draws, R independent runs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from prior import exam

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.mcmc import AIES, MCMC, NUTS, SMC, ConvergenceWarning, smc
from lcpfn.mcmc.density import Density, Points
from lcpfn.priors import Paper

Cell = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """A way to the posterior.

    Attributes:
        name: in tables.
        curves: how many of the exam's first curves it answers for in a full run.
        settings: what its numbers depend on, as JSON.
        answer: the cells of a curve (T,) of this number.
    """

    name: str
    curves: int
    settings: dict[str, Any]
    answer: Callable[[np.ndarray, int], list[Cell]] = field(repr=False)


@dataclass(frozen=True)
class Reference:
    """Settings of the reference: runs of SMC that learn a curve in stages, and more particles where they disagree."""

    particles: int = 4096
    again: int = 8192  # where the standard error of a cell is above MAX_SPREAD
    runs: int = 4
    moves: int = 10
    threshold: float = 0.6


MAX_SPREAD = 0.02  # nats
CRPS_DRAWS = 1000  # evenly spaced ones of a belief made of more: with all, scoring takes longer than sampling


def methods(*, curves: int, nuts_curves: int, reference_curves: int, seed: int) -> dict[str, Method]:
    """Every method by its name: shipped checkpoints, chains, particles, the reference."""
    made = [
        Method(each.name, curves, {"sha256": each.facts["sha256"]}, partial(_network, each.answers))
        for each in exam.shipped()
        if each.facts["values"] == "local" and each.name.startswith("paper")
    ]
    samplers = (("nuts", NUTS(), nuts_curves), ("aies", AIES(), curves), ("smc", SMC(runs=1), reference_curves))
    for name, sampler, count in samplers:
        settings = {"sampler": type(sampler).__name__, **asdict(sampler), "seed": seed}
        made.append(Method(name, count, settings, partial(_sampled, MCMC(sampler=sampler, seed=seed))))
    settings = asdict(Reference()) | {"seed": seed}
    made.append(Method("reference", reference_curves, settings, partial(_reference, Reference(), seed)))
    return {method.name: method for method in made}


def judge(belief: Belief, y: np.ndarray, cut: int) -> Cell:
    """What a belief about all later points of a curve (T,) is worth."""
    truth = y[cut:]
    return {
        "cut": cut,
        "log_density": float(belief.log_prob(truth).mean()),
        "crps": float(_thinned(belief).crps(truth).mean()),
    }


def _thinned(belief: Belief) -> Belief:
    """The same of evenly spaced draws, CRPS_DRAWS at most."""
    law = belief.law
    if not isinstance(law, Mixture) or law.width <= CRPS_DRAWS:
        return belief
    every = -(-law.width // CRPS_DRAWS)
    return _of(belief, *(part[:, ::every] for part in (law.log_weights, law.means, law.stds)))


def _of(belief: Belief, weights: np.ndarray, means: np.ndarray, stds: np.ndarray) -> Belief:
    """The belief with another mixture, parameters (Q, S) each."""
    law = Mixture(weights, means, stds)
    return Belief(law, belief.location, belief.scale, metric=belief.metric, kind=belief.kind, t=belief.t)


def questions(y: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Cut-off, what was seen, and the times asked about."""
    for cut in exam.CUTS:
        yield cut, y[:cut], np.arange(cut + 1.0, len(y) + 1)


def _network(answers: Any, y: np.ndarray, number: int) -> list[Cell]:
    cells = []
    for cut, seen, asked in questions(y):
        began = time.process_time()
        belief = answers.predict(seen[None], asked, kind="value", metric=exam.METRIC)[0]
        seconds = time.process_time() - began
        cells.append(judge(belief, y, cut) | {"seconds": seconds})
    return cells


def _sampled(engine: MCMC, y: np.ndarray, number: int) -> list[Cell]:
    """By `MCMC.predict`; of an ensemble also what half of its draws says, the paper's M1."""
    cells = []
    for cut, seen, asked in questions(y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is counted instead
            began = time.process_time()
            belief = engine.predict(seen, asked, kind="value", metric=exam.METRIC)
            seconds = time.process_time() - began
        told = belief.diagnostics
        cell = judge(belief, y, cut) | {"seconds": seconds, "inside": float(told.inside.min())}
        if not np.isnan(told.r_hat).all():
            cell |= {
                "r_hat": float(told.r_hat.max()),
                "ess": float(np.minimum(told.ess_bulk, told.ess_tail).min()),
                "converged": bool(told.converged.all()),
            }
        if not np.isnan(told.divergences).all():
            cell["divergences"] = float(told.divergences.max())
        if isinstance(engine.sampler, AIES):
            cell["half"] = judge(_first_half(belief, engine.sampler), y, cut)
        cells.append(cell)
    return cells


def _first_half(belief: Belief, sampler: AIES) -> Belief:
    """What the first half of each walker's draws says: the same chains, stopped earlier."""
    law = belief.law
    assert isinstance(law, Mixture)
    means, stds = (part.reshape(len(part), sampler.walkers, -1) for part in (law.means, law.stds))
    draws = means.shape[-1] // 2
    means, stds = (part[..., :draws].reshape(len(part), -1) for part in (means, stds))
    return _of(belief, np.full(means.shape, -np.log(means.shape[1])), means, stds)


def _reference(settings: Reference, seed: int, y: np.ndarray, number: int) -> list[Cell]:
    """By independent runs combined by their evidence, with the standard error of what they say together."""
    with jax.enable_x64(True):  # noqa: FBT003
        key = jax.random.fold_in(jax.random.key(seed), number)
        cells = _staged(settings, settings.particles, key, y)
        if max(cell["spread"] for cell in cells) > MAX_SPREAD:
            first = sum(cell["seconds"] for cell in cells)
            cells = _staged(settings, settings.again, jax.random.fold_in(key, settings.runs), y)
            cells[0]["seconds"] += first
    return cells


def _staged(settings: Reference, particles: int, key: Any, y: np.ndarray) -> list[Cell]:
    """Cells of independent runs, each of which goes on from one cut-off to the next."""
    density = Density(Paper())
    clouds: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in exam.CUTS]  # by cut-off and run: signal, sigma
    evidence = np.zeros((len(exam.CUTS), settings.runs))
    seconds = np.zeros(len(exam.CUTS))
    for run in range(settings.runs):
        begin, *keys = jax.random.split(jax.random.fold_in(key, run), 1 + len(exam.CUTS))
        began = time.process_time()
        cloud = smc.start(density, begin, particles)
        before, total = jnp.zeros(len(y)), 0.0
        for c, (cut, _, asked) in enumerate(questions(y)):
            weight = (np.arange(len(y)) < cut).astype(float)
            points = Points(jnp.arange(1.0, len(y) + 1), jnp.asarray(y), jnp.asarray(weight), jnp.ones(len(y), bool))
            cloud, gained, _ = smc.advance(
                density, keys[c], cloud, points, before, moves=settings.moves, threshold=settings.threshold
            )
            before, total = points.weight, total + float(gained)
            values = {name: np.asarray(x) for name, x in density.parameters(cloud.theta, cloud.beta).items()}
            clouds[c].append((np.asarray(density.prior.signal(values, asked)), values["sigma"]))
            evidence[c, run] = total
            now = time.process_time()
            seconds[c] += now - began
            began = now
    return [
        _together(clouds[c], evidence[c], y, cut) | {"seconds": float(seconds[c]), "particles": particles}
        for c, (cut, _, _) in enumerate(questions(y))
    ]


def _together(runs: list[tuple[np.ndarray, np.ndarray]], evidence: np.ndarray, y: np.ndarray, cut: int) -> Cell:
    """The cell of runs of equally many particles, each weighted by its evidence."""
    means = np.concatenate([signal for signal, _ in runs]).T  # (later times, S)
    stds = np.broadcast_to(np.concatenate([sigma for _, sigma in runs]), means.shape)
    size = len(runs[0][1])
    logs = evidence - np.logaddexp.reduce(evidence)
    weights = np.broadcast_to(np.repeat(logs - np.log(size), size), means.shape)
    asked = np.arange(cut + 1.0, len(y) + 1)
    unit = np.zeros(len(asked)), np.ones(len(asked))
    belief = Belief(Mixture(weights, means, stds), *unit, metric=exam.METRIC, kind="value", t=asked)
    shares, r = np.exp(logs), len(runs)
    alone = np.empty(r)
    for i, (signal, sigma) in enumerate(runs):
        each = -0.5 * ((y[cut:] - signal) / sigma[:, None]) ** 2 - np.log(sigma)[:, None] - 0.5 * np.log(2 * np.pi)
        alone[i] = (np.logaddexp.reduce(each) - np.log(size)).mean()
    error = np.sqrt((shares**2) @ (alone - shares @ alone) ** 2 * r / (r - 1))
    return judge(belief, y, cut) | {
        "spread": float(error),
        "log_evidence": float(np.logaddexp.reduce(evidence) - np.log(r)),
        "evidence_spread": float(evidence.std(ddof=1)),
    }
