"""A trained network as one file: weights, and in the header what they are and where they come from. No pickles."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from lcpfn import files

FORMAT = 1  # of the header; a newer one is refused
KEY = "lcpfn"  # the entry of the safetensors metadata that holds the header as JSON
CONFIG = ("model", "coordinates")  # what config must hold
PROVENANCE = ("prior", "seed", "commit", "curves_seen", "scores", "versions")  # a file without them cannot be traced
PRIOR = ("name", "parameters")
STORED = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
MAX_HEADER = 100_000_000  # bytes; the limit of safetensors
MAX_TEXT = 10_000_000  # characters of our own part of it: parsed JSON takes up to thirty times its size
MAX_NUMBERS = 50_000_000  # in all weights, 200 MB as float32; the shipped networks have about a million
DIGEST = "content_sha256"  # the entry of the header that ties config and weights together
# Weights shipped before headers held a digest, and the whole content: the first 40 digits of the SHA-256 of either.
EARLIER = {
    "19e6a9798278dbf3df228d3c0386d9ae6dff1d69": "414c07398707d3b619d3325f193a7f98e2f3145f",
    "eb6eac02419fe6f547c0069c32f5c2de2f4ad4f2": "123260b1f39686c2566a16c43428d408881d2904",
}


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
            ValueError: if it is empty, cut off, a pickle or something else, no checkpoint of ours, incomplete, from
                a newer version, larger than any network of ours, or not what was written.
        """
        path = Path(path)
        _check_file(path)
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                header = _read_header(path, file.metadata())
                _check_size(path, file)
                weights = {name: _read_weight(path, file, name) for name in file.keys()}  # not a dict
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is cut off or damaged ({error}); copy or download it again") from error
        told = header.pop(DIGEST, None)
        try:
            made = cls(header.pop("config"), weights, {key: header[key] for key in header if key != "format"})
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} holds no checkpoint that can be used: {error or type(error).__name__}") from error
        if told is not None and told != made.content_digest:
            raise ValueError(
                f"{path} is not what was written: config or weights were changed or damaged since, as their SHA-256 "
                f"({DIGEST}) tells; copy or download it again"
            )
        return made

    @property
    def content_digest(self) -> str:
        """SHA-256 of config and weights together: a file of other numbers, or of other sizes, has another one."""
        return _content(self.config, _weights_digest(self.weights))

    def check_content(self) -> None:
        """Raises ValueError if the weights are those of a shipped network, and the config is not its own.

        The number of heads, say, is in no shape: the same weights with another one give other forecasts in silence.
        """
        weights = _weights_digest(self.weights)
        known = EARLIER.get(weights[:40])
        if known is not None and not _content(self.config, weights).startswith(known):
            raise ValueError(
                "the weights are those of a shipped network, but the config is not its own: the header was changed or "
                "damaged; copy or download the file again"
            )

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
        if taken := {"format", "config", DIGEST} & self.provenance.keys():
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
        weights = {name: _cast(values, dtype, name) for name, values in self.weights.items()}
        content = _content(self.config, _weights_digest(_weights(weights)))  # of what `read` will give
        facts = {"format": FORMAT, "config": self.config, DIGEST: content, **self.provenance}
        header = json.dumps(facts, sort_keys=True)
        if len(header) > MAX_TEXT:
            raise ValueError(
                f"a header must have at most {MAX_TEXT:,} characters, got {len(header):,}; store less in it"
            )
        files.write(path, safetensors.numpy.save(weights, metadata={KEY: header}))


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


def _weights_digest(weights: dict[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and numbers."""
    made = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name]
        made.update(json.dumps([name, values.dtype.str, values.shape]).encode())
        made.update(values.tobytes())
    return made.hexdigest()


def _content(config: dict[str, Any], weights: str) -> str:
    return hashlib.sha256(f"{json.dumps(config, sort_keys=True)} {weights}".encode()).hexdigest()


def _check_size(path: Path, file: Any) -> None:
    """Raises ValueError before more is read into memory than any network of ours has."""
    total = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # not a dict
    if total > MAX_NUMBERS:
        raise ValueError(f"{path} must hold at most {MAX_NUMBERS:,} numbers, got {total:,}: no network of ours")


def _check_file(path: Path) -> None:
    """Raises what is wrong with a file that cannot be safetensors."""
    if path.is_dir():
        raise IsADirectoryError(f"a checkpoint is one .safetensors file, got the folder {path}")
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if not path.is_file():  # reading a pipe waits for whoever writes, a device never ends
        raise ValueError(f"a checkpoint is one .safetensors file, got {path}, which is a pipe, a device or a socket")
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
    if len(text) > MAX_TEXT:
        raise ValueError(f"{path} must have a header of at most {MAX_TEXT:,} characters, got {len(text):,}")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:  # an integer of too many digits is a ValueError, deep nesting is not
        what = "nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} has a damaged header ({what}); copy or download it again") from error
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
