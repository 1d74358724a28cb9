"""What a search knows about a question: which other runs help, and what became of them.

Letters: n other runs, Q queries, T points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from lcpfn.belief import Belief
from lcpfn.engine import Engine
from lcpfn.metric import Metric
from lcpfn.others.encoding import Prefix, forecast
from lcpfn.others.question import LEAST_KNOWN, Question
from lcpfn.others.runs import Run

Array = NDArray[np.float64]

USED = 32  # other runs that a question looks at: those nearest by position and slope
HALF = 1.349  # width of the central half of a normal, in standard deviations
EXPLODED = 30.0  # gains below all that was seen: so far the networks were taught what an explosion is
SURE = 1e-12  # probabilities nearer to 0 or 1 have no normal score that means anything


def questions(
    pfn: Engine,
    runs: Sequence[Run],
    t: Array,
    y: Array,
    *,
    end: float,
    asked: Array,
    own: Belief,
    kind: str,
    metric: Metric,
    stretch_time: bool = False,
) -> list[Question] | None:
    """A question for each asked time, None if no other run has come as far as the asked one.

    Args:
        pfn: the engine that forecasts each run.
        runs: the others, without the asked one.
        t: (T,) times of the asked run, one at least.
        y: (T,) its values.
        end: when it ends, NaN if nobody knows. Runs that do not say end at the same time.
        asked: (Q,) times after the last one.
        own: (Q,) what the engine believes of it.
        kind: of the questions.
        metric: of all runs.
        stretch_time: as for `predict`.
    """
    back = max(0, len(t) - 1 - max(1, len(t) // 4))  # where the slope begins
    usable = [run for run in runs if run.count(t[-1]) and run.reaches(t[-1])]
    place = metric.sign * np.array([[run.at(t[-1]), run.at(t[-1]) - run.at(t[back])] for run in usable])
    mine = metric.sign * np.array([y[-1], y[-1] - y[back]])
    if not usable:
        return None
    if len(usable) > USED:
        ladder = [np.sort(column) for column in place.T]  # ranks, since a few may have exploded
        apart = sum(
            np.abs(np.searchsorted(column, place[:, k]) - np.searchsorted(column, mine[k]))
            for k, column in enumerate(ladder)
        )
        ended = np.array([run.reaches(asked.max()) for run in usable])
        near = np.sort(np.lexsort((apart, ~ended))[:USED])
        usable, place = [usable[k] for k in near], place[near]
    now, slope = np.concatenate([mine[None], place]).T
    ends = [_end(run, end) for run in usable]
    shape = (len(usable), len(asked))
    times = np.broadcast_to(asked, shape)
    then = [Prefix(run.t, run.y, run.count(t[-1]), until) for run, until in zip(usable, ends)]
    believed = forecast(pfn, then, times, kind, metric, stretch_time=stretch_time)
    truth, error = _outcomes(pfn, usable, ends, float(t[-1]), times, kind, metric, stretch_time)
    levels = [0.25, 0.5, 0.75]
    quartiles = metric.sign * np.concatenate([own.quantile(levels)[None], believed.quantile(levels)])
    width = np.abs(quartiles[:, :, 2] - quartiles[:, :, 0]) / HALF
    known = _known(usable, error, width[1:], float(t[-1]), asked)
    better = np.clip(believed.prob_better(metric.sign * truth), SURE, 1 - SURE)
    broken = np.array([[run.diverged_at is not None and run.diverged_at <= time for time in asked] for run in usable])
    seen = [metric.sign * run.y[: run.count(t[-1])] for run in usable]
    bar = np.array([part.min() - EXPLODED * np.ptp(part) for part in seen])[:, None] - EXPLODED * width[1:]
    exploded = (truth < bar) & ~broken
    found = []
    for q in range(len(asked)):
        kept = np.flatnonzero(~broken[:, q] & ~exploded[:, q])  # the law is that of runs which did neither
        all_ = np.concatenate([[0], kept + 1])
        found.append(
            Question(
                now=now[all_],
                slope=slope[all_],
                centre=quartiles[all_, q, 1],
                width=width[all_, q],
                truth=truth[kept, q],
                known=known[kept, q],
                cdf=_cdfs(own[q], believed[kept, q], metric),
                score=-ndtri(better[kept, q]),
                diverged=(int(exploded[:, q].sum()), int(broken[:, q].sum())),
            )
        )
    return found


def _end(run: Run, end: float) -> float:
    if run.run_end is not None:
        return max(run.run_end, float(run.t[-1]))
    return end if end >= run.t[-1] else np.nan


def _known(runs: Sequence[Run], error: Array, width: Array, now: float, asked: Array) -> Array:
    """(n, Q) how much of each outcome is known: all of it where it was measured.

    A run that stopped on the way is forecast from where it stopped. That says as much as the forecast became
    narrower, and less: its error is of the same kind as the error that is looked for, until the run is there. So the
    share of the way counts too, and to the third power: when all others are half way, their forecasts agree with the
    network's since they are the network's.
    """
    gone = 1 - np.minimum(error / np.maximum(width, 1e-300), 1.0) ** 2
    way = np.array([[np.clip((run.t[-1] - now) / (time - now), 0, 1) for time in asked] for run in runs])
    return np.clip(np.where(error > 0, gone * way**3, 1.0), LEAST_KNOWN, 1.0)


def _outcomes(
    pfn: Engine,
    runs: Sequence[Run],
    ends: Sequence[float],
    now: float,
    times: Array,
    kind: str,
    metric: Metric,
    stretch_time: bool,
) -> tuple[Array, Array]:
    """(n, Q) what became of the runs, as sign * y, and how wide that is known: by measurement, or by forecast.

    A run that has not come so far is forecast from its own last point. Of the noiseless value only that is known.
    """
    truth, error = np.empty(times.shape), np.zeros(times.shape)
    reached = np.array([[run.reaches(time) for time in row] for run, row in zip(runs, times)])
    measured = reached if kind != "signal" else np.zeros_like(reached)
    for i, run in enumerate(runs):
        for q in np.flatnonzero(measured[i]):
            truth[i, q] = metric.sign * run.at(times[i, q])
            if kind == "best":
                later = run.y[run.count(now) : run.count(times[i, q])]
                truth[i, q] = max(truth[i, q], (metric.sign * later).max(initial=-np.inf))
    rows: list[int] = np.flatnonzero(~measured.all(axis=1)).tolist()
    if not rows:
        return truth, error
    last = [Prefix(runs[i].t, runs[i].y, len(runs[i]), ends[i]) for i in rows]
    ahead = times[rows]
    if kind != "signal":  # asked about, and not used, where the time lies behind
        ahead = np.maximum(
            ahead, np.array([[run.t[-1] + 1e-6 * max(abs(run.t[-1]), 1.0)] for run in (runs[i] for i in rows)])
        )
    belief = forecast(pfn, last, ahead, kind, metric, stretch_time=stretch_time)
    quartiles = metric.sign * belief.quantile([0.25, 0.5, 0.75])
    for k, i in enumerate(rows):
        open_ = ~measured[i]
        truth[i, open_] = quartiles[k, open_, 1]
        error[i, open_] = np.abs(quartiles[k, open_, 2] - quartiles[k, open_, 0]) / HALF
        if kind == "best":
            later = metric.sign * runs[i].y[runs[i].count(now) :]
            truth[i, open_] = np.maximum(truth[i, open_], later.max(initial=-np.inf))
    return truth, error


def _cdfs(own: Belief, believed: Belief, metric: Metric) -> Any:
    def cdf(values: Array) -> Array:
        y = metric.sign * values
        worse = 1 - own.prob_better(y)  # (G,)
        return np.concatenate([worse[None], 1 - believed.prob_better(y[:, None]).T])

    return cdf
