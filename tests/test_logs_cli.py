"""Logs of other tools on the command line: what is assumed, what is said of it, what to do when it is not clear."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lcpfn import cli
from lcpfn.metric import Metric
from lcpfn.pfn import load


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(argv)
    return code, *capsys.readouterr()


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    code, out, err = run(capsys, *argv, "--json")
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


def test_a_name_says_direction_and_bounds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("test_error,val_acc,reward,val_loss\n88,0.1,0.3,2.4\n71,0.2,0.4,2.1\n65,0.3,0.5,1.9\n")
    said = {}
    for name in ("test_error", "val_acc", "reward"):
        document = answer(capsys, "predict", str(path), "--metric", name, "--at", "20")
        said[name] = (*document["metric"].values(), *document["assumed"].values())
    assert said == {
        "test_error": ("min", [0, 100], "name", "name"),
        "val_acc": ("max", [0, 1], "name", "name"),
        "reward": ("max", [None, None], "name", "checkpoint"),  # a name that knows no bounds
    }
    loss = ("predict", str(path), "--metric", "val_loss", "--at", "20", "--bounds", "0,3")
    assert answer(capsys, *loss)["assumed"] == {"direction": "name", "bounds": None}
    _, out, _ = run(capsys, *loss)
    assert out.startswith("val_loss (lower is better by its name, from 0 to 3): 3 values")
    _, out, _ = run(capsys, *loss, "--direction", "max")
    assert out.startswith("val_loss (higher is better, from 0 to 3): 3 values")


ERRORS = {
    "open above": (
        "--metric val_loss --checkpoint paper",
        r"val_loss has no upper bound by its name.*needs both: say --bounds.*within --bounds 0,5\)",
    ),
    "open below": (
        "--metric neg_mean_squared_error --checkpoint paper",
        r"has no lower bound by its name.*within --bounds -10,0\)",
    ),
    "a loss by another name": ("--metric loss_scaled", r"lower seems to be better: say --direction min"),
    "a run of a table": ("--run a", r"log.csv is a table, which is one run: leave out --run a"),
    "a column": ("--metric acc", r"no column 'acc', only epoch, val_loss, loss_scaled, neg_mean_squared_error"),
}


@pytest.mark.parametrize(("flags", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: str, message: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,val_loss,loss_scaled,neg_mean_squared_error\n1,2.5,0.5,-7\n2,1.5,0.3,-6\n")
    code, out, err = run(capsys, "predict", str(path), "--at", "9", *flags.split())
    assert (code, out) == (2, "")
    assert re.search(message, err), err
    assert err.count("\n") == 1


def test_the_bounds_of_an_error_are_accepted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,val_loss\n1,2.5\n2,1.5\n")
    question = ("predict", str(path), "--metric", "val_loss", "--at", "9", "--checkpoint", "paper")
    _, _, err = run(capsys, *question)
    advice = re.findall(r"--bounds [\d.]+,[\d.]+", err)
    assert len(advice) == 1
    answer(capsys, *question, *advice[0].split())


def test_the_folder_of_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for version, shift in (("version_0", 0.0), ("version_1", 0.1)):
        folder = tmp_path / "lightning_logs" / version
        folder.mkdir(parents=True)
        rows = [f"{epoch},{10 * epoch + 9},,{0.3 + shift + 0.05 * epoch}" for epoch in range(4)]
        steps = [f"{epoch},{10 * epoch + 4},{1 / (1 + epoch)}," for epoch in range(4)]
        (folder / "metrics.csv").write_text("\n".join(["epoch,step,train_loss,val_acc", *steps, *rows]))
    logs = str(tmp_path / "lightning_logs")
    question = ("--metric", "val_acc", "--horizon", "20")
    code, _, err = run(capsys, "predict", logs, *question)
    assert code == 2
    assert re.search(r"holds 2 runs with val_acc: version_0, version_1; say --run NAME, or give the path of one", err)
    alone = answer(capsys, "predict", f"{logs}/version_1", *question)
    assert alone["observed"]["count"] == 4 and alone["observed"]["last"]["y"] == pytest.approx(0.55)
    chosen = answer(capsys, "predict", logs, *question, "--run", "version_1")
    assert (chosen["forecast"], chosen["assumed"]) == (alone["forecast"], {"direction": "name", "bounds": "name"})
    _, out, _ = run(capsys, "predict", logs, *question, "--run", "version_0")
    assert "4 values seen up to epoch 4, the best 0.45 at epoch 4" in out


def test_a_run_that_ends_in_nan_has_diverged(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    losses = [2.4, 1.5, 1.1, 0.9]
    lines = [json.dumps({"epoch": i, "val_loss": y}) + "\n" for i, y in enumerate([*losses, *3 * [float("nan")]])]
    path.write_text("".join(lines))
    question = ("predict", str(path), "--metric", "val_loss", "--horizon", "40", "--incumbent", "0.5")
    code, out, err = run(capsys, *question)
    assert code == 0
    assert err == "lcpfn: 3 values are not finite; the run diverged at epoch 5: from there on none is finite\n"
    assert "4 values seen up to epoch 4, diverged at epoch 5, the best 0.9 at epoch 4" in out
    assert "STOP: diverged (the value at step 5 is nan)" in out
    _, out, _ = run(capsys, *question, "--json")
    document = json.loads(out)
    assert document["decision"]["reason"] == "diverged" and document["observed"]["diverged_at"] == 5
    assert document["reading"]["not_finite"] == 3
    _, out, _ = run(capsys, *question, "--observe", "3")  # nobody knew then
    assert "diverged" not in out


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity"])
def test_a_value_that_is_not_finite_in_between_is_left_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, odd: str
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"step": 0, "acc": 0.5}}\n{{"step": 1, "acc": {odd}}}\n{{"step": 2, "acc": 0.6}}\n')
    code, out, err = run(capsys, "predict", str(path), "--at", "9", "--json")
    assert (code, err) == (0, "lcpfn: 1 value is not finite, and left out: finite ones come later\n")
    point = {"t": 3, "y": 0.6}
    assert json.loads(out)["observed"] == {"count": 2, "last": point, "best": point, "diverged_at": None}


def test_what_a_restart_replaced_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "training.log"  # of Keras' CSVLogger(append=True)
    path.write_text("epoch,val_acc\n0,0.1\n1,0.2\n2,0.3\n1,0.25\n2,0.35\n3,0.4\n")
    code, out, err = run(capsys, "predict", str(path), "--at", "9")
    assert (code, err) == (0, "lcpfn: 2 values are left out: a restart came to their times again\n")
    assert "4 values seen up to epoch 4" in out


def test_a_study_says_which_direction_is_better(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    operations = [{"op_code": 0, "study_name": "s", "directions": [1]}, {"op_code": 4, "study_id": 0}]
    operations += [{"op_code": 7, "trial_id": 0, "step": i, "intermediate_value": 0.9 - 0.1 * i} for i in range(4)]
    path = tmp_path / "journal.log"
    path.write_text("".join(json.dumps(operation) + "\n" for operation in operations))
    document = answer(capsys, "predict", str(path), "--at", "9")
    assert document["metric"] == {"direction": "min", "bounds": [None, None]}
    assert document["assumed"] == {"direction": "log", "bounds": "checkpoint"}
    _, out, _ = run(capsys, "predict", str(tmp_path), "--at", "9")
    assert out.startswith("value (lower is better by the log, no bounds known): 4 values")


def test_the_end_of_the_run_is_passed_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, y = tmp_path / "log.csv", [0.1, 0.25, 0.3, 0.38, 0.4]
    path.write_text("val_acc\n" + "\n".join(map(str, y)))
    told, open_ended = (
        answer(capsys, "predict", str(path), "--at", "20,30", *flags)["forecast"] for flags in (("--run-end", "30"), ())
    )
    belief = load().predict(y, [20, 30], metric=Metric(bounds=(0, 1)), run_end=30.0)
    assert [each["quantiles"]["0.5"] for each in told] == pytest.approx(belief.median().tolist(), rel=1e-9)
    assert told[1]["quantiles"] != open_ended[1]["quantiles"]


def test_the_end_that_a_log_says_is_the_end_of_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    history = [{"epoch": float(i), "step": 10 * i, "eval_accuracy": 0.9 - 0.5 / i} for i in range(1, 9)]
    state = {"global_step": 80, "num_train_epochs": 20, "max_steps": 200, "log_history": history}
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps(state))
    question = ("predict", str(path), "--metric", "eval_accuracy", "--time-column", "step", "--horizon", "200")
    by_log = answer(capsys, *question)
    assert by_log["run_end_by_log"] == 200
    said = answer(capsys, *question, "--run-end", "200")
    assert said["run_end_by_log"] is None and said["forecast"] == by_log["forecast"]
    _, out, _ = run(capsys, *question)
    assert "; by the log the run ends at step 200 (or say --run-end)" in out.splitlines()[0]
    path.write_text(json.dumps({**state, "max_steps": 70}))  # it was resumed with more
    assert answer(capsys, *question)["run_end_by_log"] is None
