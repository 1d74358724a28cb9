"""Checkpoints come back as they were written, replace files in one step, and refuse what they are not."""

import copy
import io
import json
import os
import pickle
import struct
from dataclasses import FrozenInstanceError

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcpfn.network.checkpoint import FORMAT, KEY, Checkpoint, digest

CONFIG = {"model": {"width": 8, "heads": 2}, "coordinates": {"values": "local", "clock": [1.0, 100.0]}}
PROVENANCE = {
    "prior": {"name": "paper", "parameters": {}},
    "seed": 0,
    "commit": None,
    "curves_seen": 1000,
    "scores": {"log_score": {"10": 1.5}},
    "versions": {"numpy": np.__version__},
}
WEIGHTS = {
    "encoder.weight": np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4),
    "bias": np.array([0.1, 1e-3], np.float32),
    "scalar": np.array(0.3, np.float32),
    "empty": np.zeros((0, 3), np.float32),
}
HEADER = {"format": FORMAT, "config": CONFIG, **PROVENANCE}


def checkpoint(weights=WEIGHTS, **changes):
    return Checkpoint(CONFIG, weights, {**PROVENANCE, **changes})


def same(a, b):
    return (
        (a.config, a.provenance, list(a.weights)) == (b.config, b.provenance, list(b.weights))
        and all(np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)
        and all(a.weights[name].dtype == b.weights[name].dtype for name in a.weights)
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tiny.safetensors"


# ------------------------------------------------------------------------------------------------------------ the value


def test_a_file_gives_back_what_was_written(path):
    checkpoint().write(path)
    assert same(Checkpoint.read(path), checkpoint())
    assert same(Checkpoint.read(str(path)), checkpoint())


@pytest.mark.parametrize(
    ("held", "stored", "read"),
    [
        ("float32", None, "float32"),
        ("float64", None, "float64"),
        ("float16", None, "float32"),
        ("float32", "float16", "float32"),
        ("float64", "float16", "float32"),
        ("float64", "float32", "float32"),
        ("float32", "float64", "float64"),
        (">f4", None, "float32"),
    ],
)
def test_float16_is_read_as_float32_and_float64_stays(path, held, stored, read):
    values = np.array([0.1, -3.0, 1e-3]).astype(held)
    checkpoint({"w": values}).write(path, dtype=stored)
    back = Checkpoint.read(path).weights["w"]
    assert back.dtype == read
    assert np.array_equal(back, values.astype(stored or read).astype(read))


def test_float16_halves_the_file(path):
    checkpoint({"w": np.zeros(10_000, np.float32)}).write(path)
    full = path.stat().st_size
    checkpoint({"w": np.zeros(10_000, np.float32)}).write(path, dtype="float16")
    assert full - path.stat().st_size == pytest.approx(20_000, abs=8)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    turned = Checkpoint(
        dict(reversed(CONFIG.items())), dict(reversed(WEIGHTS.items())), dict(reversed(PROVENANCE.items()))
    )
    paths = [tmp_path / name for name in "abc"]
    checkpoint().write(paths[0], dtype="float16")
    turned.write(paths[1], dtype="float16")
    Checkpoint.read(paths[0]).write(paths[2], dtype="float16")
    assert len({path.read_bytes() for path in paths}) == 1
    assert len({digest(path) for path in paths}) == 1


def test_the_digest_is_that_of_sha256sum(path):
    path.write_bytes(b"abc")
    assert (
        digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, appendix B.1


def test_a_checkpoint_is_immutable_and_a_copy():
    config, weights = copy.deepcopy(CONFIG), {"w": np.zeros(3, np.float32)}
    held = Checkpoint(config, weights)
    config["model"]["width"] = 9
    weights["w"][0] = 1  # the caller trains on
    assert held.config == CONFIG
    assert held.weights["w"][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        held.weights["w"][0] = 1
    with pytest.raises(FrozenInstanceError):
        held.config = {}


def test_a_view_with_strides_is_stored_by_its_values(path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    checkpoint({"turned": values.T, "every second": values[:, ::2]}).write(path)
    back = Checkpoint.read(path).weights
    assert np.array_equal(back["turned"], values.T)
    assert np.array_equal(back["every second"], values[:, ::2])


def test_numbers_of_numpy_and_tuples_become_plain_json(path):
    provenance = {**PROVENANCE, "seed": np.int64(3), "scores": {"crps": np.float32(0.5), "at": (1, 2), "ok": np.True_}}
    held = Checkpoint(CONFIG, WEIGHTS, provenance)
    assert held.provenance["scores"] == {"crps": 0.5, "at": [1, 2], "ok": True}
    assert type(held.provenance["seed"]) is int
    held.write(path)
    assert same(Checkpoint.read(path), held)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
stored = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=3),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


names = st.text(max_size=5)  # too short for "__metadata__", which the format keeps to itself


@given(st.dictionaries(st.text(), json_values, max_size=3), st.dictionaries(names, stored, max_size=3))
def test_any_names_and_notes_survive(tmp_path_factory, notes, weights):
    path = tmp_path_factory.getbasetemp() / "property.safetensors"
    held = Checkpoint({**CONFIG, "notes": notes}, weights, PROVENANCE)
    held.write(path)
    assert same(Checkpoint.read(path), held)


@pytest.mark.parametrize(
    ("config", "weights", "provenance", "error", "message"),
    [
        ([], {}, {}, TypeError, "config must be a dict, got list"),
        ({}, {}, None, TypeError, "provenance must be a dict, got NoneType"),
        ({}, {}, {"scores": {10: 1.5}}, TypeError, r"keys of provenance.scores must be strings .*, got 10"),
        ({"model": {"path": os}}, {}, {}, TypeError, "config.model.path must be storable as JSON, got module"),
        ({"sizes": [1, {2}]}, {}, {}, TypeError, r"config.sizes\[1\] must be storable as JSON, got set"),
        ({}, {}, {"loss": float("nan")}, ValueError, "provenance.loss must be finite .* got nan; use None"),
        ({}, {"w": [1.0]}, {}, TypeError, "weights must be NumPy arrays .* got list at 'w'"),
        ({}, {"w": torch.zeros(1)}, {}, TypeError, "got Tensor at 'w'"),
        ({}, {"w": np.zeros(1, int)}, {}, TypeError, "got int64 at 'w'"),
        ({}, {"w": np.zeros(1, complex)}, {}, TypeError, "got complex128 at 'w'"),
        ({}, {3: np.zeros(1)}, {}, TypeError, "names of weights must be strings other than '__metadata__', got 3"),
        ({}, {"__metadata__": np.zeros(1)}, {}, TypeError, "names of weights .* got '__metadata__'"),
        ({}, [np.zeros(1)], {}, TypeError, "weights must be a dict, got list"),
        ({}, {"w": np.array([0, np.nan])}, {}, ValueError, "weights must be finite, got NaN or infinity at 'w'"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_at_once(config, weights, provenance, error, message):
    with pytest.raises(error, match=message):
        Checkpoint(config, weights, provenance)


# ---------------------------------------------------------------------------------------------------------- writing


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    checkpoint().write(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint(seed=1).write(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_whole_file_is_on_the_disk_before_it_takes_the_name(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists())))
    checkpoint().write(path)
    assert synced[0] == (path.stat().st_size, False)  # then the folder's entry


def test_an_interrupt_leaves_nothing_behind(path, monkeypatch):
    def interrupted(source, target):
        assert os.path.dirname(source) == os.path.dirname(target)  # a rename is atomic within a file system only
        assert Checkpoint.read(source).provenance["seed"] == 0  # complete before it takes the name
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint().write(path)
    assert list(path.parent.iterdir()) == []


def test_a_file_gets_the_permissions_of_any_other(path):
    plain = path.with_suffix(".txt")
    plain.write_text("")
    checkpoint().write(path)
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", np.float16])
def test_other_types_are_not_stored(path, dtype):
    with pytest.raises(ValueError, match='dtype must be "float16", "float32" or "float64", got'):
        checkpoint().write(path, dtype=dtype)


def test_weights_that_float16_cannot_hold_are_not_stored(path):
    with pytest.raises(ValueError, match="weights must fit float16, got 7e\\+04 at 'w'; store a wider type"):
        checkpoint({"v": np.ones(1), "w": np.array([-7e4])}).write(path, dtype="float16")
    assert not path.exists()


@pytest.mark.parametrize(
    ("config", "provenance", "message"),
    [
        (CONFIG, {}, "missing are prior, seed, commit, curves_seen, scores, versions"),
        ({"model": {}}, PROVENANCE, "missing are config.coordinates"),
        (CONFIG, {**PROVENANCE, "prior": {"name": "paper"}}, "missing are prior.parameters"),
        (CONFIG, {**PROVENANCE, "prior": "paper"}, "missing are prior.name, prior.parameters"),
        (CONFIG, {**PROVENANCE, "config": {}, "format": 2}, r"provenance must not hold \['config', 'format'\]"),
    ],
)
def test_a_file_must_say_what_it_is_and_where_it_comes_from(path, config, provenance, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint(config, WEIGHTS, provenance).write(path)
    assert not path.exists()


def test_folders_are_no_place_for_a_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="a checkpoint is one file, got the folder"):
        checkpoint().write(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the folder of a checkpoint must exist, .*; create .*missing first"):
        checkpoint().write(tmp_path / "missing" / "tiny.safetensors")


# ---------------------------------------------------------------------------------------------------------- reading


def bytes_of(header=HEADER, weights=WEIGHTS):
    text = header if isinstance(header, str) else json.dumps(header)
    return safetensors.numpy.save(weights, metadata={KEY: text})


def by_hand(dtype, begin):
    """A safetensors file of two elements, made without the library, whose first byte is `begin`."""
    tensors = {"__metadata__": {KEY: json.dumps(HEADER)}, "w": {"dtype": dtype, "shape": [2], "data_offsets": [0, 4]}}
    text = json.dumps(tensors).encode()
    length = len(text) + (begin - len(text)) % 256
    return struct.pack("<Q", length) + text.ljust(length) + b"\0\0\0\0"


def torch_saved(**options):
    torch.save({"w": torch.zeros(2)}, buffer := io.BytesIO(), **options)
    return buffer.getvalue()


def without(*names):
    return {name: part for name, part in HEADER.items() if name not in names}


REFUSED = {
    "empty": (b"", "is empty; copy or download it again"),
    "a few bytes": (bytes_of()[:5], "not a safetensors file, or was cut off at its very beginning"),
    "half a header": (bytes_of()[:100], "is cut off or damaged"),
    "header alone": (bytes_of()[: 8 + struct.unpack("<Q", bytes_of()[:8])[0]], "is cut off or damaged"),
    "last byte missing": (bytes_of()[:-1], "is cut off or damaged"),
    "more than the file": (bytes_of() + b"\0", "is cut off or damaged"),
    "text": (b"These are not the weights you are looking for.", "is not a safetensors file"),
    "JSON": (b'{"format": 1}', "is not a safetensors file"),
    "torch.save": (torch_saved(), "is a zip archive, as torch.save writes; .* any code, .*Checkpoint.*write"),
    "old torch.save": (torch_saved(_use_new_zipfile_serialization=False), "is a pickle, as torch.save writes"),
    "pickle": (pickle.dumps({"w": [0.0]}), "is a pickle, as torch.save writes"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "run `git lfs pull`"),
    "no header": (safetensors.numpy.save(WEIGHTS), "no 'lcpfn' header"),
    "foreign header": (safetensors.numpy.save(WEIGHTS, metadata={"format": "pt"}), "no 'lcpfn' header"),
    "header not JSON": (bytes_of("{"), "has a damaged header"),
    "header a list": (bytes_of([]), "without a valid format number, got None"),
    "no format": (bytes_of(without("format")), "without a valid format number, got None"),
    "format text": (bytes_of({**HEADER, "format": "1"}), "without a valid format number, got '1'"),
    "format 0": (bytes_of({**HEADER, "format": 0}), "without a valid format number, got 0"),
    "format true": (bytes_of({**HEADER, "format": True}), "without a valid format number, got True"),
    "newer": (bytes_of({"format": 2}), "newer version, in format 2, and this one reads up to 1: upgrade lcpfn"),
    "no config": (bytes_of(without("config", "seed")), "incomplete header, without config, seed"),
    "no model": (bytes_of({**HEADER, "config": {"coordinates": {}}}), "incomplete header, without config.model"),
    "config null": (bytes_of({**HEADER, "config": None}), "without config.model, config.coordinates"),
    "prior text": (bytes_of({**HEADER, "prior": "paper"}), "without prior.name, prior.parameters"),
    "whole numbers": (bytes_of(weights={"w": np.zeros(2, int)}), "must store weights as F16, F32, F64, got I64 at 'w'"),
    "bfloat16": (by_hand("BF16", begin=0), "got BF16 at 'w'; bfloat16 keeps too few digits"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_other_files_are_refused_by_name(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        Checkpoint.read(path)
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize("begin", [0x80, 0x50])
def test_a_file_that_happens_to_begin_like_a_pickle_is_read(path, begin):
    path.write_bytes(by_hand("F16", begin))
    assert path.read_bytes()[0] == begin
    assert Checkpoint.read(path).weights["w"].tolist() == [0, 0]


def test_weights_that_are_not_finite_are_not_read(path):
    path.write_bytes(bytes_of(weights={"w": np.array([np.inf])}))
    with pytest.raises(ValueError, match="weights must be finite"):
        Checkpoint.read(path)


def test_missing_files_and_folders_are_told_apart(path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*tiny\.safetensors"):
        Checkpoint.read(path)
    with pytest.raises(IsADirectoryError, match=r"a checkpoint is one \.safetensors file, got the folder"):
        Checkpoint.read(path.parent)


class Payload:
    def __reduce__(self):
        return pytest.fail, ("the pickle was loaded",)


def test_no_pickle_is_ever_loaded(path):
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="is a pickle"):
        Checkpoint.read(path)
