"""Where weights come from: what a checkpoint's header says of its making."""

from __future__ import annotations

import dataclasses
import math
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lcpfn.priors import Prior
from lcpfn.training.options import Options


@cache
def commit() -> str:
    """The commit of the checkout this code runs from, with "+" for uncommitted changes; "unknown" outside of one.

    As it was when first asked: what a long run does is decided by the code that it began with.
    """
    here = Path(__file__).parent
    try:
        name = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed else "")


def provenance(
    options: Options,
    prior: Prior,
    *,
    curves_seen: int,
    seconds: float,
    scores: dict[str, float] | None,
    parent: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """JSON facts for the header: prior, bounds, seed, commit, amount of training, versions, scores, and the parent."""
    fields = dataclasses.asdict(options)
    del fields["model"], fields["coordinates"]
    bounds = [bound if math.isfinite(bound) else None for bound in prior.bounds]
    facts = {
        "prior": {"name": prior.name, "parameters": prior.parameters(), "bounds": bounds},
        "training": fields,
        "seed": options.seed,
        "commit": commit(),
        "curves_seen": curves_seen,
        "seconds": round(seconds, 1),
        "scores": scores or {},
        "versions": {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "lcpfn": version("lcpfn-beliefs"),
        },
    }
    return facts if parent is None else {**facts, "parent": parent}
