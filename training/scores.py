"""The number every network on a prior is judged by: mean log density of the unseen part."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lcpfn.priors import Curves
from lcpfn.query import KINDS
from lcpfn.training.questions import Questions

LogDensity = Callable[..., Tensor]  # of curves, after, t_query, answer; for questions of several kinds also of kinds

CUTS = (10, 20, 40, 80)  # points seen, of 100: the rows of the LC-PFN paper


def unseen_log_density(
    log_density: LogDensity, curves: Curves, *, cuts: tuple[int, ...] = CUTS, chunk: int = 250
) -> dict[int, Tensor]:
    """Per-curve mean log density of y at all later points.

    Args:
        log_density: function of (curves, after (B, P), t_query (B, P), answer (B, P)) that gives (B, P).
        curves: (B, T).
        cuts: numbers of points seen, below T.
        chunk: curves at a time.

    Returns:
        For every cut the means (B,) over the T - cut unseen points, in nats.
    """
    scores: dict[int, list[Tensor]] = {cut: [] for cut in cuts}
    length = curves.y.shape[1]
    for start in range(0, curves.y.shape[0], chunk):
        rows = slice(start, start + chunk)
        part = curves[rows]
        after = torch.cat([torch.full((length - cut,), cut, device=part.y.device) for cut in cuts])
        index = torch.cat([torch.arange(cut, length, device=part.y.device) for cut in cuts])
        density = log_density(part, after.expand(len(part.y), -1), part.t[:, index], part.y[:, index])
        for cut, block in zip(cuts, density.split([length - cut for cut in cuts], 1), strict=True):
            scores[cut].append(block.mean(1))
    return {cut: torch.cat(blocks) for cut, blocks in scores.items()}


def mean_by_kind(log_density: LogDensity, curves: Curves, asked: Questions, *, chunk: int = 250) -> dict[str, float]:
    """Mean log density of the answers to questions, by kind: the number for priors whose runs differ in length.

    Questions about divergence have a mean log probability, "outcome".

    Args:
        log_density: function of (curves, after, t_query, answer, kinds, outcome) that gives (B, P).
        curves: (B, T).
        asked: P questions about each.
        chunk: curves at a time.
    """
    parts = [
        log_density(curves[rows], part.after, part.t_query, part.answer, part.kinds, part.outcome)
        for rows in (slice(start, start + chunk) for start in range(0, len(curves), chunk))
        for part in (asked[rows],)
    ]
    values, valid = torch.cat(parts), asked.valid
    assert valid is not None
    about = asked.kinds.clone()
    if asked.outcome is not None:
        about[-asked.outcome.shape[1] :] = len(KINDS)
    return {
        name: float(values[valid & (about == place)].mean())
        for place, name in enumerate([*KINDS, "outcome"])
        if bool((about == place).any())
    }
