"""What stoppers, adapters and callbacks take in common, typed once: editors and type checkers know every name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

from lcpfn.engine import Engine
from lcpfn.stopping.question import Question, Target
from lcpfn.stopping.rule import Rule

Alarm = Callable[[Question], str | None] | Literal["surprise"] | None
NotFinite = Literal["stop", "skip"]


class Judging(TypedDict, total=False):
    """How a run is judged; meanings and defaults are those of `lcpfn.stopping.Policy`."""

    engine: str | Engine
    min_points: int
    every: int
    first_step: int
    nan: NotFinite
    alarm: Alarm
    target: Target
    stretch_time: bool


class Comparing(Judging, total=False):
    """What adapters hand on to a `lcpfn.stopping.Stopper`; meanings and defaults are those that it has."""

    rule: Rule
    audit: float
    seed: int
