"""Whole runs of the contest on real curves: what is written, taken up again, and shown."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from contestants import SOURCES, Hopeful, Oracle, load, rising


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    return load()


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


def test_a_redo_makes_the_rows_anew(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    made: list[Hopeful] = []

    def make(name: str) -> Hopeful:
        made.append(Hopeful())
        return made[-1]

    told = ("--methods", "last-value", "--sources", "many")
    for flags, asked in (((), 24), ((), 0), (("--redo",), 24)):  # three cells, four cut-offs, two kinds
        assert run(bench, tmp_path, *told, *flags, make=make) == 0
        assert made[-1].asked == asked


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
