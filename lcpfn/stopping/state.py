"""What a stopper remembers: points by trial and step, and how each trial ended. As JSON, in memory or in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lcpfn.stopping.checks import is_real

FORMAT, VERSION = "lcpfn stopper", 2
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no words for them


@dataclass(frozen=True)
class GivenUp:
    """The moment at which a rule gave a trial up.

    Attributes:
        step: of the last point that was known.
        target: what the trial had to beat; None where it diverged.
        audited: whether it was let go on, to see whether that was right.
    """

    step: float
    target: float | None
    audited: bool


@dataclass(frozen=True)
class Trial:
    """One run as it stands. A value.

    Attributes:
        points: its values by step.
        over: whether it has ended.
        given_up: when a rule gave it up, None where none did.
        won: of a trial that was trained to its end, whether it beat what it had to; None where nothing stood.
    """

    points: Mapping[float, float] = field(default_factory=dict)
    over: bool = False
    given_up: GivenUp | None = None
    won: bool | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was to stop, and did not go on as a check."""
        return self.given_up is not None and not self.given_up.audited

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end."""
        return self.over and not self.stopped


Trials = dict[str, Trial]


def merged(ours: Trials, theirs: Trials) -> Trials:
    """All trials and points of both states; ours where one step has two values. What is over in one of them is over."""
    both = {**theirs, **ours}
    return both | {name: _joined(ours[name], theirs[name]) for name in both if name in ours and name in theirs}


def _joined(ours: Trial, theirs: Trial) -> Trial:
    given_up = min(
        (each for each in (ours.given_up, theirs.given_up) if each is not None), key=lambda it: it.step, default=None
    )
    return Trial(
        {**theirs.points, **ours.points},
        ours.over or theirs.over,
        given_up,
        theirs.won if ours.won is None else ours.won,
    )


def to_json(trials: Trials, **about: Any) -> str:
    """The trials as one line of JSON, with what `from_json` compares; values that are not finite become words."""
    body = {name: _record(trial) for name, trial in trials.items()}
    return json.dumps({"format": FORMAT, "version": VERSION, **about, "trials": body}, allow_nan=False)


def from_json(text: str, *, source: str, **about: Any) -> Trials:
    """The trials.

    Args:
        text: as `to_json` wrote it.
        source: what errors call it.
        **about: must be as in the text.

    Raises:
        ValueError: if the text is no such JSON (cut off, say), is of another version, or of a stopper of another kind.
    """
    advice = "restore a copy, or delete it to start anew"
    try:
        body = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{source} is not the JSON of a stopper, it may be cut off ({error}); {advice}") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ValueError(
            f'{source} must be the JSON of a stopper, with "format": "{FORMAT}", got {text[:60]!r}; {advice}'
        )
    if body.get("version") != VERSION:
        raise ValueError(
            f"{source} must be of version {VERSION}, got {body.get('version')!r}; "
            "use the lcpfn that wrote it, or delete it to start anew"
        )
    for name, value in about.items():
        if body.get(name) != value:
            raise ValueError(
                f"{source} was written with {name}={body.get(name)!r}, this stopper has {value!r}; "
                "give each kind of run a state of its own"
            )
    try:
        return {name: _trial(record) for name, record in body["trials"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{source} holds trials that no stopper wrote ({error!r}); {advice}") from None


def _record(trial: Trial) -> dict[str, Any]:
    past = trial.given_up
    return {
        "points": [
            [step, value if math.isfinite(value) else str(value)] for step, value in sorted(trial.points.items())
        ],
        "over": trial.over,
        "given_up": None if past is None else {"step": past.step, "target": past.target, "audited": past.audited},
        "won": trial.won,
    }


def _trial(record: dict[str, Any]) -> Trial:
    points = {_number(step): _value(value) for step, value in record["points"]}
    past, won = record["given_up"], record["won"]
    given_up = None
    if past is not None:
        target = past["target"]
        given_up = GivenUp(_number(past["step"]), None if target is None else _number(target), _flag(past["audited"]))
    return Trial(points, _flag(record["over"]), given_up, None if won is None else _flag(won))


def _value(value: Any) -> float:
    return NOT_FINITE[value] if isinstance(value, str) else _number(value)


def _number(value: Any) -> float:
    if not is_real(value) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
