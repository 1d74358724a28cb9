"""The contest on real curves: questions, averages, skills, failures, explosions, and runs that are cut off."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "real.cases",
    "real.cell",
    "data.curve",
    "real.gallery",
    "real.contest",
    "real.rows",
    "report.scoreboard",
    "real.scores",
    "real.summary",
)
METRIC = Metric("max", bounds=(0, 1))
SOURCES = ("alone", "many")


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return {name.rpartition(".")[2]: importlib.import_module(name) for name in MODULES}


def curve(bench: dict[str, ModuleType], y: Any, *, task: str = "a", run: str = "0", **facts: Any) -> Any:
    """A curve of the source "many" with one point per epoch."""
    y = np.asarray(y, dtype=np.float64)
    told = {"source": "many", "name": "val/accuracy", "metric": METRIC, "t": np.arange(1.0, len(y) + 1)} | facts
    return bench["curve"].RealCurve(task=task, run=run, y=y, **told)


def rising(bench: dict[str, ModuleType], source: str, **_: Any) -> list[Any]:
    """Three tasks of two runs each, or one task: noisy rises, a constant, an end in NaN, and an explosion."""
    draw = np.random.default_rng(SOURCES.index(source))
    found = []
    for task in ("a", "b", "c") if source == "many" else ("only",):
        for run in range(4):
            y = draw.uniform(0.5, 0.9) * (1 - np.exp(-np.arange(1, 31) / draw.uniform(3, 20)))
            y = np.round(y + draw.normal(0, 0.01, 30), 3)
            found.append(curve(bench, y, task=task, run=str(run), source=source, resolution=0.001))
    found[0].y[25:] = np.nan
    found[1].y[:] = 0.1
    return found


class Hopeful:
    """The last value with a fixed spread."""

    name = "hopeful"

    def __init__(self, std: float = 0.1, *, wrong: str = "", after: int = 10**9) -> None:
        self.std, self.wrong, self.after, self.asked, self.learnt = std, wrong, after, 0, []

    def prepare(self, others: Sequence[Any]) -> None:
        self.learnt.append(others)

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric, horizon: Any) -> list[Belief]:
        self.asked += 1
        if self.asked > self.after:
            raise KeyboardInterrupt
        if self.wrong == "raises" and any(len(values) > 5 for values in y):
            raise FloatingPointError("too many points\nand more")
        found = []
        for values, times in zip(y, t_query):
            ones = np.ones((len(times) + (self.wrong == "shape"), 1))
            location = np.nan if self.wrong == "nan" else metric.sign * values[-1]
            law = Mixture(0 * ones, 0 * ones, ones)
            when = np.resize(times, len(ones))
            found.append(Belief(law, location, self.std, metric=metric, kind=kind, t=when))
        return found


class Oracle(Hopeful):
    """Knows all curves."""

    name = "oracle"

    def __init__(self, curves: Sequence[Any]) -> None:
        super().__init__()
        self.curves = curves

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric, horizon: Any) -> list[Belief]:
        found = []
        for values, times, seen in zip(y, t_query, t):
            own = next(each for each in self.curves if (each.y[: len(values)] == values).all())
            later = own.t > seen[-1]
            truth = np.nan_to_num(own.y[np.searchsorted(own.t, times)])
            if kind == "best":
                truth = np.array([np.nanmax(own.y[later])])
            law = Mixture(np.zeros((len(times), 1)), np.zeros((len(times), 1)), np.ones((len(times), 1)))
            found.append(Belief(law, truth, 1e-4, metric=metric, kind=kind, t=times))
        return found


# -- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "cut", "seen"), [(5, 10, 2), (5, 80, 4), (100, 10, 10), (101, 10, 11), (8, 40, 4), (1000, 80, 800)]
)
def test_cut_offs_and_asked_points(length: int, cut: int, seen: int, bench: dict[str, ModuleType]) -> None:
    each = bench["cases"].case(curve(bench, np.linspace(0, 1, length)), cut)
    assert each.seen == seen == len(each.observed[0])
    assert each.asked[0] == seen and each.asked[-1] == length - 1
    assert len(each.asked) == min(bench["cases"].LATER, length - seen)
    assert (np.diff(each.asked) > 0).all()


def test_a_curve_without_a_later_point_is_refused(bench: dict[str, ModuleType]) -> None:
    with pytest.raises(ValueError, match="needs a point after the 2 that are seen"):
        bench["cases"].case(curve(bench, [0.1, 0.2]), 10)


@pytest.mark.parametrize(
    ("y", "why", "best", "diverges"),
    [
        ([0.1, 0.2, 0.4, 0.3], None, 0.4, False),
        ([0.1, 0.2, 0.4, np.nan], None, 0.4, True),
        ([0.1, 0.2, np.nan, np.inf], None, np.nan, True),
        ([0.1, np.nan, 0.4, 0.3], "fewer than 2 finite points seen", 0.4, False),
        ([0.1, np.nan, np.nan, np.nan], "diverged before the cut-off", np.nan, True),
    ],
)
def test_what_cannot_be_asked(
    y: list[float], why: str | None, best: float, diverges: bool, bench: dict[str, ModuleType]
) -> None:
    each = bench["cases"].case(curve(bench, y), 10)
    assert each.hopeless == why and each.diverges == diverges
    assert_array_equal(each.best, best)


def test_best_is_the_lowest_of_a_loss(bench: dict[str, ModuleType]) -> None:
    assert bench["cases"].case(curve(bench, [3, 2, 1, 5, 2], metric=Metric("min")), 10).best == 1


def test_incumbents_are_finite_ends_of_other_runs(bench: dict[str, ModuleType]) -> None:
    finals = {str(i): float(i) for i in range(20)} | {"x": np.nan}
    own = curve(bench, [0.1] * 5, run="3")
    drawn = bench["cases"].incumbents(own, finals, seed=0)
    assert len(set(drawn)) == 8 and 3.0 not in drawn and np.isfinite(drawn).all()
    assert_array_equal(drawn, bench["cases"].incumbents(own, dict(reversed(finals.items())), seed=0))
    assert set(drawn) != set(bench["cases"].incumbents(own, finals, seed=1))
    assert len(bench["cases"].incumbents(own, {"3": 1.0}, seed=0)) == 0


def test_methods_learn_from_other_tasks_alone(bench: dict[str, ModuleType]) -> None:
    pools = {source: {} for source in SOURCES}
    for source in SOURCES:
        for each in rising(bench, source):
            pools[source].setdefault(each.task, []).append(each)
    neighbours = bench["cases"].neighbours
    assert {each.task for each in neighbours(pools["many"]["a"][0], pools, seed=0)} == {"b", "c"}
    assert {each.source for each in neighbours(pools["alone"]["only"][0], pools, seed=0)} == {"many"}
    assert len(neighbours(pools["many"]["a"][0], pools, seed=0, limit=3)) == 3


def test_the_rate_of_divergence_counts_those_alive(bench: dict[str, ModuleType]) -> None:
    curves = [curve(bench, y) for y in ([0.1] * 4 + [np.nan], [0.1] * 5, [0.1] + [np.nan] * 4)]
    assert bench["cases"].divergence_rate(curves, 20) == pytest.approx((1 + 0.5) / (2 + 1))


# -- one cell ---------------------------------------------------------------------------------------------------------


def forecast(bench: dict[str, ModuleType], method: Any, curves: Sequence[Any], others: Sequence[Any] = ()) -> Any:
    return bench["cell"].forecast(method, curves, others=others, seed=0)


def column(bench: dict[str, ModuleType], found: Any, name: str) -> np.ndarray:
    return found.rows[:, bench["cell"].PLACE[name]]


def test_scores_of_a_cell_by_brute_force(bench: dict[str, ModuleType]) -> None:
    curves = [each for each in rising(bench, "many") if each.task == "b"]
    found = forecast(bench, Hopeful(0.05), curves)
    assert found.rows.shape == (16, len(bench["cell"].COLUMNS)) and not found.reasons
    yard = bench["scores"].yardstick(np.concatenate([c.y for c in curves]), metric=METRIC, resolution=0.001)
    (row,) = np.flatnonzero((column(bench, found, "cut") == 20) & (found.runs == "2"))
    own = curves[2]
    (belief,) = Hopeful(0.05).predict(
        [own.y[:6]], [own.t[6:]], t=[own.t[:6]], kind="value", metric=METRIC, horizon=[30]
    )
    crps = belief.crps(own.y[6:]) / yard.scale
    assert column(bench, found, "later_crps")[row] == pytest.approx(crps.mean(), rel=1e-4)
    assert column(bench, found, "final_crps")[row] == pytest.approx(crps[-1], rel=1e-4)
    rivals = bench["cases"].incumbents(own, {c.run: c.y[-1] for c in curves}, seed=0) + 0.0005
    doom = column(bench, found, "diverges_said")[row]
    said, happened = belief[-1].prob_better(rivals) * (1 - doom), own.y[-1] > rivals
    assert column(bench, found, "final_brier")[row] == pytest.approx(np.mean((said - happened) ** 2))
    assert column(bench, found, "best_happened")[row] == (own.y[6:].max() > rivals[0])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("raises", "FloatingPointError: too many points"),
        ("shape", "a belief of shape"),
        ("nan", "a belief that is not finite"),
    ],
)
def test_a_method_that_fails_loses_with_a_reason(wrong: str, reason: str, bench: dict[str, ModuleType]) -> None:
    curves = [each for each in rising(bench, "many") if each.task == "b"]
    good, bad = forecast(bench, Hopeful(), curves), forecast(bench, Hopeful(wrong=wrong), curves)
    failed = column(bench, bad, "failed") == 1
    assert failed.sum() == bad.counts["failed"] == (12 if wrong == "raises" else 16), "at 10 %, 3 points are seen"
    assert all(text.startswith(reason) for text in bad.reasons)
    for name in ("later_crps", "final_crps", "best_crps"):
        assert_allclose(column(bench, bad, name)[failed], 7 / 4, rtol=1e-2)
        assert 7 / 4 > column(bench, good, name)[failed].mean()
        assert_allclose(column(bench, bad, name)[~failed], column(bench, good, name)[~failed], rtol=1e-12)


def test_a_method_that_cannot_be_prepared_fails_everywhere(bench: dict[str, ModuleType]) -> None:
    class Broken(Hopeful):
        def prepare(self, others: Sequence[Any]) -> None:
            raise MemoryError("no room")

    found = forecast(bench, Broken(), [each for each in rising(bench, "many") if each.task == "b"])
    assert set(found.reasons) == {"prepare: MemoryError: no room"} and found.counts["failed"] == 16


def test_divergence_is_scored_and_counted(bench: dict[str, ModuleType]) -> None:
    steady = [curve(bench, np.linspace(0.1, 0.5, 20), run=str(i)) for i in range(3)]
    ends = curve(bench, [*np.linspace(0.1, 0.4, 15), *[np.nan] * 5], run="ends")
    never = curve(bench, [0.1, *[np.inf] * 19], run="never")
    found = forecast(bench, Hopeful(), [*steady, ends, never], [curve(bench, [0.1] * 9, task="b")])
    own = found.runs == "ends"
    assert found.counts["diverged before the cut-off"] == 4 + 1 and found.counts["forecast"] == 3 * 4 + 3
    assert found.counts["ends that are no number"] == 3 and set(found.runs) == {"0", "1", "2", "ends"}
    assert np.isnan(column(bench, found, "final_crps")[own]).all()
    assert np.isfinite(column(bench, found, "later_crps")[own]).all()
    assert (column(bench, found, "final_happened")[own] == 0).all()
    rate = 0.5 / 2
    assert_allclose(column(bench, found, "diverges_brier")[own], (1 - rate) ** 2)
    assert_allclose(column(bench, found, "diverges_brier")[~own], rate**2)

    class Knows(Hopeful):
        def prob_diverges(self, y: Any, *, t: Any, metric: Metric, horizon: Any) -> list[float]:
            return [0.75] * len(y)

    assert_allclose(column(bench, forecast(bench, Knows(), [*steady, ends]), "diverges_said"), 0.75)


def test_an_explosion_costs_what_the_fences_allow(bench: dict[str, ModuleType]) -> None:
    loss = Metric("min", bounds=(0, None))
    curves = [curve(bench, np.linspace(2, 1, 20), run=str(i), metric=loss) for i in range(9)]
    boom = curve(bench, [*np.linspace(2, 1, 15), *np.geomspace(10, 1e26, 5)], run="boom", metric=loss)
    found = forecast(bench, Hopeful(), [*curves, boom])
    assert np.isfinite(found.rows[:, bench["cell"].PLACE["later_crps"]]).all()
    assert column(bench, found, "final_crps").max() <= 7.0
    assert column(bench, found, "final_crps")[found.runs == "boom"][:3].min() > 2, "at 80 % it is seen"


def test_constant_curves_stay_and_do_not_rule(bench: dict[str, ModuleType]) -> None:
    found = forecast(bench, Hopeful(0.01), [curve(bench, [0.0] * 20, run=str(i)) for i in range(3)])
    assert found.counts["forecast"] == 12
    assert (column(bench, found, "final_crps") < 0.5).all() and (column(bench, found, "final_crps") >= 0).all()


# -- whole runs -------------------------------------------------------------------------------------------------------


def run(bench: dict[str, ModuleType], folder: Path, *told: str, make: Any = None) -> int:
    """The command with two small sources and the methods of this file."""
    known = [each for source in SOURCES for each in rising(bench, source)]
    makers = {"last-value": Hopeful, "narrow": lambda: Hopeful(0.001), "oracle": lambda: Oracle(known)}
    status: int = bench["contest"].main(
        ["--out", str(folder / "results"), "--rows", str(folder / "rows"), *told],
        methods=list(makers),
        make=make or (lambda name: makers[name]()),
        read=lambda source, **_: rising(bench, source),
        sources=SOURCES,
    )
    return status


def results(folder: Path) -> dict[tuple[str, str], Any]:
    paths = sorted((folder / "results").glob("*/*.json"))
    return {(path.parent.name, path.stem): json.loads(path.read_text())["results"] for path in paths}


@pytest.fixture(scope="module")
def whole(bench: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert run(bench, folder) == 0
    return folder


def without_times(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: without_times(value) for key, value in tree.items() if key != "cpu_s"}
    return tree


def test_the_baseline_has_no_skill_and_the_oracle_all(whole: Path) -> None:
    found = results(whole)
    assert set(found) == {(source, name) for source in SOURCES for name in ("last-value", "narrow", "oracle")}
    for (_, name), each in found.items():
        for target in ("later", "final", "best"):
            value = each["skill"][target]["value"]
            assert value == 0 if name == "last-value" else value > 0.98 if name == "oracle" else value < 0
    assert found["many", "oracle"]["tasks"] == 3 and found["many", "oracle"]["curves"] == 12
    assert found["alone", "narrow"]["skill"]["later"]["low"] is None


def test_a_means_of_a_source_is_the_mean_of_its_tasks(whole: Path) -> None:
    for each in results(whole).values():
        by_task = [scores["later"] for scores in each["by_task"].values()]
        assert each["scores"]["later_crps"] == pytest.approx(np.mean(by_task), rel=1e-5)
        cuts = [scores["final_crps"] for scores in each["by_cut"].values()]
        assert each["scores"]["final_crps"] == pytest.approx(np.nanmean(np.array(cuts, dtype=float)), rel=0.05)


def test_a_run_that_is_killed_goes_on_and_ends_the_same(
    bench: dict[str, ModuleType], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench["rows"], "SAVE_EVERY_S", 0.0)
    made: list[Hopeful] = []

    def make(name: str) -> Hopeful:
        made.append(Hopeful(0.001 if name == "narrow" else 0.1, after=10**9 if made else 19))
        return made[-1]

    told = ("--methods", "last-value,narrow", "--sources", "many")
    with pytest.raises(KeyboardInterrupt):
        run(bench, tmp_path, *told, make=make)
    assert not results(tmp_path)
    assert run(bench, tmp_path, *told, make=make) == 0
    assert [each.asked for each in made] == [20, 8, 24], (
        "of three cells with four cut-offs and two kinds one is asked again"
    )
    for key, each in results(tmp_path).items():
        if key[0] == "many":
            assert without_times(each) == without_times(results(whole)[key])


def test_what_is_there_is_not_asked_again(bench: dict[str, ModuleType], whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("results/*/*.json")}
    assert run(bench, whole) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_time_that_is_up_is_said(bench: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(bench, tmp_path, "--minutes", "0") == 3
    assert "6 of 6 are not done" in capsys.readouterr().out
    assert not list(tmp_path.glob("results/*/*.json"))


def test_tables_show_the_results(bench: dict[str, ModuleType], whole: Path, tmp_path: Path) -> None:
    board = bench["scoreboard"]
    found = board.load(whole / "results")
    assert list(found) == ["oracle", "last-value", "narrow"], "best first"
    for name, rows in ((name, make(found)) for name, make in board.TABLES.items()):
        assert len(rows) == 4 and all(len(row) == len(rows[0]) for row in rows), name
    assert board.skill(found, "later")[2][:2] == ["last-value", "0 ± 0"]
    oracle, last = board.overview(found)[1:3]
    assert (oracle[4], last[4]) == (f"{len(SOURCES)} of {len(SOURCES)}", "") and float(oracle[1].split()[0]) > 90
    assert "`python benchmarks/real/contest.py --per-task 30` at" in board.text("real-final", whole / "results")
    assert "Not measured yet" in board.text("real-final", tmp_path)
    path = next((whole / "results").glob("many/narrow.json"))
    changed = json.loads(path.read_text())
    changed["settings"]["fence"] = 4
    (tmp_path / "many").mkdir()
    for each in (path.read_text(), json.dumps(changed)):
        (tmp_path / "many" / f"{len(each)}.json").write_text(each)
    with pytest.raises(board.Incomparable, match="different settings"):
        board.load(tmp_path)


def test_the_gallery_has_the_best_the_median_and_the_worst(
    bench: dict[str, ModuleType], whole: Path, tmp_path: Path
) -> None:
    rows = bench["rows"].Rows
    score = np.array([[np.nan], [0.5], [0.0], [3.0], [1.0], [0.1], [2.0]])
    task, run = np.array(list("aabbbcc")), np.array(list("0123456"))
    made = rows(np.hstack([score, np.full((7, 1), 20)]), task, task, run, {}, {})
    pictures = bench["gallery"].chosen(made, {"later_crps": 0, "cut": 1})
    assert [each.run for each in pictures] == ["5", "4", "3", "6", "4", "1", "5"]
    assert [each.score for each in pictures[2:]] == [3.0, 2.0, 1.0, 0.5, 0.1]
    told = {"make": lambda _: Hopeful(), "read": lambda source, **_: rising(bench, source), "sources": SOURCES}
    assert bench["gallery"].main(["last-value", "--rows", str(whole / "rows"), "--out", str(tmp_path)], **told) == 0
    for source in SOURCES:
        assert (tmp_path / source / "last-value.png").read_bytes().startswith(b"\x89PNG")
    assert bench["gallery"].main(["unknown", "--rows", str(whole / "rows"), "--out", str(tmp_path)], **told) == 1
