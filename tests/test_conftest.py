"""The rules of conftest.py have teeth."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import random
import numpy as np
import torch

def test_random(): random.random()
def test_numpy(): np.random.rand()
def test_torch(): torch.rand(1)
def test_seeding(): np.random.seed(3)
def test_generators():
    random.Random(0).random(), np.random.default_rng(0).random(), torch.rand(1, generator=torch.Generator())
"""


def test_moving_the_global_random_state_fails_a_test(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_draws.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "."]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "5 passed, 4 errors" in run.stdout  # a fixture's failure after the test counts as an error
    for name in ("random", "numpy", "torch"):
        assert f"the global random state of {name} moved" in run.stdout
    assert "at teardown of test_generators" not in run.stdout
