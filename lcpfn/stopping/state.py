"""What a stopper remembers: points by trial and step, and how each trial ended. As JSON, in memory or in a file."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT, VERSION = "lcpfn stopper", 1


@dataclass(frozen=True)
class Doom:
    """The moment at which a rule gave a trial up.

    Attributes:
        step: of the last point that was known.
        target: what the trial had to beat; None where it diverged.
        audited: whether it was let go on, to see whether that was right.
    """

    step: float
    target: float | None
    audited: bool


@dataclass
class Trial:
    """One run: its values by step, whether it is over, and whether it was given up.

    `won` says of a trial that was trained to its end whether it beat what it had to; None where nothing stood.
    """

    points: dict[float, float] = field(default_factory=dict)
    over: bool = False
    doom: Doom | None = None
    won: bool | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self.doom is not None and not self.doom.audited

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end."""
        return self.over and not self.stopped


Trials = dict[str, Trial]


def to_json(trials: Trials, **about: Any) -> str:
    """The trials as one line of JSON, with what `from_json` compares; a value that is not finite becomes null."""
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
    except json.JSONDecodeError as error:
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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{source} holds trials that no stopper wrote ({error!r}); {advice}") from None


def write(path: Path, text: str) -> None:
    """Puts the text into the file at once: a reader, or a process that is killed, sees the old or the new one whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _record(trial: Trial) -> dict[str, Any]:
    doom = trial.doom
    return {
        "points": [[step, value if math.isfinite(value) else None] for step, value in sorted(trial.points.items())],
        "over": trial.over,
        "doom": None if doom is None else {"step": doom.step, "target": doom.target, "audited": doom.audited},
        "won": trial.won,
    }


def _trial(record: dict[str, Any]) -> Trial:
    points = {float(step): math.nan if value is None else float(value) for step, value in record["points"]}
    doom = None if record["doom"] is None else Doom(**record["doom"])
    return Trial(points, bool(record["over"]), doom, record["won"])
