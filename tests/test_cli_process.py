"""The command `lcpfn` as a process of its own: pipes, terminals, what it loads."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lcpfn.cli.demo import CURVES


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log of twelve epochs."""
    path = tmp_path / "log.csv"
    rows = [f"{epoch},{y}" for epoch, y in enumerate(CURVES["slow"].accuracy[:12], 1)]
    path.write_text("\n".join(["epoch,val_accuracy", *rows]))
    return str(path)


def process(*argv: str, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    command = [sys.executable, "-m", "lcpfn", *argv]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def test_a_reader_who_leaves_ends_it_quietly(log: str) -> None:
    with process("predict", log, "--horizon", "100", "--json") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(timeout=120) == 141


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,précision\n1,0.5\n2,0.6\n", encoding="utf-8")
    with process("predict", str(path), "--at", "5", env={"PYTHONIOENCODING": "ascii"}) as child:
        out, err = child.communicate(timeout=120)
    assert (child.returncode, err) == (0, "")
    assert r"pr\xe9cision" in out


def test_a_forecast_loads_neither_torch_nor_matplotlib(log: str) -> None:
    code = f"""
import sys
from lcpfn.cli import main
assert main(["predict", {log!r}, "--at", "50"]) == 0
assert not {{"torch", "jax", "matplotlib", "pandas"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)


def test_help_takes_so_long() -> None:
    start = time.perf_counter()
    with process("--help") as child:
        out, err = child.communicate(timeout=120)
    print(f"lcpfn --help: {time.perf_counter() - start:.2f} s")  # shown with pytest -rP, never judged
    assert (child.returncode, err) == (0, "")
    assert "predict" in out
