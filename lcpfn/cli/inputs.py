"""What the subcommands of `lcpfn` are given: the part of a curve to forecast, its metric, what must be installed."""

from __future__ import annotations

import math
import re
import sys
from argparse import Namespace
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from lcpfn import logs
from lcpfn.curve import Curve
from lcpfn.metric import Metric
from lcpfn.names import lower_is_better
from lcpfn.pfn import PFN


def advice(package: str, extra: str) -> str:
    """What to do where a package is missing."""
    return f"this needs {package}; install this project with its extra: pip install -e '.[{extra}]'"


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def require(package: str, extra: str) -> None:
    """Raises ImportError with advice if the package is not installed."""
    if not installed(package):
        raise ImportError(advice(package, extra))


def split(whole: Curve, observe: int | None) -> tuple[Curve, Curve]:
    """The curve up to its n-th measured value, and what comes after; the rest keeps its times."""
    measured = np.flatnonzero(~np.isnan(whole.y))
    if observe is not None and observe > len(measured):
        raise ValueError(f"--observe {observe} asks for more values than the {len(measured)} of the curve")
    end = len(whole) if observe is None else measured[observe - 1] + 1 if observe else 0
    seen, rest = whole[:end], whole[end:]
    if whole.diverged_at is not None and not (len(seen) and seen.t[-1] >= whole.diverged_at):
        seen = replace(seen, diverged_at=None)  # that is still to come
    return seen, rest


def others_of(options: Namespace, whole: Curve, metric: Metric) -> list[Curve]:
    """The curves of the metric in the runs of `--others`; a line on the standard error for each that cannot be read.

    The asked run itself, if it is among them, is left out here: the command asks about its log, whatever it has seen.
    """
    found = []
    for run in logs.runs(options.others):
        try:
            curve = logs.read(options.others, metric=whole.name, run=run.name, clock=options.time_column)
        except ValueError as error:
            print(f"lcpfn: {options.others}, {run.name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        if not (np.array_equal(curve.t, whole.t) and np.array_equal(curve.y, whole.y, equal_nan=True)):
            found.append(replace(curve, metric=metric))
    return found


def metric_of(options: Namespace, curve: Curve, pfn: PFN) -> tuple[Metric, dict[str, str]]:
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
        direction, by = named.direction, "log" if curve.reading is not None and curve.reading.direction else "name"
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


def _open(curve: Curve, bounds: tuple[float | None, float | None]) -> str:
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


def in_flags(message: str) -> str:
    """An error of the library with the advice that it gives in Python's words put in the command's.

    >>> in_flags('give them, as in Metric("min", bounds=(0, 100)), or use stretch_time=True')
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
