"""The engine's API: one answer however it is asked, exact invariances, and clear words for what it cannot take."""

import dataclasses
import pickle
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import torch
from contracts import check_engine
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FREE, TINY, random_pfn

import lcpfn
from lcpfn import Metric
from lcpfn.query import KINDS

PFN = random_pfn()
FREE_PFN = random_pfn(coordinates=FREE)
Y = np.array([0.12, 0.31, 0.42, 0.47, 0.55, 0.56, 0.60, 0.61])


def parameters(belief):
    """All that a belief is made of, for comparison."""
    return [belief.law.log_weights, belief.law.means, belief.law.stds, belief.location, belief.scale]


def assert_same(one, other, atol=2e-5):
    for left, right in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_allclose(left, right, atol=atol, rtol=atol)


@pytest.mark.parametrize("engine", [PFN, FREE_PFN], ids=["paper", "free"])
def test_engine_keeps_the_contract(engine):
    check_engine(engine)


# -- forms of input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        list(Y), tuple(Y), Y, Y.astype(np.float32), torch.tensor(Y), pd.Series(Y), np.ma.masked_invalid(Y),
        Y[:, None][:, 0],
    ],
    ids=["list", "tuple", "float64", "float32", "torch", "pandas", "masked", "strided"],
)  # fmt: skip
def test_any_array_of_one_curve_gives_the_same_belief(form):
    assert_same(PFN.predict(form, horizon=20), PFN.predict(Y, horizon=20), atol=1e-4)


def test_jax_arrays_are_taken():
    assert_same(PFN.predict(jnp.asarray(Y), horizon=20), PFN.predict(Y.astype(np.float32), horizon=20), atol=1e-4)


def test_integers_are_taken():
    assert PFN.predict([0, 1, 1], horizon=9).shape == (6,)


def test_one_curve_gives_q_and_several_give_b_q():
    assert PFN.predict(Y, horizon=20).shape == (12,)
    assert PFN.predict(Y[None], horizon=20).shape == (1, 12)
    assert PFN.predict([Y, Y[:3]], horizon=20).shape == (2, 12)
    assert PFN.predict([Y, Y[:3]], [[30, 40], [50, 60]]).shape == (2, 2)
    assert PFN.predict(Y, 50).shape == (1,)


def test_missing_points_are_left_out_with_their_time():
    holes = Y.copy()
    holes[[1, 4]] = np.nan
    seen = ~np.isnan(holes)
    assert_same(PFN.predict(holes, 30), PFN.predict(Y[seen], 30, t=np.arange(1, 9)[seen]))


def test_points_in_any_order():
    order = np.random.default_rng(0).permutation(8)
    assert_same(PFN.predict(Y[order], 30, t=1 + order), PFN.predict(Y, 30))


def test_nothing_seen_is_the_prior_predictive():
    belief = PFN.predict([], [1, 50, 100])
    assert belief.shape == (3,) and np.isfinite(belief.mean()).all()
    batch = PFN.predict([[], Y], [50, 100])
    assert_same(batch[0], PFN.predict([], [50, 100]))
    with pytest.warns(UserWarning, match="all values of y are NaN"):
        assert_same(PFN.predict([np.nan, np.nan], [50, 100]), batch[0])
    with pytest.raises(ValueError, match="bounds"):
        FREE_PFN.predict([], [50, 100])
    assert np.isfinite(FREE_PFN.predict([], [5], metric=Metric(bounds=(0, 1))).mean()).all()


# -- one answer, however asked ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_predict_replay_and_stream_agree(kind):
    stream = PFN.stream()
    replay = PFN.replay(Y, [30, 100], kind=kind)
    for count in range(9):
        if count:
            stream.observe(count, Y[count - 1])
        alone = PFN.predict(Y[:count], [30, 100], kind=kind)
        assert_same(replay.belief[count], alone)
        assert_same(stream.predict([30, 100], kind=kind), alone)
    assert replay.valid.all()


def test_replay_marks_what_lies_behind():
    replay = PFN.replay([Y, Y[:3]], [4, 9])
    assert replay.belief.shape == (2, 9, 2)
    np.testing.assert_array_equal(replay.valid[0, :, 0], np.arange(9) < 4)
    np.testing.assert_array_equal(replay.valid[1, :, 1], np.arange(9) <= 3)
    assert np.isfinite(replay.belief.mean()).all()


def test_replay_without_a_time_asks_about_the_next_point():
    t = np.array([1, 2, 4, 8, 16, 32, 50, 77])
    replay = PFN.replay(Y, t=t)
    assert replay.belief.shape == (9, 1)
    np.testing.assert_array_equal(replay.valid[:, 0], [True] * 8 + [False])
    for count in range(8):
        assert_same(replay.belief[count], PFN.predict(Y[:count], t[count], t=t[:count]))


def test_other_curves_queries_padding_and_chunks_change_nothing(monkeypatch):
    alone = PFN.predict(Y[:4], [50])
    assert_same(PFN.predict([Y[::-1], Y[:4], Y], [20, 50, 90])[1, 1:2], alone)
    many = np.tile(Y[:4], (40, 1))
    monkeypatch.setattr("lcpfn.inference.CHUNK_NUMBERS", 10_000)
    assert_same(PFN.predict(many, [50])[17], alone)


def test_torch_backend_gives_the_same_belief():
    twin = random_pfn(device="cpu")
    for kind in KINDS:
        assert_same(
            twin.predict([Y, Y[:2]], horizon=20, kind=kind), PFN.predict([Y, Y[:2]], horizon=20, kind=kind), 1e-4
        )
    assert_same(twin.replay(Y, 50).belief, PFN.replay(Y, 50).belief, 1e-4)


@pytest.mark.gpu
def test_cuda_gives_the_same_belief():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert_same(random_pfn(device="cuda").predict(Y, horizon=20), PFN.predict(Y, horizon=20), 1e-3)


def test_long_curves_are_thinned_first_and_last_kept():
    t = np.linspace(1, 90, 10_000)
    y = 1 - 0.9 * t**-0.5
    rank = np.arange(TINY.limit) * 9_999 // (TINY.limit - 1)
    assert_same(PFN.predict(y, [95], t=t), PFN.predict(y[rank], [95], t=t[rank]))
    stream = PFN.stream()
    for time_, value in zip(t[::40], y[::40], strict=True):
        stream.observe(time_, value)
    assert len(stream) == 250
    assert_same(stream.predict([95]), PFN.predict(y[::40], [95], t=t[::40]))


# -- units and directions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_percent_and_error_rates_are_the_same_curve(kind):
    fraction = PFN.predict(Y, [20, 100], kind=kind)
    percent = PFN.predict(100 * Y, [20, 100], kind=kind, metric=Metric("max", bounds=(0, 100)))
    error = PFN.predict(1 - Y, [20, 100], kind=kind, metric=Metric("min", bounds=(0, 1)))
    np.testing.assert_allclose(percent.quantile([0.1, 0.5, 0.9]), 100 * fraction.quantile([0.1, 0.5, 0.9]), rtol=1e-4)
    np.testing.assert_allclose(error.quantile([0.1, 0.5, 0.9]), 1 - fraction.quantile([0.9, 0.5, 0.1]), rtol=1e-4)
    np.testing.assert_allclose(error.prob_better(0.3), fraction.prob_better(0.7), atol=1e-5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100), stretch=st.floats(1e-3, 1e3), seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
)  # fmt: skip
def test_without_absolute_features_invariances_are_exact(scale, shift, stretch, seed, kind):
    random = np.random.default_rng(seed)
    y = np.cumsum(random.normal(size=12))
    t = np.cumsum(random.uniform(0.5, 2.0, 12))
    ahead = t[-1] * np.array([1.1, 2.0, 10.0])
    plain = FREE_PFN.predict(y, ahead, t=t, kind=kind)
    q = [0.05, 0.5, 0.95]
    spread = np.abs(plain.quantile(q)).max() + np.ptp(y)
    moved = FREE_PFN.predict(scale * y + shift, ahead, t=t, kind=kind)
    np.testing.assert_allclose(
        moved.quantile(q),
        scale * plain.quantile(q) + shift,
        rtol=1e-5,
        atol=1e-5 * (scale * spread + abs(shift) * 1e-3),
    )
    mirrored = FREE_PFN.predict(-y, ahead, t=t, kind=kind, metric=Metric("min"))
    np.testing.assert_allclose(mirrored.quantile(q), -plain.quantile(q[::-1]), rtol=1e-9)
    slower = FREE_PFN.predict(y, stretch * ahead, t=stretch * t, kind=kind)
    np.testing.assert_allclose(slower.quantile(q), plain.quantile(q), rtol=1e-5, atol=1e-5 * spread)
    np.testing.assert_allclose(slower.t, stretch * plain.t)


# -- what it cannot take ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "more", "rule"),
    [
        ([10.0, 55.0, 61.0], {"horizon": 9}, "divide percentages by 100"),
        ([0.1, 1.5], {"horizon": 9}, r"y must lie in \[0, 1\]"),
        ([0.1, np.inf], {"horizon": 9}, "y must be finite"),
        (["a", "b"], {"horizon": 9}, "numbers"),
        (Y, {"horizon": 8}, "horizon must lie after"),
        (Y, {"horizon": 101}, "stretch_time=True"),
        (Y, {"horizon": 8e6}, "t_query|stretch_time"),
        (Y, {"t_query": [8.0]}, "after the last observed"),
        (Y, {}, "either t_query or horizon"),
        (Y, {"t_query": 9, "horizon": 9}, "both"),
        (Y, {"t_query": 9, "kind": "worst"}, "kind must be one of"),
        (Y, {"t_query": 9, "t": [1, 2, 3]}, "one time for each point"),
        (Y, {"t_query": 90, "t": [1, 2, 3, 3, 4, 5, 6, 7]}, "(repeat|twice|alike)"),
        (Y, {"t_query": 90, "t": np.arange(8)}, r"times must lie in \[1, 100\]"),
        (Y, {"t_query": 9, "metric": Metric("min")}, "needs both bounds"),
        (Y, {"t_query": 9, "metric": "min"}, "lcpfn.Metric"),
    ],
)
def test_what_it_cannot_take_is_refused_with_advice(y, more, rule):
    with pytest.raises((ValueError, TypeError), match=rule):
        PFN.predict(y, **more)


@pytest.mark.parametrize(
    "y",
    [
        [0.5],
        [0.5] * 30,
        [0.0] * 5,
        [1.0] * 5,
        [1e-30, 2e-30, 3e-30],
        [0.5, 0.5 + 1e-16, 0.5],
        list(np.tile([0.0, 1.0], 20)),
    ],
    ids=["one point", "constant", "zeros", "ones", "tiny", "rounding", "swinging"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_odd_curves_give_beliefs_without_nan(y, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        belief = PFN.predict(y, [len(y) + 1, 100], kind=kind)
        for numbers in (
            belief.mean(),
            belief.std(),
            belief.quantile([0.01, 0.99]),
            belief.log_prob(0.5),
            belief.crps(0.5),
        ):
            assert np.isfinite(numbers).all()
        assert ((belief.quantile([0.01, 0.99]) >= 0) & (belief.quantile([0.01, 0.99]) <= 1)).all()


def test_explosions_are_understood_as_far_as_numbers_go():
    pfn, metric = random_pfn(coordinates=FREE), Metric("min")
    y = [2.0, 1.5, 1.3, 1e99, 2e99]
    assert np.isfinite(pfn.predict(y, [10], metric=metric).quantile([0.05, 0.5, 0.95])).all()
    assert np.isfinite(pfn.surprise(y, metric=metric).pit[1:]).all()
    stream = pfn.stream(metric=metric)
    for ask in (
        lambda: pfn.predict([*y, 1e101], [10], metric=metric),
        lambda: pfn.replay([*y, -1e300], [10], metric=metric),
        lambda: pfn.surprise([*y, 1e160], metric=metric),
    ):
        with pytest.raises(ValueError, match=r"smaller than 1e\+100 in size, got .* at point 5; a run that diverged"):
            ask()
    for t, value in enumerate(y, 1):
        stream.observe(t, value)
    with pytest.raises(ValueError, match="a run that diverged is over"):
        stream.observe(6, 1e101)
    stream.observe(6, 3e99)
    assert len(stream) == 6 and np.isfinite(stream.predict(10).median())
    with pytest.raises(ValueError, match="at curve 1, point 0"):
        pfn.predict([[1.0], [-1e200]], [10], metric=metric)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("y", [[1.0], [1.0, 1.0], [1.0, 2.0, 2.5], [0.0, 0.0], [-1.0, 3.0, -2.0]])
def test_any_scale_without_bounds_gives_beliefs_without_nan(y, scale):
    belief = FREE_PFN.predict(scale * np.array(y), 20)
    for numbers in (belief.mean(), belief.std(), belief.quantile(0.9), belief.crps(scale)):
        assert np.isfinite(numbers).all()


def test_a_horizon_a_million_times_further_without_a_clock():
    belief = FREE_PFN.predict(Y, [8e6])
    assert np.isfinite(belief.mean()).all() and np.isfinite(belief.quantile([0.01, 0.99])).all()


def test_stretched_time_is_the_users_time():
    t = np.arange(0, 4000, 500)
    belief = PFN.predict(Y, [10_000.0], t=t, stretch_time=True)
    np.testing.assert_array_equal(belief.t, [10_000.0])
    assert_same(belief, PFN.predict(Y, [100.0], t=1 + 99 * t / 10_000))


def test_streams_refuse_late_points_and_skip_missing_ones():
    stream = PFN.stream()
    stream.observe(1, 0.2)
    for missing in (float("nan"), np.float32("nan"), None):
        stream.observe(2, missing)
    assert len(stream) == 1
    for wrong, rule in [
        ((1, 0.3), "order of time"),
        ((3, 30.0), "divide percentages"),
        ((101, 0.3), "stretch_time|100"),
    ]:
        with pytest.raises(ValueError, match=rule):
            stream.observe(*wrong)
    assert_same(stream.predict(50), PFN.predict([0.2], 50))


def test_a_stream_asks_in_the_steps_of_its_own_times():
    stream = PFN.stream()
    for time_, value in zip((10, 20, 30), Y[:3], strict=True):
        stream.observe(time_, value)
    np.testing.assert_array_equal(stream.predict(horizon=60).t, [40, 50, 60])


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match=r"shipped are .*paper"):
        lcpfn.load("no-such-checkpoint")


def test_a_config_of_another_version_is_refused():
    checkpoint = PFN.checkpoint
    odd = {"model": checkpoint.config["model"] | {"depth": 3}, "coordinates": checkpoint.config["coordinates"]}
    with pytest.raises(ValueError, match="upgrade lcpfn"):
        lcpfn.PFN(dataclasses.replace(checkpoint, config=odd))


@pytest.mark.parametrize("device", [None, "cpu"])
def test_an_engine_survives_a_pickle(device):
    """Workers of a pool take it along."""
    pfn = lcpfn.load("paper", device=device)
    again = pickle.loads(pickle.dumps(pfn))
    assert again.inference.device == device and again.metric == pfn.metric
    y = [0.2, 0.4, 0.5]
    np.testing.assert_array_equal(again.predict(y, horizon=9).median(), pfn.predict(y, horizon=9).median())
