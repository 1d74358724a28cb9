"""What a training run is told: one frozen value, from which the command line's flags are made."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.query import KIND

Optimizer = Literal["muon", "adamw"]
Schedule = Literal["cosine", "wsd"]
Precision = Literal["bfloat16", "float32"]
Stored = Literal["float16", "float32"]


@dataclass(frozen=True)
class Options:
    """Everything about a run but the sizes of the network.

    Raises:
        ValueError: if there is neither a time nor a number of steps, or a number is out of its range.
    """

    prior: str = "paper"  # also "module:object" of your own, see lcpfn.priors.own
    prior_parameters: str | None = None  # those of its fields that shall not have their defaults, as JSON
    init: str | None = None  # checkpoint, by name or path, whose weights are taken to begin with; None: random ones
    minutes: float | None = None  # time box; the learning rate follows the clock, so it always ends at zero
    pause_minutes: float | None = None  # of one command, which then stops halfway; --resume goes on with the schedule
    steps: int | None = None  # number of steps; the learning rate follows the step, so a run can be repeated to the bit
    batch: int = 64  # curves in a step, on each process; a GPU wants 1024 or more
    questions: int = 64  # about each curve
    shares: tuple[float, ...] = tuple(kind.share for kind in KIND.values())  # of the kinds among the questions
    irregular: float = 0.2  # share of the steps whose curves are measured at uneven times
    optimizer: Optimizer = "muon"  # "muon" for the matrices of the blocks and AdamW for the rest, or "adamw" for all
    lr: float = 4e-3
    schedule: Schedule = "cosine"  # "cosine", or "wsd": constant, then linear to zero
    decay: float = 0.4  # last part of a "wsd" run in which the rate falls
    warmup: int = 100  # steps
    weight_decay: float = 0.0
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.0  # decay a step of the averaged weights; 0: none
    precision: Precision = "bfloat16"  # of matrix products; "float32" for exactness
    exact: float = 0.0  # last part of the run whose products are in float32 all the same, as where checkpoints are used
    compile: bool = False
    device: str = "cpu"
    threads: int = 2  # of a CPU
    seed: int = 0
    log_every_s: float = 20.0
    save_every_s: float = 60.0
    stored: Stored = "float32"  # type of the checkpoint's weights; "float16" halves the file
    validation_curves: int = 500  # 0: no validation
    alarm_curves: int = 2000  # of the prior, by which the alarm is calibrated at the end; 0: not
    tensorboard: bool = False  # also write the log as TensorBoard events into the run's folder
    model: ModelConfig = field(default_factory=ModelConfig)
    coordinates: Coordinates = field(default_factory=Coordinates)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(float(share) for share in self.shares))
        if (self.minutes is None) == (self.steps is None):
            raise ValueError(f"give either minutes or steps, got minutes={self.minutes}, steps={self.steps}")
        for name in ("minutes", "pause_minutes", "steps", "batch", "questions", "lr", "clip", "threads"):
            number = getattr(self, name)
            if number is not None and not number > 0:
                raise ValueError(f"{name} must be above zero, got {number}")
        if len(self.shares) != len(KIND) or min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares must be {len(KIND)} numbers from 0 to 1 that sum to 1, got {self.shares}")
        self.parameters_of_prior()
        if self.alarm_curves < 0:
            raise ValueError(f"alarm_curves must be 0 or more, got {self.alarm_curves}")
        if self.questions < 3:
            raise ValueError(f"questions must be at least 3, one of each kind, got {self.questions}")
        for name, closed in (
            ("optimizer", Optimizer),
            ("schedule", Schedule),
            ("precision", Precision),
            ("stored", Stored),
        ):
            choices = get_args(closed)
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        if not 0 <= self.ema < 1 or not 0 < self.decay <= 1:
            raise ValueError(f"ema must lie in [0, 1) and decay in (0, 1], got ema={self.ema}, decay={self.decay}")
        if not 0 <= self.exact <= 1:
            raise ValueError(f"exact must be a share of the run, from 0 to 1, got {self.exact}")

    def parameters_of_prior(self) -> dict[str, Any] | None:
        """The prior's parameters that were given; None if none were: an object of the user's stays as it is."""
        if self.prior_parameters is None:
            return None
        try:
            parameters = json.loads(self.prior_parameters)
        except json.JSONDecodeError:
            parameters = None
        if not isinstance(parameters, dict):
            raise ValueError(
                "prior_parameters must be an object in JSON, as '{\"stopped\": 0.1}' for the prior general, "
                f"got {self.prior_parameters!r}"
            )
        return parameters

    def learning_rate(self, progress: float, step: int) -> float:
        """The rate at a share of the run in [0, 1]."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        progress = min(max(progress, 0.0), 1.0)
        if self.schedule == "cosine":
            return self.lr * warm * 0.5 * (1 + math.cos(math.pi * progress))
        return self.lr * warm * min(1.0, (1 - progress) / self.decay)


PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(width=32, layers=2, heads=2, hidden=64, decoder=64, components=8),
    "small": ModelConfig(),
    "base": ModelConfig(width=192, layers=6, heads=6, hidden=512, decoder=512, components=24),
    "large": ModelConfig(width=320, layers=7, heads=5, hidden=960, decoder=640, components=24),
}
