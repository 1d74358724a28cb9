"""Printed logs: the presets, on lines as the tools print them, and patterns of the user's own."""

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn import cli, logs
from lcpfn.logs.console import EXAMPLE, LONGEST, read_console, recognise
from lcpfn.logs.presets import PRESETS

# Of each tool what it printed, the clock, and the values of some metrics by time.
PRINTED: dict[str, tuple[str, str, dict[str, dict[float, float]]]] = {
    "keras": (
        "Epoch 1/50\n"
        " 1/32 [....] - ETA: 9s - loss: 9.9\r32/32 [====] - 1s - loss: 2.41\r32/32 [====] - 2s 3ms/step - loss: 2.41"
        " - val_loss: 2.65\n\nEpoch 2/50\n"
        "\x1b[1m32/32\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m\x1b[0m 1s 5ms/step - loss: 1.4 - val_loss: 1.6e-1\n"
        "Epoch 3/50\n32/32 - 2s - loss: nan - val_loss: nan\n",
        "epoch",
        {"loss": {1: 2.41, 2: 1.4, 3: np.nan}, "val_loss": {1: 2.65, 2: 0.16, 3: np.nan}},
    ),
    "nanogpt": (
        "parameters: 123.59M\nstep 0: train loss 4.2, val loss 4.3\niter 0: loss 4.25, time 13.20ms, mfu 12%\n"
        "iter 10: loss 4.1, time 13.20ms, mfu 9%\nstep 250: train loss 3.9, val loss 4.0\nsaving checkpoint to out\n",
        "step",
        {"val loss": {0: 4.3, 250: 4.0}, "loss": {0: 4.25, 10: 4.1}},
    ),
    "megatron": (
        " iteration      100/  500000 | consumed samples:        25600 | elapsed time per iteration (ms): 512.3 |"
        " learning rate: 1.5E-04 | lm loss: 9.940000E+00 | loss scale: 65536.0 |\n"
        "---------------------\n validation loss at iteration 100 | lm loss value: 9.0E+00 | lm loss PPL: 8.1E+03 |\n"
        " [2026-11-30 12:00:00] iteration      200/  500000 | consumed samples:        51200 | lm loss: 9.4E+00 |\n",
        "iteration",
        {"lm loss": {100: 9.94, 200: 9.4}, "validation/lm loss": {100: 9.0}},
    ),
    "xgboost": (  # of 3.2, xgb.train and xgb.cv
        "[0]\ttrain-logloss:0.58398\ttrain-auc:0.88046\teval-logloss:0.62145\n"
        "[12:00:01] [1]\ttrain-logloss:0.57390+0.00180\ttrain-auc:0.9\teval-logloss:0.60761\n",
        "iteration",
        {"eval-logloss": {0: 0.62145, 1: 0.60761}, "train-logloss": {0: 0.58398, 1: 0.5739}},
    ),
    "lightgbm": (  # of 4.6
        "[4]\ttraining's binary_logloss: 0.592122\tvalid_1's binary_logloss: 0.619783\tvalid_1's auc: 0.770833\n"
        "[5]\ttraining's binary_logloss: 0.575684\tvalid_1's binary_logloss: 0.608403\tvalid_1's auc: 0.768029\n",
        "iteration",
        {"valid_1's auc": {4: 0.770833, 5: 0.768029}, "training's binary_logloss": {4: 0.592122, 5: 0.575684}},
    ),
    "catboost": (  # of 1.2
        "Learning rate set to 0.197137\n"
        "0:\tlearn: 0.7650000\ttest: 0.6600000\tbest: 0.6600000 (0)\ttotal: 47ms\tremaining: 235ms\n"
        "1:\tlearn: 0.7850000\ttest: 0.6700000\tbest: 0.6700000 (1)\ttotal: 47.6ms\tremaining: 9ms\n\nbestTest = 0.7\n",
        "iteration",
        {"learn": {0: 0.765, 1: 0.785}, "test": {0: 0.66, 1: 0.67}},
    ),
    "fairseq": (
        "2026-11-30 12:00:00 | INFO | fairseq_cli.train | task: TranslationTask\n"
        "2026-11-30 12:00:00 | INFO | train_inner | epoch 001:    100 / 1000 loss=9.1, ppl=550, wps=1000\n"
        "2026-11-30 12:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 5.6 | nll_loss 4.1 | ppl 17\n"
        "2026-11-30 12:00:00 | INFO | train | epoch 001 | loss 8.2 | nll_loss 7.9 | num_updates 1000\n"
        "2026-11-30 12:00:00 | INFO | valid | epoch 002 | valid on 'valid' subset | loss 5.1 | nll_loss 3.9 | ppl 15\n",
        "epoch",
        {"valid/loss": {1: 5.6, 2: 5.1}, "train/nll_loss": {1: 7.9}},
    ),
    "mmdet": (
        "2026-11-30 12:00:00 - mmdet - INFO - Epoch [1][50/7330]\tlr: 1e-2, loss: 1.2\n"
        "2026-11-30 12:00:00 - mmdet - INFO - Epoch(val) [1][5000]\tbbox_mAP: 0.0500, bbox_mAP_50: 0.1\n"
        "11/30 12:00:00 - mmengine - INFO - Epoch(val) [2][625/625]    coco/bbox_mAP: 0.07  bbox_mAP: 0.1  time: 0.1\n",
        "epoch",
        {"val/bbox_mAP": {1: 0.05, 2: 0.1}},
    ),
    "detectron2": (
        "[11/30 12:00:00 d2.utils.events]:  eta: 0:12:01  iter: 19  total_loss: 1.9  loss_cls: 0.6  time: 0.3\n"
        "[11/30 12:00:10 d2.utils.events]:  eta: 0:11:01  iter: 39  total_loss: 1.7  loss_cls: 0.5  time: 0.3\n",
        "iter",
        {"total_loss": {19: 1.9, 39: 1.7}},
    ),
    "transformers": (
        "{'loss': 2.3, 'grad_norm': 1.5, 'learning_rate': 5e-05, 'epoch': 0.5}\n"
        "{'eval_loss': 1.2, 'eval_accuracy': 0.8, 'epoch': 1.0}\n"
        "{'eval_loss': '1.1', 'eval_accuracy': '0.82', 'epoch': '2'}\n"
        "{'train_runtime': 1.5, 'train_loss': 0.5, 'epoch': 2.0}\n",
        "epoch",
        {"eval_accuracy": {1: 0.8, 2: 0.82}, "loss": {0.5: 2.3}},
    ),
    "imagenet": (
        "Epoch: [0][ 10/5005]\tTime  0.2 ( 0.9)\tLoss 7.0e+00 (7.0e+00)\tAcc@1   0.00 (  0.14)\n"
        " * Acc@1 63.1 Acc@5 85.2\nEpoch: [1][ 10/5005]\tTime  0.2 ( 0.9)\n * Acc@1 66.0 Acc@5 87.0\n",
        "epoch",
        {"Acc@1": {0: 63.1, 1: 66.0}},
    ),
    "epochs": (
        "Epoch [1/5], Step [100/600], Loss: 0.9\nEpoch [1/5], Step [200/600], Loss: 0.7\n"
        "Epoch 2/5: train loss 0.51 | val acc = 81.2% | time 0:12\nEpoch: 3 | Train Loss: 0.4 | Val. Acc: 83%\n",
        "epoch",
        {"Loss": {1: 0.7}, "train loss": {2: 0.51}, "val acc": {2: 81.2}, "Train Loss": {3: 0.4}},
    ),
}


def columns(path: Path, pattern: str, clock: str, metrics: dict[str, Any]) -> dict[str, dict[float, float]]:
    (run,) = read_console(path, name="log", pattern=pattern)
    tables = {metric: run.table(metric) for metric in metrics}
    return {m: dict(zip(t.numbers(t.index(clock)), t.numbers(t.index(m)))) for m, t in tables.items()}


@pytest.mark.parametrize("tool", PRESETS)
def test_what_a_tool_prints_is_recognised_and_read(tmp_path: Path, tool: str) -> None:
    text, clock, values = PRINTED[tool]
    path = tmp_path / "log"
    path.write_bytes(text.encode())
    assert recognise(path.read_text().splitlines()) == tool
    found = columns(path, tool, clock, values)
    assert {m: list(column) for m, column in found.items()} == {m: list(column) for m, column in values.items()}
    for metric, column in values.items():
        np.testing.assert_array_equal([*found[metric].values()], [*column.values()])


def test_tables_and_lists_are_no_printed_logs() -> None:
    for text in ("epoch,loss\n1,0.5\n2,0.4", "0.5\n0.4", "epoch loss\n1 0.5\n2 0.4", '{"epoch": 1, "loss": 0.5}', ""):
        assert recognise(text.splitlines()) is None


def test_a_printed_log_is_read_without_being_named(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(PRINTED["keras"][0])
    curve = logs.read(path, metric="val_loss")
    assert (curve.name, curve.clock) == ("val_loss", "epoch")
    np.testing.assert_array_equal(curve.y[:2], [2.65, 0.16])
    (tmp_path / "config.json").write_text('{"betas": [0.9, 0.99]}')  # a list of numbers, but no log
    np.testing.assert_array_equal(logs.read(tmp_path, metric="val_loss").y[:2], [2.65, 0.16])


def test_a_users_own_pattern(tmp_path: Path) -> None:
    path = tmp_path / "slurm.out"
    path.write_text("".join(f"[rank0] step {100 * i} | lr 0.1 | loss {3 / (1 + i)}\nother\n" for i in range(5)))
    curve = logs.read(path, pattern=EXAMPLE, metric="train_loss", clock="step")
    np.testing.assert_allclose(curve.y, [3 / (1 + i) for i in range(5)])
    np.testing.assert_array_equal(curve.t, [0, 100, 200, 300, 400])
    assert curve.name == "train_loss" and curve.metric is not None and curve.metric.direction == "min"
    counted = logs.read(path, pattern=r"loss (?P<val_loss>\S+)")  # without a time values are counted
    assert (counted.t.tolist(), counted.name) == ([1, 2, 3, 4, 5], "val_loss")


PATTERNS = {
    "no expression": ("loss (", r"--pattern 'loss \(' is no regular expression: .*keras, nanogpt"),
    "no group": (r"loss \d+", "has no named group for the values"),
    "a time alone": (r"step (?P<t>\d+)", "has no named group for the values"),
    "no number": (r"step (?P<t>\d+) (?P<y>\w+)", r"log, line 1: --pattern matches t='1', y='loss', which must be num"),
    "no line": ("xgboost", "log has no lines as xgboost prints them; say --pattern with one of keras"),
    "nothing": (r"error (?P<y>\d+)", "log has no lines that match"),
}


@pytest.mark.parametrize(("pattern", "message"), PATTERNS.values(), ids=PATTERNS)
def test_patterns_that_cannot_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str, message: str
) -> None:
    path = tmp_path / "log"
    path.write_text("step 1 loss 0.5\nstep 2 loss 0.4\n")
    with pytest.raises(ValueError, match=message):
        logs.read(path, pattern=pattern)
    assert cli.main(["predict", str(path), "--horizon", "9", f"--pattern={pattern}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.search(message, err) and err.count("\n") == 1


def test_the_command_takes_a_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"step {i}: loss {3 / i}\n" for i in range(1, 6)))
    question = ["predict", str(path), "--horizon", "9", "--json"]
    assert cli.main([*question, "--pattern", EXAMPLE, "--metric", "val_loss"]) == 0
    own = json.loads(capsys.readouterr().out)
    assert (own["column"], own["metric"]["direction"], own["observed"]["count"]) == ("val_loss", "min", 5)
    for flags in (["--pattern", "nanogpt"], []):
        assert cli.main([*question, *flags]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["column"], document["forecast"]) == ("loss", own["forecast"])
    assert cli.main(["predict", str(tmp_path), "--horizon", "9", "--pattern", "keras"]) == 2
    assert "is a folder: a pattern reads one file" in capsys.readouterr().err


def test_help_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert set(PRESETS) <= words


@given(st.text(alphabet="Epoch 1/:[]loss-.0=|\t\n\r\x08\x1b", max_size=200))
def test_any_text_gives_records_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "log"
    path.write_text(text)
    for preset in PRESETS:
        found, problem = [], ""
        try:
            found = read_console(path, name="log", pattern=preset)
        except ValueError as error:
            problem = str(error)
        assert problem.startswith(f"{path} has no lines") or found[0].metrics


@pytest.mark.parametrize("preset", PRESETS)
def test_hostile_lines_take_no_time(tmp_path: Path, preset: str) -> None:
    """Lines that almost match, without an end: what counts of each is bounded, and so is what a pattern backtracks."""
    path = tmp_path / "log"
    starts = ("Epoch 1", "1/1 - ", "[0] ", "{'", "iter 1: loss ", " iteration 1/ 2 |", "x | INFO | valid | epoch 1 |")
    fills = ("a", "a ", " ", "-", "1", "a:", "'", "|", "a-a", "\t", "- : ")
    path.write_text("".join(start + fill * (2 * LONGEST) + "\n" for start in starts for fill in fills))
    begun = time.process_time()
    with suppress(ValueError):  # some match, which is fine
        read_console(path, name="log", pattern=preset)
    assert time.process_time() - begun < 20  # seconds for 77 lines; without the bound it is minutes


@pytest.mark.parametrize("part", ["(a+)+", "(a|aa)*", "(a?){30}", "(?:x(?:a+)?)*", "(?=(a*)*)", "(?:(a)|b){10,}"])
def test_a_pattern_that_may_never_end_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "log"
    path.write_text("a" * 60 + "\n")
    with pytest.raises(ValueError, match="repeats a part that can match in several ways"):
        logs.read(path, pattern=rf"{part}b (?P<y>\d+)")


@pytest.mark.parametrize("part", ["a+.*?", "(?:ab){3}", "(?:a|b)", "(?:ab)+", "[ab]*", "(?:a+b?){2}", "(?:a|b){1,3}"])
def test_usual_repetitions_are_not(tmp_path: Path, part: str) -> None:
    path = tmp_path / "log"
    path.write_text("aabababbaab 3\n")
    assert list(logs.read(path, pattern=rf"{part}[ab]* (?P<y>\d+)").y) == [3]


def test_a_pattern_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("loss 1\n" * 5)
    monkeypatch.setattr("lcpfn.logs.console.PATIENCE", -1.0)
    with pytest.raises(ValueError, match=r"log, line 1: --pattern has taken more than .* is given up"):
        logs.read(path, pattern=r"loss (?P<y>\d+)")
