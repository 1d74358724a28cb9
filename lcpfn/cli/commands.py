"""What the subcommands of `lcpfn` do, once their arguments are read."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from lcpfn import logs
from lcpfn.belief import Belief
from lcpfn.cli import inputs
from lcpfn.cli.answer import LEVELS, QUANTILES, Answer, left_out
from lcpfn.cli.inputs import advice, in_flags, metric_of, others_of, require, split
from lcpfn.curve import Curve
from lcpfn.logs.source import progress_shown
from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.pfn import PFN, load, locate
from lcpfn.stopping import Best, Decision, Policy, Rivals

DEMO_PICTURE = "lcpfn-demo.png"
REPEATS = 20  # forecasts that the demo times


def predict(options: Namespace) -> int:
    """Forecasts the curve of a file or a run; prints a table or JSON, and draws a picture if asked."""
    if options.plot:
        require("matplotlib", "plot")  # before the work, not after it
    with progress_shown():
        whole = logs.read(
            options.file, metric=options.column, run=options.run, clock=options.time_column, pattern=options.pattern
        )
    for line in left_out(whole):
        print(f"lcpfn: {line}", file=sys.stderr)
    seen, rest = split(whole, options.observe)
    horizon = options.horizon
    if options.at is None and horizon is None:
        later = rest.t[~np.isnan(rest.y)]
        if not len(later):
            raise ValueError("say what to forecast: all steps up to --horizon 100, or --at 50,100")
        horizon = later.max()
    pfn = load(options.checkpoint)
    metric, assumed = metric_of(options, whole, pfn)
    engine: Any = pfn if options.others is None else pfn.given(others_of(options, whole, metric), metric=metric)

    counted = np.array_equal(whole.t, np.arange(1.0, len(whole) + 1))  # then steps are known before the first value
    times = None if counted else seen.t

    run_end, by_log = options.run_end, False
    if run_end is None and seen.run_end is not None and seen.run_end >= seen.t.max(initial=-np.inf):
        run_end, by_log = seen.run_end, True  # a run that went on after its end has another one that nobody knows

    def ask(t_query: Any = None, *, horizon: float | None = None, kind: str = options.kind) -> Belief:
        stretch = options.stretch_time
        try:
            return engine.predict(
                seen.y,
                t_query,
                horizon=horizon,
                t=times,
                kind=kind,
                metric=metric,
                run_end=run_end,
                stretch_time=stretch,
            )
        except ValueError as error:
            raise ValueError(in_flags(str(error))) from error

    last = seen.t[~np.isnan(seen.y)].max(initial=-np.inf)
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
    end = max(steps.t) if options.stretch_time else None
    surprise = engine.surprise(
        seen.y, t=times, metric=metric, run_end=end, stretch_time=options.stretch_time
    )  # after the forecast, whose errors say more
    answer = Answer(belief, seen, rest, best, options.incumbent, assumed, surprise, run_end if by_log else None)
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
    steps, values = answer.seen.t[measured].tolist(), answer.seen.y[measured].tolist()
    if answer.seen.diverged_at is not None:  # the card is about the run, whose last value was not finite
        steps, values = [*steps, answer.seen.diverged_at], [*values, math.nan]
    if options.incumbent is None or not len(steps) or steps[0] < 0 or not steps[-1] < end:
        return None
    first = 0 if steps[0] < 1 else 1
    policy = Policy(
        horizon=end - first + 1,
        metric=answer.belief.metric,
        engine=pfn,
        rule=Best(level=options.level, start="own" if options.rivals is None else "higher"),
        first_step=first,
        stretch_time=options.stretch_time,
    )
    rivals = Rivals(finished=(options.incumbent,), concluded=options.rivals or 1)
    return policy.decide(steps, values, rivals)


def _plain(card: Decision | None) -> dict[str, Any] | None:
    """A stop card as JSON."""
    if card is None:
        return None
    names = ("stop", "reason", "detail", "p_better", "expected_end")
    facts = {name: getattr(card, name) for name in names}
    quantiles = {str(q): value for q, value in card.quantiles.items()}
    threshold = None if card.verdict is None else card.verdict.threshold
    return {**facts, "threshold": threshold, "quantiles_of_best": quantiles, "turning_point": card.turning_point()}


def demo(options: Namespace) -> int:
    """Forecasts a recorded curve, prints forecast and truth side by side, draws both."""
    from lcpfn.cli.demo import CURVES

    recording = CURVES[options.curve]
    whole = Curve(
        np.arange(1.0, len(recording.accuracy) + 1), recording.accuracy, name="validation accuracy", clock="epoch"
    )
    if not 0 < options.observe < len(whole):
        raise ValueError(f"--observe must be from 1 to {len(whole) - 1} in the demo, got {options.observe}")
    seen, rest = split(whole, options.observe)
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
    if options.out is None and not inputs.installed("matplotlib"):
        print(f"lcpfn: no picture: {advice('matplotlib', 'plot')}", file=sys.stderr)
        return 0
    require("matplotlib", "plot")
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
    require("torch", "train")
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


def _draw(path: str, answer: Answer, *, title: str | None = None) -> None:
    from lcpfn.plot import fan

    truth = answer.truth
    known = (truth.t <= max(answer.belief.t)) & ~np.isnan(truth.y)
    axes = fan(
        answer.belief,
        observed=(answer.seen.t, answer.seen.y),
        truth=(truth.t[known], truth.y[known]) if known.any() else None,
        incumbent=answer.incumbent,
        name=answer.seen.name,
        clock=answer.seen.clock,
        title=title,
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(path)
    print(f"picture: {path}", file=sys.stderr)  # beside the answer, which may be JSON
