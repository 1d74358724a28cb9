"""What an engine is made of: from checked context and queries, through coordinates and network, to a belief.

Letters: B curves, T observed points, P queries of one curve in one pass, E width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.clock import on_clock
from lcpfn.context import Context
from lcpfn.distributions.bars import Bars
from lcpfn.distributions.mixture import Mixture
from lcpfn.distributions.ties import resolution
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import KINDS, ModelConfig
from lcpfn.network.coordinates import Coordinates, Frame, bar_edges, frame, query_features
from lcpfn.network.forward import Cache, Network
from lcpfn.network.shapes import check_weights, read_config

LARGEST = 1e100  # of a value's size: squares of what is larger overflow, and its run has diverged anyway
CHUNK_NUMBERS = 4_000_000  # largest temporary array of a pass, in numbers: 16 MB


@dataclass(frozen=True, eq=False)
class Engine:
    """A network with its coordinates, on a device."""

    config: ModelConfig
    coordinates: Coordinates
    network: Network
    device: str | None  # None: NumPy

    @classmethod
    def of(cls, checkpoint: Checkpoint, device: str | None) -> Engine:
        """The engine of a checkpoint.

        Raises:
            ImportError: if device is given and torch is not installed.
            ValueError: if the config is not one that this version can run, or the weights are not those it asks for.
        """
        config, coordinates = read_config(checkpoint.config)
        if config.layout != "causal":
            raise ValueError(f'the checkpoint must be of layout "causal", got {config.layout!r}')
        check_weights(config, coordinates, checkpoint.weights)
        checkpoint.check_content()
        return cls(config, coordinates, _network(config, checkpoint.weights, device), device)

    def view(self, context: Context, metric: Metric) -> Frame:
        """Locations, scales and tokens of all prefixes."""
        self.check_size(context)
        t, y = filled(context.t), filled(context.y) * metric.sign
        lower, upper = (np.full(len(t), bound) for bound in metric.upward_bounds)
        return frame(self.coordinates, t, y, lower, upper, np)

    def check_size(self, context: Context) -> None:
        """Raises ValueError if a value is so large that its run has diverged."""
        far = np.abs(context.y) > LARGEST
        if far.any():
            curve, place = np.argwhere(far)[0]
            where = f"point {place}" if context.single else f"curve {curve}, point {place}"
            raise ValueError(
                f"y must be smaller than {LARGEST:g} in size, got {context.y[curve, place]:.3g} at {where}; a run that "
                "diverged is over: stop it, or leave the point out (NaN means missing)"
            )

    def check_empty(self, context: Context, metric: Metric) -> None:
        """Raises ValueError if a curve has no point and the metric no bounds: then nothing says what to expect."""
        if not context.count.all() and None in metric.bounds and self.coordinates.values == "local":
            where = "" if context.single else f" at curve {int(np.argmin(context.count))}"
            raise ValueError(
                f"a curve without points needs a metric with both bounds, got bounds={metric.bounds}{where}; "
                "give them, as in Metric(bounds=(0, 1)), or wait for the first point"
            )

    def encode(self, tokens: np.ndarray, cache: Cache | None = None) -> Any:
        """(B, T + 1, E) states, or (B, T, E) if the cache held points; on the engine's device."""
        return self.network.encode(self._array(tokens), cache)

    def decode(self, context: Context, states: Any, after: np.ndarray, clocked: np.ndarray, kind: str) -> np.ndarray:
        """(B, P, outputs) raw answers, given the states (B, P or 1, E) that the queries may know."""
        features = query_features(self.coordinates, filled(context.t), clocked, after, np, context.end)
        raw = self.network.decode(states, self._array(features), KINDS.index(kind))
        return raw if self.device is None else raw.cpu().numpy()

    def law(self, raw: np.ndarray) -> Mixture | Bars:
        """The law of u that raw outputs (..., outputs) stand for."""
        raw = raw[..., : self.config.law_outputs]
        if self.config.head == "mixture":
            return Mixture.from_raw(raw, capped=self.coordinates.values == "local")
        return Bars(bar_edges(self.coordinates, self.config.components), raw)

    def outcome(self, raw: np.ndarray) -> np.ndarray | None:
        """(..., 2) probabilities that the run has exploded, or broken off; None if the network does not say."""
        if not self.config.divergence:
            return None
        odds = np.exp(np.minimum(raw[..., self.config.law_outputs :].astype(np.float64), 500.0))
        return np.asarray(odds / (1 + odds.sum(axis=-1, keepdims=True)))

    def belief(
        self,
        law: Mixture | Bars,
        location: np.ndarray,
        scale: np.ndarray,
        asked: np.ndarray,
        kind: str,
        metric: Metric,
        outcome: np.ndarray | None = None,
    ) -> Belief:
        """The belief of asked's shape (B, ...) with a law of u and outcomes of that shape in coordinates (B, P)."""
        location, scale = location.reshape(asked.shape), scale.reshape(asked.shape)
        transform = self.coordinates.transform
        near = resolution(scale, *metric.upward_bounds) if transform == "sinh" else 0.0
        facts = {"metric": metric, "kind": kind, "t": np.array(asked), "outcome": outcome, "resolution": near}
        return Belief(law, location, scale, transform=transform, **facts)

    def answer(
        self, context: Context, after: np.ndarray, clocked: np.ndarray, asked: np.ndarray, kind: str, metric: Metric
    ) -> Belief:
        """Belief of asked's shape about P queries of each curve, the p-th asked after `after` points.

        Args:
            context: B curves within the network's limit, times on its clock.
            after: (B, P) number of points that a query may know.
            clocked: (B, P) asked times on the network's clock.
            asked: (B, ...) the same in the user's time, P numbers a curve.
            kind: of all queries.
            metric: direction and bounds.
        """
        length, queries = context.t.shape[1], after.shape[1]
        sizes = (
            (length + 1) * (self.config.hidden + 6 * self.config.width),
            self.config.heads * (length + 1) ** 2,
            queries * 2 * self.config.decoder,
        )
        chunk = max(1, CHUNK_NUMBERS // max(sizes))
        laws, outcomes, locations, scales = [], [], [], []
        for i in range(0, len(context.count), chunk):
            rows = slice(i, i + chunk)
            raw, location, scale = self._pass(_rows(context, rows), after[rows], clocked[rows], kind, metric)
            raw = raw.reshape(*asked[rows].shape, -1)
            laws.append(self.law(raw))
            outcomes.append(self.outcome(raw))
            locations.append(location)
            scales.append(scale)
        known = [each for each in outcomes if each is not None]
        outcome = np.concatenate(known) if known else None
        return self.belief(
            _joined(laws), np.concatenate(locations), np.concatenate(scales), asked, kind, metric, outcome
        )

    def _pass(
        self, context: Context, after: np.ndarray, clocked: np.ndarray, kind: str, metric: Metric
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        view = self.view(context, metric)
        states = self.encode(view.tokens)
        index = after[:, :1] if after.size and (after == after[:, :1]).all() else after  # predict: one state a curve
        picked = states[np.arange(len(index))[:, None], np.array(index)]  # a copy: torch warns of read-only indices
        raw = self.decode(context, picked, after, clocked, kind)
        location, scale = (np.take_along_axis(values, after, axis=1) for values in (view.location, view.scale))
        return raw, location, scale

    def _array(self, values: np.ndarray) -> Any:
        values = values.astype(np.float32)
        return values if self.device is None else self.network.xp.as_tensor(values, device=self.device)

    @property
    def first_time(self) -> float:
        """Where the clock starts; 1 for an engine without a clock."""
        return self.coordinates.clock[0] if self.coordinates.clock else 1.0

    def clock(self, context: Context, asked: np.ndarray, *, stretch: bool = False) -> tuple[Context, np.ndarray]:
        """Context and queries in the time of the network.

        Raises:
            ValueError: if times do not lie on the clock of an engine that has one.
        """
        if self.coordinates.times == "relative":
            return context, asked
        assert self.coordinates.clock is not None
        return on_clock(context, asked, self.coordinates.clock, stretch=stretch)


def _joined(laws: list[Mixture | Bars]) -> Mixture | Bars:
    """Laws of several chunks as one, with no more copies than the result: it may be most of the memory."""
    first = laws[0]
    if len(laws) == 1:
        return first
    names = ("log_masses",) if isinstance(first, Bars) else ("log_weights", "means", "stds")
    parts = [np.concatenate([getattr(law, name) for law in laws]) for name in names]
    for part in parts:
        part.flags.writeable = False  # else the law would copy it
    return Bars(first.edges, *parts) if isinstance(first, Bars) else Mixture(*parts)


def _rows(context: Context, rows: slice) -> Context:
    end = None if context.end is None else context.end[rows]
    return replace(context, t=context.t[rows], y=context.y[rows], count=context.count[rows], end=end)


def filled(values: np.ndarray) -> np.ndarray:
    """Padding NaN replaced by the curve's last number: finite, and never looked at, as the network is causal."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    place = np.where(missing, 0, np.arange(values.shape[1]))
    last = np.take_along_axis(values, np.maximum.accumulate(place, axis=1), axis=1)
    return np.where(np.isnan(last), 1.0, last)


def _network(config: ModelConfig, weights: dict[str, np.ndarray], device: str | None) -> Network:
    if device is None:
        return Network(config, {name: np.asarray(values, dtype=np.float32) for name, values in weights.items()}, np)
    try:
        import torch
    except ImportError as error:
        raise ImportError("device needs torch: pip install -e '.[train]', or leave device out to use NumPy") from error
    tensors = {name: torch.tensor(values, dtype=torch.float32, device=device) for name, values in weights.items()}
    return Network(config, tensors, torch)
