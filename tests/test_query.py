"""What users ask: the times of a horizon, times of their own, and which of them a kind of query allows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import random_pfn

from lcpfn.context import read_context, thin
from lcpfn.metric import Metric
from lcpfn.pfn import PFN
from lcpfn.query import KIND, MAX_QUERIES, read_query

NAN, INF = float("nan"), float("inf")
THREE = [0.25, 0.5, 0.75]
BATCH = np.array([[0.25, 0.5, 0.75], [1, 0.5, NAN]])


def read(y, t=None):
    return read_context(y, t=t, metric=Metric())


def ask(context, t_query=None, horizon=None, kind="value"):
    return read_query(t_query, horizon, context, kind)


@pytest.mark.parametrize(
    ("context", "horizon", "queries"),
    [
        (read(THREE), 5, [[4, 5]]),
        (read(THREE), np.int64(5), [[4, 5]]),
        (read(THREE), torch.tensor(5), [[4, 5]]),
        (read(THREE), 5.5, [[4, 5, 5.5]]),  # the horizon is always the last query
        (read([0.1, NAN, 0.3, NAN]), 6, [[4, 5, 6]]),  # from the last observed time, not from the number of points
        (read([]), 2, [[1, 2]]),
        (read([[0.1], [0.1, 0.2, 0.3], []]), 5, [[4, 5]] * 3),  # from the curve that has come furthest
        (read(THREE, t=[10, 20, 30]), 55, [[40, 50, 55]]),
        (read(THREE, t=[0.1, 0.2, 0.3]), 0.6, [[0.4, 0.5, 0.6]]),  # 0.3 + 3 * 0.1 is not 0.6 in floating point
        (read([1, 2, 3, 4], t=[1, 2, 4, 8]), 12, [[10, 12]]),  # gaps 1, 2, 4
        (read([1, 2, 3], t=[1, 2, 4]), 6, [[5, 6]]),  # gaps 1, 2: the lower median is a gap that occurred
        (read([[1, 2, 3], [1, 2, 3]], t=[[1, 2, 3], [2, 4, 6]]), 8, [[7, 8]] * 2),
        (read([[1], [1, 2]], t=[[50], [10, 20]]), 65, [[60, 65]] * 2),
        (read(THREE, t=[-1e308, 1e308, 1.2e308]), 1.4e308, [[1.4e308]]),  # an infinite gap says nothing
    ],
)
def test_a_horizon_continues_the_times_and_is_the_last_query(context, horizon, queries):
    answer = ask(context, horizon=horizon)
    np.testing.assert_allclose(answer, queries, rtol=1e-12)
    assert (answer[:, -1] == float(horizon)).all()
    assert (answer.dtype, answer.flags.writeable) == (np.float64, False)


def test_the_spacing_survives_thinning():
    context = read(np.ones(100))
    assert ask(thin(context, 10), horizon=103).tolist() == ask(context, horizon=103).tolist() == [[101, 102, 103]]


@pytest.mark.parametrize(
    ("context", "t_query", "queries"),
    [
        (read(THREE), 10, [[10]]),
        (read(THREE), [30, 10.5, 10.5], [[30, 10.5, 10.5]]),
        (read(THREE), torch.tensor([10.0, 20.0]), [[10, 20]]),
        (read([]), 0.5, [[0.5]]),
        (read(BATCH), [10, 20], [[10, 20]] * 2),  # (Q,) is shared, even where Q = B
        (read(BATCH), [[10], [20]], [[10], [20]]),
        (read(BATCH), np.array([[4, 10], [3, 20]]), [[4, 10], [3, 20]]),  # each after its own curve
    ],
)
def test_query_times_are_shared_or_each_curve_has_its_own(context, t_query, queries):
    assert ask(context, t_query).tolist() == queries


def test_the_signal_may_be_asked_anywhere_the_measured_only_ahead():
    context = read(BATCH)
    assert ask(context, [1, 2.5], kind="signal").tolist() == [[1, 2.5]] * 2
    for kind in ("value", "best"):
        message = f'kind="{kind}" asks about times after .* got t_query=3 at curve 0, query 1, .* t=3; .* kind="signal"'
        with pytest.raises(ValueError, match=message):
            ask(context, [4, 3], kind=kind)
    with pytest.raises(ValueError, match="got t_query=2 at curve 1, query 0, where the last observation is at t=2;"):
        ask(context, [[4], [2]])
    with pytest.raises(ValueError, match="got t_query=3 at query 0,"):
        ask(read(THREE), 3)


QUERY_MISTAKES = {
    "neither": (THREE, {}, ValueError, "give either t_query or horizon, got neither"),
    "both": (THREE, {"t_query": 4, "horizon": 5}, ValueError, "give either t_query or horizon, got both"),
    "kind": (THREE, {"t_query": 4, "kind": "noise"}, ValueError, "kind must be one of .*'signal'.*, got 'noise'"),
    "past horizon": (
        THREE,
        {"horizon": 3},
        ValueError,
        "horizon must lie after .* horizon=3 and a last observation at t=3",
    ),
    "horizon NaN": (THREE, {"horizon": NAN}, ValueError, "horizon must be one finite number, got nan"),
    "horizon inf": (THREE, {"horizon": INF}, ValueError, "horizon must be one finite number, got inf"),
    "horizons": (BATCH, {"horizon": [5, 6]}, ValueError, r"horizon must be one finite number, got \[5, 6\]"),
    "horizon text": (THREE, {"horizon": "9"}, TypeError, "horizon must be numbers, got str"),
    "horizon bool": (THREE, {"horizon": True}, TypeError, "horizon must be numbers, got bool"),
    "far horizon": (THREE, {"horizon": 3e6}, ValueError, r"makes 3e\+06 queries .* more than 100,000; give .* t_query"),
    "empty t_query": (THREE, {"t_query": []}, ValueError, "t_query must name at least one time"),
    "t_query NaN": (THREE, {"t_query": [4, NAN]}, ValueError, r"t_query must be finite, got nan at \(1,\)"),
    "t_query inf": (BATCH, {"t_query": [[4], [INF]]}, ValueError, r"t_query must be finite, got inf at \(1, 0\)"),
    "t_query text": (THREE, {"t_query": ["4"]}, TypeError, "t_query must be numbers, got str"),
    "t_query bool": (THREE, {"t_query": np.array([True])}, TypeError, "t_query must be real numbers"),
    "ragged t_query": (BATCH, {"t_query": [[4, 5], [4]]}, ValueError, "t_query must have as many times for each curve"),
    "t_query of a batch": (THREE, {"t_query": [[4]]}, ValueError, r"a number or \(Q,\), got shape \(1, 1\)"),
    "t_query of more": (BATCH, {"t_query": np.ones((3, 1))}, ValueError, r"\(Q,\) or \(2, Q\), got shape \(3, 1\)"),
    "3-D t_query": (BATCH, {"t_query": np.ones((2, 1, 1))}, ValueError, r"got shape \(2, 1, 1\)"),
}


@pytest.mark.parametrize(("y", "arguments", "error", "message"), QUERY_MISTAKES.values(), ids=QUERY_MISTAKES.keys())
def test_a_mistaken_question_is_refused(y, arguments, error, message):
    with pytest.raises(error, match=message):
        ask(read(y), **arguments)


def test_a_horizon_needs_a_known_spacing():
    cases = [([0.5], [10]), ([NAN, 0.5], [1, 2]), ([[1], [1]], [[1], [2]]), ([1, 2], [-1e308, 1e308])]
    for context in (read(y, t=t) for y, t in cases):
        with pytest.raises(ValueError, match=r"horizon needs two observed points of a curve, .* give t_query instead"):
            ask(context, horizon=1.5e308)


def test_a_horizon_makes_queries_up_to_a_limit():
    assert ask(read(THREE), horizon=MAX_QUERIES + 3).shape == (1, MAX_QUERIES)
    with pytest.raises(ValueError, match="more than 100,000"):
        ask(read(THREE), horizon=MAX_QUERIES + 4)


# -- kinds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_the_true_answers_on_a_known_curve(xp):
    y, signal = xp.asarray([[1.0, 4.0, 2.0, 3.0, 0.0]]), xp.asarray([[1.0, 2.0, 2.5, 2.8, 3.0]])
    after, at = xp.asarray([[1, 2, 2, 0]]), xp.asarray([[1, 4, 2, 0]])
    for name, wanted in {"value": [4, 0, 2, 1], "signal": [2, 3, 2.5, 1], "best": [4, 3, 2, 1]}.items():
        assert KIND[name].answer(y, signal, after, at, xp).tolist() == [wanted], name


def test_the_shares_of_the_kinds_are_a_whole():
    assert sum(kind.share for kind in KIND.values()) == pytest.approx(1)


def test_a_checkpoint_of_before_a_kind_was_added_refuses_that_kind_alone():
    checkpoint = random_pfn().checkpoint
    weights = {**checkpoint.weights, "kinds.weight": checkpoint.weights["kinds.weight"][:2]}
    older = PFN(replace(checkpoint, weights=weights))
    asked = {kind: random_pfn().predict(THREE, 10, kind=kind).median() for kind in ("value", "signal")}
    for kind, median in asked.items():
        np.testing.assert_array_equal(older.predict(THREE, 10, kind=kind).median(), median)
    with pytest.raises(ValueError, match="this checkpoint knows the kinds value, signal, got kind='best'"):
        older.predict(THREE, 10, kind="best")
    more = np.concatenate([checkpoint.weights["kinds.weight"]] * 2)
    with pytest.raises(ValueError, match=r"expected 'kinds\.weight' of"):
        PFN(replace(checkpoint, weights={**checkpoint.weights, "kinds.weight": more}))
