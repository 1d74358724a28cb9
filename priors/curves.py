"""Curves, what every prior draws, and `Prior`, what every prior is."""

from dataclasses import dataclass
from typing import Any, Protocol

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

    Example:
        >>> t = torch.arange(1.0, 6.0).expand(3, -1)
        >>> len(Curves(t=t, y=t / 10, signal=t / 10, seen=t > 0))
        3
    """

    t: Tensor
    y: Tensor
    signal: Tensor
    seen: Tensor

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in ("t", "y", "signal", "seen")}
        if self.y.ndim != 2 or len(set(shapes.values())) > 1:
            raise ValueError(f"t, y, signal and seen must share one shape (n, T), got {shapes}")
        if self.seen.dtype != torch.bool:
            raise ValueError(f"seen must be bool, got {self.seen.dtype}")

    def __len__(self) -> int:
        return self.y.shape[0]

    def to(self, device: torch.device | str) -> "Curves":
        """Returns the same curves on `device`."""
        return Curves(
            t=self.t.to(device), y=self.y.to(device), signal=self.signal.to(device), seen=self.seen.to(device)
        )


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
