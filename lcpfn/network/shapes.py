"""What a network of some config must hold, by name: the one place where the shapes of its weights are written.

Letters: E width, F features, K numbers that the head gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.query import KINDS

# With no weight larger than this, no number of the float32 forward pass overflows: features stay below 1e3, each norm
# starts anew from sqrt(E), and the longest way from a norm to the next, embed1-embed2 or up-down, multiplies by
# (1e3 E)^2, whose square still lies below 1e38. The largest weight of the shipped networks is 28.
MAX_WEIGHT = 1e3
# What an earlier header said of the only choice that the library has left; the others went to the benchmarks.
ONLY_CHOICE = {"model": {"head": "mixture", "layout": "causal"}, "coordinates": {"values": "local"}}


def shapes(config: ModelConfig, coordinates: Coordinates, *, kinds: int = len(KINDS)) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by name, as `lcpfn.training.transformer.Transformer` names them.

    Args:
        config: sizes.
        coordinates: features.
        kinds: how many of `lcpfn.query.KINDS`, from the first on, the network was trained on.

    Example:
        >>> shapes(ModelConfig(width=8, heads=2), Coordinates())["blocks.0.attention.qkv.weight"]
        (24, 8)
    """
    e, decoder, tokens = config.width, config.decoder, coordinates.token_features
    expected = {
        "start": (e,),
        **_linear("embed1", tokens, e),
        **_linear("embed2", e, e),
        "norm.weight": (e,),
        "kinds.weight": (kinds, decoder),
        **_linear("ask_context", e, decoder),
        "ask_query.weight": (decoder, coordinates.query_features),
        **_linear("think", decoder, decoder),
        **_linear("head", decoder, config.outputs),
    }
    for layer in range(config.layers):
        name = f"blocks.{layer}."
        expected |= {
            name + "norm1.weight": (e,),
            name + "attention.qkv.weight": (3 * e, e),
            name + "attention.out.weight": (e, e),
            name + "norm2.weight": (e,),
            **_linear(name + "up", e, config.hidden),
            **_linear(name + "down", config.hidden, e),
        }
    return expected


def current(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A header's config without the entries of earlier versions that say what is the only choice by now.

    Example:
        >>> current({"model": {"width": 8, "layout": "causal"}, "coordinates": {"values": "unit"}})
        {'model': {'width': 8}, 'coordinates': {'values': 'unit'}}
    """
    return {
        part: {name: value for name, value in {**config[part]}.items() if only.get(name, ...) != value}
        for part, only in ONLY_CHOICE.items()
    }


def read_config(config: Mapping[str, Any]) -> tuple[ModelConfig, Coordinates]:
    """The config of a checkpoint as values.

    Raises:
        ValueError: if this version knows no such network.
    """
    try:
        left = current(config)
        for part, only in ONLY_CHOICE.items():
            for name in only:
                if name in left[part]:
                    raise ValueError(
                        f"the checkpoint must have {name}={only[name]!r}, got {str(left[part][name])[:80]!r}; networks "
                        "with other choices are run by opponents.original in the folder benchmarks/ of the source"
                    )
        return ModelConfig(**left["model"]), Coordinates(**left["coordinates"])
    except (TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:  # what a hostile header can cause
        raise ValueError(
            f"the checkpoint's config is not one that this version knows ({error}): upgrade lcpfn"
        ) from error


def check_weights(config: ModelConfig, coordinates: Coordinates, weights: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError, with names and shapes, if weights are not those of a network of this config."""
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    if len(blocks) != config.layers:  # before shapes are made for layers=10**9
        raise ValueError(
            f"config and weights of a checkpoint must fit, got layers={config.layers:.6g} and weights of "
            f"{len(blocks)} layers (blocks.*); {_ADVICE}"
        )
    # A network from before the last kinds were added knows the first ones.
    known = len(weights["kinds.weight"]) if "kinds.weight" in weights and weights["kinds.weight"].ndim else 0
    expected = shapes(config, coordinates, kinds=min(max(known, 1), len(KINDS)))
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    if missing or unexpected:
        raise ValueError(
            "weights must be those that the config of the checkpoint asks for, "
            f"missing {_some(missing)}, unexpected {_some(unexpected)}; {_ADVICE}"
        )
    for name, shape in expected.items():
        found = weights[name]
        if found.shape != shape or found.dtype not in (np.float32, np.float64):
            raise ValueError(
                f"weights must be as the config of the checkpoint says, expected {name!r} of shape {shape} and type "
                f"float32 (or float64), got shape {found.shape} and type {found.dtype}; {_ADVICE}"
            )
        largest = max(abs(float(found.max())), abs(float(found.min())))
        if not largest <= MAX_WEIGHT:  # NaN too
            raise ValueError(
                f"weights must be at most {MAX_WEIGHT:g} in size, got {largest:.4g} at {name!r} of shape {shape}, type "
                f"{found.dtype}: forecasts would overflow; the training diverged, or the file is damaged"
            )


_ADVICE = "the header or the file is damaged: copy or download it again"


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name)[:80] for name in sorted(names)[:3])
    return "none" if not names else shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
