"""The stopper's memory: a state that survives restarts and threads, and the audit of wrong stops."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from trials import BAD, GOOD, feed, knows_a_good_run, stopper

from lcpfn import files
from lcpfn.stopping import Incumbent, Stopper


@pytest.fixture
def seasoned() -> Stopper:
    """A stopper that knows a good run."""
    return knows_a_good_run()


def test_the_state_survives_a_restart(tmp_path: Path, seasoned: Stopper) -> None:
    path = tmp_path / "stopper.json"
    first = stopper(path=path)
    feed(first, "good", GOOD)
    first.finish("good")
    first.update("run", 1, BAD[0])
    del first
    second = stopper(path=path)
    decision = feed(second, "run", BAD[1:], first=2)
    assert decision == feed(seasoned, "run", BAD)
    assert second.to_json() == seasoned.to_json() == path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["stopper.json"]  # no leftovers


def test_a_state_that_cannot_be_used_is_refused(tmp_path: Path, seasoned: Stopper) -> None:
    text, path = seasoned.to_json(), tmp_path / "state.json"
    for broken, match in [
        (text[: len(text) // 2], r"state\.json is not the JSON of a stopper, it may be cut off"),
        ("", "may be cut off"),
        ("[1]", "must be the JSON of a stopper"),
        (text.replace('"version": 2', '"version": 9'), "must be of version 2, got 9"),
        (text.replace('"max"', '"min"'), "written with direction='min', this stopper has 'max'"),
        (text.replace('"points"', '"dots"'), "holds trials that no stopper wrote"),
    ]:
        path.write_text(broken)
        with pytest.raises(ValueError, match=match):
            stopper(path=path)
        assert path.read_text() == broken  # nothing is overwritten
    with pytest.raises(ValueError, match="written with horizon=30, this stopper has 50"):
        stopper(horizon=50).load_json(text)


def test_divergence_survives_json() -> None:
    made, again = stopper(), stopper()
    feed(made, "a", [0.1, math.nan])
    again.load_json(made.to_json())
    assert "NaN" not in made.to_json() and json.loads(made.to_json())["trials"]["a"]["points"][1] == [2.0, "nan"]
    assert again.update("a", 2, math.nan).reason == "diverged"


def test_many_threads_share_a_stopper(tmp_path: Path) -> None:
    made = stopper(path=tmp_path / "state.json", min_points=31)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: made.update(f"run {i % 4}", 1 + i // 4, 0.5), range(40)))
    state = json.loads((tmp_path / "state.json").read_text())
    assert {name: len(trial["points"]) for name, trial in state["trials"].items()} == dict.fromkeys(
        [f"run {i}" for i in range(4)], 10
    )


def test_a_pickle_holds_the_state_and_no_weights(seasoned: Stopper) -> None:
    feed(seasoned, "bad", BAD)  # weights are in memory now
    text = pickle.dumps(seasoned)
    assert len(text) < 5000
    again = pickle.loads(text)
    assert again.to_json() == seasoned.to_json()
    again.update("other", 1, 0.5)
    assert "other" in again and "bad" in again and "other" not in seasoned


def test_the_audit_lets_some_hopeless_runs_finish_and_counts_wrong_stops() -> None:
    made = stopper(audit=0.5, seed=3, horizon=12)
    feed(made, "good", GOOD[:12])
    made.finish("good")
    gone_on, stopped = [], 0
    for i in range(16):
        if feed(made, f"run {i}", BAD[:11]).stop:
            stopped += 1
            made.finish(f"run {i}")
        else:
            gone_on.append(f"run {i}")
    assert stopped + len(gone_on) == 16 and 2 < stopped < 14
    assert made.update(gone_on[0], 11, BAD[10]).reason == "audit"
    made.update(gone_on[0], 12, 0.99)  # it would have won
    for name in gone_on:
        made.finish(name)
    report = made.report()
    assert (report.given_up, report.audited, report.wrong, report.winners) == (16, len(gone_on), 1, 1)
    assert report.rate == 1.0 and report.interval[1] == 1.0 and report.interval[0] < 0.2
    copy = stopper(audit=0.5, seed=3, horizon=12)
    copy.load_json(made.to_json())
    assert copy.report() == report


def test_the_audit_weighs_what_it_saw_by_its_share() -> None:
    """Of 1 audited and 19 other winners at a share of one half, 2 of 21 were given up."""
    made = stopper(audit=0.5)
    state = json.loads(made.to_json())
    past = {"step": 2, "target": 0.9, "audited": True}
    one = {"points": [[1, 0.95]], "over": True, "given_up": None, "won": True}
    state["trials"] = {str(i): one for i in range(19)} | {"19": {**one, "given_up": past}}
    made.load_json(json.dumps(state))
    report = made.report()
    assert report.rate == pytest.approx(2 / 21)
    low, high = report.interval
    # Clopper and Pearson's for 1 of 20 are 0.0013 and 0.2487.
    assert low == pytest.approx(0.00127 / (0.00127 + 0.5 * 0.99873), rel=5e-3)
    assert high == pytest.approx(0.2487 / (0.2487 + 0.5 * 0.7513), rel=1e-3)


def test_a_report_needs_an_audit(seasoned: Stopper) -> None:
    with pytest.raises(ValueError, match=r"give audit=0\.05"):
        seasoned.report()
    empty = stopper(audit=0.05).report()
    assert math.isnan(empty.rate) and empty.interval == (0.0, 1.0)


@pytest.mark.parametrize("nested", [False, True])
def test_a_change_that_was_not_written_is_written_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    path = tmp_path / "state.json"
    made = stopper(path=path)
    made.update("run", 1, 0.1)
    before = path.read_text()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.replace", full)
        for _ in range(2):  # the same call again fails again, rather than to look as if it had been written
            with pytest.raises(OSError, match="No space left"):
                made.finish("run") if nested else made.update("run", 2, 0.2)
        assert path.read_text() == before and len(list(tmp_path.iterdir())) == 1
    made.finish("run") if nested else made.update("run", 2, 0.2)
    assert path.read_text() == made.to_json() != before
    trial = json.loads(path.read_text())["trials"]["run"]
    assert trial["over"] if nested else trial["points"] == [[1.0, 0.1], [2.0, 0.2]]


def test_two_processes_on_one_file_lose_nothing(tmp_path: Path) -> None:
    """As if each stopper were in a process of its own."""
    path = tmp_path / "state.json"
    first, second = stopper(path=path, min_points=31), stopper(path=path, min_points=31)
    for step in range(1, 11):
        first.update("a", step, 0.5)
        second.update("b", step, 0.4)
        second.update("a", step, 0.6)  # the later value of a step stands
    first.finish("a")
    assert second.incumbent == first.incumbent == Incumbent("a", 0.6)
    state = json.loads(path.read_text())["trials"]
    assert {name: len(trial["points"]) for name, trial in state.items()} == {"a": 10, "b": 10}
    assert second.to_json() == first.to_json() == path.read_text()


def test_many_writers_of_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with ThreadPoolExecutor(4) as pool:
        made = [stopper(path=path, min_points=31) for _ in range(4)]  # each with a lock of its own on threads
        list(pool.map(lambda i: made[i % 4].update(f"run {i % 4}", 1 + i // 4, 0.5), range(40)))
    state = json.loads(path.read_text())["trials"]
    assert {name: len(trial["points"]) for name, trial in state.items()} == {f"run {i}": 10 for i in range(4)}


def test_what_was_not_written_is_merged_with_what_another_process_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    first, second = stopper(path=path), stopper(path=path)
    with monkeypatch.context() as broken:
        broken.setattr("lcpfn.stopping.store.write", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            first.update("run", 1, 0.1)
    second.update("run", 2, 0.2)
    second.update("other", 1, 0.3)
    first.update("run", 3, 0.4)
    state = json.loads(path.read_text())["trials"]
    assert state["run"]["points"] == [[1.0, 0.1], [2.0, 0.2], [3.0, 0.4]] and "other" in state


def test_a_state_that_another_program_spoilt_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    made = stopper(path=path)
    made.update("run", 1, 0.1)
    path.write_text("{")
    with pytest.raises(ValueError, match="may be cut off"):
        made.update("run", 2, 0.2)
    assert path.read_text() == "{"


def test_links_modes_and_leftovers(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "state.json", tmp_path / "state.json"
    stopper(path=real).update("run", 1, 0.1)
    real.chmod(0o664)
    link.symlink_to(real)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    name = f".state.json.{files._HOST}-{int(gone.stdout)}-01234567.tmp"
    (tmp_path / "real" / name).write_text("half")
    stopper(path=link).update("run", 2, 0.2)
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o664
    assert [each.name for each in (tmp_path / "real").iterdir()] == ["state.json"]
    assert len(json.loads(real.read_text())["trials"]["run"]["points"]) == 2


def test_a_pipe_is_no_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no regular file"):
        stopper(path=tmp_path / "pipe")


@pytest.mark.parametrize(
    "record",
    [
        {"points": [[1, 10**400]]},
        {"points": [[1, "high"]]},
        {"points": [[None, 0.5]]},
        {"points": 3},
        {"over": 1},
        {"given_up": {"step": 1}},
        {"given_up": {"step": "a", "target": None, "audited": False}},
        {"won": "yes"},
    ],
)
def test_trials_that_no_stopper_wrote(record: dict[str, Any]) -> None:
    made = stopper()
    body = json.loads(made.to_json())
    body["trials"] = {"a": {"points": [], "over": False, "given_up": None, "won": None, **record}}
    with pytest.raises(ValueError, match="holds trials that no stopper wrote"):
        made.load_json(json.dumps(body))
    with pytest.raises(ValueError, match="is not the JSON of a stopper"):
        made.load_json("[" * 100_000)
