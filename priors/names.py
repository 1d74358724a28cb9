"""Priors by name, as checkpoints and command lines know them."""

from collections.abc import Mapping
from typing import Any

from lcpfn.priors.curves import Prior
from lcpfn.priors.domhan import Domhan
from lcpfn.priors.general import General
from lcpfn.priors.own import find
from lcpfn.priors.paper import Paper


def by_name(name: str, parameters: Mapping[str, Any] | None = None) -> Prior:
    """Returns the prior of that name.

    Args:
        name: "paper", "domhan" or "general", or the import path "module:object" of one of your own, see
            `lcpfn.priors.own`.
        parameters: What its `parameters()` gave; what is left out has its default.

    Raises:
        ValueError: If there is no prior of that name, or it does not take these parameters.

    Example:
        >>> by_name("paper", {"horizon": 50}).parameters()["horizon"]
        50
    """
    priors: dict[str, type[Paper] | type[Domhan] | type[General]] = {
        prior.name: prior for prior in (Paper, Domhan, General)
    }
    if ":" in name:
        return find(name, parameters)
    if name not in priors:
        raise ValueError(
            f"a prior is one of {sorted(priors)}, got {name!r}; one of your own is module:object, as in my_module:prior"
        )
    return priors[name].from_parameters(parameters or {})
