"""The benchmark of stopping: accounting by hand, rules on made-up tables, short cuts that decide as Policy does."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lcpfn
from lcpfn.metric import Metric
from lcpfn.stopping import Best, Converged, Paper, Policy, Rivals, Rule, Worth
from lcpfn.stopping.thresholds import ratio

ROOT = Path(__file__).resolve().parent.parent
UNIT, LOSS, FREE = Metric("max", bounds=(0, 1)), Metric("min", bounds=(0, None)), Metric("max")
NAMES = ("table", "replay", "baselines", "beliefs", "scores", "rules", "summary")


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        found = {name: importlib.import_module(f"stopping.{name}") for name in NAMES}
        return found | {"data.curve": importlib.import_module("data.curve")}


def table(bench: dict[str, ModuleType], *values: Any, metric: Metric = UNIT) -> Any:
    """Runs of these values at times 1, 2, ...; one that ends before the longest diverged there."""
    length = max(map(len, values))
    runs = [
        bench["table"].Run(
            np.arange(1.0, len(y) + 1),
            np.array(y, dtype=float),
            np.arange(1.0, len(y) + 1) / length,
            len(y) < length,
            float(length),
            str(i),
        )
        for i, y in enumerate(values)
    ]
    return bench["table"].Table("made-up", "task", "metric", metric, runs)


def searched(
    bench: dict[str, ModuleType], rule: Any, made: Any, *, budget: float = 100.0
) -> list[tuple[int, int, int]]:
    order = np.arange(len(made.runs))
    return [tuple(each) for each in bench["replay"].take(made, rule.play(made, order, budget), budget)]


def judged(bench: dict[str, ModuleType], judge: Any, made: Any) -> list[int]:
    """How far each run is trained, in their order."""
    return [last for _, _, last in searched(bench, bench["replay"].Sequential(judge), made)]


# -- accounting -------------------------------------------------------------------------------------------------------

FOUR = [0.1, 0.2, 0.3, 0.4], [0.2, 0.5, 0.4, 0.6], [0.3, 0.3, 0.3, 0.3], [0.1, 0.1, 0.9, 0.8]


def test_work_and_regret_by_hand(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *FOUR)
    assert made.finals.tolist() == [0.4, 0.6, 0.3, 0.9]
    assert made.unit == pytest.approx(0.9 - 0.5)
    found = bench["replay"].trace(made, [(0, 0, 4), (1, 0, 2), (2, 0, 1), (1, 2, 4), (3, 0, 3)])
    assert found.spent.tolist() == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0]
    assert found.best.tolist() == [0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.9]
    assert found.at(np.array([0.1, 0.25, 1.6, 2.99, 3.0, 50.0])).tolist() == [-np.inf, 0.1, 0.5, 0.6, 0.9, 0.9]
    regret = made.regret(np.array([-np.inf, 0.1, 0.5, 0.9]))
    assert regret == pytest.approx([1, 1, 1, 0])
    lower = table(bench, *[[-y for y in run] for run in FOUR], metric=Metric("min"))
    assert np.array_equal(lower.finals, made.finals) and lower.unit == made.unit


def test_no_stopping_pays_for_whole_runs_until_the_budget_is_spent(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *FOUR)
    never = bench["replay"].Sequential(bench["baselines"].Never())
    stretches = searched(bench, never, made, budget=2.5)
    assert stretches == [(0, 0, 4), (1, 0, 4), (2, 0, 4)]
    assert bench["replay"].trace(made, stretches).spent[-1] == 3.0  # the third run is cut off by the budget
    assert never.seen == [[False]]  # run 1 would have beaten run 0, and did


def test_a_run_that_diverges_costs_no_more_and_is_no_incumbent(bench: dict[str, ModuleType]) -> None:
    curve = bench["data.curve"].RealCurve(
        "some", "a", "r", "val/loss", LOSS, np.arange(0.0, 5), np.array([3, 2, np.nan, 1, 1.0])
    )
    run = bench["table"].run(curve, first_step=0)
    assert (run.y.tolist(), run.t.tolist(), run.diverged, run.horizon) == ([3, 2], [1, 2], True, 5)
    assert run.work.tolist() == [0.2, 0.4]
    made = table(bench, [0.9, 0.8], [0.1, 0.1, 0.1, 0.2], [0.3, 0.3, 0.3, 0.3])
    seen: list[tuple[list[float], list[float]]] = []

    class Spy(bench["baselines"].Never):  # type: ignore[misc, name-defined]
        def points(self, table: Any, run: int, history: Any) -> int:
            seen.append((list(history.finished), list(history.stopped)))
            return int(super().points(table, run, history))

    judged(bench, Spy(), made)
    assert seen == [([], []), ([], [0.9]), ([0.2], [0.9])]


def test_refits_pay_for_every_model(bench: dict[str, ModuleType]) -> None:
    facts = dict(task="a", run="r", name="acc", metric=UNIT, t=np.array([10.0, 20, 70]), y=np.array([0.1, 0.2, 0.3]))
    once, again = (bench["table"].run(bench["data.curve"].RealCurve(source=s, **facts)) for s in ("deepobs", "lcdb10"))
    assert once.work == pytest.approx([1 / 7, 2 / 7, 1]) and again.work == pytest.approx([0.1, 0.3, 1])


# -- opponents --------------------------------------------------------------------------------------------------------


def test_the_oracle_finds_the_best_run_and_stops_all_others_at_once(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *FOUR)
    assert judged(bench, bench["baselines"].Oracle(), made) == [4, 4, 1, 4]
    draw = np.random.default_rng(0)
    made = table(bench, *draw.random((30, 6)))
    oracle = bench["replay"].Sequential(bench["baselines"].Oracle())
    played = bench["scores"].played(oracle, made, made.orders(5, seed=0), budget=30.0)
    assert np.all(played.regret[:, -1] == 0) and np.all(played.pool[1] == 0)
    assert played.lost == 0 < played.winners
    blind = bench["scores"].played(bench["baselines"].Epochs(1), made, made.orders(5, seed=0), budget=30.0)
    assert blind.regret[:, -1].max() > 0  # proof of teeth: who does not know has regret


def test_patience_counts_from_the_last_improvement(bench: dict[str, ModuleType]) -> None:
    made = table(bench, [0.1, 0.2, 0.2, 0.1, 0.5, 0.4], [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert judged(bench, bench["baselines"].Patience(1), made) == [3, 2, 6]
    assert judged(bench, bench["baselines"].Patience(2), made) == [4, 3, 6]
    assert judged(bench, bench["baselines"].Patience(3), made) == [6, 4, 6]


def test_the_median_rule_waits_for_five_finished_runs(bench: dict[str, ModuleType]) -> None:
    flat = [[level] * 4 for level in (0.1, 0.2, 0.3, 0.4, 0.5)]
    made = table(bench, *flat, [0.25] * 4, [0.35, 0.1, 0.1, 0.1])
    assert judged(bench, bench["baselines"].Median(), made) == [4, 4, 4, 4, 4, 1, 4]  # its best so far counts


def test_asha_keeps_the_best_of_those_that_came_to_a_rung(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *([level] * 4 for level in (0.5, 0.4, 0.6, 0.5, 0.55)))
    # rungs at a quarter and a half of the run; a run goes on among the best half there, the first one always
    assert judged(bench, bench["baselines"].Asha(2), made) == [4, 1, 4, 2, 4]


def test_halving_pauses_and_takes_up_again(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *([level] * 4 for level in (0.1, 0.4, 0.3, 0.2)))
    stretches = searched(bench, bench["baselines"].Halving(2), made)
    assert stretches == [(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1), (1, 1, 2), (2, 1, 2), (1, 2, 4)]
    hyper = searched(bench, bench["baselines"].Halving(2, hyperband=True), table(bench, *np.zeros((11, 4))))
    assert len({run for run, _, _ in hyper}) == 11 and max(last for _, _, last in hyper) == 4


def test_epochs_trains_three_to_the_end_and_knows_what_that_costs(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *([level] * 4 for level in (0.1, 0.4, 0.3, 0.2, 0.5)))
    every = searched(bench, bench["baselines"].Epochs(1), made)
    assert every[:5] == [(run, 0, 1) for run in range(5)] and {run for run, _, _ in every[5:]} == {4, 1, 2}
    tight = list(bench["baselines"].Epochs(1).play(made, np.arange(5), 3.25))
    assert sum(bench["replay"].cost(made, each) for each in tight) <= 3.25
    assert len({each.run for each in tight}) == 4


# -- our rules --------------------------------------------------------------------------------------------------------


def curves(metric: Metric, *, seed: int) -> list[np.ndarray]:
    """Runs of many shapes: rising, flat, falling, wild at the start, exploding, ending early."""
    draw, t, found = np.random.default_rng(seed), np.arange(1, 15), []
    for kind in range(10):
        top = draw.uniform(0.3, 0.9)
        y = (
            top
            - draw.uniform(0, 0.3) * t ** -draw.uniform(0.2, 1.5)
            + draw.normal(0, draw.choice([0.001, 0.02]), len(t))
        )
        y = np.clip(y, 0.01, 0.99)
        if metric is not UNIT:
            y = 2 - y if metric.direction == "min" else y
            bad = 1 if metric.direction == "min" else -1
            if kind == 3:
                y[0] += bad * 1e6
            if kind == 4:
                y[6:] = bad * 1e7 if metric is FREE else 1e7
        found.append(y[:9] if kind == 5 else y)
    return found


def by_decide(policy: Policy, run: Any, rivals: Rivals) -> int:
    """How far a loop that asks Policy.decide after each point trains the run."""
    for count in range(1, len(run) + 1):
        if policy.decide(list(run.t[:count]), list(run.y[:count]), rivals).stop:
            return count
    return len(run)


CASES: list[tuple[Rule, dict[str, Any]]] = [
    (Best(), {}),
    (Best(level=0.3), {"alarm": None}),
    (Best(level=0.2), {"every": 2, "min_points": 4}),
    (Best(spend=False, level=0.1), {}),
    (Best(rank=2, min_delta=0.01, level=0.2), {}),
    (Best(start="runs", level=0.2), {}),
    (Best(start="higher", level=0.1), {}),
    (Best(cap=0.05), {}),
    (Worth(min_rate=0.002), {}),
    (Converged(min_delta=0.02), {}),
]


@pytest.mark.parametrize("metric", [UNIT, LOSS, FREE], ids=["accuracy", "loss", "free"])
def test_the_batch_decides_as_policy_does(bench: dict[str, ModuleType], metric: Metric) -> None:
    engine, beliefs = lcpfn.load(), bench["beliefs"]
    made = table(bench, *curves(metric, seed=1), metric=metric)
    about, stopped = beliefs.general(engine, made), 0
    tops = metric.sign * np.sort(made.finals)
    alarms = bench["rules"].rings(engine, made)
    for rule, options in CASES:
        outside = {name: value for name, value in options.items() if name != "alarm"}
        calm = "alarm" in options  # or it rings as it does by default
        look = beliefs.Lookup(rule, about, made, engine=engine, alarms=None if calm else alarms, options=outside)
        for n, concluded in ((3, 3), (8, 40), (10, 300)):
            history = bench["replay"].History(list(tops[:n]), [tops[0]] * (concluded - n))
            rivals = Rivals(tuple(history.finished), history.concluded, tuple(history.stopped))
            for i, run in enumerate(made.runs):
                policy = Policy(horizon=run.horizon, metric=metric, engine=engine, rule=rule, **options)
                expected = by_decide(policy, run, rivals)
                assert look.points(made, i, history) == expected, (rule, n, i)
                stopped += expected < len(run)
    assert stopped > 20


@pytest.mark.parametrize(("level", "cap"), [(0.05, 1.0), (0.2, 1.0), (0.1, 0.2)])
def test_own_start_compares_odds_with_those_after_the_first_point(
    bench: dict[str, ModuleType], level: float, cap: float
) -> None:
    engine, beliefs = lcpfn.load(), bench["beliefs"]
    made, stopped = table(bench, *curves(LOSS, seed=4), metric=LOSS), 0
    about = beliefs.general(engine, made)
    look = beliefs.Lookup(Best(level=level, cap=cap), about, made, engine=engine)
    bar = float(-np.sort(made.finals)[-2])
    history = bench["replay"].History([bar], [])
    for i, run in enumerate(made.runs):
        expected = len(run)
        for count in range(2, len(run)):
            policy = Policy(horizon=run.horizon, metric=LOSS, engine=engine, alarm=None)
            seen = policy.decide(list(run.t[:count]), list(run.y[:count]), Rivals((bar,), 1))
            if seen.reason == "diverged":
                expected = count
                break
            if seen.p_better is None:
                continue  # ahead
            first = engine.predict(run.y[:1], [run.horizon], t=[1.0], kind="best", metric=LOSS, run_end=run.horizon)
            p = float(first.prob_better(bar)[0])
            odds = level * ratio("own", level, 1) * p / (1 - p)
            if seen.p_better <= min(max(cap, level), odds / (1 + odds)):
                expected = count
                break
        assert look.points(made, i, history) == expected
        stopped += expected < len(run)
    assert stopped > 2


def test_the_batch_of_the_paper_rule_decides_as_policy_does(bench: dict[str, ModuleType]) -> None:
    """On runs of the paper's clock, where both ask about the same times."""
    beliefs, engine = bench["beliefs"], lcpfn.load("paper")
    draw, t = np.random.default_rng(3), np.append(np.arange(1.0, 8), 100)  # the end is most of the later times
    values = [0.8 - 0.5 * t**-0.5 * draw.uniform(0.2, 1) - draw.uniform(0, 0.3) for _ in range(6)]
    runs = [bench["table"].Run(t, y, t / 100, diverged=False, horizon=100.0) for y in values]
    made = bench["table"].Table("made-up", "task", "metric", UNIT, runs)
    look = beliefs.Lookup(Paper(), beliefs.paper(engine, made), made, engine=engine)
    history = bench["replay"].History([float(np.sort(made.finals)[-2])], [0.1])
    for i, run in enumerate(runs):
        expected = len(t)
        for count in range(2, len(t)):
            asked = t[count:]
            odds = engine.predict(run.y[:count], asked, t=t[:count], metric=UNIT).prob_better(history.finished[0])
            if odds.max() <= 0.05 and made.records[i][count - 1] <= history.finished[0]:
                expected = count
                break
        assert look.points(made, i, history) == expected


def test_gains_of_a_batch_are_those_of_the_rule(bench: dict[str, ModuleType]) -> None:
    from lcpfn.stopping.question import gain_over

    for metric in (UNIT, LOSS, FREE):
        made = table(bench, *curves(metric, seed=2), metric=metric)
        belief = bench["beliefs"].general(lcpfn.load(), made)[0].belief[1:, 0]
        for target in metric.sign * np.sort(made.finals)[[2, 9]]:
            alone = [gain_over(each, target) for each in belief]
            assert bench["beliefs"].gains(belief, target) == pytest.approx(alone, rel=0.02, abs=1e-9)


# -- scores -----------------------------------------------------------------------------------------------------------


def test_speed_up_is_about_the_regret_that_both_reach(bench: dict[str, ModuleType]) -> None:
    speed_up = bench["scores"].speed_up
    none = np.array([[1.0, 0.8, 0.6, 0.4, 0.2, 0.2]])
    fast = np.array([[0.9, 0.2, 0.1, 0.0, 0.0, 0.0]])
    poor = np.array([[0.6, 0.6, 0.6, 0.6, 0.6, 0.6]])
    assert speed_up(none, none) == 1
    assert speed_up(none, fast) == 5 / 2  # no stopping is at 0.2 after five, the rule after two
    assert speed_up(none, poor) == 3 / 1  # both reach 0.6; that it gets no further is harm, not speed
    assert speed_up(fast, none) == 2 / 5


def test_harm_is_told_from_noise(bench: dict[str, ModuleType]) -> None:
    none = np.zeros((40, 3))
    once, often = none.copy(), none.copy()
    once[0, -1], often[::4, -1] = 0.5, 0.5
    assert not bench["scores"].harmed(none, none) and not bench["scores"].harmed(none, once)
    assert bench["scores"].harmed(none, often) and not bench["scores"].harmed(often, none)


def test_the_front_is_what_playing_i_epoch_gives(bench: dict[str, ModuleType]) -> None:
    draw = np.random.default_rng(5)
    made = table(bench, *(draw.random(8 if i % 4 else 5) for i in range(12)))
    orders = made.orders(3, seed=1)
    work, regret = bench["scores"].front(made, orders)
    for i in range(1, made.longest):
        for o, order in enumerate(orders):
            stretches = bench["baselines"].Epochs(i).play(made, order, None)
            assert bench["scores"].outcome(made, stretches, order) == pytest.approx((work[i - 1, o], regret[i - 1, o]))


def test_the_place_beside_the_front(bench: dict[str, ModuleType]) -> None:
    scores = bench["scores"]
    work, regret = np.array([1.0, 2, 3, 4]), np.array([0.8, 0.3, 0.35, 0.1])
    assert scores.hull(work, regret) == [0, 1, 3]
    epochs = tuple(np.repeat(part[:, None], 4, axis=1) for part in (work, regret))

    def place(mine: float, own: float) -> str:
        return str(scores.place((np.full(4, mine), np.full(4, own)), epochs))

    assert [place(3, own) for own in (0.19, 0.2, 0.21)] == ["beyond", "on", "behind"]
    assert place(0.5, 1.0) == "on"  # cheaper than any
    assert place(5, 0.1) == "behind" and place(5, 0.05) == "beyond"
