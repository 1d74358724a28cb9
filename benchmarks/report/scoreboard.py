"""Tables of the contest on real curves, made of results/real/SOURCE/METHOD.json: skills, coverage, events, times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from real import averages
from real.averages import Skill
from real.summary import column

from report.text import Rows, markdown

COMMAND = "python benchmarks/real/contest.py"
FOLDER = "real"
MORE = "more"  # of sources that came later, which the means of the first must not mix with
BASELINE = "last-value"
LEVELS = ("50", "80", "90", "95")


Results = dict[str, dict[str, dict[str, Any]]]  # method -> source -> the JSON


class Incomparable(ValueError):
    """Results that must not stand in one table."""


def load(folder: Path) -> Results:
    """All results of the contest, the best method in the skill of later points first.

    Raises:
        Incomparable: if they are of different protocols, or of quick and full runs.
    """
    found: Results = {}
    wholes = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]
    about = {_terms(whole): whole for whole in wholes}
    if len(about) > 1:
        commands = "; ".join(sorted(whole["command"] for whole in about.values()))
        raise Incomparable(f"results of different settings cannot stand in one table: {commands}; use --redo or --out")
    for whole in wholes:
        results = whole["results"]
        found.setdefault(results["method"], {})[results["source"]] = whole
    sources = sorted({source for each in found.values() for source in each})

    def order(name: str) -> tuple[bool, float]:
        told = _overall(found, name, "later") if set(found[name]) == set(sources) else None
        return told is None, -told.value if told else 0.0

    return {name: found[name] for name in sorted(found, key=order)}


def overview(found: Results) -> Rows:
    """What a method is worth over all sources, in one line."""
    head = [
        "method",
        *(f"skill, {target}" for target in ("later", "final", "best")),
        "sources won",
        "90 % intervals hold",
    ]
    rows = [[*head, "Brier, best beats", "per forecast"]]
    sources = _sources(found)
    for name, each in found.items():
        if not _complete(found, name):
            continue
        skills = [_percent(_overall(found, name, target)) for target in ("later", "final", "best")]
        later = [each[source]["results"]["skill"]["later"] for source in sources]
        won = sum(told is not None and told["value"] > 0 for told in later)
        inside, brier = _mean(each, "later_coverage90"), _mean(each, "best_brier")
        spent = np.mean([whole["results"]["scores"]["cpu_s"] for whole in each.values()])
        rows.append(
            [
                name,
                *skills,
                "" if name == BASELINE else f"{won} of {len(sources)}",
                "" if inside is None else f"{100 * inside:.0f} %",
                "" if brier is None else f"{brier:.3f}",
                f"{1e3 * spent:.2g} ms",
            ]
        )
    return rows


def skill(found: Results, target: str) -> Rows:
    """Skill in CRPS against the last value, in percent, with half the width of the 95 % interval over tasks."""
    sources = _sources(found)
    rows = [["method", "all", *sources]]
    for name, each in found.items():
        cells = [_skill(each[source]["results"]["skill"][target]) if source in each else "" for source in sources]
        rows.append([name, _percent(_overall(found, name, target)), *cells])
    return rows


def coverage(found: Results) -> Rows:
    """Share of later points, and of final ones, inside central intervals, in percent, mean over sources."""
    rows = [["method", *(f"{target} {level} %" for target in ("later", "final", "best") for level in LEVELS)]]
    for name, each in found.items():
        if not _complete(found, name):
            continue
        means = [_mean(each, f"{target}_coverage{level}") for target in ("later", "final", "best") for level in LEVELS]
        rows.append([name, *("" if mean is None else f"{100 * mean:.1f}" for mean in means)])
    return rows


def events(found: Results) -> Rows:
    """Brier scores of beating another run's final value and of divergence, and log scores, mean over sources."""
    columns = {
        "final beats": "final_brier",
        "best beats": "best_brier",
        "diverges": "diverges_brier",
        "log score, later": "later_log",
        "log score, final": "final_log",
        "error of the median, final": "final_error",
        "interval score 90 %, final": "final_interval90",
    }
    rows = [["method", *columns]]
    for name, each in found.items():
        if _complete(found, name):
            means = [_mean(each, key) for key in columns.values()]
            rows.append([name, *("" if mean is None else f"{mean:.4f}" for mean in means)])
    return rows


def times(found: Results) -> Rows:
    """Processor time of a forecast (a curve at a cut-off, all its questions), failures, and what was not forecast."""
    rows = [["method", "per forecast, mean of sources", "worst source", "forecasts", "failed", "not forecast"]]
    for name, each in found.items():
        spent = [whole["results"]["scores"]["cpu_s"] for whole in each.values()]
        counts = [whole["results"]["counts"] for whole in each.values()]
        asked, failed = (sum(count.get(key, 0) for count in counts) for key in ("forecast", "failed"))
        out = sum(n for count in counts for key, n in count.items() if key.startswith(("diverged", "fewer")))
        rows.append(
            [
                name,
                *(f"{1e3 * x:.3g} ms" for x in (np.mean(spent), max(spent))),
                f"{asked:,}",
                f"{failed:,}",
                f"{out:,}",
            ]
        )
    return rows


TABLES: dict[str, Callable[[Results], Rows]] = {
    "real": overview,
    "real-later": lambda found: skill(found, "later"),
    "real-final": lambda found: skill(found, "final"),
    "real-best": lambda found: skill(found, "best"),
    "real-coverage": coverage,
    "real-events": events,
    "real-times": times,
}


def show(table: str, folder: Path) -> str:
    """A table in Markdown.

    Raises:
        Incomparable: if results must not stand in one table.
    """
    return markdown(TABLES[table](load(folder)))


def text(table: str, folder: Path) -> str:
    """A table and how to make it again; if there is no result yet, the command alone.

    Raises:
        Incomparable: if results must not stand in one table, or come from a quick run.
    """
    found = load(folder)
    if not found:
        return f"Not measured yet: `{COMMAND}`, then `python benchmarks/report/documents.py`.\n"
    wholes = [whole for each in found.values() for whole in each.values()]
    if wholes[0]["quick"]:
        raise Incomparable(f"{folder.name} holds results of a quick run, no numbers to show: run {COMMAND}")
    told, dates = wholes[0]["settings"], sorted(whole["date"] for whole in wholes)
    flags = "" if told["per_task"] is None else f" --per-task {told['per_task']}"
    flags += "" if told["split"] is None else f" --split {told['split']}"
    if folder.name == MORE:
        flags += f" --methods {','.join(sorted(found))} --sources {','.join(_sources(found))}"
    commits = sorted({whole["commit"] for whole in wholes})
    at = ", ".join(commits) if len(commits) < 4 else f"{len(commits)} commits (each JSON names its own)"
    days = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"{show(table, folder)}\n\n`{COMMAND}{flags}` at {at}, {days}; seed {wholes[0]['seed']}.\n"


def _terms(whole: dict[str, Any]) -> str:
    """What must agree: everything but the method."""
    terms = {key: value for key, value in whole["settings"].items() if key != "method"}
    return json.dumps([whole["quick"], whole["seed"], terms], sort_keys=True)


def _sources(found: Results) -> list[str]:
    return sorted({source for each in found.values() for source in each})


def _complete(found: Results, name: str) -> bool:
    return len(found[name]) == len(_sources(found))


def _overall(found: Results, name: str, target: str) -> Skill | None:
    """Over all sources, None if the method was not asked in one of them."""
    if not _complete(found, name) or not _complete(found, BASELINE):
        return None
    pairs = [
        (column(found[name][source]["results"], target), column(found[BASELINE][source]["results"], target))
        for source in _sources(found)
    ]
    return averages.overall(pairs, seed=0)


def _skill(told: dict[str, Any] | None) -> str:
    return "" if told is None else _percent(Skill(**told))


def _percent(told: Skill | None) -> str:
    if told is None:
        return ""
    spread = "" if told.low is None or told.high is None else f" ± {50 * (told.high - told.low):.0f}"
    return f"{100 * told.value:.0f}{spread}"


def _mean(each: dict[str, dict[str, Any]], key: str) -> float | None:
    """Over the sources that have it."""
    values = [whole["results"]["scores"][key] for whole in each.values()]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
