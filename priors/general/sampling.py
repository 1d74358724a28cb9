"""Random numbers for one batch of curves, a row a curve, all from one generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Shape = Callable[[Tensor, "Sampler"], Tensor]  # positions (m, T) and a sampler of m rows to values (m, T)


class Sampler:
    """Random numbers for n curves, each (n, 1), so that they broadcast against points (n, T).

    Args:
        n: Number of curves.
        generator: Where the numbers come from, and on which device they are.

    Example:
        >>> sampler = Sampler(3, generator=torch.Generator().manual_seed(0))
        >>> sampler.uniform(2, 5).shape
        torch.Size([3, 1])
    """

    def __init__(self, n: int, *, generator: torch.Generator) -> None:
        self.n, self.generator, self.device = n, generator, generator.device

    def rows(self, n: int) -> Sampler:
        """Returns a sampler of n rows from the same generator."""
        return Sampler(n, generator=self.generator)

    def uniform(self, low: float = 0.0, high: float = 1.0, columns: int = 1) -> Tensor:
        """Returns uniform numbers, (n, columns)."""
        draw = torch.rand(self.n, columns, generator=self.generator, device=self.device)
        return low + (high - low) * draw

    def log_uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """Returns numbers from low to high, uniform in their logarithm, (n, columns)."""
        return self.uniform(math.log(low), math.log(high), columns).exp()

    def normal(self, columns: int = 1) -> Tensor:
        """Returns standard normal numbers, (n, columns)."""
        return torch.randn(self.n, columns, generator=self.generator, device=self.device)

    def bernoulli(self, share: float, columns: int = 1) -> Tensor:
        """Returns True with probability `share`, (n, columns) bool."""
        return self.uniform(columns=columns) < share

    def choice(self, values: Sequence[float]) -> Tensor:
        """Returns one of the values, all equally likely, (n, 1)."""
        index = torch.randint(len(values), (self.n, 1), generator=self.generator, device=self.device)
        return torch.tensor(values, dtype=torch.float32, device=self.device)[index]

    def categorical(self, shares: Mapping[str, float]) -> Tensor:
        """Returns the place of one of the names, drawn with these shares, (n,) int64.

        Args:
            shares: Not negative; they need not sum to 1.
        """
        edges = torch.tensor(list(shares.values()), dtype=torch.float64, device=self.device).cumsum(0)
        edges = (edges / edges[-1]).float()
        return torch.searchsorted(edges, self.uniform()[:, 0], right=True).clamp(max=len(shares) - 1)

    def mixed(self, p: Tensor, shapes: Mapping[str, Shape], shares: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """Returns values (n, T) at positions p (n, T), each row by one of the shapes, and the place of its name, (n,).

        Only the rows that chose a shape are computed with it.
        """
        chosen = self.categorical(shares)
        values = torch.empty_like(p)
        for place, name in enumerate(shares):
            rows = (chosen == place).nonzero()[:, 0]
            if len(rows):
                values[rows] = shapes[name](p[rows], self.rows(len(rows)))
        return values, chosen


def check_shares(shares: Mapping[str, float], names: Sequence[str], what: str) -> None:
    """Raises ValueError unless shares are not negative, do not vanish, and go by names among these."""
    if unknown := sorted(set(shares) - set(names)):
        raise ValueError(f"{what} are among {sorted(names)}, got {unknown}")
    if not shares or min(shares.values()) < 0 or not sum(shares.values()) > 0:
        raise ValueError(f"shares of {what} must not be negative and sum to more than 0, got {dict(shares)}")
