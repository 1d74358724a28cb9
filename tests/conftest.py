"""Rules that hold for every test: no global randomness, no windows, no test of an accelerator where there is none."""

import os
import random
import sys

# In one of several processes each library keeps to one thread; read when NumPy is imported, below this line.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

# isort: split

import numpy as np
import numpyro  # noqa: F401 (here, since its first import moves numpy's global random state)
import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
# The same examples on every run: a failure must be the change's fault. No deadline: machines are shared.
settings.register_profile("lcpfn", derandomize=True, deadline=None)
settings.load_profile("lcpfn")


def _random_states() -> dict[str, object]:
    states: dict[str, object] = {"random": random.getstate()}
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the very thing that is watched)
    states["numpy"] = (name, keys.tobytes(), *rest)
    if "torch" in sys.modules:  # looked at, never imported: most tests run without it
        states["torch"] = sys.modules["torch"].random.get_rng_state().numpy().tobytes()
    return states


@pytest.fixture(autouse=True)
def _global_random_state():
    """Fails a test that moves the global random state of random, numpy or torch."""
    before = _random_states()
    yield
    after = _random_states()
    moved = [name for name in before if before[name] != after[name]]
    assert not moved, f"the global random state of {', '.join(moved)} moved: draw from a generator that is passed in"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")
