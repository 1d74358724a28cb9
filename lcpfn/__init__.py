"""Calibrated beliefs about the rest of a learning curve."""

from importlib.metadata import version as _version
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path

# `lcpfn.priors` lies beside this folder in a checkout and inside it in a wheel. Anything else means that this folder
# hides the installed package, or is mixed with another checkout's parts, and would fail later in a confusing place.
_home = _Path(__file__).resolve().parent
_priors = _find_spec("lcpfn.priors")
_found = None if _priors is None else _Path(str(_priors.origin)).resolve().parent
if _found not in (_home / "priors", _home.parent / "priors"):
    raise ImportError(f"{_home.parent} is a checkout that is not the installed one: run `pip install -e .` there")

from lcpfn.belief import Belief
from lcpfn.checkpoint import Checkpoint
from lcpfn.metric import Metric
from lcpfn.pfn import PFN, Replay, load
from lcpfn.stream import Stream

__all__ = ["Belief", "Checkpoint", "Metric", "PFN", "Replay", "Stream", "load"]
__version__ = _version("lcpfn-beliefs")
