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
from lcpfn.priors import Prior
from lcpfn.priors.shared_times import as_runs
from lcpfn.surprise import NullDistribution
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
    limit = engine.inference.config.limit
    runs = as_runs(prior).sample_runs(count, limit, 1, generator=random)
    y = torch.where(runs.seen & torch.isfinite(runs.y), runs.y, torch.nan)[:, :limit].double().numpy()
    t = runs.t[:, :limit].double().numpy()
    noisy = runs.lower is None  # within the prior's bounds, which are those of the signal: noise carries y past them
    low, high = (torch.full_like(runs.y[:, 0], bound) for bound in prior.bounds)
    lows, highs = (bound if each is None else each for bound, each in ((low, runs.lower), (high, runs.upper)))
    signs = torch.ones_like(low) if runs.sign is None else runs.sign
    kinds = torch.stack([lows, highs, signs], 1).double().numpy()
    ends = None if runs.horizon is None else runs.horizon.double().numpy()
    climbed = np.empty(len(runs))
    unlike, group = np.unique(kinds, axis=0, return_inverse=True)
    for place, (lower, upper, sign) in enumerate(unlike):  # runs of equal metrics are asked about together
        metric = _metric(sign, lower, upper, overshoot=noisy)
        members = np.flatnonzero(group.reshape(-1) == place)
        for rows in np.split(members, range(BATCH, len(members), BATCH)):
            bets = engine.surprise(
                [y[i][~np.isnan(y[i])] for i in rows],
                t=[t[i][~np.isnan(y[i])] for i in rows],
                metric=metric,
                run_end=None if ends is None else ends[rows],
            )
            climbed[rows] = bets.log_e.max(-1, initial=0.0, where=~np.isnan(bets.t))
    return climbed


def _metric(sign: float, lower: float, upper: float, *, overshoot: bool = False) -> Metric:
    low, high = (bound if math.isfinite(bound) else None for bound in (lower, upper))
    return Metric("max" if sign > 0 else "min", bounds=(low, high), overshoot=overshoot)


def calibrate(path: Path, prior: Prior, options: Options) -> None:
    """Writes into the header of the checkpoint, under "alarm", how high evidence climbs on curves of the prior."""
    checkpoint = Checkpoint.read(path)
    engine = PFN(checkpoint, device=None if options.device == "cpu" else options.device)
    null = NullDistribution.of(highest(engine, prior, options.alarm_curves, random=generator(options.seed, ALARM)))
    alarm = {"curves": null.curves, "highest": null.highest.tolist()}
    Checkpoint(checkpoint.config, checkpoint.weights, {**checkpoint.provenance, "alarm": alarm}).write(
        path, dtype=options.stored
    )
