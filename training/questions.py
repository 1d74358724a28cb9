"""Training examples: random questions about random prefixes of curves that are known to the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.config import KINDS
from lcpfn.priors import Curves


@dataclass(frozen=True)
class Questions:
    """P questions about each of B curves; question p is of the same kind for all curves."""

    after: Tensor  # (B, P) int64, points seen, from 0 to T
    t_query: Tensor  # (B, P) the time that is asked about
    answer: Tensor  # (B, P) the true answer, in the unit of y
    kinds: Tensor  # (P,) int64, places in KINDS


def split(questions: int, shares: tuple[float, float, float]) -> list[int]:
    """How many questions of each kind; every share above zero gets at least one.

    >>> split(64, (0.6, 0.2, 0.2))
    [38, 13, 13]
    """
    counts = [max(1, round(questions * share)) if share > 0 else 0 for share in shares]
    counts[0] += questions - sum(counts)
    return counts


def draw(
    curves: Curves,
    questions: int,
    shares: tuple[float, float, float],
    *,
    generator: torch.Generator,
    one_cut: bool = False,
) -> Questions:
    """Questions with answers.

    The number of points seen is stratified over 0..T-1 within each curve and kind, the asked time is uniform over
    the later times (over all times for `signal`).

    Args:
        curves: (B, T) curves for which higher is better.
        questions: P.
        shares: of the kinds in the order of `lcpfn.config.KINDS`.
        generator: on the curves' device.
        one_cut: all questions of the batch share one cut-off of at least one point, as the original layout needs.
    """
    y, (b, length), device = curves.y, curves.y.shape, curves.y.device
    counts = split(questions, shares)
    cuts, times = [], []
    shared = 1 + int(torch.randint(length - 1, (1,), generator=generator, device=device)) if one_cut else None
    for kind, count in zip(KINDS, counts, strict=True):
        place = torch.rand(b, count, generator=generator, device=device)
        strata = torch.rand(b, count, generator=generator, device=device).argsort(1)
        after = (((strata + place) / max(count, 1)) * length).long().clamp(max=length - 1)
        if shared is not None:
            after = torch.full_like(after, shared)
        first = torch.zeros_like(after) if kind == "signal" else after
        ahead = torch.rand(b, count, generator=generator, device=device)
        cuts.append(after)
        times.append((first + (ahead * (length - first)).long()).clamp(max=length - 1))
    answer = [y.gather(1, times[0]), curves.signal.gather(1, times[1])]
    step = torch.arange(length, device=device)
    inside = (step >= cuts[2][..., None]) & (step <= times[2][..., None])  # (B, P, T)
    answer.append(y[:, None, :].masked_fill(~inside, float("-inf")).amax(-1))
    kinds = torch.repeat_interleave(
        torch.arange(3, device=device), torch.tensor(counts, device=device), output_size=sum(counts)
    )
    index = torch.cat(times, 1)
    return Questions(torch.cat(cuts, 1), curves.t.gather(1, index), torch.cat(answer, 1), kinds)
