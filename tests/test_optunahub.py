"""Forecasts for OptunaHub's conformal pruner: its contract, and that no forecast knows what comes after it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcpfn
from lcpfn.integrations.optunahub import causal_predictor
from lcpfn.metric import Metric

UNIT = Metric("max", bounds=(0, 1))
LOSS = Metric("min", bounds=(0, None))
HORIZON = 20


def accuracies(n: int = 6, columns: int = HORIZON) -> np.ndarray:
    random = np.random.default_rng(5)
    top = random.uniform(0.4, 0.9, (n, 1))
    return np.clip(top - 0.4 / np.arange(1, columns + 1) + random.normal(0, 0.01, (n, columns)), 0, 1)


@pytest.mark.parametrize("metric", [UNIT, LOSS, None])
@pytest.mark.parametrize("kind", ["value", "best"])
def test_column_j_rests_on_columns_up_to_j(metric: Metric | None, kind: str) -> None:
    forecast = causal_predictor(horizon=HORIZON, metric=metric, kind=kind)
    sign = 1 if metric is LOSS else -1  # as the pruner passes them: lower is better
    whole = sign * accuracies()
    ends = forecast(whole)
    assert ends.shape == whole.shape and np.isfinite(ends).all()
    for j in (0, 1, 4, HORIZON - 2):
        other = whole.copy()
        other[:, j + 1 :] = sign * accuracies()[::-1, j + 1 :]
        np.testing.assert_allclose(forecast(other)[:, : j + 1], ends[:, : j + 1], atol=1e-5)
        other[:, j] += sign * 0.02
        if kind == "value":  # and it does rest on column j
            assert (np.abs(forecast(other)[:, j] - ends[:, j]) > 1e-4).all()


@given(rows=st.integers(1, 4), columns=st.integers(1, HORIZON))
def test_a_running_trial_has_the_forecasts_of_a_whole_one(rows: int, columns: int) -> None:
    forecast = causal_predictor(horizon=HORIZON, metric=UNIT)
    np.testing.assert_allclose(
        forecast(-accuracies()[:rows, :columns]), forecast(-accuracies())[:rows, :columns], atol=1e-5
    )


def test_forecasts_are_the_medians_of_predict() -> None:
    pfn, y = lcpfn.load(), accuracies()
    ends = -causal_predictor(horizon=HORIZON, metric=UNIT, engine=pfn)(-y)
    for j in (2, 9):
        belief = pfn.predict(y[:, : j + 1], HORIZON, metric=UNIT, run_end=HORIZON)
        np.testing.assert_allclose(ends[:, j], belief.median()[:, 0], atol=1e-5)
    np.testing.assert_array_equal(ends[:, -1], y[:, -1])


def test_orientation_is_that_of_the_pruner() -> None:
    """Of a study to maximize the pruner passes -y and compares -forecast; of one to minimize both as they are."""
    y = accuracies()
    up = causal_predictor(horizon=HORIZON, metric=UNIT)
    down = causal_predictor(horizon=HORIZON, metric=Metric("min", bounds=(0, 1)))
    plain = causal_predictor(horizon=HORIZON, metric=UNIT, negated=False)
    np.testing.assert_allclose(up(-y), -plain(y), atol=1e-6)
    np.testing.assert_allclose(down(1 - y), 1 + up(-y), atol=1e-5)
    with pytest.raises(ValueError, match="y must lie in"):
        up(y)


def test_the_best_is_never_worse_than_what_was_reached() -> None:
    y = accuracies()
    y[:, 3] = 0.95
    best = -causal_predictor(horizon=HORIZON, metric=UNIT, kind="best")(-y)
    assert (best[:, 3:] >= 0.95).all() and (best[:, -1] == 0.95).all()
    losses = 1 - y
    low = causal_predictor(horizon=HORIZON, metric=LOSS, kind="best")(losses)
    assert (low[:, 3:] <= losses.min(axis=1, keepdims=True) + 1e-12).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_left_out(bad: float) -> None:
    forecast, y = causal_predictor(horizon=HORIZON, metric=UNIT), -accuracies()
    ends = forecast(y)
    y[0, 5], y[1, 0], y[2] = bad, bad, bad
    gone = forecast(y)
    assert gone[0, 5] == pytest.approx(gone[0, 4], abs=1e-6) == pytest.approx(ends[0, 4], abs=1e-5)
    assert np.isnan(gone[1, 0]) and np.isfinite(gone[1, 1:]).all()
    assert np.isnan(gone[2]).all()  # nan > anything is False: the pruner stops nothing
    np.testing.assert_allclose(gone[3:], ends[3:], atol=1e-5)


def test_long_curves_are_read_on_a_grid_that_never_changes() -> None:
    horizon = 250
    forecast, y = causal_predictor(horizon=horizon, metric=UNIT), -accuracies(3, horizon)
    ends = forecast(y)
    np.testing.assert_allclose(forecast(y[:, :120]), ends[:, :120], atol=1e-5)
    np.testing.assert_array_equal(ends[:, -1], y[:, -1])
    assert len(np.unique(ends[0])) == lcpfn.load().inference.config.limit


def test_the_times_of_the_columns() -> None:
    y, t = -accuracies(), np.geomspace(1, 1000, HORIZON)
    ends = causal_predictor(horizon=HORIZON, metric=UNIT, t=t)(y)
    assert np.abs(ends[:, 5] - causal_predictor(horizon=HORIZON, metric=UNIT)(y)[:, 5]).max() > 1e-3


def test_a_conformal_rule_calibrates_with_it() -> None:
    """A threshold on forecasts, from whole curves, as the pruner sets it: it stops the hopeless and spares the good."""
    forecast = causal_predictor(horizon=HORIZON, metric=UNIT)
    curves = -accuracies(60)
    calibration, new = curves[:40], curves[40:]
    good = np.quantile(calibration[:, -1], 0.2)
    excess = np.where(calibration[:, -1] <= good, (forecast(calibration)[:, :-1] - good).max(axis=1), -np.inf)
    threshold = np.sort(excess)[int(np.ceil(0.95 * 41)) - 1]
    stopped = np.array(
        [any(forecast(row[None, : j + 1])[0, j] - threshold > good for j in range(1, HORIZON - 1)) for row in new]
    )
    assert stopped[new[:, -1] > -0.5].all() and not stopped[new[:, -1] <= good].any()


def test_options_and_shapes_that_mean_nothing() -> None:
    for options, match in [
        (dict(horizon=1), "the horizon 2 or more"),
        (dict(horizon=3, t=[1, 3, 2]), "3 increasing times"),
        (dict(horizon=3, t=[1, 2]), "3 increasing times"),
        (dict(horizon=3, kind="signal"), 'kind must be "value" or "best"'),
    ]:
        with pytest.raises(ValueError, match=match):
            causal_predictor(**options)
    forecast = causal_predictor(horizon=3, metric=UNIT)
    for shape in [(3,), (1, 4), (1, 2, 3)]:
        with pytest.raises(ValueError, match="curves must have shape"):
            forecast(np.full(shape, -0.5))
