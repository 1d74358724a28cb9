"""A decision about one run, and the card that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lcpfn.stopping.question import Question
from lcpfn.stopping.rule import Rivals, Rule, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTILES = (0.05, 0.5, 0.95)
Reason = Literal[
    "hopeless",
    "not worth it",
    "converged",
    "diverged",
    "stopped before",
    "promising",
    "ahead",
    "no incumbent",
    "too few points",
    "between looks",
    "horizon reached",
    "no points",
    "alarm",
    "audit",
    "finished",
]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a run should stop, and why.

    Attributes:
        stop: whether to stop.
        reason: "hopeless", "not worth it", "converged", "diverged" and "stopped before" stop the run; the others, of
            Reason, do not. A trial that was over already is "finished".
        detail: the reason in words.
        p_better: the probability that the run ends better than what it has to beat (the incumbent; for "converged" its
            own best, both by min_delta); None where nothing was asked.
        expected_end: the mean of what the run is ranked by in the end: its best value, or its last one; None where
            nothing was asked.
        quantiles: of that value, by probability; empty where nothing was asked.
        incumbent: the value that stood against it, None if none did.
        verdict: what the rule found, None where it was not asked.
        notices: what was left out of the judgement, in sentences.
        run: the question that was asked, None where there is none; it answers others: `run.time_to(0.9)`.
        rule: that found the verdict.
        rivals: that it was found against.
    """

    stop: bool
    reason: Reason
    detail: str
    p_better: float | None = None
    expected_end: float | None = None
    quantiles: dict[float, float] = field(default_factory=dict)
    incumbent: float | None = None
    verdict: Verdict | None = field(default=None, repr=False)
    notices: tuple[str, ...] = ()
    run: Question | None = field(default=None, repr=False, compare=False)
    rule: Rule | None = field(default=None, repr=False, compare=False)
    rivals: Rivals | None = field(default=None, repr=False, compare=False)

    def card(self, *, name: str = "y") -> str:
        """The decision in a few lines: what stood, what was found, what would have changed it."""
        lines = [f"{'STOP' if self.stop else 'go on'}: {self.reason} ({self.detail})"]
        if self.verdict is not None and self.verdict.began is not None:
            lines.append(f"  after its first point that probability was {self.verdict.began:.3g}")
        if self.run is not None:
            stood = "" if self.incumbent is None else f", the incumbent {self.incumbent:.5g}"
            t, count = self.run.t[-1], len(self.run.t)
            lines.append(
                f"  {name}: {count} point{'s' if count > 1 else ''} up to {t:.6g} of {self.run.horizon:.6g}, "
                f"best so far {self.run.record:.5g}{stood}"
            )
        if self.quantiles:
            low, middle, high = (self.quantiles[q] for q in QUANTILES)
            low, high = min(low, high), max(low, high)
            what = "its best" if self.run is None or self.run.target == "best" else "its value"
            lines.append(f"  {what} in the end: {middle:.5g}, with 90 % probability from {low:.5g} to {high:.5g}")
        if (turning := self.turning_point()) is not None:
            would = "go on against an incumbent worse than" if self.stop else "stop against an incumbent better than"
            lines.append(f"  it would {would} {turning:.5g}")
        lines += [f"  {notice}" for notice in self.notices]
        return "\n".join(lines)

    def turning_point(self) -> float | None:
        """The incumbent at which the decision would have been the other one; None if it is not about one."""
        if self.verdict is None or self.incumbent is None or self.run is None or self.rule is None:
            return None
        target = self.rule.turning_target(self.run, self.rivals or Rivals())
        if target is None:
            return None
        beyond = self.verdict.target - self.incumbent  # what it takes beyond the incumbent stays the same
        return float(target - beyond)

    def plot(self, *, ax: Axes | None = None, name: str = "y", clock: str = "t") -> Axes:
        """The axes with the run, the fan of what it may do, the incumbent, and the decision above them.

        Raises:
            ImportError: if matplotlib is not installed.
            ValueError: if the decision asked nothing of a belief, so that there is no fan.
        """
        from lcpfn.plot import fan

        if self.run is None:
            raise ValueError(f"there is no fan to draw: the decision asked for no belief ({self.detail})")
        first, *rest = self.card(name=name).splitlines()
        turns = next((line.strip() for line in rest if line.strip().startswith("it would")), None)
        title = first if turns is None else f"{first}\n{turns}"
        return fan(
            self.run.later,
            observed=(self.run.t, self.run.y),
            incumbent=self.incumbent,
            ax=ax,
            name=name,
            clock=clock,
            title=title,
        )
