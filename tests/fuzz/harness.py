"""Runs inputs in processes with limits, and counts: nothing but refusals, nothing slow or large, no code run."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.kinds import KINDS, REFUSALS

LONGEST_S, WAIT_S = 10, 40  # of one input: seconds of work, and on the clock, where others use the machine as well
LARGEST = 1 << 30  # bytes of memory beyond those at the start
CHUNK = 250  # inputs of a process
PLANTED = "from pathlib import Path\nPath('marker').touch()\n\ndef prior(n, t, *, generator): ...\n"


# TypeErrors of Python itself, of which nobody thought: a call of ours that does not fit, None where a number was.
UNMEANT = re.compile(
    r"unexpected keyword|positional argument|unsupported operand|not subscriptable|not callable|'NoneType' object|"
    r"not iterable|not supported between|has no len|must be str, not|indices must be|unhashable"
)


class TookTooLong(BaseException):
    """Not an Exception: nothing in between may swallow it."""


@dataclass
class Count:
    """What became of the inputs of one kind."""

    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    faults: list[dict[str, Any]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """All of them."""
        return self.taken + self.refused + len(self.faults)

    def add(self, told: dict[str, Any]) -> None:
        """Counts one answer of `attempt`."""
        self.slowest_s = max(self.slowest_s, told.get("seconds", 0.0))
        if told["outcome"] == "fault":
            self.faults.append(told)
        elif told["outcome"] == "taken":
            self.taken += 1
        else:
            self.refused += 1


def attempt(kind: str, seed: int, folder: Path, *, patient: bool = False) -> dict[str, Any]:
    """One input: what became of it. The same seed gives the same input. `patient`: without limits."""
    place = folder / f"{kind}-{seed}"
    place.mkdir()
    before = Path.cwd()
    os.chdir(place)
    (place / "planted.py").write_text(PLANTED)
    inside = place / "in"
    inside.mkdir()
    told: dict[str, Any] = {"kind": kind, "seed": seed, "outcome": "taken"}
    old = [signal.signal(each, _too_long) for each in (signal.SIGALRM, signal.SIGPROF)]
    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if not patient:
        resource.setrlimit(resource.RLIMIT_AS, (size + LARGEST, limits[1]))  # what is too large is a MemoryError
        signal.setitimer(signal.ITIMER_REAL, WAIT_S)
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind](random.Random(f"{kind} {seed}"), inside)
    except REFUSALS as error:
        meant = str(error) and not (isinstance(error, TypeError) and UNMEANT.search(str(error)))
        told["outcome"] = "refused" if meant else "fault"
        told["says"] = f"{type(error).__name__}: {error}"[:300]
    except (Exception, TookTooLong) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told |= {
            "outcome": "fault",
            "says": f"{type(error).__name__}: {str(error)[:300]} ({where.name}:{where.lineno})",
        }
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for each, handler in zip((signal.SIGALRM, signal.SIGPROF), old, strict=True):
            signal.signal(each, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        told["seconds"] = round(time.process_time() - began, 3)
        os.chdir(before)
    if any(folder.rglob("marker")) or "planted" in sys.modules:
        told |= {"outcome": "fault", "says": "code of the input ran"}
    if told["outcome"] == "fault" and (keep := os.environ.get("LCPFN_FUZZ_KEEP")):
        shutil.copytree(place, Path(keep) / place.name, dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(place, ignore_errors=True)
    return told


def _too_long(signum: int, frame: object) -> None:
    raise TookTooLong(f"more than {LONGEST_S} s of work, or {WAIT_S} s on the clock")


def chunk(kind: str, first: int, count: int) -> list[dict[str, Any]]:
    """Inputs in a process of their own; one that dies is a fault of its last input."""
    command = [sys.executable, "-m", "fuzz.harness", kind, str(first), str(count)]
    place = Path(__file__).resolve().parent.parent
    # Not the checkout: `lcpfn/` there would hide the installed package.
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=place, env=os.environ | {"PYTHONPATH": str(place)}, timeout=3600
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    begun = [each for each in told if each["outcome"] == "begun"]
    ended = [each for each in told if each["outcome"] != "begun"]
    if len(ended) < count:
        seed = begun[-1]["seed"] if begun else first
        says = f"the process died ({done.returncode}): {done.stderr[-300:]}"
        ended.append({"kind": kind, "seed": seed, "outcome": "fault", "says": says})
    return ended


def _work(kind: str, first: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        attempt(kind, -1, folder, patient=True)  # imports what the kind needs
        for seed in range(first, first + count):
            print(json.dumps({"outcome": "begun", "seed": seed}), flush=True)
            print(json.dumps(attempt(kind, seed, folder)), flush=True)


def table(counts: dict[str, Count]) -> str:
    """The counts as Markdown."""
    lines = [
        "| kind | inputs | taken | refused | slowest, s of work | faults |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, each in counts.items():
        numbers = f"{each.inputs:,} | {each.taken:,} | {each.refused:,} | {each.slowest_s:.2f} | {len(each.faults)}"
        lines.append(f"| {kind} | {numbers} |")
    return "\n".join(lines)


def says(counts: dict[str, Count]) -> list[str]:
    """The faults, each sort once, with a seed that shows it."""
    seen: Counter[str] = Counter()
    first: dict[str, dict[str, Any]] = {}
    for each in (fault for count in counts.values() for fault in count.faults):
        sort = f"{each['kind']}: {each.get('says', '')[:160]}"
        seen[sort] += 1
        first.setdefault(sort, each)
    return [f"{number} x {sort} [seed {first[sort]['seed']}]" for sort, number in seen.most_common()]


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
