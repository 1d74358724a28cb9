"""Puts tables made of benchmarks/results/*.json between the markers of the READMEs and of docs/.

    python benchmarks/report/documents.py             # write the tables
    python benchmarks/report/documents.py --check     # fail if a document is not what the JSONs say
    python benchmarks/report/documents.py --figures   # also draw benchmarks/figures/*.png

A document says where: `<!-- table:quality -->`, and further down `<!-- end -->`; what stands between is replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import ge
from typing import Any

from report import alarm, general, mcmc, others, rest, stopping, training
from report.text import Rows, duration, markdown

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = sorted((ROOT / "benchmarks").glob("*/README.md"))
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "checkpoints" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *QUESTIONS,
    *PAGES,
)
FIGURES = ROOT / "benchmarks" / "figures"
MARKED = re.compile(r"<!-- table:(?P<name>\S+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
BEGIN = re.compile(r"<!-- table:(\S+) -->")


@dataclass(frozen=True)
class Table:
    """A table that a document can show."""

    result: str  # the JSON's name
    rows: Callable[[dict[str, Any]], Rows]  # from its "results"
    command: str  # that makes the JSON


class Stale(ValueError):
    """A document or a result that must not be shown as it is."""


def quality(results: dict[str, Any]) -> Rows:
    """Mean log density of the unseen part, ours and what is published."""
    head = ["network", "parameters", "curves seen", *(f"after {cut}" for cut in _cuts(results["networks"]))]
    ours = [
        [f"`{each['name']}`{note}", *_sizes(each), *_scores(each, scores)]
        for each in results["networks"]
        for scores, note in (("log_density", ""), ("controlled", ", noise level controlled"))
        if scores in each
    ]
    theirs = [
        [f"{each['name']} (published)", *_sizes(each), *(f"{score:.3f}" for score in each["log_density"])]
        for each in results["published"]
    ]
    return [head, *ours, *theirs]


def checkpoints(results: dict[str, Any]) -> Rows:
    """What the scored files are, how long they were trained, mean log density of the unseen part."""
    head = [
        "file",
        "SHA-256",
        "parameters",
        "curves seen",
        "training",
        *(f"after {c}" for c in _cuts(results["networks"])),
    ]
    rows = [head]
    for each in results["networks"]:
        trained = "-" if each["training_s"] is None else duration(each["training_s"])
        about = [f"`{each['name']}`", f"`{each['sha256'][:12]}`", *_sizes(each), trained]
        rows.append([*about, *_scores(each, "log_density")])
    return rows


def crps(results: dict[str, Any]) -> Rows:
    """Mean CRPS of the unseen part."""
    head = ["network", *(f"after {cut}" for cut in _cuts(results["networks"]))]
    return [head, *([f"`{each['name']}`", *_scores(each, "crps", digits=5)] for each in results["networks"])]


def calibration(results: dict[str, Any]) -> Rows:
    """Share of true values in central intervals, all cut-offs together, and the lowest and highest of one cut-off."""
    networks = [each for each in results["networks"] if each.get("calibration")]
    levels = sorted({cell["level"] for each in networks for cell in each["calibration"]})
    rows = [["network", "kind", *(f"{100 * level:g} % interval" for level in levels)]]
    for each in networks:
        for kind in dict.fromkeys(cell["kind"] for cell in each["calibration"]):
            row = [f"`{each['name']}`", f"`{kind}`"]
            for level in levels:
                cells = [cell for cell in each["calibration"] if (cell["kind"], cell["level"]) == (kind, level)]
                whole = next(cell for cell in cells if cell["cut"] is None)
                means = [cell["mean"] for cell in cells if cell["cut"] is not None]
                shown = f"{100 * whole['mean']:.1f} ± {100 * whole['se']:.1f}"
                row.append(f"{shown} ({100 * min(means):.1f} to {100 * max(means):.1f})")
            rows.append(row)
    return rows


def speed(results: dict[str, Any]) -> Rows:
    """Times and memory."""
    rows = [["what, on one thread", "median", "10th to 90th percentile", "peak memory"]]
    for each in results["rows"]:
        seconds = each["seconds"]
        between = f"{duration(seconds['low'])} to {duration(seconds['high'])} of {seconds['repetitions']:,}"
        if seconds["repetitions"] == 1:
            between = "once"
        if each["extrapolated"]:
            between = f"extrapolated from {each['curves']:,} curves"
        memory = f"{each['peak_bytes'] / 1e6:,.0f} MB" if "peak_bytes" in each else ""
        rows.append([each["what"], duration(seconds["median"]), between, memory])
    if "original" in results:
        ratio = results["original"]["ratio"]
        between = f"{ratio['low']:.1f} to {ratio['high']:.1f} of {ratio['repetitions']:,}"
        rows.append(["LC-PFN's layout over ours, one after the other", f"{ratio['median']:.1f} times", between, ""])
    return rows


def speedrun(results: dict[str, Any]) -> Rows:
    """Complete training runs, what each scores, and which rows it beats at all four cut-offs."""
    head = ["minutes of training", "on the clock", "curves seen", *(f"after {cut}" for cut in _cuts(results["runs"]))]
    rows = [[*head, "better than"]]
    for run in results["runs"]:
        sizes = [duration(run["clock_s"]), _count(run["curves_seen"])]
        for scores, note in (("log_density", ""), ("controlled", ", noise level controlled")):
            means = [score["mean"] for score in run[scores].values()]
            beaten = [row["name"] for row in results["rows"] if all(map(ge, means, row["log_density"]))]
            rows.append([f"{run['minutes']:g}{note}", *sizes, *_scores(run, scores), ", ".join(beaten) or "none"])
    return rows


def ablations(results: dict[str, Any]) -> Rows:
    """Networks that differ in one choice or two, trained for the same time."""
    cuts = _cuts([each for each in results["networks"] if "failed" not in each])
    rows = [["variant", "parameters", "curves seen", *(f"after {cut}" for cut in cuts)]]
    for each in results["networks"]:
        if "failed" in each:
            rows.append([each["name"], each["failed"], *[""] * (1 + len(cuts))])
        else:
            rows.append([each["name"], *_sizes(each), *_scores(each, "log_density")])
    return rows


TABLES = {
    "quality": Table("quality", quality, "python benchmarks/prior/quality.py"),
    "checkpoints": Table("quality", checkpoints, "python benchmarks/prior/quality.py"),
    "crps": Table("quality", crps, "python benchmarks/prior/quality.py"),
    "calibration": Table("quality", calibration, "python benchmarks/prior/quality.py"),
    "speed": Table("speed", speed, "python benchmarks/speed/prediction.py"),
    "speedrun": Table("speedrun", speedrun, "python benchmarks/speed/speedrun.py"),
    "ablations": Table("ablations", ablations, "python benchmarks/prior/quality.py --ablations"),
    "versus_mcmc": Table("versus_mcmc", mcmc.gaps, mcmc.COMMAND),
    "mcmc_networks": Table("versus_mcmc", mcmc.networks, mcmc.COMMAND),
    "mcmc_scores": Table("versus_mcmc", mcmc.scores, mcmc.COMMAND),
    "mcmc_convergence": Table("versus_mcmc", mcmc.convergence, mcmc.COMMAND),
    **{name: Table("general_quality", rows, general.COMMAND) for name, rows in general.TABLES.items()},
    **{name: Table("alarm", rows, alarm.COMMAND) for name, rows in alarm.TABLES.items()},
    **{name: Table("others", rows, others.COMMAND) for name, rows in others.TABLES.items()},
    **{name: Table("prior_rest", rows, rest.COMMAND) for name, rows in rest.TABLES.items()},
    **{name: Table("stopping", rows, stopping.COMMAND) for name, rows in stopping.TABLES.items()},
    **{name: Table("training_speed", rows, training.COMMAND) for name, rows in training.TABLES.items()},
    "scaling": Table("scaling", training.scaling, training.SCALING),
    "stopping-test": Table("stopping_test", stopping.held_out, f"{stopping.COMMAND} --split test"),
    "stopping-search": Table("stopping_search", stopping.search, stopping.SEARCH),
}


def text(name: str, folder: Path) -> str:
    """The table and the command that makes it; if there is no result yet, the command alone.

    Raises:
        Stale: if there is no such table, or its result comes from a quick run or one that was cut off.
    """
    if name not in TABLES:
        return _contest(name, folder)
    table = TABLES[name]
    path = folder / f"{table.result}.json"
    if not path.exists():
        return f"Not measured yet: `{table.command}`, then `python benchmarks/report/documents.py`.\n"
    whole = json.loads(path.read_text())
    for wrong, what in ((whole["quick"], "a quick run"), (not whole["complete"], "a run that was cut off")):
        if wrong:
            raise Stale(f"{path.name} is the result of {what}, no numbers to show: run {table.command}")
    return f"{markdown(table.rows(whole['results']))}\n\n{caption(whole)}\n"


def _contest(name: str, folder: Path) -> str:
    """A table of the contest on real curves, which is made of many results."""
    from report import scoreboard

    prefix = f"{scoreboard.MORE}-"
    part = scoreboard.MORE if name.startswith(prefix) else scoreboard.FOLDER
    table = name.removeprefix(prefix)
    if table not in scoreboard.TABLES:
        raise Stale(f"there is no table {name!r}: write one of {', '.join([*TABLES, *scoreboard.TABLES])}")
    try:
        return scoreboard.text(table, folder / part)
    except scoreboard.Incomparable as error:
        raise Stale(str(error)) from error


def caption(whole: dict[str, Any]) -> str:
    """How to make the numbers again, and where they were made."""
    device, versions = whole["device"], whole["versions"]
    used = ", ".join(f"{name} {versions[name]}" for name in ("numpy", "torch") if name in versions)
    where = f"{device['processor']}, {device['cores']} cores; {used}; seed {whole['seed']}"
    return f"`{whole['command']}` at {whole['commit']} on {whole['date']}: {where}."


def fill(document: str, folder: Path) -> str:
    """The document with every marked table made anew.

    Raises:
        Stale: if a marker is wrong, or a table cannot be shown.
    """
    marked = [match["name"] for match in MARKED.finditer(document)]
    if (begun := BEGIN.findall(document)) != marked:
        raise Stale(f"every <!-- table:NAME --> needs an <!-- end --> before the next, got {begun}")
    made = (f"<!-- table:{name} -->\n{text(name, folder)}<!-- end -->" for name in marked)
    return MARKED.sub(lambda _: next(made), document)


def changed_checkpoints(folder: Path, checkpoints: Path) -> list[str]:
    """What is wrong with results about shipped checkpoints whose files have changed since, or were never scored.

    A checkpoint of the exam's prior is scored by the exam, any by the contest on real curves.
    """
    path = folder / "quality.json"
    if not path.exists():
        return []
    methods = [json.loads(each.read_text())["settings"]["method"] for each in (folder / "real").glob("*/*.json")]
    scored = {Path(each["checkpoint"]).stem: each["sha256"] for each in methods if "checkpoint" in each}
    scored |= {each["name"]: each["sha256"] for each in json.loads(path.read_text())["results"]["networks"]}
    wrong = []
    for file in sorted(checkpoints.glob("*.safetensors")):
        if file.stem not in scored:
            wrong.append(f"{path.name} has no scores of {file.name}: run {TABLES['quality'].command}")
        elif hashlib.sha256(file.read_bytes()).hexdigest() != scored[file.stem]:
            wrong.append(f"{path.name} has scores of another {file.name}: run {TABLES['quality'].command}")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; 0 if all is well, 1 if a check failed, 2 if a table cannot be made."""
    made = argparse.ArgumentParser(
        prog="python benchmarks/report/documents.py", description=(__doc__ or "").split("\n")[0]
    )
    made.add_argument("--check", action="store_true", help="change nothing; fail if a document is not up to date")
    made.add_argument("--figures", type=Path, nargs="?", const=FIGURES, help="also draw, into this folder")
    made.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="the JSONs")
    made.add_argument(
        "--checkpoints", type=Path, default=ROOT / "checkpoints", help="must hold the files that were scored"
    )
    made.add_argument("--documents", type=Path, nargs="+", help="default: all READMEs and pages that show results")
    told = made.parse_args(arguments)
    wrong = changed_checkpoints(told.results, told.checkpoints)
    for path in told.documents or [path for path in DOCUMENTS if path == DOCUMENTS[0] or path.exists()]:
        try:
            before = path.read_text()
            after = fill(before, told.results)
        except (Stale, FileNotFoundError) as error:
            print(f"{_place(path)}: {error}", file=sys.stderr)
            return 2
        if after != before and told.check:
            wrong.append(f"{_place(path)} is not what the results say: run python benchmarks/report/documents.py")
        elif after != before:
            path.write_text(after)
            print(f"{_place(path)} written")
    if told.figures:
        from report import figures

        for path in figures.draw(told.results, told.figures):
            print(f"{path.name} drawn")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


def _place(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _cuts(scored: list[dict[str, Any]]) -> list[str]:
    return list(scored[0]["log_density"]) if scored else []


def _scores(each: dict[str, Any], name: str, *, digits: int = 3) -> list[str]:
    return [f"{score['mean']:.{digits}f} ± {score['se']:.{digits}f}" for score in each[name].values()]


def _sizes(each: dict[str, Any]) -> list[str]:
    return [_count(each["parameters"]), _count(each["curves_seen"])]


def _count(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e6:.3g}M" if number >= 1e5 else f"{number:,}"


if __name__ == "__main__":
    raise SystemExit(main())
