"""The subcommand `lcpfn calibrate`: a checkpoint against curves of a prior."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lcpfn.calibration import Report
from lcpfn.calibration import calibrate as judge
from lcpfn.calibration.report import JOINT
from lcpfn.cli.inputs import require
from lcpfn.metric import Metric
from lcpfn.pfn import PFN, load
from lcpfn.query import KINDS

LENGTH = 100  # points of a curve


def calibrate(options: Namespace) -> int:
    """Prints how well a checkpoint is calibrated on fresh curves of a prior; draws pictures if asked."""
    require("torch", "train")  # the prior draws with it
    if options.out is not None:
        require("matplotlib", "plot")
    torch, priors = import_module("torch"), import_module("lcpfn.priors")  # by name: the library depends on no prior
    pfn = load(options.checkpoint)
    prior = priors.by_name(options.prior) if options.prior is not None else _own(pfn, trusted=options.trust_prior)
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


def _own(pfn: PFN, *, trusted: bool) -> Any:
    """The prior that the checkpoint's header names: one of ours, or one to import if the user trusts the file.

    Raises:
        ValueError: if it would have to be imported, and nobody said that it may be.
    """
    priors = import_module("lcpfn.priors.names")
    told = pfn.checkpoint.provenance.get("prior") or {}
    name, parameters = told.get("name"), told.get("parameters")
    if not isinstance(name, str) or ":" not in name:
        return priors.built_in(name, parameters)
    if not trusted:
        raise ValueError(
            f"the checkpoint names a prior of somebody's own, {name!r}; importing it would run the code of that "
            f"module. If you trust it give --prior {name}, or --trust-prior for its parameters as well"
        )
    print(f"lcpfn calibrate: importing {name!r}, which the checkpoint names", file=sys.stderr, flush=True)
    return priors.by_name(name, parameters)


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
