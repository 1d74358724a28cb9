"""LCBench (Zimmer, Lindauer and Hutter 2021): 2,000 settings of a network on each of 35 data sets, 50 epochs.

To get it: figshare project 74151 "LCBench", file `data_2k_lw.zip` (340 MB, without the statistics of single layers) or
`data_2k.zip`; unzip, and set LCPFN_LCBENCH to the JSON file in it, or to the folder. The older `six_datasets_lw.json`
and `fashion_mnist.json` have the same layout. A file is read whole, as text (1 GB), and parsed one run at a time.

Layout: data set -> number of the setting as a string -> `config`, `log` (lists, one entry for each evaluation),
`results`. The first entry of a list is the evaluation before training, 1 to 50 are the epochs, the last one (left out
in some older files) is the final network once more. Accuracies are in percent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.raw import Raw

EPOCHS = 50
NAMES = {  # in the log -> here, with the direction
    "Train/val_accuracy": ("validation/accuracy", "max"),
    "Train/val_balanced_accuracy": ("validation/balanced_accuracy", "max"),
    "Train/val_cross_entropy": ("validation/cross_entropy", "min"),
    "Train/test_result": ("test/accuracy", "max"),
    "Train/test_balanced_accuracy": ("test/balanced_accuracy", "max"),
    "Train/test_cross_entropy": ("test/cross_entropy", "min"),
    "Train/train_accuracy": ("train/accuracy", "max"),
    "Train/train_balanced_accuracy": ("train/balanced_accuracy", "max"),
    "Train/train_cross_entropy": ("train/cross_entropy", "min"),
    "Train/loss": ("train/loss", "min"),
}
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def read(path: Path, wanted: Callable[[str], bool], *, per_task: int | None = None, seed: int = 0) -> Iterator[Raw]:
    """The curves of the wanted data sets by epoch, of all runs: a file is read as a whole, however few are needed."""
    for file in [path] if path.is_file() else sorted(path.glob("*.json")):
        for task, run, found in _runs(file.read_text(), wanted):
            log = found["log"]
            for name, (ours, direction) in NAMES.items():
                if name in log:
                    y = np.array(log[name][1 : 1 + EPOCHS], dtype=float)  # null becomes NaN
                    yield Raw(task, run, ours, direction, "epoch", np.arange(1.0, len(y) + 1), y)


def _runs(text: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, Any]]:
    """Data set, setting and run, parsed one at a time: all at once would take several times the memory."""
    at = _past("{", text, 0)
    while text[at : at + 1] != "}":
        task, at = _key(text, at)
        at = _past("{", text, at)
        while text[at : at + 1] != "}":
            run, at = _key(text, at)
            found, at = _DECODER.raw_decode(text, at)
            if wanted(task):
                yield task, run, found
            at = _next(text, at)
        at = _next(text, at + 1)


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _past(mark: str, text: str, at: int) -> int:
    """Where the text goes on behind a mark that must come next."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(
            f"a file of LCBench must be objects of objects, data set -> setting -> run, got {text[at : at + 20]!r} "
            f"instead of {mark!r} at character {at}; take the JSON file out of data_2k_lw.zip"
        )
    return _skip(text, at + 1)


def _key(text: str, at: int) -> tuple[str, int]:
    key, at = _DECODER.raw_decode(text, at)
    return key, _past(":", text, at)


def _next(text: str, at: int) -> int:
    """The next member of an object, or its end."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at : at + 1] == "," else at
