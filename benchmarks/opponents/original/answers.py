"""Beliefs of networks that the library does not run, by the torch network of their training.

Letters: B curves, T observed points, Q query points, N numbers that a network gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lcpfn.belief import Belief
from lcpfn.context import read_context, thin
from lcpfn.distributions.law import Law
from lcpfn.distributions.mixture import Mixture
from lcpfn.distributions.normal import log_sum
from lcpfn.distributions.ties import resolution
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.coordinates import Coordinates
from lcpfn.query import KINDS
from opponents.original.bars import Bars
from opponents.original.config import OriginalConfig, UnitCoordinates, bar_edges, read_config
from opponents.original.network import MAX_LOG_STD, MIN_LOG_STD, network_of


class OriginalAnswers:
    """Answers of a checkpoint with any layout, head and values.

    Args:
        checkpoint: any of ours, most of all those that `lcpfn.PFN` refuses.

    Raises:
        ValueError: its config is unknown.
        RuntimeError: its weights are not those that its config asks for.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config, self.coordinates = read_config(checkpoint)
        with torch.random.fork_rng():  # torch draws first weights, which are replaced at once
            self.network = network_of(self.config)(self.config, self.coordinates).eval()
        self.network.load_state_dict({name: torch.tensor(values) for name, values in checkpoint.weights.items()})

    @torch.inference_mode()
    def predict(self, y: Any, t_query: Any, *, t: Any = None, kind: str, metric: Metric) -> Belief:
        """The belief (B, Q) about times t_query (Q,) or (B, Q), given as many points (B, T) of each curve.

        Raises:
            ValueError: the curves differ in their number of points.
        """
        context = thin(read_context(y, t=t, metric=metric), self.config.limit)
        if len(set(context.count.tolist())) > 1:
            raise ValueError(f"y must have as many points in every curve, got {context.count.tolist()}; ask one by one")
        times, values = torch.tensor(context.t), torch.tensor(context.y * metric.sign)
        lower, upper = (torch.full_like(values[:, 0], bound) for bound in metric.upward_bounds)
        view = self.coordinates.frame(times, values, lower, upper, torch)
        asked = np.array(np.broadcast_to(t_query, (len(values), np.shape(t_query)[-1])), dtype=np.float64)
        after = torch.full(asked.shape, values.shape[1])
        raw = self.network.raw(view, times, after, torch.tensor(asked), torch.tensor([KINDS.index(kind)]))
        location, scale = (part[:, -1:].expand(asked.shape).numpy() for part in (view.location, view.scale))
        local = not isinstance(self.coordinates, UnitCoordinates)
        near = resolution(scale, *metric.upward_bounds) if local else 0.0
        law = law_of(raw.numpy(), self.config, self.coordinates)
        facts: dict[str, Any] = {"metric": metric, "kind": kind, "t": asked, "resolution": near}
        return Belief(law, location, scale, transform=self.coordinates.transform, **facts)


def law_of(raw: np.ndarray, config: OriginalConfig, coordinates: Coordinates) -> Law:
    """The law of u that raw outputs (..., N) stand for; the torch twin is `AnyHead.log_pdf`."""
    if config.head == "bars":
        return Bars(bar_edges(coordinates, config.components), raw)
    if isinstance(coordinates, UnitCoordinates):
        logits, means, log_stds = np.split(raw, 3, axis=-1)
        stds = np.exp(np.clip(log_stds, MIN_LOG_STD, MAX_LOG_STD))
        return Mixture(logits - log_sum(logits)[..., None], means, stds)
    return Mixture.from_raw(raw)
