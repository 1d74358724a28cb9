"""The stopper: decisions that depend on the state alone, a state that survives, and no kill by accident."""

from __future__ import annotations

import datetime
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from trials import BAD, GOOD, UNIT, feed, knows_a_good_run, stopper

import lcpfn
from lcpfn.metric import Metric
from lcpfn.stopping import Best, Converged, Incumbent, Policy, Rivals, Stopper
from lcpfn.stopping.question import Question


@pytest.fixture
def seasoned() -> Stopper:
    """A stopper that knows a good run."""
    return knows_a_good_run()


def test_a_bad_run_is_stopped_and_a_better_one_is_not(seasoned: Stopper) -> None:
    bad = feed(seasoned, "bad", BAD)
    assert bad.stop and bad.reason == "hopeless"
    assert bad.p_better is not None and bad.verdict is not None and bad.p_better <= bad.verdict.threshold
    assert bad.expected_end is not None and bad.expected_end < GOOD[-1]
    assert list(bad.quantiles) == [0.05, 0.5, 0.95]
    assert sorted(bad.quantiles.values()) == list(bad.quantiles.values())
    better = feed(seasoned, "better", [y + 0.05 for y in GOOD])
    assert not better.stop and better.reason == "horizon reached"


def test_min_metrics_mirror_max_metrics() -> None:
    seasoned, mirror = (stopper(metric=Metric(way, bounds=(0, 1)), rule=Best(start="higher")) for way in ("max", "min"))
    for each, values in ((seasoned, GOOD), (mirror, [1 - y for y in GOOD])):
        feed(each, "good", values)
        each.finish("good")
    for step, value in enumerate(BAD, 1):
        a, b = seasoned.update("bad", step, value), mirror.update("bad", step, 1 - value)
        assert (a.stop, a.reason) == (b.stop, b.reason)
        if a.p_better is not None:
            assert a.p_better == pytest.approx(b.p_better, rel=1e-3)
            turning = a.turning_point(), b.turning_point()
            assert None not in turning and turning[0] == pytest.approx(1 - turning[1], abs=1e-4)


def test_the_incumbent_is_the_best_finished_run() -> None:
    made = stopper(rule=Best(rank=2))
    assert made.incumbent is None
    feed(made, "a", GOOD)
    feed(made, "b", BAD)
    made.finish("a")
    assert made.incumbent is None
    made.finish("b")
    assert made.incumbent == Incumbent("b", BAD[-1])
    again = stopper()
    again.load_json(made.to_json())
    assert again.incumbent == Incumbent("a", GOOD[-1])
    with pytest.raises(AttributeError):  # the auditor and the state know the policy too: it has one home, and stays
        made.policy = again.policy  # type: ignore[misc]


def test_stopped_runs_are_no_incumbents_but_count_as_over(seasoned: Stopper) -> None:
    feed(seasoned, "bad", BAD)
    seasoned.finish("bad")
    rivals = seasoned.rivals("next")
    assert (rivals.finished, rivals.concluded, len(rivals.running)) == ((GOOD[-1],), 2, 1)


@pytest.mark.parametrize(
    ("reason", "options", "values"),
    [
        ("too few points", {"min_points": 8}, BAD[:7]),
        ("between looks", {"every": 5}, BAD[:4]),
        ("ahead", {}, [0.95, 0.2, 0.1]),
        ("horizon reached", {}, [0.89] * 30),
        ("alarm", {"alarm": lambda run: f"{len(run.t)} points look strange"}, BAD[:9]),
    ],
)
def test_reasons_to_go_on(reason: str, options: dict[str, Any], values: list[float]) -> None:
    made = stopper(**options)
    feed(made, "good", GOOD)
    made.finish("good")
    for step, value in enumerate(values, 1):
        decision = made.update("run", step, value)
        assert not decision.stop
    assert decision.reason == reason


def test_nothing_to_compare_with() -> None:
    assert feed(stopper(), "first", BAD).reason == "horizon reached"
    assert feed(stopper(), "first", BAD[:9]).reason == "no incumbent"


def test_an_alarm_is_asked_about_the_run() -> None:
    heard: list[Question] = []
    seasoned = knows_a_good_run(alarm=heard.append)
    assert feed(seasoned, "bad", BAD).stop
    np.testing.assert_array_equal(heard[-1].y, BAD[: len(heard[-1].y)])


def test_a_curve_unlike_the_prior_is_not_stopped() -> None:
    """It looks lost to the rule, and the alarm says that the rule knows nothing of such curves."""
    y = [0.5, 0.5, 0.501, 0.5, 0.501, 0.5, 0.02, 0.5, 0.01, 0.5, 0.03]
    rivals = Rivals((0.95,), 1)
    how: dict[str, Any] = {"horizon": 12, "metric": UNIT, "rule": Best(level=0.5, cap=1.0), "engine": "paper"}
    heard = Policy(**how).decide(range(1, 12), y, rivals)
    deaf = Policy(**how, alarm=None).decide(range(1, 12), y, rivals)
    assert deaf.stop and deaf.reason == "hopeless"
    assert not heard.stop and heard.reason == "alarm" and "unlike the prior since 7" in heard.detail
    assert heard.p_better == deaf.p_better
    with pytest.raises(ValueError, match="alarm must be"):
        Policy(**how, alarm="siren")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_stops_with_its_own_reason(value: float) -> None:
    decision = feed(stopper(), "first", [0.1, 0.2, value])
    assert decision.stop and decision.reason == "diverged"
    assert f"step 3 is {value}" in decision.detail
    assert not feed(stopper(nan="skip"), "first", [0.1, 0.2, value]).stop


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([math.nan, math.nan], "no points"),  # nothing was measured yet
        ([None, None], "no points"),
        ([math.nan, 0.5, 0.6], "promising"),
        ([None, 0.5, None, 0.6], "promising"),
        ([math.inf], "diverged"),
        ([math.nan, -math.inf], "diverged"),
        ([math.nan, 0.5, math.nan], "diverged"),
    ],
)
def test_what_was_not_measured_is_not_what_diverged(values: list[float | None], reason: str) -> None:
    made = knows_a_good_run()
    for step, value in enumerate(values, 1):
        decision = made.update("run", step, value)
    assert (decision.reason, decision.stop) == (reason, reason == "diverged")
    again = stopper()
    again.load_json(made.to_json())
    assert again.update("run", len(values), values[-1]) == decision


def test_a_spike_with_finite_values_after_it_is_left_out_with_a_notice() -> None:
    values = [math.nan, 0.5, math.inf, 0.6, math.nan, 0.65]
    decision = Policy(horizon=30, metric=UNIT).decide(range(1, 7), values, Rivals((0.7,), 1))
    assert decision.reason == "promising" and decision.run is not None
    assert decision.run.y.tolist() == [0.5, 0.6, 0.65]
    assert decision.notices == ("the value at step 3, inf, and 1 more are left out",)
    assert decision.card().endswith(decision.notices[0])


def test_a_run_that_is_ranked_by_its_last_value() -> None:
    """A fluke neither saves a run nor becomes the value to beat."""
    fluke = [0.99 if step == 2 else y for step, y in enumerate(BAD)]
    last, best = (knows_a_good_run(target=target) for target in ("last", "best"))
    assert feed(best, "bad", fluke).reason == "horizon reached"  # it has beaten the incumbent
    decision = feed(last, "bad", fluke)
    assert decision.stop and decision.run is not None and decision.expected_end is not None
    assert decision.p_better == pytest.approx(float(decision.run.to_come.prob_better(GOOD[-1])))
    assert decision.expected_end < 0.7 and max(decision.quantiles.values()) < 0.99
    assert "its value in the end" in decision.card()
    for made, value in ((stopper(target="last"), BAD[-1]), (stopper(), 0.99)):
        for step, y in enumerate(fluke, 1):
            made.update("a", step, y)
        made.finish("a")
        assert made.incumbent == Incumbent("a", value)


def test_a_horizon_in_another_unit_is_said_once() -> None:
    made = stopper()
    with pytest.warns(UserWarning, match="horizon=30 may be in another unit .* a run is at step 100"):
        made.update("a", 100, 0.5)
    made.update("a", 200, 0.5)  # warnings are errors here: it is not said again
    made = stopper(horizon=3000)
    feed(made, "a", GOOD)
    with pytest.warns(UserWarning, match="horizon=3000 may be .* a run ended at step 30"):
        made.finish("a")
    stopped = knows_a_good_run(horizon=60)
    feed(stopped, "bad", BAD)
    stopped.finish("bad")  # it is short as it was stopped


def test_an_explosion_is_divergence() -> None:
    made = Stopper(horizon=30, metric=Metric("min", bounds=(0, None)))
    assert not feed(made, "a", [2.0, 1.5, 1.0, 9e3]).stop  # one spike may pass
    assert feed(made, "b", [2.0, 1.5, 1.0, 9e3, 9e4]).reason == "diverged"
    assert not feed(made, "c", [2e6, 1.5e6, 3e-2, 2e-2]).stop  # falling fast is good


def test_converged_stops_a_single_run() -> None:
    made = stopper(rule=Converged(min_delta=0.01), horizon=90, engine="paper")
    decision = feed(made, "only", [0.8 - 0.5 / t**2 for t in range(1, 60)])
    assert decision.stop and decision.reason == "converged"
    assert (decision.incumbent is None and decision.turning_point() is not None) or decision.turning_point() is None


def test_the_same_update_twice_changes_nothing(seasoned: Stopper) -> None:
    for step, value in enumerate(BAD[:2], 1):
        first, before = seasoned.update("bad", step, value), seasoned.to_json()
        assert seasoned.update("bad", step, value) == first
        assert seasoned.to_json() == before
    feed(seasoned, "bad", BAD)
    before = seasoned.to_json()
    assert feed(seasoned, "bad", BAD).stop  # all over again, from step 1
    assert seasoned.to_json() == before


def test_late_and_repeated_points_end_in_the_same_state(seasoned: Stopper) -> None:
    other = stopper()
    other.load_json(seasoned.to_json())
    for step in (1, 2, 3):
        last = seasoned.update("run", step, GOOD[step - 1])
    for step in (3, 1, 1, 3, 2):
        late = other.update("run", step, GOOD[step - 1])
    assert late == last
    assert other.to_json() == seasoned.to_json()
    other.update("run", 2, 0.1)  # a new value for a known step replaces it
    assert other.to_json() != seasoned.to_json()


def test_a_stopped_run_stays_stopped(seasoned: Stopper) -> None:
    stopped = feed(seasoned, "bad", BAD)
    step = int(stopped.run.t[-1]) if stopped.run else 0
    later = seasoned.update("bad", step + 1, 0.99)  # nobody listened, and it recovered
    assert later.stop and later.reason == "stopped before"


def test_after_the_end(seasoned: Stopper) -> None:
    before = seasoned.to_json()
    assert seasoned.update("good", 3, 0.1).reason == "finished"
    seasoned.finish("good")
    assert seasoned.to_json() == before
    with pytest.raises(ValueError, match="must name a trial that was updated, got 'nobody'"):
        seasoned.finish("nobody")


def test_past_the_horizon_nothing_stops(seasoned: Stopper) -> None:
    assert not seasoned.update("long", 31, 0.1).stop
    assert seasoned.update("long", 59, 0.1).reason == "horizon reached"


def test_steps_from_zero(seasoned: Stopper) -> None:
    with pytest.raises(ValueError, match="give first_step=0"):
        seasoned.update("bad", 0, 0.2)
    shifted = stopper(first_step=0)
    feed(shifted, "good", GOOD, first=0)
    shifted.finish("good")
    a, b = feed(seasoned, "bad", BAD), feed(shifted, "bad", BAD, first=0)
    assert a == b


@pytest.mark.parametrize(
    ("step", "value", "error", "match"),
    [
        (1, "0.5", TypeError, "value must be a number, got '0.5' of type str"),
        (1, True, TypeError, "value must be a number"),
        (1, 63.0, ValueError, "divide percentages by 100"),
        (-1, 0.5, ValueError, "not before first_step=1, got -1"),
        (math.nan, 0.5, ValueError, "step must be finite"),
        ("1", 0.5, TypeError, "step must be a number"),
        (datetime.datetime(2026, 1, 1), 0.5, TypeError, "counts epochs, steps or seconds, got datetime"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_trace(
    seasoned: Stopper, step: Any, value: Any, error: type[Exception], match: str
) -> None:
    before = seasoned.to_json()
    with pytest.raises(error, match=match):
        seasoned.update("run", step, value)
    assert seasoned.to_json() == before


def test_numbers_of_other_libraries_and_fractions_of_epochs_are_welcome(seasoned: Stopper) -> None:
    torch = pytest.importorskip("torch")
    seasoned.update(np.int64(7), np.float32(1.0), np.float64(0.2))
    assert seasoned.update(7, 1.5, torch.tensor(0.75)).reason == "promising"
    assert seasoned.update("7", 2, np.array(0.85)).reason == "promising"
    assert json.loads(seasoned.to_json())["trials"]["7"]["points"] == [[1.0, 0.2], [1.5, 0.75], [2.0, 0.85]]
    with pytest.raises(TypeError, match="trial must be a name or a whole number"):
        seasoned.update(1.5, 1, 0.5)  # type: ignore[arg-type]


def test_metrics_are_metrics() -> None:
    with pytest.raises(TypeError, match=r'write Metric\("min"'):
        stopper(metric="min")
    assert Stopper(horizon=30).metric == lcpfn.load().metric
    with pytest.raises(TypeError, match="names no metric of its own"):
        Policy(horizon=30, engine=object()).measured  # type: ignore[arg-type]  # noqa: B018


@pytest.mark.parametrize(
    ("t", "every", "gap"),
    [
        (np.arange(1.0, 11), 1, 1),
        (np.arange(1.0, 11), 5, 5),
        (np.array([10.0, 20, 30]), 1, 1),  # a run of 10 points
        (np.array([0.1, 0.2, 0.4, 0.5, 0.6]), 2, 0.25),  # a run of 800
        (np.array([1.0]), 3, 3),
    ],
)
def test_the_gap_between_looks_is_that_of_a_run_of_100_points(t: np.ndarray, every: int, gap: float) -> None:
    question = Question(lcpfn.load(), UNIT, t, t / 200, 100.0, every=every)
    assert question.gap == pytest.approx(gap, rel=2e-3)


def test_the_card_says_what_would_have_changed_the_decision(seasoned: Stopper) -> None:
    decision = feed(seasoned, "bad", BAD)
    turning = decision.turning_point()
    assert turning is not None and turning < GOOD[-1]
    first, *rest = decision.card(name="accuracy").splitlines()
    assert first.startswith("STOP: hopeless (P(beats")
    began = seasoned.policy.decide([1], BAD[:1], Rivals())  # no incumbent: nothing is asked
    assert began.verdict is None and "first point" not in began.card()
    assert decision.run is not None and decision.verdict is not None
    first_alone = decision.run.prob_at_start(decision.verdict.target)
    assert rest[0].strip() == f"after its first point that probability was {first_alone:.3g}"
    assert f"the incumbent {GOOD[-1]:.5g}" in rest[1]
    assert rest[-1].strip() == f"it would go on against an incumbent worse than {turning:.5g}"
    for bar, stop in ((turning - 1e-3, False), (turning + 1e-3, True)):
        t = decision.run.t if decision.run else np.array([])
        again = seasoned.policy.decide(t.tolist(), BAD[: len(t)], Rivals((bar,), 1))
        assert again.stop is stop


def test_the_picture_shows_fan_and_incumbent(seasoned: Stopper) -> None:
    pytest.importorskip("matplotlib")
    decision = feed(seasoned, "bad", BAD)
    axes = decision.plot(name="accuracy")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "observed" in labels and f"incumbent, {GOOD[-1]:.4g}" in labels
    assert axes.get_title(loc="left").startswith("STOP: hopeless")
    with pytest.raises(ValueError, match="there is no fan to draw"):
        feed(stopper(), "first", [0.1, math.nan]).plot()


def test_a_decision_survives_a_pickle(seasoned: Stopper) -> None:
    """Processes hand decisions to each other, with all that a card shows."""
    decision = feed(seasoned, "bad", BAD)
    again = pickle.loads(pickle.dumps(decision))
    assert decision.verdict is not None and again.card() == decision.card()
    assert again.turning_point() == decision.turning_point()


def test_a_policy_pickles_without_weights() -> None:
    policy = Policy(horizon=30, metric=UNIT)
    policy.predictor  # noqa: B018 (weights are in memory now)
    assert len(pickle.dumps(policy)) < 1000
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_any_engine_that_predicts_will_do() -> None:
    class Counting:
        asked = 0

        def predict(self, *args: Any, **how: Any) -> Any:
            Counting.asked += 1
            return lcpfn.load("paper").predict(*args, **how)

    made = stopper(engine=Counting())
    feed(made, "good", GOOD)
    made.finish("good")
    assert feed(made, "bad", BAD).reason == "hopeless"
    assert 0 < Counting.asked < 10
