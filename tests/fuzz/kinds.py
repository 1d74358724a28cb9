"""Every kind of input that comes from outside: how one is made from a seed, and what is done with it.

A kind is a function of dice and an empty folder; it raises what the library raises, and returns if that took the input.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from fuzz import samples
from fuzz.mutations import BYTES, ODD, as_json, changed, damaged, database, json_lines

import lcpfn
from lcpfn import Metric, logs
from lcpfn.network.checkpoint import KEY, Checkpoint
from lcpfn.stopping import Stopper

Kind = Callable[[random.Random, Path], bool]
REFUSALS = (ValueError, TypeError, OSError)  # what a function may say of what it was given


class Fault(AssertionError):
    """What must never happen, though no error was raised."""


def _read(path: Path, dice: random.Random) -> bool:
    found = logs.runs(path)
    metric = dice.choice((None, None, None, "val_acc", "val_acc", "1", "loss"))
    run = dice.choice((*(each.name for each in found or ()), None, None, "trial_id=0"))
    curve = logs.read(path, metric=metric, run=run, clock=dice.choice((None, None, None, "step", "rows", "epoch")))
    if dice.random() < 0.05 and len(curve.y):
        _judge(_pfn().predict(curve.y[-40:], [len(curve.y) + 1], t=None, metric=curve.metric))
    return True


def _log(name: str, data: bytes, *, text: bool = False, folder: bool = False) -> Kind:
    def kind(dice: random.Random, place: Path) -> bool:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json_lines(data, dice) if text and dice.random() < 0.6 else damaged(data, dice))
        return _read(place if folder or dice.random() < 0.2 else path, dice)

    return kind


def _database(text: str) -> Kind:
    def kind(dice: random.Random, place: Path) -> bool:
        path = place / "store.db"
        path.write_bytes(samples.database(text))
        if dice.random() < 0.7:
            database(path, dice)
        else:
            path.write_bytes(damaged(path.read_bytes(), dice))
        return _read(path, dice)

    return kind


def tensorboard(dice: random.Random, place: Path) -> bool:
    """Event files: damaged records, and damaged messages in whole records."""
    path = place / "events.out.tfevents.1700000000.host.1.0"
    events = list(samples.EVENTS)
    if dice.random() < 0.6:
        one = dice.randrange(len(events))
        events[one] = damaged(events[one], dice)
        path.write_bytes(b"".join(map(samples.record, events)))
    else:
        path.write_bytes(damaged(b"".join(map(samples.record, events)), dice))
    return _read(dice.choice((path, place)), dice)


def mlruns(dice: random.Random, place: Path) -> bool:
    """The file store of MLflow."""
    run = place / "mlruns" / "1" / "aaa"
    (run / "metrics" / "val").mkdir(parents=True)
    one = dice.random() < 0.6
    (run / "meta.yaml").write_bytes(samples.META.encode() if one else damaged(samples.META.encode(), dice))
    (run / "metrics" / "val" / "acc").write_bytes(damaged(samples.METRIC, dice) if one else samples.METRIC)
    return _read(dice.choice((place, run, run / "metrics" / "val" / "acc")), dice)


@lru_cache(maxsize=1)
def _pfn() -> lcpfn.PFN:
    return lcpfn.load()


@lru_cache(maxsize=1)
def _tiny() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and weights of a small network, made without torch."""
    from lcpfn.network.config import ModelConfig
    from lcpfn.network.coordinates import Coordinates
    from lcpfn.network.shapes import shapes

    config = ModelConfig(width=8, layers=1, heads=2, hidden=8, decoder=8, components=3)
    dice = np.random.default_rng(0)
    weights = {name: dice.normal(0, 0.3, s).astype(np.float32) for name, s in shapes(config, Coordinates()).items()}
    facts = dict.fromkeys(("seed", "commit", "curves_seen", "scores", "versions"))
    header = {
        "format": 1,
        "config": {"model": dataclasses.asdict(config), "coordinates": dataclasses.asdict(Coordinates())},
        "prior": {"name": "planted:prior", "parameters": {}, "bounds": [0.0, 1.0]},
        **facts,
    }
    return json.loads(json.dumps(header)), weights


def checkpoint(dice: random.Random, place: Path) -> bool:
    """Weights files: header, tensors and bytes."""
    header, weights = _tiny()
    weights = dict(weights)
    path = place / "net.safetensors"
    signed = dice.random() < 0.3
    if signed:
        facts = {key: value for key, value in header.items() if key not in ("format", "config")}
        Checkpoint(header["config"], weights, facts).write(path, dtype=dice.choice((None, "float16")))
        data = path.read_bytes()
    else:
        what = dice.random()
        if what < 0.4:
            header = changed(header, dice)
        elif what < 0.7:
            name = dice.choice(list(weights))
            odd: Any = dice.choice(
                (
                    lambda w: w.astype(np.float64),
                    lambda w: w.astype(np.int32),
                    lambda w: w[..., :-1],
                    lambda w: w[None],
                    lambda w: w.T,
                    lambda w: w * np.float32(1e38),
                    lambda w: w * np.float32("nan"),
                    lambda w: w * np.float32(dice.uniform(-900, 900)),
                    lambda w: np.zeros((0,), np.float32),
                )
            )
            weights[name] = np.ascontiguousarray(odd(weights[name]))
            if dice.random() < 0.2:
                weights[str(dice.choice(ODD))[:30].encode("ascii", "ignore").decode() or "x"] = weights.pop(name)
        text = as_json(header, dice).decode("utf-8", "replace")
        data = safetensors.numpy.save(weights, metadata={KEY: text})
    if dice.random() < (1.0 if signed else 0.4):
        start = data.index(b"{") if dice.random() < 0.5 else 0
        stop = 8 + struct.unpack("<Q", data[:8])[0]
        head = damaged(data[start:stop], dice)
        if start and dice.random() < 0.8:  # the length is right
            data = struct.pack("<Q", len(head)) + head + data[stop:]
        elif dice.random() < 0.5:
            data = data[:start] + head + data[stop:]
        else:
            data = data[:stop] + damaged(data[stop:], dice)
    if dice.random() < 0.02:
        data = dice.choice(BYTES) + data
    path.write_bytes(data)
    pfn = lcpfn.load(path)
    metric = Metric("max", bounds=(0, 1)) if None in pfn.metric.bounds else pfn.metric
    low, high = metric.bounds
    if low is None or high is None:
        low, high = 0.0, 1.0
    y = [low + share * (high - low) for share in (0.2, 0.3, 0.5)]
    _judge(pfn.predict(y, [4, 50], metric=metric))
    repr(pfn)
    return True


def _judge(belief: Any) -> None:
    """A belief must be of numbers: NaN without a word is a fault."""
    numbers = [belief.quantile([0.05, 0.5, 0.95]), belief.mean(), belief.prob_better(0.5), belief.interval(0.5)]
    if any(not np.isfinite(each).all() for each in numbers):
        raise Fault(f"a belief holds NaN or infinity: {[each.tolist() for each in map(np.asarray, numbers)]}"[:300])
    q = numbers[0]
    if (np.diff(q, axis=-1) < 0).any():
        raise Fault(f"quantiles do not increase: {q.tolist()}"[:300])


def _values(dice: random.Random) -> Any:
    n = dice.choice((0, 1, 2, 3, 5, 9, 30, 130))
    unit = 10.0 ** dice.choice((-320, -300, -160, -12, -6, 0, 0, 0, 0, 3, 12, 99, 160, 300))
    y = [unit * dice.choice((0.0, 1.0, dice.random(), dice.gauss(0, 1))) for _ in range(n)]
    what = dice.random()
    if dice.random() < 0.3:
        y = [min(1.0, max(0.0, 0.5 + 0.1 * dice.gauss(0, 1))) for _ in range(n)]
    if what < 0.25:
        y = [dice.choice((0.0, 1.0, 5e-324))] * n
    elif what < 0.4 and n:
        y[dice.randrange(n)] = dice.choice(ODD)
    elif what < 0.5:
        return dice.choice(
            (np.array(y), np.array([y, y]), [y, y[:-1]], np.array(y, np.float32), tuple(y), y[0] if n else 1)
        )
    elif what < 0.55:
        return dice.choice(ODD)
    return y


def _question(dice: random.Random, y: Any = ()) -> dict[str, Any]:
    times = (0, 1, 2, 3, 4, 10, 100, 1e-10, 1e10, 1e300, -1, 5e-324, *ODD)
    bounds = (None, 0, 1, -1, 100, 1e-3, 5e-324, 1e308, *ODD)
    if dice.random() < 0.3:  # most of what is odd is refused at once: some questions are plain but for the values
        times, bounds = (1, 2, 3, 10, 100, 250), (None, 0, 1, -5, 100)
    asked: dict[str, Any] = {"kind": dice.choice(("value", "signal", "best") * 9 + ("x", None))}
    if dice.random() < 0.4:
        unit = 10.0 ** dice.choice((-300, -10, 0, 3, 15, 300))
        points = len(y) if dice.random() < 0.9 and isinstance(y, (list, tuple, np.ndarray)) else 3
        asked["t"] = [unit * (i + 1) for i in range(points)] if dice.random() < 0.9 else dice.choice(ODD)
    if dice.random() < 0.6:
        sign, pair = dice.choice(("max", "min")), (dice.choice(bounds), dice.choice(bounds))
        pair = dice.choice(((0, 1), (-1, None), (None, None), (None, None), pair))
        asked["metric"] = Metric(sign, bounds=pair, overshoot=dice.random() < 0.2)
    if dice.random() < 0.5:
        asked["horizon"] = dice.choice((10, 50, 200, *times))
    else:
        asked["t_query"] = dice.choice(([50], [131, 200], [dice.choice(times) for _ in range(3)], dice.choice(times)))
    if dice.random() < 0.2:
        asked["run_end"] = dice.choice((100, 300, *times))
    if dice.random() < 0.1:
        asked["stretch_time"] = True
    return asked


def predict(dice: random.Random, place: Path) -> bool:
    """Arrays of any sort, asked anything."""
    pfn = _pfn() if dice.random() < 0.7 else _paper()
    y = _values(dice)
    _judge(pfn.predict(y, **_question(dice, y)))
    return True


def replay(dice: random.Random, place: Path) -> bool:
    """The same after every prefix, and the alarm."""
    y = _values(dice)
    asked = _question(dice, y)
    if dice.random() < 0.7:
        made = _pfn().replay(y, **asked)
        if made.valid.any():
            _judge(made.belief[made.valid])
        return True
    told = _pfn().surprise(y, **{key: asked[key] for key in ("t", "metric") if key in asked})
    if not np.isfinite(np.asarray(told.log_e)[~np.isnan(told.t)]).all():
        raise Fault("the evidence of an alarm is not finite")
    return True


def stream(dice: random.Random, place: Path) -> bool:
    """Point by point."""
    asked = _question(dice)
    made = _pfn().stream(**{key: asked[key] for key in ("metric", "run_end") if key in asked})
    for i in range(dice.choice((1, 3, 8))):
        step = dice.choice((i + 1, i + 1, i + 1, dice.choice(ODD)))
        made.observe(step, dice.choice((dice.random(), dice.random(), 0.0, dice.choice(ODD))))
    _judge(made.predict(dice.choice(([50], [20, 30], dice.choice(ODD)))))
    return True


@lru_cache(maxsize=1)
def _paper() -> lcpfn.PFN:
    return lcpfn.load("paper")


def _stopper(**options: Any) -> Stopper:
    return Stopper(metric=Metric("max", bounds=(0, 1)), horizon=20, **options)


@lru_cache(maxsize=1)
def _state() -> bytes:
    made = _stopper()
    for trial in ("good", "bad"):
        for step in range(1, 5):
            made.update(trial, step, 0.2 * step if trial == "good" else 0.1)
    made.finish("good")
    return made.to_json().encode()


def stopper_state(dice: random.Random, place: Path) -> bool:
    """The file of a stopper, read, gone on with, and read again."""
    path = place / "stopper.json"
    path.write_bytes(json_lines(_state(), dice) if dice.random() < 0.7 else damaged(_state(), dice))
    before = path.read_bytes()
    try:
        made = _stopper(path=path)
    except REFUSALS:
        if path.read_bytes() != before:
            raise Fault("a state that was refused is no longer what it was") from None
        raise
    made.update("new", 1, 0.5)
    if "new" not in _stopper(path=path):
        raise Fault("an update is not in the file")
    return True


def stopper_calls(dice: random.Random, place: Path) -> bool:
    """Updates with anything."""
    made = _stopper(audit=dice.choice((0.0, 0.5)))
    for i in range(dice.choice((1, 4, 10))):
        trial = dice.choice(("a", "b", 7, dice.choice(ODD)))
        step, value = dice.choice((i + 1, i + 1, dice.choice(ODD))), dice.choice((dice.random(), 0.0, dice.choice(ODD)))
        made.update(trial, step, value)
    if dice.random() < 0.3:
        made.finish(dice.choice(("a", "b", dice.choice(ODD))))
    again = _stopper()
    again.load_json(made.to_json())
    if again.to_json() != made.to_json():
        raise Fault("a state that was written and read is another one")
    return True


def training_state(dice: random.Random, place: Path) -> bool:
    """The state of a training run."""
    import torch

    from lcpfn.training import state

    path = place / "state.safetensors"
    facts = {"step": 3, "elapsed": 1.5, "options": {"prior": "planted:prior", "lr": 0.1}}
    state.save(path, {"model.w": torch.ones(3, 4), "adam.0.step": torch.tensor(3.0)}, facts)
    data = path.read_bytes()
    stop = 8 + struct.unpack("<Q", data[:8])[0]
    if dice.random() < 0.5:
        head = json.loads(data[8:stop])
        inner = json.loads(head["__metadata__"]["lcpfn-run"])
        head["__metadata__"]["lcpfn-run"] = as_json(changed(inner, dice), dice).decode("utf-8", "replace")
        text = json.dumps(head if dice.random() < 0.8 else changed(head, dice)).encode()
        data = struct.pack("<Q", len(text)) + text + data[stop:]
    else:
        data = damaged(data, dice)
    path.write_bytes(data)
    state.load(path, "cpu")
    return True


def odd_files(dice: random.Random, place: Path) -> bool:
    """Pipes, devices, links, folders and pickles in place of files."""
    path = place / dice.choice(
        ("net.safetensors", "log.csv", "result.json", "events.out.tfevents.1.h", "evaluations.npz")
    )
    what = dice.randrange(6)
    if what == 0:
        os.mkfifo(path)
    elif what == 1:
        path.symlink_to(dice.choice(("/dev/zero", "/dev/null", "/dev/full", str(path), "/proc/self/mem", "/nowhere")))
    elif what == 2:
        path.mkdir()
    elif what == 3:
        path.write_bytes(samples.arrays(hostile=True))
    elif what == 4:
        path.write_bytes(
            damaged(b"\x80\x04c__builtin__\nexec\n(X\x16\x00\x00\x00open('marker','w').close()\ntR.", dice)
        )
    else:
        path.write_bytes(b"")
    route = dice.randrange(4)
    if route == 0:
        lcpfn.load(path)
    elif route == 1:
        _read(path, dice)
    elif route == 2:
        _read(place, dice)
    else:
        _stopper(path=path)
    return True


KINDS: dict[str, Kind] = {
    "csv": _log("log.csv", samples.CSV),
    "numbers": _log("numbers.txt", samples.NUMBERS),
    "tsv": _log("dvclive/plots/metrics/acc.tsv", samples.TSV),
    "console": _log("train.log", samples.CONSOLE),
    "trainer_state": _log("trainer_state.json", samples.STATE, text=True),
    "result_json": _log("result.json", samples.RESULT, text=True),
    "evals_json": _log("evals_result.json", samples.EVALS, text=True),
    "optuna_journal": _log("journal.log", samples.JOURNAL, text=True),
    "optuna_db": _database(samples.OPTUNA),
    "mlflow_db": _database(samples.MLFLOW),
    "mlruns": mlruns,
    "tensorboard": tensorboard,
    "zip": _log("results.csv.zip", samples.archive()),
    "npz": _log("evaluations.npz", samples.arrays()),
    "checkpoint": checkpoint,
    "stopper_state": stopper_state,
    "training_state": training_state,
    "odd_files": odd_files,
    "predict": predict,
    "replay": replay,
    "stream": stream,
    "stopper_calls": stopper_calls,
}
