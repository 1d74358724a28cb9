"""A trained network as one file: weights, and in the header what they are and where they come from. No pickles."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

FORMAT = 1  # of the header; a newer one is refused
KEY = "lcpfn"  # the entry of the safetensors metadata that holds the header as JSON
CONFIG = ("model", "coordinates")  # what config must hold
PROVENANCE = ("prior", "seed", "commit", "curves_seen", "scores", "versions")  # a file without them cannot be traced
PRIOR = ("name", "parameters")
STORED = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
MAX_HEADER = 100_000_000  # bytes; the limit of safetensors


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights of a network, what is needed to run it, and where it comes from.

    All three are copies, made plain: numbers of NumPy become Python's, tuples become lists (as JSON would have it), so
    that a checkpoint read back equals the one written. The arrays are read-only.

    Args:
        config: {"model": {...}, "coordinates": {...}}, JSON.
        weights: arrays by name; float16 becomes float32, float32 and float64 stay.
        provenance: JSON; a file must say at least "prior" (with "name" and "parameters"), "seed", "commit",
            "curves_seen", "scores" and "versions" (null where unknown).

    Raises:
        TypeError: if a part is not JSON, or a weight is not an array of floating-point numbers.
        ValueError: if a number or a weight is not finite.

    Example:
        >>> Checkpoint({"model": {"width": 8}}, {"bias": np.zeros(8, np.float16)}).weights["bias"].dtype
        dtype('float32')
    """

    config: dict[str, Any]
    weights: dict[str, np.ndarray] = field(repr=False)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", _plain_object(self.config, "config"))
        object.__setattr__(self, "weights", _weights(self.weights))
        object.__setattr__(self, "provenance", _plain_object(self.provenance, "provenance"))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """The checkpoint in a file that `write` made; weights as float32, or float64 where they were stored so.

        Raises:
            FileNotFoundError: if there is no such file.
            IsADirectoryError: if it is a folder.
            ValueError: if it is empty, cut off, a pickle or something else, no checkpoint of ours, incomplete, or from
                a newer version.
        """
        path = Path(path)
        _check_file(path)
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                header = _read_header(path, file.metadata())
                weights = {name: _read_weight(path, file, name) for name in file.keys()}  # not a dict
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is cut off or damaged ({error}); copy or download it again") from error
        return cls(header.pop("config"), weights, {key: header[key] for key in header if key != "format"})

    def write(self, path: str | os.PathLike[str], *, dtype: str | None = None) -> None:
        """Writes the file in one step: whoever reads meanwhile, or after a crash, finds the old file or the new one.

        The same content gives the same bytes.

        Args:
            path: where to; its folder must exist. By convention it ends in .safetensors.
            dtype: "float16", "float32" or "float64", the type of the stored weights; None stores them as they are.
                float16 halves the file; it keeps 3 digits, and about 6e-8 at the smallest.

        Raises:
            ValueError: if dtype is none of these, a weight is too large for it, or config or provenance lacks a part.
            FileNotFoundError: if the folder does not exist.
            IsADirectoryError: if path is a folder.
        """
        path = Path(path)
        if dtype is not None and dtype not in ("float16", "float32", "float64"):
            raise ValueError(
                f'dtype must be "float16", "float32" or "float64", got {dtype!r}'
                + ("; bfloat16 keeps too few digits" if dtype == "bfloat16" else "")
            )
        if taken := {"format", "config"} & self.provenance.keys():
            raise ValueError(f"provenance must not hold {sorted(taken)}: the header uses these names itself")
        if missing := _missing({"config": self.config, **self.provenance}):
            raise ValueError(
                "config and provenance must say what a file holds and where it comes from, missing are "
                + ", ".join(missing)
            )
        if path.is_dir():
            raise IsADirectoryError(f"a checkpoint is one file, got the folder {path}")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"the folder of a checkpoint must exist, got {path}; create {path.parent} first")
        header = json.dumps({"format": FORMAT, "config": self.config, **self.provenance}, sort_keys=True)
        weights = {name: _cast(values, dtype, name) for name, values in self.weights.items()}
        _replace(path, safetensors.numpy.save(weights, metadata={KEY: header}))


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in hexadecimal, as `sha256sum` prints it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain_object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{place} must be a dict, got {type(value).__name__}")
    plain: dict[str, Any] = _plain(value, place)
    return plain


def _plain(value: Any, place: str) -> Any:
    """A copy made of what JSON gives back unchanged: str, bool, int, float, None, list, dict with str keys."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise ValueError(f"{place} must be finite to be stored as JSON, got {value}; use None for unknown")
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(entry, f"{place}[{i}]") for i, entry in enumerate(value)]
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"keys of {place} must be strings to be stored as JSON, got {wrong[0]!r}")
        return {key: _plain(entry, f"{place}.{key}") for key, entry in value.items()}
    raise TypeError(f"{place} must be storable as JSON, got {type(value).__name__}")


def _weights(weights: Any) -> dict[str, np.ndarray]:
    """Checked weights in the order of their names."""
    if not isinstance(weights, dict):
        raise TypeError(f"weights must be a dict, got {type(weights).__name__}")
    if wrong := [name for name in weights if not isinstance(name, str) or name == "__metadata__"]:
        raise TypeError(f"names of weights must be strings other than '__metadata__', got {wrong[0]!r}")
    return {name: _weight(weights[name], name) for name in sorted(weights)}


def _weight(values: Any, name: str) -> np.ndarray:
    """Read-only float32 or float64 weights."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.dtype.itemsize > 8:
        what = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise TypeError(f"weights must be NumPy arrays of type float16, float32 or float64, got {what} at {name!r}")
    if not np.isfinite(values).all():
        raise ValueError(f"weights must be finite, got NaN or infinity at {name!r}; the training diverged")
    # a copy in native byte order, as the caller may train on
    values = np.array(values, dtype=np.float64 if values.dtype.itemsize == 8 else np.float32, order="C")
    values.flags.writeable = False
    return values


def _cast(values: np.ndarray, dtype: str | None, name: str) -> np.ndarray:
    if dtype is None:
        return values
    with np.errstate(over="ignore"):  # judged in the next line
        cast = values.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(f"weights must fit {dtype}, got {np.abs(values).max():.4g} at {name!r}; store a wider type")
    return cast


def _replace(path: Path, data: bytes) -> None:
    """Puts data in place of the file, in one step; leaves nothing else behind, whatever happens."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")  # same folder: a rename cannot cross disks
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave the new name on missing bytes
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _check_file(path: Path) -> None:
    """Raises what is wrong with a file that cannot be safetensors."""
    if path.is_dir():
        raise IsADirectoryError(f"a checkpoint is one .safetensors file, got the folder {path}")
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    with open(path, "rb") as file:
        head = file.read(64)
    if not head:
        raise ValueError(f"{path} is empty; copy or download it again")
    # 8 bytes with the length of a JSON object, then the object. Judged first: that length may begin as a pickle does.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER:
        return
    if head.startswith((b"PK", b"\x80")):
        raise ValueError(
            f"{path} is a {'zip archive' if head[0] == 0x50 else 'pickle'}, as torch.save writes; loading "
            "one can run any code, so only .safetensors is read. Load it where it was made and trusted, "
            "and store it with lcpfn.Checkpoint(config, weights, provenance).write(path)"
        )
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a placeholder of Git LFS, not the weights; run `git lfs pull`")
    raise ValueError(f"{path} is not a safetensors file, or was cut off at its very beginning")


def _read_header(path: Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    """The checked header."""
    text = (metadata or {}).get(KEY)
    if text is None:
        raise ValueError(
            f"{path} holds weights, but no {KEY!r} header that says what network they are of; "
            "only files written by lcpfn.Checkpoint.write can be read"
        )
    try:
        header = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} has a damaged header ({error}); copy or download it again") from error
    number = header.get("format") if isinstance(header, dict) else None
    if type(number) is not int or number < 1:
        raise ValueError(f"{path} has a header without a valid format number, got {number!r}")
    if number > FORMAT:
        raise ValueError(
            f"{path} was written by a newer version, in format {number}, and this one reads up to "
            f"{FORMAT}: upgrade lcpfn"
        )
    if missing := _missing(header):
        raise ValueError(f"{path} has an incomplete header, without {', '.join(missing)}")
    checked: dict[str, Any] = header
    return checked


def _missing(header: dict[str, Any]) -> list[str]:
    """Names of the parts that a header lacks."""
    missing = [name for name in ("config", *PROVENANCE) if name not in header]
    for name, parts in (("config", CONFIG), ("prior", PRIOR)):
        held = header.get(name)
        if name in header:
            missing += [f"{name}.{part}" for part in parts if not isinstance(held, dict) or part not in held]
    return missing


def _read_weight(path: Path, file: Any, name: str) -> np.ndarray:
    stored = file.get_slice(name).get_dtype()
    if stored not in STORED:
        advice = "; bfloat16 keeps too few digits, store float16 or float32" if stored == "BF16" else ""
        raise ValueError(f"{path} must store weights as {', '.join(STORED)}, got {stored} at {name!r}{advice}")
    values: np.ndarray = file.get_tensor(name)
    return values
