"""What a run tells while it goes: a line for people, one for machines, and events for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Journal:
    """The log of a run.

    Args:
        folder: of the run; lines are added to its `log.jsonl`.
        say: takes one line per interval.
        tensorboard: also write events into the folder.

    Raises:
        ImportError: if TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], *, tensorboard: bool) -> None:
        self.folder, self.say = folder, say
        self.events = _event_writer(folder) if tensorboard else None

    def write(self, line: dict[str, Any], left: float) -> None:
        """Note what `Run` knows after a step; `left` are the seconds until the run ends, if it goes on like this."""
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        scores: dict[str, float] = line.get("scores", {})
        if self.events is not None:
            numbers = {name: line[name] for name in ("loss", "curves_per_s") if line[name] is not None}
            numbers |= {f"after {name}" if name.isdigit() else name: score for name, score in scores.items()}
            for name, number in numbers.items():
                self.events.add_scalar(name, number, line["step"])
            self.events.flush()
        shown = " ".join(f"{name}:{score:.3f}" for name, score in scores.items())
        self.say(
            f"step {line['step']} | {line['curves']:,} curves | {line['curves_per_s']:.0f}/s | "
            f"loss {line['loss']} | {shown} | {line['seconds']:.0f} s, {left:.0f} s left"
            + (f" | {line['peak_gb']} GB at the peak" if "peak_gb" in line else "")
        )


def _event_writer(folder: Path) -> Any:
    try:
        import tensorboard  # noqa: F401  # torch's own message does not say what to install
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError("--tensorboard needs TensorBoard: pip install -e '.[tensorboard]'") from error
    return SummaryWriter(folder)
