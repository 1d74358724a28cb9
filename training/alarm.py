"""What the alarm's p-values are held against: how high evidence climbs on curves of the network's own prior.

A network is a little too sure here and there, so that the bettor against it (`lcpfn.surprise`) wins more often than
against the exact posterior. Whole curves of the prior tell how often.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.pfn import PFN
from lcpfn.priors import Curves, Prior, RunPrior
from lcpfn.surprise import NullDistribution
from lcpfn.training.grids import LENGTH
from lcpfn.training.options import Options
from lcpfn.training.randomness import ALARM, generator

BATCH = 256  # runs that are asked about together


def highest(engine: PFN, prior: Prior, count: int, *, random: torch.Generator) -> np.ndarray:
    """(count,) the highest log e value of each of as many whole curves of the prior, in no order.

    Args:
        engine: whose beliefs are bet against.
        prior: that it was trained on.
        count: of curves.
        random: where they come from.
    """
    if isinstance(prior, RunPrior):
        return _of_runs(engine, prior.sample_runs(count, engine.inference.config.limit, 1, generator=random))
    drawn = prior.sample(count, torch.arange(1.0, LENGTH + 1), generator=random)
    noisy = _metric(1.0, *prior.bounds, overshoot=True)  # its noise carries y past the bounds of the signal
    return engine.surprise(np.where(drawn.seen, drawn.y, np.nan), metric=noisy).log_e.max(-1)


def _of_runs(engine: PFN, runs: Curves) -> np.ndarray:
    """Of what a network may see of each run; runs of equal metrics are asked about together."""
    limit = engine.inference.config.limit
    y = torch.where(runs.seen & torch.isfinite(runs.y), runs.y, torch.nan)[:, :limit].double().numpy()
    t = runs.t[:, :limit].double().numpy()
    assert runs.lower is not None and runs.upper is not None and runs.sign is not None and runs.horizon is not None
    kinds = torch.stack([runs.lower, runs.upper, runs.sign], 1).double().numpy()
    ends = runs.horizon.double().numpy()
    climbed = np.empty(len(runs))
    unlike, group = np.unique(kinds, axis=0, return_inverse=True)
    for place, (lower, upper, sign) in enumerate(unlike):
        metric = _metric(sign, lower, upper)
        members = np.flatnonzero(group.reshape(-1) == place)
        for rows in np.split(members, range(BATCH, len(members), BATCH)):
            told = engine.surprise(
                [y[i][~np.isnan(y[i])] for i in rows],
                t=[t[i][~np.isnan(y[i])] for i in rows],
                metric=metric,
                run_end=ends[rows],
            )
            climbed[rows] = told.log_e.max(-1, initial=0.0, where=~np.isnan(told.t))
    return climbed


def _metric(sign: float, lower: float, upper: float, *, overshoot: bool = False) -> Metric:
    low, high = (bound if math.isfinite(bound) else None for bound in (lower, upper))
    return Metric("max" if sign > 0 else "min", bounds=(low, high), overshoot=overshoot)


def calibrate(path: Path, prior: Prior, options: Options) -> None:
    """Writes into the header of the checkpoint, under "alarm", how high evidence climbs on curves of the prior."""
    checkpoint = Checkpoint.read(path)
    engine = PFN(checkpoint, device=None if options.device == "cpu" else options.device)
    null = NullDistribution.of(highest(engine, prior, options.alarm_curves, random=generator(options.seed, ALARM)))
    told = {"curves": null.curves, "highest": null.highest.tolist()}
    Checkpoint(checkpoint.config, checkpoint.weights, {**checkpoint.provenance, "alarm": told}).write(
        path, dtype=options.stored
    )
