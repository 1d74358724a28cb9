"""The level that holds over all looks, on simulated runs that would have won; and the factors that are kept of them."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statistical import Z

import lcpfn
from lcpfn.metric import Metric
from lcpfn.stopping.thresholds import GAPS, RATIOS, STARTS

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "benchmarks"))
    simulation = importlib.import_module("stopping.simulation")


@pytest.fixture(scope="module", params=[100, 20])
def found(request: pytest.FixtureRequest) -> Any:
    """Runs of the paper's prior that beat their incumbent, drawn with another seed than the stored table's."""
    torch = pytest.importorskip("torch")
    from lcpfn.priors import Paper

    drawn = Paper().sample(8000, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(11))
    return simulation.winners(
        lcpfn.load("paper"),
        drawn.y.double().numpy()[:, : request.param],
        metric=Metric("max", bounds=(0, 1), overshoot=True),
        runs=(1, 8, 32),
        each=100,
        generator=np.random.default_rng(12),
    )


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("every", [1, 5, 10])
@pytest.mark.parametrize("start", STARTS)
def test_runs_that_would_win_are_stopped_no_more_often_than_the_level(
    found: Any, level: float, every: int, start: str
) -> None:
    stopped = found.false_stops(start, level, every=every)
    assert stopped.mean() <= level + Z * math.sqrt(level * (1 - level) / len(stopped))


def test_comparing_with_the_level_at_every_look_breaks_the_promise(found: Any) -> None:
    """Proof of teeth: the rule that spends nothing fails the test above."""
    level, hard = 0.05, found.runs == 32
    naive = found.false_stops("higher", level, spend=False)[hard].mean()
    assert naive > level + Z * math.sqrt(level * (1 - level) / hard.sum())


def test_winners_win_and_are_certain_once_they_did(found: Any) -> None:
    assert len(found.p) == len(found.runs) == 300
    assert np.all((found.p >= 0) & (found.p <= 1))
    assert found.p[:, -1].mean() > 0.5 > found.p[found.runs == 32, 0].mean()
    over = np.maximum.accumulate(found.p == 1, axis=1)
    assert np.all(found.p[over] == 1)


@pytest.mark.parametrize("start", STARTS)
def test_a_table_of_few_winners(found: Any, start: str) -> None:
    table = np.array(simulation.calibrated([found], start))
    assert table.shape == np.array(RATIOS[start]).shape
    assert np.all((table >= 1) & (table <= simulation.LARGEST))
    nested = [GAPS.index(gap) for gap in (1, 5, 10)]  # each looks only where those before it do
    assert np.all(np.diff(table[nested], axis=0) >= 0)  # the more rarely, the less strict
    stopped = (found.lowest(start) < table[0, 2] * 0.05).mean()
    assert stopped <= 0.05  # on the very winners that the table is made of
