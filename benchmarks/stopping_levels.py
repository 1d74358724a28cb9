"""The table of `lcpfn.stopping_levels`: how strict a look must be for `level` to hold over all looks of a run.

python benchmarks/stopping_levels.py            # on the prior of LC-PFN; half a minute, prints RATIOS
python benchmarks/stopping_levels.py --check    # the realised rate of the stored table on other curves
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import lcpfn
from lcpfn import stopping_levels
from lcpfn.priors import Paper

LENGTH = 100  # points of a run
STEPS = (1, 2, 5, 10, 20, 50)  # points between looks, for the check


def main() -> None:
    """Prints the table, or what it does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="paper")
    parser.add_argument("--curves", type=int, default=40_000, help="to draw runs and incumbents from")
    parser.add_argument("--each", type=int, default=None, help="winners for each number of runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    prior, runs = Paper(), (1, 4, 16, 64)
    each = options.each or (400 if options.check else 750)
    torch_seed, numpy_seed = np.random.SeedSequence([options.seed, options.check]).spawn(2)
    state = int(torch_seed.generate_state(1, np.uint64)[0] >> np.uint64(1))
    drawn = prior.sample(options.curves, torch.arange(1.0, LENGTH + 1), generator=torch.Generator().manual_seed(state))
    found = stopping_levels.winners(
        lcpfn.load(options.checkpoint),
        drawn.y.double().numpy(),
        metric=lcpfn.Metric("max", bounds=prior.bounds, overshoot=True),
        runs=runs,
        each=each,
        generator=np.random.default_rng(numpy_seed),
    )
    if not options.check:
        print(f"RATIOS = {stopping_levels.calibrated(found)}")
        return
    print("share of runs that would have beaten the incumbent and were ever stopped, in percent")
    print(f"by number of runs behind the incumbent, {each} winners each; naive: p <= level at every look\n")
    print("level  every  " + "".join(f"{f'n={n}':>8}" for n in runs) + f"{'all':>8}{'naive':>8}")
    for level in (0.01, 0.05, 0.1):
        for every in STEPS:
            stopped, naive = (found.false_stops(level, every=every, spend=spend) for spend in (True, False))
            rates = [stopped[found.runs == n].mean() for n in runs]
            row = "".join(f"{100 * rate:8.1f}" for rate in (*rates, stopped.mean(), naive.mean()))
            print(f"{level:5.2f}  {every:5d}  {row}")


if __name__ == "__main__":
    main()
