"""All methods of the contest by name: how each is made, and what it costs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from opponents.method import Method


@dataclass(frozen=True)
class Opponent:
    """How a method is made; modules are imported only when it is, since some of them take seconds.

    Attributes:
        module: of benchmarks/.
        factory: the name of what is called there.
        arguments: with which; a text that begins with "=" names something in the module.
        cheap: takes milliseconds a forecast, so it is run on all curves that the others are run on.
    """

    module: str
    factory: str
    arguments: tuple[str, ...] = ()
    cheap: bool = True

    def make(self) -> Method:
        """The method.

        Raises:
            Unavailable: it cannot run here; the message says why.
        """
        try:
            module = importlib.import_module(self.module)
        except ImportError as error:
            raise Unavailable(f"{self.module} needs {error.name}: install this project with '.[bench]'") from error
        arguments: list[Any] = [getattr(module, word[1:]) if word.startswith("=") else word for word in self.arguments]
        try:
            method: Method = getattr(module, self.factory)(*arguments)
        except (FileNotFoundError, ValueError) as error:
            raise Unavailable(str(error)) from error
        return method


class Unavailable(RuntimeError):
    """A method cannot run here; the message is the reason that is printed in its place."""


OPPONENTS: dict[str, Opponent] = {
    "last-value": Opponent("opponents.naive", "LastValue"),
    "conformal": Opponent("opponents.naive", "ConformalLastValue"),
    "linear-log-t": Opponent("opponents.naive", "LinearLogT"),
    **{
        name.lower(): Opponent("opponents.fits", "LeastSquares", (f"={name}",))
        for name in ("POW3", "POW4", "EXP4", "MMF4", "BNSL")
    },
    "gp": Opponent("opponents.gp", "GaussianProcess"),
    "ets": Opponent("opponents.general", "ExponentialSmoothing"),
    "ours:paper-small": Opponent("opponents.networks", "ours", ("paper-small",)),
    "lc-pfn": Opponent("opponents.networks", "published"),
    "domhan": Opponent("opponents.domhan", "domhan", cheap=False),
}
CHEAP = tuple(name for name, opponent in OPPONENTS.items() if opponent.cheap)


def make(name: str) -> Method:
    """The method of a name in OPPONENTS, or of any checkpoint as "ours:NAME" or "ours:PATH".

    Raises:
        KeyError: there is no such method.
        Unavailable: it cannot run here; the message says why.

    Example:
        >>> make("last-value").name
        'last value'
    """
    if name not in OPPONENTS and name.startswith("ours:"):
        return Opponent("opponents.networks", "ours", (name.removeprefix("ours:"),)).make()
    if name not in OPPONENTS:
        raise KeyError(f"there is no method {name!r}: there are {', '.join(OPPONENTS)}, and ours:CHECKPOINT")
    return OPPONENTS[name].make()
