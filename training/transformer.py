"""The network in torch: a causal encoder of observed points, a decoder of queries, a head.

Letters: B curves, T observed points, P queries, E width, H heads, K components.
Source: prior-data fitted networks after Mueller et al. 2022 (arXiv 2112.10510), with a causal encoder.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates, Frame
from lcpfn.query import KINDS
from lcpfn.training.heads import mixture_log_pdf


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, E) to (B, T, E)."""
        b, t, e = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4)  # (B, H, T, E / H)
        if x.is_cuda:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:  # on a CPU the backward pass of the fused kernel in bfloat16 takes six times as long as these lines
            q, k, v = (part.reshape(b * self.heads, t, -1) for part in (q, k, v))
            future = torch.full((t, t), float("-inf"), dtype=q.dtype, device=x.device).triu(1)
            scores = torch.baddbmm(future, q, k.transpose(1, 2), alpha=(e // self.heads) ** -0.5)
            mixed = torch.bmm(scores.softmax(-1), v).view(b, self.heads, t, -1)
        return self.out(mixed.transpose(1, 2).reshape(b, t, e))


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual path."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, bias=False)
        self.up = nn.Linear(config.width, config.hidden)
        self.down = nn.Linear(config.hidden, config.width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, E) to (B, T, E)."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.silu(self.up(self.norm2(x))))


class QueryNetwork(nn.Module):
    """What training needs of a network; benchmarks/opponents/original has another one than `Transformer`.

    Attributes:
        one_cut: all questions of a batch must share one cut-off.
        in_numpy: `lcpfn.PFN` runs its checkpoints, so that their alarm can be calibrated.
    """

    one_cut: ClassVar[bool] = False
    in_numpy: ClassVar[bool] = False

    def __init__(self, config: ModelConfig, coordinates: Coordinates) -> None:
        super().__init__()
        self.config = config
        self.coordinates = coordinates

    def raw(
        self, view: Frame[Tensor], t: Tensor, after: Tensor, t_query: Tensor, kinds: Tensor, end: Tensor | None = None
    ) -> Tensor:
        """Raw outputs of queries.

        Args:
            view: what is known after 0..T points; its tokens are (B, T, F).
            t: (B, T) times of the points.
            after: (B, P) points that each query may know.
            t_query: (B, P) times that are asked about.
            kinds: (P,) or (1,) places in `lcpfn.query.KINDS`.
            end: (B,) times at which the runs end, NaN where that is not known; only coordinates with ends read it.

        Returns:
            (B, P, outputs), float32.
        """
        raise NotImplementedError

    def init_head(self, head: nn.Linear) -> None:
        """First weights of the layer that gives the raw outputs: components differ from the start."""
        count = self.config.components
        with torch.no_grad():
            head.weight.mul_(0.3)
            head.bias[count : 2 * count] = torch.linspace(-2, 2, count)

    def log_pdf(self, raw: Tensor, u: Tensor) -> Tensor:
        """log density of u (B, P) under the raw outputs (B, P, law_outputs)."""
        return mixture_log_pdf(raw, u)


class Transformer(QueryNetwork):
    """The causal layout: encode every prefix once, then ask anything.

    Args:
        config: sizes.
        coordinates: decide the number of input features.
    """

    in_numpy: ClassVar[bool] = True

    def __init__(self, config: ModelConfig, coordinates: Coordinates) -> None:
        super().__init__(config, coordinates)
        self.start = nn.Parameter(torch.zeros(config.width))
        self.embed1 = nn.Linear(coordinates.token_features, config.width)
        self.embed2 = nn.Linear(config.width, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.kinds = nn.Embedding(len(KINDS), config.decoder)
        self.ask_context = nn.Linear(config.width, config.decoder)
        self.ask_query = nn.Linear(coordinates.query_features, config.decoder, bias=False)
        self.think = nn.Linear(config.decoder, config.decoder)
        self.head = nn.Linear(config.decoder, config.outputs)
        nn.init.normal_(self.kinds.weight, std=0.5)
        self.init_head(self.head)

    def raw(
        self, view: Frame[Tensor], t: Tensor, after: Tensor, t_query: Tensor, kinds: Tensor, end: Tensor | None = None
    ) -> Tensor:
        """(B, P, outputs) raw outputs of queries, see `QueryNetwork.raw`."""
        states = self.encode(view.tokens.float())
        picked = states.gather(1, after[..., None].expand(-1, -1, states.shape[-1]))
        return self.decode(picked, self.coordinates.query(t, t_query, after, torch, end).float(), kinds)

    def encode(self, tokens: Tensor) -> Tensor:
        """(B, T, F) token features to (B, T + 1, E): what is believed after 0..T points."""
        with torch.autocast(tokens.device.type, enabled=False):  # bfloat16 would leave the features three digits
            x = F.silu(self.embed1(tokens))
        x = self.embed2(x).float()  # the residual path stays in float32
        x = torch.cat([self.start.expand(x.shape[0], 1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def decode(self, states: Tensor, features: Tensor, kinds: Tensor) -> Tensor:
        """Raw outputs of queries.

        Args:
            states: (B, P, E) the encoder's state after the points that each query may know.
            features: (B, P, F) query features.
            kinds: (P,) places in `lcpfn.query.KINDS`.

        Returns:
            (B, P, outputs), float32.
        """
        with torch.autocast(features.device.type, enabled=False):
            asked = self.ask_query(features) + self.kinds(kinds)
        x = F.silu(self.think(F.silu(self.ask_context(states) + asked)))
        with torch.autocast(features.device.type, enabled=False):
            return self.head(x.float())
