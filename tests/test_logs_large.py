"""Logs of millions of rows: no copy of a whole column, a curve of at most a million points, and the same forecast."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn import Curve, Metric, load, logs
from lcpfn.context import read as read_context
from lcpfn.context import thin
from lcpfn.logs import restarts, rows
from lcpfn.logs.columns import Builder, Column, Table
from lcpfn.logs.curves import curve
from lcpfn.logs.rows import Places, among, counts, thinned, where


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> int:
    """A million that is 500."""
    for module in ("rows", "columns"):
        monkeypatch.setattr(f"lcpfn.logs.{module}.MOST_POINTS", 500)
    return 500


def test_of_too_many_points_every_kth_is_kept_and_all_are_counted(tmp_path: Path, most: int) -> None:
    rng = np.random.default_rng(0)
    steps = [*range(1, 3001), *range(2001, 5001)]  # killed at 3000, resumed from 2000
    values = rng.random(len(steps)).round(6)
    values[4321] = np.nan
    lines = [f"{step},{value}\n" for step, value in zip(steps, values)]
    path = tmp_path / "log.csv"
    path.write_text("step,val_acc\n" + "".join(lines))
    found = logs.read(path, clock="step")
    kept = np.concatenate([values[:2000], values[3000:]])
    assert found.reading is not None
    assert (found.reading.read, found.reading.replaced, found.reading.not_finite) == (6000, 1000, 1)
    assert len(found) <= most + 3
    assert any(f"{len(found)} of 5000 points are kept" in notice for notice in found.reading.notices)
    assert (found.t[0], found.t[-1]) == (1, 5000)
    assert (np.diff(found.t) > 0).all() and np.diff(found.t).max() < 5000 / 248  # two of 99 * 5 intervals at most
    np.testing.assert_array_equal(found.y, kept[found.t.astype(int) - 1])
    assert (np.nanmin(found.y), np.nanmax(found.y)) == (np.nanmin(kept), np.nanmax(kept))


def test_counted_rows_keep_their_numbers(tmp_path: Path, most: int) -> None:
    path = tmp_path / "log.csv"
    path.write_text("val_acc\n" + "".join(f"{i / 4000}\n" for i in range(3999)) + "nan\n")
    found = logs.read(path)
    np.testing.assert_array_equal(found.t - 1, np.append(np.round(found.y[:-1] * 4000), 3999))
    assert (found.diverged_at, found.t[-2], len(found)) == (4000, 3999, 497)


def test_up_to_the_limit_nothing_is_left_out(tmp_path: Path, most: int) -> None:
    path = tmp_path / "log.csv"
    path.write_text("val_acc\n" + "".join(f"{i / 1000}\n" for i in range(most)))
    found = logs.read(path)
    assert len(found) == most and found.reading is not None and found.reading.notices == ()


@pytest.mark.parametrize("seed", range(20))
def test_the_ends_the_extremes_and_what_the_network_sees_are_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=rng.integers(401, 5000))
    y[rng.random(len(y)) < 0.3 * (seed % 2)] = rng.choice([np.nan, np.inf])
    check(y)


def check(y: np.ndarray) -> None:
    """What `thinned` promises, with a million that is 400."""
    finite = np.isfinite(y)
    if not finite.any():
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "MOST_POINTS", 400)
        places = np.arange(len(y))[thinned(y, finite)]
    assert len(places) <= 402 and (np.diff(places) > 0).all()
    assert (places[0], places[-1]) == (0, len(y) - 1)
    kept, every = y[places][finite[places]], y[finite]
    assert (kept.min(), kept.max(), kept[-1]) == (every.min(), every.max(), every[-1])
    if len(every) > 1:
        seen = [thin(read_context(values, metric=Metric(), default=Metric())[0], 100).y for values in (kept, every)]
        np.testing.assert_array_equal(*seen)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_restarts_are_the_same_in_pieces_as_row_by_row(times: list[int]) -> None:
    t = np.array(times, dtype=float)
    fast = restarts.latest(t)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restarts, "_attempts", lambda t: None)
        slow = restarts.latest(t)
    np.testing.assert_array_equal(fast.rows, slow.rows)
    assert (fast.replaced, fast.abandoned) == (slow.replaced, slow.abandoned)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), max_size=20), st.integers(2, 9))
def test_places_are_what_was_added(runs: list[tuple[int, int]], block: int) -> None:
    numbers = np.cumsum([step for step, count in runs for _ in range(count)]).astype(int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BLOCK", block)
        found = Places(numbers.tolist())
        assert found == Places(numbers.tolist()) and not found == Places([*numbers.tolist(), 1000])
    np.testing.assert_array_equal(found.array(), numbers)
    assert list(found) == numbers.tolist() == [found[i] for i in range(len(found))]
    with pytest.raises(IndexError):
        found[len(numbers)]


def test_lines_in_a_row_take_no_memory() -> None:
    tracemalloc.start()
    found = Places(range(1, 200_001))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 200_000 and peak < 200_000


@given(st.lists(st.booleans(), max_size=30), st.data())
def test_rows_of_a_mask(mask: list[bool], data: st.DataObject) -> None:
    found, every = where(np.array(mask, dtype=bool)), np.arange(len(mask))
    places = np.flatnonzero(mask)
    np.testing.assert_array_equal(every[found], places)
    kept = where(np.array(data.draw(st.lists(st.booleans(), min_size=len(places), max_size=len(places))), dtype=bool))
    np.testing.assert_array_equal(every[among(found, kept)], places[kept])


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "3"], "i"),
        (["1", "2", "3.5"], "f"),
        (["1", "2", ""], "f"),
        (["1", "2", "a"], "f"),
        (["1", "2", "nan"], "f"),
        (["1", "2", "inf"], "f"),
        (["1", "2", str(1 << 31)], "f"),
    ],
)
def test_whole_numbers_of_a_long_column_take_four_bytes(cells: list[str], kind: str, most: int) -> None:
    built, cell_by_cell = Builder(), Builder()
    for block in (["7"] * most, cells):
        built.extend(block)
        for cell in block:
            cell_by_cell.add(cell)
    for column in (built.column(), cell_by_cell.column()):
        assert column.values.dtype.kind == kind and column.values.itemsize == {"i": 4, "f": 8}[kind]
        assert [column.text(most + i) for i in (0, 1)] == ["1", "2"]
    short = Builder()
    short.extend(cells)
    assert short.column().values.dtype == np.float64
    np.testing.assert_array_equal(built.column().values[most:], short.column().values)


def test_steps_are_counted_block_by_block() -> None:
    t = np.arange(20_000.0)
    assert counts(t) and counts(t + 1) and not counts(t + 2) and not counts(t[:0])
    t[12_288] += 0.5  # at the seam of blocks of 4096
    assert not counts(t)


def test_no_column_is_copied_on_the_way_to_a_curve(most: int) -> None:
    n = 1_000_000
    none = np.zeros(0, dtype=np.int64)
    t, y = np.arange(0.0, 10.0 * n, 10.0), np.random.default_rng(0).random(n)
    table = Table("log", ("step", "val_acc"), (Column(t, none, none), Column(y, none, none)), range(n), restarts=True)
    tracemalloc.start()
    found = curve(table, time_column="step")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) < n / 1000 and peak < 12 * n  # masks of a byte for each row; two columns would be 16


def test_a_forecast_stays_where_it_is(most: int) -> None:
    n = 50_000
    t = np.arange(1.0, n + 1)
    noise = np.random.default_rng(1).normal(0, 0.003, n)
    y = 0.9 - 0.6 * (1 + t / 500) ** -0.6 + noise
    points = thinned(y, np.isfinite(y))
    whole, few = (
        Curve(t, y, metric=Metric("max", bounds=(0, 1))),
        Curve(t[points], y[points], metric=Metric("max", bounds=(0, 1))),
    )
    assert len(few) <= most + 4
    ahead = np.array([60_000.0, 80_000.0, 100_000.0])
    pfn = load()
    before, after = (pfn.predict(each, ahead).interval(0.9) for each in (whole, few))
    width = before[:, 1] - before[:, 0]
    assert (np.abs(after - before).max(axis=1) < 0.01 * width).all()
