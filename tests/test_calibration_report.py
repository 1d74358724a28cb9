"""The whole of `calibrate`: right engines pass, wrong ones are found, either direction, gaps, errors that help."""

import json

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from statistical import RATE

import lcpfn
from lcpfn import Belief, Metric
from lcpfn.calibration import Report, calibrate, coverage_plot, ecdf_plot, reliability_plot
from lcpfn.distributions.mixture import Mixture
from lcpfn.priors import Paper

T = 12


class Levels:
    """Exact for curves that are a level N(0, 1) plus noise N(0, 1) at each time; too narrow by a factor, if given."""

    def __init__(self, direction: str = "max", *, factor: float = 1.0) -> None:
        self.metric, self.factor = Metric(direction), factor

    def predict(self, y, t_query, *, t, kind, metric) -> Belief:
        assert np.shape(t) == np.shape(y) and metric == self.metric
        known = ~np.isnan(y)
        count = known.sum(axis=1)[:, None]
        mean = np.where(known, y, 0).sum(axis=1)[:, None] / (count + 1)
        shape = np.shape(t_query)
        sd = np.broadcast_to(np.sqrt(1 / (count + 1) + (kind == "value")), shape)
        sign = 1 if metric.direction == "max" else -1
        law = Mixture(np.zeros((*shape, 1)), np.zeros((*shape, 1)), np.ones((*shape, 1)))
        location = np.broadcast_to(sign * mean, shape)
        return Belief(law, location, self.factor * sd, metric=metric, t=np.asarray(t_query), kind=kind)


def levels(n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    level = generator.normal(size=(n, 1))
    return level + generator.normal(size=(n, T)), np.repeat(level, T, axis=1)


def smallest_p(report: Report) -> float:
    return min(ecdf.p for told in report.kinds for ecdf in told.ecdf.values())


@pytest.mark.parametrize("direction", ["max", "min"])
def test_an_exact_engine_passes(direction: str) -> None:
    y, signal = levels(2_000)
    engine = Levels(direction)
    kinds = ("value", "signal")
    report = calibrate(engine, y, signal=signal, cuts=(2, 9), kinds=kinds, draws=19, generator=np.random.default_rng(1))
    value, alone = report.kinds
    assert smallest_p(report) > RATE and report.curves == 2_000
    assert value.joint is not None and value.joint.ecdf.p > RATE and alone.joint is None
    for told in report.kinds:
        assert told.reliability.p > RATE and told.reliability.count.sum() == 2_000
        assert told.pits.shape == told.times.shape == (2, 2_000, 5)
        for cut, times in zip(told.cuts, told.times):
            assert set(np.unique(times)) == set(range(cut + 1, T + 1))
    assert value.sharpness[9] == pytest.approx(2 * 1.6448536 * np.sqrt(1.1), rel=1e-6)
    assert value.log_score[9] == pytest.approx(-0.5 * np.log(2 * np.pi * np.e * 1.1), abs=0.1)
    assert (value.reliability.count > 50).all(), "rivals that stand close make events that are in doubt"


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_wrong_widths_are_found_everywhere(factor: float) -> None:
    y, _ = levels(4_000)
    report = calibrate(Levels(factor=factor), y, cuts=(2, 9), draws=9, generator=np.random.default_rng(1))
    (told,) = report.kinds
    assert all(ecdf.p < RATE for ecdf in told.ecdf.values())
    assert told.joint is not None and told.joint.ecdf.p < 1e-3
    assert told.reliability.p < 1e-3
    assert all((cell.mean > cell.level) == (factor > 1) and not cell.inside for cell in told.coverage)
    assert sum(told.checks()) == 0 and "!" in told.table()


def test_gaps_short_curves_and_other_times() -> None:
    y, signal = levels(600)
    y[::2, 6:] = np.nan  # half of the runs stopped
    y[1::2, [3, 8]] = np.nan
    y[5] = np.nan
    t = np.cumsum(np.random.default_rng(2).uniform(0.5, 2, y.shape), axis=1)
    options = {"t": t, "signal": signal, "generator": np.random.default_rng(1)}
    report = calibrate(Levels(), y, cuts=(4, 8), kinds=("value", "signal"), draws=9, **options)
    value, alone = report.kinds
    assert [value.ecdf[cut].n for cut in (4, 8)] == [599, 299] and smallest_p(report) > RATE
    assert np.isnan(value.times[:, 5]).all() and np.isnan(value.times[1, ::2]).all()
    asked = value.times[0, ~np.isnan(value.times[0]).any(axis=1)]
    rows = np.delete(np.arange(600), 5)
    assert all(np.isin(times, t[i, 4:][~np.isnan(y[i, 4:])]).all() for i, times in zip(rows, asked))
    assert alone.ecdf[4].n == 599


class Best:
    """Says N(0, 1) of anything, and keeps what was asked."""

    metric = Metric("min")

    def predict(self, y, t_query, *, t, kind, metric) -> Belief:
        self.asked = np.asarray(t_query)
        shape = self.asked.shape
        law = Mixture(np.zeros((*shape, 1)), np.zeros((*shape, 1)), np.ones((*shape, 1)))
        return Belief(law, np.zeros(shape), np.ones(shape), metric=metric, t=self.asked, kind=kind)


def test_the_best_is_that_of_the_metrics_direction_until_the_first_gap() -> None:
    y = np.random.default_rng(0).normal(size=(30, 8))
    y[3, 5] = y[4, 3] = np.nan  # the first gap after 3 points: at once for curve 4
    report = calibrate(Best(), y, cuts=(3,), kinds=("best",), asked=40, generator=np.random.default_rng(1))
    (told,) = report.kinds
    assert told.ecdf[3].n == 29 and set(told.times[0, 3]) == {4, 5} and np.isnan(told.times[0, 4]).all()
    for i in (0, 3, 29):
        wanted = [ndtr(y[i, 3 : int(t)].min()) for t in told.times[0, i]]
        np.testing.assert_allclose(told.pits[0, i], wanted)


@pytest.fixture(scope="module")
def paper() -> tuple[np.ndarray, np.ndarray]:
    curves = Paper().sample(150, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(1))
    return curves.y.numpy().astype(float), curves.signal.numpy().astype(float)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_shipped_checkpoint_is_calibrated_on_its_prior(paper, direction: str) -> None:
    """As accuracies, and the same curves as error rates, where lower is better."""
    y, signal = (part if direction == "max" else 1 - part for part in paper)
    metric = Metric(direction, bounds=(0, 1), overshoot=True)
    options = {"metric": metric, "generator": np.random.default_rng(1)}
    report = calibrate(lcpfn.load("paper"), y, signal=signal, kinds=("value", "signal", "best"), **options)
    assert smallest_p(report) > 1e-4
    assert all(told.reliability.p > 1e-4 for told in report.kinds)
    checks = [check for told in report.kinds for check in told.checks()]
    assert len(checks) == 3 * (20 + 4 + 1) and sum(checks) > 50
    assert report.table().count("points") == 0 and report.table().count("truth inside") == 3


def test_the_shipped_checkpoint_is_found_out_on_curves_of_another_law(paper) -> None:
    """Noise that is three times the prior's, from the cut-off on."""
    y, signal = paper
    y = np.where(np.arange(100) < 40, y, signal + 3 * (y - signal))
    metric = Metric(bounds=(0, 1), overshoot=True)
    (told,) = calibrate(lcpfn.load("paper"), y, cuts=(40,), metric=metric, generator=np.random.default_rng(1)).kinds
    assert told.ecdf[40].p < RATE and not any(cell.inside for cell in told.coverage)


def test_a_report_is_text_and_json_and_depends_on_the_generator_alone() -> None:
    y, signal = levels(60)

    def made() -> Report:
        kinds = ("value", "signal")
        return calibrate(
            Levels(), y, signal=signal, cuts=(3, 6), kinds=kinds, draws=4, generator=np.random.default_rng(0)
        )

    report = made()
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert document == made().document() and report.table() == made().table()
    assert document["format"] == 1 and document["curves"] == 60
    value = document["kinds"][0]
    assert [cell["cut"] for cell in value["coverage"][:3]] == [None, 3, 6]
    assert value["joint"]["draws"] == 4 and document["kinds"][1]["joint"] is None
    assert set(value["cuts"][0]) == {"cut", "curves", "inside", "p", "largest", "width", "log_score"}
    assert max(len(line) for line in report.table().splitlines()) <= 120
    assert "60 events" in report.table() and "TARP, 4 draws" in report.table()


def test_pictures_say_what_they_show() -> None:
    y, _ = levels(60)
    (told,) = calibrate(Levels(), y, cuts=(3, 6), generator=np.random.default_rng(0)).kinds
    axes = ecdf_plot({f"after {cut}": ecdf for cut, ecdf in told.ecdf.items()}, title="T")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["95 % band, 60 values", "after 3", "after 6"]
    assert axes.get_title(loc="left") == "T"
    line = axes.get_lines()[1].get_xydata()
    np.testing.assert_allclose(line[1:-1, 1], told.ecdf[3].difference)
    axes = coverage_plot(told)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3", "6"]
    shown = np.sort(np.concatenate([line.get_ydata() for line in axes.get_lines() if len(line.get_ydata()) == 2][1:]))
    wanted = [100 * (cell.mean - cell.level) for cell in told.coverage if cell.cut is not None]
    np.testing.assert_allclose(shown, np.sort(wanted))
    axes = reliability_plot(told.reliability, ax=ecdf_plot(told.ecdf[3]))
    numbers = [text.get_text() for text in axes.texts]
    assert {f"{n:.0f}" for n in told.reliability.count if n} <= set(numbers)
    with pytest.raises(ValueError, match="got none"):
        ecdf_plot({})


GOOD = np.random.default_rng(0).normal(size=(20, 8))


def changed(place: tuple[int, int], value: float) -> np.ndarray:
    y = GOOD.copy()
    y[place] = value
    return y


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": GOOD[:9]}, r"10 curves at least, got shape \(9, 8\)"),
        ({"y": GOOD[0]}, r"\(B, T\)"),
        ({"y": changed((4, 6), np.inf)}, "got inf at curve 4, point 6; leave diverged runs out"),
        ({"t": np.arange(7)}, r"t must be \(T,\) or \(B, T\)"),
        ({"t": [1, 2, 3, 4, 4, 5, 6, 7]}, "sort the points by time first"),
        ({"t": [1, 2, 3, 4, np.nan, 5, 6, 7]}, "known everywhere"),
        ({"signal": GOOD[:, :7]}, "signal must be of y's shape"),
        ({"kinds": ("signal",)}, 'kind "signal" needs the curves without noise'),
        ({"kinds": ("worst",)}, "kinds must be some of value, signal, best"),
        ({"kinds": "value"}, r'write kinds=\("value",\)'),
        ({"kinds": ()}, "kinds must be"),
        ({"cuts": ()}, "different numbers from 1 to 7"),
        ({"cuts": (3, 3)}, "different numbers"),
        ({"cuts": (8,)}, r"got \(8,\); y has 8 points"),
        ({"cuts": (0,)}, "from 1 to 7"),
        ({"asked": 0}, "asked must be at least 1"),
        ({"draws": -1}, "draws at least 0"),
        ({"levels": (95,)}, "divide percentages by 100"),
        ({"y": np.where(np.arange(20)[:, None] < 12, np.where(np.arange(8) < 4, GOOD, np.nan), GOOD)}, "got 8 at cut"),
    ],
)
def test_wrong_input_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(Levels(), **{"y": GOOD, "cuts": (5,), "generator": np.random.default_rng(0), **arguments})
