"""The table of a checkpoint on its own prior, made of results/general_quality.json."""

from __future__ import annotations

from typing import Any

from report.text import Rows

COMMAND = "python benchmarks/prior/general_quality.py"
NAMES = {"later": "a later point", "final": "the last point", "best": "the best from here on"}
CUT = {"cut": "", "free": ", not cut off at bounds"}


def rows(results: dict[str, Any]) -> Rows:
    """Shares of true values in central intervals, by what was asked, with and without atoms, cut off or not."""
    levels = sorted({cell["level"] for cell in results["cut"]["coverage"]})
    made = [["asked", "answers", *(f"{100 * level:g} % interval" for level in levels)]]
    for cut, told in results.items():
        cells = told["coverage"]
        for kind, values in dict.fromkeys((cell["kind"], cell["values"]) for cell in cells):
            here = {cell["level"]: cell for cell in cells if (cell["kind"], cell["values"]) == (kind, values)}
            name = NAMES[kind] + ("" if values == "all" else ", no atoms") + CUT[cut]
            shares = (f"{100 * here[level]['mean']:.1f} ± {100 * here[level]['se']:.1f}" for level in levels)
            made.append([name, f"{here[levels[0]]['answers']:,}", *shares])
    return made


def outcomes(results: dict[str, Any]) -> Rows:
    """How often runs were said to diverge by their end and did, with Brier scores; bounds have no part in it."""
    told = results["cut"]
    head = ["runs that diverge", "said", "came", "Brier score", "of the rate itself"]
    shares = (f"{100 * told['diverged'][name]:.1f} %" for name in ("said", "came"))
    return [head, ["by their end", *shares, f"{told['diverged']['brier']:.4f}", f"{told['constant_brier']:.4f}"]]


TABLES = {"general-quality": rows, "general-outcomes": outcomes}
