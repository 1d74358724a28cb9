"""Priors by name, as checkpoints and command lines know them."""

from collections.abc import Mapping
from typing import Any

from lcpfn.priors.curves import Prior
from lcpfn.priors.domhan import Domhan
from lcpfn.priors.general import General
from lcpfn.priors.own import find
from lcpfn.priors.paper import Paper


def built_in(name: Any, parameters: Any = None) -> Prior:
    """Returns one of the priors of this package; never imports anything, so that a name out of a file may be given.

    Args:
        name: "paper", "domhan" or "general".
        parameters: As for `by_name`.

    Raises:
        ValueError: If there is no prior of that name, a module of somebody's own among them, or it does not take these
            parameters.

    Example:
        >>> built_in("paper").name
        'paper'
    """
    priors: dict[str, type[Paper] | type[Domhan] | type[General]] = {
        prior.name: prior for prior in (Paper, Domhan, General)
    }
    if not isinstance(name, str) or name not in priors:
        raise ValueError(
            f"a prior is one of {sorted(priors)}, got {name!r}; one of your own is module:object, as in my_module:prior"
        )
    if parameters is not None and not isinstance(parameters, Mapping):
        raise ValueError(f"the parameters of the prior {name!r} must be a mapping, got {type(parameters).__name__}")
    try:
        return priors[name].from_parameters(parameters or {})
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"the prior {name!r} cannot be made of these parameters: {error}") from error


def by_name(name: str, parameters: Mapping[str, Any] | None = None) -> Prior:
    """Returns the prior of that name; imports the module of one of your own, which runs its code.

    For names that a person gave. What a file says goes to `built_in`.

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
    return find(name, parameters) if ":" in name else built_in(name, parameters)
