"""One path from what is asked to what the network is asked: the same answer by predict, replay, stream and surprise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FREE, random_pfn

import lcpfn
from lcpfn import Curve, Metric
from lcpfn.prepare import LEAST, tamed
from lcpfn.surprise import pits

LOSS = Metric("min", bounds=(0, None))
ERROR = Metric("min", bounds=(0, 1))
SHARE = Metric("max", bounds=(0, 1))
WILD_LOSS = [1e12, 5, 4, 3, 2.5, 2.2, 2.0, 1.9]
Q = (0.05, 0.5, 0.95)

CURVES = {
    "calm": ([9.0, 6.0, 5.0, 4.4, 4.0, 3.9], LOSS),
    "wild start": (WILD_LOSS, LOSS),
    "two wild values": ([1e9, 1e12, 5, 4, 3, 2.5, 2.2, 2.0, 1.9, 1.8], Metric("min")),
    "wild, missing points": ([1e12, np.nan, 5, 4, 3, np.nan, 2.5, 2.2, 2.0, 1.9], LOSS),
    "bounded, one high value": ([1.0, 3e-6, 2e-6, 2e-6, 1e-6, 1.5e-6, 1e-6, 1e-6, 1e-6, 2e-6], ERROR),
    "ties at zero": ([0.0, 0.0, 3.0, 5.0, 5.0, 9.0], Metric("max")),
    "percent": ([10.0, 30.0, np.nan, 40.0, 45.0], Metric("max", bounds=(0, 100))),
}  # fmt: skip


def assert_same(found, wanted, message=""):
    """Probabilities agree to 1e-4: states are of single precision, and quantiles between two humps magnify that."""
    x = np.moveaxis(wanted.quantile(Q), -1, 0)
    np.testing.assert_allclose(found.cdf(x), wanted.cdf(x), atol=1e-4, err_msg=message)


@pytest.fixture(scope="module", params=["default", "paper"])
def pfn(request):
    return lcpfn.load(request.param)


def asked_of(pfn, name):
    y, metric = CURVES[name]
    if pfn.inference.coordinates.bounded and None in metric.bounds:
        pytest.skip("this checkpoint takes metrics with both bounds alone")
    return np.array(y), metric


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("kind", ["value", "signal", "best"])
def test_the_same_answer_by_predict_replay_and_stream(pfn, name, kind):
    y, metric = asked_of(pfn, name)
    times = np.arange(1.0, len(y) + 1)[~np.isnan(y)]
    replay = pfn.replay(y, [20, 40], kind=kind, metric=metric, run_end=40)
    stream = pfn.stream(metric=metric, run_end=40)
    for count, time in enumerate(times, 1):
        stream.observe(time, y[int(time) - 1])
        wanted = pfn.predict(y[: int(time)], [20, 40], kind=kind, metric=metric, run_end=40)
        for found in (replay.belief[count], stream.predict([20, 40], kind=kind)):
            assert_same(found, wanted, f"{name}, {count}")
    assert replay.valid[1:].all()


@pytest.mark.parametrize("name", CURVES)
def test_surprise_is_about_the_beliefs_that_predict_gives(pfn, name):
    y, metric = asked_of(pfn, name)
    known = ~np.isnan(y)
    t, values = np.arange(1.0, len(y) + 1)[known], y[known]
    found = pfn.surprise(y, metric=metric).pit
    for count in range(1, len(t)):
        before = pfn.predict(values[:count], t[count], t=t[:count], metric=metric)
        np.testing.assert_allclose(found[count], pits(before, values[count : count + 1])[0], atol=1e-4)


@pytest.mark.parametrize("start", [[], [1e12]], ids=["calm", "wild"])
def test_a_curve_beyond_the_limit_is_one_curve_by_every_path(start):
    pfn = lcpfn.load()
    y = np.array([*start, *(2 + 5 * np.arange(1.0, 260) ** -0.5)])
    wanted = pfn.predict(y, [300, 500], metric=LOSS)
    stream = pfn.stream(metric=LOSS)
    for t, value in enumerate(y, 1):
        stream.observe(t, value)
    assert_same(stream.predict([300, 500]), wanted)
    assert_same(pfn.replay(y, [300, 500], metric=LOSS).belief[-1], wanted)


def test_a_wild_start_does_not_set_the_scale_on_any_path():
    """By `replay` and `stream` this interval was 3.7e6 to 7.3e9, where the run stands at 1.9."""
    pfn = lcpfn.load()
    stream = pfn.stream(metric=LOSS)
    for t, value in enumerate(WILD_LOSS, 1):
        stream.observe(t, value)
    low, high = stream.predict([20]).interval(0.9)[0]
    assert 0.3 < low < 1.9 < high < 6
    np.testing.assert_allclose(
        pfn.replay(WILD_LOSS, [20], metric=LOSS).belief[-1, 0].interval(0.9), [low, high], rtol=1e-4
    )


def test_what_comes_after_a_prefix_changes_nothing_about_it():
    pfn = lcpfn.load()
    calm = pfn.replay([*WILD_LOSS, 1.8], [20], metric=LOSS).belief
    wild = pfn.replay([*WILD_LOSS, 1e11], [20], metric=LOSS).belief
    assert_same(wild[1:9], calm[1:9])


def test_an_empty_prefix_of_a_metric_without_bounds_is_not_valid():
    """Nothing says what to expect; `predict` and `stream` raise there."""
    pfn = lcpfn.load()
    y = [9.0, 6.0, 5.0]
    for query in ({}, {"t_query": [20]}, {"horizon": 20}):
        for kind in ("value", "signal", "best"):
            replay = pfn.replay(y, metric=LOSS, kind=kind, **query)
            assert not replay.valid[0].any(), (query, kind)
            assert replay.valid[1:3].any()
            assert pfn.replay(y, metric=Metric("min", bounds=(0, 10)), kind=kind, **query).valid[0].all()
    with pytest.raises(ValueError, match="a curve without points needs a metric with both bounds"):
        pfn.predict([], [20], metric=LOSS)
    with pytest.raises(ValueError, match="a curve without points needs a metric with both bounds"):
        pfn.stream(metric=LOSS).predict([20])


def test_a_horizon_is_every_later_step_for_replay_too():
    pfn, y = lcpfn.load("paper"), [0.1, 0.3, 0.4]
    replay = pfn.replay(y, horizon=6)
    np.testing.assert_array_equal(replay.belief.t[0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(replay.valid, np.arange(1, 7) > np.arange(4)[:, None])
    np.testing.assert_allclose(replay.belief[3, 3:].median(), pfn.predict(y, horizon=6).median(), rtol=1e-5)
    uneven = pfn.replay(y, t=[10, 20, 30], horizon=55)
    np.testing.assert_array_equal(uneven.belief.t[0], [10, 20, 30, 40, 50, 55])


def test_replayed_times_are_the_users_own():
    t = np.array([0.0, 500.0, 1500.0])
    replay = lcpfn.load("paper").replay([0.1, 0.3, 0.4], t=t, run_end=4000, stretch_time=True)
    np.testing.assert_array_equal(replay.belief.t[:3, 0], t)


# -- units ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    start=st.sampled_from([[], [0.0], [0.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0], [-1.0, -1.0, -1.0]]),
    moves=st.lists(st.sampled_from([0.0, 0.0, 1.0, -1.0, 2.5, 1e-3, 40.0]), min_size=2, max_size=12),
    power=st.integers(-12, 12),
    shift=st.sampled_from([0.0, 1.0, -3.0]),
)
def test_the_unit_does_not_matter_where_a_curve_begins_with_ties(start, moves, power, shift):
    y = np.concatenate([start, (start[-1] if start else 0.0) + np.cumsum(moves)])
    if (y == y[0]).all():
        return  # nothing says what the scale is
    pfn = random_pfn(coordinates=FREE)
    plain = pfn.predict(y, [len(y) * 2.0]).quantile(Q)
    size = np.ptp(y) + np.abs(plain).max()
    scaled = pfn.predict(10.0**power * y, [len(y) * 2.0]).quantile(Q) / 10.0**power
    np.testing.assert_allclose(scaled, plain, atol=1e-4 * size)
    moved = pfn.predict(y + shift, [len(y) * 2.0]).quantile(Q) - shift
    np.testing.assert_allclose(moved, plain, atol=1e-4 * (size + abs(shift)))


def test_rewards_that_begin_with_zeros_have_no_unit():
    """These intervals were [-0.01, 24.5], [1.0, 20.0] and [1.9, 17.2]."""
    pfn, y = lcpfn.load(), np.array([0.0, 0.0, 3.0, 5.0])
    intervals = [pfn.predict(y * unit, [8], metric=Metric("max")).interval(0.9)[0] / unit for unit in (1e-3, 1, 1e6)]
    np.testing.assert_allclose(intervals, np.broadcast_to(intervals[1], (3, 2)), rtol=1e-5)


# -- wild values ---------------------------------------------------------------------------------------------------


def test_a_wild_start_is_taken_for_a_thousand_ranges():
    loss = np.array([[3e12, 8.0, 5.0, 4.0, 3.0, 2.5, 2.2]])
    for sign, direction in ((1, "min"), (-1, "max")):
        metric, count = Metric(direction), np.array([7])
        found = sign * tamed(sign * loss, count, metric)
        np.testing.assert_allclose(found[0], [4.0 + 1e3 * 1.8, *loss[0, 1:]])  # the second half goes from 4.0 to 2.2
        np.testing.assert_allclose(tamed(5 + 7 * sign * loss, count, metric), 5 + 7 * sign * found)


@pytest.mark.parametrize(
    "y",
    [
        [3e12, 8.0, 5.0, 4.0],
        [9.0, 8.0, 5.0, 4.0, 3.0, 3e12],
        [1e9, 1.0, 1.0, 1.0, 1.0, 1.0],
        [300.0, 2.0, 1.5, 1.2, 1],
    ],
    ids=["too few points", "a wild end", "a constant second half", "a mere fall"],
)
def test_what_is_not_wild_at_the_start_stays_as_it_is(y):
    y = np.array([y])
    assert tamed(y, np.array([y.shape[1]]), Metric("min")) is y


def test_bounds_on_both_sides_say_how_far_a_value_can_lie():
    y = np.array([[1.0] + [1e-6, 2e-6, 1e-6, 3e-6, 1e-6, 2e-6]])
    assert tamed(y, np.array([7]), Metric("min", bounds=(0, 1))) is y
    assert tamed(y, np.array([7]), LOSS)[0, 0] < 1e-2


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([1e12, -1e9, 0.0, 1.0, 1.0, 2.0, 2.5, 3.0, 1e5]), min_size=1, max_size=14))
def test_the_quick_look_for_wild_prefixes_misses_none(y):
    from lcpfn.context import read_context
    from lcpfn.prepare import wild_prefixes

    metric = Metric("min")
    points = read_context(y, metric=metric)
    found = wild_prefixes(points, metric, np.ones((1, len(y) + 1), dtype=bool))[0]
    for c in range(len(y) + 1):
        part = points.y[:, :c]
        assert found[c] == (c >= LEAST and tamed(part, np.array([c]), metric) is not part), c


# -- curves ---------------------------------------------------------------------------------------------------


def test_a_curve_is_asked_like_its_arrays():
    pfn, t, y = lcpfn.load(), [2.0, 4.0, 8.0], [9.0, 6.0, 5.0]
    curve = Curve(t, y, metric=LOSS, run_end=50)
    wanted = pfn.predict(y, [20, 50], t=t, metric=LOSS, run_end=50)
    for found in (
        pfn.predict(curve, [20, 50]),
        pfn.predict([curve, curve[:2]], [20, 50])[0],
        pfn.predict(Curve(t, y), [20, 50], metric=LOSS, run_end=50),
    ):
        np.testing.assert_allclose(found.quantile(Q), wanted.quantile(Q), rtol=1e-5)
        assert found.metric == LOSS
    assert pfn.replay(curve, [50]).belief.shape == (4, 1) and pfn.surprise(curve).t.shape == (3,)
    np.testing.assert_array_equal(pfn.predict(Curve(None, y, metric=LOSS), horizon=5).t, [4, 5])
    np.testing.assert_array_equal(pfn.predict(Curve([10, 20, 30], y, metric=LOSS), horizon=55).t, [40, 50, 55])


def test_curves_and_arguments_must_not_contradict_each_other():
    pfn, curve = lcpfn.load(), Curve(None, [9.0, 6.0], metric=LOSS, run_end=50)
    for more, rule in [
        ({"metric": Metric("max")}, "must have one metric"),
        ({"run_end": 60}, "run_end must be the curve's own, got 60 for a curve with run_end=50"),
        ({"t": [1, 2]}, "a curve has its own times"),
    ]:
        with pytest.raises(ValueError, match=rule):
            pfn.predict(curve, [20], **more)
    with pytest.raises(ValueError, match="must have one metric"):
        pfn.predict([curve, Curve(None, [0.1], metric=SHARE)], [20])
    with pytest.raises(TypeError, match="curves or arrays, not both"):
        pfn.predict([curve, [9.0, 6.0]], [20])


def test_a_run_that_has_diverged_is_known_to_have():
    pfn = lcpfn.load()
    gone = Curve(None, [9.0, 6.0, 5.0], metric=LOSS, diverged_at=4)
    np.testing.assert_array_equal(pfn.predict(gone, [10, 20]).prob_diverged(), 1.0)
    both = pfn.predict([gone, gone[:2]], [10])
    np.testing.assert_array_equal(both.prob_diverged(into_nan=True), 1.0)
    calm = Curve(None, [9.0, 6.0, 5.0], metric=LOSS)
    assert (pfn.predict([gone, calm], [10]).prob_diverged()[:, 0] < 1).tolist() == [False, True]
