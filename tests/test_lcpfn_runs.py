"""Runs of LC-PFN's prior among those of the general prior: the same law, at any pace, in either direction."""

import json

import pytest
import torch
from scipy import stats
from statistical import RATE

from lcpfn.priors import General, Paper, by_name
from lcpfn.priors.general.lcpfn_runs import LEAST, LcpfnRuns
from lcpfn.priors.general.scales import Measured


def made(law: LcpfnRuns, n: int, progress: torch.Tensor, seed: int = 0) -> Measured:
    """Put into runs that are NaN everywhere."""
    empty = [torch.full((n, columns), torch.nan) for columns in (len(progress), len(progress), 1, 1, 1, 1)]
    runs = Measured(*empty)
    law.into(runs, progress.expand(n, -1), generator=torch.Generator().manual_seed(seed))
    return runs


def test_a_share_of_the_runs_is_replaced() -> None:
    runs = made(LcpfnRuns(share=0.3), 2000, torch.linspace(0, 1, 5))
    count = int(torch.isfinite(runs.y[:, 0]).sum())
    assert stats.binomtest(count, 2000, 0.3).pvalue > RATE and stats.binomtest(count, 2000, 0.4).pvalue < RATE
    for part in (runs.y, runs.signal, runs.sign, runs.unit):
        assert (torch.isfinite(part).all(1) == torch.isfinite(runs.y[:, 0])).all()


def test_they_are_curves_of_the_paper_prior_from_its_first_to_its_last_epoch() -> None:
    """Values and noise at three epochs have the law of `Paper`, whatever the direction; a shifted one is found out."""
    epochs = torch.tensor([1.0, 25.0, 100.0])
    runs = made(LcpfnRuns(share=1.0), 3000, (epochs - 1) / 99)
    upward = torch.where(runs.sign > 0, runs.y, 1 - runs.y)
    wanted = Paper().sample(3000, epochs, generator=torch.Generator().manual_seed(1)).y
    for column in range(3):
        assert stats.ks_2samp(upward[:, column], wanted[:, column]).pvalue > RATE
        assert stats.ks_2samp(upward[:, column] + 0.1, wanted[:, column]).pvalue < RATE
    gain = torch.where(runs.sign > 0, 1.0, -1.0)[:, 0] * (runs.signal[:, 2] - runs.signal[:, 0])
    torch.testing.assert_close(runs.unit[:, 0], gain.clamp(min=LEAST), rtol=0, atol=1e-5)


def test_bounds_are_told_in_a_share_of_them_and_hold() -> None:
    runs = made(LcpfnRuns(share=1.0, known=0.5), 3000, torch.linspace(0, 1, 50))
    told = torch.isfinite(runs.lower[:, 0])
    assert (told == torch.isfinite(runs.upper[:, 0])).all()
    assert (runs.lower[told] == 0).all() and (runs.upper[told] == 1).all()
    assert ((runs.y[told] >= 0) & (runs.y[told] <= 1)).all()
    inside = ((runs.y >= 0) & (runs.y <= 1)).all(1)
    assert 0 < int((~inside).sum()), "some noise carries a value past the bounds"
    assert stats.binomtest(int(told.sum()), int(inside.sum()), 0.5).pvalue > RATE
    never = made(LcpfnRuns(share=1.0, known=0.0), 100, torch.linspace(0, 1, 5))
    assert torch.isinf(never.lower).all()


def test_shares_must_be_shares_and_travel() -> None:
    for name in ("share", "known"):
        with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\], got 1.5"):
            LcpfnRuns(**{name: 1.5})
    prior = General(lcpfn_runs=LcpfnRuns(share=0.4))
    assert by_name("general", json.loads(json.dumps(prior.parameters()))) == prior
