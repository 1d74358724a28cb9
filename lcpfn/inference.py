"""From a prepared question, through features and network, to a belief.

Letters: B curves, T observed points, P queries of one curve in one pass, E width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.context import Context
from lcpfn.distributions.mixture import Mixture
from lcpfn.distributions.ties import resolution
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates, Frame
from lcpfn.network.forward import Cache, Network
from lcpfn.network.shapes import check_weights, read_config
from lcpfn.prepare import Prepared, World, prefix, wild_prefixes
from lcpfn.query import KINDS

LARGEST = 1e100  # of a value's size: squares of what is larger overflow, and its run has diverged anyway
FARTHEST = 1e30  # of a feature: the network computes in float32
FEW = 32  # curves of any length that may be encoded at once
CHUNK_NUMBERS = 4_000_000  # largest temporary array of a pass, in numbers: 16 MB


@dataclass(frozen=True, eq=False)
class Inference:
    """A network with its coordinates, on a device."""

    config: ModelConfig
    coordinates: Coordinates
    network: Network
    device: str | None  # None: NumPy

    @classmethod
    def of(cls, checkpoint: Checkpoint, device: str | None) -> Inference:
        """The network of a checkpoint, ready to be asked.

        Raises:
            ImportError: if device is given and torch is not installed.
            ValueError: if the config is not one that this version can run, or the weights are not those it asks for.
        """
        config, coordinates = read_config(checkpoint.config)
        check_weights(config, coordinates, checkpoint.weights)
        checkpoint.check_content()
        return cls(config, coordinates, _network(config, checkpoint.weights, device), device)

    def world(self, metric: Metric) -> World:
        """What this network knows, for `lcpfn.prepare`."""
        return World(metric, self.coordinates.known_clock, self.coordinates.bounded, self.config.limit)

    def view(self, points: Context, metric: Metric) -> Frame[np.ndarray]:
        """Locations, scales and tokens of all prefixes; nothing is tamed."""
        self.check_size(points)
        t, y = filled(points.t), filled(points.y) * metric.sign
        lower, upper = (np.full(len(t), bound) for bound in metric.upward_bounds)
        with np.errstate(all="ignore"):  # judged in the next line
            view = self.coordinates.frame(t, y, lower, upper, np)
        _check_range(view.tokens, points, "observed times and values")
        return view

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

    def knows_nothing(self, metric: Metric) -> bool:
        """Whether nothing says what to expect of a curve without a point."""
        return None in metric.bounds

    def check_empty(self, context: Context, metric: Metric) -> None:
        """Raises ValueError if a curve has no point, and nothing says what to expect of it."""
        if not context.count.all() and self.knows_nothing(metric):
            where = "" if context.single else f" at curve {int(np.argmin(context.count))}"
            raise ValueError(
                f"a curve without points needs a metric with both bounds, got bounds={metric.bounds}{where}; "
                "give them, as in Metric(bounds=(0, 1)), or wait for the first point"
            )

    def encode(self, tokens: np.ndarray, cache: Cache | None = None) -> Any:
        """(B, T + 1, E) states, or (B, T, E) if the cache held points; on the network's device."""
        return self.network.encode(self._array(tokens), cache)

    def decode(self, context: Context, states: Any, after: np.ndarray, clocked: np.ndarray, kind: str) -> np.ndarray:
        """(B, P, outputs) raw answers, given the states (B, P or 1, E) that the queries may know."""
        with np.errstate(all="ignore"):  # judged in the next line
            features = self.coordinates.query(filled(context.t), clocked, after, np, context.end)
        _check_range(features, context, "asked times")
        place, known = KINDS.index(kind), self.network.weights["kinds.weight"].shape[0]
        if place >= known:
            raise ValueError(
                f"this checkpoint knows the kinds {', '.join(KINDS[:known])}, got kind={kind!r}; `lcpfn train --init` "
                "trains it further with those that it lacks"
            )
        raw: Any = self.network.decode(states, self._array(features), place)
        return raw if self.device is None else raw.cpu().numpy()

    def law(self, raw: np.ndarray) -> Mixture:
        """The law of u that raw outputs (..., outputs) stand for."""
        return Mixture.from_raw(raw[..., : self.config.law_outputs])

    def outcome(self, raw: np.ndarray) -> np.ndarray | None:
        """(..., 2) probabilities that the run has exploded, or broken off; None if the network does not say."""
        if not self.config.divergence:
            return None
        odds = np.exp(np.minimum(raw[..., self.config.law_outputs :].astype(np.float64), 500.0))
        return np.asarray(odds / (1 + odds.sum(axis=-1, keepdims=True)))

    def belief_of(
        self,
        raw: np.ndarray,
        location: np.ndarray,
        scale: np.ndarray,
        t: np.ndarray,
        kind: str,
        metric: Metric,
    ) -> Belief:
        """The belief of t's shape that raw outputs (*t.shape, outputs) in coordinates of as many numbers stand for."""
        return self._belief(self.law(raw), location, scale, t, kind, metric, self.outcome(raw))

    def _belief(
        self,
        law: Mixture,
        location: np.ndarray,
        scale: np.ndarray,
        t: np.ndarray,
        kind: str,
        metric: Metric,
        outcome: np.ndarray | None,
    ) -> Belief:
        location, scale = location.reshape(t.shape), scale.reshape(t.shape)
        near = resolution(scale, *metric.upward_bounds)
        return Belief(
            law,
            location,
            scale,
            transform=self.coordinates.transform,
            metric=metric,
            kind=kind,
            t=np.array(t),
            outcome=outcome,
            resolution=near,
        )

    def answer(self, asked: Prepared, after: np.ndarray, kind: str, *, t: np.ndarray | None = None) -> Belief:
        """Belief about P queries of each curve, the p-th asked after `after` points.

        Args:
            asked: the question; its queries are (B, P) on the network's clock.
            after: (B, P) number of points that a query may know.
            kind: of all queries.
            t: (B, ...) the asked times on the user's clock, P numbers a curve, which give the belief its shape; None:
                as in the question.
        """
        points, times = asked.points, asked.asked_user if t is None else t
        length, queries = points.t.shape[1], after.shape[1]
        sizes = (
            (length + 1) * (self.config.hidden + 6 * self.config.width),
            self.config.heads * (length + 1) ** 2,
            queries * 2 * self.config.decoder,
        )
        chunk = max(1, CHUNK_NUMBERS // max(sizes))
        laws, outcomes, locations, scales = [], [], [], []
        for i in range(0, len(points.count), chunk):
            rows = slice(i, i + chunk)
            raw, location, scale = self._pass(_rows(points, rows), after[rows], asked.asked[rows], kind, asked.metric)
            raw = raw.reshape(*times[rows].shape, -1)
            laws.append(self.law(raw))
            outcomes.append(self.outcome(raw))
            locations.append(location)
            scales.append(scale)
        known = [each for each in outcomes if each is not None]
        outcome = np.concatenate(known) if known else None
        location, scale = np.concatenate(locations), np.concatenate(scales)
        return self._belief(_joined(laws), location, scale, times, kind, asked.metric, outcome)

    def _pass(
        self, points: Context, after: np.ndarray, clocked: np.ndarray, kind: str, metric: Metric
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        view = self.view(points, metric)
        states = self.encode(view.tokens)
        location, scale = np.array(view.location), np.array(view.scale)
        # A prefix that holds a wild value is encoded on its own: what is wild depends on where the prefix ends.
        needed = np.zeros(location.shape, dtype=bool)
        np.put_along_axis(needed, after, values=True, axis=1)
        rows, counts = np.nonzero(wild_prefixes(points, metric, needed))
        most = max(len(points.count), FEW)
        for i in range(0, len(rows), most):
            part = slice(i, i + most)
            alone = self.view(prefix(points, rows[part], counts[part], metric), metric)
            each, at = np.arange(len(rows[part])), counts[part]
            states[rows[part], at] = self.encode(alone.tokens)[each, at]
            location[rows[part], at], scale[rows[part], at] = alone.location[each, at], alone.scale[each, at]
        index = after[:, :1] if after.size and (after == after[:, :1]).all() else after  # predict: one state a curve
        picked = states[np.arange(len(index))[:, None], np.array(index)]  # a copy: torch warns of read-only indices
        raw = self.decode(points, picked, after, clocked, kind)
        location, scale = (np.take_along_axis(values, after, axis=1) for values in (location, scale))
        return raw, location, scale

    def _array(self, values: np.ndarray) -> Any:
        values = values.astype(np.float32)
        return values if self.device is None else self.network.xp.as_tensor(values, device=self.device)

    @property
    def first_time(self) -> float:
        """Where the clock starts; 1 for a network without a clock."""
        return self.coordinates.clock[0] if self.coordinates.clock else 1.0


def certain(belief: Belief, diverged: np.ndarray | None) -> Belief:
    """The belief (B, ...) with the outcome of runs (B,) that are known to have broken off."""
    if diverged is None or not diverged.any() or (belief.outcome is None and not diverged.all()):
        return belief
    outcome = np.zeros((*belief.shape, 2)) if belief.outcome is None else np.array(belief.outcome)
    outcome[diverged] = (0.0, 1.0)
    return replace(belief, outcome=outcome)


def _joined(laws: list[Mixture]) -> Mixture:
    """Laws of several chunks as one, with no more copies than the result: it may be most of the memory."""
    if len(laws) == 1:
        return laws[0]
    parts = [np.concatenate([getattr(law, name) for law in laws]) for name in ("log_weights", "means", "stds")]
    for part in parts:
        part.flags.writeable = False  # else the law would copy it
    return Mixture(*parts)


def _rows(context: Context, rows: slice) -> Context:
    end = None if context.end is None else context.end[rows]
    return replace(context, t=context.t[rows], y=context.y[rows], count=context.count[rows], end=end)


def _check_range(features: np.ndarray, context: Context, what: str) -> None:
    """Raises ValueError if features (B, P, F) have left the range of float64: the network would answer NaN in silence.

    Times of 1e-10 and a query at 1e300, say, or steps so small that their quotients overflow.
    """
    wrong = ~(np.abs(features) <= FARTHEST).all(axis=2)  # NaN too
    if wrong.any():
        curve, place = (int(i) for i in np.argwhere(wrong)[0])
        where = f"number {place}" + ("" if context.single else f" of curve {curve}")
        raise ValueError(
            f"{what} must be comparable with one another in float64, got quotients or differences beyond its range "
            f"(about 1e-308 to 1e308) at {where}; rescale the times, values or bounds, or leave out what is so far away"
        )


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
