"""Archives: a CSV in a zip file, arrays of NumPy, and those that are damaged, pickled, or larger than they look."""

import io
import json
import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn import cli, logs
from lcpfn.logs import archive

STEPS = np.array([1000, 2000, 3000])
REWARDS = np.array([[1.0, 3.0], [2.0, 6.0], [5.0, 7.0]])


def baselines(path: Path) -> Path:
    """As EvalCallback of Stable-Baselines3 writes it."""
    np.savez(path, timesteps=STEPS, results=REWARDS, ep_lengths=np.array([[9, 11], [10, 20], [30, 30]]))
    return path


def test_evaluations_of_stable_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = baselines(tmp_path / "evaluations.npz")
    for where in (path, tmp_path):
        curve = logs.read(where, metric="mean_reward", clock="timesteps")
        assert (curve.y.tolist(), curve.t.tolist()) == ([2.0, 4.0, 6.0], STEPS.tolist())
        assert curve.metric is not None and curve.metric.direction == "max"
        assert logs.read(where, metric="mean_ep_length", clock="timesteps").y.tolist() == [10, 15, 30]
    question = ["predict", str(path), "--metric", "mean_reward", "--time-column", "timesteps", "--at", "9000", "--json"]
    assert cli.main(question) == 0
    assert json.loads(capsys.readouterr().out)["observed"]["last"] == {"t": 3000, "y": 6.0}


def test_arrays_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "curves.npz"
    acc = np.array([0.1, np.nan, 0.3], dtype=np.float32)
    np.savez_compressed(path, epoch=[5, 10, 15], val_acc=acc, names=np.array(["a"]), cube=np.zeros((2, 2, 2)))
    curve = logs.read(path, clock="epoch")
    np.testing.assert_allclose(curve.y, [0.1, np.nan, 0.3], rtol=1e-6)
    assert curve.name == "val_acc"


def test_a_table_in_a_zip_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.csv.zip"
    frame = pd.DataFrame({"epoch": [1, 2, 3], "val_acc": [0.1, 0.2, 0.3], "config_lr": [0.1] * 3})
    frame.to_csv(path, index=False)  # as Syne Tune does
    for where in (path, tmp_path):
        curve = logs.read(where)
        assert (curve.name, curve.clock, curve.y.tolist()) == ("val_acc", "epoch", [0.1, 0.2, 0.3])
    assert cli.main(["predict", str(path), "--horizon", "9"]) == 0
    assert capsys.readouterr().out.startswith("val_acc (higher is better, from 0 to 1: by its name): 3 values seen")


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "."), data)
    return path


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def header(shape: str, descr: str = "<f8") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"


ARRAYS = {
    "a huge shape": (
        npy(header("(1000000000,)"), bytes(8)),
        r"shape \(1000000000,\) does not fit the 8 bytes",
    ),
    "a huge plane": (npy(header("(99999999999, 99999999999)")), "does not fit the 0 bytes"),
    "a negative shape": (npy(header("(-1,)"), bytes(8)), "does not fit|no array of numbers"),
    "a long shape": (npy(header("(" + "9" * 5000 + ",)")), "no array of numbers"),
    "pickled objects": (npy(header("(1,)", "|O"), b"\x80\x04."), "Python objects, which are never unpickled"),
    "a deep header": (npy("(" * 5000), "no array of numbers"),
    "no header": (npy("{}"), "no array of numbers"),
    "no array": (b"hello", "no array of numbers"),
    "nothing": (b"", "no array of numbers"),
}


@pytest.mark.parametrize(("data", "message"), ARRAYS.values(), ids=ARRAYS)
def test_hostile_arrays(tmp_path: Path, data: bytes, message: str) -> None:
    path = packed(tmp_path / "evaluations.npz", results__npy=data)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"evaluations\.npz/results\.npy is no array of numbers: ") as error:
        logs.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert re.search(message, str(error.value)) and peak < 1 << 24  # bytes


@pytest.mark.parametrize("name", ["results__csv", "results__npy"])
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST", 1 << 20)
    path = packed(tmp_path / "log.zip", **{name: b"epoch,acc\n" + b"0" * (1 << 26)})
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"log\.zip/results\.... has more than 1 MiB when unpacked: unpack it first"):
        logs.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 23  # bytes, of the 64 MiB


def test_archives_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold one file \.csv, \.tsv, \.txt to be read, there is none"):
        logs.read(packed(tmp_path / "model.zip", policy__pth=b"weights"))
    with pytest.raises(ValueError, match="there is 2 of them; unpack it"):
        logs.read(packed(tmp_path / "model.zip", a__csv=b"1\n2\n", b__csv=b"1\n2\n"))
    with pytest.raises(ValueError, match="holds no log that can be read"):
        logs.read(tmp_path)  # in a folder, it may be anything


@given(cut=st.integers(0, 10_000), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_damaged_archives_give_the_values_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    buffer = io.BytesIO()
    np.savez(buffer, timesteps=STEPS, results=REWARDS)
    data = bytearray(buffer.getvalue())
    data[at % len(data)] ^= 1 << bit
    for content in (data, buffer.getvalue()[: cut % len(data)]):
        path = folder / "evaluations.npz"
        path.write_bytes(content)
        problem, values = "", [2.0, 4.0, 6.0]
        try:
            if archive.is_zip(content) and archive.is_arrays(path):
                found = [run for run in archive.read_arrays(path, name="a") if "mean_reward" in run.metrics]
                values = [*found[0].table("mean_reward").numbers(-1)] if found else values
        except ValueError as error:
            problem = str(error)
        assert values == [2.0, 4.0, 6.0]
        assert not problem or str(path) in problem
