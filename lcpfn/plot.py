"""Pictures of beliefs: the fan of one curve, before and after the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lcpfn.belief import Belief
from lcpfn.query import KIND

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (0.5, 0.8, 0.95)  # shares of the belief inside the bands
# Vermilion, black and blues: told apart under all common colour blindness (Okabe and Ito 2008). The bands are one hue
# in equal steps of lightness, from the narrowest to the widest; lines also differ in their strokes.
BANDS = ("#5A9FD0", "#9CC7E6", "#D3E6F4")
MEDIAN, TRUTH, BLACK, GREY = "#00395A", "#D55E00", "#000000", "#777777"
INSTALL = "plots need matplotlib: install this project with its extra, pip install -e '.[plot]'"


def fan(
    belief: Belief,
    *,
    observed: tuple[ArrayLike, ArrayLike] | None = None,
    truth: tuple[ArrayLike, ArrayLike] | None = None,
    incumbent: float | None = None,
    ax: Axes | None = None,
    levels: Sequence[float] = LEVELS,
    name: str = "y",
    clock: str = "t",
    title: str | None = None,
) -> Axes:
    """The axes with the fan of one curve: median and central bands of the belief at each time.

    Nothing global is touched: without `ax` the figure is made by matplotlib's object interface, 900 x 500 pixels, and
    no window opens. Save it with `fan(...).figure.savefig("forecast.png")`.

    Args:
        belief: (Q,) of one curve, with its times.
        observed: t (T,) and y (T,) of the points that the belief knows, in the user's unit; NaN is left out.
        truth: t and y of what happened afterwards.
        incumbent: the value to beat.
        ax: where to draw; None: a figure of its own.
        levels: shares of the belief inside the bands, in (0, 1), three at most.
        name: of the metric, on the vertical axis.
        clock: unit of time, on the horizontal axis.
        title: above the picture.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the belief is not about one curve, or a level is not in (0, 1).
    """
    axes = new_axes() if ax is None else ax
    if len(belief.shape) != 1 or not belief.shape[0]:
        raise ValueError(f"fan draws one curve, a belief of shape (Q,), got {belief.shape}; take one with belief[i]")
    if not 0 < len(levels) <= len(BANDS) or not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must be one to {len(BANDS)} numbers between 0 and 1, got {tuple(levels)}")
    order = np.argsort(belief.t, kind="stable")
    t = np.asarray(belief.t)[order]
    q = np.array([0.5, *((1 + side * level) / 2 for level in sorted(levels) for side in (-1, 1))])
    median, *edges = belief.quantile(q)[order].T  # each (Q,)
    if len(t) == 1:  # a band over one time has no width
        t, median, edges = t[0] + np.array([-0.3, 0.3]), median[[0, 0]], [edge[[0, 0]] for edge in edges]

    legend: list[Artist] = []
    if observed is not None:
        seen = _points(observed)
        size = 4 if len(seen[0]) <= 200 else 2
        legend += axes.plot(*seen, "o", color=BLACK, markersize=size, markeredgewidth=0, zorder=5, label="observed")
        if len(seen[0]):
            _cut_off(axes, seen[0][-1], belief.metric.direction)
    if truth is not None:
        legend += axes.plot(*_points(truth), color=TRUTH, linewidth=1.6, zorder=4, label="what happened")
    legend += axes.plot(t, median, color=MEDIAN, linewidth=2, zorder=3, label=f"{KIND[belief.kind].title}, median")
    for i, level in enumerate(sorted(levels)):
        lower, upper = edges[2 * i], edges[2 * i + 1]
        label = f"{100 * level:.4g} % band"
        legend.append(axes.fill_between(t, lower, upper, color=BANDS[i], linewidth=0, zorder=2 - 0.1 * i, label=label))
    if incumbent is not None:
        label = f"incumbent, {incumbent:.4g}"
        legend.append(axes.axhline(incumbent, color=BLACK, linewidth=1.2, linestyle="--", zorder=2.5, label=label))
    _dress(axes, belief.metric.direction, name=name, clock=clock)
    axes.legend(
        handles=legend,
        loc="lower right" if belief.metric.direction == "max" else "upper right",  # where a curve leaves room
        fontsize=11,
        framealpha=0.85,
        edgecolor="none",
    )
    if title is not None:
        axes.set_title(title, fontsize=12, loc="left")
    return axes


def beside(
    beliefs: Mapping[str, Belief],
    *,
    observed: tuple[ArrayLike, ArrayLike] | None = None,
    truth: tuple[ArrayLike, ArrayLike] | None = None,
    name: str = "y",
    clock: str = "t",
    title: str | None = None,
) -> Figure:
    """A figure with the fans of several beliefs about one curve side by side, on the same axes.

    Args:
        beliefs: (Q,) each, by what is written above it.
        observed: as for `fan`.
        truth: as for `fan`.
        name: as for `fan`.
        clock: as for `fan`.
        title: above all of them.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: as for `fan`, or if there is no belief.
    """
    if not beliefs:
        raise ValueError("there must be one belief at least to draw, got none")
    figure = _figure((6.5 * len(beliefs), 5.2))
    row = figure.subplots(1, len(beliefs), sharey=True, squeeze=False)[0]
    for i, (axes, (label, belief)) in enumerate(zip(row, beliefs.items())):
        fan(belief, observed=observed, truth=truth, ax=axes, name=name, clock=clock, title=label)
        if i:
            axes.set_ylabel("")
            axes.get_legend().remove()
    if title is not None:
        figure.suptitle(title, fontsize=12)
    return figure


def new_axes() -> Axes:
    """Axes of a figure of their own, that no window shows."""
    return _figure((9, 5)).subplots()


def _figure(size: tuple[float, float]) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(INSTALL) from error
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _points(points: tuple[ArrayLike, ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    """Times and values in time order, without the missing ones."""
    t, y = (np.asarray(values, dtype=np.float64) for values in points)
    if t.ndim != 1 or t.shape != y.shape:
        raise ValueError(f"points to draw must be a pair t (T,), y (T,) of one length, got {t.shape} and {y.shape}")
    order = np.argsort(t, kind="stable")
    order = order[~np.isnan(y[order])]
    return t[order], y[order]


def _cut_off(axes: Axes, t: float, direction: str) -> None:
    """A line where observing ended, and its name on the side of the curve where there is room."""
    axes.axvline(t, color=GREY, linewidth=1.3, linestyle=":", zorder=0.5, label="cut-off")
    height, alignment = (0.0, "bottom") if direction == "max" else (1.0, "top")
    axes.annotate(
        "cut-off",
        xy=(t, height),
        xycoords=("data", "axes fraction"),
        xytext=(4, 4 if direction == "max" else -4),
        textcoords="offset points",
        verticalalignment=alignment,
        fontsize=10,
        color=GREY,
    )


def _dress(axes: Axes, direction: str, *, name: str, clock: str) -> None:
    """Labels, grid and frame."""
    better = "higher is better" if direction == "max" else "lower is better"
    axes.set_xlabel(clock, fontsize=12)
    axes.set_ylabel(f"{name}  ({better})", fontsize=12)
    axes.tick_params(labelsize=11, color=GREY)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.015)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
