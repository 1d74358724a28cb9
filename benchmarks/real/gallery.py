"""Pictures of forecasts of real curves: the best, the median and the five worst of a method, a page for each source.

    python benchmarks/real/gallery.py ours:paper-small

Chooses by the rows that real_curves.py left behind (the CRPS of later points, in units of the task), and asks again.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread  # noqa: F401

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from data import curves
from data.curve import RealCurve
from opponents import registry
from opponents.method import Method
from record import ROOT, say

from lcpfn import plot
from lcpfn.belief import Belief
from real import cases, scores
from real.contest import SEED, Library, Places, Plan, Read, cells
from real.rows import Rows, Store

FIGURES = ROOT / "benchmarks" / "figures" / "real"
WORST = 5
SCORE = "later_crps"


@dataclass(frozen=True)
class Picture:
    """Which forecast is drawn, and why."""

    why: str
    task: str
    metric: str
    run: str
    cut: int
    score: float


def chosen(rows: Rows, place: dict[str, int]) -> list[Picture]:
    """The best, the median and the worst forecasts; the worst of different tasks, if there are enough, else runs.

    The best of those that differ at all from the truth: others are of constants, or beyond the fences.

    Args:
        rows: of a method in a source.
        place: of each column.
    """
    score, cut = rows.values[:, place[SCORE]], rows.values[:, place["cut"]]
    order = np.argsort(score, kind="stable")
    order = order[np.isfinite(score[order])]
    if not len(order):
        return []
    worst: list[int] = []
    for strict in (True, False):  # one of each task, then whatever is worst
        for i in order[::-1]:
            taken = {(rows.task[j], None if strict else rows.run[j]) for j in worst}
            if len(worst) < WORST and (rows.task[i], None if strict else rows.run[i]) not in taken:
                worst.append(int(i))
    named = [
        ("best", next((i for i in order if score[i] > scores.STEP_SHARE), order[-1])),
        ("median", order[len(order) // 2]),
    ]
    named += [(f"worst {k}", i) for k, i in enumerate(sorted(worst, key=lambda i: -score[i]), 1)]
    return [
        Picture(why, str(rows.task[i]), str(rows.metric[i]), str(rows.run[i]), int(cut[i]), float(score[i]))
        for why, i in named
    ]


def page(pictures: Sequence[Picture], method: Method, library: Library, source: str, *, seed: int) -> Any:
    """A matplotlib figure with a panel for each picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // 2)
    figure = Figure(figsize=(15, 4.6 * rows), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2, squeeze=False).reshape(-1)
    found = cells(library[source])
    for picture, axes in zip(pictures, panels):
        members = found[picture.task, picture.metric]
        (curve,) = [each for each in members if each.run == picture.run]
        method.prepare(cases.neighbours(members[0], library, seed=seed))
        each = cases.case(curve, picture.cut)
        (belief,) = cases.ask(method, [each], kind="value").beliefs
        values = np.concatenate([member.y for member in members])
        resolution = max(member.resolution for member in members)
        yard = scores.yardstick(values, metric=curve.metric, resolution=resolution)
        _panel(axes, each, belief, yard, first=axes is panels[0])
        axes.set_title(
            f"{picture.why}: CRPS {picture.score:.3g} units, {picture.cut} % seen\n"
            f"{picture.task[:60]}\n{picture.run[-70:]}",
            fontsize=10,
            loc="left",
        )
    for axes in panels[len(pictures) :]:
        axes.set_visible(False)
    figure.suptitle(f"{source}, {method.name}: best, median and worst forecasts of later points", fontsize=14)
    return figure


def draw(name: str, *, sources: Sequence[str], places: Places, make: Callable[[str], Method], read: Read) -> int:
    """Pages of all sources that the method has rows of; how many.

    Args:
        name: of the method, as in `opponents/registry.py`.
        sources: all that there are.
        places: of the rows, and as `results` the folder for the pages.
        make: makes a method of its name.
        read: reads the curves of a source; the same ones are drawn as for the rows.
    """
    method, drawn, libraries = make(name), 0, {}
    for source in sources:
        kept = places.store(name, source)
        if not kept.exists():
            continue
        with np.load(kept) as told:
            settings, columns = json.loads(str(told["settings"])), [str(each) for each in told["columns"]]
        plan = Plan(*(settings[key] for key in ("per_task", "most_tasks", "split")), seed=SEED, sources=tuple(sources))
        library = libraries.setdefault(plan, Library(plan, read))
        pictures = chosen(Store(kept, settings).rows(), {each: i for i, each in enumerate(columns)})
        if pictures:
            path = places.result(name, source).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            page(pictures, method, library, source, seed=SEED).savefig(path)
            say(f"{path.name} of {source} drawn")
            drawn += 1
    return drawn


def main(
    arguments: Sequence[str] | None = None,
    *,
    make: Callable[[str], Method] = registry.make,
    read: Read = curves.read,
    sources: Sequence[str] | None = None,
) -> int:
    """Draw; 0 when there was something to draw, else 1.

    Args:
        arguments: the command line, None for the process's own.
        make: makes a method of its name.
        read: reads the curves of a source.
        sources: that there are; None: those of curves.py.
    """
    made = argparse.ArgumentParser(prog="python benchmarks/real/gallery.py", description=(__doc__ or "").split("\n")[0])
    made.add_argument("method", help="a name of opponents/registry.py")
    made.add_argument(
        "--rows", type=Path, default=ROOT / "runs" / "real", help="of real_curves.py (default: runs/real)"
    )
    made.add_argument("--out", type=Path, default=FIGURES, help="default: benchmarks/figures/real")
    told = made.parse_args(arguments)
    there = tuple(curves.sources(later=True) if sources is None else sources)
    places = Places(told.out, told.rows)
    if draw(told.method, sources=there, places=places, make=make, read=read):
        return 0
    print(f"no rows of {told.method} in {told.rows.name}: run benchmarks/real/contest.py --methods {told.method}")
    return 1


def _panel(axes: Any, each: cases.Case, belief: Belief | None, yard: scores.Yardstick, *, first: bool) -> None:
    """The fan, what was seen and what happened, no further out than the fences; the first panel has the legend."""
    curve: RealCurve = each.curve
    seen = each.observed
    later = curve.t[each.seen :], np.where(np.isfinite(curve.y[each.seen :]), curve.y[each.seen :], np.nan)
    if belief is None:
        axes.plot(*later, color=plot.TRUTH)
        axes.plot(*seen, "o", color=plot.BLACK, markersize=3)
    else:
        plot.fan(belief, observed=seen, truth=later, ax=axes, name=curve.name, clock=curve.x_unit)
        if not first:
            axes.get_legend().remove()
    ends = np.empty(0) if belief is None else belief.interval(0.95).reshape(-1)
    shown = np.clip(np.concatenate([seen[1], later[1][np.isfinite(later[1])], ends]), yard.low, yard.high)
    low, high = shown.min(), shown.max()
    room = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-3)
    axes.set_ylim(low - room, high + room)


if __name__ == "__main__":
    raise SystemExit(main())
