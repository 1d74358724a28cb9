"""The exam on the prior: fresh curves that no training run has seen, and the two ways in which answers are judged.

Letters: B curves, T points, Q queries.
"""

from __future__ import annotations

import importlib.resources
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from opponents.original.answers import OriginalAnswers
from opponents.original.config import choices, of_library

from lcpfn import calibration
from lcpfn.belief import Belief
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.pfn import PFN
from lcpfn.priors import Paper
from lcpfn.query import KINDS
from lcpfn.training.randomness import generator

CURVES = 10_000
CALIBRATION_CURVES = 4_000  # 3 kinds at 7 cut-offs cost four times as much as the scores
QUICK_CURVES = 200
BLOCK = 200  # curves at a time; block n is a function of (SEED, n) alone, so fewer curves are the first of more
LENGTH = 100
SEED = 0
EXAM, TIMES = 100, 101  # first step of the two streams' paths; training uses 0 to 2, whatever its seed
CUTS = (10, 20, 40, 80)  # points seen, of 100: the columns of the LC-PFN paper
CALIBRATION_CUTS = (5, 10, 20, 40, 60, 80, 90)
LEVELS = (0.5, 0.8, 0.9, 0.95)  # of central intervals
ASKED = 5  # random later times of each curve, at each cut-off of the calibration
METRIC = Metric("max", bounds=(0.0, 1.0), overshoot=True)  # the prior's noise carries y past the bounds of its signal
SAY_EVERY_S = 15.0


class Answers(Protocol):
    """An engine, as far as the exam needs one."""

    def predict(self, y: Any, t_query: Any, *, kind: str, metric: Metric) -> Belief:
        """The belief (B, Q) about times t_query (Q,) or (B, Q), given y (B, T) at times 1..T."""


@dataclass(frozen=True)
class Contestant:
    """A checkpoint that sits the exam."""

    name: str
    answers: Answers
    facts: dict[str, Any]  # for the JSON: what it is

    @classmethod
    def read(cls, path: Path, *, name: str | None = None, device: str | None = None) -> Contestant:
        """The contestant in a checkpoint's file; NumPy or torch on `device` runs the library's, torch others."""
        checkpoint = Checkpoint.read(path)
        told = checkpoint.provenance
        name = name or (path.stem if path.stem != "checkpoint" else path.resolve().parent.name)
        facts = {
            "name": name,
            "sha256": digest(path),
            "parameters": sum(values.size for values in checkpoint.weights.values()),
            "curves_seen": told["curves_seen"],
            "training_s": told.get("seconds"),
            "training": told.get("training"),  # its options
            **choices(checkpoint),
        }
        answers = PFN(checkpoint, device=device) if of_library(checkpoint) else OriginalAnswers(checkpoint)
        return cls(name, answers, facts)


def shipped(*, device: str | None = None) -> list[Contestant]:
    """The checkpoints of lcpfn.checkpoints that were trained on the exam's prior, by name."""
    folder = Path(str(importlib.resources.files("lcpfn.checkpoints")))
    files = sorted(folder.glob("*.safetensors"))
    ours = [path for path in files if Checkpoint.read(path).provenance["prior"]["name"] == Paper.name]
    return [Contestant.read(path, device=device) for path in ours]


@dataclass(frozen=True, eq=False)
class Block:
    """Up to BLOCK curves of the exam."""

    y: np.ndarray  # (B, T) as measured
    signal: np.ndarray  # (B, T) without noise
    times: np.ndarray  # (B, len(CALIBRATION_CUTS), ASKED) whole numbers, later than each cut-off
    noise: np.ndarray  # (B,) log of the noise's standard deviation, less its mean under the prior


def draw(curves: int) -> Iterator[Block]:
    """The first so many curves of the exam, block by block."""
    first, prior = np.array(CALIBRATION_CUTS)[:, None], Paper()
    for number in range(-(-curves // BLOCK)):
        drawn = prior.sample(BLOCK, torch.arange(1.0, LENGTH + 1), generator=generator(SEED, EXAM, number))
        sigma = prior.draw(BLOCK, generator=generator(SEED, EXAM, number))["sigma"]  # of the same curves
        noise = (sigma.log().double() - prior.noise.mean).numpy()
        share = torch.rand(BLOCK, len(CALIBRATION_CUTS), ASKED, generator=generator(SEED, TIMES, number)).numpy()
        times = np.minimum(first + 1 + np.floor(share * (LENGTH - first)), LENGTH).astype(int)
        kept = min(BLOCK, curves - number * BLOCK)
        y, signal = (part.numpy().astype(np.float64)[:kept] for part in (drawn.y, drawn.signal))
        yield Block(y, signal, times[:kept], noise[:kept])


def unseen(answers: Answers, block: Block, *, crps: bool) -> dict[str, np.ndarray]:
    """Log density (nats, y in its own unit) and CRPS of the unseen part, means over all later points of a curve.

    Returns:
        (len(CUTS), B) each, under "log_density" and, if wanted, "crps".
    """
    scores: dict[str, list[np.ndarray]] = {"log_density": []}
    if crps:
        scores["crps"] = []
    for cut in CUTS:
        belief = answers.predict(block.y[:, :cut], np.arange(cut + 1.0, LENGTH + 1), kind="value", metric=METRIC)
        scores["log_density"].append(belief.log_prob(block.y[:, cut:]).mean(axis=1))
        if crps:
            scores["crps"].append(belief.crps(block.y[:, cut:]).mean(axis=1))
    return {name: np.stack(rows) for name, rows in scores.items()}


def pits(answers: Answers, block: Block) -> np.ndarray:
    """(len(KINDS), len(CALIBRATION_CUTS), B, ASKED) cdf of the truth at random later times; uniform if all is well."""
    found = np.empty((len(KINDS), len(CALIBRATION_CUTS), len(block.y), ASKED))
    for k, kind in enumerate(KINDS):
        for c, cut in enumerate(CALIBRATION_CUTS):
            times = block.times[:, c]
            belief = answers.predict(block.y[:, :cut], times, kind=kind, metric=METRIC)
            found[k, c] = belief.cdf(truth(block, cut, times, kind))
    return found


def truth(block: Block, cut: int, times: np.ndarray, kind: str) -> np.ndarray:
    """(B, Q) true answers to questions of a kind about times (B, Q), after `cut` points."""
    if kind == "best":
        return np.take_along_axis(np.maximum.accumulate(block.y[:, cut:], axis=1), times - cut - 1, axis=1)
    return np.take_along_axis(block.y if kind == "value" else block.signal, times - 1, axis=1)


def examine(
    contestant: Contestant, curves: int, *, say: Callable[[str], None], crps: bool = False, calibrated: int = 0
) -> dict[str, Any]:
    """All scores of a contestant as JSON, next to its facts.

    Args:
        contestant: who is judged.
        curves: how many are used for the scores.
        say: takes lines on the progress.
        crps: whether to score that too; with 1000 bars it takes a thousand times as long as the log density.
        calibrated: how many of the curves, the first, for the calibration; 0: none.
    """
    began = said = time.perf_counter()
    scores: list[dict[str, np.ndarray]] = []
    found: list[np.ndarray] = []
    noise: list[np.ndarray] = []
    for block in draw(curves):
        noise.append(block.noise)
        scores.append(unseen(contestant.answers, block, crps=crps))
        if len(found) * BLOCK < calibrated:
            found.append(pits(contestant.answers, block))
        if (now := time.perf_counter()) - said > SAY_EVERY_S:
            said = now
            say(f"{contestant.name}: {len(scores) * BLOCK:,} of {curves:,} curves, {now - began:.0f} s")
    told = dict(contestant.facts)
    for name in scores[0]:
        whole = np.concatenate([part[name] for part in scores], axis=1)  # (len(CUTS), curves)
        told[name] = {str(cut): mean_and_error(row) for cut, row in zip(CUTS, whole)}
        if name == "log_density":
            told["controlled"] = {
                str(cut): mean_and_error(controlled(row, np.concatenate(noise))) for cut, row in zip(CUTS, whole)
            }
    if found:
        told["calibration"] = coverage(np.concatenate(found, axis=2))
    shown = " ".join(f"{cut}:{score['mean']:.3f}" for cut, score in told["log_density"].items())
    say(f"{contestant.name}: {shown} ({time.perf_counter() - began:.0f} s)")
    return told


def coverage(found: np.ndarray) -> list[dict[str, Any]]:
    """How often the truth lay in central intervals, by kind, level and cut-off; cut-off None is all of them together.

    Args:
        found: of `pits`, all curves.
    """
    return [
        {"kind": kind, "level": cell.level, "cut": cell.cut, "mean": cell.mean, "se": cell.se}
        for k, kind in enumerate(KINDS)
        for cell in calibration.coverage(found[k], levels=LEVELS, cuts=CALIBRATION_CUTS)
    ]


def controlled(values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Values (B,) less what they owe to the luck of the draw in the noise (B,), whose mean under the prior is 0.

    Most of the variance of a log density between curves is that of the noise's level: as a control variate it shrinks
    the standard error, and corrects for a sample that is noisier than the prior.
    """
    slope = np.cov(values, noise)[0, 1] / noise.var(ddof=1)
    return values - slope * noise


def mean_and_error(values: np.ndarray) -> dict[str, float]:
    """Mean and standard error over curves (B,): answers about one curve are not independent, curves are."""
    return {"mean": float(values.mean()), "se": float(values.std(ddof=1) / np.sqrt(len(values)))}
