"""The forward pass of the package is that of training."""

import numpy as np
import pytest
import torch
from networks import FREE, PAPER, TINY, random_network, random_pfn
from originals import UnitCoordinates

from lcpfn.network.config import ModelConfig
from lcpfn.network.forward import Cache, Network
from lcpfn.query import KINDS

CURVES, POINTS = 3, 20


def _inputs(coordinates, seed=0):
    random = np.random.default_rng(seed)
    t = np.cumsum(random.uniform(0.5, 2.0, (CURVES, POINTS)), axis=1)
    y = np.clip(0.5 + 0.3 * np.tanh(t / 10) + random.normal(0, 0.02, t.shape), 0, 1)
    lower, upper = np.zeros(CURVES), np.ones(CURVES)
    if not coordinates.bounded:
        lower, upper = lower - np.inf, upper + np.inf
    after = np.broadcast_to(np.arange(POINTS + 1), (CURVES, POINTS + 1)).copy()
    t_query = np.concatenate([np.ones((CURVES, 1)), t], axis=1) + random.uniform(0.1, 9.0, after.shape)
    view = coordinates.frame(t, y, lower, upper, np)
    return view, t, after, t_query


@pytest.mark.parametrize("coordinates", [PAPER, FREE, UnitCoordinates()])
def test_coordinates_read_the_same_from_numpy_and_torch(coordinates):
    view, t, after, t_query = _inputs(coordinates)
    random = np.random.default_rng(0)
    y = random.uniform(0, 1, t.shape)
    lower, upper = (np.full(CURVES, side if coordinates.bounded else np.inf * (2 * side - 1)) for side in (0.0, 1.0))
    ours = coordinates.frame(t, y, lower, upper, np)
    theirs = coordinates.frame(*(torch.tensor(part) for part in (t, y, lower, upper)), torch)
    for numpy_part, torch_part in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(numpy_part, torch_part.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        coordinates.query(t, t_query, after, np),
        coordinates.query(*(torch.tensor(part) for part in (t, t_query, after)), torch).numpy(),
        rtol=1e-12,
    )
    assert view.tokens.shape[-1] == coordinates.token_features


@pytest.mark.parametrize("coordinates", [PAPER, FREE])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_forward_equals_that_of_training_within_1e_4(coordinates, backend):
    view, t, after, t_query = _inputs(coordinates)
    twin = random_network(TINY, coordinates)
    pfn = random_pfn(TINY, coordinates, device=None if backend == "numpy" else "cpu")
    tokens = view.tokens.astype(np.float32)
    features = coordinates.query(t, t_query, after, np).astype(np.float32)
    with torch.no_grad():
        states = twin.encode(torch.tensor(tokens))
        for kind in range(len(KINDS)):
            wanted = twin.decode(states, torch.tensor(features), torch.tensor([kind])).numpy()
            got = pfn.inference.network.decode(
                pfn.inference.encode(tokens), pfn.inference.network.xp.asarray(features), kind
            )
            np.testing.assert_allclose(np.asarray(got), wanted, atol=1e-4)


def test_cached_points_give_the_same_states_as_one_pass():
    view, *_ = _inputs(PAPER)
    network: Network = random_pfn().inference.network
    tokens = view.tokens.astype(np.float32)
    whole = network.encode(tokens)
    cache = Cache()
    parts = [
        network.encode(tokens[:, :7], cache),
        network.encode(tokens[:, 7:8], cache),
        network.encode(tokens[:, 8:], cache),
    ]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


def test_a_state_does_not_see_later_points():
    view, *_ = _inputs(PAPER)
    network = random_pfn().inference.network
    tokens = view.tokens.astype(np.float32)
    changed = tokens.copy()
    changed[:, 12:] += 1.0
    before, after = network.encode(tokens), network.encode(changed)
    np.testing.assert_array_equal(before[:, :13], after[:, :13])
    assert np.abs(before[:, 13:] - after[:, 13:]).max() > 1e-3


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 30, "heads": 4}, {"layers": 1.5}, {"components": "8"}])
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelConfig(**wrong)
