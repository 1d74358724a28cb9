"""Random walks: a walk, or a slope that walks, the same whatever the grid."""

import pytest
import torch
from scipy import stats
from statistical import RATE, mean_differs, share_differs

from lcpfn.priors import General
from lcpfn.priors.general.random_walk import RandomWalk, walk
from lcpfn.priors.general.sampling import Sampler

N = 6000
COARSE = torch.tensor([0.25, 1.0])
FINE = torch.cat([torch.linspace(0.01, 0.25, 12), torch.linspace(0.3, 1.0, 9)])


def drawn(clock: torch.Tensor, smooth: bool, seed: int = 0) -> torch.Tensor:
    sampler = Sampler(N, generator=torch.Generator().manual_seed(seed))
    return walk(clock.expand(N, -1), sampler, torch.full((N, 1), smooth))


@pytest.mark.parametrize(("smooth", "early"), [(False, 0.25), (True, 0.25**3)])
def test_variance_grows_to_one_and_moves_later_than_a_time_are_fresh(smooth: bool, early: float) -> None:
    """A walk's variance is its clock, that of one whose slope walks the third power; a wrong one is found out."""
    path = drawn(COARSE, smooth)
    for column, variance in ((0, early), (1, 1.0)):
        assert not mean_differs(path[:, column].numpy(), 0.0)
        assert not mean_differs(path[:, column].square().numpy(), variance)
        assert mean_differs(path[:, column].square().numpy(), 1.2 * variance)
    # a walk: its variance at the first time; else the integral of (s - u) (t - u) over u below s = 1/4, t = 1, times 3
    both = 3 * (0.25**2 / 2 - 0.25**3 / 6) if smooth else 0.25
    assert not mean_differs((path[:, 0] * path[:, 1]).numpy(), both)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_law_is_that_of_the_times_whatever_lies_between(smooth: bool) -> None:
    coarse, fine = drawn(COARSE, smooth), drawn(FINE, smooth, seed=1)[:, [11, -1]]
    for column in range(2):
        assert stats.ks_2samp(coarse[:, column], fine[:, column]).pvalue > RATE
        assert stats.ks_2samp(coarse[:, column], 1.4 * fine[:, column]).pvalue < RATE


def test_a_slope_that_walks_is_smooth() -> None:
    clock = torch.linspace(0.005, 1, 200)
    turns = [(torch.diff(drawn(clock, smooth).sign(), dim=1) != 0).sum(1).float().mean() for smooth in (False, True)]
    steps = [torch.diff(drawn(clock, smooth), dim=1) for smooth in (False, True)]
    together = [float((each[:, 1:] * each[:, :-1]).mean() / each.square().mean()) for each in steps]
    assert turns[1] < turns[0] and abs(together[0]) < 0.02 and together[1] > 0.95


def test_a_share_of_the_runs_wanders_by_a_size_of_the_law() -> None:
    law = RandomWalk(share=0.3, size=(0.1, 0.1), smooth=0.0, pace=(2.0, 2.0))
    path = law.sample(COARSE.expand(N, -1), generator=torch.Generator().manual_seed(0))
    moving = path.ne(0).any(1)
    assert not share_differs(int(moving.sum()), N, 0.3)
    assert not mean_differs(path[moving, 1].square().numpy(), 0.01)
    assert not mean_differs(path[moving, 0].square().numpy(), 0.01 * 0.25**2)  # the clock is progress to the power 2


def test_edges() -> None:
    for shape in ((0, 5), (3, 0)):
        assert RandomWalk(share=1.0).sample(torch.zeros(shape), generator=torch.Generator()).shape == shape
    path = RandomWalk(share=1.0).sample(torch.zeros(4, 3), generator=torch.Generator())  # nothing is done yet
    assert not path.any()


@pytest.mark.parametrize("wrong", [{"share": 1.2}, {"smooth": -0.1}, {"size": (0.5, 0.1)}, {"pace": (0.0, 1.0)}])
def test_laws_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RandomWalk(**wrong)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        General.from_parameters({"random_walk": wrong})
