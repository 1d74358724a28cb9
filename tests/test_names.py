"""Metric names: every kind in every spelling, percent or fraction, and names that say nothing."""

import os
from pathlib import Path

import numpy as np
import pytest

from lcpfn.metric import Metric
from lcpfn.names import TABLE, lower_is_better, metric_named

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "curves"
CURVES = Path(os.environ.get("LCPFN_CURVES", str(SHARED)).split(os.pathsep)[0])
SHARE, LOSS = Metric("max", bounds=(0, 1)), Metric("min", bounds=(0, None))
ERROR, OPEN = Metric("min", bounds=(0, 1)), Metric("max")
KNOWN = {
    "accuracy": SHARE,
    "val_acc": SHARE,
    "valid/Accuracy": SHARE,
    "x-valid/accuracy": SHARE,
    "ori-test/accuracy": SHARE,
    "eval acc_norm": SHARE,
    "eval/acc_norm": SHARE,
    "eval_masked_lm_accuracy": SHARE,
    "top1_accuracy": SHARE,
    "accuracy_top-5": SHARE,
    "top1": SHARE,
    "test/acc@5": SHARE,
    "Prec@1": SHARE,
    "validationAccuracy": SHARE,
    "val_sparse_categorical_accuracy": SHARE,
    "eval_f1": SHARE,
    "F1-score": SHARE,
    "f1_macro": SHARE,
    "eval/AUC": SHARE,
    "roc_auc": SHARE,
    "val_auroc_epoch": SHARE,
    "eval/BLEU": SHARE,
    "rougeL": SHARE,
    "eval_rouge2": SHARE,
    "eval/mAP": SHARE,
    "metrics/mAP50-95(B)": SHARE,
    "mIoU": SHARE,
    "mean_DICE": SHARE,
    "meanDICE": SHARE,
    "eval/win_rate": SHARE,
    "eval/success": SHARE,
    "rollout/success_rate": SHARE,
    "ndcg@10": SHARE,
    "validation/ssim": Metric("max", bounds=(-1, 1)),
    "eval_matthews_correlation": Metric("max", bounds=(-1, 1)),
    "val_r2": Metric("max", bounds=(None, 1)),
    "return": OPEN,
    "eval/reward": OPEN,
    "env_runners/episode_reward_mean": OPEN,
    "episode_return_mean": OPEN,
    "rollout/ep_rew_mean": OPEN,
    "val_score": OPEN,
    "loss": LOSS,
    "val_loss": LOSS,
    "valid/loss": LOSS,
    "eval-loss": LOSS,
    "final_val/loss": LOSS,
    "train_loss_step": LOSS,
    "val_loss/dataloader_idx_0": LOSS,
    "valLoss": LOSS,
    "Loss/train": LOSS,
    "validation/ctc_loss": LOSS,
    "valid/ce_loss": LOSS,
    "test_nll": LOSS,
    "cross_entropy": LOSS,
    "logloss": LOSS,
    "val_rmse": LOSS,
    "eval_mae": LOSS,
    "mean_squared_error": LOSS,
    "val_mean_absolute_error": LOSS,
    "validation/wer": LOSS,
    "test_word_error_rate": LOSS,
    "eval/fid": LOSS,
    "test/perplexity": Metric("min", bounds=(1, None)),
    "eval/ppl": Metric("min", bounds=(1, None)),
    "val_error": ERROR,
    "validation/error_rate": ERROR,
    "top1_error": ERROR,
    "val_error_top5": ERROR,
    "err@1": ERROR,
    "reconstruction_error": LOSS,
    "brier_score": LOSS,
    "policy_loss": Metric("min"),
    "neg_mean_squared_error": Metric("max", bounds=(None, 0)),
}
UNKNOWN = (
    *(
        "",
        "_",
        "value",
        "y",
        "learning_rate",
        "lr-Adam",
        "grad_norm",
        "loss_scale",
        "episode_len_mean",
        "epoch",
        "step",
    ),
    *(
        "time_this_iter_s",
        "accuracy_std",
        "reward_std",
        "num_env_steps",
        "entropy",
        "kl",
        "epoch",
        "42",
        "é",
    ),
)


@pytest.mark.parametrize(("name", "metric"), KNOWN.items())
def test_a_known_name_has_its_metric(name: str, metric: Metric) -> None:
    assert metric_named(name) == metric
    assert metric_named(name.upper()) == metric or any(letter.isupper() for letter in name[1:])


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_name_has_none(name: str) -> None:
    assert metric_named(name, [0.5]) is None


@pytest.mark.parametrize(
    "prefix", ["val_", "valid/", "eval_", "test-", "train_", "validation/", "eval ", "best_valid/", ""]
)
def test_what_is_evaluated_does_not_matter(prefix: str) -> None:
    for entry in TABLE:
        for name in (name for name in entry.names.split(", ") if not name.startswith("*")):
            assert metric_named(prefix + name.replace(" ", "_")) == Metric(entry.direction, bounds=entry.bounds), name


@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("val_acc", [0.1, 1.0], (0, 1)),
        ("val_acc", [0.1, np.float32(1) + np.finfo(np.float32).eps], (0, 1)),
        ("val_acc", [10.0, 91.5], (0, 100)),
        ("val_acc", [[0.9, 1.2], [np.nan, 0.1]], (0, 100)),
        ("val_acc", [np.nan, np.inf, 0.5], (0, 1)),
        ("val_acc", [], (0, 1)),
        ("Accuracy (%)", [0.7], (0, 100)),
        ("acc_percent", None, (0, 100)),
        ("val_acc", [250.0], (0, None)),
        ("val_acc", [-3.0, 20.0], (None, 100)),
        ("error_rate", [88.0], (0, 100)),
        ("bleu", [0.2, 28.4], (0, 100)),
        ("validation/ssim", [-0.075, 0.72], (-1, 1)),
        ("wer", [0.3, 4.4], (0, None)),
        ("wer", [30.0], (0, None)),
        ("loss", [3.0, 1e24], (0, None)),
        ("loss", [3.0, -0.5], (None, None)),
        ("return", [-66.0, 1000.0], (None, None)),
        ("neg_mean_squared_error", [-3.0], (None, 0)),
        ("neg_mean_squared_error", [-3.0, 1.0], (None, None)),
    ],
)
def test_values_decide_what_a_name_leaves_open(name: str, values: object, bounds: tuple) -> None:
    metric = metric_named(name, values)
    assert metric is not None and metric.bounds == bounds


def test_a_word_anywhere_may_warn_of_a_loss() -> None:
    assert lower_is_better("loss_scaled") and lower_is_better("Val Error (smoothed)") and lower_is_better("ppl/x")
    assert (
        not lower_is_better("images_per_second")
        and not lower_is_better("accuracy")
        and not lower_is_better("closs")
        and not lower_is_better("")
    )


def test_no_name_stands_twice_in_the_table() -> None:
    listed = [name for entry in TABLE for name in entry.names.split(", ")]
    assert len(listed) == len(set(listed))


@pytest.mark.skipif(not CURVES.is_dir(), reason="no real curves: set LCPFN_CURVES to their folder")
def test_every_real_curve_lies_in_the_bounds_of_its_name() -> None:
    pandas = pytest.importorskip("pandas")
    for path in sorted(CURVES.glob("*.parquet")):
        curves = pandas.read_parquet(path, columns=["metric", "direction", "y"])
        for (name, direction), group in curves.groupby(["metric", "direction"]):
            y = np.concatenate(group["y"].to_numpy()).astype(float)
            metric = metric_named(name, y)
            assert metric is not None and metric.direction == direction, (path.name, name)
            plain = metric_named(name)
            assert plain is not None
            assert [end is None for end in metric.bounds] == [end is None for end in plain.bounds], (path.name, name)
