"""States on disks that fail: processes that are killed while they write, files that may not grow, disks that are full.

What a call acknowledged, by returning, must be there afterwards; what failed with an OSError must be there after the
next call that succeeds.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lcpfn import Metric
from lcpfn.stopping import Stopper


class Lost(AssertionError):
    """A value that was acknowledged, and is not there."""


def stopper(path: Path) -> Stopper:
    """One that never asks the network: its horizon is far away, and its runs report little."""
    return Stopper(path=path, metric=Metric("max", bounds=(0, 1)), horizon=10_000, min_points=1_000)


def steps(path: Path) -> set[int]:
    """What is in the file of the stopper above, read as text."""
    if not path.exists():
        return set()
    return {int(step) for trial in json.loads(path.read_text())["trials"].values() for step, _ in trial["points"]}


def _stopper_writer(path: Path, first: int, pipe: int) -> None:
    made = stopper(path)
    for step in range(first, first + 400):
        made.update(f"run {step % 7}", step, 0.5)
        os.write(pipe, b"%d\n" % step)


def _training_writer(path: Path, first: int, pipe: int) -> None:
    import torch

    from lcpfn.training import state

    for step in range(first, first + 400):
        state.save(path, {"w": torch.full((2000,), float(step))}, {"step": step})
        os.write(pipe, b"%d\n" % step)


def _stopper_check(path: Path, acknowledged: list[int]) -> int:
    if missing := set(acknowledged) - steps(path):
        raise Lost(f"steps {sorted(missing)[:5]} of a stopper")
    made = stopper(path)  # it can be read, and gone on with
    return max(steps(path), default=0) + 1 if made is not None else 0


def _training_check(path: Path, acknowledged: list[int]) -> int:
    from lcpfn.training import state

    if not path.exists():
        if acknowledged:
            raise Lost("the state of a training run")
        return 1
    state.sweep(path)  # as a run does when it begins
    tensors, facts = state.load(path, "cpu")
    step = facts["step"]
    if (acknowledged and step < acknowledged[-1]) or set(tensors["w"].tolist()) != {float(step)}:
        raise Lost(f"step {acknowledged[-1:]} of a training run, which is at {step}")
    return step + 1


STATES: dict[str, tuple[str, Callable[[Path, int, int], None], Callable[[Path, list[int]], int]]] = {
    "stopper": ("stopper.json", _stopper_writer, _stopper_check),
    "training": ("state.safetensors", _training_writer, _training_check),
}
MOST_LEFT = 2  # files of killed writers that may lie about: those that the next start has not swept yet


def kills(name: str, count: int, folder: Path, *, seed: int = 0) -> int:
    """Kills processes at random moments while they write; returns how many acknowledged steps were checked.

    Raises:
        Lost: if one is gone, or the state cannot be read.
    """
    file, writer, check = STATES[name]
    path, dice = folder / file, random.Random(seed)
    check(path, []) if path.exists() else None
    first, checked = 1, 0
    for _ in range(count):
        end, start = os.pipe()
        child = os.fork()
        if child == 0:  # no handler of the parent's may run here
            try:
                os.close(end)
                writer(path, first, start)
            finally:
                os._exit(0)
        os.close(start)
        if dice.random() < 0.9:  # else it may die before it has begun
            select.select([end], [], [], 5.0)
        time.sleep(dice.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(end, "rb") as pipe:
            acknowledged = [int(line) for line in pipe.read().split(b"\n") if line]
        first = check(path, acknowledged)
        checked += len(acknowledged)
    return checked


def leftovers(folder: Path, name: str) -> list[str]:
    """Files beside the state that no lock explains."""
    return [each.name for each in folder.iterdir() if each.name != STATES[name][0] and not each.name.endswith(".lock")]


def failing_writes(folder: Path, *, size: int) -> None:
    """A stopper in a process whose files may not grow beyond `size` bytes; then they may, and nothing must be lost."""
    path = folder / "stopper.json"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # else the signal kills; ignored, a write fails with EFBIG
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    made, failed = stopper(path), 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        failed = _fill(made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _settle(made, path, failed)


def full_disk(folder: Path) -> None:
    """The same on a disk that is full, and then is not."""
    path = folder / "stopper.json"
    made = stopper(path)
    ballast = folder / "ballast"
    handle = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):  # to the last byte
        with contextlib.suppress(OSError):
            while True:
                os.write(handle, b"\0" * size)
    os.close(handle)
    failed = _fill(made)
    ballast.unlink()
    _settle(made, path, failed)


def full_disk_of_training(folder: Path) -> None:
    """A training state on a full disk: an OSError, and the old state whole."""
    import torch

    from lcpfn.training import state

    path, small, large = folder / "state.safetensors", torch.zeros(100), torch.zeros(50_000)
    state.save(path, {"w": small}, {"step": 1})
    with pytest.raises(OSError, match="No space left"):
        state.save(path, {"w": large}, {"step": 2})
    if state.load(path, "cpu")[1]["step"] != 1 or len(list(folder.iterdir())) != 1:
        raise Lost("the old state of a training run")
    state.save(path, {"w": small}, {"step": 3})


def _fill(made: Stopper) -> int:
    failed = 0
    for step in range(1, 200):
        try:
            made.update(f"run {step % 7}", step, 0.5)
        except OSError:
            failed += 1
    return failed


def _settle(made: Stopper, path: Path, failed: int) -> None:
    assert failed, "no write failed: the test proves nothing"
    made.update(f"run {199 % 7}", 199, 0.5)  # the last call again, as who has made room would
    if missing := set(range(1, 200)) - steps(path):
        raise Lost(f"steps {sorted(missing)[:5]} after {failed} writes that failed")


@contextmanager
def small_disk(size: str = "64k") -> Iterator[Path | None]:
    """A tmpfs of that size, None where mounting is not allowed."""
    folder = Path(tempfile.mkdtemp())
    mount = shutil.which("mount")
    done = None
    if mount is not None:
        done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    mounted = done is not None and done.returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def report(count: int) -> list[str]:
    """What became of states, a line each; "lost" counts what was acknowledged and is gone."""
    lines = []
    for name in STATES:
        with tempfile.TemporaryDirectory() as place:
            try:
                checked, lost = kills(name, count, Path(place)), 0
            except Exception as error:
                lines.append(f"kill -9, {name}: {type(error).__name__}: {error}")
                checked, lost = 0, 1
            left = len(leftovers(Path(place), name))
            lines.append(
                f"kill -9, {name}: {count} kills, {checked:,} steps checked, {lost} lost, {left} files left over"
            )
    for what, run in (
        ("writes that fail, stopper", lambda folder: failing_writes(folder, size=2000)),
        ("full disk, stopper", full_disk),
        ("full disk, training", full_disk_of_training),
    ):
        with tempfile.TemporaryDirectory() as place, small_disk() as disk:
            folder = disk if what.startswith("full disk") else Path(place)
            if folder is None:
                lines.append(f"{what}: mounting is not allowed here")
                continue
            try:
                run(folder)
                lines.append(f"{what}: 0 lost")
            except Exception as error:
                lines.append(f"{what}: lost: {type(error).__name__}: {error}")
    return lines
