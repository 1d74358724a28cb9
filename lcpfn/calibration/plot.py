"""Pictures of calibration: ECDF difference, coverage, reliability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lcpfn.calibration.ecdf import EcdfDifference
from lcpfn.calibration.reliability import Reliability
from lcpfn.calibration.report import Calibration
from lcpfn.plot import BANDS, BLACK, GREY, MEDIAN, TRUTH, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = (MEDIAN, TRUTH, "#009E73", "#CC79A7", "#777777", "#E69F00")  # Okabe and Ito 2008; strokes differ as well
STROKES = ("-", "--", "-.", ":")
PITS = "up on the left and down on the right: too narrow; the reverse: too wide; up or down all along: biased"
TARP = "below 0: the truth is farther from random points than the draws are; above: nearer"


def ecdf_plot(
    ecdf: EcdfDifference | Mapping[str, EcdfDifference],
    *,
    ax: Axes | None = None,
    title: str | None = None,
    label: str = "cdf of the truth (PIT)",
    hint: str = PITS,
) -> Axes:
    """The axes with ECDF differences and their simultaneous bands.

    Args:
        ecdf: one, or several under their names; the bands drawn are those of the fewest values.
        ax: where to draw; None: a figure of its own.
        title: above the picture.
        label: what the values are.
        hint: how to read the picture, under the title; that of PIT values and of ranks of draws by default.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is nothing to draw.
    """
    several = {"values": ecdf} if isinstance(ecdf, EcdfDifference) else dict(ecdf)
    if not several:
        raise ValueError("there must be one ECDF at least to draw, got none")
    axes = new_axes() if ax is None else ax
    widest = min(several.values(), key=lambda one: one.n)
    band = f"{100 * widest.level:.4g} % band, {widest.n} values"
    axes.fill_between(widest.z, widest.lower, widest.upper, color=BANDS[2], linewidth=0, label=band)
    axes.axhline(0, color=GREY, linewidth=1)
    for i, (name, one) in enumerate(several.items()):
        z, difference = (np.concatenate([[0.0], part, [end]]) for part, end in ((one.z, 1.0), (one.difference, 0.0)))
        _line(axes, z, difference, i, name)
    return _dress(axes, label, "share of values up to there, less expected", title, hint)


def coverage_plot(told: Calibration, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """The axes with the share of truths inside central intervals, less their level, by cut-off.

    Args:
        told: of one kind of question.
        ax: where to draw; None: a figure of its own.
        title: above the picture.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    axes = new_axes() if ax is None else ax
    axes.axhline(0, color=GREY, linewidth=1)
    levels = list(dict.fromkeys(cell.level for cell in told.coverage))
    step = 0.8 / max(1, len(levels))
    for i, level in enumerate(levels):
        cells = [cell for cut in told.cuts for cell in told.coverage if cell.level == level and cell.cut == cut]
        x = np.arange(len(cells)) + step * (i - (len(levels) - 1) / 2)
        lower, upper = (
            np.array([100 * (side - level) for side in sides])
            for sides in ([c.lower for c in cells], [c.upper for c in cells])
        )
        axes.bar(x, upper - lower, 0.8 * step, bottom=lower, color=BANDS[2], label="95 % band" if i == 0 else None)
        miss = [100 * (cell.mean - level) for cell in cells]
        axes.plot(x, miss, "osD^v<>"[i % 7], color=LINES[i % len(LINES)], label=f"{100 * level:.4g} % intervals")
    axes.set_xticks(range(len(told.cuts)), [str(cut) for cut in told.cuts])
    axes.use_sticky_edges = False  # the frame would cut off the tallest bars
    axes.autoscale_view()
    hint = "above 0: the intervals are too wide; below: too narrow"
    return _dress(axes, "points seen", "truths inside, less the level (% points)", title, hint)


def reliability_plot(told: Reliability, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """The axes with the share of events that happened against the probability said, with each bin's band.

    Args:
        told: bins and bands.
        ax: where to draw; None: a figure of its own.
        title: above the picture.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    axes = new_axes() if ax is None else ax
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    full = told.count > 0
    hint = f"{told.count.sum():.0f} events, their number beside each point; above the line: more than was said"
    said, lower, upper = told.said[full], told.lower[full], told.upper[full]
    label = f"{100 * told.level:.4g} % band of each bin"
    axes.bar(said, upper - lower, 0.03, bottom=lower, color=BANDS[2], label=label)
    axes.plot(said, told.happened[full], "o", color=TRUTH, label="what happened")
    for x, y, n in zip(said, told.happened[full], told.count[full]):
        axes.annotate(f"{n:.0f}", (x, y), xytext=(9, -10), textcoords="offset points", fontsize=9, color=BLACK)
    axes.set_xlim(-0.04, 1.08)
    axes.set_ylim(-0.06, 1.04)
    return _dress(axes, "probability said before", "share that happened", title, hint)


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, i: int, name: str) -> None:
    axes.plot(x, y, color=LINES[i % len(LINES)], linestyle=STROKES[i % len(STROKES)], linewidth=1.6, label=name)


def _dress(axes: Axes, x: str, y: str, title: str | None, hint: str) -> Axes:
    """Labels, grid, frame; the legend beside the picture, where it hides nothing, and how to read it above."""
    axes.set_xlabel(x, fontsize=12)
    axes.set_ylabel(y, fontsize=12)
    axes.tick_params(labelsize=11, color=GREY)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.legend(fontsize=10, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.annotate(
        hint,
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 6),
        textcoords="offset points",
        fontsize=9.5,
        color=GREY,
    )
    if title is not None:
        axes.set_title(title, fontsize=12, loc="left", pad=22)
    return axes
