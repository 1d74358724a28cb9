"""Wild values at the start of a curve, which would set the scale of everything after them.

Letters: B curves, T observed points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lcpfn.context import Context
from lcpfn.metric import Metric

WILD = 1e3  # ranges of the second half that a value of the first half may lie below it: 1 over coordinates.SPREAD_FLOOR


def tamed(context: Context, metric: Metric) -> Context:
    """The context without the wildness of early values, which would set the scale of everything after them.

    A value of a curve's first half that is worse than all of its second half by more than WILD times the range of that
    is taken for that much worse: a loss that begins at 1e12 and settles at 1 has told all that it tells at 1e3. Needs
    five points.

    Args:
        context: the observed points; before `thin`.
        metric: says what is worse.

    Example:
        >>> from lcpfn.context import read_context
        >>> y = [1e12, 5.0, 4.0, 3.0, 2.5, 2.2]
        >>> tamed(read_context(y, metric=Metric("min")), Metric("min")).y[0, :2]
        array([803.,   5.])
    """
    y, count = metric.sign * context.y, context.count[:, None]
    late = (np.arange(y.shape[1]) >= count // 2) & (np.arange(y.shape[1]) < count)
    worst = np.where(late, y, np.inf).min(axis=1, initial=np.inf)
    room = np.where(late, y, -np.inf).max(axis=1, initial=-np.inf) - worst
    with np.errstate(invalid="ignore", over="ignore"):
        least = np.where((context.count >= 5) & (room > 0), worst - WILD * room, -np.inf)[:, None]
        wild = y < least
    if not wild.any():
        return context
    return replace(context, y=metric.sign * np.where(wild, least, y))
