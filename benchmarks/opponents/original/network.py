"""The layout of the LC-PFN paper, as an opponent: queries are tokens that attend to what was observed.

Every observed point sees all observed points, a query sees all of them and itself. So one pass serves one cut-off, and
a query costs as much attention as a point. All else in a block is as in `lcpfn.training.transformer`, so that a
comparison of the two layouts compares nothing else.

Letters: B curves, T observed points, C observed points before the cut-off, P queries, E width, H heads.
Source: Adriaensen et al. 2023 (arXiv 2310.20447), section 3.2 and its released code; Mueller et al. 2022.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates, Frame
from lcpfn.query import KINDS
from lcpfn.training.heads import HALF_LOG_TWO_PI, mixture_log_pdf, normals_log_pdf
from lcpfn.training.transformer import QueryNetwork, Transformer
from opponents.original.bars import HALF_NORMAL_MEDIAN
from opponents.original.config import OriginalConfig, UnitCoordinates, bar_edges

TIME = (0, 1, 4)  # the features of a query that know its own time alone, whatever was seen
MIN_LOG_STD, MAX_LOG_STD = -12.0, 40.0  # of a mixture of unit values, where no cap is needed but by float32


class OriginalAttention(nn.Module):
    """Multi-head self-attention whose keys are the observed points, and for a query also itself."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, observed: int) -> Tensor:
        """(B, C + P, E) to the same; the first C = `observed` tokens are points, the others queries."""
        b, n, e = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4)  # (B, H, C + P, E / H)
        q = q * (e // self.heads) ** -0.5
        to_points = q @ k[:, :, :observed].transpose(2, 3)  # (B, H, C + P, C)
        to_itself = (q * k).sum(-1, keepdim=True)  # (B, H, C + P, 1)
        to_itself = to_itself.masked_fill(torch.arange(n, device=x.device)[:, None] < observed, float("-inf"))
        weights = torch.cat([to_points, to_itself.to(to_points.dtype)], -1).softmax(-1).to(v.dtype)
        mixed = weights[..., :observed] @ v[:, :, :observed] + weights[..., observed:] * v
        return self.out(mixed.transpose(1, 2).reshape(b, n, e))


class OriginalBlock(nn.Module):
    """A block of the causal layout, but for its attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, bias=False)
        self.attention = OriginalAttention(config)
        self.norm2 = nn.LayerNorm(config.width, bias=False)
        self.up = nn.Linear(config.width, config.hidden)
        self.down = nn.Linear(config.hidden, config.width)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, observed: int) -> Tensor:
        """(B, C + P, E) to the same."""
        x = x + self.attention(self.norm1(x), observed)
        return x + self.down(F.silu(self.up(self.norm2(x))))


class AnyHead(QueryNetwork):
    """What both layouts share: densities of the head and the values that the config and the coordinates choose."""

    edges: Tensor

    def __init__(self, config: OriginalConfig, coordinates: Coordinates) -> None:
        super().__init__(config, coordinates)
        self.config: OriginalConfig = config
        self.register_buffer("edges", torch.as_tensor(bar_edges(coordinates, config.components)), persistent=False)

    def init_head(self, head: nn.Linear) -> None:
        """First weights of the layer that gives the raw outputs."""
        if self.config.head == "mixture":
            super().init_head(head)
            return
        with torch.no_grad():
            head.weight.mul_(0.3)

    def log_pdf(self, raw: Tensor, u: Tensor) -> Tensor:
        """log density of u (B, P) under the raw outputs (B, P, law_outputs)."""
        if self.config.head == "bars":
            return bars_log_pdf(raw, u, self.edges.float())
        if isinstance(self.coordinates, UnitCoordinates):
            logits, means, log_stds = raw.chunk(3, -1)
            return normals_log_pdf(logits, means, log_stds.clamp(min=MIN_LOG_STD), u)
        return mixture_log_pdf(raw, u)


class CausalTransformer(AnyHead, Transformer):
    """The library's layout with another head or other values."""

    in_numpy: ClassVar[bool] = False


class OriginalTransformer(AnyHead):
    """The original layout: a point's token is linear in features of (t, y), a query's in those of its t, plus its kind.

    Args:
        config: sizes and the head.
        coordinates: decide what these features are; their times must be "absolute", since a query's token
            knows nothing but its own time.

    Raises:
        ValueError: if the times are not "absolute".
    """

    one_cut: ClassVar[bool] = True

    def __init__(self, config: OriginalConfig, coordinates: Coordinates) -> None:
        super().__init__(config, coordinates)
        if coordinates.times != "absolute":
            raise ValueError(f'the original layout needs times="absolute", got {coordinates.times!r}')
        self.embed_point = nn.Linear(coordinates.token_features, config.width)
        self.embed_query = nn.Linear(len(TIME), config.width)
        self.kinds = nn.Embedding(len(KINDS), config.width)
        self.blocks = nn.ModuleList(OriginalBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.think = nn.Linear(config.width, config.decoder)
        self.head = nn.Linear(config.decoder, config.outputs)
        nn.init.normal_(self.kinds.weight, std=0.5)
        self.init_head(self.head)

    def raw(
        self, view: Frame[Tensor], t: Tensor, after: Tensor, t_query: Tensor, kinds: Tensor, end: Tensor | None = None
    ) -> Tensor:
        """Raw outputs of queries; one pass for each cut-off among them.

        Args:
            view: what is known after 0..T points; its tokens are (B, T, F).
            t: (B, T) times of the points.
            after: (B, P) points that each query may know, the same for all curves.
            t_query: (B, P) times that are asked about.
            kinds: (P,) or (1,) places in `lcpfn.query.KINDS`.
            end: not read: on a clock all runs end together.

        Returns:
            (B, P, outputs), float32.

        Raises:
            ValueError: if curves differ in their cut-offs.
        """
        if not bool((after == after[:1]).all()):
            raise ValueError(
                "the original layout needs cut-offs that all curves of a batch share; draw questions with one_cut=True"
            )
        times = self.coordinates.query(t, t_query, after, torch)[..., TIME].float()
        kinds = kinds.expand(after.shape[1])
        cuts, group = after[0].unique(return_inverse=True)
        places = [(group == i).nonzero()[:, 0] for i in range(len(cuts))]
        parts = [
            self.forward(view.tokens[:, : int(cut)].float(), times[:, place], kinds[place])
            for cut, place in zip(cuts, places)
        ]
        return torch.cat(parts, 1)[:, torch.cat(places).argsort()]

    def forward(self, tokens: Tensor, times: Tensor, kinds: Tensor) -> Tensor:
        """(B, P, outputs), float32, of queries with features (B, P, 3) after the points with tokens (B, C, F)."""
        observed = tokens.shape[1]
        with torch.autocast(tokens.device.type, enabled=False):  # bfloat16 would leave the features three digits
            x = torch.cat([self.embed_point(tokens), self.embed_query(times) + self.kinds(kinds)], 1)
        for block in self.blocks:
            x = block(x, observed)
        x = F.silu(self.think(self.norm(x[:, observed:])))
        with torch.autocast(tokens.device.type, enabled=False):
            return self.head(x.float())


def network_of(config: OriginalConfig) -> type[AnyHead]:
    """The class of the layout that a config names."""
    return OriginalTransformer if config.layout == "original" else CausalTransformer


def bars_log_pdf(raw: Tensor, u: Tensor, edges: Tensor) -> Tensor:
    """log density of u (...) under bars with raw log masses (..., N), uniform inside, half-normal outside."""
    bars = raw.shape[-1]
    widths = edges[1:] - edges[:-1]
    index = (torch.searchsorted(edges, u.contiguous()) - 1).clamp(0, bars - 1)
    mass = raw.log_softmax(-1).gather(-1, index[..., None])[..., 0]
    below, above = index == 0, index == bars - 1
    distance = torch.where(below, edges[1] - u, u - edges[-2]).clamp(min=0)
    scale = torch.where(below, widths[0], widths[-1]) / HALF_NORMAL_MEDIAN
    tail = math.log(2.0) - HALF_LOG_TWO_PI - scale.log() - 0.5 * (distance / scale) ** 2
    return mass + torch.where(below | above, tail, -widths[index].log())
