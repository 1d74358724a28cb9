"""Forecasts of the other runs from any of their prefixes, with what the network computed of them kept.

A causal network's state after c points serves every question that is asked from there, whatever came later. So a run
is encoded once, and once more when it has new points; the others are not touched.

Letters: N prefixes, Q queries, T points, E width.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcpfn.belief import Belief
from lcpfn.context import Context, thin
from lcpfn.engine import Engine
from lcpfn.inference import Inference
from lcpfn.metric import Metric
from lcpfn.prepare import tamed

Array = NDArray[np.float64]

MOST = 512  # encodings that are kept for a network: of 100 points, 26 MB
AT_ONCE = 32  # runs that are encoded in one pass


@dataclass(frozen=True, eq=False)
class Prefix:
    """The first points of a run.

    Attributes:
        t: (T,) times of the whole run.
        y: (T,) its values.
        count: how many of them are seen.
        end: the time at which the run ends, NaN if nobody knows.
    """

    t: Array
    y: Array
    count: int
    end: float = np.nan


@dataclass(frozen=True, eq=False)
class _Encoding:
    states: Any  # (T + 1, E)
    location: Array  # (T + 1,)
    scale: Array  # (T + 1,)


_Kept = OrderedDict[tuple[bytes, Metric], _Encoding]
_KEPT: weakref.WeakKeyDictionary[Any, _Kept] = weakref.WeakKeyDictionary()  # by network: searches share them


def forecast(
    pfn: Engine,
    prefixes: Sequence[Prefix],
    asked: Array,
    kind: str,
    metric: Metric,
    *,
    stretch_time: bool = False,
) -> Belief:
    """The beliefs (N, Q) of an engine after each prefix about times asked (N, Q), as its `predict` gives them.

    Args:
        pfn: the engine; only of a network without a clock of its own something is kept.
        prefixes: N, of one point at least.
        asked: times in the user's unit.
        kind: of the questions.
        metric: of all runs.
        stretch_time: as for `predict`.
    """
    inference = getattr(pfn, "inference", None)
    if not isinstance(inference, Inference) or inference.coordinates.times == "absolute":
        return pfn.predict(
            [prefix.y[: prefix.count] for prefix in prefixes],
            asked,
            t=[prefix.t[: prefix.count] for prefix in prefixes],
            kind=kind,
            metric=metric,
            run_end=np.array([prefix.end for prefix in prefixes]),
            stretch_time=stretch_time,
        )
    seen = [_prepared(prefix, inference.config.limit, metric) for prefix in prefixes]
    found = _encoded(inference, _KEPT.setdefault(pfn, OrderedDict()), seen, metric)
    points = _context([(t[:count], y[:count]) for t, y, count in seen], [prefix.end for prefix in prefixes])
    counts = points.count.tolist()
    stack = np.stack if inference.device is None else inference.network.xp.stack
    states = stack([each.states[count] for each, count in zip(found, counts)])[:, None]
    after = np.broadcast_to(points.count[:, None], asked.shape)
    raw = inference.decode(points, states, after, asked, kind)
    location, scale = (
        np.broadcast_to(np.array([part[count] for part, count in zip(parts, counts)])[:, None], asked.shape)
        for parts in ([each.location for each in found], [each.scale for each in found])
    )
    return inference.belief_of(raw, location, scale, asked, kind, metric)


def _prepared(prefix: Prefix, limit: int, metric: Metric) -> tuple[Array, Array, int]:
    """What is encoded, and how much of it is seen: the whole run, unless the network would see its prefix otherwise."""
    t, y, count = prefix.t, prefix.y, prefix.count
    part = tamed(y[None, :count], np.array([count]), metric)
    if len(t) <= limit and np.array_equal(part[0], y[:count]):
        return t, y, count
    points = thin(_context([(t[:count], y[:count])], [prefix.end]), limit)
    values = tamed(points.y, points.count, metric)
    return points.t[0], values[0], int(points.count[0])


def _encoded(
    inference: Inference, kept: _Kept, seen: Sequence[tuple[Array, Array, int]], metric: Metric
) -> list[_Encoding]:
    keys = [(t.tobytes() + y.tobytes(), metric) for t, y, _ in seen]
    found: dict[tuple[bytes, Metric], _Encoding] = {key: kept[key] for key in keys if key in kept}
    curves = {key: (t, y) for key, (t, y, _) in zip(keys, seen)}
    missing = sorted({*keys} - {*found}, key=lambda key: (len(curves[key][0]), key[0]))  # of like lengths in one pass
    for start in range(0, len(missing), AT_ONCE):
        part = missing[start : start + AT_ONCE]
        view = inference.view(_context([curves[key] for key in part], [np.nan] * len(part)), metric)
        states = inference.encode(view.tokens)
        for row, key in enumerate(part):
            size = len(curves[key][0]) + 1
            own = states[row, :size]
            own = own.copy() if inference.device is None else own.clone()  # a view would keep the whole pass
            found[key] = _Encoding(own, view.location[row, :size].copy(), view.scale[row, :size].copy())
    for key in keys:
        kept[key] = found[key]
        kept.move_to_end(key)
    while len(kept) > MOST:
        kept.popitem(last=False)
    return [found[key] for key in keys]


def _context(curves: Sequence[tuple[Array, Array]], ends: Sequence[float]) -> Context:
    count = np.array([len(t) for t, _ in curves])
    t, y = (np.full((len(curves), count.max()), np.nan) for _ in range(2))
    for row, (times, values) in enumerate(curves):
        t[row, : len(times)], y[row, : len(times)] = times, values
    return Context(t, y, count, single=False, end=np.array(ends))
