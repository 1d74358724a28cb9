r"""What a training run printed, read by a pattern: a regular expression, or the name of a preset.

In an expression the group `t` is the time, and each other group is a metric of its name; a group `y` is called as the
metric that is asked for. `step (?P<t>\d+).*loss (?P<y>[\d.eE+-]+)` reads `step 250: train loss 3.9`.

An expression is searched for in each line, of which `LONGEST` characters count. It is the user's own: one that
backtracks without end, such as `(a+)+b`, takes its time; Ctrl-C ends it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TextIO

from lcpfn.logs.presets import PRESETS, Preset
from lcpfn.logs.run import Run, run_of_records

LONGEST = 2000  # characters of a line: wider ones are no log's, and an expression may take the square of it
SNIFFED = 400  # lines within which a log shows of which preset it is
ENOUGH = 2  # lines that match before a preset is believed that nobody named
STEP = "step"  # what the times of an expression are called
EXAMPLE = r"step (?P<t>\d+).*loss (?P<y>[\d.eE+-]+)"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|.?\x08")  # colours, and what progress bars take back


def recognise(lines: Iterable[str]) -> str | None:
    r"""The name of the first preset that reads several of these lines, None if there is none.

    >>> recognise(["[0]\ttrain-rmse:0.7", "[1]\ttrain-rmse:0.6"]), recognise(["0.1", "0.2"])
    ('xgboost', None)
    """
    first = [clean(line) for line in islice(lines, SNIFFED)]
    for name, preset in PRESETS.items():
        if sum(1 for _ in islice(_records(first, preset), ENOUGH)) == ENOUGH:
            return name
    return None


def read_console(path: Path | None, *, name: str, pattern: str, metric: str | None = None) -> list[Run]:
    r"""The run that printed a log.

    Args:
        path: the file, None for the standard input.
        name: of the run.
        pattern: name of a preset, or a regular expression with a group `t` (without it values are counted) and one or
            more others.
        metric: what a group `y` measures.

    Raises:
        ValueError: if the pattern is no regular expression, lacks groups, matches no number, or no line matches.
    """
    source = "standard input" if path is None else str(path)
    expression = None if pattern in PRESETS else compiled(pattern)
    # Universal newlines: \r ends lines too, as of progress bars.
    with nullcontext(sys.stdin) if path is None else path.open(encoding="utf-8", errors="replace") as file:
        lines = (clean(line) for line in _short(file))
        if expression is None:
            found = _merged(_records(lines, PRESETS[pattern]))
        else:
            found = list(_matches(lines, expression, metric or "y", source))
    if not found:
        what = f"as {pattern} prints them" if expression is None else f"that match {pattern!r}"
        raise ValueError(f"{source} has no lines {what}; {_advice()}")
    return [run_of_records(name, source, found)]


def compiled(pattern: str) -> re.Pattern[str]:
    """A user's expression.

    Raises:
        ValueError: if it is no regular expression, or has no group for a value.
    """
    try:
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"--pattern {pattern!r} is no regular expression: {error}; {_advice()}") from None
    if not found.groupindex.keys() - {"t"}:
        raise ValueError(f"--pattern {pattern!r} has no named group for the values; {_advice()}")
    return found


def clean(line: str) -> str:
    """A line without colours and the end, and no longer than `LONGEST`."""
    return _ESCAPES.sub("", line[:LONGEST].rstrip("\r\n"))


def _advice() -> str:
    return f"say --pattern with one of {', '.join(PRESETS)}, or an expression such as '{EXAMPLE}'"


def _short(file: TextIO) -> Iterator[str]:
    """The beginnings of lines, so that one without an end takes no memory."""
    while line := file.readline(LONGEST):
        yield line
        while not line.endswith("\n") and (line := file.readline(LONGEST)):
            pass


def _matches(lines: Iterable[str], expression: re.Pattern[str], metric: str, source: str) -> Iterator[dict[str, float]]:
    """The numbers of each line that matches."""
    called = {"t": STEP, "y": metric}
    for i, line in enumerate(lines, 1):
        found = expression.search(line)
        groups = {} if found is None else {key: text for key, text in found.groupdict().items() if text is not None}
        try:
            record = {called.get(group, group): float(text.replace(",", "")) for group, text in groups.items()}
        except ValueError:
            what = ", ".join(f"{group}={text[:40]!r}" for group, text in groups.items())
            raise ValueError(f"{source}, line {i}: --pattern matches {what}, which must be numbers") from None
        if record:
            yield record


def _records(lines: Iterable[str], preset: Preset) -> Iterator[dict[str, float]]:
    """The time, where there is one, and the metrics of each line that a preset reads."""
    whole, pair = re.compile(preset.line), re.compile(preset.pair, re.IGNORECASE)
    begin = None if preset.begin is None else re.compile(preset.begin)
    time: str | None = None
    for line in lines:
        if begin is not None and (begun := begin.search(line)):
            time = begun["t"]
            continue
        if (found := whole.search(line)) is None:
            continue
        groups = found.groupdict()
        t = groups.get("t") or groups.get("u") or time
        part = f"{groups['part']}/" if groups.get("part") else ""
        values = {part + each["name"]: float(each["y"]) for each in pair.finditer(found["rest"])}
        values.pop(preset.clock, None)
        if values:
            yield {**({} if t is None else {preset.clock: float(t)}), **values}


def _merged(records: Iterable[dict[str, float]]) -> list[dict[str, float]]:
    """Records, those in a row with one time together: a progress bar prints its last line again with more on it."""
    found: list[dict[str, float]] = []
    for record in records:
        if found and next(iter(record.items())) == next(iter(found[-1].items())) and len(record) > 1:
            found[-1] = {**found[-1], **record}
        else:
            found.append(record)
    return found
