"""The subcommand `lcpfn verify`: a checkpoint's forecast of one curve beside the posterior of its prior."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from importlib import import_module
from typing import Any

import numpy as np

from lcpfn import logs
from lcpfn.cli.inputs import in_flags, metric_of, require, split
from lcpfn.curve import Curve
from lcpfn.pfn import load

ROWS = 8  # of the printed table, at most


def verify(options: Namespace) -> int:
    """Prints both forecasts, how far apart they are, and a verdict; draws both fans if asked."""
    require("numpyro", "mcmc")
    if options.plot:
        require("matplotlib", "plot")
    if options.runs < 2 or options.particles < 2:
        raise ValueError(
            f"--runs and --particles must be at least 2, got {options.runs} and {options.particles}: one run cannot "
            "tell how sure it is"
        )
    mcmc, verification = import_module("lcpfn.mcmc"), import_module("lcpfn.mcmc.verification")
    whole = logs.read(options.file, metric=options.column, run=options.run, clock=options.time_column)
    seen, rest = split(whole, options.observe)
    horizon = options.horizon
    if options.at is None and horizon is None:
        later = rest.t[~np.isnan(rest.y)]
        if not len(later):
            raise ValueError("say what to verify: all steps up to --horizon 100, or --at 50,100")
        horizon = later.max()
    pfn = load(options.checkpoint)
    metric, _ = metric_of(options, whole, pfn)
    began = time.perf_counter()
    try:
        told = verification.verify(
            pfn,
            seen.y,
            options.at,
            horizon=None if options.at else horizon,
            t=seen.t,
            kind=options.kind,
            metric=metric,
            stretch_time=options.stretch_time,
            sampler=mcmc.SMC(particles=options.particles, runs=options.runs),
            seed=options.seed,
        )
    except ValueError as error:
        raise ValueError(in_flags(str(error))) from error
    seconds = time.perf_counter() - began
    if options.json:
        print(json.dumps(_document(options, told, seconds), indent=2, allow_nan=False))
    else:
        print(
            f"{whole.name}, {int((~np.isnan(seen.y)).sum())} points seen; checkpoint {options.checkpoint} beside "
            f"{options.runs} runs of {options.particles:,} particles ({seconds:.0f} s)\n"
        )
        print(_table(told, whole.clock))
        print(f"\n{told.verdict}")
    if options.plot:
        _draw(options.plot, told, seen, rest, whole)
    return 0


def _table(told: Any, clock: str) -> str:
    """The beliefs at some of the times, and how far apart they are."""
    rows = np.unique(np.linspace(0, len(told.gap) - 1, ROWS).round().astype(int))
    lines = [
        f"{'':>10}   {'network':^30}   {'reference':^30}   {'apart by':^22}",
        f"{clock:>10}" + f"   {'median':>9} {'90 % interval':>20}" * 2 + f"   {'nats':>13} {'odds':>8}",
    ]
    quantiles = [belief.quantile([0.05, 0.5, 0.95]) for belief in (told.network, told.reference)]
    for i in rows:
        sides = "".join(f"   {q[i, 1]:>9.4g} {f'{q[i, 0]:.4g} to {q[i, 2]:.4g}':>20}" for q in quantiles)
        apart = f"{told.gap[i]:.3f} ± {told.gap_se[i]:.3f}"
        lines.append(f"{told.network.t[i]:>10.6g}{sides}   {apart:>13} {100 * told.odds[i]:>6.1f} %")
    mean = f"{told.gap.mean():.3f}"
    lines.append(f"{'all':>10}{'':>66}   {mean:>13} {100 * told.odds.max():>6.1f} %")
    if np.isfinite(told.spread):
        lines.append(f"the reference itself is sure to {told.spread:.3f} nats")
    return "\n".join(lines)


def _document(options: Namespace, told: Any, seconds: float) -> dict[str, Any]:
    """The same as JSON."""
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    sides = {
        name: [dict(zip(map(str, levels), map(float, row))) for row in belief.quantile(levels)]
        for name, belief in (("network", told.network), ("reference", told.reference))
    }
    return {
        "format": 1,
        "source": options.file,
        "checkpoint": options.checkpoint,
        "particles": options.particles,
        "runs": options.runs,
        "seed": options.seed,
        "seconds": round(seconds, 2),
        "t": [float(t) for t in told.network.t],
        **sides,
        "gap": [float(x) for x in told.gap],
        "gap_se": [float(x) for x in told.gap_se],
        "odds": [float(x) for x in told.odds],
        "spread": float(told.spread) if np.isfinite(told.spread) else None,
        "is_reference": told.is_reference,
        "verdict": told.verdict,
    }


def _draw(path: str, told: Any, seen: Curve, rest: Curve, whole: Curve) -> None:
    """Both fans in one picture, on the same axis of values."""
    from lcpfn.plot import beside

    truth = None
    if told.network.kind != "best" and (~np.isnan(rest.y)).any():
        kept = (rest.t <= told.network.t.max()) & ~np.isnan(rest.y)
        truth = (rest.t[kept], rest.y[kept])
    figure = beside(
        {"network": told.network, "reference posterior": told.reference},
        observed=(seen.t, seen.y),
        truth=truth,
        name=whole.name,
        clock=whole.clock,
        title=told.verdict.split(";")[0],
    )
    figure.savefig(path)
    print(f"picture: {path}", file=sys.stderr)
