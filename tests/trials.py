"""Two runs for the tests of stopping, a good and a bad one, and a stopper that has seen the good one."""

from __future__ import annotations

from typing import Any

from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Stopper

UNIT = Metric("max", bounds=(0, 1))
GOOD = [0.9 - 0.5 / t for t in range(1, 31)]
BAD = [0.5 - 0.3 / t for t in range(1, 31)]


def stopper(**options: Any) -> Stopper:
    return Stopper(**{"horizon": 30, "metric": UNIT, **options})


def feed(made: Stopper, trial: str, values: list[float], *, first: int = 1) -> Decision:
    """The decision that stopped the trial, or the last one."""
    for step, value in enumerate(values, first):
        decision = made.update(trial, step, value)
        if decision.stop:
            break
    return decision


def knows_a_good_run(**options: Any) -> Stopper:
    """A stopper to which GOOD is finished."""
    made = stopper(**options)
    feed(made, "good", GOOD)
    made.finish("good")
    return made
