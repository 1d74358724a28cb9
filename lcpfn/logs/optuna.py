"""What trials have reported to Optuna, from its SQLite database or its journal file, with the standard library alone.

A trial is a run, named `STUDY/NUMBER`; its one metric is called "value", and the study says which direction is better.

Source: optuna/storages: _rdb/models.py, journal/_storage.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lcpfn.logs.database import query, tables
from lcpfn.logs.run import Run, run_of_points

VALUE = "value"  # what trial.report(value, step) calls it
TYPES = {"NAN": float("nan"), "INF_POS": float("inf"), "INF_NEG": float("-inf")}  # of values that are stored as NULL
DIRECTIONS = {"MINIMIZE": "min", "MAXIMIZE": "max", 1: "min", 2: "max"}  # in the database by name, else by number
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
        points.setdefault((study, name, number), []).append((step, reported))
    return [
        _run(f"{name}/{number}", str(path), found, directions.get(study))
        for (study, name, number), found in points.items()
    ]


def read_journal(operations: Iterable[Mapping[str, Any]], *, source: str) -> list[Run]:
    """The trials of all studies that reported something, from the operations of a journal in their order.

    Raises:
        ValueError: if an operation lacks what it must have.
    """
    names: list[str] = []  # of studies; their ids count them in the order of creation, deleted ones too
    directions: list[Any] = []
    gone: set[int] = set()
    counts: Counter[int] = Counter()  # of trials by study
    trials: list[tuple[int, int, dict[int, float]]] = []  # study, number in it, values by step
    for i, operation in enumerate(operations, 1):
        try:
            code = operation["op_code"]
            if code == CREATE_STUDY:
                living = (name for study, name in enumerate(names) if study not in gone)
                if operation["study_name"] not in living:  # a second one of that name was refused
                    names.append(operation["study_name"])
                    directions.append(operation["directions"][0])
            elif code == DELETE_STUDY:
                gone.add(operation["study_id"])
            elif code == CREATE_TRIAL and operation["study_id"] not in gone:
                study = operation["study_id"]
                values = {int(step): float(y) for step, y in operation.get("intermediate_values", {}).items()}
                trials.append((study, counts[study], values))
                counts[study] += 1
            elif code == REPORT and operation["trial_id"] < len(trials):
                trials[operation["trial_id"]][2][int(operation["step"])] = float(operation["intermediate_value"])
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{source}, line {i}: no operation of an Optuna journal ({error!r})") from None
    return [
        _run(f"{names[study]}/{number}", source, sorted(values.items()), directions[study])
        for study, number, values in trials
        if values and study not in gone
    ]


def _run(name: str, source: str, points: Sequence[tuple[float, float]], direction: Any) -> Run:
    return run_of_points(name, source, ("step",), {VALUE: points}, direction=DIRECTIONS.get(direction))
