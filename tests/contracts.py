"""What every implementation of a protocol must do, as functions that a test calls with one of each."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import uniform
from statistical import differs_from_law

from lcpfn import Belief, Metric
from lcpfn.priors import Curves, Prior, by_name


def check_prior(prior: Prior, *, device: str = "cpu") -> None:
    """A prior draws well-formed curves that depend on the generator alone, and travels as JSON."""

    def drawn(n: int, t: torch.Tensor, seed: int = 0) -> Curves:
        return prior.sample(n, t, generator=torch.Generator(device).manual_seed(seed))

    grid = torch.arange(1.0, 101.0)
    times = {
        "1..100": grid,
        "whole numbers": torch.arange(1, 101),
        "a subset": torch.tensor([1.0, 7.0, 100.0]),
        "between the grid's": torch.tensor([1.0, 1.5, 33.3]),
        "beyond the grid": torch.tensor([50.0, 300.0]),
        "one": torch.tensor([20.0]),
    }
    for label, t in times.items():
        for n in (0, 1, 37):
            curves = drawn(n, t)
            assert len(curves) == n, label
            for name in ("t", "y", "signal"):
                values = getattr(curves, name)
                assert values.shape == (n, len(t)), (label, name)
                assert values.dtype == torch.float32, (label, name)
                assert values.device.type == device, (label, name)
            assert curves.seen.shape == (n, len(t)), label
            assert curves.seen.dtype == torch.bool, label
            assert torch.isfinite(curves.signal[curves.seen]).all(), label
            assert torch.equal(curves.t, t.to(device, torch.float32).expand(n, -1)), label

    first, again, other = drawn(50, grid), drawn(50, grid), drawn(50, grid, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(12345)  # no business of the prior's
        before = torch.random.get_rng_state()
        elsewhere = drawn(50, grid)
        assert torch.equal(torch.random.get_rng_state(), before), "the global generator moved"
    for name in ("y", "signal", "seen"):
        assert torch.equal(getattr(first, name), getattr(again, name)), f"{name}: one state, two results"
        assert torch.equal(getattr(first, name), getattr(elsewhere, name)), f"{name} depends on the global generator"
    assert not torch.equal(first.y, other.y), "two states, one result"
    assert len(torch.unique(first.signal[:, -1])) > 25, "curves of one batch repeat"
    generator = torch.Generator(device).manual_seed(0)
    assert torch.equal(prior.sample(50, grid, generator=generator).y, first.y)
    assert not torch.equal(prior.sample(50, grid, generator=generator).y, first.y), "the generator stood still"

    header = json.dumps(prior.parameters(), allow_nan=False)
    assert by_name(prior.name, json.loads(header)) == prior
    assert pickle.loads(pickle.dumps(prior)) == prior
    assert dataclasses.is_dataclass(prior)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(prior, dataclasses.fields(prior)[0].name, None)


def check_engine(engine) -> None:
    """An engine answers `predict` with beliefs of the right shape, that depend on the curve and the query alone."""
    y = np.array([0.20, 0.34, 0.41, 0.48, 0.50, 0.55])
    metric = Metric("max", bounds=(0, 1))
    for kind in ("value", "signal", "best"):
        single = engine.predict(y, [10, 30, 90], kind=kind, metric=metric)
        assert single.shape == (3,) and single.kind == kind and single.metric == metric
        np.testing.assert_array_equal(single.t, [10, 30, 90])
        batch = engine.predict([y, y[:2]], [10, 30, 90], kind=kind, metric=metric)
        assert batch.shape == (2, 3)
        for answer in (single, batch):
            low, middle, high = np.moveaxis(answer.quantile([0.05, 0.5, 0.95]), -1, 0)
            assert ((low < middle) & (middle < high)).all()
            assert ((answer.mean() > 0) & (answer.mean() < 1)).all()
            assert np.isfinite(answer.log_prob(0.7)).all() and (answer.crps(0.7) >= 0).all()
            np.testing.assert_allclose(answer.prob_better(0.6) + answer.cdf(0.6), 1, atol=1e-9)
        np.testing.assert_allclose(batch[0].median(), single.median(), rtol=1e-3)
        lone = engine.predict(y, [30], kind=kind, metric=metric)
        np.testing.assert_allclose(lone.median(), single.median()[1:2], rtol=1e-3)
        mirrored = engine.predict(1 - y, [30], kind=kind, metric=Metric("min", bounds=(0, 1)))
        np.testing.assert_allclose(mirrored.median(), 1 - lone.median(), rtol=1e-3)
    assert engine.predict(y, horizon=9, metric=metric).shape == (3,)


def check_belief(belief: Belief) -> None:
    """A belief is an immutable value whose answers fit together; any law, transform, direction and bounds."""
    shape, name = belief.shape, repr(belief)
    low, high = (-np.inf if belief.metric.overshoot or end is None else end for end in belief.metric.bounds)
    high = np.inf if np.isneginf(high) else high

    assert belief.t.shape == belief.location.shape == belief.scale.shape == shape, name
    with pytest.raises(dataclasses.FrozenInstanceError):
        belief.kind = "signal"
    for array in (belief.t, belief.location, belief.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert len(name) < 80 and belief.kind in name and belief.metric.direction in name and str(shape) in name

    mean, std, median = belief.mean(), belief.std(), belief.median()
    assert mean.shape == std.shape == median.shape == shape, name
    assert np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all(), name
    assert ((mean >= low) & (mean <= high) & (median >= low) & (median <= high)).all(), name

    levels = np.linspace(0.01, 0.99, 99)
    y = belief.quantile(levels)  # (..., 99)
    assert y.shape == (*shape, 99) and (np.diff(y) >= 0).all(), name
    np.testing.assert_array_equal(y[..., 49], median)
    np.testing.assert_allclose(belief.interval(0.9), y[..., [4, 94]], rtol=1e-9, atol=1e-12, err_msg=name)
    x = np.moveaxis(y, -1, 0)  # (99, ...)
    cdf = belief.cdf(x)
    np.testing.assert_allclose(np.moveaxis(cdf, 0, -1), np.broadcast_to(levels, y.shape), atol=1e-7, err_msg=name)
    np.testing.assert_allclose(cdf + belief.prob_above(x), 1, atol=1e-12, err_msg=name)
    better = belief.prob_above(x) if belief.metric.direction == "max" else cdf
    np.testing.assert_array_equal(belief.prob_better(x), better)

    edges = np.moveaxis(belief.quantile(np.linspace(0.02, 0.98, 961)), -1, 0)
    middle = np.exp(belief.log_prob((edges[1:] + edges[:-1]) / 2))
    np.testing.assert_allclose((middle * np.diff(edges, axis=0)).sum(axis=0), 0.96, rtol=0.02, err_msg=name)
    far = np.stack([mean - 50 * std, mean + 50 * std])
    inside = (far >= low) & (far <= high)
    assert np.isfinite(belief.log_prob(far)[inside]).all() and np.isneginf(belief.log_prob(far)[~inside]).all(), name
    outside = np.array([end for end in (low - 1, high + 1) if np.isfinite(end)]).reshape(-1, *(1 for _ in shape))
    assert np.isin(belief.cdf(outside), (0.0, 1.0)).all(), name

    assert (belief.crps(x) >= 0).all(), name
    grid = (np.arange(4000) + 0.5) / 4000
    sampled = np.moveaxis(belief.quantile(grid), -1, 0)
    grid = grid.reshape(-1, *(1 for _ in shape))
    for outcome in (x[9], x[80]):  # twice the pinball loss, over all levels
        pinball = 2 * ((outcome < sampled) - grid) * (sampled - outcome)
        np.testing.assert_allclose(belief.crps(outcome), pinball.mean(axis=0), rtol=0.03, err_msg=name)

    draws = belief.sample(2000, generator=np.random.default_rng(0))
    assert draws.shape == (2000, *shape) and ((draws >= low) & (draws <= high)).all(), name
    again = belief.sample(2000, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(draws, again)
    assert not differs_from_law(belief.cdf(draws).reshape(-1), uniform.cdf), name

    stacked = belief[None]
    assert stacked.shape == (1, *shape) and len(stacked) == 1, name
    for part, index in ((stacked[0], ...), (belief[..., :2] if shape else belief, np.s_[..., :2] if shape else ...)):
        np.testing.assert_array_equal(part.t, belief.t[index])
        np.testing.assert_array_equal(part.mean(), mean[index])
        np.testing.assert_array_equal(part.std(), std[index])
        np.testing.assert_array_equal(part.quantile(levels), y[index] if index is ... else y[..., :2, :])
        np.testing.assert_array_equal(part.log_prob(0.3), belief.log_prob(0.3)[index])
        np.testing.assert_array_equal(part.cdf(0.3), belief.cdf(0.3)[index])
        np.testing.assert_array_equal(part.crps(0.3), belief.crps(0.3)[index])
    with pytest.raises(IndexError):
        belief[(0,) * (len(shape) + 1)]
