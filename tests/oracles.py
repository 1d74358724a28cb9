"""Laws of u with their moments by quadrature: one table for mixtures and beliefs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

TRANSFORMS = {"identity": lambda u: u, "sinh": np.sinh}
LOCATION, SCALE = 0.7, 0.05
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
# Values at the nodes times this: integrals from -1 up to each node of the polynomial through the values.
UP_TO_NODE = np.linalg.solve(
    np.polynomial.legendre.legvander(NODES, 15).T,
    np.polynomial.legendre.legval(NODES, np.polynomial.legendre.legint(np.eye(16), lbnd=-1)),
)


@dataclass(frozen=True)
class Case:
    """A mixture of K normals given low < U < high, with answers by quadrature that owe nothing to closed forms."""

    name: str
    weights: tuple[float, ...]  # (K,)
    means: tuple[float, ...]  # (K,)
    stds: tuple[float, ...]  # (K,)
    low: float = -np.inf
    high: float = np.inf

    @property
    def law(self) -> Mixture:
        return Mixture(np.log(self.weights), self.means, self.stds)

    def belief(self, transform: str, direction: str = "max") -> Belief:
        """The case in a unit of its own, LOCATION + SCALE * g(u); with "min" it is about minus the same number."""
        ends = [LOCATION + SCALE * TRANSFORMS[transform](end) for end in (self.low, self.high)]
        if direction == "min":
            ends = [-end for end in reversed(ends)]
        metric = Metric(direction, bounds=tuple(float(end) if np.isfinite(end) else None for end in ends))
        return Belief(self.law, LOCATION, SCALE, transform=transform, metric=metric, t=10)

    def expect(self, value: Callable[[np.ndarray], np.ndarray], *, stop: float = np.inf) -> float:
        """E[value(U); U < stop] given low < U < high."""
        return self._integral(value, stop) / self._integral(np.ones_like, np.inf)

    def moments(self, transform: str) -> tuple[float, float]:
        """Mean and variance of g(U)."""
        g = TRANSFORMS[transform]
        mean = self.expect(g)
        return mean, self.expect(lambda u: (g(u) - mean) ** 2)

    def crps(self, transform: str, z: float) -> float:
        """By the definition, the integral of (cdf - step)^2 over g(u)."""
        panels = self.panels()
        split = np.clip(np.arcsinh(z) if transform == "sinh" else z, panels[0], panels[-1])
        u, half = nodes(np.unique(np.append(panels, split)))
        density = self.density(u) * half
        mass = density @ WEIGHTS
        cdf = (np.cumsum(mass) - mass)[:, None] + density @ UP_TO_NODE
        gap = cdf / mass.sum() - (u > split)
        slope = np.cosh(u) if transform == "sinh" else 1.0
        outside = split in (panels[0], panels[-1])
        return float((gap**2 * slope * half * WEIGHTS).sum()) + outside * abs(z - TRANSFORMS[transform](split))

    def density(self, u: np.ndarray) -> np.ndarray:
        """The density at u, up to a factor."""
        m, s = np.array(self.means), np.array(self.stds)
        logs = np.log(np.array(self.weights) / s) - ((u[..., None] - m) / s) ** 2 / 2
        return np.exp(np.logaddexp.reduce(logs, axis=-1) - self._highest)

    def panels(self, stop: float = np.inf) -> np.ndarray:
        """Ends of panels on which the density is smooth: around every mode, and ever finer towards each cut."""
        offsets = np.array([-12, -8, -5, -3, -2, -1, -0.4, 0, 0.4, 1, 2, 3, 5, 8, 12])
        means, stds = np.array(self.means)[:, None], np.array(self.stds)[:, None]
        knots = [(means + stds * offsets).ravel(), (means + np.sign(offsets) * 4 * stds**2 + stds * offsets).ravel()]
        near = np.concatenate([[0.0], np.logspace(-9, 0, 19)])
        knots += [end + side * near for end in (self.low, self.high) if np.isfinite(end) for side in (-1, 1)]
        return np.unique(np.clip(np.concatenate(knots), self.low, min(self.high, stop)))

    @property
    def _highest(self) -> float:
        """The log density near its maximum between low and high, so that far tails do not underflow."""
        return max(
            np.log(w / s) - ((np.clip(m, self.low, self.high) - m) / s) ** 2 / 2
            for w, m, s in zip(self.weights, self.means, self.stds, strict=True)
        )

    def _integral(self, value: Callable[[np.ndarray], np.ndarray], stop: float) -> float:
        u, half = nodes(self.panels(stop))
        return float(np.sum(value(u) * self.density(u) * half * WEIGHTS))


def nodes(panels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (N, 16) of the panels between N + 1 ends, and half their widths (N, 1)."""
    half = np.diff(panels)[:, None] / 2
    return panels[:-1, None] + half * (1 + NODES), half


THREE = ((0.5, 0.3, 0.2), (-1.0, 0.0, 2.0), (0.5, 0.1, 1.0))
CASES = [
    Case("one normal", (1.0,), (0.3,), (0.5,)),
    Case("three", *THREE),
    Case("spike in a wide one", (0.3, 0.7), (0.2, 0.2), (0.001, 1.0)),
    Case("rare and heavy", (0.999, 0.001), (0.0, 6.0), (0.01, 1.6)),
    Case("at the caps", (0.5, 0.5), (-8.0, 8.0), (np.exp(0.5), np.exp(-7.0))),
    Case("cut above", *THREE, high=0.5),
    Case("cut below", *THREE, low=0.1),
    Case("cut on both sides", *THREE, low=-1.2, high=0.9),
    Case("a cut that changes nothing", *THREE, low=-9.0, high=40.0),
    Case("a thin slice", (1.0,), (0.0,), (1.0,), low=0.3, high=0.3001),
    Case("a slice of a tail", (1.0,), (3.0,), (0.01,), high=0.0),
    Case("three tails", (0.2, 0.5, 0.3), (1.0, 1.5, 3.0), (0.05, 0.1, 0.5), high=0.1),
    Case("between two modes", (0.4, 0.6), (-3.0, 3.0), (0.2, 0.3), low=-1.0, high=1.0),
    Case("narrow and cut", (1.0,), (2.0,), (0.002,), high=2.003),
    Case("one side of a spike", (0.5, 0.5), (0.0, -1.0), (0.0009, 0.3), high=0.0),
]
