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
from lcpfn.inference import Engine
from lcpfn.metric import Metric
from lcpfn.taming import tamed

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


def forecast(pfn: Any, prefixes: Sequence[Prefix], asked: Array, kind: str, metric: Metric) -> Belief:
    """The beliefs (N, Q) of an engine after each prefix about times asked (N, Q), as its `predict` gives them.

    Args:
        pfn: the engine; of one that is no network nothing is kept.
        prefixes: N, of one point at least.
        asked: times in the user's unit.
        kind: of the questions.
        metric: of all runs.
    """
    engine = getattr(pfn, "engine", None)
    if not isinstance(engine, Engine) or engine.coordinates.bounded:
        return pfn.predict(
            [prefix.y[: prefix.count] for prefix in prefixes],
            asked,
            t=[prefix.t[: prefix.count] for prefix in prefixes],
            kind=kind,
            metric=metric,
            run_end=np.array([prefix.end for prefix in prefixes]),
        )
    seen = [_prepared(prefix, engine, metric) for prefix in prefixes]
    kept = _KEPT.setdefault(pfn, OrderedDict())
    found = _encoded(engine, kept, seen, metric)
    context = _context([(t[:count], y[:count]) for t, y, count in seen], [prefix.end for prefix in prefixes])
    stack = np.stack if engine.device is None else engine.network.xp.stack
    states = stack([each.states[count] for each, (_, _, count) in zip(found, seen)])[:, None]
    after = np.broadcast_to(context.count[:, None], asked.shape)
    raw = engine.decode(context, states, after, asked, kind)
    location, scale = (
        np.array([getattr(each, name)[count] for each, (_, _, count) in zip(found, seen)])[:, None]
        for name in ("location", "scale")
    )
    places = (np.broadcast_to(part, asked.shape) for part in (location, scale))
    return engine.belief(engine.law(raw), *places, asked, kind, metric, engine.outcome(raw))


def _prepared(prefix: Prefix, engine: Engine, metric: Metric) -> tuple[Array, Array, int]:
    """What is encoded, and how much of it is seen: the whole run, unless the network would see its prefix otherwise."""
    context = _context([(prefix.t[: prefix.count], prefix.y[: prefix.count])], [prefix.end])
    changed = thin(tamed(context, metric), engine.config.limit)
    if changed is context and len(prefix.t) <= engine.config.limit:
        return prefix.t, prefix.y, prefix.count
    t, y = changed.t[0], changed.y[0]
    return t, y, len(t)


def _encoded(
    engine: Engine, kept: _Kept, seen: Sequence[tuple[Array, Array, int]], metric: Metric
) -> list[_Encoding]:
    keys = [(t.tobytes() + y.tobytes(), metric) for t, y, _ in seen]
    found: dict[tuple[bytes, Metric], _Encoding] = {key: kept[key] for key in keys if key in kept}
    missing = list(OrderedDict.fromkeys(key for key in keys if key not in found))
    curves = {key: (t, y) for key, (t, y, _) in zip(keys, seen)}
    missing.sort(key=lambda key: len(curves[key][0]))  # of like lengths in one pass: little padding
    for start in range(0, len(missing), AT_ONCE):
        part = missing[start : start + AT_ONCE]
        context = _context([curves[key] for key in part], [np.nan] * len(part))
        view = engine.view(context, metric)
        states = engine.encode(view.tokens)
        for row, key in enumerate(part):
            size = len(curves[key][0]) + 1
            own = states[row, :size]
            found[key] = _Encoding(
                own.copy() if engine.device is None else own.clone(),
                view.location[row, :size].copy(),
                view.scale[row, :size].copy(),
            )
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
