"""How long do answers take on one thread, and how much memory? Medians of repetitions, with their spread.

    python benchmarks/speed/prediction.py            # the loop over a million curves is extrapolated from 20,000
    python benchmarks/speed/prediction.py --full     # runs all of it

See benchmarks/README.md for what is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import one_thread

# isort: split
# NumPy reads the number of threads when it is imported: above this line.

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from record import Record, parser, say
from report import documents
from report.text import markdown, span

import lcpfn
from lcpfn.network.checkpoint import digest
from lcpfn.pfn import PFN, locate
from speed.memory import peak_bytes

SCRIPT = "benchmarks/speed/prediction.py"
SEED = 0
OBSERVED = 50  # points of the curve whose latency is measured
HORIZON = 100.0
MILLION = 1_000_000
LOOP_BLOCK = 10_000  # curves in one predict of the long loop
# LC-PFN's largest network (P3): 12 layers of width 512, 4 heads, feed-forward 1024, 1000 bars.
P3 = {"width": 512, "layers": 12, "heads": 4, "hidden": 1024, "decoder": 1024, "components": 1000}

START = """
import lcpfn, sys
belief = lcpfn.load(sys.argv[1]).predict([0.9 - 0.8 / t for t in range(1, 51)], horizon=100)
assert belief.median().shape == (50,)
sys.path.insert(0, sys.argv[2])
from speed import memory
print(memory.peak_bytes())
"""


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="speed")
    made.add_argument("--checkpoint", default="default", help="a shipped one's name, or a path (default: default)")
    made.add_argument("--full", action="store_true", help="run the loop over all of the million curves (about an hour)")
    made.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)  # what a child process does
    made.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)  # with how many curves
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the JSON; 0 when done."""
    told = flags().parse_args(arguments)
    if told.part:
        print(json.dumps(PARTS[told.part](lcpfn.load(told.checkpoint), told.count)))
        return 0
    path = locate(told.checkpoint)
    pfn = lcpfn.load(path)
    settings = {"threads": one_thread.THREADS, "observed": OBSERVED, "full": told.full}
    record = Record(SCRIPT, name="speed", told=told, arguments=arguments, seed=SEED, settings=settings)
    if record.facts["device"]["load"] > 0.5:
        say(f"other processes keep {record.facts['device']['load']} cores busy: these timings will be too long")
    size = sum(values.size for values in pfn.checkpoint.weights.values())
    results: dict[str, Any] = {"network": {"name": path.stem, "sha256": digest(path), "parameters": size}, "rows": []}
    quick = told.quick
    many, batch, loop = (50, 100, 500) if quick else (1_000, 10_000, MILLION if told.full else 20_000)
    measures: tuple[Callable[[], list[dict[str, Any]]], ...] = (
        lambda: one(pfn, 20 if quick else 300),
        lambda: stream(pfn, 1 if quick else 10),
        lambda: replay(pfn, many, 1 if quick else 5),
        lambda: start(path, 1 if quick else 10),
        lambda: [child("batch", path, batch)],
        lambda: [child("loop", path, loop)],
    )
    for measure in measures:
        for row in measure():
            results["rows"].append(row)
            say(f"{row['what']}: {span(row)}")
        record.write(results, complete=False)
    compare(pfn, results, 3 if quick else 50)
    record.write(results, complete=True)
    print("\n" + markdown(documents.TABLES["speed"].rows(results)))
    print(f"\n{record.path}")
    return 0


def one(pfn: PFN, repetitions: int) -> list[dict[str, Any]]:
    """Latency of one curve and one query, from nothing: no state is kept between calls."""
    y = curves(1, OBSERVED)[0]
    return [
        row(
            f"`predict`, one curve of {OBSERVED} points, one query", timed(lambda: pfn.predict(y, HORIZON), repetitions)
        ),
        row(
            f"`predict`, one curve of {OBSERVED} points, every later time up to 100, and its median and 90 % interval",
            timed(lambda: pfn.predict(y, horizon=HORIZON).quantile([0.05, 0.5, 0.95]), repetitions),
        ),
    ]


def stream(pfn: PFN, repetitions: int) -> list[dict[str, Any]]:
    """Time of each of the 99 epochs of a stream: one point is observed, the end is asked for."""
    y = curves(1, 99)[0].tolist()
    spent = []
    for _ in range(repetitions + 1):
        running = pfn.stream()
        for t, value in enumerate(y, 1):
            began = time.perf_counter()
            running.observe(t, value)
            running.predict(HORIZON)
            spent.append(time.perf_counter() - began)
    return [row("`stream`, one epoch: `observe` and `predict`", spent[len(y) :])]  # the first stream warmed up


def replay(pfn: PFN, count: int, repetitions: int) -> list[dict[str, Any]]:
    """Time of the beliefs about the end after every prefix of many curves."""
    y = curves(count, 100)
    spent = timed(lambda: pfn.replay(y, HORIZON, run_end=HORIZON), repetitions, warm=0 if repetitions == 1 else 1)
    return [row(f"`replay`, {count:,} curves of 100 points: the end, after each of 0 to 100 points", spent)]


def start(path: Path, repetitions: int) -> list[dict[str, Any]]:
    """Wall time and peak memory of a process that imports, loads and answers once; its files are in the disk cache."""
    spent, peaks = [], []
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", START, str(path), str(Path(__file__).parents[1])],
            capture_output=True,
            text=True,
            check=True,
        )
        spent.append(time.perf_counter() - began)
        peaks.append(int(done.stdout))
    return [row("process start to first answer", spent[1:], peak_bytes=max(peaks))]


def child(part: str, path: Path, count: int) -> dict[str, Any]:
    """The row that a part of this script measures in a process of its own, whose memory is then its own."""
    arguments = ["--part", part, "--count", str(count), "--checkpoint", str(path)]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def batch(pfn: PFN, count: int) -> dict[str, Any]:
    """One predict of many curves of 100 points, what they are worth at all 100 times."""
    y = curves(count, 100)
    before = peak_bytes()
    spent = timed(lambda: pfn.predict(y, np.arange(1.0, 101.0), kind="signal"), 1, warm=0)
    what = f"`predict`, {count:,} curves of 100 points at 100 times"
    return row(what, spent, peak_bytes=peak_bytes(), before_bytes=before)


def loop(pfn: PFN, count: int) -> dict[str, Any]:
    """Median and 90 % interval of the end of so many curves of 50 points, scaled up to a million if they are fewer."""
    generator = np.random.default_rng(SEED)
    answers = np.empty((count, 3), dtype=np.float32)
    spent = 0.0
    for first in range(0, count, LOOP_BLOCK):
        y = curves(min(LOOP_BLOCK, count - first), OBSERVED, generator)  # off the clock: stands for the user's reading
        began = time.perf_counter()
        belief = pfn.predict(y, HORIZON)
        answers[first : first + len(y)] = belief.quantile([0.05, 0.5, 0.95])[:, 0]
        spent += time.perf_counter() - began
    what = f"loop of `predict` over a million curves of {OBSERVED} points: median and 90 % interval at 100"
    extrapolated = count < MILLION
    told = row(what, [spent * MILLION / count], peak_bytes=peak_bytes())
    return told | {"extrapolated": extrapolated, "curves": count, "measured_s": spent}


def compare(pfn: PFN, results: dict[str, Any], repetitions: int) -> None:
    """Adds the latency of LC-PFN's layout at the size of P3, and its ratio to ours; measured in turns."""
    import torch
    from opponents.original.config import OriginalConfig, UnitCoordinates
    from opponents.original.network import OriginalTransformer

    torch.set_num_threads(one_thread.THREADS)
    coordinates = UnitCoordinates()
    network = OriginalTransformer(OriginalConfig(**P3), coordinates).eval()
    random = torch.Generator().manual_seed(SEED)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random) * parameter.shape[-1] ** -0.5
    y = curves(1, OBSERVED)
    t = torch.arange(1.0, OBSERVED + 1)[None]
    after, asked, kind = torch.full((1, 1), OBSERVED), torch.full((1, 1), HORIZON), torch.zeros(1, dtype=torch.int64)

    def original() -> None:
        with torch.inference_mode():
            points = torch.tensor(y, dtype=torch.float32)
            view = coordinates.frame(t, points, points[:, 0] * 0, points[:, 0] * 0 + 1, torch)
            network.raw(view, t, after, asked, kind).softmax(-1)

    ours, theirs = [], []
    for _ in range(repetitions + 2):
        ours += timed(lambda: pfn.predict(y[0], HORIZON), 1, warm=0)
        theirs += timed(original, 1, warm=0)
    ours, theirs = ours[2:], theirs[2:]
    size = sum(parameter.numel() for parameter in network.parameters())
    what = f"LC-PFN's layout at the size of P3 ({size / 1e6:.1f}M, torch, random weights): the same curve and query"
    results["rows"].append(row(what, theirs))
    say(f"{what}: {span(results['rows'][-1])}")
    ratios = [theirs_s / ours_s for theirs_s, ours_s in zip(theirs, ours)]
    results["original"] = {
        "parameters": size,
        "ours_s": spread(ours),
        "original_s": spread(theirs),
        "ratio": spread(ratios),
    }


def timed(call: Callable[[], object], repetitions: int, *, warm: int = 3) -> list[float]:
    """Seconds of each call, after some that do not count."""
    for _ in range(warm):
        call()
    spent = []
    for _ in range(repetitions):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return spent


def row(what: str, spent: list[float], **more: Any) -> dict[str, Any]:
    """A row of the table: what was measured, its seconds, peak memory if that was measured too."""
    return {"what": what, "seconds": spread(spent), "extrapolated": False, **more}


def spread(values: list[float]) -> dict[str, float]:
    """Median, 10th and 90th percentile, and how many there are."""
    low, median, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
    return {"median": median, "low": low, "high": high, "repetitions": len(values)}


def curves(count: int, length: int, generator: np.random.Generator | None = None) -> np.ndarray:
    """(count, length) rising curves in [0, 1]; what they look like does not matter to the clock."""
    generator = generator or np.random.default_rng(SEED)
    end, gain, pace = generator.uniform([[0.5], [0.1], [0.3]], [[0.9], [0.5], [1.5]], (3, count))[..., None]
    noise = generator.normal(0.0, 0.01, (count, length))
    return np.clip(end - gain * np.arange(1.0, length + 1) ** -pace + noise, 0.0, 1.0)


PARTS: dict[str, Callable[[PFN, int], dict[str, Any]]] = {"batch": batch, "loop": loop}

if __name__ == "__main__":
    raise SystemExit(main())
