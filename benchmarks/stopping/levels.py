"""The table of `lcpfn.stopping.thresholds`: how strict a look must be for `level` to hold over all looks of a run.

`python benchmarks/stopping/levels.py` prints the factors of each start on the prior of LC-PFN, in two minutes; with
`--check` it prints the realised rate of the stored ones of a start on other curves.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse

import numpy as np
import torch

import lcpfn
from lcpfn.priors import Paper
from lcpfn.stopping.thresholds import GAPS, STARTS
from stopping import simulation
from stopping.simulation import Winners

LENGTHS = (10, 20, 50, 100)  # points of a run
RUNS = (1, 4, 16, 64)  # that the incumbent is the best of


def winners(checkpoint: str, each: int, seed: int, curves: int = 40_000) -> list[Winners]:
    """Runs that beat their incumbent, a batch for each length; the curves are those of the prior, cut off there."""
    prior = Paper()
    torch_seed, *numpy_seeds = np.random.SeedSequence(seed).spawn(1 + len(LENGTHS))
    state = int(torch_seed.generate_state(1, np.uint64)[0] >> np.uint64(1))
    times = torch.arange(1.0, LENGTHS[-1] + 1)
    y = prior.sample(curves, times, generator=torch.Generator().manual_seed(state)).y.double().numpy()
    pfn, metric = lcpfn.load(checkpoint), lcpfn.Metric("max", bounds=prior.bounds, overshoot=True)
    return [
        simulation.winners(
            pfn, y[:, :length], metric=metric, runs=RUNS, each=each, generator=np.random.default_rng(numpy_seed)
        )
        for length, numpy_seed in zip(LENGTHS, numpy_seeds)
    ]


def check(found: list[Winners], level: float, start: str) -> None:
    """Prints the realised rates at one level."""
    print(f"level {level}: percent of the runs that would have beaten the incumbent that were ever stopped")
    print("points  gap" + "".join(f"{f'n={n}':>8}" for n in RUNS) + f"{'all':>8}{'naive':>8}")
    for length, batch in zip(LENGTHS, found):
        for gap in (gap for gap in GAPS if gap < length):
            stopped, naive = (batch.false_stops(start, level, every=gap, spend=spend) for spend in (True, False))
            rates = [*(stopped[batch.runs == n].mean() for n in RUNS), stopped.mean(), naive.mean()]
            print(f"{length:6d}{gap:5d}" + "".join(f"{100 * rate:8.1f}" for rate in rates))


def main() -> None:
    """Prints the table, or what it does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="paper")
    parser.add_argument("--each", type=int, default=1500, help="winners for each length and number of runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--start", choices=STARTS, default="own", help="of the check")
    options = parser.parse_args()
    found = winners(options.checkpoint, options.each, options.seed)
    if not options.check:
        for start in STARTS:
            print(f"{start}: {simulation.calibrated(found, start)}")
        return
    print(f"{options.each} winners for each length and number n of runs; naive: p <= level at every look")
    for level in (0.01, 0.05, 0.1):
        check(found, level, options.start)


if __name__ == "__main__":
    main()
