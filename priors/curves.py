"""Curves, what every prior draws, and `Prior`, what every prior is."""

from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Curves:
    """A batch of n curves at T times, on one device.

    Attributes:
        t: Times, (n, T), 1-based. All curves may share the memory of one grid: clone before writing into it.
        y: Measured values, (n, T), with noise.
        signal: Noiseless values, (n, T).
        seen: Whether the run was measured at this time, (n, T), bool. Where it is False, y and signal mean nothing.
        lower: Lowest possible value as far as it is known, (n,), -inf where it is not. None: as the prior's `bounds`.
        upper: Highest possible value, likewise.
        sign: 1 where higher is better, -1 where lower is, (n,). None: higher is better.
        horizon: Time at which the run was to end, (n,), NaN where nobody said. None: nobody did.
        diverged: Whether the run broke off in NaN, (n,), bool. What is left of it is seen. None: no run did.
        end: Time at which the run ended, or would have ended had it not broken off, known or not, (n,). None: with the
            last time.
        planned: Number of columns that would be seen had it not broken off, (n,), int64. None: all that are seen.
        unit: Size of the curve's changes, (n,), positive: what densities of curves of any scale may be compared in.
            None: 1.

    Example:
        >>> t = torch.arange(1.0, 6.0).expand(3, -1)
        >>> len(Curves(t=t, y=t / 10, signal=t / 10, seen=t > 0))
        3
    """

    t: Tensor
    y: Tensor
    signal: Tensor
    seen: Tensor
    lower: Tensor | None = None
    upper: Tensor | None = None
    sign: Tensor | None = None
    horizon: Tensor | None = None
    diverged: Tensor | None = None
    end: Tensor | None = None
    planned: Tensor | None = None
    unit: Tensor | None = None

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in ("t", "y", "signal", "seen")}
        if self.y.ndim != 2 or len(set(shapes.values())) > 1:
            raise ValueError(f"t, y, signal and seen must share one shape (n, T), got {shapes}")
        if self.seen.dtype != torch.bool:
            raise ValueError(f"seen must be bool, got {self.seen.dtype}")
        for name in ("lower", "upper", "sign", "horizon", "diverged", "end", "planned", "unit"):
            values = getattr(self, name)
            if values is not None and values.shape != self.y.shape[:1]:
                raise ValueError(f"{name} must have one number for each curve, got shape {tuple(values.shape)}")

    def __len__(self) -> int:
        return self.y.shape[0]

    def to(self, device: torch.device | str) -> "Curves":
        """Returns the same curves on `device`."""
        parts = self._parts()
        for name, part in parts.items():
            parts[name] = part if part is None else part.to(device)
        return Curves(**parts)

    def __getitem__(self, rows: slice | Tensor) -> "Curves":
        """Returns some of the curves."""
        parts = self._parts()
        for name, part in parts.items():
            parts[name] = part if part is None else part[rows]
        return Curves(**parts)

    def upward(self) -> "Curves":
        """Returns the same curves in the direction in which higher is better: the others, and their bounds, negated."""
        if self.sign is None:
            return self
        parts = self._parts()
        sign = self.sign[:, None]
        parts |= {"y": self.y * sign, "signal": self.signal * sign, "sign": None}
        if self.lower is not None and self.upper is not None:
            falls = self.sign < 0
            parts["lower"] = torch.where(falls, -self.upper, self.lower)
            parts["upper"] = torch.where(falls, -self.lower, self.upper)
        return Curves(**parts)

    def _parts(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Prior(Protocol):
    """A law of learning curves: a frozen dataclass whose fields are its constants."""

    @property
    def name(self) -> str:
        """The name that `lcpfn.priors.by_name` knows it by."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest possible value of the signal, -inf or inf where there is none."""

    def parameters(self) -> dict[str, Any]:
        """Returns the fields as JSON, so that `by_name(name, parameters)` gives an equal prior."""

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """Returns n independent curves at the times t, (T,), on the generator's device, in float32.

        The generator's state is all that the result depends on besides n and t.
        """


@runtime_checkable
class RunPrior(Prior, Protocol):
    """A prior of whole runs, which also says when they are measured, how long they are, and what is known of them."""

    def sample_runs(self, n: int, points: int, later: int, *, generator: torch.Generator) -> Curves:
        """Returns n independent runs as a network sees them, on the generator's device, in float32.

        The first `points` columns are what a network that takes `points` points may be shown: all points of a run that
        has no more, else some of its first points, thinned. The `later` columns after them are points of the rest of
        the run, to be asked about. Points of a curve that are not seen come after those that are.
        """
