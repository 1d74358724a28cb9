"""The network's forward pass, written once for NumPy arrays and torch tensors; the training twin is in lcpfn.training.

Letters: B curves, T points, P queries, E width, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lcpfn.network.config import ModelConfig
from lcpfn.network.namespace import Array

EPS = 1e-5  # of the layer norms, torch's default


@dataclass
class Cache:
    """Keys and values of the points seen so far, for every layer: (B, H, points + 1, E / H)."""

    keys: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Network:
    """Weights and the two functions that use them: `encode` what was observed, `decode` what is asked.

    Args:
        config: sizes.
        weights: arrays by the names of `lcpfn.training.transformer.Transformer`, of one library, on one device.
        xp: that library, numpy or torch.
    """

    config: ModelConfig
    weights: Mapping[str, Array]
    xp: Any

    def encode(self, tokens: Array, cache: Cache | None = None) -> Array:
        """What is believed after each point.

        Args:
            tokens: (B, T, F) features of points in time order.
            cache: of the points before these; empty at first, and extended by these.

        Returns:
            (B, T + 1, E) states after 0..T points; with a cache that is not empty (B, T, E), after each new point.
        """
        xp, w = self.xp, self.weights
        x = self._linear(_silu(self._linear(tokens, "embed1"), xp), "embed2")
        if cache is None or not cache.keys:
            start = (
                xp.zeros_like(x[:, :1]) if x.shape[1] else xp.zeros((x.shape[0], 1, self.config.width), dtype=x.dtype)
            )
            x = xp.concatenate([start + w["start"], x], axis=1)
        new, before = x.shape[1], cache.keys[0].shape[2] if cache is not None and cache.keys else 0
        place = xp.arange(before + new, device=x.device)
        future = (place[None, :] > place[before:, None]) * 1e9  # (new, all), large where a key lies in the future
        future = xp.asarray(future, dtype=x.dtype, device=x.device)
        for layer in range(self.config.layers):
            x = self._block(x, f"blocks.{layer}.", layer, cache, future)
        return self._norm(x, "norm.weight")

    def decode(self, states: Array, features: Array, kind: int) -> Array:
        """(B, P, outputs) raw answers to queries of one kind with features (B, P, F), given states (B, P or 1, E)."""
        x = self._linear(states, "ask_context") + features @ self.weights["ask_query.weight"].T
        x = _silu(x + self.weights["kinds.weight"][kind], self.xp)
        return self._linear(_silu(self._linear(x, "think"), self.xp), "head")

    def _block(self, x: Array, name: str, layer: int, cache: Cache | None, future: Array) -> Array:
        xp, w, heads = self.xp, self.weights, self.config.heads
        b, new, width = x.shape
        qkv = self._norm(x, name + "norm1.weight") @ w[name + "attention.qkv.weight"].T
        qkv = qkv.reshape(b, new, 3, heads, width // heads)
        q, k, v = (qkv[:, :, part].swapaxes(1, 2) for part in range(3))  # (B, H, new, E / H)
        if cache is not None:
            if len(cache.keys) > layer:
                k = xp.concatenate([cache.keys[layer], k], axis=2)
                v = xp.concatenate([cache.values[layer], v], axis=2)
                cache.keys[layer], cache.values[layer] = k, v
            else:
                cache.keys.append(k)
                cache.values.append(v)
        scores = (q * (width // heads) ** -0.5) @ k.swapaxes(2, 3) - future  # (B, H, new, all)
        scores = xp.exp(scores - xp.amax(scores, axis=-1, keepdims=True))
        mixed = (scores @ v) / scores.sum(axis=-1, keepdims=True)
        x = x + mixed.swapaxes(1, 2).reshape(b, new, width) @ w[name + "attention.out.weight"].T
        hidden = _silu(self._linear(self._norm(x, name + "norm2.weight"), name + "up"), xp)
        return x + self._linear(hidden, name + "down")

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, x: Array, name: str) -> Array:
        x = x - x.sum(axis=-1, keepdims=True) * (1 / self.config.width)
        variance = (x * x).sum(axis=-1, keepdims=True) * (1 / self.config.width)
        return x * (self.weights[name] / self.xp.sqrt(variance + EPS))


def _silu(x: Array, xp: Any) -> Array:
    half = x * 0.5
    return half + half * xp.tanh(half)  # x * sigmoid(x), without overflow
