"""What the subcommands of `lcpfn` do, once their arguments are read."""

from __future__ import annotations

import json
import math
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

from lcpfn import logs
from lcpfn.belief import Belief
from lcpfn.cli.answer import LEVELS, QUANTILES, Answer
from lcpfn.logs import table
from lcpfn.metric import Metric
from lcpfn.names import lower_is_better
from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.pfn import PFN, load, locate
from lcpfn.stopping.decision import Decision
from lcpfn.stopping.policy import Policy
from lcpfn.stopping.question import Rivals

DEMO_PICTURE = "lcpfn-demo.png"
REPEATS = 20  # forecasts that the demo times


def predict(options: Namespace) -> int:
    """Forecasts the curve of a file or a run; prints a table or JSON, and draws a picture if asked."""
    if options.plot:
        _require("matplotlib", "plot")  # before the work, not after it
    whole = logs.read(options.file, metric=options.column, run=options.run, clock=options.time_column)
    if whole.replaced:
        print(f"lcpfn: {whole.replaced} values are left out: a restart came to their times again", file=sys.stderr)
    seen, rest = _split(whole, options.observe)
    horizon = options.horizon
    if options.at is None and horizon is None:
        later = rest.times[~np.isnan(rest.y)]
        if not len(later):
            raise ValueError("say what to forecast: all steps up to --horizon 100, or --at 50,100")
        horizon = later.max()
    pfn = load(options.checkpoint)
    metric, assumed = _metric(options, whole, pfn)

    def ask(t_query: Any = None, *, horizon: float | None = None, kind: str = options.kind) -> Belief:
        stretch = options.stretch_time
        try:
            return pfn.predict(
                seen.y,
                t_query,
                horizon=horizon,
                t=seen.t,
                kind=kind,
                metric=metric,
                run_end=options.run_end,
                stretch_time=stretch,
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
    surprise = pfn.surprise(
        seen.y, t=seen.t, metric=metric, horizon=max(steps.t), stretch_time=options.stretch_time
    )  # after the forecast, whose errors say more
    answer = Answer(belief, seen, rest, best, options.incumbent, assumed, surprise)
    card = _judge(options, pfn, answer, end=float(max(steps.t)))
    if options.plot:
        _draw(options.plot, replace(answer, belief=steps), title=None if card is None else card.card().splitlines()[0])
    if options.json:
        document = answer.document(source=options.file, checkpoint=options.checkpoint, decision=_plain(card))
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        lines = [answer.about(), answer.danger(), answer.warning(), "", answer.table(every=options.at is not None)]
        if card is not None:
            lines += ["", card.card(name=whole.name)]
        print("\n".join(line for line in lines if line is not None))
    return 0


def _judge(options: Namespace, pfn: PFN, answer: Answer, *, end: float) -> Decision | None:
    """The stop card: should a run that ends at `end` go on against the incumbent? None without one, or at the end."""
    measured = ~np.isnan(answer.seen.y)
    steps, values = answer.seen.times[measured], answer.seen.y[measured]
    if options.incumbent is None or not len(steps) or steps[0] < 0 or not steps[-1] < end:
        return None
    first = 0 if steps[0] < 1 else 1
    policy = Policy(
        horizon=end - first + 1,
        metric=answer.belief.metric,
        engine=pfn,
        level=options.level,
        start="own" if options.rivals is None else "higher",
        first_step=first,
        stretch_time=options.stretch_time,
    )
    rivals = Rivals(finished=(options.incumbent,), concluded=options.rivals or 1)
    return policy.decide(steps.tolist(), values.tolist(), rivals)


def _plain(card: Decision | None) -> dict[str, Any] | None:
    """A stop card as JSON."""
    if card is None:
        return None
    names = ("stop", "reason", "detail", "p_better", "expected_best")
    facts = {name: getattr(card, name) for name in names}
    quantiles = {str(q): value for q, value in card.quantiles.items()}
    threshold = None if card.verdict is None else card.verdict.threshold
    return {**facts, "threshold": threshold, "quantiles_of_best": quantiles, "turning_point": card.turning_point()}


def demo(options: Namespace) -> int:
    """Forecasts a recorded curve, prints forecast and truth side by side, draws both."""
    from lcpfn.cli.demo import CURVES

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
            if isinstance(fact, list) and len(fact) > 12:
                text = f"{json.dumps(fact[:3])[:-1]}, ... {len(fact):,} in all]"
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


def _metric(options: Namespace, curve: table.Curve, pfn: PFN) -> tuple[Metric, dict[str, str]]:
    """The metric of a curve: as the user says, else the log, else the name, else the checkpoint; and who said what.

    Raises:
        ValueError: if the name contradicts a direction that nobody has given, or leaves a bound open that the
            checkpoint needs.
    """
    named, default = curve.metric, pfn.metric
    direction, by = default.direction, "checkpoint"
    if options.direction is not None:
        direction, by = options.direction, "user"
    elif named is not None:
        direction, by = named.direction, "name" if curve.direction is None else "log"
    elif direction == "max" and lower_is_better(curve.name):
        raise ValueError(
            f"in column {curve.name} lower seems to be better: say --direction min (or --direction max if it is not), "
            "and --bounds LOW,HIGH if its values are not confined to 0..1"
        )
    assumed = {"direction": by, "bounds": "checkpoint" if options.bounds is None else "user"}
    bounds = options.bounds or default.bounds
    if options.bounds is None and named is not None and named.bounds != (None, None):
        bounds, assumed["bounds"] = named.bounds, "name"
        if None in bounds and pfn.inference.coordinates.bounded:
            raise ValueError(_open(curve, bounds))
    return replace(default, direction=direction, bounds=bounds), assumed


def _open(curve: table.Curve, bounds: tuple[float | None, float | None]) -> str:
    """The error for a metric that has an open side, when the checkpoint needs both; with bounds that would do."""
    y = curve.y[np.isfinite(curve.y)]
    low, high = bounds
    if low is None:
        low = -_round_up(-y.min(initial=0.0))
    if high is None:
        high = _round_up(y.max(initial=0.0) - low) + low
    missing = "upper" if bounds[1] is None else "lower"
    return (
        f"{curve.name} has no {missing} bound by its name, and this checkpoint needs both: say --bounds LOW,HIGH with "
        f"values that it will not pass (all there are lie within --bounds {low:g},{high:g}), or --checkpoint with one "
        "that was trained without bounds"
    )


def _round_up(value: float) -> float:
    """The next number of the form 1, 2 or 5 times a power of ten; 1 for what is not above 0.

    >>> _round_up(2.3), _round_up(0.07), _round_up(20.0)
    (5.0, 0.1, 20.0)
    """
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(f"{step * power:.6g}") for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


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


def _draw(path: str, answer: Answer, *, title: str | None = None) -> None:
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
        title=title,
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(path)
    print(f"picture: {path}", file=sys.stderr)  # beside the answer, which may be JSON
