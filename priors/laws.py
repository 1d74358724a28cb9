"""Laws of parameters, as data: samplers for torch and models in other libraries read the same fields."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


def _check_increasing(law: Any) -> None:
    if not law.low < law.high:
        raise ValueError(f"{type(law).__name__} needs low < high, got low={law.low}, high={law.high}")


def _check_positive_sd(law: Any) -> None:
    if not law.sd > 0:
        raise ValueError(f"{type(law).__name__} needs sd > 0, got sd={law.sd}")


@dataclass(frozen=True)
class Uniform:
    """Uniform between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_increasing(self)

    def sample(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Returns independent draws of this shape, float32, on the generator's device.

        Example:
            >>> draws = Uniform(2, 3).sample((1000,), generator=torch.Generator().manual_seed(0))
            >>> bool(((draws >= 2) & (draws <= 3)).all())
            True
        """
        return torch.empty(shape, device=generator.device).uniform_(self.low, self.high, generator=generator)


@dataclass(frozen=True)
class LogUniform:
    """A positive number whose logarithm is uniform between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_increasing(self)

    def sample(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Returns independent draws of this shape, float32, on the generator's device."""
        return torch.empty(shape, device=generator.device).uniform_(self.low, self.high, generator=generator).exp_()


@dataclass(frozen=True)
class OneMinusLogUniform:
    """One minus a positive number whose logarithm is uniform between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_increasing(self)

    def sample(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Returns independent draws of this shape, float32, on the generator's device."""
        drawn = torch.empty(shape, device=generator.device).uniform_(self.low, self.high, generator=generator)
        return -torch.expm1(drawn)


@dataclass(frozen=True)
class Normal:
    """Normal with mean `mean` and standard deviation `sd`."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        _check_positive_sd(self)

    def sample(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Returns independent draws of this shape, float32, on the generator's device."""
        return torch.empty(shape, device=generator.device).normal_(self.mean, self.sd, generator=generator)


@dataclass(frozen=True)
class LogNormal:
    """A positive number whose logarithm is normal with mean `mean` and standard deviation `sd`."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        _check_positive_sd(self)

    def sample(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Returns independent draws of this shape, float32, on the generator's device."""
        return torch.empty(shape, device=generator.device).normal_(self.mean, self.sd, generator=generator).exp_()


Law = Uniform | LogUniform | OneMinusLogUniform | Normal | LogNormal

WEIGHT = Uniform(0, 1)  # of a family in a sum; same source as below
NOISE = LogNormal(-4, 1)  # standard deviation of a curve's noise

# The laws of the eleven families in LC-PFN's released code: github.com/automl/lcpfn, lcpfn/curves.py, the ones it calls
# "peaked". The paper (Adriaensen et al. 2023) uses those of pow3, ilog2 and janoschek.
LCPFN: dict[str, dict[str, Law]] = {
    "pow3": {"c": Uniform(0, 1.25), "a": Uniform(-0.6, 0.6), "alpha": LogNormal(0, 2)},
    "ilog2": {"c": Uniform(0, 1), "a": Uniform(-0.5, 0.5)},
    "janoschek": {"a": Uniform(0, 1), "b": Uniform(0, 2), "k": LogNormal(-2, 1), "d": LogNormal(0, 0.5)},
    "log_power": {"a": Normal(0.8, 0.1), "b": Normal(1, 1), "c": Uniform(-3, 0)},
    "weibull": {
        "alpha": Uniform(0, 1.5),
        "beta": Uniform(0, 1),
        "kappa": LogNormal(-2, 1),
        "delta": LogNormal(0, 0.5),
    },
    "mmf": {
        "alpha": Normal(0.8, 0.1),
        "beta": Normal(0.2, 0.1),
        "kappa": LogNormal(0, 2),
        "delta": LogNormal(0, 1),
    },
    "vap": {"a": Uniform(-2, 0), "b": Uniform(-4, 0), "c": LogUniform(-8, 0)},
    "loglog_linear": {"a": LogNormal(-2, 1), "b": LogUniform(0, 1)},
    "exp4": {"c": Normal(0.8, 0.1), "a": LogNormal(-2, 1), "b": LogNormal(0, 0.5), "alpha": LogNormal(0, 1)},
    "pow4": {
        "c": OneMinusLogUniform(-5, 0),
        "a": LogNormal(-3, 2),
        "b": LogUniform(0, 1),
        "alpha": LogNormal(0, 1),
    },
    "hill": {"theta": Normal(0.8, 0.1), "eta": LogNormal(1, 1), "kappa": LogNormal(1, 2)},
}

# The families of Domhan et al. 2015, named: a family that is added above changes no prior that draws one of these.
DOMHAN = tuple("pow3 ilog2 janoschek log_power weibull mmf vap loglog_linear exp4 pow4 hill".split())


def to_json(law: Law) -> dict[str, Any]:
    """Returns the law as JSON: the name of its class under "law", and its fields.

    Example:
        >>> to_json(Uniform(0, 1))
        {'law': 'Uniform', 'low': 0, 'high': 1}
    """
    return {"law": type(law).__name__, **asdict(law)}


def from_json(data: dict[str, Any]) -> Law:
    """Returns the law that `to_json` wrote.

    Raises:
        ValueError: If there is no law of that name, or its fields are others.
    """
    classes = {law.__name__: law for law in (Uniform, LogUniform, OneMinusLogUniform, Normal, LogNormal)}
    fields = {key: value for key, value in data.items() if key != "law"}
    if data.get("law") not in classes:
        raise ValueError(f'a law is one of {sorted(classes)} under the key "law", got {data}')
    try:
        return classes[data["law"]](**fields)
    except TypeError as error:
        raise ValueError(f"{data['law']} does not have the fields {sorted(fields)}: {error}") from error
