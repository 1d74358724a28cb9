"""How a network is asked in training: curves and questions in, log densities of the answers out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lcpfn.config import ModelConfig
from lcpfn.coordinates import Coordinates, bar_edges, frame
from lcpfn.priors import Curves
from lcpfn.training.heads import bars_log_pdf, mixture_log_pdf
from lcpfn.training.original import OriginalTransformer
from lcpfn.training.transformer import Transformer


class Objective(nn.Module):
    """A network with its coordinates; its forward gives log densities, so that DDP sees every use of the weights.

    Args:
        config: sizes.
        coordinates: how it sees values and times.
        bounds: lowest and highest possible value in the prior's world, -inf or inf where there is none.
    """

    edges: Tensor

    def __init__(self, config: ModelConfig, coordinates: Coordinates, bounds: tuple[float, float]) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.config = config
        self.bounds = bounds
        layout = Transformer if config.layout == "causal" else OriginalTransformer
        self.model = layout(config, coordinates)
        self.register_buffer("edges", torch.as_tensor(bar_edges(coordinates, config.components)), persistent=False)

    def forward(self, curves: Curves, after: Tensor, t_query: Tensor, answer: Tensor, kinds: Tensor) -> Tensor:
        """log density (B, P), in the unit of y, of answers (B, P) to questions asked after `after` (B, P) points."""
        t, y = curves.t.double(), curves.y.double()  # differences lose nothing; the cost is lost in that of the network
        lower, upper = (torch.full_like(y[:, 0], bound) for bound in self.bounds)
        view = frame(self.coordinates, t, y, lower, upper, torch)
        raw = self.model.raw(view, t, after, t_query.double(), kinds)
        u = (answer.double() - view.location.gather(1, after)) / view.scale.gather(1, after)
        jacobian = view.scale.gather(1, after).log()
        if self.coordinates.transform == "sinh":
            jacobian = jacobian + 0.5 * torch.log1p(u * u)
            u = torch.asinh(u)
        return self.log_pdf(raw, u.float()) - jacobian.float()

    def log_pdf(self, raw: Tensor, u: Tensor) -> Tensor:
        """log density of u (B, P) under the raw outputs (B, P, outputs)."""
        if self.config.head == "bars":
            return bars_log_pdf(raw, u, self.edges.float())
        return mixture_log_pdf(raw, u, capped=self.coordinates.values == "local")
