"""Forecasts as text and records, from beliefs whose numbers are known."""

import json
import re

import numpy as np
import pytest

from lcpfn.belief import Belief
from lcpfn.cli.answer import Answer, spread
from lcpfn.curve import Curve
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric


def normal(mean: float, std: float, t: list[float], *, direction: str = "max", kind: str = "value") -> Belief:
    """The same normal belief about every time."""
    ones = np.ones((len(t), 1))
    law = Mixture(0 * ones, 0 * ones, ones)
    sign = 1 if direction == "max" else -1
    times = np.array(t)
    return Belief(law, sign * mean + 0 * times, std + 0 * times, metric=Metric(direction), kind=kind, t=times)


def curve(values: list[float], *, start: int = 1) -> Curve:
    return Curve(np.arange(start, start + len(values), dtype=float), np.array(values), name="score", clock="step")


NOTHING = curve([])


def cells(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_the_table_of_a_normal_belief() -> None:
    answer = Answer(normal(0.5, 0.01, [4, 5]), curve([0.48, 0.5, 0.49]), curve([0.51], start=5))
    assert cells(answer.table(every=True)) == [
        ["step", "truth", "median", "50 %", "80 %", "95 %", "P(> 0.5)"],
        ["4", "-", "0.500", "0.493 to 0.507", "0.487 to 0.513", "0.480 to 0.520", "50.0 %"],
        ["5", "0.510", "0.500", "0.493 to 0.507", "0.487 to 0.513", "0.480 to 0.520", "50.0 %"],
    ]
    lengths = {len(line) for line in answer.table(every=True).splitlines()}
    assert len(lengths) == 1
    assert answer.about() == "score (higher is better): 3 values seen up to step 3, the best 0.5 at step 2"


def test_the_table_when_lower_is_better() -> None:
    answer = Answer(normal(0.5, 0.01, [4], direction="min"), curve([0.6, 0.49, 0.49]), NOTHING)
    header, row = cells(answer.table(every=True))
    assert header[-1] == "P(< 0.49)"
    assert row[-1] == "15.9 %"  # one standard deviation below
    assert row[2] == "0.493 to 0.507"
    assert answer.about().endswith("the best 0.49 at step 2")


@pytest.mark.parametrize(
    ("mean", "std", "median"),
    [
        (0.5, 1e-4, "0.50000"),
        (0.5, 1e-12, "0.5"),
        (412.3, 30, "412"),
        (3.5, 2, "3.50"),
        (1e9, 1, "1e+09"),
        (5e-9, 1e-10, "5e-09"),
    ],
)
def test_numbers_have_the_digits_that_the_width_deserves(mean: float, std: float, median: str) -> None:
    assert cells(Answer(normal(mean, std, [4]), curve([0.1]), NOTHING).table(every=True))[1][1] == median


@pytest.mark.parametrize(
    ("best", "text"),
    [(0.4, "100.0 %"), (0.46, ">99.9 %"), (0.47, "99.9 %"), (0.53, "0.1 %"), (0.54, "<0.1 %"), (2.0, "0.0 %")],
)
def test_probabilities_close_to_certainty_are_not_rounded_to_it(best: float, text: str) -> None:
    assert cells(Answer(normal(0.5, 0.01, [4]), curve([best]), NOTHING).table(every=True))[1][-1] == text


def test_the_incumbent_is_beaten_by_then() -> None:
    belief, best = normal(0.5, 0.01, [4, 5]), normal(0.51, 0.01, [5], kind="best")
    answer = Answer(belief, curve([0.4]), NOTHING, best, 0.51)
    assert [record["prob_incumbent_beaten_by_then"] for record in answer.forecasts()] == [None, pytest.approx(0.5)]
    assert [row[-1] for row in cells(answer.table(every=True))] == ["P(> 0.51 by then)", "-", "50.0 %"]
    done = Answer(belief, curve([0.52]), NOTHING, best, 0.51)
    assert [record["prob_incumbent_beaten_by_then"] for record in done.forecasts()] == [None, 1.0]
    draw = Answer(belief, curve([0.51]), NOTHING, best, 0.51)  # as good is not better
    assert draw.forecasts()[1]["prob_incumbent_beaten_by_then"] == pytest.approx(0.5)


def test_nothing_seen() -> None:
    answer = Answer(normal(0.5, 0.1, [1, 2]), curve([np.nan, np.nan]), NOTHING)
    assert answer.record is None
    assert cells(answer.table(every=True))[0] == ["step", "median", "50 %", "80 %", "95 %"]
    assert answer.document()["observed"] == {"count": 0, "last": None, "best": None, "diverged_at": None}


def test_records_are_json_without_nan_and_infinity() -> None:
    answer = Answer(normal(np.nan, 1.0, [2]), curve([0.1]), curve([np.inf], start=2))
    text = json.dumps(answer.document(source="x"), allow_nan=False)
    (forecast,) = json.loads(text)["forecast"]
    assert set(forecast["quantiles"].values()) == {None}
    assert (forecast["mean"], forecast["truth"]) == (None, None)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 80, 99])
def test_few_steps_stand_for_all(count: int) -> None:
    steps = spread(count)
    assert (steps[0], steps[-1]) == (0, count - 1)
    assert steps == sorted(set(steps))
    assert len(steps) == min(count, 5) or (count, steps) == (4, [0, 1, 2, 3])


def test_what_happened_is_of_the_kind_that_was_asked() -> None:
    rest = curve([0.5, 0.3, np.nan, 0.7, 0.6], start=2)

    def truth(direction: str, kind: str) -> list[float | None]:
        belief = normal(0.5, 0.1, [2, 3, 4, 5, 6], direction=direction, kind=kind)
        return [record["truth"] for record in Answer(belief, curve([0.4]), rest).forecasts()]

    assert truth("max", "value") == [0.5, 0.3, None, 0.7, 0.6]
    assert truth("max", "best") == [0.5, 0.5, 0.5, 0.7, 0.7]
    assert truth("min", "best") == [0.5, 0.3, 0.3, 0.3, 0.3]
