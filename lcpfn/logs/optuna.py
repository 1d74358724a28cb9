"""What trials have reported to Optuna, from its SQLite database or its journal file, with the standard library alone.

A trial is a run, named `STUDY/NUMBER`; its one metric is called "value", and the study says which direction is better.

Source: optuna/storages: _rdb/models.py, journal/_storage.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lcpfn.logs.database import measured, query, tables
from lcpfn.logs.run import Run, run_of_points

VALUE = "value"  # what trial.report(value, step) calls it
TYPES = {"NAN": float("nan"), "INF_POS": float("inf"), "INF_NEG": float("-inf")}  # of values that are stored as NULL
DIRECTIONS = {"MINIMIZE": "min", "MAXIMIZE": "max", 1: "min", 2: "max"}  # in the database by name, else by number
LAST = 1 << 53  # of steps: whole numbers beyond are no longer apart as floats
# JournalOperation
CREATE_STUDY, DELETE_STUDY, CREATE_TRIAL, REPORT = 0, 1, 4, 7


def read_database(path: Path) -> list[Run]:
    """The trials of all studies that reported something, from a database of any version of Optuna since 2.0."""
    columns = {row[1] for row in query(path, "PRAGMA table_info(trial_intermediate_values)")}
    kind = "v.intermediate_value_type" if "intermediate_value_type" in columns else "NULL"  # since version 3
    directions: dict[int, str] = {}
    if "study_directions" in tables(path):
        directions = dict(query(path, "SELECT study_id, direction FROM study_directions WHERE objective = 0"))
    points: dict[tuple[int, str, int], list[tuple[float, float]]] = {}
    for study, name, number, step, value, stored_as in query(
        path,
        f"SELECT s.study_id, s.study_name, t.number, v.step, v.intermediate_value, {kind} "
        "FROM trial_intermediate_values v JOIN trials t ON t.trial_id = v.trial_id "
        "JOIN studies s ON s.study_id = t.study_id ORDER BY s.study_id, t.number, v.step",
    ):
        reported = TYPES.get(stored_as, float("nan")) if value is None else value
        where = f"{path}, trial {number} of {name}"
        step, reported = measured(step, f"{where}: step"), measured(reported, f"{where}, step {step}: value")
        points.setdefault((study, str(name), number), []).append((step, reported))
    return [
        _run(f"{name}/{number}", str(path), found, directions.get(study))
        for (study, name, number), found in points.items()
    ]


def read_journal(operations: Iterable[tuple[int, Mapping[str, Any]]], *, source: str) -> list[Run]:
    """The trials of all studies that reported something, from the operations of a journal in their order.

    Args:
        operations: with the numbers of their lines.
        source: what errors call the journal.

    Raises:
        ValueError: if an operation lacks what it must have, or names a study or trial that is not there.
    """
    journal = _Journal()
    for line, operation in operations:
        try:
            journal.apply(operation)
        except (KeyError, TypeError, IndexError, ValueError, OverflowError, AttributeError) as error:
            raise ValueError(f"{source}, line {line}: no operation of an Optuna journal ({error!r})") from None
    return journal.runs(source)


class _Journal:
    """The studies and trials that operations have made."""

    def __init__(self) -> None:
        self._names: list[str] = []  # of studies; their ids count them in the order of creation, deleted ones too
        self._directions: list[Any] = []
        self._gone: set[int] = set()
        self._counts: Counter[int] = Counter()  # of trials by study
        self._trials: list[tuple[int, int, dict[int, float]]] = []  # study, number in it, values by step

    def apply(self, operation: Mapping[str, Any]) -> None:
        """Does what an operation says, as far as it is about studies, trials and reports."""
        code = operation["op_code"]
        if code == CREATE_STUDY:
            living = (name for study, name in enumerate(self._names) if study not in self._gone)
            if operation["study_name"] not in living:  # a second one of that name was refused
                direction = operation["directions"][0]
                if not isinstance(operation["study_name"], str) or not isinstance(direction, int):
                    raise TypeError("a study needs a name and whole numbers as directions")
                self._names.append(operation["study_name"])
                self._directions.append(direction)
        elif code == DELETE_STUDY:
            self._gone.add(_index(operation["study_id"], self._names, "study"))
        elif code == CREATE_TRIAL:
            study = _index(operation["study_id"], self._names, "study")
            if study not in self._gone:
                values = {_step(step): float(y) for step, y in operation.get("intermediate_values", {}).items()}
                self._trials.append((study, self._counts[study], values))
                self._counts[study] += 1
        elif code == REPORT:
            trial, step = operation["trial_id"], _step(operation["step"])
            if not isinstance(trial, int) or trial < 0:
                raise ValueError(f"trial_id must be 0 or more, got {trial!r}")
            if trial < len(self._trials):  # others are of studies that were deleted
                self._trials[trial][2][step] = float(operation["intermediate_value"])

    def runs(self, source: str) -> list[Run]:
        """The trials of living studies that have reported something."""
        return [
            _run(f"{self._names[study]}/{number}", source, sorted(values.items()), self._directions[study])
            for study, number, values in self._trials
            if values and study not in self._gone
        ]


def _index(value: Any, known: Sequence[str], what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(known):
        raise ValueError(f"there is no {what} {value!r}")
    return value


def _step(value: Any) -> int:
    step = int(value)
    if abs(step) > LAST:
        raise ValueError(f"step {str(value)[:20]} is too large")
    return step


def _run(name: str, source: str, points: Sequence[tuple[float, float]], direction: Any) -> Run:
    return run_of_points(name, source, ("step",), {VALUE: points}, direction=DIRECTIONS.get(direction))
