"""Numbers at the ends of float64: a finite answer, or a ValueError that says what is wrong; never NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcpfn
from lcpfn import Metric

PFNS = {name: lcpfn.load(name) for name in ("default", "paper")}
PFN, FREE = PFNS["default"], Metric("max")
T = [1e-10, 2e-10, 3e-10]
Y = [0.1, 0.2, 0.3]
ODD = [0.0, -0.0, 5e-324, 1e-310, 2.3e-308, 1e-160, 1e-10, 1.0, 1 + 2**-52, 1e10, 1e99, 1e160, 1.7e308, 10**400]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: PFN.predict(Y, [1e300], t=T, metric=FREE),
        lambda: PFN.predict(Y, [1e308], t=[-1e308, 0, 1], metric=FREE),
        lambda: PFN.predict(Y, [1.0], t=[5e-324, 1e-323, 1.5e-323], metric=FREE),
        lambda: PFN.replay(Y, [1e300], t=T, metric=FREE),
        lambda: PFN.surprise(Y, t=[1e-300, 2e-300, 3e300], metric=FREE),
    ],
)
def test_times_that_cannot_be_compared_are_refused(ask) -> None:
    with pytest.raises(ValueError, match="must be comparable with one another in float64"):
        ask()


@pytest.mark.parametrize("bounds", [(0, 5e-324), (0, 1e-320), (-1e308, 1e308), (1e-300, 2e-300)])
def test_bounds_that_cannot_be_told_apart_are_refused(bounds) -> None:
    with pytest.raises(ValueError, match="apart to be told from each other in float64"):
        Metric("max", bounds=bounds)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: PFN.predict([*Y, 10**400], [5], metric=FREE),
        lambda: PFN.predict(Y, [5], t=[1, 2, 10**400], metric=FREE),
        lambda: PFN.predict(Y, [10**400], metric=FREE),
        lambda: PFN.predict(Y, horizon=10**400, metric=FREE),
        lambda: PFN.predict(Y, [5], run_end=10**400, metric=FREE),
        lambda: PFN.stream(metric=FREE).observe(10**400, 1),
        lambda: PFN.stream(metric=FREE).observe(1, -(10**400)),
        lambda: Metric("max", bounds=(0, 10**400)),
        lambda: PFN.predict(Y, [5], metric=FREE).prob_better(10**400),
        lambda: PFN.predict(Y, [5], metric=FREE).quantile(10**400),
    ],
)
def test_whole_numbers_beyond_float64_are_value_errors(ask) -> None:
    with pytest.raises(ValueError, match="must be finite, got a whole number too large for float64"):
        ask()


@given(
    name=st.sampled_from(sorted(PFNS)),
    y=st.lists(st.sampled_from(ODD[:-1]) | st.floats(-2, 2), min_size=0, max_size=6),
    t=st.none() | st.lists(st.sampled_from(ODD) | st.floats(), min_size=6, max_size=6, unique=True),
    ask=st.lists(st.sampled_from(ODD) | st.floats(), min_size=1, max_size=3),
    bounds=st.tuples(*[st.none() | st.sampled_from(ODD) | st.floats(-3, 3)] * 2),
    kind=st.sampled_from(["value", "signal", "best"]),
)
def test_an_answer_is_finite_or_refused(name, y, t, ask, bounds, kind) -> None:
    try:
        metric = Metric("min", bounds=bounds)
        belief = PFNS[name].predict(y, ask, t=None if t is None else t[: len(y)], metric=metric, kind=kind)
    except ValueError:
        return
    assert np.isfinite(belief.quantile([0.05, 0.5, 0.95])).all()
    assert np.isfinite([belief.mean(), belief.std(), belief.prob_better(0.0), belief.crps(0.0)]).all()
