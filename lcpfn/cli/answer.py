"""A forecast of one curve as the command `lcpfn` prints it: records for JSON, and from them a table for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.curve import Curve, Reading
from lcpfn.surprise import Surprise

LEVELS = (0.5, 0.8, 0.95)  # of the intervals in the table
ORIGINS = {"name": "by its name", "log": "by the log", "checkpoint": "by the checkpoint"}  # of what nobody said
DANGER = 0.1  # probability of divergence that is worth a line
QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # of the records; the ends of those intervals, and the median


@dataclass(frozen=True, eq=False)
class Answer:
    """What is believed of one curve, next to what was seen, and to what happened as far as that is known."""

    belief: Belief  # (Q,)
    seen: Curve  # what the belief knows
    rest: Curve  # later values, with times of their own; empty where there are none
    best: Belief | None = None  # (R,) of the best value until the future times among the Q; goes with the incumbent
    incumbent: float | None = None
    assumed: Mapping[str, str] = field(default_factory=dict)  # who says "direction" and "bounds": "user", or ORIGINS
    surprise: Surprise | None = None  # of what was seen
    run_end: float | None = None  # that the log says and the belief knows, where the user says none

    @property
    def record(self) -> tuple[float, float] | None:
        """Time and value of the best that was seen, the first time if it came twice; None if nothing was seen."""
        if np.isnan(self.seen.y).all():
            return None
        where = int(np.nanargmax(self.belief.metric.sign * self.seen.y))
        return float(self.seen.t[where]), float(self.seen.y[where])

    @property
    def truth(self) -> Curve:
        """What happened, of the kind that the belief is about; for a "signal" it is the noisy values."""
        if self.belief.kind != "best":
            return self.rest
        sign = self.belief.metric.sign
        return replace(self.rest, y=sign * np.fmax.accumulate(sign * self.rest.y))

    def forecasts(self) -> list[dict[str, Any]]:
        """Q records of plain numbers, None where there is no number."""
        belief, record = self.belief, self.record
        better = None if record is None else belief.prob_better(record[1])
        beaten, truth = self._beaten(), dict(zip(self.truth.t, self.truth.y))
        diverged = None if belief.outcome is None else belief.prob_diverged()
        quantiles, mean, std = belief.quantile(np.array(QUANTILES)), belief.mean(), belief.std()
        return [
            {
                "t": float(t),
                "mean": _finite(mean[i]),
                "std": _finite(std[i]),
                "quantiles": {str(q): _finite(value) for q, value in zip(QUANTILES, quantiles[i])},
                "prob_better_than_best_seen": None if better is None else _finite(better[i]),
                "prob_incumbent_beaten_by_then": beaten.get(float(t)),
                "prob_diverged": None if diverged is None else float(diverged[i]),
                "truth": _finite(truth.get(float(t), math.nan)),
            }
            for i, t in enumerate(belief.t)
        ]

    def document(self, **about: Any) -> dict[str, Any]:
        """What `--json` prints; keys may be added, but none removed or changed without a new "format"."""
        measured, metric, record = ~np.isnan(self.seen.y), self.belief.metric, self.record
        reading = self.seen.reading
        last = None
        if record is not None:
            last = {"t": float(self.seen.t[measured][-1]), "y": float(self.seen.y[measured][-1])}
        return {
            "format": 1,
            **about,
            "column": self.seen.name,
            "metric": {"direction": metric.direction, "bounds": list(metric.bounds)},
            "assumed": {what: None if by == "user" else by for what, by in self.assumed.items()},
            "kind": self.belief.kind,
            "observed": {
                "count": int(measured.sum()),
                "last": last,
                "best": None if record is None else {"t": record[0], "y": record[1]},
                "diverged_at": self.seen.diverged_at,
            },
            "reading": None if reading is None else _counts(reading),
            "run_end_by_log": self.run_end,
            "incumbent": self.incumbent,
            "surprise": self._surprise(),
            "forecast": self.forecasts(),
        }

    def about(self) -> str:
        """A line on what was seen."""
        measured, record, clock = ~np.isnan(self.seen.y), self.record, self.seen.clock
        what = f"{self.seen.name} ({self._metric()})"
        if record is None:
            return f"{what}: nothing seen yet"
        count = f"{measured.sum()} value{'s' if measured.sum() > 1 else ''}"
        last = self.seen.t[measured][-1]
        end = (
            ""
            if self.run_end is None
            else f"; by the log the run ends at {clock} {self.run_end:.6g} (or say --run-end)"
        )
        diverged = "" if self.seen.diverged_at is None else f", diverged at {clock} {self.seen.diverged_at:.6g}"
        return (
            f"{what}: {count} seen up to {clock} {last:.6g}{diverged}, "
            f"the best {record[1]:.5g} at {clock} {record[0]:.6g}{end}"
        )

    def warning(self) -> str | None:
        """A line if the alarm rang."""
        told = self.surprise
        if told is None or not told.alarm:
            return None
        p, clock = float(told.p_value[-1]), self.seen.clock
        return (
            f"warning: this curve is unlike anything in the prior, noticed at {clock} {float(told.since):.6g} "
            f"(p {'< 1e-9' if p < 1e-9 else f'= {p:.1g}'}): expect more misses than the intervals say"
        )

    def danger(self) -> str | None:
        """A line if the run is likely to diverge, by DANGER or more."""
        if self.belief.outcome is None or not (p := self.belief.prob_diverged()[-1]) >= DANGER:
            return None
        nan = self.belief.prob_diverged(into_nan=True)[-1]
        when = f"P(diverges until {self.seen.clock} {self.belief.t[-1]:.6g})"
        return f"{when} {_percent(float(p))}, into NaN {_percent(float(nan))}: the table is of runs that do not"

    def table(self, *, every: bool) -> str:
        """A table in ASCII; of every query, or of a few that stand for all."""
        forecasts = self.forecasts()
        if not every:
            forecasts = [forecasts[i] for i in spread(len(forecasts))]
        widths = [f["quantiles"]["0.75"] - f["quantiles"]["0.25"] for f in forecasts]
        show = _format(min(widths), max(abs(f["quantiles"]["0.5"]) for f in forecasts))
        sign = ">" if self.belief.metric.direction == "max" else "<"
        columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [(self.seen.clock, lambda f: f"{f['t']:.6g}")]
        if any(f["truth"] is not None for f in forecasts):
            columns.append(("truth", lambda f: show(f["truth"])))
        columns.append(("median", lambda f: show(f["quantiles"]["0.5"])))
        for level in LEVELS:
            low, high = (str(round((1 + side * level) / 2, 6)) for side in (-1, 1))
            columns.append((f"{100 * level:.4g} %", _between(low, high, show)))
        if self.record is not None:
            columns.append((f"P({sign} {self.record[1]:.5g})", lambda f: _percent(f["prob_better_than_best_seen"])))
        if self.incumbent is not None:
            title = f"P({sign} {self.incumbent:.5g} by then)"
            columns.append((title, lambda f: _percent(f["prob_incumbent_beaten_by_then"])))
        texts = [[title, *map(cell, forecasts)] for title, cell in columns]
        padded = [[text.rjust(max(map(len, column))) for text in column] for column in texts]
        return "\n".join("  ".join(row) for row in zip(*padded))

    def _metric(self) -> str:
        """Direction and bounds, and where they are from if not from the user."""
        metric = self.belief.metric
        better = f"{'higher' if metric.direction == 'max' else 'lower'} is better"
        if not self.assumed:
            return better
        low, high = ("" if end is None else f"{end:g}" for end in metric.bounds)
        limits = (
            f"from {low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else "open"
        )
        by, bounds_by = (ORIGINS.get(self.assumed[what], "") for what in ("direction", "bounds"))
        if metric.bounds == (None, None):
            return f"{better}{by and ' '}{by}, no bounds known"
        if by == bounds_by:
            return f"{better}, {limits}{by and ': '}{by}"
        return ", ".join(f"{what} {origin}".rstrip() for what, origin in ((better, by), (limits, bounds_by)))

    def _surprise(self) -> dict[str, Any] | None:
        """The same as JSON."""
        told = self.surprise
        if told is None:
            return None
        return {
            "alarm": bool(told.alarm),
            "since": _finite(float(told.since)),
            "p_value": float(told.p_value[-1]) if told.p_value.size else 1.0,
            "rate": told.rate,
            "surprising": [float(t) for t in told.t[told.surprising]],
        }

    def _beaten(self) -> dict[float, float | None]:
        """By time, the probability that the incumbent is beaten until then, 1 if it already is."""
        if self.best is None:
            return {}
        assert self.incumbent is not None
        record = self.record
        done = record is not None and self.belief.metric.sign * (record[1] - self.incumbent) > 0
        probability = np.ones(self.best.shape) if done else self.best.prob_better(self.incumbent)
        return {float(t): _finite(p) for t, p in zip(self.best.t, probability)}


def left_out(curve: Curve) -> list[str]:
    """Sentences on what a log holds besides the values of the curve; none if that is nothing."""
    reading = curve.reading
    if reading is None:
        return []
    lines = []
    if reading.replaced:
        gone = f", {reading.abandoned} of them at times that have not come again" if reading.abandoned else ""
        lines.append(f"{_values(reading.replaced)} left out: a restart came to their times again{gone}")
    if reading.not_finite and curve.diverged_at is not None:
        lines.append(
            f"{_values(reading.not_finite)} not finite; the run diverged at {curve.clock} {curve.diverged_at:.6g}: "
            "from there on none is finite"
        )
    elif reading.not_finite:
        lines.append(f"{_values(reading.not_finite)} not finite, and left out: finite ones come later")
    if reading.other_runs:
        lines.append(f"{_values(reading.other_runs)} of other runs left out")
    return [*lines, *reading.notices]


def _values(count: int) -> str:
    return f"{count} value is" if count == 1 else f"{count} values are"


def _counts(reading: Reading) -> dict[str, Any]:
    names = ("read", "replaced", "not_finite", "abandoned", "other_runs")
    return {**{name: getattr(reading, name) for name in names}, "notices": list(reading.notices)}


def spread(count: int) -> list[int]:
    """Indices that stand for all: of the next step, of a quarter, half, three quarters, and of the last.

    >>> spread(80), spread(2)
    ([0, 19, 39, 59, 79], [0, 1])
    """
    return sorted({0, *(math.ceil(count * part / 4) - 1 for part in (1, 2, 3, 4))})


def _finite(value: float) -> float | None:
    """The number as JSON knows it, which has neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None


def _format(width: float, size: float) -> Callable[[float | None], str]:
    """Turns numbers into text with three digits, or as many as show two of the narrowest interval's width."""
    places = [digits - 1 - math.floor(math.log10(x)) for digits, x in ((2, width), (3, size)) if x > 0]
    style = f".{max(0, *places)}f" if places and max(places) <= 8 and size < 1e7 else ".5g"
    return lambda value: "-" if value is None else format(value, style)


def _between(low: str, high: str, show: Callable[[float | None], str]) -> Callable[[dict[str, Any]], str]:
    return lambda forecast: f"{show(forecast['quantiles'][low])} to {show(forecast['quantiles'][high])}"


def _percent(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.1 %" if 0 < value < 0.001 else ">99.9 %" if 0.999 < value < 1 else f"{100 * value:.1f} %"
