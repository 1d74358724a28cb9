"""The long run: `PYTHONPATH=tests python -m fuzz --minutes 60`; prints a table, and fails if there is a fault."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from fuzz import disk
from fuzz.harness import CHUNK, Count, chunk, says, table
from fuzz.kinds import KINDS


def main(arguments: list[str] | None = None) -> int:
    """Goes round the kinds until the time is over, or each has had its inputs."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind, at most (default: 10,000)")
    parser.add_argument("--kills", type=int, default=500, help="of processes that write states (default: 500)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="names, with commas between them")
    parser.add_argument("--workers", type=int, default=1, help="processes at once (default: 1)")
    told = parser.parse_args(arguments)
    end = time.monotonic() + 60 * told.minutes
    counts = {kind: Count() for kind in told.kinds.split(",")}
    began = time.monotonic()
    with ThreadPoolExecutor(told.workers) as pool:
        for first in range(told.first, told.first + told.inputs, CHUNK):
            left = min(CHUNK, told.first + told.inputs - first)
            todo = [kind for kind in counts if time.monotonic() < end]

            def work(kind: str, first: int = first, left: int = left) -> list[dict]:
                return chunk(kind, first, left) if time.monotonic() < end else []

            for kind, answers in zip(todo, pool.map(work, todo), strict=True):
                for each in answers:
                    counts[kind].add(each)
            print(f"{time.monotonic() - began:.0f} s: {sum(c.inputs for c in counts.values()):,} inputs, "
                  f"{sum(len(c.faults) for c in counts.values())} faults", file=sys.stderr, flush=True)  # fmt: skip
    print(table(counts))
    lines = disk.report(told.kills)
    print("\n".join(["", *lines, *says(counts)]))
    bad = sum(len(each.faults) for each in counts.values()) + sum(
        "lost" in line and " 0 lost" not in line for line in lines
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
