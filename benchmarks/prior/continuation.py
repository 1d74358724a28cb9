"""What comes after, given what was seen: is the rest of a prior's runs like that of measured curves?

    python benchmarks/prior/continuation.py

Two mirrors to correct a prior by before any network is trained on it, beside those of prior_check.py, which know whole
curves alone. First the gain still to come over the range seen so far. Then a forecast without a network: the rest of
the prior's runs that are most alike in what was seen, for a prior and for another, scored as in real_curves.py. It is
crude, and good for comparing priors alone. Development tasks alone.

Letters: N curves at a cut-off, F features, K neighbours.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from data.curve import RealCurve
from real.cases import LEAST_SEEN
from real.scores import Yardstick, yardstick
from record import Record, parser, say
from report import rest
from report.text import markdown

from lcpfn.priors import Curves, by_name
from prior.check import drawn
from prior.traits import LIMIT

CUTS = (10, 20, 40)  # percent of the points that are seen; later there is little left to tell
GRIDS = ("even", "growing")  # of the gaps between the points seen
GROWING = 0.3  # log10 of the last gap over the first, above which they grow
EDGES = (-10.0, -3.0, -1.0, -0.3, -0.03, 0.03, 0.3, 1.0, 3.0, 10.0)  # of the rest over the range seen
FEWEST = 20  # curves of a source at a cut-off and grid, to count in the shares
NEIGHBOURS = 150
PLACES = 12  # at which the course of what was seen is compared
PER_TASK, PER_SOURCE, RUNS = 20, 80, 60_000
SEED = 0
AGAINST = '{"acceptance": {"least": 1.0}}'  # every run stays


@dataclass(frozen=True, eq=False)
class Seen:
    """N curves at one cut-off, in the direction in which higher is better.

    Attributes:
        features: (N, F) of what was seen, free of unit.
        growing: (N,) whether the gaps between its points grow.
        last: (N,) last value that was seen.
        size: (N,) range of the values seen.
        rest: (N, 2) last value of the run and best value to come, less `last`, in sizes.
    """

    features: np.ndarray
    growing: np.ndarray
    last: np.ndarray
    size: np.ndarray
    rest: np.ndarray

    def __len__(self) -> int:
        return len(self.last)

    def __getitem__(self, rows: np.ndarray) -> Seen:
        return Seen(self.features[rows], self.growing[rows], self.last[rows], self.size[rows], self.rest[rows])


def seen(curves: Iterable[tuple[np.ndarray, np.ndarray, float, float]], cut: int) -> tuple[Seen, np.ndarray]:
    """Those curves (t, y, lower, upper) of which enough was seen at the cut-off, and their places.

    Left out are those that showed a single value, or did not end with a number.
    """
    parts, places = [], []
    for place, (t, y, lower, upper) in enumerate(curves):
        count = max(LEAST_SEEN, math.ceil(cut * len(y) / 100))
        past, times = y[:count][np.isfinite(y[:count])], t[:count][np.isfinite(y[:count])]
        if count >= len(y) or len(past) < 2 or not math.isfinite(y[-1]):
            continue
        size, last, rest = float(np.ptp(past)), float(past[-1]), y[count:]
        if not size > 1e-9 * float(np.abs(past).max()):
            continue
        best = float(np.nanmax(np.where(np.isfinite(rest), rest, -np.inf)))
        spacing, features = _features(times, past, t[-1], lower, upper)
        parts.append((features, spacing > GROWING, last, size, ((y[-1] - last) / size, (best - last) / size)))
        places.append(place)
    columns = [np.array(column) for column in zip(*parts)] if parts else [np.empty((0, 1))] * 5
    return Seen(*columns), np.array(places, dtype=int)


def _features(t: np.ndarray, y: np.ndarray, end: float, lower: float, upper: float) -> tuple[float, np.ndarray]:
    """log10 of the last gap over the first, and everything by which neighbours are found."""
    size = float(np.ptp(y))
    v = (y - y[-1]) / size
    course = np.interp(np.linspace(0, len(v) - 1, PLACES), np.arange(len(v)), v)
    steps, late = np.abs(np.diff(v)), v[-max(1, len(v) // 3) :]
    spacing = math.log10(max(t[-1] - t[-2], 1e-300) / max(t[1] - t[0], 1e-300))
    to_go = math.log10(max(end - t[0], 1e-9) / max(t[-1] - t[0], 1e-9))
    rooms = [
        0.5 * math.log10(min(max(room / size, 1e-2), 1e3)) if math.isfinite(room) else 1.75
        for room in (upper - y[-1], y[-1] - lower)
    ]
    reach = 0.5 * np.clip(math.log10(size / max(float(np.abs(y).max()), 1e-300)), -4, 1)
    numbers = [1.5 * math.log10(len(v)), math.log10(steps.sum()), math.log10(steps.mean() + 1e-3)]
    numbers += [0.7 * spacing, to_go, *rooms, math.log10(float(np.ptp(late)) + 1e-3), reach]
    return spacing, np.array([*course, *numbers])


def of_prior(parameters: dict[str, Any], count: int) -> dict[int, Seen]:
    """Runs of the general prior with these parameters, at each cut-off; those that broke off are left out."""
    runs = drawn(by_name("general", parameters), count, seed=SEED)
    return {cut: seen(_of_runs(runs), cut)[0] for cut in CUTS}


def _of_runs(runs: Curves) -> Iterator[tuple[np.ndarray, np.ndarray, float, float]]:
    runs = runs.upward()
    assert runs.lower is not None and runs.upper is not None and runs.diverged is not None
    t, y = runs.t.double().numpy(), runs.y.double().numpy()
    for i, count in enumerate(runs.seen.sum(1).tolist()):
        if count >= 5 and not runs.diverged[i]:  # as the collection of measured curves has it
            yield t[i, :count], y[i, :count], float(runs.lower[i]), float(runs.upper[i])


def _of_curves(curves: Sequence[RealCurve]) -> Iterator[tuple[np.ndarray, np.ndarray, float, float]]:
    for curve in curves:
        rank = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), LIMIT)).round().astype(int))
        yield curve.t[rank], curve.metric.sign * curve.y[rank], *curve.metric.upward_bounds


def shares(of: Seen) -> dict[str, list[float]]:
    """By grid, the shares of the curves whose rest lies between the EDGES."""
    found = {}
    for grid in GRIDS:
        rows = of.growing == (grid == "growing")
        if rows.sum() >= FEWEST:
            counts = np.bincount(np.digitize(of.rest[rows, 0], EDGES), minlength=len(EDGES) + 1)
            found[grid] = (counts / counts.sum()).round(4).tolist()
    return found


def errors(asked: Seen, prior: Seen, yards: Sequence[Yardstick], signs: np.ndarray) -> np.ndarray:
    """(N, 2) CRPS of the last and of the best value to come, by the rest of the K runs most alike, in units of a task.

    Args:
        asked: measured curves.
        prior: its runs.
        yards: of the tasks of the N curves, in the metric's own direction.
        signs: (N,) of their metrics.
    """
    squares = (prior.features**2).sum(1) - 2 * asked.features @ prior.features.T
    nearest = np.argpartition(squares, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    out = np.empty((len(asked), 2))
    for i, yard in enumerate(yards):
        ends = sorted((signs[i] * yard.low, signs[i] * yard.high))
        for kind in range(2):
            draws = asked.last[i] + asked.size[i] * prior.rest[nearest[i], kind]
            truth = asked.last[i] + asked.size[i] * asked.rest[i, kind]
            out[i, kind] = crps(np.clip(draws, *ends), float(np.clip(truth, *ends))) / yard.scale
    return out


def crps(draws: np.ndarray, truth: float) -> float:
    """The CRPS of an empirical law (K,).

    >>> crps(np.array([0.0, 1.0]), 1.0)
    0.25
    """
    x, n = np.sort(draws), len(draws)
    spread = 2 * (x * (2 * np.arange(1, n + 1) - n - 1)).sum() / n**2
    return float(np.abs(x - truth).mean() - spread / 2)


def measured(source: str, per_task: int) -> tuple[list[RealCurve], list[Yardstick]]:
    """Development curves of a source, each with the yardstick of its task."""
    from data import curves

    found = curves.read(source, per_task=per_task, split="development")
    kept, yards = [], []
    for _, group in groupby(
        sorted(found, key=lambda each: (each.task, each.name)), lambda each: (each.task, each.name)
    ):
        members = list(group)
        values = np.concatenate([each.y for each in members])
        told = {"metric": members[0].metric, "resolution": max(each.resolution for each in members)}
        kept += members
        yards += [yardstick(values, **told)] * len(members)
    return kept, yards


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, write the result; 2 if there are no measured curves."""
    about = "Compare what comes after, given what was seen, between measured curves and two forms of the general prior."
    made = parser(rest.COMMAND.split()[1], about, name="prior_rest")
    made.add_argument("--parameters", default="{}", metavar="JSON", help="of the prior, beside its defaults")
    made.add_argument("--against", default=AGAINST, metavar="JSON", help=f"those of the other (default: {AGAINST})")
    made.add_argument("--runs", type=int, default=RUNS, help=f"of each prior (default: {RUNS:,})")
    told = made.parse_args(arguments)
    per_task, per_source, count = (2, 6, 2000) if told.quick else (PER_TASK, PER_SOURCE, told.runs)
    from data import curves, parquet

    if not curves.sources():
        print(f"prior_rest: {parquet.MISSING}", file=sys.stderr)
        return 2
    settings = {"per_task": per_task, "per_source": per_source, "runs": count, "neighbours": NEIGHBOURS}
    settings |= {"cuts": list(CUTS), "edges": list(EDGES), "parameters": told.parameters, "against": told.against}
    record = Record(
        rest.COMMAND.split()[1], name="prior_rest", told=told, arguments=arguments, seed=SEED, settings=settings
    )
    priors = {
        name: of_prior(json.loads(parameters), count)
        for name, parameters in (("prior", told.parameters), ("against", told.against))
    }
    found: dict[str, Any] = {
        "edges": list(EDGES),
        "shares": {name: {str(cut): shares(each[cut]) for cut in CUTS} for name, each in priors.items()},
        "errors": {},
    }
    for source in curves.sources():
        members, yards = measured(source, per_task)
        if not members:  # a source may have test tasks alone
            continue
        ratios, parts = [], {}
        for cut in CUTS:
            asked, places = seen(_of_curves(members), cut)
            parts[str(cut)] = shares(asked)
            chosen = np.random.default_rng(SEED).permutation(len(asked))[:per_source]
            if len(chosen):
                who = places[chosen]
                signs = np.array([members[i].metric.sign for i in who])
                pair = [
                    errors(asked[chosen], each[cut], [yards[i] for i in who], signs).mean(0) for each in priors.values()
                ]
                ratios.append(np.log(pair[0] / pair[1]))
        found["shares"][source] = parts
        if ratios:
            final, best = np.mean(ratios, axis=0)
            found["errors"][source] = {"final": round(float(final), 4), "best": round(float(best), 4)}
        record.write(found, complete=False)
        say(f"{source}: {len(members)} curves, {found['errors'].get(source)}")
    record.write(found, complete=True)
    for table in rest.TABLES.values():
        say("\n" + markdown(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
