"""Calibrated beliefs about the rest of a learning curve."""

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING

# `lcpfn.priors` lies beside this folder in a checkout and inside it in a wheel. Anything else means that this folder
# hides the installed package, or is mixed with another checkout's parts, and would fail later in a confusing place.
_home = _Path(__file__).resolve().parent
_priors = _find_spec("lcpfn.priors")
_found = None if _priors is None else _Path(str(_priors.origin)).resolve().parent
if _found not in (_home / "priors", _home.parent / "priors"):
    raise ImportError(f"{_home.parent} is a checkout that is not the installed one: run `pip install -e .` there")

if TYPE_CHECKING:
    from lcpfn.belief import Belief
    from lcpfn.curve import Curve
    from lcpfn.metric import Metric
    from lcpfn.network.checkpoint import Checkpoint
    from lcpfn.pfn import PFN, Replay, load
    from lcpfn.stream import Stream

__all__ = ["Belief", "Checkpoint", "Curve", "Metric", "PFN", "Replay", "Stream", "load"]
_HOMES = {  # the rest: pfn
    "Belief": "belief",
    "Checkpoint": "network.checkpoint",
    "Curve": "curve",
    "Metric": "metric",
    "Stream": "stream",
}
_PARTS = ("calibration", "integrations", "logs", "mcmc", "plot", "priors", "stopping", "training")


def __getattr__(name: str) -> object:  # numpy and scipy only when something is used: `lcpfn --help` answers at once
    if name in __all__:
        return getattr(_import_module(f"lcpfn.{_HOMES.get(name, 'pfn')}"), name)
    if name in _PARTS:  # `lcpfn.stopping` right after `import lcpfn`
        return _import_module(f"lcpfn.{name}")
    if name == "__version__":
        return _import_module("importlib.metadata").version("lcpfn-beliefs")
    raise AttributeError(f"module 'lcpfn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PARTS, "__version__"])
