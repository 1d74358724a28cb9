"""Opponents that are networks: our checkpoints, and LC-PFN as it was published.

Letters: B curves, T observed points, Q query points.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lcpfn.belief import Belief
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.pfn import PFN, locate
from opponents.normalise import UNIT, Normaliser
from opponents.original.answers import OriginalAnswers
from opponents.original.config import choices

CLOCK = (1.0, 100.0)  # what networks of the paper's prior know of time
PUBLISHED = "LCPFN_PUBLISHED"  # environment variable: path of a checkpoint of the original layout
LEAST_SCORE = 1.5  # of a network that may stand for LC-PFN
DEFAULT_PUBLISHED = Path(__file__).resolve().parents[2] / "runs" / "lcpfn-published" / "checkpoint.safetensors"


class UnitEngine(Protocol):
    """Whatever answers for curves in [0, 1] at times in CLOCK."""

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric) -> Belief:
        """The belief (B, Q)."""


class Normalised:
    """An engine of the paper's prior behind the question of all methods: values and times are mapped to its world.

    Args:
        name: in the tables.
        engine: answers in the unit's world.
        settings: for the JSON.
        whole: the engine knows whole times alone, a point at each of them, and takes curves one by one.
        best: the engine knows the kind "best"; else its belief about the value at the asked time stands in.
    """

    def __init__(
        self, name: str, engine: UnitEngine, settings: dict[str, Any], *, whole: bool = False, best: bool = True
    ) -> None:
        self.name, self.engine, self.settings, self.whole, self.best = name, engine, settings, whole, best

    def prepare(self, others: Sequence[object]) -> None:
        """Learns nothing."""

    def predict(
        self,
        y: Sequence[np.ndarray],
        t_query: Sequence[np.ndarray],
        *,
        t: Sequence[np.ndarray],
        kind: str,
        metric: Metric,
        horizon: Sequence[float],
    ) -> list[Belief]:
        """See `opponents.method.Method`."""
        ask = kind if self.best else "value"
        maps, units, times, asked = [], [], [], []
        for values, seen, queries, end in zip(y, t, t_query, horizon):
            x, seen, queries = (np.asarray(part, dtype=np.float64) for part in (values, seen, queries))
            maps.append(Normaliser.of(metric.sign * x, metric))
            z = maps[-1].forward(metric.sign * x)
            part = counted(seen, z, queries, end) if self.whole else (*on_clock(seen, queries, end), z)
            for rows, row in zip((times, asked, units), part):
                rows.append(row)
        if self.whole:
            beliefs = [
                self.engine.predict([z], later[None], t=[seen], kind=ask, metric=UNIT)[0]
                for z, later, seen in zip(units, asked, times)
            ]
        else:
            batch = self.engine.predict(units, padded(asked), t=times, kind=ask, metric=UNIT)
            beliefs = [batch[i, : len(later)] for i, later in enumerate(asked)]
        return [retimed(each.belief(inner, metric), later, kind) for each, inner, later in zip(maps, beliefs, t_query)]


class Direct:
    """A checkpoint for any metric and any time, asked as it stands.

    Args:
        name: in the tables.
        engine: the checkpoint's.
        settings: for the JSON.
    """

    def __init__(self, name: str, engine: PFN, settings: dict[str, Any]) -> None:
        self.name, self.engine, self.settings = name, engine, settings

    def prepare(self, others: Sequence[object]) -> None:
        """Learns nothing."""

    def predict(
        self,
        y: Sequence[np.ndarray],
        t_query: Sequence[np.ndarray],
        *,
        t: Sequence[np.ndarray],
        kind: str,
        metric: Metric,
        horizon: Sequence[float],
    ) -> list[Belief]:
        """See `opponents.method.Method`."""
        asked = [np.asarray(part, dtype=np.float64) for part in t_query]
        ends = np.asarray(horizon, dtype=np.float64)
        whole = self.engine.predict(list(y), padded(asked), t=list(t), kind=kind, metric=metric, run_end=ends)
        return [whole[i, : len(queries)] for i, queries in enumerate(asked)]


class Foretelling(Direct):
    """Such a checkpoint that also knows how likely a run diverges."""

    def prob_diverges(
        self, y: Sequence[np.ndarray], *, t: Sequence[np.ndarray], metric: Metric, horizon: Sequence[float]
    ) -> np.ndarray:
        """(B,) the probability that a run ends without a number."""
        ends = np.asarray(horizon, dtype=np.float64)
        ask: dict[str, Any] = {"t": list(t), "metric": metric, "run_end": ends}
        return np.asarray(self.engine.predict(list(y), ends[:, None], **ask).prob_diverged(into_nan=True)[:, 0])


def ours(name: str = "paper-small") -> Normalised | Direct:
    """The method of one of our checkpoints: shipped, by name, or a path."""
    path = locate(name)
    engine = PFN(Checkpoint.read(path))
    settings = {"checkpoint": path.name, "sha256": digest(path)}
    label = f"ours:{path.stem if path.stem != 'checkpoint' else path.resolve().parent.name}"
    if engine.inference.coordinates.bounded:
        return Normalised(label, engine, settings)
    return (Foretelling if engine.inference.config.divergence else Direct)(label, engine, settings)


def published() -> Normalised:
    """LC-PFN as published: trained by us in the original layout, with the paper's normalisation.

    Raises:
        FileNotFoundError: there is no such checkpoint here.
        ValueError: it is of another layout, or so poor on its own prior that it is no LC-PFN.
    """
    path = Path(os.environ.get(PUBLISHED) or DEFAULT_PUBLISHED)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no checkpoint of the original layout: train one (benchmarks/README.md) or name it in {PUBLISHED}"
        )
    scores = Checkpoint.read(path).provenance["scores"] or {}
    if not scores.get("40", -np.inf) > LEAST_SCORE:
        raise ValueError(
            f"the network must reach a mean log density of {LEAST_SCORE:g} after 40 points of its own prior, as the "
            f"paper's reach 2.28, got {scores.get('40')} in {path.parent.name}/{path.name}; train it anew"
        )
    return original(path)


def original(path: Path) -> Normalised:
    """The method of a checkpoint of the original layout, whatever its quality.

    It is taken to know "value" alone, as the published network does; so its belief about the value at the asked time
    stands in for "best".

    Raises:
        ValueError: it is of another layout.
    """
    checkpoint = Checkpoint.read(path)
    if choices(checkpoint)["layout"] != "original":
        raise ValueError(f'the checkpoint must be of layout "original", got {path.name}; ask it as ours:PATH')
    seen = checkpoint.provenance["curves_seen"]
    facts = {"checkpoint": path.parent.name, "sha256": digest(path), "curves_seen": seen}
    return Normalised("LC-PFN", OriginalAnswers(checkpoint), facts, whole=True, best=False)


def on_clock(t: np.ndarray, asked: np.ndarray, horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """Observed (T,) and asked times (Q,) on CLOCK, the first observed time at its start, the horizon at its end."""
    first, last = CLOCK
    end = max(horizon, float(asked.max()) if len(asked) else horizon, float(t[-1]))
    seen, later = (first + (last - first) * (part - t[0]) / (end - t[0]) for part in (t, asked))
    return np.clip(seen, first, last), np.clip(later, first, last)


def counted(
    t: np.ndarray, z: np.ndarray, asked: np.ndarray, horizon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed times (N,), asked times (Q,), both whole numbers, and values (N,) at the former.

    The first measurement is at 1, each next one a step later, as the curves of the published network are; the spacing
    is even in t or in log t, whichever fits the gaps better. Runs of more than 100 measurements are squeezed, and
    values at one time averaged: the network has seen no other times in training.
    """
    first, last = CLOCK
    gaps, ratios = np.diff(t), np.diff(np.log(t)) if t[0] > 0 else np.zeros(len(t) - 1)
    even = len(t) < 4 or ratios.mean() == 0 or gaps.std() * ratios.mean() <= ratios.std() * gaps.mean()
    parts = [t, asked, np.array([max(horizon, t[-1], *asked)])]
    if not even:
        parts = [np.log(part) for part in parts]
    gap = float(np.median(ratios if not even else gaps))
    seen, later, end = ((part - parts[0][0]) / gap for part in parts)
    squeeze = min(1.0, (last - first) / end[0])
    cells = np.clip(np.round(first + squeeze * seen), first, last - 1).astype(int)
    kept, place = np.unique(cells, return_inverse=True)
    means = np.bincount(place, z) / np.bincount(place)
    return kept.astype(np.float64), np.clip(np.round(first + squeeze * later), kept[-1] + 1, last), means


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """(B, Q) rows of different lengths, the short ones filled up with their last number."""
    longest = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, longest - len(row)), mode="edge") for row in rows])


def retimed(belief: Belief, t: np.ndarray, kind: str) -> Belief:
    """The same belief with the user's times (Q,), as the answer to a question of this kind."""
    parts = dict(transform=belief.transform, metric=belief.metric, kind=kind, t=t)
    return Belief(belief.law, belief.location, belief.scale, **parts)
