"""How soon does training on two threads beat each published row? Complete runs of 1, 2, 4 and 6 minutes, each scored.

    python benchmarks/speed/speedrun.py

A run's learning rate falls to zero with its clock, so the claim "better in M minutes" is made by a run of M minutes
from nothing. The clock covers all of `lcpfn.training.train`: building, drawing curves, training, writing the
checkpoint; it does not cover the scoring, which is done afterwards, on curves that no training run draws.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
import time
from collections.abc import Sequence
from typing import Any

from prior import exam
from prior.published import PUBLISHED, SOURCE, TARGET
from record import ROOT, Record, parser, say
from report import documents
from report.text import markdown

from lcpfn.training import PRESETS, Options, train

SCRIPT = "benchmarks/speed/speedrun.py"
MINUTES = "1,2,4,6"


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="speedrun")
    made.add_argument("--minutes", help=f"of each run, comma between (default: {MINUTES}, quick: 0.02,0.04)")
    made.add_argument("--preset", choices=sorted(PRESETS), help="the network (default: small, quick: tiny)")
    made.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    made.add_argument("--seed", type=int, default=0, help="of training (default: 0)")
    made.add_argument("--curves", type=int, help=f"of the exam (default: {exam.CURVES}, quick: {exam.QUICK_CURVES})")
    made.add_argument("--runs", type=Path, default=ROOT / "runs" / "speedrun", help="where (default: runs/speedrun)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, score, print a table, write the JSON; 0 when done."""
    told = flags().parse_args(arguments)
    minutes = sorted(float(part) for part in (told.minutes or ("0.02,0.04" if told.quick else MINUTES)).split(","))
    preset = told.preset or ("tiny" if told.quick else "small")
    curves = told.curves or (exam.QUICK_CURVES if told.quick else exam.CURVES)
    settings = {"curves": curves, "streams": [exam.EXAM], "preset": preset, "threads": told.threads}
    settings |= {"training_seed": told.seed, "minutes": minutes}
    record = Record(SCRIPT, name="speedrun", told=told, arguments=arguments, seed=exam.SEED, settings=settings)
    results: dict[str, Any] = {"runs": [], "rows": [*PUBLISHED, TARGET], "source": SOURCE}
    for each in minutes:
        results["runs"].append(run(each, preset, told, curves))
        record.write(results, complete=False)
    record.write(results, complete=True)
    print("\n" + markdown(documents.TABLES["speedrun"].rows(results)))
    print(f"\n{record.path}")
    return 0


def run(minutes: float, preset: str, told: argparse.Namespace, curves: int) -> dict[str, Any]:
    """Scores of one complete run, and the seconds on the clock."""
    options = Options(
        minutes=minutes,
        threads=told.threads,
        seed=told.seed,
        validation_curves=0,
        alarm_curves=0,
        irregular=0.0,  # the published rows were trained and scored at times 1, 2, ..., 100 too
        model=PRESETS[preset],
    )
    folder = told.runs / f"{preset}-{minutes:g}-{time.time_ns()}"
    say(f"{minutes:g} minutes: training in {folder.name}")
    began = time.perf_counter()
    train(options, folder, say=say)
    clock = time.perf_counter() - began
    contestant = exam.Contestant.read(folder / "checkpoint.safetensors", name=f"{minutes:g} minutes")
    return {"minutes": minutes, "clock_s": clock, **exam.examine(contestant, curves, say=say)}


if __name__ == "__main__":
    raise SystemExit(main())
