"""Priors of your own: a function, or an object, in a module of yours, named by its import path."""

import dataclasses
import importlib
import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lcpfn.priors.curves import Curves, Prior, RunPrior

NEEDED = ("n", "t", "generator")  # what a function is called with, the last one by name
SLACK = 1e-4  # of the range: how far a signal may pass a bound by rounding


@dataclass(frozen=True, kw_only=True)
class Own:
    """A function of yours as a prior.

    The function is called as `draw(n, t, generator=generator)`, with n a number of curves, t (T,) times from 1 on, in
    float32, and a generator of torch on the device where the curves shall be; it draws from nothing else. It returns
    `Curves`, or values (n, T) alone where what is measured has no noise. An attribute `bounds` of the function says
    between which numbers the signal lies, (0, 1) if there is none. Its other arguments have defaults and are the
    parameters that a checkpoint remembers, so they are numbers, texts, or lists of them.

    Attributes:
        name: "module:function", as it is imported.
        draw: the function.
        keywords: its other arguments.

    Raises:
        ValueError: If it cannot be called like that.
    """

    name: str
    draw: Callable[..., Any]
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        known = self._arguments()
        if unknown := sorted(self.keywords.keys() - known.keys()):
            raise ValueError(f"the prior {self.name!r} has the parameters {sorted(known)}, got {unknown}")
        whole = {**known, **self.keywords}
        try:
            object.__setattr__(self, "keywords", json.loads(json.dumps(whole)))
        except TypeError as error:
            raise ValueError(
                f"parameters of the prior {self.name!r} must be storable as JSON in a checkpoint, got {whole}"
            ) from error
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                f"bounds of the prior {self.name!r} must be two finite numbers low < high, got {self.bounds}; a prior "
                "of metrics without bounds is an object with sample_runs, see lcpfn.priors.RunPrior"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest possible value of the signal."""
        low, high = getattr(self.draw, "bounds", (0.0, 1.0))
        return float(low), float(high)

    def parameters(self) -> dict[str, Any]:
        """Returns the function's other arguments, as JSON."""
        return dict(self.keywords)

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """Returns what the function draws, checked.

        Raises:
            ValueError: If that is not n curves at these times, a number is not finite, or a signal is out of bounds.
        """
        t = t.to(generator.device, torch.float32)
        drawn = self.draw(n, t, generator=generator, **self.keywords)
        if not isinstance(drawn, Curves):
            y = torch.as_tensor(drawn, dtype=torch.float32, device=generator.device)
            if y.shape != (n, len(t)):
                raise ValueError(f"the prior {self.name!r} must return ({n}, {len(t)}) values, got {tuple(y.shape)}")
            drawn = Curves(t=t.expand(n, -1), y=y, signal=y, seen=torch.ones_like(y, dtype=torch.bool))
        return self._checked(drawn, (n, len(t)), generator.device)

    def _checked(self, drawn: Curves, shape: tuple[int, int], device: torch.device) -> Curves:
        if tuple(drawn.y.shape) != shape or drawn.y.dtype != torch.float32 or drawn.y.device.type != device.type:
            raise ValueError(
                f"the prior {self.name!r} must return {shape} values in float32 on the generator's device {device}, "
                f"got {tuple(drawn.y.shape)}, {drawn.y.dtype}, {drawn.y.device}"
            )
        low, high = self.bounds
        slack = SLACK * (high - low)
        bad = drawn.seen & ~(torch.isfinite(drawn.y) & (drawn.signal >= low - slack) & (drawn.signal <= high + slack))
        if bool(bad.any()):
            curve, point = torch.nonzero(bad)[0].tolist()
            raise ValueError(
                f"the prior {self.name!r} must draw finite values, and signals in [{low:g}, {high:g}], got y="
                f"{float(drawn.y[curve, point]):.4g}, signal={float(drawn.signal[curve, point]):.4g} at curve {curve}, "
                f"point {point}; other bounds are set as `{self.name.split(':')[1]}.bounds = (low, high)`"
            )
        return drawn

    def _arguments(self) -> dict[str, Any]:
        """Defaults of the arguments that a prior may choose."""
        found = dict(inspect.signature(self.draw).parameters)
        missing = [name for name in NEEDED if found.pop(name, None) is None]
        missing += [name for name, each in found.items() if each.default is each.empty]
        if missing:
            raise ValueError(
                f"the prior {self.name!r} must be a function (n, t, *, generator) whose other arguments have defaults, "
                f"got ({', '.join(inspect.signature(self.draw).parameters)})"
            )
        return {name: each.default for name, each in found.items()}


@dataclass(frozen=True)
class Named:
    """An object of yours that is a prior, under its import path instead of its own name.

    Attributes:
        name: "module:object", as it is imported.
        prior: the object.
    """

    name: str
    prior: Prior

    @property
    def bounds(self) -> tuple[float, float]:
        """The object's."""
        return self.prior.bounds

    def parameters(self) -> dict[str, Any]:
        """Returns the object's parameters."""
        return self.prior.parameters()

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """Returns the object's curves."""
        return self.prior.sample(n, t, generator=generator)


@dataclass(frozen=True)
class NamedRuns(Named):
    """The same of a prior of whole runs."""

    prior: RunPrior

    def sample_runs(self, n: int, points: int, later: int, *, generator: torch.Generator) -> Curves:
        """Returns the object's runs."""
        return self.prior.sample_runs(n, points, later, generator=generator)


def find(path: str, parameters: Mapping[str, Any] | None = None) -> Prior:
    """Returns the prior at an import path "module:object"; modules in the current folder are found too.

    Functions are wrapped in `Own`. An object that satisfies `lcpfn.priors.Prior` is taken as it is, or, with other
    parameters than its own, made anew by its class' `from_parameters`. Classes are refused, and functions whose
    arguments are not those of a prior: paths come from headers of checkpoints, and must not make Python do anything
    else than draw curves.

    Raises:
        ValueError: If there is no such module or object, it is no prior, or it does not take these parameters.
    """
    module, _, attribute = path.partition(":")
    if not all(part.isidentifier() for name in (module, attribute) for part in name.split(".")):
        raise ValueError(f"the path of a prior must be module:object, as in my_module:prior, got {path!r}")
    thing = _imported(path, module)
    for part in attribute.split("."):
        if not hasattr(thing, part):
            raise ValueError(f"the prior {path!r} cannot be found: {module} has no {attribute!r}")
        thing = getattr(thing, part)
    if inspect.isfunction(thing):
        return Own(name=path, draw=thing, keywords=dict(parameters or {}))
    wanted = ("sample", "bounds", "parameters")
    if isinstance(thing, type) or not all(hasattr(thing, name) for name in wanted):
        what = "a class; name an object made of it" if isinstance(thing, type) else type(thing).__name__
        raise ValueError(
            f"the prior {path!r} must be a function (n, t, *, generator) that returns curves, or an object with "
            f"{', '.join(wanted)}, got {what}"
        )
    if parameters is not None and json.dumps(parameters, sort_keys=True) != json.dumps(
        thing.parameters(), sort_keys=True
    ):
        if not hasattr(thing, "from_parameters"):
            raise ValueError(
                f"the prior {path!r} has other parameters now, {thing.parameters()}, than asked for, "
                f"{dict(parameters)}; give its class a from_parameters, as lcpfn.priors.Paper has"
            )
        try:
            thing = thing.from_parameters(parameters)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the prior {path!r} does not take the parameters {dict(parameters)}: {error}") from error
    return NamedRuns(path, thing) if isinstance(thing, RunPrior) else Named(path, thing)


def _imported(path: str, module: str) -> Any:
    here = os.getcwd()
    added = [] if here in sys.path else [here]  # a command looks beside itself, not where its user stands
    sys.path.extend(added)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"the prior {path!r} cannot be found: {error}; run this in the folder of {module}.py, or "
            "install its package"
        ) from error
    finally:
        for each in added:
            sys.path.remove(each)
