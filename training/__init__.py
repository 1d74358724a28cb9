"""Pretraining a network on a prior."""

from lcpfn.training.loop import NonfiniteLoss, Run, train
from lcpfn.training.options import PRESETS, Options

__all__ = ["PRESETS", "NonfiniteLoss", "Options", "Run", "train"]
