"""A benchmark's result as one JSON file: its numbers, and what is needed to get them again."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lcpfn import files

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
QUICK = ROOT / "runs" / "quick"  # not under version control: a quick run proves that a script works, nothing else
PACKAGES = ("lcpfn-beliefs", "numpy", "scipy", "torch")


def parser(script: str, description: str, *, name: str) -> argparse.ArgumentParser:
    """The flags that every benchmark has."""
    made = argparse.ArgumentParser(prog=f"python {script}", description=description)
    made.add_argument("--quick", action="store_true", help="a small run to see that it works; its numbers mean nothing")
    made.add_argument(
        "--out", type=Path, help=f"default: benchmarks/results/{name}.json, quick: runs/quick/{name}.json"
    )
    return made


class Record:
    """The file of one run of a benchmark; written again after every part, so that little is lost when it is cut off.

    Args:
        script: as in `python benchmarks/speed/prediction.py`.
        name: of the result.
        told: what `parser` read.
        arguments: the command line, None for the process's own.
        seed: of everything random in the run.
        settings: sizes and choices that the numbers depend on.

    Raises:
        FileExistsError: if a quick run would replace the result of a full one.
    """

    def __init__(
        self,
        script: str,
        *,
        name: str,
        told: argparse.Namespace,
        arguments: Sequence[str] | None,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        self.path = told.out or (QUICK if told.quick else RESULTS) / f"{name}.json"
        if told.quick and self.path.exists() and not json.loads(self.path.read_text()).get("quick"):
            raise FileExistsError(f"{self.path} holds a full run's result, a quick one must not replace it: use --out")
        self.began = datetime.now(UTC)
        self.facts = {
            "name": name,
            "command": command(script, sys.argv[1:] if arguments is None else arguments),
            "commit": _commit(),
            "date": self.began.date().isoformat(),
            "device": device(),
            "versions": versions(),
            "seed": seed,
            "quick": told.quick,
            "settings": settings,
        }

    def write(self, results: dict[str, Any], *, complete: bool) -> None:
        """Put the results so far in place of the file, in one step.

        Raises:
            ValueError: if a number is not finite.
        """
        seconds = (datetime.now(UTC) - self.began).total_seconds()
        whole = {**self.facts, "seconds": round(seconds, 1), "complete": complete, "results": results}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write(self.path, json.dumps(whole, indent=2, allow_nan=False) + "\n")


def say(line: str) -> None:
    """Print a line of progress now, also into a pipe."""
    print(line, flush=True)


def command(script: str, arguments: Sequence[str]) -> str:
    """The command line, with paths of this machine cut down to what means something elsewhere.

    >>> command("benchmarks/speed/prediction.py", ["--quick", str(ROOT / "runs" / "a b.json")])
    "python benchmarks/speed/prediction.py --quick 'runs/a b.json'"
    """
    return shlex.join(["python", script, *map(portable, arguments)])


def portable(argument: str) -> str:
    """An absolute path relative to the checkout, or its last part alone if it lies elsewhere; all else as it is.

    >>> portable("--out=/somewhere/else/speed.json")
    '--out=speed.json'
    """
    flag, equals, value = argument.rpartition("=")
    path = Path(value)
    if path.is_absolute():
        value = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return flag + equals + value


def device() -> dict[str, Any]:
    """The processor, how many cores this process may use, and how busy they were."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "system": platform.system(), "load": round(os.getloadavg()[0], 2)}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    from lcpfn.training.provenance import commit  # here: it imports torch, which a light script does without till now

    return commit()
