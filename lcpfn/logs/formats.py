"""Which reader takes a file: a table of formats, each with the test by which its files are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from lcpfn.logs import archive, console, download, mlflow, optuna, table
from lcpfn.logs.database import is_database, tables
from lcpfn.logs.evaluations import is_document, read_document
from lcpfn.logs.records import HEADS, LONGEST, is_lines, is_state, read_lines, read_state
from lcpfn.logs.run import Run, run_of_table
from lcpfn.logs.tabular import run_of_file
from lcpfn.logs.tensorboard import is_record, read_events
from lcpfn.logs.times import is_time
from lcpfn.logs.wandb import is_wandb, read_wandb
from lcpfn.names import metric_named

HEAD = 1 << 16  # bytes by which a file is recognised
EVENTS = "tfevents"  # in the name of every event file
TEXTS = (".json", ".jsonl", ".log")  # endings of files of JSON that are looked into within a folder
TABLES = (".csv", ".tsv")  # ... and of tables
PRINTED = (".json", ".log", ".txt", ".out")  # ... for a document or a printed log, where nothing else is found
ZIPPED = (".csv.zip", ".tsv.zip")  # as pandas and Syne Tune call them


@dataclass(frozen=True)
class Head:
    """A file and how it begins."""

    path: Path
    data: bytes

    @classmethod
    def of(cls, path: Path) -> Head:
        """The head of a file."""
        with path.open("rb") as file:
            return cls(path, file.read(HEAD))

    @cached_property
    def text(self) -> str:
        """What it says, as far as it is text."""
        return self.data.decode("utf-8", "replace").lstrip("\ufeff")

    @cached_property
    def lines(self) -> list[str]:
        """The first lines; of JSON each is whole, however long."""
        if "\n" in self.text or len(self.data) < HEAD or not self.text.startswith("{"):
            return self.text.splitlines()
        with self.path.open(encoding="utf-8-sig", errors="replace") as file:
            return list(islice(iter(lambda: file.readline(LONGEST), ""), HEADS))

    @property
    def first(self) -> str:
        """The first line."""
        return self.lines[0] if self.lines else ""


@dataclass(frozen=True)
class Format:
    """A kind of file: how it is known, how it is read, and whether it is looked for in folders."""

    name: str
    fits: Callable[[Head], bool]
    read: Callable[[Path, str], Sequence[Run] | None]  # by path and name of the run; None: a table with one curve
    in_folder: Callable[[Head], bool] = lambda head: True


def _database(path: Path, name: str) -> list[Run] | None:
    found = tables(path)
    if {"studies", "trials", "trial_intermediate_values"} <= found:
        return optuna.read_database(path)
    if {"runs", "metrics", "latest_metrics"} <= found:
        return mlflow.read_database(path)
    return []


def _download(path: Path, name: str) -> list[Run] | None:
    found = table.read(str(path))
    if download.is_tensorboard(found):
        return download.read_tensorboard(found, path, name=name)
    return download.read_panel(found) if download.is_panel(found) else None


def _is_download(head: Head) -> bool:
    return download.LEAST in head.first or head.first == ",".join(download.TENSORBOARD)


def _printed(path: Path, name: str) -> list[Run] | None:
    preset = console.recognise(Head.of(path).lines)
    return None if preset is None else console.read_console(path, name=name, pattern=preset)


def _has_time(head: Head) -> bool:
    """Whether a table has a time and a row: a folder holds data sets too."""
    lines = [line for line in head.lines if not line.startswith("#")]
    mark = next((mark for mark in "\t;," if lines and mark in lines[0]), ",")
    return len(lines) > 1 and any(is_time(cell.strip('"')) for cell in lines[0].split(mark))


def _json_lines(head: Head) -> bool:
    return head.text.startswith("{") and is_lines(head.lines)


# The first that fits takes the file. A new format is a line here; what is none of them is a table of one run.
FORMATS = (
    Format("SQLite", lambda head: is_database(head.data), _database),
    Format(
        "TensorBoard",
        lambda head: EVENTS in head.path.name or is_record(head.data),
        lambda path, name: [read_events([path], name=name, source=str(path))],
        lambda head: False,  # several in one folder are read together
    ),
    Format("Weights & Biases", lambda head: is_wandb(head.data), lambda path, name: read_wandb(path, name=name)),
    Format(
        "NumPy arrays",
        lambda head: archive.is_zip(head.data) and archive.is_arrays(head.path),
        lambda path, name: archive.read_arrays(path, name=name),
        lambda head: head.path.suffix == ".npz",
    ),
    Format(
        "zipped table",
        lambda head: archive.is_zip(head.data),
        lambda path, name: [run_of_table(name, archive.read_table(path))],
        lambda head: head.path.name.endswith(ZIPPED),
    ),
    Format(
        "state of a trainer",
        lambda head: is_state(head.text),
        lambda path, name: [read_state(path, name=name)[1]],
        lambda head: head.path.suffix in TEXTS,
    ),
    Format(
        "JSON lines",
        _json_lines,
        lambda path, name: read_lines(path, name=name),
        lambda head: head.path.suffix in TEXTS,
    ),
    Format(
        "metric of MLflow",
        lambda head: mlflow.is_line(head.first) or mlflow.is_metric(head.path, head.first),
        lambda path, name: [mlflow.read_file(path)],
        lambda head: False,
    ),
    Format("download", _is_download, _download, lambda head: head.path.suffix in TABLES),
    Format(
        "JSON document",
        lambda head: is_document(head.text),
        lambda path, name: read_document(path, name=name) or None,
        lambda head: False,
    ),
    Format("printed log", lambda head: console.recognise(head.lines) is not None, _printed, lambda head: False),
)


def of_file(path: Path, name: str) -> list[Run] | None:
    """The runs in a file; None if it is a table, or unknown.

    Raises:
        ValueError: if the file is damaged, or a database of something else.
    """
    head = Head.of(path)
    form = next((form for form in FORMATS if form.fits(head)), None)
    found = None if form is None else form.read(path, name)
    if found == [] and form is FORMATS[0]:
        raise ValueError(f"{path} is an SQLite database, but neither Optuna's nor MLflow's")
    return None if found is None else list(found)


def of_member(path: Path, name: str) -> list[Run]:
    """The runs in a file of a folder, none if it is something else: not all that lies there is a log."""
    head = Head.of(path)
    form = next((form for form in FORMATS if form.fits(head)), None)
    if form is not None:
        return list(form.read(path, name) or []) if form.in_folder(head) else []
    if path.suffix not in TABLES or not _has_time(head):
        return []  # a data set, or a log with nothing in it yet
    return [run_of_file(path, name=name)]


def of_words(path: Path, name: str) -> list[Run]:
    """The runs in a JSON document or a printed log of a folder; there, a name must say what it measures.

    Many a configuration holds a list of numbers.
    """
    if path.suffix not in PRINTED:
        return []
    head, found = Head.of(path), list[Run]()
    if is_document(head.text):
        with suppress(ValueError):  # nobody says that it is a log
            found = read_document(path, name=name)
    else:
        found = _printed(path, name) or []
    return [run for run in found if any(metric_named(metric) is not None for metric in run.metrics)]
