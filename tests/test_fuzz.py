"""What comes from outside, damaged: a short run of the fuzz suite (the long one: `PYTHONPATH=tests python -m fuzz`)."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import disk
from fuzz.harness import attempt, chunk
from fuzz.kinds import KINDS, Fault
from fuzz.mutations import changed, damaged

INPUTS = 60  # of each kind


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_with_a_message(kind: str, tmp_path: Path) -> None:
    if kind == "training_state":
        pytest.importorskip("torch")
    told = [attempt(kind, seed, tmp_path) for seed in range(INPUTS)]
    faults = [each for each in told if each["outcome"] == "fault"]
    assert not faults, faults[:3]
    assert {each["outcome"] for each in told} <= {"taken", "refused"} and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", disk.STATES)
def test_nothing_is_lost_when_a_writer_is_killed(name: str, tmp_path: Path) -> None:
    if name == "training":
        pytest.importorskip("torch")
    # In a process of its own: the writers are forks, and other tests have loaded libraries that no fork survives.
    code = (
        "import sys; from pathlib import Path; from fuzz import disk; name, folder = sys.argv[1], Path(sys.argv[2]); "
        "print(disk.kills(name, 12, folder), len(disk.leftovers(folder, name)))"
    )
    command = [sys.executable, "-c", code, name, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    checked, left = map(int, done.stdout.split())
    assert checked > 0 and left <= disk.MOST_LEFT


def test_nothing_is_lost_when_writes_fail(tmp_path: Path) -> None:
    disk.failing_writes(tmp_path, size=2000)


@pytest.mark.parametrize("run", [disk.full_disk, disk.full_disk_of_training])
def test_nothing_is_lost_on_a_full_disk(run) -> None:
    if run is disk.full_disk_of_training:
        pytest.importorskip("torch")
    with disk.small_disk() as folder:
        if folder is None:
            pytest.skip("mounting a small tmpfs is not allowed here; writes that fail are tested above")
        run(folder)


# ------------------------------------------------------------------------------------------- the suite itself has teeth


@pytest.mark.parametrize("kind", KINDS)
def test_without_damage_every_sample_is_taken(kind: str, tmp_path: Path, monkeypatch) -> None:
    """Else the suite would test how rubbish is refused."""
    if kind in ("predict", "replay", "stream", "stopper_calls", "odd_files"):
        pytest.skip("a question, not a file")
    if kind == "training_state":
        pytest.importorskip("torch")
    for name in ("damaged", "json_lines", "changed"):
        monkeypatch.setattr(f"fuzz.kinds.{name}", lambda data, dice: data)
    monkeypatch.setattr("fuzz.kinds.database", lambda path, dice: None)
    told = [attempt(kind, seed, tmp_path) for seed in range(40)]
    assert sum(each["outcome"] == "taken" for each in told) >= 1, told


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (KeyError("x"), "KeyError"),
        (RecursionError("deep"), "RecursionError"),
        (OverflowError("large"), "OverflowError"),
        (MemoryError(), "MemoryError"),
        (ValueError(""), "ValueError: "),
        (TypeError("f() got an unexpected keyword argument 'x'"), "unexpected keyword"),
        (TypeError("unsupported operand type(s) for +: 'int' and 'str'"), "unsupported operand"),
        (Fault("NaN"), "Fault: NaN"),
    ],
)
def test_what_is_no_refusal_is_a_fault(raised: Exception, says: str, tmp_path: Path, monkeypatch) -> None:
    def kind(dice, place):
        raise raised

    monkeypatch.setitem(KINDS, "csv", kind)
    told = attempt("csv", 0, tmp_path)
    assert told["outcome"] == "fault" and says in told["says"]


def test_slow_inputs_and_code_are_faults(tmp_path: Path, monkeypatch) -> None:
    def slow(dice, place):
        while True:
            pass

    monkeypatch.setitem(KINDS, "csv", slow)
    monkeypatch.setattr("fuzz.harness.LONGEST_S", 0.2)
    assert "more than" in attempt("csv", 0, tmp_path)["says"]
    monkeypatch.setitem(KINDS, "csv", lambda dice, place: Path("marker").touch())
    assert attempt("csv", 1, tmp_path)["says"] == "code of the input ran"


def test_a_process_that_dies_is_a_fault_of_its_input(monkeypatch) -> None:
    monkeypatch.setattr("fuzz.harness.sys.executable", "false")
    (told,) = chunk("csv", 5, 3)
    assert (told["outcome"], told["seed"]) == ("fault", 5) and "the process died (1)" in told["says"]


def test_damage_is_the_same_for_the_same_seed() -> None:
    data, value = b"epoch,acc\n1,0.5\n2,0.6\n", {"a": [1, {"b": 2}], "c": 3}
    assert [damaged(data, random.Random(s)) for s in range(50)] == [damaged(data, random.Random(s)) for s in range(50)]
    assert len({damaged(data, random.Random(s)) for s in range(50)}) > 30
    assert repr([changed(value, random.Random(s)) for s in range(50)]) == repr(
        [changed(value, random.Random(s)) for s in range(50)]
    )
