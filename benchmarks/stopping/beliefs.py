"""Beliefs about all runs of a table after every prefix, in one pass, and the rules of `lcpfn.stopping` on them.

Nothing is decided here: incumbents, looks, thresholds and divergence come from `lcpfn.stopping.policy`,
`lcpfn.stopping.rules` and `lcpfn.stopping.thresholds`, for all prefixes of a run at once. tests/test_stopping_replay.py
proves it equal to `Policy.decide`, point by point.

Letters: T points of a run, N runs, Q asked times, K components of a mixture, G nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from data.curve import RealCurve
from opponents.naive import LastValue
from opponents.normalise import UNIT, Normaliser

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric
from lcpfn.pfn import PFN
from lcpfn.stopping.policy import EXPLODED, Policy
from lcpfn.stopping.question import EPSILON, Question, Rivals, gain_over
from lcpfn.stopping.thresholds import threshold_by
from stopping.baselines import Simple
from stopping.replay import History
from stopping.table import Run, Table

LATER = 8  # later times that the rule "paper" asks about; evenly by rank, the last one among them
LADDER = (0.8, 0.4, 0.2, 0.1, 0.05, 0.02, 0.005, 0.001, 1e-4, 1e-5)  # targets beaten so rarely are kept
FIRST = np.array([0])  # the place of a run's first point
BLOCKS = (3, 12)  # looks at a run that are computed together: the first ones, some more, the rest
# A gain is an integral of the probability of beating x from the target on: nodes in asinh of the distance in units of
# the belief's scale, which no belief of ours leaves.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
FARTHEST = 12.0

LAW = ("log_weights", "means", "stds")


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What an engine believes about one run after 1 to T - 1 points.

    Attributes:
        belief: (T - 1, Q): about the best to come (Q = 1), or about the values at later times.
        later: (T - 1, Q) which of the times lie ahead.
        to_unit: maps a target in the metric's unit to the belief's, None if they are the same.
        from_unit: maps values of the belief's unit to upward ones.
    """

    belief: Belief
    later: np.ndarray
    to_unit: Callable[[float], float] | None = None
    from_unit: Callable[[np.ndarray], np.ndarray] | None = None
    _kept: dict[float, np.ndarray] = field(default_factory=dict, repr=False)

    def prob_better(self, target: float, places: np.ndarray) -> np.ndarray:
        """(L,) probability of beating the target after some numbers of points less 1; of several times the highest."""
        odds = self.belief[places].prob_better(target if self.to_unit is None else self.to_unit(target))
        return np.where(self.later[places], odds, 0.0).max(axis=1)

    def at_most(self, limits: np.ndarray, up: float, places: np.ndarray) -> np.ndarray:
        """(L,) whether the probability of beating an upward target is at most (L,) limits.

        Mostly known from the targets that are beaten with the probabilities of LADDER; asked between two of its steps.
        False after the first True, as nobody looks at a run that was stopped.
        """
        targets = np.stack([self.turning(step)[places] for step in LADDER])  # (S, L)
        below = np.searchsorted(-np.array(LADDER), -limits, side="left")  # the first step at or under each limit
        column = np.arange(len(places))
        sure = (below < len(LADDER)) & (up >= targets[np.minimum(below, len(LADDER) - 1), column])
        never = (below > 0) & (up < targets[np.maximum(below - 1, 0), column])  # likelier than the step above
        end = int(np.argmax(sure)) if sure.any() else len(places)
        unclear = np.flatnonzero(~never[:end])
        stops = np.zeros(len(places), dtype=bool)
        stops[end : end + 1] = True
        if unclear.size:
            target = self.belief.metric.sign * up
            stops[unclear] = self.prob_better(target, places[unclear]) <= limits[unclear]
        return stops

    def turning(self, level: float) -> np.ndarray:
        """(T - 1,) the target, upward, beaten with this probability; of several times the highest."""
        if level not in self._kept:
            sign = self.belief.metric.sign
            targets = sign * self.belief.quantile(1 - level if sign > 0 else level)
            if self.from_unit is not None:
                targets = self.from_unit(targets)
            self._kept[level] = np.where(self.later, targets, -np.inf).max(axis=1)
        return self._kept[level]


def general(engine: PFN, table: Table) -> list[Beliefs]:
    """N beliefs about the best to come within the horizon, as `PFN.predict` gives them for each prefix."""
    runs, metric = table.runs, table.metric
    ends = np.array([run.horizon for run in runs])
    replay = engine.replay(
        [run.y for run in runs], ends[:, None], t=[run.t for run in runs], kind="best", metric=metric, run_end=ends
    )
    counts = [len(run) - (not run.diverged) for run in runs]
    found = [replay.belief[i][1 : count + 1] for i, count in enumerate(counts)]
    return [Beliefs(belief, np.ones(belief.shape, dtype=bool)) for belief in found]


def paper(engine: PFN, table: Table) -> list[Beliefs]:
    """N beliefs about the values at later times, of an engine that knows rising curves in [0, 1] at times 1 to 100.

    A run's first time is mapped to 1, its horizon to 100, and its values by the normalisation of LC-PFN, which where a
    bound is missing rests on the first two points.
    """
    found = []
    for run in table.runs:
        x = table.metric.sign * run.y
        normaliser = Normaliser.of(x[:2], table.metric)
        count = len(run) - (not run.diverged)
        if not count or run.t[0] >= run.horizon:
            found.append(Beliefs(_nothing(table.metric), np.zeros((0, 1), dtype=bool)))
            continue
        ahead = np.append(run.t[1:], [] if not run.diverged else [run.horizon])
        asked = ahead[np.unique(np.round(np.linspace(0, len(ahead) - 1, min(LATER, len(ahead)))).astype(int))]
        replay = engine.replay(normaliser.forward(x), asked, t=run.t, metric=UNIT, stretch_time=True)

        def to_unit(target: float, normaliser: Normaliser = normaliser) -> float:
            return float(normaliser.forward(np.array(table.metric.sign * target)))

        found.append(Beliefs(replay.belief[1 : count + 1], replay.valid[1 : count + 1], to_unit, normaliser.inverse))
    return found


def naive(method: LastValue, table: Table) -> list[Beliefs]:
    """N beliefs about the best to come by the last value and the errors that it had in other tasks."""
    found = []
    for run in table.runs:
        count = len(run) - (not run.diverged)
        beliefs = method.predict(
            [run.y[:c] for c in range(2, count + 1)],
            [np.array([run.horizon])] * max(count - 1, 0),
            t=[run.t[:c] for c in range(2, count + 1)],
            kind="best",
            metric=table.metric,
            horizon=[run.horizon] * max(count - 1, 0),
        )
        belief = _stacked([beliefs[0], *beliefs]) if beliefs else _nothing(table.metric)  # no rule looks at one point
        found.append(Beliefs(belief, np.ones(belief.shape, dtype=bool)))
    return found


def _stacked(beliefs: Sequence[Belief]) -> Belief:
    """(N, Q) beliefs of mixtures (Q,) as one."""
    law = Mixture(*(np.stack([getattr(each.law, name) for each in beliefs]) for name in LAW))
    location, scale, t = (np.stack([getattr(each, name) for each in beliefs]) for name in ("location", "scale", "t"))
    return replace(beliefs[0], law=law, location=location, scale=scale, t=t)


def _nothing(metric: Metric) -> Belief:
    empty = np.empty((0, 1, 1))
    return Belief(Mixture(empty, empty, empty), 0.0, 1.0, metric=metric, kind="best", t=np.empty((0, 1)))


@dataclass(eq=False)
class Lookup(Simple):
    """A rule of `lcpfn.stopping.policy` on beliefs that are there already.

    Attributes:
        options: of the Policy: rule, level, min_points and so on.
        beliefs: N of them.
        table: of the runs.
        alarms: for each run the number of points from which on it is not judged, as the alarm rings; None for none.
        engine: of the Policy.
        spread: see `_rate`.
    """

    options: dict[str, Any]
    beliefs: list[Beliefs]
    table: Table
    alarms: np.ndarray | None = None
    engine: Any = None
    spread: bool = False
    _plans: dict[int, Plan] = field(default_factory=dict)
    _fresh: dict[tuple[float, float], float] = field(default_factory=dict)

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        plan = self._plan(run)
        count, record = len(table.runs[run]), table.records[run]
        end = min(count, plan.explodes)
        rivals = _rivals(history)
        bar = plan.policy.bar(rivals)
        if bar is not None and plan.looks.size:
            behind = int(np.argmax(record > table.metric.sign * bar)) if record[-1] > table.metric.sign * bar else count
            calm = count if self.alarms is None else int(self.alarms[run])
            looks = plan.looks[plan.looks < min(end, behind + 1, calm)]
            for part in np.split(looks, [end for end in BLOCKS if end < len(looks)]):  # most stops come early
                if part.size and (stops := self._stops(run, plan, part, bar, history)).any():
                    return int(part[np.argmax(stops)])
        return end

    def bar(self, table: Table, history: History) -> float | None:
        """See Judge."""
        bar = self._plan(0).policy.bar(_rivals(history))
        return None if bar is None else table.metric.sign * bar

    def _plan(self, run: int) -> Plan:
        if run not in self._plans:
            self._plans[run] = Plan.of(self.table, run, self.options, self.engine)
        return self._plans[run]

    def _stops(self, run: int, plan: Plan, looks: np.ndarray, bar: float, history: History) -> np.ndarray:
        """Whether the rule stops the run at each look, a number of points."""
        policy, sign = plan.policy, self.table.metric.sign
        target = bar + sign * policy.min_delta
        places = looks - 1
        if policy.rule == "worth":
            left = plan.policy.horizon - self.table.runs[run].t[places]
            belief = self.beliefs[run].belief[places, 0]
            return gains(belief, target) / left <= self._rate(policy, target, history)
        about, runs = self.beliefs[run], max(history.concluded, policy.rank)
        if policy.rule == "best" and policy.spend:
            own = None if policy.start == "runs" else float(about.prob_better(target, FIRST)[0])
            told = {"runs": runs, "rank": policy.rank, "own": own, "cap": policy.cap}
            gaps = plan.gaps[places].tolist()
            limits = np.array([threshold_by(policy.start, policy.level, gap=gap, **told) for gap in gaps])
            return about.at_most(limits, sign * target, places)
        return sign * target >= about.turning(policy.level)[places]

    def _rate(self, policy: Policy, target: float, history: History) -> float:
        """The gain per unit of time that `worth` wants: its `min_rate`, or what a fresh run gains.

        With the option "spread" the latter is told by the finished runs: if the bests of runs had an exponential tail,
        the next of n + 1 would gain its spread over n + 1 in the mean. Else by the prior, as `worth` does.
        """
        if self.spread:
            up = self.table.metric.sign * np.array(history.finished)
            return float(up.max() - up.mean()) / (history.concluded + 1) / policy.horizon
        key = target, policy.horizon
        if key not in self._fresh:
            how = dict(kind="best", metric=policy.measured, run_end=policy.horizon)
            fresh = self.engine.predict([], [policy.horizon], **how)
            self._fresh[key] = gain_over(fresh[0], target) / policy.horizon
        return self._fresh[key]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a policy knows of a run before any incumbent.

    Attributes:
        policy: with the run's horizon.
        looks: numbers of points after which the rule is asked.
        gaps: (T,) points between two looks, after 1 to T points.
        explodes: the number of points at which the run counts as diverged; more than it has if it never does.
    """

    policy: Policy
    looks: np.ndarray
    gaps: np.ndarray
    explodes: int

    @classmethod
    def of(cls, table: Table, run: int, options: dict[str, Any], engine: Any) -> Plan:
        """Of a run of the table."""
        each, metric = table.runs[run], table.metric
        policy = Policy(horizon=each.horizon, metric=metric, engine=engine, **options)
        counts = np.arange(1, len(each) + 1)
        looks = counts[(counts >= policy.min_points) & (counts % policy.every == 0) & (each.t < each.horizon)]
        gaps = [policy.gap(Question(policy.predictor, metric, each.t[:c], each.y[:c], each.horizon)) for c in counts]
        return cls(policy, looks, np.array(gaps), _explodes(policy, each))


def _explodes(policy: Policy, run: Run) -> int:
    """The first number of points after which the policy says that the run diverged."""
    size = np.abs(run.y)
    for place in np.flatnonzero((size[1:] > EXPLODED * size[0]) & (size[:-1] > EXPLODED * size[0])) + 1:
        decision = policy.decide(list(run.t[: place + 1]), list(run.y[: place + 1]), Rivals())
        if decision.reason == "diverged":
            return int(place) + 1
    return len(run) + 1


def gains(belief: Belief, target: float) -> np.ndarray:
    """(T,) E[(best - target)+] in the better direction: `lcpfn.stopping.question.gain_over` for a whole batch."""
    sign = belief.metric.sign
    start = np.arcsinh((sign * target - belief.location) / belief.scale)
    end = np.minimum(np.arcsinh((belief.metric.upward_bounds[1] - belief.location) / belief.scale), FARTHEST)
    width = np.maximum(end - start, 0.0)
    v = start + width * (1 + _NODES[:, None]) / 2
    x = sign * (belief.location + belief.scale * np.sinh(v))
    odds = belief.prob_better(x) * belief.scale * np.cosh(v) * width / 2
    return np.where(belief.prob_better(target) <= EPSILON, 0.0, _WEIGHTS @ odds)


def _rivals(history: History) -> Rivals:
    return Rivals(tuple(history.finished), history.concluded, tuple(history.stopped))


def last_value(others: Sequence[RealCurve]) -> LastValue:
    """The method, with the errors that it made in other tasks."""
    method = LastValue()
    method.prepare(others)
    return method
