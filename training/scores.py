"""The number every network on a prior is judged by: mean log density of the unseen part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.priors import Curves
from lcpfn.query import KINDS
from lcpfn.training.questions import Questions, about_the_rest

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


@dataclass(frozen=True, eq=False)
class Examination:
    """Questions whose mean score is reported while a network learns, in groups.

    Attributes:
        curves: (B, T) that nothing is learnt from.
        asked: P questions about each.
        groups: (P,) bool, which of them, by the name under which their mean is reported.
    """

    curves: Curves
    asked: Questions
    groups: dict[str, Tensor]

    @classmethod
    def by_cut(cls, curves: Curves, cuts: tuple[int, ...] = CUTS) -> Examination:
        """The unseen part of whole curves after 10, 20, 40 and 80 points, by these numbers."""
        asked = about_the_rest(curves, cuts)
        return cls(curves, asked, {str(cut): asked.after[0] == cut for cut in cuts})

    @classmethod
    def by_kind(cls, curves: Curves, asked: Questions) -> Examination:
        """Questions as they are learnt from, by kind; those about divergence have a mean log probability, "outcome"."""
        about = asked.kinds.clone()
        if asked.outcome is not None:
            about[-asked.outcome.shape[1] :] = len(KINDS)
        places = {name: about == place for place, name in enumerate([*KINDS, "outcome"])}
        return cls(curves, asked, {name: members for name, members in places.items() if bool(members.any())})

    def to(self, device: torch.device | str) -> Examination:
        """The same on `device`."""
        groups = {name: members.to(device) for name, members in self.groups.items()}
        return Examination(self.curves.to(device), self.asked.to(device), groups)

    def scores(self, log_density: LogDensity, *, chunk: int = 250) -> dict[str, float]:
        """Mean log density of the answers, in nats, by group.

        Args:
            log_density: function of (curves, after, t_query, answer, kinds, outcome) that gives (B, P).
            chunk: curves at a time.
        """
        parts = [
            log_density(self.curves[rows], part.after, part.t_query, part.answer, part.kinds, part.outcome)
            for rows in (slice(start, start + chunk) for start in range(0, len(self.curves), chunk))
            for part in (self.asked[rows],)
        ]
        values, valid = torch.cat(parts), self.asked.valid
        assert valid is not None
        return {name: float(values[valid & members].mean()) for name, members in self.groups.items()}
