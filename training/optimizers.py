"""Which optimiser moves which weights."""

from __future__ import annotations

import torch
from torch import nn

from lcpfn.training.options import Options


def optimizers(model: nn.Module, options: Options) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks and the decoder's middle layer, AdamW for all else."""
    muon: list[nn.Parameter] = []
    adam: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and (".blocks." in name or name.endswith(("think.weight", "embed2.weight")))
        (muon if inner and options.optimizer == "muon" else adam).append(parameter)
    by_kind: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW(
            adam, lr=options.lr, betas=(0.9, 0.98), weight_decay=options.weight_decay, fused=True
        )
    }
    if muon:
        by_kind["muon"] = torch.optim.Muon(
            muon, lr=options.lr, weight_decay=options.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
    return by_kind
