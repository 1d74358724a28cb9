"""Tables and the picture of training: its speed, and what size and curves seen are worth."""

from __future__ import annotations

from typing import Any

from report.text import Rows, duration

COMMAND = "python benchmarks/speed/training.py"
SCALING = "python benchmarks/speed/scaling.py"

FLOOR = 0.001  # nats: what a picture shows of less, since its axis has no zero


def speed(results: dict[str, Any]) -> Rows:
    """Curves and tokens a second, where the time goes, and how much of the device is used."""
    parts = ["sampler", "forward, backward", "optimiser"]
    rows = [["network, prior, device", "batch", "curves/s", "tokens/s", *parts, "of the matrix rate", "peak memory"]]
    for each in results["rows"]:
        name = f"`{each['preset']}`, `{each['prior']}`, {place(each)}"
        if "failed" in each:
            rows.append([name, f"{each['batch']:,}", each["failed"], *[""] * 6])
            continue
        rate = each["curves_per_s"]
        times = [duration(each[part]["median"]) for part in ("sampler", "gradient", "optimizer")]
        shown = f"{_digits(rate['median'])} ({_digits(rate['low'])} to {_digits(rate['high'])})"
        share = f"{100 * each['share']:.1f} %"
        memory = f"{each['peak_bytes'] / 1e9:.2f} GB"
        rows.append([name, f"{each['batch']:,}", shown, _digits(each["tokens_per_s"]), *times, share, memory])
    return rows


def products(results: dict[str, Any]) -> Rows:
    """What the device does in large matrix products, in the same run."""
    rows = [["TFLOP/s of large matrix products", "bfloat16", "float32"]]
    for each in results["products"]:
        cells = [_range(each[name], 1e12) for name in ("bfloat16", "float32")]
        rows.append([place({**each, "mode": "eager"}), *cells])
    return rows


def original(results: dict[str, Any]) -> Rows:
    """Ours against the paper's way of training."""
    rows = [["the paper's layout, float32, curves drawn one by one", "parameters", "its curves/s", "`small`", "ratio"]]
    for each in results["original"]:
        size = f"{each['parameters']['original'] / 1e6:.3g}M"
        cells = [_range(each[name], 1.0) for name in ("original", "ours", "ratio")]
        rows.append([f"{each['size']}; {place({**each, 'mode': 'eager'})}", size, *cells])
    return rows


def scaling(results: dict[str, Any]) -> Rows:
    """Log density beside that of the shipped network, the gap to the reference and the skill on real curves."""
    runs = results["runs"]
    cuts = list(next((each["gain"] for each in runs if "gain" in each), {}))
    head = ["size", "parameters", "curves seen", *(f"gain after {cut}" for cut in cuts)]
    rows = [[*head, "gap to the reference", "skill on real curves"]]
    for each in runs:
        gains = [f"{cell['mean']:+.3f} ± {cell['se']:.3f}" for cell in each.get("gain", {}).values()]
        gap = " ".join(f"{cell['mean']:.3f}" for cell in each["gap"].values()) if "gap" in each else "-"
        real = each.get("real")
        skill = "-" if real is None else f"{100 * real['skill']:.0f} over {real['sources']} sources"
        counts = [f"{each['parameters'] / 1e6:.2f}M", f"{each['curves_seen']:,}"]
        rows.append([each["size"], *counts, *(gains or ["-"] * len(cuts)), gap, skill])
    return rows


def scaling_picture(axes: Any, results: dict[str, Any]) -> None:
    """Nats below the reference, or the best run, mean over cut-offs, against curves seen; a line for each size."""
    import numpy as np

    scored = [each for each in results["runs"] if "log_density" in each]
    against = all("gap" in each for each in scored)
    name, sign = ("gap", 1) if against else ("log_density", -1)
    below = {id(each): sign * np.mean([cell["mean"] for cell in each[name].values()]) for each in scored}
    least = 0.0 if against else min(below.values())
    for size in dict.fromkeys(each["size"] for each in scored):
        members = sorted((each for each in scored if each["size"] == size), key=lambda each: each["curves_seen"])
        heights = [max(below[id(each)] - least, FLOOR) for each in members]
        axes.plot([each["curves_seen"] for each in members], heights, marker="o", label=f"{size} parameters")
    axes.set(xscale="log", yscale="log", xlabel="curves seen in training")
    axes.set_ylabel(f"log density below the {'reference' if against else 'best run'}, nats (at least {FLOOR:g})")
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8)


def place(row: dict[str, Any]) -> str:
    """Where a row was measured."""
    if row["device"] == "cpu":
        return f"CPU, {row['threads']} thread" + ("s" if row["threads"] > 1 else "")
    return "GPU" + (", compiled" if row["mode"] == "compile" else "")


def capacity(product: dict[str, Any]) -> str:
    """What the device can do, as a line of progress."""
    rates = [f"{product[name]['median'] / 1e12:.3g} TFLOP/s in {name}" for name in ("bfloat16", "float32")]
    return "large matrix products " + ", ".join(rates)


def line(row: dict[str, Any]) -> str:
    """A row of the speed table as a line of progress."""
    head = f"{row['preset']}, {row['prior']}, {place(row)}, batch {row['batch']}: "
    if "failed" in row:
        return head + str(row["failed"])
    share = f"{100 * row['share']:.1f} % of the matrix rate"
    return head + f"{_digits(row['curves_per_s']['median'])} curves/s, {share}, {row['peak_bytes'] / 1e9:.2f} GB"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _range(cell: dict[str, float], unit: float) -> str:
    low, middle, high = (_digits(cell[name] / unit) for name in ("low", "median", "high"))
    return f"{middle} ({low} to {high})"


TABLES = {"training-speed": speed, "training-products": products, "training-original": original}
