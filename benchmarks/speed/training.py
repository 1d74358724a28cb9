"""How fast is training, what does it spend its time on, and how much of the device does it use?

    python benchmarks/speed/training.py                                     # the CPU on 1 and 2 threads, and a GPU
    python benchmarks/speed/training.py --devices cuda --presets large --batches 512,1024,2048    # on a GPU alone

Sampler, forward with backward pass, and optimiser are timed one by one, then whole steps, all by the code of
`lcpfn.training.Run`. See benchmarks/README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import argparse
import dataclasses
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from record import Record, parser, say
from report import training
from report.text import markdown

from lcpfn.network.coordinates import Coordinates
from lcpfn.training import PRESETS, Options, Run
from speed import original_training as training_opponent
from speed.memory import forget_peak, peak_bytes
from speed.prediction import spread

SCRIPT = "benchmarks/speed/training.py"
SEED = 0
RATE = 1e-3  # of learning: it does not matter to the clock
CPU_BATCH = {"small": 64, "base": 32, "large": 16}  # a step of each takes about as long
GPU_BATCHES = "256,1024,4096"
PARTS = ("sampler", "gradient", "optimizer")
SECONDS = {"cpu": 3.0, "cuda": 2.0}  # a cell is repeated for so long, at least LEAST times
LEAST, MOST = 2, 30
PRODUCT = {"cpu": 1536, "cuda": 8192}  # rows and columns of the matrices that say what the device can do


def flags() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(SCRIPT, (__doc__ or "").split("\n")[0], name="training_speed")
    made.add_argument("--presets", help="separated by commas (default: small,base,large; quick: tiny)")
    made.add_argument("--priors", help="separated by commas (default: paper,domhan,general; quick: paper,general)")
    made.add_argument("--devices", help="cpu, cuda (default: the CPU, and a GPU where torch sees one)")
    made.add_argument("--threads", help="of the CPU, separated by commas (default: 1,2; quick: 1)")
    made.add_argument("--batches", default=GPU_BATCHES, help=f"curves in a step on a GPU (default: {GPU_BATCHES})")
    made.add_argument("--modes", default="eager,compile", help="on a GPU (default: eager,compile)")
    made.add_argument("--no-original", action="store_true", help="leave out the layout of the LC-PFN paper")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables, write the JSON; 0 when done."""
    told = flags().parse_args(arguments)
    quick = told.quick
    presets = (told.presets or ("tiny" if quick else "small,base,large")).split(",")
    priors = (told.priors or ("paper,general" if quick else "paper,domhan,general")).split(",")
    devices = (told.devices or ("cpu,cuda" if torch.cuda.is_available() else "cpu")).split(",")
    threads = [int(part) for part in (told.threads or ("1" if quick else "1,2")).split(",")]
    batches = [int(part) for part in told.batches.split(",")]
    settings = {"presets": presets, "priors": priors, "devices": devices, "threads": threads}
    record = Record(SCRIPT, name="training_speed", told=told, arguments=arguments, seed=SEED, settings=settings)
    if torch.cuda.is_available():
        record.facts["device"]["accelerator"] = torch.cuda.get_device_name()
    results: dict[str, Any] = {"products": [], "rows": [], "original": []}
    places = [("cpu", count) for count in threads if "cpu" in devices] + [("cuda", 1)] * ("cuda" in devices)
    for device, count in places:
        torch.set_num_threads(count)
        product = {precision: products(device, precision, quick=quick) for precision in ("bfloat16", "float32")}
        results["products"].append({"device": device, "threads": count, **product})
        say(f"{device}, {count} threads: " + training.capacity(results["products"][-1]))
        modes = told.modes.split(",") if device == "cuda" else ["eager"]
        sizes = {n: batches if device == "cuda" else [4 if quick else CPU_BATCH.get(n, 64)] for n in presets}
        for cell in [(n, p, b, m) for n in presets for p in priors for b in sizes[n] for m in modes]:
            row = measure(*cell, device=device, threads=count, quick=quick)
            if "failed" not in row:
                row["share"] = row["flops"] / product["bfloat16"]["median"]
            results["rows"].append(row)
            say(training.line(row))
            record.write(results, complete=False)
        for size in [] if told.no_original else training_opponent.SIZES:
            batch = 2 if quick else max(batches) if device == "cuda" else None
            results["original"].append(compare(size, device=device, threads=count, quick=quick, batch=batch))
            record.write(results, complete=False)
    record.write(results, complete=True)
    for name, table in training.TABLES.items():
        if name.startswith("training-"):
            print(f"\n{markdown(table(results))}")
    print(f"\n{record.path}")
    return 0


def options(preset: str, prior: str, **told: Any) -> Options:
    """Those of a run with this prior, as the README trains it."""
    model = dataclasses.replace(PRESETS[preset], divergence=prior == "general")
    return Options(prior=prior, model=model, coordinates=coordinates(prior), **told)


def coordinates(prior: str) -> Coordinates:
    """Those of a network for this prior."""
    return Coordinates(times="relative", bounded=False, ends=True) if prior == "general" else Coordinates()


def began(told: Options, **extra: Any) -> Run:
    """A run of these options that has taken two steps: memory is there, kernels are compiled."""
    run = Run(told, Path(tempfile.gettempdir()), say=say, **extra)
    for _ in range(2):
        step(run)
    wait(told.device)
    return run


def step(run: Run) -> None:
    """One step of training."""
    run.learn(RATE)
    run.step += 1


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def clock(call: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds until the device is through with a call, and its result."""
    wait(device)
    start = time.perf_counter()
    made = call()
    wait(device)
    return time.perf_counter() - start, made


def products(device: str, precision: str, *, quick: bool) -> dict[str, float]:
    """Operations a second of large matrix products: what the device can do at best."""
    size = 256 if quick else PRODUCT[device]
    random = torch.Generator(device).manual_seed(SEED)
    a, b = (torch.randn(size, size, generator=random, device=device).to(getattr(torch, precision)) for _ in range(2))
    clock(lambda: a @ b, device)
    return spread([2 * size**3 / clock(lambda: a @ b, device)[0] for _ in range(3 if quick else 20)])


def measure(
    preset: str, prior: str, batch: int, mode: str, *, device: str, threads: int, quick: bool
) -> dict[str, Any]:
    """A row: seconds of the parts and of whole steps, and what they amount to."""
    told = {"steps": 10**6, "batch": batch, "device": device, "threads": threads, "validation_curves": 0, "seed": SEED}
    chosen = options(preset, prior, compile=mode == "compile", **told)
    row: dict[str, Any] = {"preset": preset, "prior": prior, "batch": batch, "mode": mode}
    row |= {"device": device, "threads": threads, "precision": chosen.precision}
    gc.collect()
    forget_peak()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run = None
    try:
        run = began(chosen)
        spent = repeat(run, seconds=0.0 if quick else SECONDS[device])
    except torch.cuda.OutOfMemoryError:
        return row | {"failed": "out of memory"}
    finally:
        if run is not None and run.ahead is not None:
            run.ahead.close()
    curves, asked = run.batch(0)
    seen = min(curves.y.shape[1], chosen.model.limit)
    tokens = seen + 1 + asked.after.shape[1]  # the start token and observed points are encoded, queries decoded
    size = sum(parameter.numel() for parameter in run.objective.parameters())
    whole = spent["step"]
    row |= {"parameters": size, "tokens": tokens, **{name: spread(values) for name, values in spent.items()}}
    row["curves_per_s"] = spread([batch / each for each in whole])
    row["tokens_per_s"] = tokens * row["curves_per_s"]["median"]
    row["flops"] = 6 * size * row["tokens_per_s"]
    row["peak_bytes"] = torch.cuda.max_memory_allocated() if device == "cuda" else peak_bytes()
    return row


def repeat(run: Run, *, seconds: float) -> dict[str, list[float]]:
    """Seconds of the parts of steps and of whole steps, in turns."""
    device, spent = run.device.type, {name: [] for name in (*PARTS, "step")}
    start = time.perf_counter()
    for n in range(MOST):
        if n >= LEAST and time.perf_counter() - start > seconds:
            break
        took, batch = clock(lambda n=n: run.batch(n), device)
        spent["sampler"].append(took)
        spent["gradient"].append(clock(lambda batch=batch: run.differentiate(*batch), device)[0])
        spent["optimizer"].append(clock(lambda: run.descend(RATE), device)[0])
        several = 10 if device == "cuda" else 1  # on a GPU the next batch is drawn meanwhile
        spent["step"].append(clock(lambda k=several: [step(run) for _ in range(k)], device)[0] / several)
    return spent


def compare(size: str, *, device: str, threads: int, quick: bool, batch: int | None) -> dict[str, Any]:
    """Curves a second of `small` and of the paper's way of training, one step of each in turns."""
    told = {"steps": 10**6, "device": device, "threads": threads, "validation_curves": 0, "seed": SEED}
    theirs_told = training_opponent.options(size, batch=batch, **told)
    ours_told = options("tiny" if quick else "small", "paper", batch=batch or CPU_BATCH["small"], **told)
    ours, theirs = (
        began(ours_told),
        began(theirs_told, prior=training_opponent.OneByOne(), network=training_opponent.NETWORK),
    )
    rates: dict[str, list[float]] = {"ours": [], "original": []}
    start, seconds = time.perf_counter(), 0.0 if quick else 3 * SECONDS[device]
    while len(rates["ours"]) < LEAST or time.perf_counter() - start < seconds:
        for name, run in (("ours", ours), ("original", theirs)):
            several = 5 if name == "ours" else 1
            took = clock(lambda run=run, k=several: [step(run) for _ in range(k)], device)[0] / several
            rates[name].append(run.options.batch / took)
    for run in (ours, theirs):
        if run.ahead is not None:
            run.ahead.close()
    row: dict[str, Any] = {"size": size, "device": device, "threads": threads}
    row |= {"batch": {"ours": ours_told.batch, "original": theirs_told.batch}}
    row["parameters"] = {
        name: sum(p.numel() for p in run.objective.parameters()) for name, run in (("ours", ours), ("original", theirs))
    }
    row |= {name: spread(values) for name, values in rates.items()}
    row["ratio"] = spread([a / b for a, b in zip(rates["ours"], rates["original"])])
    say(f"{size}, {device}, {threads} threads: ours {row['ratio']['median']:.1f} times the curves a second")
    return row


if __name__ == "__main__":
    raise SystemExit(main())
