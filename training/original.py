"""The layout of the LC-PFN paper, as an opponent: queries are tokens that attend to what was observed.

Every observed point sees all observed points, a query sees all of them and itself. So one pass serves one cut-off, and
a query costs as much attention as a point. All else in a block is as in `lcpfn.training.transformer`, so that a
comparison of the two layouts compares nothing else.

Letters: B curves, T observed points, C observed points before the cut-off, P queries, E width, H heads.
Source: Adriaensen et al. 2023 (arXiv 2310.20447), section 3.2 and its released code; Mueller et al. 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates, Frame, query_features
from lcpfn.query import KINDS

TIME = (0, 1, 4)  # the features of a query that know its own time alone, whatever was seen


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


class OriginalTransformer(nn.Module):
    """The original layout: a point's token is linear in features of (t, y), a query's in those of its t, plus its kind.

    Args:
        config: sizes; its layout must be "original".
        coordinates: decide what these features are; their times must be "absolute", since a query's token
            knows nothing but its own time.

    Raises:
        ValueError: if the times are not "absolute".
    """

    def __init__(self, config: ModelConfig, coordinates: Coordinates) -> None:
        super().__init__()
        if coordinates.times != "absolute":
            raise ValueError(f'the original layout needs times="absolute", got {coordinates.times!r}')
        self.config = config
        self.coordinates = coordinates
        self.embed_point = nn.Linear(coordinates.token_features, config.width)
        self.embed_query = nn.Linear(len(TIME), config.width)
        self.kinds = nn.Embedding(len(KINDS), config.width)
        self.blocks = nn.ModuleList(OriginalBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.think = nn.Linear(config.width, config.decoder)
        self.head = nn.Linear(config.decoder, config.outputs)
        nn.init.normal_(self.kinds.weight, std=0.5)
        with torch.no_grad():
            self.head.weight.mul_(0.3)
            if config.head == "mixture":  # as in the causal layout
                self.head.bias[config.components : 2 * config.components] = torch.linspace(-2, 2, config.components)

    def raw(
        self, view: Frame, t: Tensor, after: Tensor, t_query: Tensor, kinds: Tensor, end: Tensor | None = None
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
        times = query_features(self.coordinates, t, t_query, after, torch)[..., TIME].float()
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
