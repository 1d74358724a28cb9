"""Archives with numbers: a CSV in a zip file, as Syne Tune and pandas write it, and NumPy's `.npz`, without pickles.

Sizes are checked before anything is unpacked: a few kilobytes may claim to hold terabytes.

Source: numpy/lib/_format_impl.py; stable_baselines3/common/callbacks.py, EvalCallback.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from lcpfn.logs import table
from lcpfn.logs.columns import Table
from lcpfn.logs.run import Run, run_of_points
from lcpfn.logs.times import TIMES
from lcpfn.names import plain

ZIP, ARRAYS = b"PK\x03\x04", ".npy"
TABLES = (".csv", ".tsv", ".txt")
LARGEST = 1 << 27  # bytes of a member, unpacked
MEMBERS = 1000
# What NumPy lets through when the header of an array, which is Python's notation for a dictionary, is something else.
DAMAGED = (ValueError, SyntaxError, TypeError, OverflowError, RecursionError, MemoryError, tokenize.TokenError)
# evaluations.npz of Stable-Baselines3 -> what its own logger calls the mean over the episodes of an evaluation.
EPISODES = {"results": "mean_reward", "ep_lengths": "mean_ep_length", "successes": "success_rate"}
CLOCK = "timesteps"


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip archive; `.npz` is one."""
    return head.startswith(ZIP)


def is_arrays(path: Path) -> bool:
    """Whether a zip archive holds arrays of NumPy."""
    return any(name.endswith(ARRAYS) for name in _names(path))


def read_table(path: Path) -> Table:
    """The table in a zip archive with one file of text.

    Raises:
        ValueError: if there is none, or several, or it is too large, damaged or no table.
    """
    names = [name for name in _names(path) if name.lower().endswith(TABLES) and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        found = f"{len(names)} of them" if names else "none"
        raise ValueError(f"{path} must hold one file {', '.join(TABLES)} to be read, there is {found}; unpack it")
    return table.parse(table.decode(_member(path, names[0]), f"{path}/{names[0]}"), source=f"{path}/{names[0]}")


def read_arrays(path: Path, *, name: str) -> list[Run]:
    """The run in a `.npz` file: a metric for each array with one number, or one row of episodes, for each time.

    Of rows the mean counts, as in the logs of Stable-Baselines3, whose names the metrics of its `evaluations.npz` get.

    Raises:
        ValueError: if an array is pickled, damaged or too large.
    """
    arrays = {}
    for member in _names(path):
        if member.endswith(ARRAYS) and (array := _array(_member(path, member), f"{path}/{member}")) is not None:
            arrays[member.removesuffix(ARRAYS)] = array
    clocks = [key for key, array in arrays.items() if array.ndim == 1 and (plain(key) in TIMES or key == CLOCK)]
    clocks = clocks if len(clocks) < len(arrays) else []
    points = {}
    for key, array in arrays.items():
        if key in clocks:
            continue
        called = EPISODES.get(key, key) if CLOCK in arrays else key
        values = array if array.ndim == 1 else array.mean(axis=1)
        times = [arrays[clock] if len(arrays[clock]) == len(values) else None for clock in clocks]
        points[called] = [
            (*(None if t is None else float(t[i]) for t in times), float(y)) for i, y in enumerate(values)
        ]
    return [run_of_points(name, str(path), clocks, points)] if points else []


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no whole zip archive: {error}") from None
    if len(found) > MEMBERS:
        raise ValueError(f"{path} holds {len(found):,} files, more than {MEMBERS:,}: no log")
    return found


def _member(path: Path, name: str) -> bytes:
    """A member, unpacked, if it is no larger than `LARGEST`; its header is not believed."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            data = file.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path}/{name} cannot be unpacked: {error}") from None  # RuntimeError: it is encrypted
    if len(data) > LARGEST:
        raise ValueError(f"{path}/{name} has more than {LARGEST >> 20} MiB when unpacked: unpack it first")
    return data


def _array(data: bytes, source: str) -> np.ndarray | None:
    """(N,) or (N, M) numbers of a `.npy`; None if it holds something else.

    The shape is compared with the bytes that are there: NumPy would first make room for all that it claims.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
        if kind.hasobject:
            raise ValueError("it holds Python objects, which are never unpickled")
        here = len(data) - file.tell()
        if math.prod(shape) * kind.itemsize != here:
            raise ValueError(f"its shape {str(shape)[:60]} does not fit the {here} bytes that it has")
        if kind.kind not in "iuf" or len(shape) not in (1, 2) or 0 in shape:
            return None
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False).astype(np.float64)
    except DAMAGED as error:
        raise ValueError(f"{source} is no array of numbers: {error}") from None
