"""Misspelt arguments are refused with the list of those that exist.

Python's own error names the misspelt argument alone, and a class that hands arguments on names another class than the
one that was called.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")

# Arguments of a rule, which people who know other libraries give to the stopper itself.
OF_RULES = {
    "level": "rule=Best(level=...)",
    "start": "rule=Best(start=...)",
    "cap": "rule=Best(cap=...)",
    "spend": "rule=Best(spend=...)",
    "rank": "rule=Best(rank=...)",
    "min_rate": "rule=Worth(min_rate=...)",
    "min_delta": "rule=Best(min_delta=...) beside other runs, or rule=Converged(min_delta=...) for a run alone",
}


def spelled(cls: type[T]) -> type[T]:
    """The class, whose constructor refuses unknown keyword arguments with a TypeError that lists the known ones."""
    init = cls.__init__
    known: list[str] = []

    @functools.wraps(init)
    def checked(self: T, *args: Any, **given: Any) -> None:
        if not known:  # type hints can be read once the module is there
            known.extend(arguments(init))
        for name in given:
            if name not in known:
                raise TypeError(_refusal(cls.__name__, name, known))
        init(self, *args, **given)

    setattr(cls, "__init__", checked)  # noqa: B010 (assigned, a type checker takes it for another signature)
    return cls


def arguments(function: Any) -> list[str]:
    """The keyword arguments of a function, those of `**options: Unpack[...]` included."""
    names = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            (options,) = get_args(get_type_hints(function)[name])
            names += options.__annotations__
        elif name != "self":
            names.append(name)
    return names


def _refusal(owner: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, [*known, *OF_RULES], n=1)
    like = name if name in OF_RULES else close[0] if close else None
    listed = f"it takes {', '.join(known)}"
    if like in OF_RULES and like not in known:
        return f"{owner} takes no argument {name!r}: {like} belongs to a rule, write {OF_RULES[like]}; {listed}"
    return f"{owner} takes no argument {name!r}{f', did you mean {like!r}?' if like else ';'} {listed}"
