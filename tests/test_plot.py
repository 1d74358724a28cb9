"""Pictures carry the right data."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric
from lcpfn.plot import BANDS, beside, fan

matplotlib = pytest.importorskip("matplotlib")

LAST, QUERIES = 8, 5


def belief_of(direction: str = "max", *, kind: str = "value", t: np.ndarray | None = None) -> Belief:
    """A belief that rises for "max" and falls for "min", about the times after LAST."""
    t = np.arange(LAST + 1.0, LAST + 1 + QUERIES) if t is None else t
    ones = np.ones((len(t), 2))
    law = Mixture(np.log(0.5) * ones, np.array([-1.0, 1.0]) * ones, ones)
    metric = Metric(direction, bounds=(None, None))
    return Belief(law, 0.5 + 0.01 * t, 0.01 * t, transform="sinh", metric=metric, kind=kind, t=t)


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines()}


def edges(axes: Any) -> dict[str, np.ndarray]:
    """Of each band by its label: times (Q,), lower and upper edge, as rows (3, Q)."""
    found = {}
    for band in axes.collections:
        x, y = band.get_paths()[0].vertices.T
        times = np.unique(x)
        ends = [(y[x == t].min(), y[x == t].max()) for t in times]
        found[band.get_label()] = np.stack([times, *np.transpose(ends)])
    return found


@pytest.mark.parametrize("direction", ["max", "min"])
def test_bands_and_median_are_the_quantiles_of_the_belief(direction: str) -> None:
    belief = belief_of(direction)
    axes = fan(belief)
    drawn = edges(axes)
    assert list(drawn) == ["50 % band", "80 % band", "95 % band"]
    for label, level in zip(drawn, (0.5, 0.8, 0.95)):
        np.testing.assert_allclose(drawn[label], [belief.t, *belief.interval(level).T], rtol=1e-12)
    np.testing.assert_array_equal(lines(axes)["forecast, median"].get_data(), [belief.t, belief.median()])


def test_levels_are_as_asked_and_nested() -> None:
    belief = belief_of()
    axes = fan(belief, levels=(0.9, 0.3))
    drawn = edges(axes)
    assert list(drawn) == ["30 % band", "90 % band"]
    np.testing.assert_allclose(drawn["90 % band"][1:], belief.interval(0.9).T, rtol=1e-12)
    narrow, wide = axes.collections
    assert narrow.get_zorder() > wide.get_zorder()


def test_queries_in_any_order_are_drawn_in_time_order() -> None:
    times = np.array([12.0, 9.0, 30.0])
    axes = fan(belief_of(t=times))
    expected = belief_of(t=np.sort(times))
    np.testing.assert_array_equal(lines(axes)["forecast, median"].get_data(), [expected.t, expected.median()])
    np.testing.assert_allclose(edges(axes)["80 % band"], [expected.t, *expected.interval(0.8).T], rtol=1e-12)


def test_one_query_is_wide_enough_to_be_seen() -> None:
    belief = belief_of(t=np.array([20.0]))
    times, lower, upper = edges(fan(belief))["95 % band"]
    assert times[0] < 20 < times[-1]
    np.testing.assert_allclose([lower, upper], np.repeat(belief.interval(0.95).T, 2, axis=1), rtol=1e-12)


def test_points_truth_incumbent_and_cut_off_stand_where_they_belong() -> None:
    t, y = np.arange(LAST + 1.0, 0, -1), np.linspace(0.6, 0.2, LAST + 1)
    y[0] = np.nan  # at the last time: nothing was measured there, so the cut-off is before
    truth = (np.arange(LAST + 1.0, LAST + 4), [0.6, np.nan, 0.7])
    axes = fan(belief_of(), observed=(t, y), truth=truth, incumbent=0.65, name="accuracy", clock="epoch", title="a run")
    drawn = lines(axes)
    np.testing.assert_array_equal(drawn["observed"].get_data(), [t[:0:-1], y[:0:-1]])
    np.testing.assert_array_equal(drawn["what happened"].get_data(), [[LAST + 1, LAST + 3], [0.6, 0.7]])
    assert set(drawn["incumbent, 0.65"].get_ydata()) == {0.65}
    assert set(drawn["cut-off"].get_xdata()) == {LAST}
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("epoch", "a run")
    assert axes.get_ylabel() == "accuracy  (higher is better)"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [
        *("observed", "what happened", "forecast, median", "50 % band", "80 % band", "95 % band", "incumbent, 0.65")
    ]


def test_what_is_not_given_is_not_drawn() -> None:
    axes = fan(belief_of())
    assert list(lines(axes)) == ["forecast, median"]
    assert list(lines(fan(belief_of(), observed=([], [])))) == ["observed", "forecast, median"]  # no cut-off before any


@pytest.mark.parametrize(
    ("kind", "label"),
    [("value", "forecast, median"), ("signal", "forecast without noise, median"), ("best", "best to come, median")],
)
def test_the_legend_says_what_was_asked(kind: str, label: str) -> None:
    assert label in lines(fan(belief_of(kind=kind)))


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_legend_keeps_clear_of_the_curve(direction: str) -> None:
    sign = 1 if direction == "max" else -1
    t = np.arange(1.0, LAST + 1)
    axes = fan(belief_of(direction), observed=(t, sign * (0.5 + 0.01 * t)))
    assert ("higher" if direction == "max" else "lower") in axes.get_ylabel()
    axes.figure.canvas.draw()
    box, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert ((box.y0 + box.y1) / 2 < (frame.y0 + frame.y1) / 2) == (direction == "max")


def test_bands_are_told_apart_in_grey() -> None:
    luminance = [np.dot(matplotlib.colors.to_rgb(color), [0.2126, 0.7152, 0.0722]) for color in (*BANDS, "white")]
    assert min(np.diff(luminance)) > 0.05


def test_axes_of_the_user_are_drawn_on() -> None:
    from matplotlib.figure import Figure

    own = Figure().subplots()
    assert fan(belief_of(), ax=own) is own


def test_a_picture_is_written(tmp_path: Path) -> None:
    path = tmp_path / "fan.png"
    fan(belief_of(), observed=([1, 2], [0.4, 0.5])).figure.savefig(path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (900, 500)
    assert len({tuple(color) for color in matplotlib.image.imread(path).reshape(-1, 4)}) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": ()}, "levels must be one to 3"),
        ({"levels": (0.1, 0.2, 0.3, 0.4)}, "levels must be one to 3"),
        ({"levels": (0.5, 95)}, "numbers between 0 and 1"),
        ({"observed": ([1, 2], [0.5])}, r"pair t \(T,\), y \(T,\) of one length, got \(2,\) and \(1,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fan(belief_of(), **arguments)


def test_several_curves_are_refused() -> None:
    ones = np.ones((2, 3, 1))
    law = Mixture(0 * ones, ones, ones)
    both = Belief(law, ones[..., 0], ones[..., 0], transform="identity", metric=Metric(), kind="value", t=ones[..., 0])
    with pytest.raises(ValueError, match=r"shape \(Q,\), got \(2, 3\); take one with belief\[i\]"):
        fan(both)
    assert len(edges(fan(both[0]))) == 3


def test_beliefs_stand_beside_each_other_on_one_axis() -> None:
    figure = beside({"ours": belief_of(), "theirs": belief_of()}, observed=([1, 2], [0.1, 0.4]), title="both")
    left, right = figure.axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("ours", "theirs")
    assert left.get_ylim() == right.get_ylim() and figure.get_suptitle() == "both"
    assert left.get_legend() is not None and right.get_legend() is None
    with pytest.raises(ValueError, match="one belief at least"):
        beside({})


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[plot\]'"):
        fan(belief_of())


def test_nothing_global_is_touched() -> None:
    code = """
import sys
import numpy as np
from lcpfn.plot import fan
assert "matplotlib" not in sys.modules
sys.path.insert(0, "tests")
from test_plot import belief_of
fan(belief_of())
assert "matplotlib.figure" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)
