"""Real learning curves: where they lie, which of their metrics are forecast, which tasks are for the final table.

    python benchmarks/data/curves.py

prints what there is. The curves are not part of the project: see "Real curves: the data" in benchmarks/README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
from collections.abc import Sequence

import numpy as np

from data import official, parquet
from data.curve import RealCurve
from data.raw import SPLITS, Kinds, assemble, chosen, side

# What is forecast: for each source its kinds of metric, a score and a loss where there are both, and for each kind the
# names in order of preference. Of each kind a run gives the first name that it has, so that it counts once or twice,
# never for the same thing under two names. Validation comes before test, and what the source judges runs by before the
# rest. Training losses count only where there is nothing else: `multi_power_law` sees every token once, so that its
# training loss is as good as a validation loss.
FORECAST: dict[str, Kinds] = {
    "adabelief_adabound": (("test/accuracy",), ("test/perplexity",)),
    "algoperf": (
        ("validation/bleu", "validation/ssim", "validation/wer", "validation/accuracy"),
        ("validation/loss", "validation/ctc_loss"),
    ),
    "deepobs": (("test/accuracy",), ("test/loss",)),
    "dreamerv3_scores": (("return",),),
    "gemstones": (("validation/loss",),),
    "lcbench_loss": (("validation/cross_entropy",),),
    "lcdb10": (("test/accuracy",),),
    "lcdb11": (("validation/error_rate",),),
    "lr_scheduling": (("validation/loss",),),
    "mlperf_training": (
        (
            "eval/AUC",
            "eval/BLEU",
            "eval/mAP",
            "eval/masked_lm_accuracy",
            "eval/mean_DICE",
            "eval/top1_accuracy",
            "eval/win_rate",
        ),
    ),
    "multi_power_law": (("train/loss",),),
    "nas_bench_nlp": (("val/loss",),),
    "nats_bench_sample": (("x-valid/accuracy", "ori-test/accuracy"), ("x-valid/loss", "ori-test/loss")),
    "openlm_scaling": (("final_val/loss",),),
    "pythia_evals": (("eval/acc",), ("eval/ppl",)),
    "step_back": (("validation/accuracy",), ("validation/loss",)),
    "taskset": (("valid/loss",),),
    "tdmpc2": (("eval/success",), ("eval/reward",)),
}


# Sources that came after the fourteen of the scoreboard. A benchmark takes them when they are named, so that what it
# says of "all sources" stays about the same curves.
LATER = ("gemstones", "lcbench_loss", "lr_scheduling", "step_back")
# Tasks whose rows are not curves over one training: the cooldown points of `gemstones` are the ends of branches.
NOT_CURVES = {"gemstones": {"cooldown"}}


def sources(*, later: bool = False) -> tuple[str, ...]:
    """Names of the sources that can be read here, sorted: Parquet files, and official downloads by their variables.

    Args:
        later: also those of `LATER`.
    """
    files = [name for name in parquet.files() if later or name not in LATER]
    return tuple(sorted({*files, *official.present()}))


def read(
    source: str,
    *,
    tasks: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    per_task: int | None = None,
    seed: int = 0,
    split: str | None = None,
) -> list[RealCurve]:
    """The curves of a source, sorted by task, then in the order in which runs are drawn.

    Args:
        source: one of `sources(later=True)`.
        tasks: of these tasks only.
        metrics: exactly these names; by default what `FORECAST` says, and every metric of a source it does not know.
        per_task: curves of each metric in a task at most, drawn; the metrics of a run are drawn together, and fewer
            are the first of more.
        seed: of the draw.
        split: "development" for the tasks by which priors are chosen, "test" for those of the final table, or None.

    Raises:
        FileNotFoundError: there are no curves, or none of this source.
        ValueError: no such split.
    """
    if source in official.SOURCES:
        kinds = official.SOURCES[source].kinds
        raws = official.read(source, tasks=tasks, split=split, per_task=per_task, seed=seed)
    else:
        kinds = FORECAST.get(source, ())
        names = [name for names in kinds for name in names] if metrics is None else metrics
        raws = parquet.read(_file(source), names, tasks=tasks, split=split)
        left_out = NOT_CURVES.get(source, set()) if metrics is None else set()
        raws = (each for each in raws if each.task not in left_out)
    kept = chosen(raws, kinds) if metrics is None else [each for each in raws if each.name in metrics]
    return assemble(source, kept, per_task=per_task, seed=seed)


def _file(source: str) -> Path:
    if not parquet.folders():
        raise FileNotFoundError(parquet.MISSING)
    if source not in parquet.files():
        where = ", ".join(map(str, parquet.folders()))
        raise FileNotFoundError(f"no source {source!r} in {where}; there are {', '.join(sources(later=True))}")
    return parquet.files()[source]


def table() -> str:
    """What there is, in Markdown: a line for each source."""
    lines = [
        "| source | curves | runs | tasks | metrics that are forecast | points, min/median/max | "
        "development tasks (curves) | test tasks (curves) |",
        "| --- | ---: | ---: | ---: | --- | --- | ---: | ---: |",
    ]
    for source in sources(later=True):
        curves = read(source)
        lengths = np.array([len(curve) for curve in curves])
        names = sorted({curve.name for curve in curves})
        parts = []
        for split in SPLITS:
            part = [curve for curve in curves if side(curve.task) == split]
            parts.append(f"{len({curve.task for curve in part})} ({len(part):,})")
        runs = len({(curve.task, curve.run) for curve in curves})
        cells = [f"`{source}`", f"{len(curves):,}", f"{runs:,}", len({curve.task for curve in curves})]
        cells += [", ".join(names), f"{lengths.min()}/{int(np.median(lengths))}/{lengths.max()}", *parts]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python benchmarks/data/curves.py", description="Print which real curves there are."
    ).parse_args()
    print(table() if sources(later=True) else parquet.MISSING)
