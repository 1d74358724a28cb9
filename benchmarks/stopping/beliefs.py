"""Beliefs about all runs of a table after every prefix, in one pass, and the rules of `lcpfn.stopping` on them.

Nothing is decided here: incumbents, looks, verdicts and divergence come from `lcpfn.stopping`, whose rules judge all
prefixes of a run at once. tests/test_stopping_replay.py proves it equal to `Policy.decide`, point by point.

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
from lcpfn.stopping import Policy, Rivals, Rule
from lcpfn.stopping.policy import EXPLODED
from lcpfn.stopping.question import Question, gain_over
from lcpfn.stopping.rule import EPSILON
from stopping.baselines import Simple
from stopping.replay import History
from stopping.table import Run, Table

LATER = 8  # later times that the rule "paper" asks about; evenly by rank, the last one among them
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
    to_unit: Callable[[Any], Any] | None = None
    from_unit: Callable[[np.ndarray], np.ndarray] | None = None

    def prob_better(self, target: Any, places: np.ndarray) -> np.ndarray:
        """(L,) probability of beating the target after some numbers of points less 1; of several times the highest."""
        asked = np.asarray(target if self.to_unit is None else self.to_unit(target))
        odds = self.belief[places].prob_better(asked[:, None] if asked.ndim else asked)
        return np.where(self.later[places], odds, 0.0).max(axis=1)

    def turning(self, level: float, places: np.ndarray) -> np.ndarray:
        """(L,) the target, upward, beaten with this probability; of several times the highest."""
        belief, sign = self.belief[places], self.belief.metric.sign
        targets = sign * belief.quantile(1 - level if sign > 0 else level)
        if self.from_unit is not None:
            targets = self.from_unit(targets)
        return np.where(self.later[places], targets, -np.inf).max(axis=1)


@dataclass(frozen=True, eq=False)
class Looks:
    """One run at several looks, as `lcpfn.stopping.rule.Prospects`; shapes (L,).

    Attributes:
        about: the beliefs about the run.
        places: numbers of points less 1.
        metric: of the run.
        horizon: of the run.
        now: times of the last points.
        record: the best values so far, in the metric's unit.
        gap: points between two looks.
        fresh: the gain of a run that has not begun, for a target.
    """

    about: Beliefs
    places: np.ndarray
    metric: Metric
    horizon: float
    now: np.ndarray
    record: np.ndarray
    gap: np.ndarray
    fresh: Callable[[float], float]

    def prob_beating(self, target: Any) -> np.ndarray:
        """See Prospects; no run is asked about that has beaten the target."""
        return self.about.prob_better(target, self.places)

    def prob_at_start(self, target: float) -> float:
        """See Prospects."""
        return float(self.about.prob_better(target, FIRST)[0])

    def prob_at_any(self, target: Any) -> np.ndarray:
        """See Prospects."""
        return self.about.prob_better(target, self.places)

    def expected_gain(self, target: float) -> np.ndarray:
        """See Prospects."""
        return gains(self.about.belief[self.places, 0], target)

    def fresh_gain(self, target: float) -> float:
        """See Prospects."""
        return self.fresh(target)

    def value_beaten(self, probability: float) -> np.ndarray:
        """See Prospects."""
        return self.metric.sign * self.about.turning(probability, self.places)

    def any_value_beaten(self, probability: float) -> np.ndarray:
        """See Prospects."""
        return self.value_beaten(probability)


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

        def to_unit(target: Any, normaliser: Normaliser = normaliser) -> np.ndarray:
            return np.asarray(normaliser.forward(np.asarray(table.metric.sign * target)))

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
    """A rule of `lcpfn.stopping` on beliefs that are there already.

    Attributes:
        rule: the rule.
        beliefs: N of them.
        table: of the runs.
        alarms: for each run the number of points from which on it is not judged, as the alarm rings; None for none.
        engine: of the Policy.
        spread: whether `Worth` compares with a fresh run as the finished runs tell, see `_fresh_gain`.
        options: others of the Policy: min_points, every.
    """

    rule: Rule
    beliefs: list[Beliefs]
    table: Table
    alarms: np.ndarray | None = None
    engine: Any = None
    spread: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    _plans: dict[int, Plan] = field(default_factory=dict)
    _fresh: dict[tuple[float, float], float] = field(default_factory=dict)

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        plan = self._plan(run)
        count, record = len(table.runs[run]), table.records[run]
        end = min(count, plan.explodes)
        rivals = _rivals(history)
        bar = self.rule.bar(rivals, table.metric)
        if (bar is not None or not self.rule.compares) and plan.looks.size:
            up = np.inf if bar is None else table.metric.sign * bar
            behind = int(np.argmax(record > up)) if record[-1] > up else count
            calm = count if self.alarms is None else int(self.alarms[run])
            looks = plan.looks[plan.looks < min(end, behind + 1, calm)]
            for part in np.split(looks, [end for end in BLOCKS if end < len(looks)]):  # most stops come early
                if part.size:
                    stops = self.rule.judge(self._looks(run, plan, part, history), rivals).stops
                    if stops.any():
                        return int(part[np.argmax(stops)])
        return end

    def bar(self, table: Table, history: History) -> float | None:
        """See Judge."""
        bar = self.rule.bar(_rivals(history), table.metric)
        return None if bar is None else table.metric.sign * bar

    def _plan(self, run: int) -> Plan:
        if run not in self._plans:
            self._plans[run] = Plan.of(self.table, run, self.rule, self.engine, self.options)
        return self._plans[run]

    def _looks(self, run: int, plan: Plan, looks: np.ndarray, history: History) -> Looks:
        """The run at looks after these numbers of points."""
        each, metric, places = self.table.runs[run], self.table.metric, looks - 1
        return Looks(
            about=self.beliefs[run],
            places=places,
            metric=metric,
            horizon=each.horizon,
            now=each.t[places],
            record=metric.sign * self.table.records[run][places],
            gap=plan.gaps[places],
            fresh=lambda target: self._fresh_gain(target, each.horizon, history),
        )

    def _fresh_gain(self, target: float, horizon: float, history: History) -> float:
        """The gain of a run that has not begun, by the prior.

        With the option "spread" it is told by the finished runs: if the bests of runs had an exponential tail, the next
        of n + 1 would gain its spread over n + 1 in the mean.
        """
        if self.spread:
            up = self.table.metric.sign * np.array(history.finished)
            return float(up.max() - up.mean()) / (history.concluded + 1)
        key = target, horizon
        if key not in self._fresh:
            how = dict(kind="best", metric=self.table.metric, run_end=horizon)
            fresh = self.engine.predict([], [horizon], **how)
            self._fresh[key] = gain_over(fresh[0], target)
        return self._fresh[key]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a policy knows of a run before any incumbent.

    Attributes:
        looks: numbers of points after which the rule is asked.
        gaps: (T,) points between two looks, after 1 to T points.
        explodes: the number of points at which the run counts as diverged; more than it has if it never does.
    """

    looks: np.ndarray
    gaps: np.ndarray
    explodes: int

    @classmethod
    def of(cls, table: Table, run: int, rule: Rule, engine: Any, options: dict[str, Any]) -> Plan:
        """Of a run of the table."""
        each, metric = table.runs[run], table.metric
        policy = Policy(horizon=each.horizon, rule=rule, metric=metric, engine=engine, **options)
        counts = np.arange(1, len(each) + 1)
        looks = counts[(counts >= policy.min_points) & (counts % policy.every == 0) & (each.t < each.horizon)]
        asked = (Question(engine, metric, each.t[:c], each.y[:c], each.horizon, every=policy.every) for c in counts)
        return cls(looks, np.array([question.gap for question in asked]), _explodes(policy, each))


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
