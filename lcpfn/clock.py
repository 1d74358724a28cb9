"""The clock of an engine that knows times from a first to a last one alone, and the user's times on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lcpfn.context import Context

SLACK = 1e-9  # relative, for times that were stretched onto the clock


def on_clock(
    context: Context, asked: np.ndarray, clock: tuple[float, float], *, stretch: bool, name: str = "checkpoint"
) -> tuple[Context, np.ndarray]:
    """Context and queries in the time of the engine.

    Args:
        context: B curves in the user's time.
        asked: (B, Q) times in the user's time.
        clock: first and last time.
        stretch: map [first time, last asked time] linearly onto the clock.
        name: what errors call the thing that has the clock.

    Raises:
        ValueError: if times do not lie on the clock.
    """
    first, last = clock
    t = context.t
    if stretch:
        seen, ends = t[~np.isnan(t)], [part for part in (asked, t) if part.size]
        low = float(seen.min()) if seen.size else first
        high = float(max(np.nanmax(part) for part in ends)) if ends else last
        if not high > low:
            raise ValueError(f"stretch_time needs an asked time after the first point, got {high:g} and {low:g}")
        t, asked = (first + (part - low) * ((last - first) / (high - low)) for part in (t, asked))
    for what, times in (("t", t), ("a query", asked)):
        with np.errstate(invalid="ignore"):
            bad = (times < first * (1 - SLACK)) | (times > last * (1 + SLACK))
        if bad.any():
            curve, place = np.argwhere(bad)[0]
            where = f"index {place}" if context.single else f"curve {curve}, index {place}"
            raise ValueError(
                f"times must lie in [{first:g}, {last:g}] for this {name}, got {times[curve, place]:.9g} "
                f"for {what} at {where}; use stretch_time=True to map the run onto its clock"
            )
    return replace(context, t=t), asked
