"""The state of a run on disk: everything that resuming needs, in one safetensors file, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lcpfn import files

FORMAT = 1


def save(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON facts; the old file stays until the new one is complete on disk.

    Raises:
        OSError: if the folder is missing, read-only or full; the old file is untouched then.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with files.replacing(path) as temporary:
        try:
            save_file(flat, temporary, metadata={"lcpfn-run": json.dumps({"format": FORMAT} | facts)})
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(f"{path} cannot be written: {error}") from error


def sweep(path: Path) -> int:
    """How many temporary files of killed runs beside the state have been removed; a state is megabytes, each time.

    Those that older versions wrote, "state.safetensors….part", are nobody's once a run begins here.
    """
    left = [each for each in path.parent.glob(f"{path.name}*.part") if each.is_file()]
    for each in left:
        each.unlink(missing_ok=True)
    return files.sweep(path) + len(left)


def load(path: Path, device: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of `save`.

    Raises:
        ValueError: if the file is not the complete state of a run of this version.
    """
    if path.exists() and not path.is_file():  # reading a pipe waits for whoever writes
        raise ValueError(f"{path} must be the file of a training run's state, got a folder, a pipe or a device")
    try:
        with safe_open(path, framework="pt", device=device) as file:
            facts = json.loads((file.metadata() or {})["lcpfn-run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        number = facts["format"]
    except Exception as error:
        raise ValueError(
            f"{path} is not the complete state of a training run ({type(error).__name__}: {error}); start the run anew "
            "without --resume"
        ) from error
    if number != FORMAT:
        raise ValueError(
            f"{path} has state format {str(number)[:40]}, this version resumes {FORMAT}; "
            "finish it with the version that began it"
        )
    return tensors, facts


def pack(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Add an optimiser's tensors to `tensors` under "name.parameter.entry"."""
    for parameter, entries in optimizer.state_dict()["state"].items():
        for entry, value in entries.items():
            tensors[f"{name}.{parameter}.{entry}"] = torch.as_tensor(value)


def unpack(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser the tensors that `pack` took."""
    state = optimizer.state_dict()
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(name + "."):
            parameter, entry = key[len(name) + 1 :].split(".", 1)
            entries.setdefault(int(parameter), {})[entry] = value
    optimizer.load_state_dict({"state": entries, "param_groups": state["param_groups"]})
