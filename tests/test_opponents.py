"""Opponents of the contest on real curves: they recover what they assume, and nothing that curves do breaks them."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import networks
import numpy as np
import pytest
from numpy.testing import assert_allclose
from statistical import Z

from lcpfn.belief import Belief
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.coordinates import Coordinates

ROOT = Path(__file__).resolve().parent.parent
SLOW = {"domhan"}  # a minute of compilation
FITS = ("pow3", "pow4", "exp4", "mmf4", "bnsl")
DRAWN = ("linear-log-t", *FITS, "gp", "ets")  # scale and shift with the values
NAMES = ("last-value", "conformal", *DRAWN, "ours:paper-small", "lc-pfn")
UNIT = Metric("max", bounds=(0, 1))
FREE = Metric("max")
LOSS = Metric("min", bounds=(0, None))


@dataclass(frozen=True)
class Contestants:
    """All methods that run here, and why the others do not."""

    module: ModuleType
    methods: dict[str, Any]
    reasons: dict[str, str]

    def __getitem__(self, name: str) -> Any:
        if name in self.reasons:
            pytest.skip(self.reasons[name])
        return self.methods[name]


@pytest.fixture(scope="module")
def opponents() -> Iterator[Contestants]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        module = importlib.import_module("opponents.registry")
        methods, reasons = {}, {}
        for name in NAMES:
            try:
                methods[name] = module.make(name)
            except module.Unavailable as reason:
                reasons[name] = str(reason)
        made = importlib.import_module("opponents.networks")
        if "lc-pfn" in reasons and made.DEFAULT_PUBLISHED.exists():  # poor, but it must not break either
            methods["lc-pfn"] = made.original(made.DEFAULT_PUBLISHED)
            del reasons["lc-pfn"]
        yield Contestants(module, methods, reasons)


def ask(method: Any, y: Any, t: Any, later: Any, metric: Metric, kind: str = "value") -> Belief:
    """The belief of a method about one curve; the last asked time is the run's horizon."""
    y, t, later = (np.asarray(part, dtype=np.float64) for part in (y, t, later))
    (belief,) = method.predict([y], [later], t=[t], kind=kind, metric=metric, horizon=[float(later[-1])])
    return belief


def power_law(seed: int, size: int = 100, noise: float = 0.002, alpha: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(1.0, size + 1)
    return t, 0.9 - 0.6 * t**-alpha + noise * np.random.default_rng(seed).standard_normal(size)


def curves_of(rows: list[np.ndarray], metric: Metric) -> list[Any]:
    """Each as the only curve of a task."""
    made = importlib.import_module("data.curve").RealCurve
    return [made("here", str(i), "0", "y", metric, np.arange(1.0, len(y) + 1), y) for i, y in enumerate(rows)]


def test_the_table_names_every_method_and_says_which_are_cheap(opponents: Contestants) -> None:
    assert set(opponents.module.OPPONENTS) == {*NAMES, *SLOW}
    assert set(opponents.module.CHEAP) == set(NAMES)
    names = [method.name for method in opponents.methods.values()]
    assert len(set(names)) == len(names)
    with pytest.raises(KeyError, match="there is no method 'prophet': there are last-value"):
        opponents.module.make("prophet")


def test_a_method_without_its_checkpoint_says_so(opponents: Contestants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCPFN_PUBLISHED", "nowhere.safetensors")
    with pytest.raises(opponents.module.Unavailable, match="train one"):
        opponents.module.make("lc-pfn")
    with pytest.raises(opponents.module.Unavailable, match="no checkpoint 'nothing'"):
        opponents.module.make("ours:nothing")


def test_a_network_that_failed_to_learn_does_not_stand_for_lc_pfn(
    opponents: Contestants, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = importlib.import_module("opponents.networks")
    if not made.DEFAULT_PUBLISHED.exists():
        pytest.skip("there is no checkpoint of the original layout")
    monkeypatch.setattr(made, "LEAST_SCORE", 10.0)
    with pytest.raises(opponents.module.Unavailable, match="train it anew"):
        opponents.module.make("lc-pfn")


@pytest.mark.parametrize("name", ["pow3", "pow4", "bnsl"])
def test_fits_find_the_power_law_that_made_the_curve(opponents: Contestants, name: str) -> None:
    t, y = power_law(0)
    belief = ask(opponents[name], y[:40], t[:40], [60, 100], UNIT)
    assert_allclose(belief.median(), 0.9 - 0.6 * np.array([60, 100.0]) ** -0.5, atol=0.005)


@pytest.mark.parametrize(("name", "shape"), [("exp4", np.exp(-((np.arange(1, 101) / 20) ** 0.8))),
                                             ("mmf4", 1 / (1 + (np.arange(1, 101) / 20) ** 1.5))])  # fmt: skip
def test_fits_find_their_own_formula(opponents: Contestants, name: str, shape: np.ndarray) -> None:
    noise = 0.002 * np.random.default_rng(1).standard_normal(100)
    y = 0.9 - 0.6 * shape + noise
    belief = ask(opponents[name], y[:40], np.arange(1, 41), [100], UNIT)
    assert belief.median()[0] == pytest.approx(0.9 - 0.6 * shape[-1], abs=0.03)


@pytest.mark.parametrize("name", [*DRAWN, "last-value", "conformal", "ours:paper-small"])
def test_a_clean_curve_ends_within_a_wide_interval(opponents: Contestants, name: str) -> None:
    t, y = power_law(2)
    low, high = ask(opponents[name], y[:40], t[:40], [50, 100], UNIT).interval(0.99)[-1]
    assert low < y[-1] < high
    assert high - low < 1


def nasty() -> dict[str, tuple[list[float] | np.ndarray, list[float] | np.ndarray, Metric]]:
    rng = np.random.default_rng(3)
    steps = 16 * 2 ** (np.arange(12) / 2)
    return {
        "two points": ([0.2, 0.4], [1, 2], UNIT),
        "two points far apart": ([3.0, 2.0], [0, 200], LOSS),
        "constant": ([0.1] * 12, range(1, 13), UNIT),
        "constant zero": ([0.0] * 5, range(5), FREE),
        "at its bound": ([1.0, 1.0, 1.0], [1, 2, 3], UNIT),
        "loss of zero": ([0.5, 0.1, 0.0, 0.0], [1, 2, 3, 4], LOSS),
        "outlier first": ([1e26, *(0.69 + 1e-4 * rng.standard_normal(20))], range(21), LOSS),
        "outlier last": ([*(0.69 + 1e-4 * rng.standard_normal(20)), 1e26], range(21), LOSS),
        "huge": (1e30 * rng.random(15), range(1, 16), FREE),
        "tiny": (1e-30 * rng.random(15), range(1, 16), FREE),
        "quantised": (np.round(rng.random(20) * 5) / 10, range(1, 21), UNIT),
        "percent": (100 * rng.random(20), steps[0] * np.arange(1, 21), Metric("max", bounds=(0, 100))),
        "log grid": (rng.random(12), steps, Metric("min", bounds=(0, 1))),
        "starts late": (rng.normal(size=30), np.arange(2170, 2200), FREE),
        "starts before zero": (rng.normal(size=9), np.arange(-4, 5), FREE),
        "3000 points": (np.cumsum(rng.normal(size=3000)), np.arange(3000), FREE),
        "overshoot": ([-0.1, 0.5, 1.1], [1, 2, 3], Metric("max", bounds=(0, 1), overshoot=True)),
        "only a lower bound": (1 + rng.random(6), range(1, 7), Metric("max", bounds=(1, None))),
        "explodes": (np.exp(np.arange(20.0) * 3), range(20), LOSS),
    }


@pytest.mark.parametrize("case", nasty())
@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_curves_do_breaks_a_method(opponents: Contestants, name: str, case: str) -> None:
    y, t, metric = nasty()[case]
    t = np.asarray(t, dtype=np.float64)
    later = t[-1] + (t[-1] - t[0]) * np.array([0.03, 0.5, 4.0])
    for kind in ("value", "best"):
        belief = ask(opponents[name], y, t, later, metric, kind)
        assert belief.shape == (3,) and belief.kind == kind and belief.metric == metric
        assert_allclose(belief.t, later)
        x = np.full(3, float(np.asarray(y)[-1]))
        answers = (belief.mean(), belief.cdf(x), belief.prob_better(x), belief.crps(x))
        for answer in answers:
            assert np.isfinite(answer).all()
        assert not np.isnan(belief.log_prob(x)).any()
        ends = belief.quantile([0.05, 0.5, 0.95])
        assert np.isfinite(ends).all() and (np.diff(ends) >= 0).all()
        if not metric.overshoot:
            low, high = (-np.inf if metric.bounds[0] is None else metric.bounds[0],
                         np.inf if metric.bounds[1] is None else metric.bounds[1])  # fmt: skip
            assert (ends >= low).all() and (ends <= high).all()


@pytest.mark.parametrize("kind", ["value", "best"])
@pytest.mark.parametrize("name", NAMES)
def test_the_direction_is_a_mirror(opponents: Contestants, name: str, kind: str) -> None:
    t, y = power_law(4, noise=0.02)
    up = ask(opponents[name], y[:20], t[:20], [30, 100], Metric("max", bounds=(0, 1)), kind)
    down = ask(opponents[name], -y[:20], t[:20], [30, 100], Metric("min", bounds=(-1, 0)), kind)
    assert_allclose(down.quantile([0.1, 0.5, 0.9]), -up.quantile([0.9, 0.5, 0.1]), rtol=1e-6)
    assert_allclose(down.prob_better(-y[20]), up.prob_better(y[20]), rtol=1e-6)


@pytest.mark.parametrize("name", ["last-value", "conformal", *DRAWN])
def test_the_unit_of_the_values_does_not_matter(opponents: Contestants, name: str) -> None:
    t, y = power_law(5, noise=0.02)
    one, other = (ask(opponents[name], a * y[:20] + b, t[:20], [30, 100], FREE) for a, b in ((1, 0), (1024.0, 64.0)))
    assert_allclose(other.quantile([0.1, 0.5, 0.9]), 1024 * one.quantile([0.1, 0.5, 0.9]) + 64, rtol=1e-3)


@pytest.mark.parametrize("name", [*FITS, "gp", "linear-log-t"])
def test_the_best_only_grows_and_beats_the_value(opponents: Contestants, name: str) -> None:
    t, y = power_law(6, noise=0.05)
    later = [22, 30, 60, 100]
    best, value = (ask(opponents[name], y[:20], t[:20], later, FREE, kind) for kind in ("best", "value"))
    assert (np.diff(best.quantile([0.1, 0.5, 0.9]), axis=0) >= 0).all()
    assert (best.median() > value.median()).all()


@pytest.mark.parametrize("name", NAMES)
def test_curves_of_a_batch_do_not_see_each_other(opponents: Contestants, name: str) -> None:
    (t, y), (_, z) = power_law(7), power_law(8, noise=0.03)
    method = opponents[name]
    together = method.predict(
        [y[:30], z[:12]], [t[30:90], t[12:40]], t=[t[:30], t[:12]], kind="value", metric=UNIT, horizon=[100.0, 100.0]
    )
    (alone,) = method.predict([z[:12]], [t[12:40]], t=[t[:12]], kind="value", metric=UNIT, horizon=[100.0])
    assert [len(belief) for belief in together] == [60, 28]
    assert_allclose(together[1].median(), alone.median(), rtol=1e-5)


def covered(beliefs: list[Belief], truths: np.ndarray, factor: float) -> float:
    """Share of truths inside the central 80 % intervals of the last queries, stretched around their medians."""
    ends = np.array([belief.quantile([0.1, 0.5, 0.9])[-1] for belief in beliefs])
    nearer = np.where(truths < ends[:, 1], ends[:, 0], ends[:, 2])  # the end on the truth's side
    inside = np.abs(truths - ends[:, 1]) <= factor * np.abs(nearer - ends[:, 1])
    return float(inside.mean())


@pytest.mark.parametrize(("factor", "calibrated"), [(1.0, True), (0.6, False)])
@pytest.mark.parametrize("name", ["last-value", "conformal"])
def test_errors_of_other_tasks_are_those_of_this_one(
    opponents: Contestants, name: str, factor: float, calibrated: bool
) -> None:
    """White noise of any scale; 0.02 for what is pooled in a cell: cuts and times that differ a little."""
    rng = np.random.default_rng(9)
    size, points = 1_500, 40
    y = rng.lognormal(size=(2 * size, 1)) * rng.standard_normal((2 * size, points))
    method = opponents.module.make(name)
    method.prepare(curves_of(list(y[:size]), FREE))
    t = np.arange(1.0, points + 1)
    beliefs = method.predict(
        list(y[size:, :20]),
        [t[20:]] * size,
        t=[t[:20]] * size,
        kind="value",
        metric=FREE,
        horizon=[float(points)] * size,
    )
    error = Z * np.sqrt(0.8 * 0.2 * (1 / size + 1 / size)) + 0.02
    assert (abs(covered(beliefs, y[size:, -1], factor) - 0.8) < error) == calibrated


@pytest.mark.parametrize(("factor", "calibrated"), [(1.0, True), (0.6, False)])
def test_a_fit_is_calibrated_on_curves_of_its_own_formula(
    opponents: Contestants, factor: float, calibrated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bootstrap and noise alone; on top of them stands the allowance for curves that leave the formula."""
    monkeypatch.setattr(importlib.import_module("opponents.fits"), "MISFIT", 0.0)
    size = 400
    drawn = [power_law(100 + i, size=60, noise=0.02, alpha=0.3 + i / size) for i in range(size)]
    t = drawn[0][0]
    beliefs = opponents["pow3"].predict(
        [y[:30] for _, y in drawn],
        [t[-1:]] * size,
        t=[t[:30]] * size,
        kind="value",
        metric=FREE,
        horizon=[60.0] * size,
    )
    error = Z * np.sqrt(0.8 * 0.2 / size)
    truths = np.array([y[-1] for _, y in drawn])
    assert (abs(covered(beliefs, truths, factor) - 0.8) < error) == calibrated


@pytest.mark.parametrize("metric", [UNIT, LOSS, FREE, Metric("max", bounds=(1, None)), Metric("min", bounds=(0, 5))])
def test_the_normalisation_is_a_change_of_variables(opponents: Contestants, metric: Metric) -> None:
    normaliser = importlib.import_module("opponents.normalise").Normaliser
    y = np.array([2.0, 1.6, 1.4, 1.35]) if metric.direction == "min" else np.array([1.0, 1.4, 1.6, 1.7])
    y = y / 2 if metric == UNIT else y
    made = normaliser.of(metric.sign * y, metric)
    z = np.linspace(0.01, 0.99, 50)
    x = made.inverse(z)
    assert_allclose(made.forward(x), z, atol=1e-9)
    h = 1e-5 * (made.best - made.worst)
    assert_allclose(np.exp(made.log_slope(x)), (made.forward(x + h) - made.forward(x - h)) / (2 * h), rtol=1e-6)
    low, high = metric.upward_bounds
    for bound, end in ((low, 0.0), (high, 1.0)):
        assert not np.isfinite(bound) or made.forward(np.array(bound)) == pytest.approx(end, abs=1e-12)
    assert (np.diff(made.forward(metric.sign * y)) > 0).all(), "better is higher"

    belief = ask(opponents["ours:paper-small"], y, [1, 2, 3, 4], [20], metric)
    grid = belief.quantile(np.linspace(1e-4, 1 - 1e-4, 4001))[0][:, None]
    density, mass = np.exp(belief.log_prob(grid))[:, 0], belief.cdf(grid)[:, 0]
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=0.01)
    assert_allclose(mass, np.linspace(1e-4, 1 - 1e-4, 4001), atol=1e-6)
    assert np.trapezoid(mass * (1 - mass), grid[:, 0]) > 0
    brute = np.trapezoid((mass - (grid[:, 0] >= y[-1])) ** 2, grid[:, 0])
    assert belief.crps(y[-1])[0] == pytest.approx(brute, rel=0.02)


def test_the_published_network_answers_as_on_the_exam(opponents: Contestants) -> None:
    method = opponents["lc-pfn"]
    exam = importlib.import_module("prior.exam")
    made = importlib.import_module("opponents.networks")
    answers = exam.OriginalAnswers(Checkpoint.read(made.DEFAULT_PUBLISHED))
    t, y = power_law(10)
    expected = answers.predict(y[None, :20], t[None, 20:], kind="value", metric=exam.METRIC)[0]
    found = ask(method, y[:20], t[:20], t[20:], Metric("max", bounds=(0, 1), overshoot=True))
    # Cut to [0, 1], where next to all of its mass lies.
    assert_allclose(found.median(), expected.median(), atol=2e-3)


def test_a_checkpoint_for_any_metric_is_asked_as_it_stands_and_told_the_end(
    opponents: Contestants, tmp_path: Path
) -> None:
    free = networks.random_pfn(coordinates=Coordinates(times="relative", clock=None, bounded=False, ends=True))
    free.checkpoint.write(tmp_path / "free.safetensors")
    method = opponents.module.make(f"ours:{tmp_path / 'free.safetensors'}")
    t, y = power_law(3)
    metric, asked = Metric("min", bounds=(0, None)), np.array([30.0, 60.0])
    question = {"t": [10 * t[:20]] * 2, "kind": "value", "metric": metric, "horizon": [600.0, 900.0]}
    found = method.predict([7 * y[:20]] * 2, [10 * asked] * 2, **question)
    for one, end in zip(found, question["horizon"]):
        own = free.predict(7 * y[:20], 10 * asked, t=10 * t[:20], metric=metric, run_end=end)
        assert_allclose(one.median(), own.median(), rtol=1e-9)
    assert abs(found[0].median() - found[1].median()).max() > 1e-6, "the end is heard"


@pytest.mark.slow
def test_the_sampler_of_domhan(opponents: Contestants) -> None:
    method = opponents.module.make("domhan")
    t, y = power_law(11, noise=0.01)
    belief = ask(method, y[:30], t[:30], [60, 100], UNIT)
    assert belief.interval(0.99)[-1, 0] < y[-1] < belief.interval(0.99)[-1, 1]
    for y, t, metric in nasty().values():
        t = np.asarray(t, dtype=np.float64)
        for kind in ("value", "best"):
            later = t[-1] + (t[-1] - t[0]) * np.array([0.5, 4.0])
            assert np.isfinite(ask(method, y, t, later, metric, kind).quantile([0.05, 0.5, 0.95])).all()
