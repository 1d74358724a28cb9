"""What are size and training worth? Networks of 0.2M to 8M parameters after 1e5 to 1e8 curves, each a complete run.

    python benchmarks/speed/scaling.py --device cuda --batch 1024                  # resumable: run it again to go on
    python benchmarks/speed/scaling.py --sizes 0.2M,0.8M --curves 1e5 --minutes 30
    python benchmarks/speed/scaling.py --real                                      # and the skill on real curves

Every run has a folder of its own under runs/scaling and a learning rate that falls to zero with its last curve, so a
point is what so much training is worth, not a moment of a longer one. See benchmarks/README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from prior import exam
from record import RESULTS, ROOT, Record, parser, say
from report import training
from report.text import markdown

from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import ModelConfig
from lcpfn.training import PRESETS, Options, train
from speed.training import coordinates

SCRIPT = "benchmarks/speed/scaling.py"
SIZES = {
    "0.03M": PRESETS["tiny"],
    "0.2M": ModelConfig(width=64, layers=3, heads=4, hidden=160, decoder=224),
    "0.8M": PRESETS["small"],
    "2.6M": PRESETS["base"],
    "8M": PRESETS["large"],
}
CURVES = "1e5,1e6,1e7,1e8"
QUICK = {"sizes": "0.03M", "curves": "200,400", "batch": 50, "exam": 60}
BASELINE = "paper-small"


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="scaling")
    made.add_argument("--sizes", help=f"of {', '.join(SIZES)} (default: all but the first; quick: {QUICK['sizes']})")
    made.add_argument("--curves", help=f"seen in training (default: {CURVES}; quick: {QUICK['curves']})")
    made.add_argument("--prior", choices=("paper", "general"), default="paper", help="(default: paper)")
    made.add_argument("--batch", type=int, help=f"curves in a step (default: 64, quick: {QUICK['batch']})")
    made.add_argument(
        "--lr", type=float, default=Options(steps=1).lr, help="largest learning rate (default: %(default)s)"
    )
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    made.add_argument("--compile", action="store_true", help="torch.compile the network")
    made.add_argument("--minutes", type=float, help="of training in all, then stop, to go on later")
    made.add_argument("--checkpoint", type=Path, action="append", default=[], help="also score this one; repeatable")
    made.add_argument("--only", action="store_true", help="score what --checkpoint names, train nothing")
    made.add_argument("--exam", type=int, help=f"curves of the exam (default: {exam.CURVES}, quick: {QUICK['exam']})")
    made.add_argument("--real", action="store_true", help="also forecast real curves (real_curves.py)")
    made.add_argument("--per-task", type=int, default=10, help="real runs of each metric in a task (default: 10)")
    made.add_argument(
        "--runs", type=Path, help="where runs are kept (default: runs/scaling, quick: runs/quick/scaling)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is not trained, score, print a table, write the JSON; 0 when all is done, 3 if time was up before."""
    told = flags().parse_args(arguments)
    sizes = (told.sizes or (QUICK["sizes"] if told.quick else ",".join(list(SIZES)[1:]))).split(",")
    if unknown := [size for size in sizes if size not in SIZES]:
        raise SystemExit(f"{SCRIPT}: sizes are among {', '.join(SIZES)}, got {', '.join(unknown)}")
    curves = [int(float(part)) for part in (told.curves or (QUICK["curves"] if told.quick else CURVES)).split(",")]
    told.batch = told.batch or (QUICK["batch"] if told.quick else 64)
    count = told.exam or (QUICK["exam"] if told.quick else exam.CURVES)
    folder = told.runs or ROOT / "runs" / ("quick/scaling" if told.quick else "scaling")
    settings = {"prior": told.prior, "batch": told.batch, "lr": told.lr, "exam": count, "streams": [exam.EXAM]}
    settings |= {"per_task": told.per_task if told.real else None}
    record = Record(SCRIPT, name="scaling", told=told, arguments=arguments, seed=exam.SEED, settings=settings)
    plan = [(size, seen, folder / f"{told.prior}-{size}-{seen}") for seen in sorted(curves) for size in sizes]
    if told.only:
        plan = []
    left = grow(plan, told, until=None if told.minutes is None else time.monotonic() + 60 * told.minutes)
    checkpoints = [(size, path / "checkpoint.safetensors") for size, seen, path in plan if (size, seen) not in left]
    checkpoints += [(path.resolve().parent.name, path) for path in told.checkpoint]
    told.asked = None if told.device == "cpu" else told.device  # NumPy answers on a CPU
    judge = Judge(count, device=told.asked) if told.prior == "paper" else None
    results: dict[str, Any] = {"runs": []}
    for size, path in checkpoints:
        results["runs"].append(score(size, path, judge, told, folder))
        record.write(results, complete=False)
    if results["runs"]:
        record.write(results, complete=not left)
        print("\n" + markdown(training.scaling(results)))
        print(f"\n{record.path}")
    if left:
        say(f"{len(left)} of {len(plan)} runs are not done: run it again to go on")
    return 3 if left else 0


def grow(plan: list[tuple[str, int, Path]], told: Any, *, until: float | None) -> list[tuple[str, int]]:
    """Train the runs of the plan, the cheapest first; returns those that time did not suffice for."""
    left = []
    for size, seen, path in plan:
        steps = max(1, -(-seen // told.batch))
        if trained(path) >= steps * told.batch:
            continue
        spare = None if until is None else (until - time.monotonic()) / 60
        if spare is not None and spare <= 0:
            left.append((size, seen))
            continue
        general = told.prior == "general"
        options = Options(
            prior=told.prior,
            steps=steps,
            pause_minutes=spare,
            batch=told.batch,
            lr=told.lr,
            irregular=0.0,  # the exam asks at times 1, 2, ..., 100
            warmup=min(100, 1 + steps // 10),
            device=told.device,
            threads=told.threads,
            compile=told.compile,
            stored="float16",
            model=dataclasses.replace(SIZES[size], divergence=general),
            coordinates=coordinates(told.prior),
        )
        say(f"{path.name}: {steps:,} steps of {told.batch}")
        train(options, path, resume=(path / "state.safetensors").exists(), say=say)
        if trained(path) < steps * told.batch:
            left.append((size, seen))
    return left


def trained(path: Path) -> int:
    """Curves that the run in this folder has seen."""
    made = path / "checkpoint.safetensors"
    return int(Checkpoint.read(made).provenance["curves_seen"]) if made.exists() else 0


class Judge:
    """The exam, its scores compared curve by curve with those of the shipped network.

    Args:
        curves: of the exam.
        device: on which the shipped network answers; None: NumPy.
    """

    def __init__(self, curves: int, *, device: str | None = None) -> None:
        self.blocks = list(exam.draw(curves))
        self.shipped = self.scores(next(each for each in exam.shipped(device=device) if each.name == BASELINE))
        path = RESULTS / "versus_mcmc.json"
        self.gap = None  # of the shipped network to the reference
        if path.exists():
            methods = json.loads(path.read_text())["results"]["methods"]
            self.gap = next((each["gap"] for each in methods if each["name"] == BASELINE and "gap" in each), None)

    def scores(self, contestant: exam.Contestant) -> np.ndarray:
        """(cut-offs, curves) mean log density of the unseen part."""
        parts = [exam.unseen(contestant.answers, block, crps=False)["log_density"] for block in self.blocks]
        return np.concatenate(parts, axis=1)

    def row(self, contestant: exam.Contestant) -> dict[str, Any]:
        """Log density, gain on the shipped network by pairs, and the gap to the reference, by cut-off."""
        mine = self.scores(contestant)
        pairs = zip(exam.CUTS, mine, mine - self.shipped, strict=True)
        density, gain = {}, {}
        for cut, own, difference in pairs:
            density[str(cut)], gain[str(cut)] = exam.mean_and_error(own), exam.mean_and_error(difference)
        told: dict[str, Any] = {"log_density": density, "gain": gain}
        if self.gap is not None:
            told["gap"] = {
                cut: {
                    "mean": self.gap[cut]["mean"] - each["mean"],
                    "se": float(np.hypot(self.gap[cut]["se"], each["se"])),
                }
                for cut, each in gain.items()
            }
        return told


def score(size: str, path: Path, judge: Judge | None, told: Any, folder: Path) -> dict[str, Any]:
    """The row of a checkpoint."""
    contestant = exam.Contestant.read(path, name=path.resolve().parent.name, device=told.asked)
    row: dict[str, Any] = {"size": size, **contestant.facts, "validation": Checkpoint.read(path).provenance["scores"]}
    if judge is not None:
        row |= judge.row(contestant)
        shown = " ".join(f"{cut}:{each['mean']:+.3f}" for cut, each in row["gain"].items())
        say(f"{contestant.name}: {shown} against {BASELINE}")
    if told.real:
        row["real"] = real(path, told, folder)
    return row


def real(path: Path, told: Any, folder: Path) -> dict[str, Any] | None:
    """Mean skill in later points over the sources of real curves, against the last value; None where there are none."""
    from data import curves, parquet
    from real import contest as real_curves  # here: it puts the process on one thread, and needs the extra bench

    if not curves.sources():
        say(parquet.MISSING)
        return None
    method = f"ours:{path.resolve()}"
    places = ["--out", str(folder / "real"), "--rows", str(folder / "rows")]
    real_curves.main(["--methods", method, "--per-task", str(told.per_task), *places])
    skills = {}
    for source in curves.sources():
        file = folder / "real" / source / f"{real_curves.slug(method)}.json"
        if file.exists() and (skill := json.loads(file.read_text())["results"]["skill"]["later"]) is not None:
            skills[source] = skill["value"]
    return {"skill": float(np.mean(list(skills.values()))), "sources": len(skills), "by_source": skills}


if __name__ == "__main__":
    raise SystemExit(main())
