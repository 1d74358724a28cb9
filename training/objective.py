"""How a network is asked in training: curves and questions in, log densities of the answers out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.priors import Curves
from lcpfn.training.transformer import QueryNetwork, Transformer

FARTHEST = (
    10.0  # |u| of an answer: beyond the caps of the mixture a miss costs no more, or explosions would rule the loss
)


class Objective(nn.Module):
    """A network with its coordinates; its forward gives log densities, so that DDP sees every use of the weights.

    Args:
        config: sizes.
        coordinates: how it sees values and times.
        bounds: lowest and highest possible value in the prior's world, -inf or inf where there is none.
        network: the class of the network.
    """

    def __init__(
        self,
        config: ModelConfig,
        coordinates: Coordinates,
        bounds: tuple[float, float],
        *,
        network: type[QueryNetwork] = Transformer,
    ) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.config = config
        self.bounds = bounds
        self.model = network(config, coordinates)

    def forward(
        self,
        curves: Curves,
        after: Tensor,
        t_query: Tensor,
        answer: Tensor,
        kinds: Tensor,
        outcome: Tensor | None = None,
    ) -> Tensor:
        """log density (B, P) of answers (B, P) to questions asked after `after` (B, P) points.

        In units of y, or of the curves' own `unit`. The network sees as many of the first points as its limit allows.
        For the last F questions, with outcomes (B, F), it is the log probability of those.
        """
        limit = self.config.limit
        seen = curves.seen[:, :limit]
        column = torch.arange(seen.shape[1], device=seen.device)
        place = torch.minimum(column, (seen.sum(1, keepdim=True) - 1).clamp(min=0))  # padding repeats the last point
        t = curves.t[:, :limit].double()
        y = curves.y[:, :limit].gather(1, place).double()  # differences lose nothing; the cost is lost in the network's
        known = (curves.lower, curves.upper)
        lower, upper = (
            torch.full_like(y[:, 0], bound) if each is None else each.double()
            for bound, each in zip(self.bounds, known)
        )
        view = self.coordinates.frame(t, y, lower, upper, torch)
        raw = self.model.raw(view, t, after, t_query.double(), kinds, curves.horizon)
        u = (answer.double() - view.location.gather(1, after)) / view.scale.gather(1, after)
        jacobian = view.scale.gather(1, after).log()
        if self.coordinates.transform == "sinh":
            jacobian = jacobian + 0.5 * torch.log1p(u * u)
            u = torch.asinh(u)
        if curves.unit is not None:  # runs of any scale, which may explode
            jacobian = jacobian - curves.unit.double().log()[:, None]
            u = u.clamp(-FARTHEST, FARTHEST)
        density = self.model.log_pdf(raw[..., : self.config.law_outputs], u.float()) - jacobian.float()
        if outcome is None:
            return density
        odds = raw[:, -outcome.shape[1] :, self.config.law_outputs :]
        odds = torch.cat([torch.zeros_like(odds[..., :1]), odds], -1)  # to going on
        mass = odds.log_softmax(-1).gather(-1, outcome[..., None])[..., 0]
        return torch.cat([density[:, : -outcome.shape[1]], mass], 1)
