"""What users pass: every accepted form gives the same context, every mistake is named with its place."""

import warnings
from collections import deque
from dataclasses import FrozenInstanceError

import hypothesis.extra.numpy as arrays
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcpfn.context import Context, read_context, thin
from lcpfn.metric import Metric

FREE = Metric()
ACCURACY = Metric(bounds=(0, 1))
NAN, INF = float("nan"), float("inf")


def read(y, t=None, metric=FREE):
    return read_context(y, t=t, metric=metric)


def same(a, b):
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("t", "y", "count")]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs) and (a.single, a.step) == (b.single, b.step)


# ------------------------------------------------------------------------------------------------- forms that are read


THREE = [0.25, 0.5, 0.75]  # exact in every type below
FORMS = {
    "list": THREE,
    "tuple": tuple(THREE),
    "deque": deque(THREE),
    "float64": np.array(THREE),
    "float32": np.array(THREE, np.float32),
    "float16": np.array(THREE, np.float16),
    "big endian": np.array(THREE, ">f8"),
    "strided": np.array([0.25, 9, 0.5, 9, 0.75, 9])[::2],
    "NumPy scalars": [np.float32(0.25), np.float64(0.5), np.float16(0.75)],
    "torch": torch.tensor(THREE),
    "torch with gradient": torch.tensor(THREE, requires_grad=True),
    "torch bfloat16": torch.tensor(THREE, dtype=torch.bfloat16),
    "0-d tensors": [torch.tensor(0.25, requires_grad=True), 0.5, torch.tensor(0.75)],
    "jax": jnp.array(THREE),
    "jax bfloat16": jnp.array(THREE, jnp.bfloat16),
    "0-d jax arrays": [jnp.array(value) for value in THREE],
    "Series": pd.Series(THREE, index=[7, 8, 9]),
    "nullable Series": pd.Series(THREE, dtype="Float64"),
    "masked": np.ma.masked_array(THREE),
}


@pytest.mark.parametrize("y", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_one_curve_gives_the_same_context(y):
    context = read(y)
    assert same(context, Context(np.array([[1.0, 2, 3]]), np.array([THREE]), np.array([3]), single=True))
    assert (context.t.dtype, context.y.dtype, context.count.dtype.kind) == (np.float64, np.float64, "i")


@pytest.mark.gpu
def test_a_tensor_on_an_accelerator_is_fetched():
    assert read(torch.tensor(THREE, device="cuda", requires_grad=True)).y.tolist() == [THREE]


@pytest.mark.parametrize("y", [[3, 1, 2], np.array([3, 1, 2], np.uint8), torch.tensor([3, 1, 2]), pd.Series([3, 1, 2])])
def test_whole_numbers_are_values(y):
    assert read(y).y.tolist() == [[3.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    "y",
    [
        [0.25, NAN, 0.75],
        [0.25, None, 0.75],
        [torch.tensor(0.25), None, 0.75],
        np.ma.masked_array([0.25, INF, 0.75], mask=[False, True, False]),
        pd.Series([0.25, None, 0.75], dtype="Float64"),
        pd.Series([0.25, None, 0.75], dtype="double[pyarrow]"),
    ],
)
def test_a_missing_point_is_dropped_with_its_time(y):
    context = read(y)
    assert (context.t.tolist(), context.y.tolist(), context.count.tolist()) == ([[1, 3]], [[0.25, 0.75]], [2])


BATCH = np.array([[0.25, 0.5, 0.75], [1, 0.5, NAN]])
BATCHES = {
    "array": BATCH,
    "ragged list": [[0.25, 0.5, 0.75], [1, 0.5]],
    "list with None": [[0.25, 0.5, 0.75], [1, 0.5, None]],
    "list of mixed arrays": [torch.tensor([0.25, 0.5, 0.75]), jnp.array([1, 0.5])],
    "array of a longer batch": np.pad(BATCH, ((0, 0), (0, 4)), constant_values=NAN),
    "torch": torch.tensor(BATCH),
    "DataFrame": pd.DataFrame(BATCH),
}


@pytest.mark.parametrize("y", BATCHES.values(), ids=BATCHES.keys())
def test_every_form_of_a_batch_gives_the_same_context(y):
    times = np.array([[1, 2, 3], [1, 2, NAN]])
    assert same(read(y), Context(times, BATCH, np.array([3, 2]), single=False))


def test_two_dimensions_with_one_row_is_a_batch_of_one():
    assert [read(y).single for y in ([THREE], np.array([THREE]), THREE)] == [False, False, True]


@pytest.mark.parametrize("y", [[], np.array([]), torch.tensor([]), pd.Series([], dtype=float)])
def test_an_empty_curve_is_a_context_without_points(y):
    context = read(y)
    assert (context.t.shape, context.count.tolist(), context.last.tolist(), context.single) == (
        (1, 0),
        [0],
        [-INF],
        True,
    )


def test_a_curve_of_nothing_but_nan_warns_and_counts_as_empty():
    with pytest.warns(UserWarning, match="prior predictive") as caught:
        context = read_context([NAN, NAN], metric=FREE)
    assert same(context, read([]))
    here = test_a_curve_of_nothing_but_nan_warns_and_counts_as_empty.__code__
    assert caught[0].filename == here.co_filename
    assert caught[0].lineno == here.co_firstlineno + 2  # the line that called it, as a user's calls `predict`


def test_unobserved_curves_in_a_batch_are_nothing_special():
    with warnings.catch_warnings(action="error"):
        assert read([[0.5], [NAN], []]).count.tolist() == [1, 0, 0]
        assert read(np.full((2, 3), NAN)).t.shape == (2, 0)


def test_one_point_and_a_constant_curve_are_read():
    assert read([0.5]).y.tolist() == [[0.5]]
    assert read([0.5] * 4).y.tolist() == [[0.5] * 4]


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e300, 5e-324])
def test_any_scale_is_read_without_a_change(scale):
    assert read([scale, -scale]).y.tolist() == [[scale, -scale]]


def test_ten_thousand_points_are_read():
    y = np.random.default_rng(0).normal(size=10_000)
    context = read(y.tolist())
    assert np.array_equal(context.y[0], y)
    assert context.last[0] == 10_000


def test_close_values_keep_their_differences():
    y = 1e8 + np.arange(4) * 2.0**-20
    assert np.array_equal(np.diff(read(y).y[0]), np.full(3, 2.0**-20))


def test_times_are_shared_or_each_curve_has_its_own():
    y = [[0.1, 0.2], [0.3, 0.4]]
    assert read(y, t=[10, 20]).t.tolist() == [[10, 20], [10, 20]]
    assert read(y, t=[[10, 20], [5, 1]]).t.tolist() == [[10, 20], [1, 5]]
    assert read(y, t=[[10, 20], [5, 1]]).y.tolist() == [[0.1, 0.2], [0.4, 0.3]]
    assert read([[0.1, 0.2], [0.3]], t=[[10, 20], [5]]).last.tolist() == [20, 5]
    assert read([0.1, 0.2], t=pd.Series([0, -3])).t.tolist() == [[-3, 0]]


def test_the_time_of_a_missing_point_may_be_anything():
    assert read([0.1, NAN, 0.3, NAN], t=[1, NAN, 3, 3]).t.tolist() == [[1, 3]]


def test_a_context_is_immutable_and_leaves_the_callers_arrays_alone():
    y = np.array(THREE)
    context = read(y, t=(t := np.array([1.0, 2, 3])))
    y[0] = t[0] = 0.5
    assert (context.y[0, 0], context.t[0, 0]) == (0.25, 1.0)
    Context(t[None], y[None], (count := np.array([3])), single=True)
    y[0] = t[0] = count[0] = 0
    for values in (context.t, context.y, context.count):
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0
    with pytest.raises(FrozenInstanceError):
        context.single = False


# ---------------------------------------------------------------------------------------------------------- mistakes

MISTAKES = {
    "text": ("0.5", None, TypeError, "y must be numbers, got str '0.5'"),
    "list of text": (["0.5"], None, TypeError, "y must be numbers, got str '0.5'"),
    "array of text": (np.array(["0.5"]), None, TypeError, "y must be real numbers, got an array of type <U3"),
    "None": (None, None, TypeError, "y must be numbers, got NoneType"),
    "dict": ({1: 0.5}, None, TypeError, "y must be numbers, got dict"),
    "generator": ((y for y in THREE), None, TypeError, "y must be numbers, got generator"),
    "bool": ([0.5, True], None, TypeError, "y must be numbers, got bool 'True'"),
    "bools": (np.array([True]), None, TypeError, "got an array of type bool"),
    "NumPy bool": ([0.5, np.True_], None, TypeError, "got an array of type bool"),
    "torch bools": (torch.tensor([True]), None, TypeError, "got an array of type bool"),
    "complex": ([0.5j], None, TypeError, "y must be numbers, got complex"),
    "complexes": (np.array([0.5j]), None, TypeError, "got an array of type complex128"),
    "objects": (
        np.array([0.5, None]),
        None,
        TypeError,
        r"got an array of type object; convert it with .astype\(float\)",
    ),
    "dates": (np.array(["2020-01-01"], "M8[D]"), None, TypeError, "got an array of type datetime64"),
    "number": (0.5, None, ValueError, "got shape \\(\\); one point is a list of one number"),
    "NumPy number": (np.float64(0.5), None, ValueError, "got shape \\(\\)"),
    "0-d tensor": (torch.tensor(0.5), None, ValueError, "got shape \\(\\)"),
    "3-D": (np.zeros((2, 2, 2)), None, ValueError, "got shape \\(2, 2, 2\\)"),
    "nested list": ([[[0.5]]], None, ValueError, "y as a list must hold numbers, or 1-D curves"),
    "list of matrices": ([np.zeros((2, 2))], None, ValueError, "y as a list must hold numbers, or 1-D curves"),
    "mixed list": ([0.5, [0.5, 0.6]], None, ValueError, "not a mix"),
    "no curves": (np.empty((0, 5)), None, ValueError, "at least one curve, got shape \\(0, 5\\)"),
    "inf": ([0.5, INF, NAN], None, ValueError, "y must be finite, got inf at point 1; a run that diverged is over"),
    "-inf in a batch": ([[1, 2], [3, -INF]], None, ValueError, "got -inf at curve 1, point 1"),
    "huge int": ([10**400], None, ValueError, "y must be finite, got a whole number too large"),
    "repeated t": ([1, 2, 3], [5, 1, 5], ValueError, "t must not repeat within a curve, got 5 at points 0 and 2"),
    "repeated t, sorted": ([1, 2], [5, 5], ValueError, "got 5 at points 0 and 1; average"),
    "repeated t in a batch": ([[1, 2], [3, 4]], [[1, 2], [0.5, 0.5]], ValueError, "got 0.5 at curve 1, points 0 and 1"),
    "t too short": ([1, 2, 3], [1, 2], ValueError, "one time for each point of y, got 2 times for 3 points"),
    "t too long": (np.ones((2, 2)), [1, 2, 3], ValueError, "got 3 times for 2 points at curve 0"),
    "shared t of ragged": ([[1, 2], [3]], [1, 2], ValueError, "got 2 times for 1 points at curve 1"),
    "ragged t": ([[1, 2], [3, 4]], [[1, 2], [1]], ValueError, "got 1 times for 2 points at curve 1"),
    "t of fewer curves": (np.ones((3, 2)), np.ones((2, 2)), ValueError, "got 2 rows for 3 curves"),
    "t of one row": ([1, 2], [[1, 2]], ValueError, "got 1 rows for one 1-D curve"),
    "t is a number": ([1], 1, ValueError, "t must be one curve \\(T,\\) or several"),
    "t NaN": ([1, 2], [1, NAN], ValueError, "t must be finite, got nan at point 1"),
    "t inf": ([[1], [2]], [[INF], [2]], ValueError, "t must be finite, got inf at curve 0, point 0"),
    "t None": ([1, 2], [None, 1], ValueError, "t must be finite, got nan at point 0"),
    "t text": ([1], ["1"], TypeError, "t must be numbers, got str"),
    "t bool": ([1], [True], TypeError, "t must be numbers, got bool"),
}


@pytest.mark.parametrize(("y", "t", "error", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_refused_with_its_place(y, t, error, message):
    with pytest.raises(error, match=message):
        read(y, t=t)


@pytest.mark.parametrize(
    ("y", "metric", "message"),
    [
        (
            [10, 55.5],
            ACCURACY,
            r"y must lie in \[0, 1\], got 10 at point 0; divide percentages by 100, or .*bounds=\(0, 100",
        ),
        ([0, NAN, 100], ACCURACY, "got 100 at point 2; divide percentages by 100"),
        ([0.5, 101], ACCURACY, "got 101 at point 1; declare the true bounds"),
        ([-0.5, 5], ACCURACY, "got -0.5 at point 0; declare the true bounds"),
        ([[0.5], [1.00000012]], ACCURACY, "got 1.00000012 at curve 1, point 0"),
        ([1, -1e-9], Metric("min", bounds=(0, None)), r"y must lie in \[0, inf\], got -1e-09 at point 1"),
        ([0.5], Metric(bounds=(None, 0)), r"y must lie in \[-inf, 0\], got 0.5"),
        ([50, 101], Metric(bounds=(0, 100)), r"y must lie in \[0, 100\], got 101 at point 1; declare"),
    ],
)
def test_values_past_the_bounds_are_refused_with_advice(y, metric, message):
    with pytest.raises(ValueError, match=message):
        read(y, metric=metric)


def test_values_on_the_bounds_pass_and_so_does_overshoot():
    assert read([0, 1], metric=ACCURACY).count.tolist() == [2]
    assert read([-0.1, 1.1], metric=Metric(bounds=(0, 1), overshoot=True)).y.tolist() == [[-0.1, 1.1]]
    assert read([1e26], metric=Metric("min", bounds=(0, None))).y.tolist() == [[1e26]]


# ---------------------------------------------------------------------------------------------------------- properties

values_ = st.floats(allow_nan=False, allow_infinity=False)
curves = st.lists(st.tuples(values_, values_), max_size=30, unique_by=lambda point: point[0])  # (t, y)


def columns(points):
    return np.array(points, dtype=float).reshape(-1, 2).T


@given(curves)
def test_the_result_is_the_points_sorted_by_time(points):
    t, y = columns(points)
    context = read(y, t=t)
    assert list(zip(context.t[0].tolist(), context.y[0].tolist())) == sorted(zip(t.tolist(), y.tolist()))


@given(curves, st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(points, random):
    shuffled = random.sample(points, len(points))
    (t, y), (t_shuffled, y_shuffled) = columns(points), columns(shuffled)
    assert same(read(y, t=t), read(y_shuffled, t=t_shuffled))


@given(curves.filter(len), st.lists(st.tuples(st.integers(0, 30), st.floats()), max_size=10))
def test_inserting_missing_points_changes_nothing(points, holes):
    t, y = columns(points)
    places = [min(place, len(t)) for place, _ in holes]
    with_holes = read(np.insert(y, places, NAN), t=np.insert(t, places, [time for _, time in holes]))
    assert same(with_holes, read(y, t=t))


@given(arrays.arrays(float, st.tuples(st.integers(1, 5), st.integers(0, 8)), elements=st.one_of(values_, st.just(NAN))))
def test_a_curve_is_read_alike_alone_and_in_a_batch(y):
    batch = read(y)
    for i, row in enumerate(y):
        alone, count = read([row]), batch.count[i]
        assert np.array_equal(batch.t[i, :count], alone.t[0])
        assert np.array_equal(batch.y[i, :count], alone.y[0])
        assert np.isnan(batch.y[i, count:]).all()
        assert batch.last[i] == alone.last[0]


@given(arrays.arrays(float, st.integers(0, 60), elements=values_), st.integers(2, 60))
def test_thinning_keeps_the_ends_and_the_order(y, limit):
    context = thin(read(y), limit)
    n, kept = len(y), context.t[0].astype(int) - 1
    assert context.count[0] == len(kept) == min(n, limit)
    assert np.array_equal(context.y[0], y[kept])
    assert n == 0 or (kept[0], kept[-1]) == (0, n - 1)
    gaps = np.diff(kept)
    assert len(gaps) == 0 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)  # even by rank


# ------------------------------------------------------------------------------------------------------------ thinning


def test_short_curves_of_a_batch_are_not_thinned():
    context = read([np.arange(10.0), np.arange(4.0), [], np.arange(3.0)])
    thinned = thin(context, 4)
    assert thinned.t[:, :4].tolist()[:2] == [[1, 4, 7, 10], [1, 2, 3, 4]]
    assert thinned.count.tolist() == [4, 4, 0, 3]
    assert np.isnan(thinned.t[2:]).sum() == 5
    assert np.array_equal(np.isnan(thinned.t), np.isnan(thinned.y))
    assert thinned.last.tolist() == context.last.tolist()
    assert thin(context, 10) is context


def test_thinning_needs_room_for_both_ends():
    with pytest.raises(ValueError, match="limit must be at least 2, to hold the first and the last point, got 1"):
        thin(read(THREE), 1)
