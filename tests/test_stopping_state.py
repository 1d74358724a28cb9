"""The stopper's memory: a state that survives restarts and threads, and the audit of wrong stops."""

from __future__ import annotations

import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from trials import BAD, GOOD, feed, knows_a_good_run, stopper

from lcpfn.stopping import Stopper


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
