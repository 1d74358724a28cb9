"""What the subcommands of `lcpfn` do, once their arguments are read."""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from lcpfn import table
from lcpfn.answer import LEVELS, QUANTILES, Answer
from lcpfn.belief import Belief
from lcpfn.checkpoint import Checkpoint, digest
from lcpfn.metric import Metric
from lcpfn.pfn import load, locate

# Words in a column's name that say "lower is better". They stop a loss from being forecast as an accuracy by mistake.
LOSSES = frozenset("loss error err perplexity ppl nll mse rmse mae wer cer regret bpb fid".split())
DEMO_PICTURE = "lcpfn-demo.png"
REPEATS = 20  # forecasts that the demo times


def predict(options: Namespace) -> int:
    """Forecasts the curve of a file; prints a table or JSON, and draws a picture if asked."""
    if options.plot:
        _require("matplotlib", "plot")  # before the work, not after it
    whole = table.curve(table.read(options.file), column=options.column, time_column=options.time_column)
    seen, rest = _split(whole, options.observe)
    horizon = options.horizon
    if options.at is None and horizon is None:
        later = rest.times[~np.isnan(rest.y)]
        if not len(later):
            raise ValueError("say what to forecast: all steps up to --horizon 100, or --at 50,100")
        horizon = later.max()
    pfn = load(options.checkpoint)
    metric = _metric(options, seen.name, pfn.metric)

    def ask(t_query: Any = None, *, horizon: float | None = None, kind: str = options.kind) -> Belief:
        stretch = options.stretch_time
        try:
            return pfn.predict(
                seen.y, t_query, horizon=horizon, t=seen.t, kind=kind, metric=metric, stretch_time=stretch
            )
        except ValueError as error:
            raise ValueError(_in_flags(str(error))) from error

    last = seen.times[~np.isnan(seen.y)].max(initial=-np.inf)
    if options.at is None:
        steps = belief = ask(horizon=horizon)
    elif horizon is None and not options.plot:
        steps = belief = ask(options.at)
    else:  # one question for both: a stretched clock depends on the last time asked about
        end = max(options.at) if horizon is None else horizon
        only_past = horizon is None and end <= last  # as "signal" may be asked
        every = np.union1d(options.at, [] if only_past else ask(horizon=end).t)
        steps = ask(every)
        belief = steps[np.searchsorted(every, options.at)]
    best = None
    if options.incumbent is not None and (ahead := steps.t > last).any():
        best = ask(steps.t[ahead], kind="best")
    answer = Answer(belief, seen, rest, best, options.incumbent)
    if options.plot:
        _draw(options.plot, replace(answer, belief=steps))
    if options.json:
        print(
            json.dumps(answer.document(source=options.file, checkpoint=options.checkpoint), indent=2, allow_nan=False)
        )
    else:
        print(f"{answer.about()}\n\n{answer.table(every=options.at is not None)}")
    return 0


def demo(options: Namespace) -> int:
    """Forecasts a recorded curve, prints forecast and truth side by side, draws both."""
    from lcpfn.demo import CURVES

    recording = CURVES[options.curve]
    whole = table.Curve("validation accuracy", recording.accuracy, None, "epoch")
    if not 0 < options.observe < len(whole):
        raise ValueError(f"--observe must be from 1 to {len(whole) - 1} in the demo, got {options.observe}")
    seen, rest = _split(whole, options.observe)
    pfn = load(options.checkpoint)
    metric = replace(pfn.metric, direction="max", bounds=(0, 1))
    spent = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        belief = pfn.predict(seen.y, horizon=len(whole), metric=metric)
        half = time.perf_counter()
        belief.quantile(np.array(QUANTILES))
        spent.append((1000 * (half - start), 1000 * (time.perf_counter() - half)))
    forecast_ms, quantiles_ms = map(statistics.median, zip(*spent))
    answer = Answer(belief, seen, rest)
    inside = []
    for level in LEVELS:
        low, high = belief.interval(level).T
        inside.append(f"{100 * np.mean((low <= rest.y) & (rest.y <= high)):.0f} % in the {100 * level:.4g} % interval")
    print(f"A small network learns to read digits ({recording.about}).")
    print(f"{answer.about()}\n\n{answer.table(every=False)}\n")
    print(f"Of the {len(rest)} later epochs lie {', '.join(inside)} (one curve: they err together).")
    print(
        f"One forecast of all {len(rest)}: {forecast_ms:.1f} ms, its {len(QUANTILES)} quantiles: {quantiles_ms:.1f} ms"
    )
    sys.stdout.flush()
    if options.out is None and find_spec("matplotlib") is None:
        print(f"lcpfn: no picture: {_advice('matplotlib', 'plot')}", file=sys.stderr)
        return 0
    _require("matplotlib", "plot")
    _draw(options.out or DEMO_PICTURE, answer)
    return 0


def info(options: Namespace) -> int:
    """Prints what a checkpoint is and where it comes from, as an outline or as JSON."""
    path = locate(options.checkpoint)
    checkpoint = Checkpoint.read(path)
    facts = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": digest(path),
        "parameters": sum(values.size for values in checkpoint.weights.values()),
        "config": checkpoint.config,
        "provenance": checkpoint.provenance,
    }
    print(json.dumps({"format": 1, **facts}, indent=2) if options.json else "\n".join(_outline(facts)))
    return 0


def train(arguments: list[str]) -> int:
    """Trains as `python -m lcpfn.training` does, which reads its own arguments."""
    _require("torch", "train")
    code: int = import_module("lcpfn.training.command").main(arguments)  # by name: the library depends on no training
    return code


def _outline(facts: dict[str, Any], indent: str = "") -> Iterator[str]:
    """A line for each fact, those inside another one indented below it."""
    width = max((len(name) for name, fact in facts.items() if not isinstance(fact, dict)), default=0)
    for name, fact in facts.items():
        if isinstance(fact, dict) and fact:
            yield f"{indent}{name}"
            yield from _outline(fact, indent + "  ")
        else:
            grouped = isinstance(fact, int) and not isinstance(fact, bool) and abs(fact) >= 10_000
            text = fact if isinstance(fact, str) else f"{fact:,}" if grouped else json.dumps(fact)
            yield f"{indent}{name:<{width}}  {text}"


def _advice(package: str, extra: str) -> str:
    return f"this needs {package}; install this project with its extra: pip install -e '.[{extra}]'"


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise ImportError(_advice(package, extra))


def _split(whole: table.Curve, observe: int | None) -> tuple[table.Curve, table.Curve]:
    """The curve up to its n-th measured value, and what comes after; the rest keeps its times."""
    measured = np.flatnonzero(~np.isnan(whole.y))
    if observe is not None and observe > len(measured):
        raise ValueError(f"--observe {observe} asks for more values than the {len(measured)} of the curve")
    end = len(whole) if observe is None else measured[observe - 1] + 1 if observe else 0
    return whole[:end], replace(whole, t=whole.times)[end:]


def _metric(options: Namespace, name: str, default: Metric) -> Metric:
    """The metric of the checkpoint, with what the user says of it.

    Raises:
        ValueError: if the column's name contradicts a direction that nobody has given.
    """
    direction = options.direction or default.direction
    if options.direction is None and direction == "max" and LOSSES & set(table.plain(name).split("_")):
        raise ValueError(
            f"in column {name} lower seems to be better: say --direction min (or --direction max if it is not), "
            "and --bounds LOW,HIGH if its values are not confined to 0..1"
        )
    return replace(default, direction=direction, bounds=options.bounds or default.bounds)


def _in_flags(message: str) -> str:
    """An error of the library with the advice that it gives in Python's words put in the command's.

    >>> _in_flags('give them, as in Metric("min", bounds=(0, 100)), or use stretch_time=True')
    'give them, as in --direction min --bounds 0,100, or use --stretch-time'
    """

    def flags(metric: re.Match[str]) -> str:
        direction, low, high = metric.groups()
        parts = [f"--direction {direction}" if direction else "", f"--bounds {low},{high}" if low else ""]
        return " ".join(filter(None, parts))

    message = re.sub(r'Metric\((?:"(max|min)")?,? ?(?:bounds=\((\d+), (\d+)\))?\)', flags, message)
    for word, flag in (
        ("stretch_time=True", "--stretch-time"),
        ('kind="signal"', "--kind signal"),
        ("t_query", "--at"),
    ):
        message = message.replace(word, flag)
    return message


def _draw(path: str, answer: Answer) -> None:
    from lcpfn.plot import fan

    truth = answer.truth
    rest = truth[(truth.times <= max(answer.belief.t)) & ~np.isnan(truth.y)]
    axes = fan(
        answer.belief,
        observed=(answer.seen.times, answer.seen.y),
        truth=(rest.times, rest.y) if len(rest) else None,
        incumbent=answer.incumbent,
        name=answer.seen.name,
        clock=answer.seen.clock,
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(path)
    print(f"picture: {path}", file=sys.stderr)  # beside the answer, which may be JSON
