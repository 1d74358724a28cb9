"""`read` and `runs`: the curve or the runs in a file, a folder or a pipe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcpfn.curve import Curve
from lcpfn.logs import console
from lcpfn.logs.curves import VALUES, curve, with_notices
from lcpfn.logs.folder import CANONICAL, STATE, of_folder
from lcpfn.logs.formats import of_file
from lcpfn.logs.run import Run, listed
from lcpfn.logs.source import STDIN, opened
from lcpfn.logs.tabular import read_for, run_of_file
from lcpfn.logs.times import is_id, is_setting

NOTICES = 5  # of neighbours that cannot be read, before they are counted


def read(
    path: str | os.PathLike[str],
    *,
    metric: str | None = None,
    run: str | None = None,
    clock: str | None = None,
    pattern: str | None = None,
) -> Curve:
    r"""The learning curve of a metric, from a file or from the folder of a run.

    Args:
        path: file or folder, "-" for the standard input.
        metric: its name in the log, capitals and separators aside (in a table without names, its number). None: a
            well-known name of an accuracy (`lcpfn.logs.curves.VALUES`), or the only metric.
        run: the name of a run where there are several, or a part of that name between slashes. In a table that a
            column tells apart: "trial_id=3".
        clock: name of the times, such as "step"; "rows" counts values from 1. None: count values, unless the log has
            times that count otherwise, which is an error because a horizon could mean either.
        pattern: how to read what a run printed: the name of one of `lcpfn.logs.presets.PRESETS`, or a regular
            expression with a group `t` for the time and `y` for the value. None: the preset that fits, if one does.

    Returns:
        The curve: `t` and `y` (T,) with NaN in y where nothing finite was measured, `name`, `clock`, `metric` (what the
        values are by their name), `run_end` and `diverged_at` where the log says so, and `reading`: how many values
        the log holds, and which of them are left out.

    Raises:
        OSError: if there is no such file.
        ValueError: if nothing is found, or more than one run or metric could be meant; the message lists them.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lines = "epoch,step,train_loss,val_acc", "0,9,2.1,", "0,9,,0.3", "1,19,,0.4"
        ...     _ = pathlib.Path(folder, "metrics.csv").write_text("\n".join(lines))
        ...     curve = read(folder, metric="val_acc")
        >>> curve.y, curve.clock, curve.metric.bounds, curve.reading.read
        (array([0.3, 0.4]), 'epoch', (0.0, 1.0), 2)
    """
    source = os.fspath(path)
    with opened(source) as where:
        found = _printed(where, source, pattern, metric) if pattern is not None else _found(where)
        if found is None:
            table = read_for(where, metric, clock)
            return with_notices(curve(table, column=metric, time_column=clock, run=run), (), source)
        chosen, within = _asked(found, run, source)
        one, name = _choose(chosen, metric, source)
        got = curve(one.table(name), column=name, time_column=clock, run=within)
        problems = [f"{other.name} is left out: {other.problem}" for other in found if other.problem is not None]
        if len(problems) > NOTICES:
            problems[NOTICES:] = [f"{len(problems) - NOTICES} more cannot be read and are left out"]
        return with_notices(got, (*one.notices, *problems), source)


def runs(path: str | os.PathLike[str]) -> list[Run]:
    """The runs in a file or folder with what they logged; one that cannot be read has a `problem` and no metrics.

    Several of one name are the same run, logged in several ways; the first one that has a metric counts. A table is one
    run, even if a column tells several apart.

    Raises:
        OSError: if there is no such file.
        ValueError: if there is no log, or none that can be read and holds a number.
    """
    with opened(os.fspath(path)) as where:
        found = _found(where)
        return [run_of_file(where, name=where.name)] if found is None else found


def _found(where: Path) -> list[Run] | None:
    """The runs in a file or folder, broken ones too; None for a file that is a table or unknown."""
    found = list(of_folder(where)) if where.is_dir() else of_file(where, where.name)
    if found is None:
        return None
    if not found and where.is_dir():
        raise ValueError(
            f"{where} holds no log that can be read: no event file of TensorBoard, no {STATE}, {', '.join(CANONICAL)}, "
            "no other table or JSON lines with a time, no database of Optuna or MLflow, no run of mlruns"
        )
    if not any(run.metrics for run in found):
        problem = next((run.problem for run in found if run.problem is not None), None)
        raise ValueError(problem or f"{where} holds no number yet that was logged over time")
    return [run for run in found if run.metrics or run.problem is not None]


def _asked(found: list[Run], name: str | None, source: str) -> tuple[list[Run], str | None]:
    """All runs, or those of the one that was asked for; and which of the runs within it.

    Raises:
        ValueError: if there is no such run, several could be meant, or it cannot be read.
    """
    names = list(dict.fromkeys(run.name for run in found))
    if name is None:
        return found, None
    chosen = [known for known in names if known == name]
    chosen = chosen or [known for known in names if name in known.split("/") or known.endswith(f"/{name}")]
    if len(chosen) == 1:
        asked = [run for run in found if run.name == chosen[0]]
        if all(run.problem is not None for run in asked):
            raise ValueError(asked[0].problem)
        return asked, None
    if not chosen and ("=" in name or len(names) == 1):
        return found, name  # of several that a column tells apart
    problem = f"{len(chosen)} runs {name!r}: {listed(chosen)}" if chosen else f"no run {name!r}, only {listed(names)}"
    raise ValueError(f"{source} has {problem}")


def _printed(where: Path, source: str, pattern: str, metric: str | None) -> list[Run]:
    """The run whose printed log this is."""
    if where.is_dir():
        raise ValueError(f"{source} is a folder: a pattern reads one file, give its path")
    name = STDIN if source == STDIN else where.name
    return console.read_console(where, name=name, pattern=pattern, metric=metric)


def _choose(found: Sequence[Run], metric: str | None, source: str) -> tuple[Run, str]:
    """The one run that has the metric, and the metric's name there."""
    members: dict[str, list[Run]] = {}
    for run in found:
        members.setdefault(run.name, []).append(run)
    having: dict[str, tuple[Run, str]] = {}
    for owner, parts in members.items():
        named = [(run, run.find(metric)) for run in parts] if metric is not None else _well_known(parts)
        for run, name in named:
            if name is not None:
                having.setdefault(owner, (run, name))
    if len(having) == 1:
        return next(iter(having.values()))
    if not having and metric is not None:  # the last words of a name that no other metric ends with
        last = [(run, run.ending(metric)) for run in found]
        for run, name in last:
            if name is not None:
                having.setdefault(run.name, (run, name))
        if len(having) == 1:
            return next(iter(having.values()))
    every = listed(dict.fromkeys(name for run in found for name in run.metrics))
    broken = [run.problem for run in found if run.problem is not None]
    beside = f"; beside it: {listed(broken)}" if broken else ""
    if metric is None and not having:
        raise ValueError(f"{source}: which metric to forecast? Say --metric NAME; there are {every}{beside}")
    if not having:
        raise ValueError(f"{source} has no metric {metric!r}, only {every}{beside}")
    what = "" if metric is None else f" with {metric}"
    raise ValueError(
        f"{source} holds {len(having)} runs{what}: {listed(having)}; say --run NAME, or give the path of one of them"
    )


def _well_known(parts: Sequence[Run]) -> list[tuple[Run, str | None]]:
    """The metric that is meant when none is named, with the parts of the run that may have it."""
    for name in VALUES:
        if any(run.find(name) is not None for run in parts):
            return [(run, run.find(name)) for run in parts]
    every: list[tuple[Run, str | None]] = [(run, metric) for run in parts for metric in run.metrics]
    others = [(run, metric) for run, metric in every if metric and not (is_id(metric) or is_setting(metric))]
    for candidates in (others, every):
        if len({metric for _, metric in candidates}) == 1:
            return [*candidates]
    return []
