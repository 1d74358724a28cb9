"""Forecasts that know the other runs: what they are worth, what they must not depend on, and bad input."""

import numpy as np
import pytest
from contracts import check_belief, check_engine

import lcpfn
from lcpfn import Curve, Metric
from lcpfn.others import encoding
from lcpfn.others.given import Given

ACCURACY = Metric("max", bounds=(0, 1))
LENGTH, SEEN = 40, 8
T = np.arange(1.0, LENGTH + 1)


def search(n: int, *, seed: int = 0, late: float = 0.0, noise: float = 0.003) -> np.ndarray:
    """(n, LENGTH) runs of one search that saturate at levels of their own; `late`: a rise that nobody foresees."""
    rng = np.random.default_rng(seed)
    level, rate = rng.uniform(0.55, 0.8, (n, 1)), rng.uniform(0.1, 0.3, (n, 1))
    signal = level * (1 - np.exp(-rate * T)) + late / (1 + np.exp(-(T - 30)))
    return np.clip(signal + noise * rng.normal(size=(n, LENGTH)), 0, 1)


@pytest.fixture(scope="module")
def pfn() -> lcpfn.PFN:
    return lcpfn.load()


def known(pfn: lcpfn.PFN, runs: np.ndarray, **more) -> Given:
    return pfn.given([Curve(T, y, metric=ACCURACY, run_end=LENGTH, **more) for y in runs])


def question(engine, y: np.ndarray, t_query=(LENGTH,), **more) -> lcpfn.Belief:
    return engine.predict(y[:SEEN], t_query, t=T[:SEEN], metric=ACCURACY, run_end=LENGTH, **more)


def test_the_engine_keeps_the_contract(pfn: lcpfn.PFN) -> None:
    check_engine(pfn.given([]))


@pytest.mark.parametrize("kind", ["value", "signal", "best"])
def test_beliefs_keep_the_contract(pfn: lcpfn.PFN, kind: str) -> None:
    check_belief(question(known(pfn, search(6)), search(1, seed=1)[0], (20.0, 40.0), kind=kind))


def test_without_runs_it_is_the_network_bit_for_bit(pfn: lcpfn.PFN) -> None:
    y = search(2)
    alone, empty = question(pfn, y[0]), question(pfn.given([]), y[0])
    np.testing.assert_array_equal(alone.quantile([0.05, 0.5]), empty.quantile([0.05, 0.5]))
    assert type(alone.law) is type(empty.law)
    replays = [engine.replay(y, 30, metric=ACCURACY).belief for engine in (pfn, pfn.given([]))]
    np.testing.assert_array_equal(replays[0].median(), replays[1].median())
    curve = Curve(T[:SEEN], y[0, :SEEN], metric=Metric("min", bounds=(0, 2)))
    asked = [engine.predict(curve, horizon=20).median() for engine in (pfn, pfn.given([]))]
    np.testing.assert_array_equal(*asked)
    told = [engine.surprise(y[0], metric=ACCURACY).log_e for engine in (pfn, pfn.given([[[], []]]))]
    np.testing.assert_array_equal(*told)


def test_the_others_teach_a_rise_that_no_single_run_shows(pfn: lcpfn.PFN) -> None:
    runs = search(20, late=0.15)
    alone = [question(pfn, y).crps(y[-1])[0] for y in runs[:6]]
    for n, share in ((3, 1.0), (12, 0.6)):
        engine = known(pfn, runs[6 : 6 + n])
        assert np.mean([question(engine, y).crps(y[-1])[0] for y in runs[:6]]) < share * np.mean(alone)


def test_both_directions_say_the_same(pfn: lcpfn.PFN) -> None:
    runs = search(9)
    error = Metric("min", bounds=(0, 1))
    up = known(pfn, runs[1:]).predict(runs[0, :SEEN], [40], metric=ACCURACY)
    down = pfn.given([Curve(T, 1 - y, metric=error, run_end=LENGTH) for y in runs[1:]])
    mirrored = down.predict(1 - runs[0, :SEEN], [40], metric=error)
    np.testing.assert_allclose(mirrored.quantile([0.1, 0.5, 0.9]), 1 - up.quantile([0.9, 0.5, 0.1]), rtol=1e-3)


def test_the_order_of_runs_does_not_matter(pfn: lcpfn.PFN) -> None:
    runs = search(40)
    first, second = (known(pfn, runs[1:][order]) for order in (slice(None), slice(None, None, -1)))
    np.testing.assert_array_equal(question(first, runs[0]).quantile(0.3), question(second, runs[0]).quantile(0.3))


def test_predict_replay_and_stream_agree(pfn: lcpfn.PFN) -> None:
    runs = search(7)
    engine, y = known(pfn, runs[1:]), runs[0]
    levels = [0.05, 0.5, 0.95]
    asked = engine.predict(y[:SEEN], [20, 40], metric=ACCURACY).quantile(levels)
    replay = engine.replay(y, [20, 40], metric=ACCURACY)
    np.testing.assert_allclose(replay.belief[SEEN].quantile(levels), asked, rtol=1e-4)
    assert not replay.valid[25, 0] and replay.valid[25, 1]
    stream = engine.stream(metric=ACCURACY)
    for t, value in zip(T[:SEEN], y):
        stream.observe(t, value)
    assert len(stream) == SEEN
    np.testing.assert_allclose(stream.predict([20, 40]).quantile(levels), asked, rtol=1e-4)
    batch = engine.predict([y[:SEEN], y[:3]], [20, 40], metric=ACCURACY)
    np.testing.assert_allclose(batch[0].quantile(levels), asked, rtol=1e-4)
    assert engine.surprise(y, metric=ACCURACY).pit.shape == (LENGTH,)


def test_a_point_more_of_one_run_encodes_that_run_alone(pfn: lcpfn.PFN, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = search(12)
    engine = known(pfn, runs[1:])
    question(engine, runs[0])
    encoded = []
    whole = encoding.Inference.encode

    def counted(self, tokens, cache=None):
        encoded.append(len(tokens))
        return whole(self, tokens, cache)

    curves = [Curve(T, y, metric=ACCURACY, run_end=LENGTH) for y in runs[1:]]
    longer = Curve([*T, LENGTH + 1], [*runs[1], 0.7], metric=ACCURACY, run_end=LENGTH + 1)
    fresh = engine.given([longer, *curves[1:]])
    monkeypatch.setattr(encoding.Inference, "encode", counted)
    question(fresh, runs[0])
    assert sorted(encoded) == [1, 1]  # the run with the new point, and the asked one
    encoded.clear()
    fresh.predict(runs[0, : SEEN + 1], [40], metric=ACCURACY)
    assert encoded == [1]


@pytest.mark.parametrize("stage", [3, SEEN, 20])
def test_runs_that_are_still_going_are_of_use_or_do_no_harm(pfn: lcpfn.PFN, stage: int) -> None:
    runs = search(12, late=0.15)
    cut = pfn.given([Curve(T[:stage], y[:stage], metric=ACCURACY, run_end=LENGTH) for y in runs[4:]])
    alone, beside = ([question(engine, y).crps(y[-1])[0] for y in runs[:4]] for engine in (pfn, cut))
    assert np.mean(beside) <= 1.1 * np.mean(alone)


def test_runs_on_other_grids_are_read_between_their_points(pfn: lcpfn.PFN) -> None:
    runs = search(10, late=0.15)
    even = pfn.given([Curve(T, y, metric=ACCURACY) for y in runs[2:]])
    odd = pfn.given([(T[i % 2 :: 2], y[i % 2 :: 2]) for i, y in enumerate(runs[2:])], metric=ACCURACY)
    for y in runs[:2]:
        same, other = (engine.predict(y[:SEEN], [37.5], metric=ACCURACY).median()[0] for engine in (even, odd))
        assert abs(same - other) < 0.03


BAD = {
    "empty": np.full((5, LENGTH), np.nan),
    "one point": np.where(T > 1, np.nan, search(5)),
    "all equal": np.full((5, LENGTH), 0.5),
    "the same run five times": np.repeat(search(1, seed=9), 5, axis=0),
    "NaN after a while": np.where(T > 15, np.nan, search(5)),
    "infinite at the end": np.where(T > 30, np.inf, search(5)),
    "two clusters": np.concatenate([search(4), 0.1 * search(4)]),
    "none of them learns": 0.1 + 0.01 * search(8, seed=3),
    "atoms": np.round(search(8), 1),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_runs_do_little_harm(pfn: lcpfn.PFN, name: str) -> None:
    asked = search(4, seed=5)
    engine = known(pfn, BAD[name])
    alone, beside = ([question(each, y).crps(y[-1])[0] for y in asked] for each in (pfn, engine))
    assert np.isfinite(beside).all()
    assert np.mean(beside) <= 1.5 * np.mean(alone)


def test_explosions_among_losses_do_little_harm(pfn: lcpfn.PFN) -> None:
    loss = Metric("min")
    rng = np.random.default_rng(0)
    y = 2 * T**-0.4 * rng.uniform(0.8, 1.2, (12, 1)) + 0.01 * rng.normal(size=(12, LENGTH))
    wild = y.copy()
    wild[2::2, 20:] = 10.0 ** np.linspace(1, 26, 20)
    wild[3, 5:] = 1e200
    engine = pfn.given([Curve(T, each, metric=loss) for each in wild[2:]])
    for each in y[:2]:
        alone, beside = (e.predict(each[:SEEN], [40], metric=loss) for e in (pfn, engine))
        assert beside.crps(each[-1])[0] <= 1.5 * alone.crps(each[-1])[0] + 0.05
        assert np.isfinite(beside.mean()).all() and np.isfinite(beside.std()).all()


def test_runs_that_diverged_are_no_outcomes_but_a_warning(pfn: lcpfn.PFN) -> None:
    runs = search(9)
    broken = [Curve(T[:15], y[:15], metric=ACCURACY, diverged_at=16.0) for y in runs[5:]]
    whole = [Curve(T, y, metric=ACCURACY) for y in runs[1:5]]
    told = [pfn.given(others).predict(runs[0, :SEEN], [12, 40], metric=ACCURACY) for others in (whole, whole + broken)]
    np.testing.assert_array_equal(told[0][1].median(), told[1][1].median())
    assert (told[1].prob_diverged(into_nan=True) > told[0].prob_diverged(into_nan=True) + [-0.1, 0.2]).all()
    assert told[0].prob_diverged()[1] < pfn.predict(runs[0, :SEEN], [40], metric=ACCURACY).prob_diverged()[0]


def test_a_copy_of_the_asked_run_is_left_out_and_said(pfn: lcpfn.PFN) -> None:
    runs = search(6)
    with pytest.warns(UserWarning, match="1 of the other runs begin with all points"):
        copied = question(known(pfn, runs), runs[0])
    np.testing.assert_array_equal(copied.median(), question(known(pfn, runs[1:]), runs[0]).median())


def test_the_asked_run_is_left_out_by_its_name(pfn: lcpfn.PFN) -> None:
    runs = search(6)
    curves = [Curve(T, y, metric=ACCURACY, name=f"run {i}") for i, y in enumerate(runs)]
    mine = Curve(T[:SEEN], runs[0, :SEEN], metric=ACCURACY, name="run 0")
    told = [pfn.given(others).predict(mine, [40]).median() for others in (curves, curves[1:])]
    np.testing.assert_array_equal(*told)


def test_many_runs_are_thinned_to_the_furthest_and_nearest(pfn: lcpfn.PFN) -> None:
    runs = search(300)
    engine = known(pfn, runs[1:])
    assert len(engine.runs) == 200
    assert np.isfinite(question(engine, runs[0]).median()).all()


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([Curve(T, search(1)[0], metric=Metric("max", bounds=(0, 100)))], "of one metric"),
        ([Curve(T, search(1)[0], metric=Metric("min", bounds=(0, 1)))], "of one metric"),
        ([(T, search(1)[0]), (390 * T, search(1)[0])], "one that begins at 390"),
        ([Curve(T, search(1)[0], clock="epoch"), Curve(T, search(1)[0], clock="step")], "count one thing as time"),
        ([(T, 100 * search(1)[0])], "metric's bounds"),
        ([(np.ones(LENGTH), search(1)[0])], "must not repeat"),
    ],
)
def test_runs_that_cannot_be_of_one_search_are_refused(pfn: lcpfn.PFN, runs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pfn.given(runs, metric=ACCURACY)


def test_a_question_that_cannot_be_of_the_search_is_refused(pfn: lcpfn.PFN) -> None:
    engine, y = known(pfn, search(3)), search(1, seed=4)[0]
    with pytest.raises(ValueError, match="of one metric"):
        engine.predict(y[:5], [40], metric=Metric("max", bounds=(0, 100)))
    with pytest.raises(ValueError, match="begins at 390"):
        engine.predict(y[:5], [4000], t=390 * T[:5])
    with pytest.raises(TypeError, match=r"a pair \(t, y\)"):
        pfn.given([0.5])
