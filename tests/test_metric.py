"""Metric: direction, bounds, and what it refuses."""

import dataclasses
import math

import numpy as np
import pytest

from lcpfn.metric import Metric


def test_higher_is_better_and_nothing_is_known_by_default() -> None:
    metric = Metric()
    assert (metric.direction, metric.bounds, metric.overshoot) == ("max", (None, None), False)
    assert metric.sign == 1.0 and metric.upward_bounds == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("direction", "bounds", "upward"),
    [
        ("max", (0, 1), (0.0, 1.0)),
        ("min", (0, 1), (-1.0, 0.0)),
        ("max", (0, None), (0.0, math.inf)),
        ("min", (0, None), (-math.inf, 0.0)),
        ("max", (None, 3), (-math.inf, 3.0)),
        ("min", (None, 3), (-3.0, math.inf)),
        ("min", (-2, 5), (-5.0, 2.0)),
    ],
)
def test_upward_bounds_hold_the_metric_times_its_sign(direction: str, bounds: tuple, upward: tuple) -> None:
    metric = Metric(direction, bounds=bounds)
    assert metric.upward_bounds == upward
    for y in (end for end in bounds if end is not None):
        assert metric.sign * y in metric.upward_bounds


def test_bounds_are_stored_as_floats() -> None:
    metric = Metric(bounds=[0, np.float32(100)])  # a list, as JSON gives it
    assert metric.bounds == (0.0, 100.0)
    assert [type(end) for end in metric.bounds] == [float, float]
    assert metric == Metric("max", bounds=(0.0, 100.0)) and hash(metric) == hash(Metric(bounds=(0, 100)))


def test_a_metric_is_a_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Metric().direction = "min"
    with pytest.raises(TypeError):
        Metric("min", (0, 1))  # bounds by keyword: (0, 1) might be read as anything


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"direction": "maximize"}, ValueError, "direction must be .* got 'maximize'.*write Metric"),
        ({"direction": None}, ValueError, "direction must be .* got None"),
        ({"bounds": 1.0}, ValueError, r"pair \(lowest, highest\), got 1.0.*None"),
        ({"bounds": (0, 1, 2)}, ValueError, "pair"),
        ({"bounds": (1, 0)}, ValueError, r"must increase, got \(1, 0\)"),
        ({"bounds": (1, 1)}, ValueError, "must increase"),
        ({"bounds": (0, math.inf)}, ValueError, "highest bound must be finite, got inf.*None"),
        ({"bounds": (math.nan, 1)}, ValueError, "lowest bound must be finite, got nan"),
        ({"bounds": ("0", 1)}, TypeError, "lowest bound must be a number or None, got '0' of type str"),
        ({"bounds": (0, True)}, TypeError, "highest bound .* got True of type bool"),
        ({"bounds": (0, 1j)}, TypeError, "complex"),
        ({"overshoot": 1}, TypeError, "overshoot must be True or False, got 1"),
    ],
)
def test_errors_say_the_rule_and_what_came(arguments: dict, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Metric(**arguments)
