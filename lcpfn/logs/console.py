r"""What a training run printed, read by a pattern: a regular expression, or the name of a preset.

In an expression the group `t` is the time, and each other group is a metric of its name; a group `y` is called as the
metric that is asked for. `step (?P<t>\d+).*loss (?P<y>[\d.eE+-]+)` reads `step 250: train loss 3.9`.

An expression is searched for in each line, of which `LONGEST` characters count. One whose repetitions hold a choice,
such as `(a+)+b`, is refused: it may try every way to cut a line, which never ends. All lines together have `PATIENCE`
seconds and more for a large file.
"""

from __future__ import annotations

import re
import sys
import time as clock
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from lcpfn.logs.presets import PRESETS, Preset
from lcpfn.logs.run import Run, run_of_records

LONGEST = 2000  # characters of a line: wider ones are no log's, and an expression may take the square of it
PATIENCE = 60.0  # seconds that an expression may take; a usual one reads a million lines in two
PER_BYTE = 1e-5  # seconds more for each byte of the file
OFTEN = 10  # repetitions from which on a choice in each of them has too many outcomes
SNIFFED = 400  # lines within which a log shows of which preset it is
ENOUGH = 2  # lines that match before a preset is believed that nobody named
STEP = "step"  # what the times of an expression are called
EXAMPLE = r"step (?P<t>\d+).*loss (?P<y>[\d.eE+-]+)"
# Python's own parser of expressions, under the name that it has since 3.11.
_PARSER: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
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
            patience = PATIENCE + (0.0 if path is None else PER_BYTE * path.stat().st_size)
            found = list(_matches(lines, expression, metric or "y", source, patience))
    if not found:
        what = f"as {pattern} prints them" if expression is None else f"that match {pattern!r}"
        raise ValueError(f"{source} has no lines {what}; {_advice()}")
    return [run_of_records(name, source, found)]


def compiled(pattern: str) -> re.Pattern[str]:
    """A user's expression.

    Raises:
        ValueError: if it is no regular expression, has no group for a value, or may backtrack without end.
    """
    try:
        found = re.compile(pattern)
        endless = _branches_often(_PARSER.parse(pattern), often=False)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"--pattern {pattern!r} is no regular expression: {error}; {_advice()}") from None
    if not found.groupindex.keys() - {"t"}:
        raise ValueError(f"--pattern {pattern!r} has no named group for the values; {_advice()}")
    if endless:
        raise ValueError(
            f"--pattern {pattern!r} repeats a part that can match in several ways, as (a+)+ and (a|b)* do, and may "
            "never end: repeat one character or a set of them, as in [ab]*, or write the part once"
        )
    return found


def _branches_often(part: Any, *, often: bool) -> bool:
    """Whether a part of a parsed expression makes a choice each time that it is repeated, of which there are many."""
    for kind, value in part:
        name = str(kind)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = value
            if (often and low != high and name != "POSSESSIVE_REPEAT") or _branches_often(
                inner, often=often or high >= OFTEN
            ):
                return True
        elif often and name in ("BRANCH", "GROUPREF_EXISTS"):
            return True
        elif any(_branches_often(inner, often=often) for inner in _inside(value)):
            return True
    return False


def _inside(value: Any) -> Iterator[Any]:
    """The parts of an expression in what belongs to one of its nodes: groups, alternatives, looks ahead."""
    if isinstance(value, _PARSER.SubPattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _inside(each)


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


def _matches(
    lines: Iterable[str], expression: re.Pattern[str], metric: str, source: str, patience: float
) -> Iterator[dict[str, float]]:
    """The numbers of each line that matches."""
    end = clock.monotonic() + patience
    called = {"t": STEP, "y": metric}
    for i, line in enumerate(lines, 1):
        found = expression.search(line)
        if clock.monotonic() > end:
            raise ValueError(
                f"{source}, line {i}: --pattern has taken more than {patience:.0f} s and is given up: say more exactly "
                r"what may stand before the value, as \S+ and [^:]* do in place of .*"
            )
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
