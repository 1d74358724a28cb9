"""NATS-Bench (Dong, Liu, Musial and Gabrys 2021): 15,625 architectures of NAS-Bench-201 and 32,768 of other sizes.

To get it: the links in the README of github.com/D-X-Y/NATS-Bench. Take the "simple" archives
`NATS-tss-v1_0-3ffb9-simple.tar` (topologies: all runs of NAS-Bench-201) and `NATS-sss-v1_0-50262-simple.tar` (sizes),
unpack, and set LCPFN_NATS_BENCH to one of the two folders or to the folder of both. They hold a file for each
architecture, so that few runs are read fast. The single files `NATS-tss-v1_0-3ffb9.pickle.pbz2` and
`NATS-sss-v1_0-50262.pickle.pbz2` are read too, as a whole and with the memory that takes. The older
`NAS-Bench-201-v1_1-096897.pth` holds the same runs as the topologies and is not read.

These files are pickles, and a pickle can run any code. They are read by an unpickler that builds numbers, strings,
containers and NumPy arrays and refuses everything else.

Layout: the number of epochs as a string ("12", "200"; "01", "12", "90") -> `arch_str` and `all_results`, keyed by (data
set, seed) -> `train_acc1es` and `train_losses` by epoch from 0, `eval_acc1es` and `eval_losses` by
"<evaluation>@<epoch>". Accuracies are in percent. An evaluation of the last epoch alone is no curve and left out.
"""

from __future__ import annotations

import bz2
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.raw import Raw, rank

SUFFIX = ".pickle.pbz2"
_HARMLESS = {
    ("builtins", "set"),
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
}
_MANY = 10**6  # more than there are architectures
_SERIES = {"acc1es": ("accuracy", "max"), "losses": ("loss", "min")}


def read(path: Path, wanted: Callable[[str], bool], *, per_task: int | None = None, seed: int = 0) -> Iterator[Raw]:
    """The curves of the wanted data sets by epoch.

    With `per_task` only so many architectures are opened, in an order that the seed decides, and of each of them one
    run on a data set: the others differ in the seed or in the number of epochs, and come after all architectures.
    """
    files = [path] if path.is_file() else sorted(path.rglob(f"*{SUFFIX}"))
    alone = [file for file in files if re.fullmatch(r"\d{6}", file.name.removesuffix(SUFFIX))]
    found: list[tuple[int, str, Path | dict[str, Any]]] = [
        (rank(seed, file.parent.name, file.name), file.name.removesuffix(SUFFIX), file) for file in alone
    ]
    for file in files:
        unpacked = file.with_name(file.name.removesuffix(SUFFIX) + "-simple")
        if file not in alone and not file.name.startswith("meta.") and (file == path or not unpacked.is_dir()):
            infos = load(file)["arch2infos"]
            found += [(rank(seed, unpacked.name, f"{i:06d}{SUFFIX}"), f"{i:06d}", info) for i, info in infos.items()]
    found.sort(key=lambda item: item[:2])
    for position, (_, index, info) in enumerate(found[:per_task]):
        for task, runs in _runs(index, load(info) if isinstance(info, Path) else info).items():
            if wanted(task):
                order = sorted(runs, key=lambda run: rank(seed, task, run))
                for k, run in enumerate(order if per_task is None else order[:1]):
                    yield from _curves(task, run, runs[run], place=k * _MANY + position)


def load(path: Path) -> Any:
    """What a file holds.

    Raises:
        pickle.UnpicklingError: the file holds more than numbers, strings, containers and NumPy arrays.
    """
    with bz2.open(path) as file:
        return _Numbers(file).load()


class _Numbers(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # as NumPy 1 wrote it
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(
                f"a file of NATS-Bench holds numbers, strings, containers and NumPy arrays only, got {module}.{name}, "
                "which could run code; do not open this file, download it anew"
            )
        return super().find_class(module, name)


def _runs(index: str, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The results of an architecture by data set and run."""
    found: dict[str, dict[str, Any]] = {}
    for epochs, part in info.items():
        space = "tss" if "|" in part["arch_str"] else "sss"
        for (task, seed), result in part["all_results"].items():
            found.setdefault(task, {})[f"{space}/{index}/hp{epochs}/seed{seed}"] = result
    return found


def _curves(task: str, run: str, result: dict[str, Any], *, place: int) -> Iterator[Raw]:
    for series, (name, direction) in _SERIES.items():
        by_epoch: dict[str, dict[int, float]] = {"train": dict(result[f"train_{series}"])}
        for key, value in result[f"eval_{series}"].items():
            evaluation, epoch = key.rsplit("@", 1)
            by_epoch.setdefault(evaluation, {})[int(epoch)] = value
        for evaluation, values in by_epoch.items():
            t = np.array(sorted(values))
            y = np.array([values[epoch] for epoch in t], dtype=float)
            yield Raw(task, run, f"{evaluation}/{name}", direction, "epoch", t + 1.0, y, place)
