"""What the tests of the training loops' callbacks share: two curves, an example that runs, random states that stay."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

EPOCHS = 40
FLAT = [0.6 - 0.4 / t**3 for t in range(1, EPOCHS + 1)]  # accuracies
RISING = [0.1 + 0.02 * t for t in range(1, EPOCHS + 1)]
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> ModuleType:
    """The example of this name as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Puts the global random states back that trainers seed and move."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002 (they use it)
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.random.set_rng_state(states[2])
