"""The prior of LC-PFN."""

from dataclasses import dataclass
from typing import ClassVar

from lcpfn.priors.combination import Combination


@dataclass(frozen=True, kw_only=True)
class Paper(Combination):
    """The prior that LC-PFN was trained on: f = w1 pow3 + w2 ilog2 + w3 janoschek, and noise.

    About 21 % of all proposals are acceptable.

    Source: LC-PFN's released code (github.com/automl/lcpfn, lcpfn/domhan_prior.py and curves.py), described in
    Adriaensen et al. 2023 (arXiv 2310.20447). The paper prints another law of the noise; its authors say that the
    code's, log sigma ~ N(-4, sd 1), is right.

    Example:
        >>> import torch
        >>> curves = Paper().sample(5, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(0))
        >>> tuple(curves.y.shape), bool((curves.signal[:, -1] > curves.signal[:, 0]).all())
        ((5, 100), True)
    """

    name: ClassVar[str] = "paper"

    families: tuple[str, ...] = ("pow3", "ilog2", "janoschek")
    terms: int = 3
