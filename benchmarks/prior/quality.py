"""How good are the answers on the prior of the LC-PFN paper? Scores and calibration on fresh curves.

    python benchmarks/prior/quality.py                     # all shipped checkpoints
    python benchmarks/prior/quality.py --ablations --minutes 4     # trains one network for each row, then scores it

See benchmarks/README.md for what is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from opponents.original.config import Head, Layout, OriginalConfig, UnitCoordinates
from opponents.original.network import network_of
from record import ROOT, Record, parser, say
from report import documents
from report.text import markdown

from lcpfn.network.coordinates import Coordinates
from lcpfn.training import PRESETS, NonfiniteLoss, Options, train
from lcpfn.training.options import Optimizer
from prior import exam
from prior.published import PUBLISHED, SOURCE, TARGET

SCRIPT = "benchmarks/prior/quality.py"


@dataclass(frozen=True)
class Variant:
    """One row of the ablation: what differs from the default network, coordinates and optimiser."""

    name: str
    size: str = "small"
    components: int | None = None  # None: as in the size
    head: Head = "mixture"
    layout: Layout = "causal"
    coordinates: Coordinates = field(default_factory=Coordinates)
    optimizer: Optimizer = "muon"


BARS: dict[str, Any] = {"head": "bars", "components": 1000}  # as many as in the LC-PFN paper
ORIGINAL: dict[str, Any] = {"layout": "original"}
UNIT: dict[str, Any] = {"coordinates": UnitCoordinates()}
VARIANTS = (
    Variant("small: causal, mixture, local, muon"),
    Variant("layout original", **ORIGINAL),
    Variant("head of 1000 bars", **BARS),
    Variant("layout original, 1000 bars", **ORIGINAL, **BARS),
    Variant("coordinates unit", **UNIT),
    Variant("layout original, 1000 bars, unit", **ORIGINAL, **BARS, **UNIT),
    Variant("size tiny", size="tiny"),
    Variant("size base", size="base"),
    Variant("optimizer adamw", optimizer="adamw"),
)


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="quality")
    made.add_argument("--checkpoint", type=Path, action="append", default=[], help="score this file too")
    made.add_argument("--only", action="store_true", help="score no shipped checkpoint, just those given")
    made.add_argument("--curves", type=int, help=f"how many (default: {exam.CURVES}, quick: {exam.QUICK_CURVES})")
    made.add_argument(
        "--calibration-curves",
        type=int,
        help=f"the first of them, for calibration (default: {exam.CALIBRATION_CURVES})",
    )
    group = made.add_argument_group("ablations; the result's name is ablations, not quality")
    group.add_argument("--ablations", action="store_true", help="train and score one network for each row of the grid")
    group.add_argument("--rows", default="", help="only those with this in their name (default: all)")
    group.add_argument("--minutes", type=float, default=4.0, help="of training, each row (default: 4)")
    group.add_argument("--threads", type=int, default=2, help="of the CPU for training (default: 2)")
    group.add_argument("--seed", type=int, default=0, help="of training (default: 0)")
    group.add_argument("--runs", type=Path, default=ROOT / "runs" / "ablations", help="where (default: runs/ablations)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, print a table, write the JSON; 0 when done."""
    told = flags().parse_args(arguments)
    curves = told.curves or (exam.QUICK_CURVES if told.quick else exam.CURVES)
    if curves < 2:
        raise SystemExit(f"{SCRIPT}: --curves must be at least 2, to have a standard error, got {curves}")
    calibrated = 0 if told.ablations else min(curves, told.calibration_curves or exam.CALIBRATION_CURVES)
    settings: dict[str, Any] = {"curves": curves, "calibration_curves": calibrated, "streams": [exam.EXAM, exam.TIMES]}
    if told.ablations:
        settings |= {"minutes": told.minutes, "threads": told.threads, "training_seed": told.seed}
    name = "ablations" if told.ablations else "quality"
    record = Record(SCRIPT, name=name, told=told, arguments=arguments, seed=exam.SEED, settings=settings)
    results: dict[str, Any] = {"networks": [], "published": list(PUBLISHED), "source": SOURCE, "target": TARGET}
    if told.ablations:
        for variant in (each for each in VARIANTS if told.rows in each.name):
            results["networks"].append(ablate(variant, told, curves))
            record.write(results, complete=False)
    else:
        contestants = [] if told.only else exam.shipped()
        contestants += [exam.Contestant.read(path) for path in told.checkpoint]
        if not contestants:
            raise SystemExit(f"{SCRIPT}: there is no shipped checkpoint to score; name one with --checkpoint PATH")
        for contestant in contestants:
            results["networks"].append(exam.examine(contestant, curves, say=say, crps=True, calibrated=calibrated))
            record.write(results, complete=False)
    record.write(results, complete=True)
    for table in ("ablations",) if told.ablations else ("quality", "crps", "calibration"):
        print("\n" + markdown(documents.TABLES[table].rows(results)))
    print(f"\n{record.path}")
    return 0


def ablate(variant: Variant, told: argparse.Namespace, curves: int) -> dict[str, Any]:
    """Scores of a network that is trained for this; a run whose loss becomes nonfinite is reported as that."""
    sizes = asdict(PRESETS["tiny" if told.quick else variant.size])
    if variant.components is not None:
        sizes["components"] = variant.components
    model = OriginalConfig(**sizes, head=variant.head, layout=variant.layout)
    options = Options(
        minutes=told.minutes,
        optimizer=variant.optimizer,
        threads=told.threads,
        seed=told.seed,
        validation_curves=0,
        alarm_curves=0,  # the clock is for training
        model=model,
        coordinates=variant.coordinates,
    )
    folder = told.runs / f"{variant.name.replace(':', '').replace(', ', '-').replace(' ', '_')}-{time.time_ns()}"
    say(f"{variant.name}: training for {told.minutes:g} minutes in {folder.name}")
    try:
        train(options, folder, say=say, network=network_of(model))
    except NonfiniteLoss as error:
        say(f"{variant.name}: {error}")
        return {"name": variant.name, "failed": "the loss became nonfinite"}
    contestant = exam.Contestant.read(folder / "checkpoint.safetensors", name=variant.name)
    return exam.examine(contestant, curves, say=say)


if __name__ == "__main__":
    raise SystemExit(main())
