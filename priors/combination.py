"""Priors whose curves are weighted sums of families, under the rule of LC-PFN that a curve is acceptable."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from lcpfn.priors import families as formulas
from lcpfn.priors.curves import Curves
from lcpfn.priors.laws import LCPFN, NOISE, WEIGHT, Law, from_json, to_json
from lcpfn.priors.rejection import Parameters, draw_accepted


@dataclass(frozen=True, kw_only=True)
class Combination:
    """The law of f(t) + noise, f a weighted sum of families, given that f is acceptable.

    A curve draws which families take part, their weights and their parameters, all independent, until f is acceptable:
    0 <= f(t) <= 1 at every t = 1, 2, ..., horizon, whatever times are asked for, and f(horizon) > f(1). The noise is
    normal, independent between times, not cut off, and has one standard deviation per curve.

    Attributes:
        families: Names of functions in `lcpfn.priors.families`.
        terms: Number of families in each curve's sum; every choice of so many is equally likely to be proposed.
        horizon: Last time at which f must be acceptable.
        weight: Law of each family's weight. Weights are not normalised.
        noise: Law of the noise's standard deviation.
        laws: Laws of the parameters, by family. Those of families that do not take part are dropped.

    Raises:
        ValueError: If the fields do not fit together.
    """

    name: ClassVar[str]
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)  # of the signal; noise may carry y past them

    families: tuple[str, ...]
    terms: int
    horizon: int = 100
    weight: Law = WEIGHT
    noise: Law = NOISE
    laws: Mapping[str, Mapping[str, Law]] = field(default_factory=lambda: LCPFN, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", tuple(self.families))
        if len(set(self.families)) < len(self.families):
            raise ValueError(f"each family may take part once, got {self.families}")
        if not 1 <= self.terms <= len(self.families):
            raise ValueError(f"terms must lie in 1..{len(self.families)}, the number of families, got {self.terms}")
        if self.horizon < 2:
            raise ValueError(f"horizon must be at least 2, so that a curve can rise, got {self.horizon}")
        for family in self.families:
            if family not in LCPFN:
                raise ValueError(f"families are among {list(LCPFN)}, got {family!r}")
            if family not in self.laws:
                raise ValueError(f"laws must name every family that takes part, got none for {family!r}")
            _, *wanted = inspect.signature(getattr(formulas, family)).parameters
            if sorted(wanted) != sorted(self.laws[family]):
                raise ValueError(f"{family} has the parameters {wanted}, got laws for {list(self.laws[family])}")
        object.__setattr__(self, "laws", {family: dict(self.laws[family]) for family in self.families})

    def parameters(self) -> dict[str, Any]:
        """Returns the fields as JSON, for `from_parameters` and `lcpfn.priors.by_name`."""
        return {
            "families": list(self.families),
            "terms": self.terms,
            "horizon": self.horizon,
            "weight": to_json(self.weight),
            "noise": to_json(self.noise),
            "laws": {family: {key: to_json(law) for key, law in laws.items()} for family, laws in self.laws.items()},
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Returns the prior whose `parameters()` these are; what is left out has its default.

        Raises:
            ValueError: If a name is not a field of this prior, or a value is wrong.
        """
        values = dict(parameters)
        known = [each.name for each in fields(cls)]
        if unknown := sorted(values.keys() - set(known)):
            raise ValueError(f"the prior {cls.name!r} has the parameters {known}, got {unknown}")
        for key in ("weight", "noise"):
            if key in values:
                values[key] = from_json(values[key])
        if "laws" in values:
            values["laws"] = {
                family: {key: from_json(law) for key, law in laws.items()} for family, laws in values["laws"].items()
            }
        return cls(**values)

    def propose(self, n: int, *, generator: torch.Generator) -> Parameters:
        """Returns the parameters of n independent f, (n,) each, acceptable or not, in float32.

        Keys are "pow3.weight" (0 for a family that does not take part), "pow3.c" and so on.
        """
        drawn = {}
        shape = (n, len(self.families))
        weights = self.weight.sample(shape, generator=generator)
        if self.terms < len(self.families):
            order = torch.rand(shape, generator=generator, device=generator.device).argsort(dim=-1)
            weights = weights * (order < self.terms)  # every row of order is a random permutation
        for family, weight in zip(self.families, weights.unbind(-1)):
            drawn[f"{family}.weight"] = weight
            for key, law in self.laws[family].items():
                drawn[f"{family}.{key}"] = law.sample((n,), generator=generator)
        return drawn

    def draw(self, n: int, *, generator: torch.Generator) -> Parameters:
        """Returns the parameters of n independent curves, (n,) each, on the generator's device, in float32.

        They are those of acceptable f, and "sigma", the noise's standard deviation.
        """
        return self._draw(n, generator)[0]

    def signal(self, parameters: Mapping[str, formulas.Array], t: formulas.Array) -> formulas.Array:
        """Returns f(t), (n, T), of the curves with these parameters, (n,) each, at times (T,); torch, jax or numpy."""
        total = 0.0
        for family, laws in self.laws.items():
            values = {key: parameters[f"{family}.{key}"][..., None] for key in laws}  # (n, 1)
            total = total + parameters[f"{family}.weight"][..., None] * getattr(formulas, family)(t, **values)
        return total

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """Returns n independent curves at the times t, (T,), t >= 1, on the generator's device, in float32.

        The curves are those of `draw` with the generator in the same state, whatever the times.

        Raises:
            ValueError: If t is not one row of times from 1 on, or n is negative.
        """
        if t.ndim != 1 or not bool((t >= 1).all()):
            raise ValueError(f"t must be one row of times, 1 or later, got shape {tuple(t.shape)}, values {t}")
        if n < 0:
            raise ValueError(f"n must be a number of curves, got {n}")
        on_grid = bool(((t <= self.horizon) & (t == t.round())).all())  # asked before t moves: no wait for a device
        t = t.to(generator.device, torch.float32)
        parameters, values = self._draw(n, generator)
        signal = values[:, t.long() - 1] if on_grid else self.signal(parameters, t)  # (n, T)
        noise = torch.randn(signal.shape, generator=generator, device=generator.device)
        y = torch.addcmul(signal, parameters["sigma"][:, None], noise)
        return Curves(t=t.expand(n, -1), y=y, signal=signal, seen=torch.ones_like(y, dtype=torch.bool))

    def _draw(self, n: int, generator: torch.Generator) -> tuple[Parameters, Tensor]:
        """Returns parameters, (n,) each, and f(t) at t = 1, 2, ..., horizon, (n, horizon)."""
        grid = torch.arange(1.0, self.horizon + 1.0, device=generator.device)
        parameters, values = draw_accepted(n, lambda m: self.propose(m, generator=generator), self.signal, grid)
        return {**parameters, "sigma": self.noise.sample((n,), generator=generator)}, values
