"""How common tools print what they measure: where the time stands in a line, and each metric behind it.

A line is one of a tool's if `line` is found in it; then `pair` is found again and again in what that calls `rest`.
"""

from __future__ import annotations

from dataclasses import dataclass

NUMBER = r"(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?\b|[-+]?nan\b)"


@dataclass(frozen=True)
class Preset:
    """How lines of one tool are read."""

    clock: str  # name of the time
    line: str  # groups: t or u, the time, if it stands there; part, the data, which goes before the names; rest
    pair: str  # groups: name, y
    begin: str | None = None  # a line before these which holds the time, as the group t


_WORD = r"[A-Za-z][A-Za-z0-9_./@-]*"
PRESETS = {
    # 100/100 - 2s - loss: 2.4196 - val_loss: 2.652, below a line "Epoch 1/50"; a bar that is not full does not count
    "keras": Preset(
        "epoch",
        r"^\s*(?P<n>\d+)/(?P=n)\b[^:]*?-(?P<rest>.*\w: .*)",
        rf"\b(?P<name>[A-Za-z_]\w*): (?P<y>{NUMBER})",
        begin=r"^\s*Epoch (?P<t>\d+)(?:/\d+)?\s*$",
    ),
    # step 250: train loss 3.9, val loss 4.0 | iter 250: loss 3.95, time 13.20ms (nanoGPT) | step:250/1770 val_loss:3.9
    "nanogpt": Preset(
        "step",
        r"^(?:step|iter)[ :]\s*(?P<t>\d+)(?:/\d+)?[^:|a-z]*[:| ]\s*(?P<rest>.*loss.*)",
        rf"\b(?P<name>(?:train |val |training |validation )?loss|(?:train|val)_loss):?\s*(?P<y>{NUMBER})",
    ),
    # iteration 100/ 5000 | consumed samples: 256 | lm loss: 9E+00 |
    # validation loss at iteration 100 | lm loss value: 9E+00 |
    "megatron": Preset(
        "iteration",
        r"\b(?:iteration\s+(?P<t>\d+)/\s*\d+ |(?P<part>validation|test) loss at iteration (?P<u>\d+))(?P<rest>\s*\|.*)",
        rf"\|\s*(?P<name>[A-Za-z][\w ]*?)(?: value)?\s*:\s*(?P<y>{NUMBER})",
    ),
    # [0]	train-mlogloss:0.70	eval-mlogloss:0.82 | [0]	train-auc:0.9+0.01 (of xgboost.cv, where the mean counts)
    "xgboost": Preset(
        "iteration",
        r"^(?:\[[\d:]{8}\]\s*)?\[(?P<t>\d+)\]\s+(?P<rest>[^\s:]+-[^\s:]+:.*)",
        rf"(?<!\S)(?P<name>[^\s:]+-[^\s:]+):(?P<y>{NUMBER})",
    ),
    # [10]	training's l2: 0.2	valid_1's l2: 0.24 | [LightGBM] [Info] Iteration:10, valid_1 auc : 0.83
    "lightgbm": Preset(
        "iteration",
        r"^(?:\[LightGBM\] \[Info\] Iteration:(?P<u>\d+),|\[(?P<t>\d+)\]\s)[ \t]*(?P<rest>[^:\s]+ [^:\t]+:.*)",
        rf"(?:^|\t)\s*(?P<name>[^:\t]+?)\s*:\s*(?P<y>{NUMBER})",
    ),
    # 0:	learn: 0.6713	test: 0.6746	best: 0.6746 (0)	total: 62ms	remaining: 1m
    "catboost": Preset(
        "iteration", r"^(?P<t>\d+):\s+(?P<rest>(?:learn|test\d*): .*)", rf"\b(?P<name>learn|test\d*): (?P<y>{NUMBER})"
    ),
    # ... | INFO | valid | epoch 001 | valid on 'valid' subset | loss 5.6 | nll_loss 4.1 | ppl 17
    "fairseq": Preset(
        "epoch",
        r"\| INFO \| (?P<part>train|valid|test) \| epoch (?P<t>\d+)(?P<rest> \|.*)",
        rf"\| (?P<name>[a-z]\w*) (?P<y>{NUMBER})(?=\s*(?:\||$))",
    ),
    # Epoch(val) [1][5000]	bbox_mAP: 0.05, bbox_mAP_50: 0.1 (OpenMMLab, all versions)
    "mmdet": Preset(
        "epoch",
        r"\bEpoch\((?P<part>val|test)\) *\[(?P<t>\d+)\]\s*\[[^\]]*\]\s*(?P<rest>.*)",
        rf"(?<![\w/])(?P<name>[A-Za-z][\w/.@-]*): (?P<y>{NUMBER})",
    ),
    # iter: 19  total_loss: 1.9  loss_cls: 0.6  time: 0.3
    "detectron2": Preset("iter", r"\biter: (?P<t>\d+)\s+(?P<rest>.*)", rf"\b(?P<name>[A-Za-z]\w*): (?P<y>{NUMBER})"),
    # {'eval_loss': 1.2, 'eval_accuracy': 0.8, 'epoch': 1.0}
    "transformers": Preset(
        "epoch",
        r"^\s*\{(?P<rest>'[^{}]*'epoch': '?(?P<t>[\d.]+)'?[^{}]*)\}",
        rf"'(?P<name>\w+)': '?(?P<y>{NUMBER})'?(?=,|$)",
    ),
    # * Acc@1 63.1 Acc@5 85, below lines "Epoch: [0][10/5005]" (examples/imagenet of PyTorch)
    "imagenet": Preset(
        "epoch",
        r"^\s*\*\s+(?P<rest>Acc@1 .*)",
        rf"(?P<name>Acc@\d+) (?P<y>{NUMBER})",
        begin=r"^Epoch: \[(?P<t>\d+)\]\[",
    ),
    # Epoch 3/50: train loss 0.51, val acc: 0.83 | Epoch [3/50], Loss=0.51: what most people's own loops print
    "epochs": Preset(
        "epoch",
        r"\b[Ee]poch[ :=#]*\[?(?P<t>\d+)(?:\s*(?:/|of)\s*\d+)?\]?(?P<rest>.*)",
        rf"(?<![A-Za-z0-9_])(?P<name>{_WORD}(?: {_WORD}){{0,3}})(?:\s*[:=]\s*| )(?P<y>{NUMBER})(?![\w/.:])",
    ),
}
