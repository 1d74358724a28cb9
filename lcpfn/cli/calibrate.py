"""The subcommand `lcpfn calibrate`: a checkpoint against curves of a prior."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import numpy as np

from lcpfn.calibration import Report
from lcpfn.calibration import calibrate as judge
from lcpfn.calibration.report import JOINT
from lcpfn.cli.commands import _require
from lcpfn.metric import Metric
from lcpfn.pfn import load
from lcpfn.query import KINDS

LENGTH = 100  # points of a curve


def calibrate(options: Namespace) -> int:
    """Prints how well a checkpoint is calibrated on fresh curves of a prior; draws pictures if asked."""
    _require("torch", "train")  # the prior draws with it
    if options.out is not None:
        _require("matplotlib", "plot")
    torch, priors = import_module("torch"), import_module("lcpfn.priors")  # by name: the library depends on no prior
    pfn = load(options.checkpoint)
    told = pfn.checkpoint.provenance["prior"] if options.prior is None else {"name": options.prior, "parameters": None}
    prior = priors.by_name(told["name"], told["parameters"])
    if not np.isfinite(prior.bounds).all():
        raise ValueError(
            f"lcpfn calibrate takes priors whose curves share their bounds, as paper and domhan, got {prior.name}; "
            "for curves of another metric call lcpfn.calibration.calibrate(engine, y, metric=...)"
        )
    seeds = np.random.SeedSequence(options.seed).spawn(2)
    state = int(seeds[0].generate_state(1, np.uint64)[0] >> np.uint64(1))
    drawn = prior.sample(options.curves, torch.arange(1.0, LENGTH + 1), generator=torch.Generator().manual_seed(state))
    y, signal = (np.where(drawn.seen, part, np.nan) for part in (drawn.y, drawn.signal))
    report = judge(
        pfn,
        y,
        signal=signal,
        cuts=options.cuts,
        kinds=KINDS if options.kind == "all" else (options.kind,),
        draws=options.draws,
        metric=Metric("max", bounds=prior.bounds, overshoot=True),  # its noise carries y past the bounds of the signal
        generator=np.random.default_rng(seeds[1]),
    )
    asked = {"checkpoint": options.checkpoint, "prior": prior.name, "seed": options.seed}
    if options.json:
        print(json.dumps(asked | report.document(), indent=2, allow_nan=False))
    else:
        print(f"{options.curves} curves of the prior {prior.name}, checkpoint {options.checkpoint}\n")
        print(report.table())
    if options.out is not None:
        _draw(Path(options.out), report)
    return 0


def _draw(folder: Path, report: Report) -> None:
    from lcpfn.calibration import plot

    folder.mkdir(parents=True, exist_ok=True)
    for told in report.kinds:
        ecdfs = {f"after {cut} points": ecdf for cut, ecdf in told.ecdf.items()}
        pictures = {
            "ecdf": plot.ecdf_plot(ecdfs, title=f"Kind {told.kind}: are the beliefs calibrated?"),
            "coverage": plot.coverage_plot(
                told, title=f"Kind {told.kind}: how often the truth is inside the intervals"
            ),
            "reliability": plot.reliability_plot(
                told.reliability, title=f"Kind {told.kind}: P(better than the curve that stood next to it)"
            ),
        }
        if told.joint is not None:
            pictures["joint"] = plot.ecdf_plot(
                {"one cut-off a curve": told.joint.ecdf},
                title=f"Kind {told.kind}: are values at {JOINT} times together calibrated? (TARP)",
                label="share of draws that are nearer to a random point than the truth",
                hint=plot.TARP,
            )
        for name, axes in pictures.items():
            path = folder / f"{told.kind}-{name}.png"
            figure = axes.get_figure(root=True)
            assert figure is not None
            figure.savefig(path)
            print(f"picture: {path}", file=sys.stderr)
