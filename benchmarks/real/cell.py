"""One cell of the contest on real curves, a metric in a task of a source: all its forecasts and what they scored.

Letters: N cases (curves at a cut-off), C columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from data.curve import RealCurve
from opponents.method import Method

from lcpfn.belief import Belief
from real import cases, scores
from real.cases import CUTS, Case

TARGETS = ("later", "final", "best")
EVENTS = ("final", "best")  # that may beat an incumbent
COLUMNS = (
    "cut",
    "seen",
    *(f"{target}_{name}" for target in TARGETS for name in scores.NAMES),
    *(f"{event}_{name}" for event in EVENTS for name in ("brier", "said", "happened")),
    "diverges_brier",
    "diverges_said",
    "diverges_happened",
    "failed",
    "cpu_s",
)
PLACE = {name: i for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Rows of one cell.

    Attributes:
        rows: (N, C) float64 in the order of COLUMNS; NaN where a score does not exist.
        runs: (N,) of each row.
        counts: how many cases were scored, and why others were not.
        reasons: why the method failed, how often.
    """

    rows: np.ndarray
    runs: np.ndarray
    counts: Counter[str]
    reasons: Counter[str]


def forecast(method: Method, curves: Sequence[RealCurve], *, others: Sequence[RealCurve], seed: int) -> Forecasts:
    """What the method says about every curve of a cell at every cut-off, and its scores.

    A case in which the method fails counts as a forecast that is clearly lost: half of it at either fence.

    Args:
        method: asked as contest/terms.py says, `prepare` first.
        curves: all of one source, task, name and metric.
        others: of other tasks.
        seed: of the incumbents.
    """
    counts: Counter[str] = Counter()
    chosen: dict[int, list[Case]] = {cut: [] for cut in CUTS}
    for each in (cases.case(curve, cut) for cut in CUTS for curve in curves):
        counts[each.hopeless or "forecast"] += 1
        if each.hopeless is None:
            chosen[each.cut].append(each)
    reasons: Counter[str] = Counter()
    rows = [np.empty((0, len(COLUMNS)))]
    if any(chosen.values()):
        yard = scores.yardstick(
            np.concatenate([curve.y for curve in curves]),
            metric=curves[0].metric,
            resolution=max(curve.resolution for curve in curves),
        )
        finals = {curve.run: float(curve.y[-1]) for curve in curves}
        rivals = {curve.run: cases.incumbents(curve, finals, seed=seed) for curve in curves}
        broken = _prepare(method, others)
        told = {"others": others, "rivals": rivals, "broken": broken, "reasons": reasons}
        rows += [_batch(method, batch, yard, **told) for batch in chosen.values() if batch]
    whole, asked = np.concatenate(rows), [each for batch in chosen.values() for each in batch]
    counts["later points that are no number"] += sum(int((~np.isfinite(each.later)).sum()) for each in asked)
    counts["ends that are no number"] += sum(each.diverges for each in asked)
    counts["without an incumbent"] += sum(not len(rivals[each.curve.run]) for each in asked)
    counts["failed"] += int(whole[:, PLACE["failed"]].sum())
    return Forecasts(whole, np.array([each.curve.run for each in asked], dtype=str), counts, reasons)


def _prepare(method: Method, others: Sequence[RealCurve]) -> str | None:
    """Why the method could not be prepared, None if it is."""
    try:
        with cases.silence():
            method.prepare(others)
    except Exception as error:
        return f"prepare: {cases.reason(error)}"
    return None


def _batch(
    method: Method,
    batch: Sequence[Case],
    yard: scores.Yardstick,
    *,
    others: Sequence[RealCurve],
    rivals: dict[str, np.ndarray],
    broken: str | None,
    reasons: Counter[str],
) -> np.ndarray:
    """(B, C) rows of the cases of one cut-off; counts failures in `reasons`."""
    rows = np.full((len(batch), len(COLUMNS)), np.nan)
    rows[:, PLACE["cut"]] = [each.cut for each in batch]
    rows[:, PLACE["seen"]] = [each.seen for each in batch]
    rows[:, PLACE["failed"]] = rows[:, PLACE["cpu_s"]] = 0.0
    doom = cases.divergence(method, batch, others=others)
    diverges = np.array([each.diverges for each in batch])
    rows[:, PLACE["diverges_said"]], rows[:, PLACE["diverges_happened"]] = doom, diverges
    rows[:, PLACE["diverges_brier"]] = (doom - diverges) ** 2
    truths = {"value": [each.later for each in batch], "best": [np.array([each.best]) for each in batch]}
    for kind, truth in truths.items():
        answer = cases.Answer([None] * len(batch), dict.fromkeys(range(len(batch)), broken or ""), 0.0)
        if broken is None:
            answer = cases.ask(method, batch, kind=kind)
        beliefs, judged, failed = _judge(batch, answer, truth, yard, kind)
        reasons.update(failed.values())
        rows[list(failed), PLACE["failed"]] = 1.0
        rows[:, PLACE["cpu_s"]] += answer.cpu_s / len(batch)
        ends = [belief[-1:] for belief in beliefs]
        target = "best" if kind == "best" else "final"
        if kind == "value":
            _put(rows, "later", np.array([_mean(each) for each in judged]))
        _put(rows, target, np.array([each[-1] for each in judged]))
        survives = 1.0 if kind == "best" else 1.0 - doom
        outcome = np.array([values[-1] for values in truth])
        _against(rows, target, batch, ends, outcome, survives=survives, rivals=rivals)
    return rows


def _judge(
    batch: Sequence[Case], answer: cases.Answer, truth: Sequence[np.ndarray], yard: scores.Yardstick, kind: str
) -> tuple[list[Belief], list[np.ndarray], dict[int, str]]:
    """Beliefs with `scores.failure` in place of failures, their scores, and the failures' reasons."""
    blank = [scores.failure(t, yard=yard, metric=batch[0].curve.metric, kind=kind) for t in cases.times(batch, kind)]
    beliefs = [belief or blank[i] for i, belief in enumerate(answer.beliefs)]
    steps, failed = [each.curve.resolution for each in batch], dict(answer.reasons)
    judged = scores.judge(beliefs, truth, yard, steps=steps)
    for i, rows in enumerate(judged):
        if not np.isfinite(rows[np.isfinite(truth[i])]).all():
            failed[i], beliefs[i] = cases.NOT_FINITE, blank[i]
            (judged[i],) = scores.judge([blank[i]], [truth[i]], yard, steps=[steps[i]])
    return beliefs, judged, failed


def _against(
    rows: np.ndarray,
    event: str,
    batch: Sequence[Case],
    ends: Sequence[Belief],
    outcome: np.ndarray,
    *,
    survives: np.ndarray | float,
    rivals: dict[str, np.ndarray],
) -> None:
    """Brier scores, and what was said and happened about the first incumbent, so that events are independent.

    To beat is to be better by more than half of the resolution. A run without a number at its end beats nobody.
    """
    bars = np.full((len(batch), cases.INCUMBENTS), np.nan)
    for i, each in enumerate(batch):
        drawn = rivals[each.curve.run]
        bars[i, : len(drawn)] = drawn + each.curve.metric.sign * each.curve.resolution / 2
    said = np.empty(bars.shape)
    for members, belief in scores.batches(ends):
        said[members] = belief.prob_better(np.nan_to_num(bars[members].T)).T
    said = np.where(np.isnan(bars), np.nan, said * np.reshape(survives, (-1, 1)))
    sign = batch[0].curve.metric.sign
    happened = sign * np.nan_to_num(outcome[:, None], nan=-sign * np.inf, posinf=-sign * np.inf, neginf=-sign * np.inf)
    happened = np.where(np.isnan(bars), np.nan, happened > sign * bars)
    known = np.array([len(rivals[each.curve.run]) > 0 for each in batch])
    rows[known, PLACE[f"{event}_brier"]] = np.nanmean((said - happened)[known] ** 2, axis=1)
    rows[:, PLACE[f"{event}_said"]], rows[:, PLACE[f"{event}_happened"]] = said[:, 0], happened[:, 0]


def _put(rows: np.ndarray, target: str, judged: np.ndarray) -> None:
    first = PLACE[f"{target}_{scores.NAMES[0]}"]
    rows[:, first : first + len(scores.NAMES)] = judged


def _mean(judged: np.ndarray) -> np.ndarray:
    """(scores,) means over the later points that are numbers; NaN if there is none."""
    known = np.isfinite(judged).all(axis=1)
    return judged[known].mean(axis=0) if known.any() else np.full(judged.shape[1], np.nan)
