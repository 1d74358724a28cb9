"""What a metric's name says of it: one table from names to direction and bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lcpfn.metric import Metric

ROUNDING = 1e-6  # a share may pass 1 by this much (float32 means) without being a percentage


@dataclass(frozen=True)
class Entry:
    """A row of the table: what the metrics of these names have in common."""

    direction: str
    bounds: tuple[float | None, float | None]  # of a fraction, where the metric is a share
    names: str  # separated by commas, words by spaces; "* word" asks for another word before it
    share: bool = False  # a share of something, given as a fraction or in percent


# A name is cut into words, data sets and statistics at its ends are taken off (`AROUND`), and the longest name of the
# table that it ends with decides: `val/masked_lm_accuracy` is an accuracy, `loss_scale` is unknown.
TABLE = (
    Entry(
        "max",
        (0, 1),
        "accuracy, acc, acc norm, top, categorical accuracy, correct, exact match, em, pass at, "
        "auc, auroc, auprc, aucpr, roc auc, pr auc, roc auc ovr, average precision, ap, map, ar, mar, "
        "f1, f2, fbeta, precision, prec, recall, tpr, tnr, sensitivity, specificity, "
        "dice, dice coefficient, dice coef, iou, miou, jaccard, pq, "
        "bleu, sacrebleu, rouge, rouge l, rougel, rougelsum, meteor, chrf, spbleu, bertscore, "
        "ndcg, mrr, hits, hit rate, hit ratio, win rate, winrate, success, success rate, is success, solve rate",
        share=True,
    ),
    Entry("max", (-1, 1), "ssim, ms ssim, msssim, cosine similarity, cosine sim"),
    Entry("max", (-1, 1), "mcc, matthews correlation, matthews corrcoef, kappa, pearson, pearsonr, spearman"),
    Entry("max", (None, 1), "r2, r squared, explained variance, nse"),
    Entry("max", (1, None), "inception"),
    Entry("max", (None, None), "return, returns, reward, rewards, rew, episodic return, score, psnr, elbo, snr, sdr"),
    Entry("max", (None, None), "log likelihood, loglikelihood, loglik, log prob, logprob, elo"),
    Entry("min", (0, 1), "error, err, error top, err top, error rate, err rate, classification error", share=True),
    Entry(
        "min",
        (0, 1),
        "merror, misclassification, misclassification rate, misclassification error, top error, top err",
        share=True,
    ),
    Entry("min", (0, 1), "ece, calibration error, eer, equal error rate, fpr, fnr, miss rate, hamming", share=True),
    # Rates of edits: more insertions than words carry them past 1.
    Entry("min", (0, None), "wer, cer, word error rate, character error rate, char error rate"),
    Entry("min", (1, None), "perplexity, ppl"),
    Entry("min", (0, None), "log perplexity, log ppl, bits per byte, bpb, bits per character, bpc, bpd"),
    Entry("min", (0, None), "loss, losses, cost, ce, bce, nll, negative log likelihood"),
    Entry(
        "min",
        (0, None),
        "xent, cross entropy, crossentropy, logloss, mlogloss, multiclass, brier, crps, pinball, "
        "quantile loss, huber, hinge",
    ),
    Entry("min", (0, None), "* error, * err, mse, rmse, rmsle, msle, mae, mape, smape, wape, mase, nrmse, l1, l2"),
    Entry("min", (0, None), "fid, kid, fvd, lpips, edit distance, levenshtein, regret, ade, fde, mpjpe"),
    # Losses that are no distance from anything: they may well be negative.
    Entry("min", (None, None), "policy loss, actor loss, pg loss, surrogate loss, generator loss"),
    Entry("min", (None, None), "policy gradient loss, g loss, d loss, gen loss, wasserstein loss, actor critic loss"),
)
AROUND = frozenset(  # words at the ends that say of what, and how summed up, not what is measured
    "train training trn tr val valid validation dev eval evaluation test testing ori x metrics metric perf objective "
    "epoch step iter batch mean avg average median total overall max min best last final latest ema smoothed raw "
    "macro micro weighted dataloader idx all".split()
)
_PERCENT = frozenset(("pct", "percent", "percentage"))
_ROWS = {tuple(name.split()): entry for entry in TABLE for name in entry.names.split(", ")}
_WORDS = {word for name in _ROWS for word in name}


def metric_named(name: str, values: ArrayLike | None = None) -> Metric | None:
    """The metric that a name stands for, by `TABLE`; None if the name says nothing.

    Capitals, separators, data sets, statistics and numbers do not matter: `val_acc`, `eval/top-1 accuracy` and
    `test-acc@5` are one metric.

    Args:
        name: as a log or a table calls it.
        values: what was measured, any shape, NaN and infinite values are passed over. They decide what a name leaves
            open: a share is in percent if one is above 1, and a bound that one of them breaks is no bound (a loss
            that falls below 0). Without them a share is a fraction, unless the name says percent.

    Example:
        >>> metric_named("validation/top1_accuracy", [12.5, 48.0])
        Metric(direction='max', bounds=(0.0, 100.0), overshoot=False)
        >>> metric_named("val_loss").bounds
        (0.0, None)
        >>> metric_named("learning_rate") is None
        True
    """
    split_capitals = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # second: mAP and mIoU are not two words
    for spelling in (name, split_capitals):
        words = _words(spelling)
        entry = _entry(words)
        if entry is not None:
            break
    else:
        return None
    y = np.asarray([] if values is None else values, dtype=float)
    y = y[np.isfinite(y)]
    negated = "neg" in words[:-1]  # scikit-learn's neg_mean_squared_error
    if negated:
        y = -y
    low, high = entry.bounds
    if entry.share and ("%" in name or _PERCENT & set(plain(name).split("_")) or (y > 1 + ROUNDING).any()):
        high = 100
    if low is not None and (y < low - ROUNDING).any():
        low = None
    if high is not None and (y > high * (1 + ROUNDING)).any():
        high = None
    if negated:
        low, high = (None if end is None else 0.0 - end for end in (high, low))
        return Metric("min" if entry.direction == "max" else "max", bounds=(low, high))
    return Metric(entry.direction, bounds=(low, high))


def plain(name: str) -> str:
    """A name as it is compared: `val/Acc` and `_step` are `val_acc` and `step`."""
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


def lower_is_better(name: str) -> bool:
    """Whether a word of the name, wherever it stands, is that of a metric whose lower values are better."""
    found = (_ROWS.get((word,)) for word in plain(name).split("_"))
    return any(entry is not None and entry.direction == "min" for entry in found)


def _words(name: str) -> list[str]:
    """The words that say what is measured: `test/Acc@5 (%)` is `acc`, `mAP50-95(B)` is `map`."""
    words = []
    for word in plain(re.sub(r"\([^)]*\)", " ", name)).split("_"):
        known = word if word in _WORDS else word.rstrip("0123456789")
        if known:
            words.append(known)
    while words and words[-1] in AROUND | _PERCENT:
        words.pop()
    while words and words[0] in AROUND:
        words.pop(0)
    return words


def _entry(words: list[str]) -> Entry | None:
    for start in range(len(words)):
        end = tuple(words[start:])
        entry = (_ROWS.get(("*", *end)) if start else None) or _ROWS.get(end)
        if entry is not None and end == ("score",) and start:  # an F1 score is an F1
            return _entry(words[:-1]) or entry
        if entry is not None:
            return entry
    return None
