"""Training examples: random questions about random prefixes of curves that are known to the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.network.config import OUTCOMES
from lcpfn.priors import Curves
from lcpfn.query import KIND, KINDS

EARLY = 1.5  # questions about runs: the share of the run that is seen is a uniform number to this power
EXPLOSION = 30.0  # a value so many gains worse than all before is no answer: divergence is an outcome of its own
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


def split(questions: int, shares: tuple[float, ...]) -> list[int]:
    """How many questions of each kind; every share above zero gets at least one.

    >>> split(64, (0.6, 0.2, 0.2))
    [38, 13, 13]
    """
    counts = [max(1, round(questions * share)) if share > 0 else 0 for share in shares]
    counts[0] += questions - sum(counts)
    return counts


@dataclass(frozen=True, kw_only=True)
class QuestionLaw:
    """What is asked about each run.

    Attributes:
        questions: number of questions about values.
        shares: of the kinds among them, in the order of `lcpfn.query.KINDS`.
        early: the share of the run that is seen is a uniform number to this power.
        final: of the questions this share, or more, is about the last point.
        one_cut: all questions of a batch share one cut-off of at least one point: a layout may need that.
        outcomes: number of questions more, about whether the run has diverged by the asked time.
    """

    questions: int
    shares: tuple[float, ...] = tuple(kind.share for kind in KIND.values())
    early: float = EARLY
    final: float = FINAL
    one_cut: bool = False
    outcomes: int = 0


def draw(curves: Curves, law: QuestionLaw, limit: int, *, generator: torch.Generator) -> Questions:
    """Questions with answers.

    The number of points seen is stratified within each curve and kind; a curve without two bounds is asked about after
    its first point at the earliest. The asked time is uniform over the later points (over all for `signal`), or the
    last point. What a run that broke off would have been is not asked, nor how far one exploded that had not begun to:
    a tail that far would swamp every mean.

    Args:
        curves: (B, T) runs for which higher is better; points that are not seen come last.
        law: which questions.
        limit: most points that may be seen.
        generator: on the curves' device.
    """
    (b, length), device = curves.y.shape, curves.y.device
    counts = split(law.questions, law.shares)
    count = curves.seen.sum(1, keepdim=True)  # (B, 1)
    worst = _worst(curves)
    least = _least(curves)
    most = torch.minimum(count - 1, torch.full_like(count, limit))
    shared = 1 + int(torch.randint(length - 1, (1,), generator=generator, device=device)) if law.one_cut else None
    cuts, times, answers, valid = [], [], [], []
    for kind, number in zip(KINDS, counts, strict=True):
        # One cut-off in each stratum, in random order: of a few questions none should be spent twice on one prefix.
        place = torch.rand(b, number, generator=generator, device=device)
        strata = torch.rand(b, number, generator=generator, device=device).argsort(1)
        share = ((strata + place) / max(number, 1)) ** law.early
        after = least + (share * (most + 1 - least)).long()
        after = torch.minimum(after, most).clamp(min=0)  # a share of 1 by rounding would be one point too many
        if shared is not None:
            after = torch.full_like(after, shared)
        first = after if KIND[kind].ahead else torch.zeros_like(after)
        ahead = torch.rand(b, number, generator=generator, device=device)
        asked = first + (ahead / (1 - law.final) * (count - first)).long()  # beyond the end: about the last point
        asked = torch.minimum(asked, count - 1).clamp(min=0)
        answer = KIND[kind].answer(curves.y, curves.signal, after, asked, torch)
        tame = answer >= worst.gather(1, (after - 1).clamp(min=0))
        holds = (after < count) & (after >= least) & torch.isfinite(answer) & tame
        cuts.append(after)
        times.append(asked)
        answers.append(torch.where(holds, answer, curves.y[:, :1]))  # a NaN would spread through the gradient
        valid.append(holds)
    kinds = torch.repeat_interleave(
        torch.arange(len(KINDS), device=device), torch.tensor(counts, device=device), output_size=sum(counts)
    )
    asked_at = curves.t.gather(1, torch.cat(times, 1))
    drawn = Questions(torch.cat(cuts, 1), asked_at, torch.cat(answers, 1), kinds, torch.cat(valid, 1))
    if not law.outcomes:
        return drawn
    return _joined(drawn, draw_outcomes(curves, law.outcomes, limit, generator=generator))


def about_the_rest(curves: Curves, cuts: tuple[int, ...]) -> Questions:
    """Questions about the values of all later points, after each number of points in `cuts` in turn."""
    b, length = curves.y.shape
    device = curves.y.device
    after = torch.cat([torch.full((length - cut,), cut, device=device) for cut in cuts])
    index = torch.cat([torch.arange(cut, length, device=device) for cut in cuts])
    kinds = torch.zeros_like(after)  # "value"
    return Questions(after.expand(b, -1), curves.t[:, index], curves.y[:, index], kinds, curves.seen[:, index])


def draw_outcomes(curves: Curves, questions: int, limit: int, *, generator: torch.Generator) -> Questions:
    """Questions about divergence: whether the run goes on, has exploded or has broken off by the asked time.

    To explode is to become worse by EXPLOSION units than anything seen before. How many points are seen is drawn from
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
    """(B, T) the value below which a run has exploded, after each point; -inf where nobody says how it is bounded."""
    if curves.unit is None and curves.lower is None:  # curves within the prior's bounds: they cannot explode
        return torch.full_like(curves.y, float("-inf"))
    unit = torch.ones_like(curves.y[:, 0]) if curves.unit is None else curves.unit
    return curves.y.cummin(1).values - EXPLOSION * unit[:, None]


def _least(curves: Curves) -> Tensor:
    """(B, 1) how many points must be seen: none where both bounds are known, as the prior's own are."""
    if curves.lower is None or curves.upper is None:
        return torch.zeros_like(curves.seen[:, :1], dtype=torch.int64)
    bounded = torch.isfinite(curves.lower) & torch.isfinite(curves.upper)
    return (~bounded).long()[:, None]


def _joined(values: Questions, outcomes: Questions) -> Questions:
    """Questions about values, then those about divergence."""
    assert values.valid is not None and outcomes.valid is not None
    pairs = ((values.after, outcomes.after), (values.t_query, outcomes.t_query), (values.answer, outcomes.answer))
    after, t_query, answer = (torch.cat(pair, 1) for pair in pairs)
    kinds = torch.cat([values.kinds, outcomes.kinds])
    return Questions(after, t_query, answer, kinds, torch.cat([values.valid, outcomes.valid], 1), outcomes.outcome)
