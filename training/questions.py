"""Training examples: random questions about random prefixes of curves that are known to the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.network.config import OUTCOMES
from lcpfn.priors import Curves
from lcpfn.query import KINDS

EARLY = 1.5  # questions about runs: the share of the run that is seen is a uniform number to this power
EXPLODED = 30.0  # a value so many gains worse than all before is no answer: divergence is an outcome of its own
FINAL = 0.15  # ... and this share of them, or more, is about the last point


@dataclass(frozen=True)
class Questions:
    """P questions about each of B curves; question p is of the same kind for all curves."""

    after: Tensor  # (B, P) int64, points seen, from 0 to T
    t_query: Tensor  # (B, P) the time that is asked about
    answer: Tensor  # (B, P) the true answer, in the unit of y
    kinds: Tensor  # (P,) int64, places in KINDS
    valid: Tensor | None = None  # (B, P) bool, whether the question has an answer; None: all have
    outcome: Tensor | None = (
        None  # (B, F) int64, places in OUTCOMES: what the last F questions are about, in place of values
    )

    def to(self, device: torch.device | str) -> Questions:
        """The same questions on `device`."""
        after, t_query, answer, kinds = (
            part.to(device) for part in (self.after, self.t_query, self.answer, self.kinds)
        )
        valid, outcome = (part if part is None else part.to(device) for part in (self.valid, self.outcome))
        return Questions(after, t_query, answer, kinds, valid, outcome)

    def __getitem__(self, rows: slice) -> Questions:
        """The questions about some of the curves."""
        valid, outcome = (part if part is None else part[rows] for part in (self.valid, self.outcome))
        return Questions(self.after[rows], self.t_query[rows], self.answer[rows], self.kinds, valid, outcome)


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
        shares: of the kinds in the order of `lcpfn.query.KINDS`.
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


def draw_of_runs(
    curves: Curves,
    questions: int,
    shares: tuple[float, float, float],
    limit: int,
    *,
    generator: torch.Generator,
    outcomes: int = 0,
) -> Questions:
    """Questions with answers about runs of different lengths, see `lcpfn.priors.RunPrior`.

    The number of points seen is stratified within each curve and kind, early ones more often; a curve without two
    bounds is asked about after its first point at the earliest. The asked time is uniform over the later points (over
    all for `signal`), or the last point. What a run that broke off would have been is not asked, nor how far one
    exploded that had not begun to: a tail that far would swamp every mean.

    Args:
        curves: (B, T) runs for which higher is better.
        questions: P.
        shares: of the kinds in the order of `lcpfn.query.KINDS`.
        limit: most points that may be seen.
        generator: on the curves' device.
        outcomes: number of questions more, about whether the run has diverged by the asked time.
    """
    (b, length), device = curves.y.shape, curves.y.device
    counts = split(questions, shares)
    count = curves.seen.sum(1, keepdim=True)  # (B, 1)
    worst = _worst(curves)
    least = _least(curves)
    most = torch.minimum(count - 1, torch.full_like(count, limit))
    cuts, times, answers, valid = [], [], [], []
    step = torch.arange(length, device=device)
    for kind, number in zip(KINDS, counts, strict=True):
        place = torch.rand(b, number, generator=generator, device=device)
        strata = torch.rand(b, number, generator=generator, device=device).argsort(1)
        share = ((strata + place) / max(number, 1)) ** EARLY
        after = least + (share * (most + 1 - least)).long()
        after = torch.minimum(after, most).clamp(min=0)
        first = torch.zeros_like(after) if kind == "signal" else after
        ahead = torch.rand(b, number, generator=generator, device=device)
        asked = first + (ahead / (1 - FINAL) * (count - first)).long()
        asked = torch.minimum(asked, count - 1).clamp(min=0)
        if kind == "best":
            inside = (step >= after[..., None]) & (step <= asked[..., None])  # (B, P, T)
            answer = curves.y[:, None, :].masked_fill(~inside, float("-inf")).amax(-1)
        else:
            answer = (curves.y if kind == "value" else curves.signal).gather(1, asked)
        tame = answer >= worst.gather(1, (after - 1).clamp(min=0))
        holds = (after < count) & (after >= least) & torch.isfinite(answer) & tame
        cuts.append(after)
        times.append(asked)
        answers.append(torch.where(holds, answer, curves.y[:, :1]))
        valid.append(holds)
    kinds = torch.repeat_interleave(
        torch.arange(3, device=device), torch.tensor(counts, device=device), output_size=sum(counts)
    )
    asked_at = curves.t.gather(1, torch.cat(times, 1))
    made = Questions(torch.cat(cuts, 1), asked_at, torch.cat(answers, 1), kinds, torch.cat(valid, 1))
    return made if not outcomes else _joined(made, draw_outcomes(curves, outcomes, limit, generator=generator))


def draw_outcomes(curves: Curves, questions: int, limit: int, *, generator: torch.Generator) -> Questions:
    """Questions about divergence: whether the run goes on, has exploded or has broken off by the asked time.

    To explode is to become worse by EXPLODED units than anything seen before. How many points are seen is drawn from
    what was planned, as is the asked time (half of the times the end): neither may tell what came. A question after
    the run broke off has no answer.

    Args:
        curves: (B, T) runs for which higher is better.
        questions: F.
        limit: most points that may be seen.
        generator: on the curves' device.

    Raises:
        ValueError: if the curves do not say which of them broke off, and when they were to end.
    """
    if curves.diverged is None or curves.end is None or curves.planned is None:
        raise ValueError(
            "divergence is learned from runs that say what was planned: the prior's Curves must have diverged, end and "
            "planned; leave --divergence out for a prior without"
        )
    (b, length), device = curves.y.shape, curves.y.device
    count, least = curves.seen.sum(1, keepdim=True), _least(curves)
    most = torch.minimum(curves.planned[:, None] - 1, torch.full_like(count, limit))
    share = torch.rand(b, questions, generator=generator, device=device) ** EARLY
    after = torch.minimum(least + (share * (most + 1 - least)).long(), most).clamp(min=0)
    known = torch.where(after > 0, curves.t.gather(1, (after - 1).clamp(min=0)), 0.0)
    ahead = (2 * torch.rand(b, questions, generator=generator, device=device)).clamp(max=1) ** 2
    asked = torch.where(ahead < 1, known + ahead * (curves.end[:, None] - known), curves.end[:, None])
    last = curves.t.gather(1, (count - 1).clamp(min=0))
    broken = curves.diverged[:, None] & (asked > last)
    step = torch.arange(length, device=device)
    inside = (step >= after[..., None]) & curves.seen[:, None] & (curves.t[:, None] <= asked[..., None])  # (B, F, T)
    bar = _worst(curves).gather(1, (after - 1).clamp(min=0))
    exploded = ((curves.y[:, None] < bar[..., None]) & inside).any(-1) & (after > 0)
    outcome = torch.where(broken, OUTCOMES.index("broke off"), exploded.long() * OUTCOMES.index("exploded"))
    valid = (after >= least) & (after <= count - (~curves.diverged[:, None]).long()) & (asked > known)
    kinds = torch.zeros(questions, dtype=torch.int64, device=device)
    return Questions(after, asked, curves.y[:, :1].expand(-1, questions), kinds, valid, outcome)


def _worst(curves: Curves) -> Tensor:
    """(B, T) the value below which a run has exploded, after each point."""
    unit = torch.ones_like(curves.y[:, 0]) if curves.unit is None else curves.unit
    return curves.y.cummin(1).values - EXPLODED * unit[:, None]


def _least(curves: Curves) -> Tensor:
    """(B, 1) how many points must be seen: none where both bounds are known."""
    assert curves.lower is not None and curves.upper is not None
    bounded = torch.isfinite(curves.lower) & torch.isfinite(curves.upper)
    return (~bounded).long()[:, None]


def _joined(values: Questions, outcomes: Questions) -> Questions:
    """Questions about values, then those about divergence."""
    assert values.valid is not None and outcomes.valid is not None
    pairs = ((values.after, outcomes.after), (values.t_query, outcomes.t_query), (values.answer, outcomes.answer))
    after, t_query, answer = (torch.cat(pair, 1) for pair in pairs)
    kinds = torch.cat([values.kinds, outcomes.kinds])
    return Questions(after, t_query, answer, kinds, torch.cat([values.valid, outcomes.valid], 1), outcomes.outcome)
