"""Checks that the arguments of rules, policies and adapters have in common; each says the rule and what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TypeGuard

import numpy as np


def is_real(value: object) -> TypeGuard[float]:
    """Whether this is a number, of Python or NumPy, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def probability(value: object, name: str) -> None:
    """Checks a probability that is neither 0 nor 1.

    Raises:
        ValueError: if it does not lie between 0 and 1.
    """
    if not is_real(value) or not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value!r}; divide percentages by 100")


def amount(value: object, name: str) -> None:
    """Checks an amount in units of y.

    Raises:
        ValueError: if it is no finite number, 0 or more.
    """
    if not is_real(value) or not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number, 0 or more, got {value!r}")


def count(value: object, name: str) -> None:
    """Checks a number of things.

    Raises:
        ValueError: if it is no whole number, 1 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number, 1 or more, got {value!r}")


def choice(value: object, name: str, known: Sequence[object]) -> None:
    """Checks one of a few words or numbers.

    Raises:
        ValueError: if it is none of them.
    """
    if isinstance(value, bool) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")
