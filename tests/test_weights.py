"""Config and weights are held against each other when a network is loaded, and nothing else of a file is believed."""

import dataclasses
import json
import os
import struct

import numpy as np
import pytest
import safetensors.numpy
import torch
from networks import FREE, PAPER, TINY, random_pfn

from lcpfn import PFN, Metric
from lcpfn.network.checkpoint import FORMAT, KEY, MAX_TEXT, Checkpoint
from lcpfn.network.shapes import MAX_WEIGHT, shapes
from lcpfn.pfn import load
from lcpfn.training.transformer import Transformer

FACTS = dict.fromkeys(("seed", "commit", "curves_seen", "scores", "versions"))
HEADER = {
    "format": FORMAT,
    "config": {"model": {}, "coordinates": {}},
    "prior": {"name": "paper", "parameters": {}},
    **FACTS,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize("coordinates", [PAPER, FREE, dataclasses.replace(FREE, ends=True)])
@pytest.mark.parametrize("divergence", [True, False])
def test_the_shapes_are_those_of_the_training_twin(coordinates, divergence):
    config = dataclasses.replace(TINY, layers=3, hidden=40, divergence=divergence)
    with torch.random.fork_rng(devices=[]):
        network = Transformer(config, coordinates)
    assert shapes(config, coordinates) == {name: tuple(p.shape) for name, p in network.named_parameters()}


def _changed(**model):
    made = random_pfn().checkpoint
    return {"model": made.config["model"] | model, "coordinates": made.config["coordinates"]}


@pytest.mark.parametrize(
    ("part", "name", "value", "taken"),
    [
        ("model", "head", "mixture", True),
        ("model", "layout", "causal", True),
        ("coordinates", "values", "local", True),
        ("model", "head", "bars", False),
        ("model", "layout", "original", False),
        ("coordinates", "values", "unit", False),
        ("model", "head", None, False),
    ],
)
def test_a_choice_that_only_benchmarks_have_is_refused_and_the_other_one_is_forgotten(part, name, value, taken):
    made = random_pfn()
    config = {**made.checkpoint.config, part: {**made.checkpoint.config[part], name: value}}
    checkpoint = dataclasses.replace(made.checkpoint, config=config)
    if taken:
        assert PFN(checkpoint).predict([0.1, 0.2], 5).mean() == made.predict([0.1, 0.2], 5).mean()
        return
    with pytest.raises(ValueError, match=rf"must have {name}='.*', got '{value}'.*opponents\.original"):
        PFN(checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 1}, "layers=1 and weights of 2 layers"),
        ({"layers": 10**9}, r"layers=1e\+09 and weights of 2 layers"),
        ({"components": 6}, r"expected 'head.weight' of shape \(18, 48\) and type float32 .* got shape \(15, 48\)"),
        ({"components": 10**300}, "expected 'head.weight' of shape"),
        ({"width": 64}, "expected 'start' of shape"),
        ({"hidden": 65}, "expected 'blocks.0.up.weight' of shape"),
        ({"decoder": 47}, "expected 'kinds.weight' of shape"),
        ({"divergence": True}, "expected 'head.weight' of shape"),
    ],
)
def test_a_config_that_asks_for_other_weights_is_refused_at_load(change, message, path):
    pfn = random_pfn()
    odd = Checkpoint(_changed(**change), pfn.checkpoint.weights, pfn.checkpoint.provenance)
    with pytest.raises(ValueError, match=message):
        PFN(odd)
    odd.write(path)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("think.bias"), "missing 'think.bias', unexpected none"),
        (lambda w: w.update(extra=np.zeros(2, np.float32)), "missing none, unexpected 'extra'"),
        (lambda w: w.update({"start": w["start"][None]}), r"'start' of shape \(32,\) .*, got shape \(1, 32\)"),
        (lambda w: w.update({"start": w["start"] * 0 + 1e38}), r"at most 1000 in size, got 1e\+38 at 'start'"),
        (lambda w: w.update({"start": w["start"].astype(float) * 0 - 1e300}), r"got 1e\+300 at 'start'"),
        (lambda w: w.clear(), "layers=2 and weights of 0 layers"),
    ],
)
def test_weights_that_the_config_does_not_ask_for_are_refused(change, message):
    made = random_pfn().checkpoint
    weights = dict(made.weights)
    change(weights)
    with pytest.raises(ValueError, match=message):
        PFN(dataclasses.replace(made, weights=weights))


@pytest.mark.parametrize(
    "part",
    [{"heads": 2}, {"heads": 8}, {"limit": 50}],
)
def test_a_shipped_network_takes_no_other_config_though_all_shapes_fit(part):
    made = load("paper").checkpoint
    odd = {"model": made.config["model"] | part, "coordinates": made.config["coordinates"]}
    with pytest.raises(ValueError, match="config is not its own"):
        PFN(dataclasses.replace(made, config=odd))


def test_a_file_whose_header_or_weights_were_changed_is_refused(path):
    """Also where all shapes fit, and every number is fine."""
    random_pfn().checkpoint.write(path)
    load(path)
    data = path.read_bytes()
    assert data.count(b'heads\\": 2') == 1
    for changed in (data.replace(b'heads\\": 2', b'heads\\": 4'), data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="is not what was written: config or weights were changed or damaged"):
            load(path)


@pytest.mark.parametrize("coordinates", [PAPER, FREE])
def test_the_largest_weights_that_are_taken_give_finite_beliefs(coordinates):
    """MAX_WEIGHT with random signs, all aligned, and alternating."""
    made = random_pfn(coordinates=coordinates).checkpoint
    dice = np.random.default_rng(0)
    for sign in (lambda shape: dice.choice([-1.0, 1.0], shape), np.ones, lambda shape: -np.ones(shape)):
        weights = {name: (MAX_WEIGHT * sign(w.shape)).astype(np.float32) for name, w in made.weights.items()}
        belief = PFN(dataclasses.replace(made, weights=weights)).predict(
            [0.2, 0.3, 0.9], [4, 100], metric=Metric("max", bounds=(0, 1))
        )
        assert np.isfinite(belief.quantile([0.05, 0.5, 0.95])).all() and np.isfinite(belief.mean()).all()


def test_hostile_headers_are_refused(path):
    for text, message in [
        ("[" * 900 + "]" * 900, "damaged header|format number"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ('{"format": ' + "9" * 5000 + "}", "damaged header"),
        ('{"format": 1, "x": "' + "x" * MAX_TEXT + '"}', "at most 10,000,000 characters"),
        (json.dumps(HEADER | {"x": None}).replace("null}", "1e999}"), "must be finite"),
    ]:
        path.write_bytes(safetensors.numpy.save({}, metadata={KEY: text}))
        with pytest.raises(ValueError, match=message):
            Checkpoint.read(path)


@pytest.mark.parametrize(
    "clock", [5, [1], [10**400, 1], "ab", [None, None], [[1], 2], {"a": 1}, [0, 0]], ids=lambda clock: str(clock)[:9]
)
def test_a_clock_of_nonsense_is_a_value_error(clock):
    made = random_pfn().checkpoint
    odd = {"model": made.config["model"], "coordinates": made.config["coordinates"] | {"clock": clock}}
    with pytest.raises(ValueError):
        PFN(dataclasses.replace(made, config=odd))


def test_a_file_larger_than_any_network_is_not_read_into_memory(path):
    header = {"__metadata__": {KEY: json.dumps(HEADER)}}
    header["w"] = {"dtype": "F32", "shape": [10**5, 10**5], "data_offsets": [0, 4 * 10**10]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 4 * 10**10)  # sparse: takes no room
    with pytest.raises(ValueError, match="at most 50,000,000 numbers, got 10,000,000,000"):
        Checkpoint.read(path)


def test_a_pipe_or_a_device_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(ValueError, match="a pipe, a device or a socket"):
            load(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("change", [{"prior": {"name": "paper", "parameters": {}, "bounds": 1.5}}, {"alarm": 5}])
def test_facts_of_nonsense_are_value_errors(change):
    made = random_pfn().checkpoint
    with pytest.raises(ValueError, match=r"bounds must be a pair|the header's \"alarm\" must be as"):
        PFN(dataclasses.replace(made, provenance=made.provenance | change))
