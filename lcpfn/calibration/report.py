"""What `lcpfn.calibration.calibrate` found, as text and as JSON.

Letters: B curves, C cut-offs, Q queries of one curve.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lcpfn.belief import Array
from lcpfn.calibration.ecdf import EcdfDifference
from lcpfn.calibration.intervals import Coverage
from lcpfn.calibration.ranks import Sbc
from lcpfn.calibration.reliability import Reliability

JOINT = 3  # later times whose values are drawn together


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known of the answers to questions of one kind.

    Attributes:
        kind: of the questions.
        cuts: (C,) points seen.
        times: (C, B, Q) asked, NaN where a curve has no such time.
        pits: (C, B, Q) cdf of the truth there.
        coverage: shares inside central intervals, by level and cut-off; cut None is all of them, if there are several.
        ecdf: of one PIT value a curve, by cut-off.
        sharpness: mean width of the 90 % intervals, by cut-off.
        log_score: mean log density of the truth, nats per answer, by cut-off.
        reliability: of the probability to be better than a rival is at that time: the curve that stood next below it
            at the cut-off, in the metric's direction. One event a curve.
        joint: TARP of the values at JOINT later times, one cut-off a curve; None if it was not asked for.
    """

    kind: str
    cuts: tuple[int, ...]
    times: Array
    pits: Array
    coverage: tuple[Coverage, ...]
    ecdf: dict[int, EcdfDifference]
    sharpness: dict[int, float]
    log_score: dict[int, float]
    reliability: Reliability
    joint: Sbc | None

    def table(self) -> str:
        """Text for people: coverage, uniformity, sharpness, probabilities."""
        return "\n".join(self._lines())

    def document(self) -> dict[str, Any]:
        """The same as JSON, without the PIT values."""
        told: dict[str, Any] = {"kind": self.kind}
        told["coverage"] = [asdict(cell) | {"inside": cell.inside} for cell in self.coverage]
        told["cuts"] = [
            {"cut": cut, **_uniform(self.ecdf[cut]), "width": self.sharpness[cut], "log_score": self.log_score[cut]}
            for cut in self.cuts
        ]
        told["reliability"] = {
            name: [None if np.isnan(x) else float(x) for x in part] if isinstance(part, np.ndarray) else part
            for name, part in vars(self.reliability).items()
        }
        told["joint"] = None if self.joint is None else {"draws": self.joint.draws, **_uniform(self.joint.ecdf)}
        return told

    def _lines(self) -> Iterator[str]:
        yield f"{self.kind}: truth inside central intervals, in % (what calibration gives, 95 % band)"
        levels = list(dict.fromkeys(cell.level for cell in self.coverage))
        yield f"  {'seen':>5}" + "".join(f"{f'{100 * level:.4g} %':>22}" for level in levels)
        for cut in (*self.cuts, None):
            cells = [cell for cell in self.coverage if cell.cut == cut]
            row = "".join(
                f"{100 * c.mean:8.1f}{' ' if c.inside else '!'}({100 * c.lower:5.1f}-{100 * c.upper:5.1f})"
                for c in cells
            )
            yield f"  {'all' if cut is None else cut:>5}{row}"
        yield f"\n  {'seen':>5}  {'curves':>6}  {'PIT uniform':<18}  {'90 % width':>10}  {'log score':>9}"
        for cut in self.cuts:
            ecdf = self.ecdf[cut]
            yield (
                f"  {cut:>5}  {ecdf.n:>6}  {_verdict(ecdf):<18}  {self.sharpness[cut]:>10.4g}"
                f"  {self.log_score[cut]:>9.3f}"
            )
        told = self.reliability
        yield (
            f"\n  P(better than the curve that stood next to it), {told.count.sum():.0f} events: Brier score "
            f"{told.brier:.3f} ({told.uncertainty:.3f} knows nothing),"
        )
        confidence = f"{_mark(told.inside)}(p {told.p:.2g})"
        yield f"  calibration error {told.error:.3f}, neither over- nor underconfident: {confidence}"
        if self.joint is not None:
            yield f"  values at {JOINT} times together (TARP, {self.joint.draws} draws): {_verdict(self.joint.ecdf)}"

    def checks(self) -> list[bool]:
        """Whether each share, ECDF and probability is what calibration gives, with 95 % each."""
        return [
            *(cell.inside for cell in self.coverage),
            *(ecdf.inside for ecdf in self.ecdf.values()),
            self.reliability.inside,
            *(() if self.joint is None else (self.joint.ecdf.inside,)),
        ]


@dataclass(frozen=True, eq=False)
class Report:
    """The calibration of an engine on known curves.

    Attributes:
        curves: how many.
        kinds: what was found for each kind of question.
    """

    curves: int
    kinds: tuple[Calibration, ...]

    def table(self) -> str:
        """Text for people."""
        checks = [check for told in self.kinds for check in told.checks()]
        tables = "\n\n".join(told.table() for told in self.kinds)
        return (
            f"{tables}\n\n{len(checks) - sum(checks)} of {len(checks)} checks are outside their 95 % bands (!); a "
            f"calibrated engine has about {0.05 * len(checks):.1g}, often several together.\n"
            "Shares above the level: the intervals are too wide; below: too narrow."
        )

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        document = {"format": 1, "curves": self.curves, "kinds": [told.document() for told in self.kinds]}
        json.dumps(document, allow_nan=False)  # whoever prints it must not find out
        return document


def _verdict(ecdf: EcdfDifference) -> str:
    return f"{_mark(ecdf.inside)}(p {ecdf.p:.2g})"


def _mark(inside: bool) -> str:
    return "yes " if inside else "no! "


def _uniform(ecdf: EcdfDifference) -> dict[str, Any]:
    return {"curves": ecdf.n, "inside": ecdf.inside, "p": ecdf.p, "largest": float(np.abs(ecdf.difference).max())}
