"""Pictures of the prior predictive check: statistics of sources and priors side by side, and curves of a prior."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure  # no pyplot: no window, no global state

from lcpfn.priors import Curves

SOURCE, PRIOR = "tab:blue", "tab:red"


def distributions(found: dict[str, Any], sources: Sequence[str], priors: Sequence[str], path: Path) -> Path:
    """One panel for each trait: median, quartiles and central 96 % of every source and prior; or a bar for a share."""
    names = [*sources, *priors]
    columns = 5
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(3.4 * columns, 0.19 * len(names) * rows + 1.0 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True).ravel()
    for panel, (trait, entry) in zip(panels, found.items()):
        for place, name in enumerate(names):
            color = PRIOR if name in priors else SOURCE
            of = entry["of"].get(name)
            if of is None:
                continue
            if entry["share"]:
                panel.barh(place, of, color=color, height=0.6)
            else:
                low, _, first, median, third, _, high = of
                panel.plot([low, high], [place, place], color=color, linewidth=0.8)
                panel.plot([first, third], [place, place], color=color, linewidth=4, solid_capstyle="butt")
                panel.plot(median, place, "|", color="black", markersize=8)
        panel.set_title(_folded(f"{trait}: {entry['about']}"), fontsize=7)
        panel.tick_params(labelsize=6)
        panel.set_yticks(range(len(names)), names)
        panel.axhline(len(sources) - 0.5, color="black", linewidth=0.5)
    panels[0].invert_yaxis()
    for panel in panels[len(found) :]:
        panel.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def examples(curves: Curves, path: Path) -> Path:
    """A grid of curves, eight in a row: what is measured as dots, the signal as a line, bounds as grey lines."""
    columns = 8
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(2.1 * columns, 1.5 * rows), layout="constrained")
    for i, panel in enumerate(figure.subplots(rows, columns).ravel()):
        if i >= len(curves):
            panel.set_visible(False)
            continue
        seen = curves.seen[i]
        t, y, signal = (part[i][seen].numpy() for part in (curves.t, curves.y, curves.signal))
        panel.plot(t, y, ".-", color=SOURCE, markersize=2.5, linewidth=0.4)
        panel.plot(t, signal, color=PRIOR, linewidth=0.8)
        if curves.diverged is not None and bool(curves.diverged[i]):
            panel.plot(t[-1], y[-1], "x", color="black", markersize=5)
        title = "" if curves.sign is None else ("higher" if curves.sign[i] > 0 else "lower") + " is better"
        panel.set_title(f"{title}, {len(t)} points", fontsize=6)
        if (gaps := np.diff(t)).size and gaps.max() > 30 * gaps.min() and t[0] > 0:
            panel.set_xscale("log")
        panel.tick_params(which="both", labelsize=5)
        panel.xaxis.get_offset_text().set_fontsize(5)
        panel.yaxis.get_offset_text().set_fontsize(5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _folded(title: str, width: int = 48) -> str:
    """The title in lines of about this width."""
    lines = [""]
    for word in title.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word + " "
    return "\n".join(lines)
