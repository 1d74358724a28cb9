"""Latent runs, and how their law may differ from metric to metric."""

import pytest
import torch
from parts import N, generator, progress

from lcpfn.priors import General
from lcpfn.priors.general.divergence import Divergence
from lcpfn.priors.general.events import Events
from lcpfn.priors.general.latent_run import LatentRun
from lcpfn.priors.general.lcpfn_runs import LcpfnRuns
from lcpfn.priors.general.noise import Noise
from lcpfn.priors.general.prior import REWARDS
from lcpfn.priors.general.random_walk import RandomWalk
from lcpfn.priors.general.scales import Scales
from lcpfn.priors.general.trends import Trends

STILL = LatentRun(
    trends=Trends(shapes={"power": 1.0}, setbacks={"none": 1.0}, reversed=0.0),
    random_walk=RandomWalk(share=0.0),
    events=Events(schedules={"constant": 1.0}, spiky=0.0),
    noise=Noise(levels={"none": 1.0}, wild=0.0),
    divergence=Divergence(to_nan=0.0, finite=0.0),
)


def test_without_all_that_disturbs_a_run_rises_to_its_end() -> None:
    shown, noise, worse = STILL.sample(progress(), generator=generator())
    assert not noise.any() and not worse.any()
    assert (torch.diff(shown, dim=1) >= 0).all() and torch.allclose(shown[:, -1], torch.ones(N), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"noise": {"levels": {"loud": 1.0}}}, 1),
        ({"noise": {"wild": 1.0}}, 2),
        ({"random_walk": {"share": 1.0}}, 0),
        ({"events": {"spiky": 1.0}}, 1),
        ({"divergence": {"finite": 1.0}}, 2),
        ({"trends": {"shapes": {"flat": 1.0}}}, 0),
    ],
)
def test_each_part_does_its_own(changes: dict, part: int) -> None:
    before, after = (law.sample(progress(), generator=generator()) for law in (STILL, STILL.changed(changes)))
    moved = [bool((one != other).any(1).float().mean() > 0.5) for one, other in zip(before, after)]
    assert moved[part]
    if part:
        assert not moved[0] or "divergence" in changes, "what is shown stays; a run that is dead shows nothing"


def test_the_dead_neither_learn_nor_shiver() -> None:
    law = STILL.changed({"divergence": {"finite": 1.0, "dead": 1.0}, "noise": {"levels": {"loud": 1.0}}})
    shown, noise, worse = law.sample(progress(), generator=generator())
    over = worse[:, 1:] > 0
    assert over.any(1).float().mean() > 0.9
    assert not shown[:, 1:][over].any() and not noise[:, 1:][over].any()
    assert noise[:, 1:][~over].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weather": {}}, "the parts of a latent run are"),
        ({"noise": {"colour": 1}}, "does not have these fields"),
        ({"random_walk": {"share": 2.0}}, "share must lie"),
    ],
)
def test_changes_that_cannot_be_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentRun().changed(changes)
    with pytest.raises(ValueError, match=message):
        General.from_parameters({"by_metric": {"loss": changes}})


def test_a_metric_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="by_metric"):
        General(by_metric={"height": {}})


def test_runs_of_a_metric_go_as_its_law_says() -> None:
    """Noise in losses alone; of the rewards one in five falls."""
    quiet = {"noise": {"levels": {"none": 1.0}, "wild": 0.0}, "events": {"spiky": 0.0, "tied": 0.0}}
    loud = {"noise": {"levels": {"loud": 1.0}}}
    both = Scales(metrics={"loss": 0.5, "reward": 0.5})
    told = []
    for laws in ({"loss": loud, "reward": quiet}, {"loss": quiet, "reward": loud}):
        runs = General(scales=both, by_metric=laws, lcpfn_runs=LcpfnRuns(share=0.0)).sample_runs(
            N, 60, 4, generator=generator()
        )
        noisy = ((runs.y - runs.signal).abs() > 1e-3 * runs.unit[:, None]).any(1).float()
        told.append([float(noisy[runs.sign == sign].mean()) for sign in (-1, 1)])
    assert told[0][1] == 0 and told[1][1] > 0.9, "rewards that rise"
    assert told[0][0] == pytest.approx(5 / 6, abs=0.03) and told[1][0] == pytest.approx(1 / 6, abs=0.03), "what falls"


def test_metrics_of_one_law_are_drawn_together_and_the_law_survives_json() -> None:
    same = {"random_walk": {"share": 0.7}}
    prior = General(
        by_metric={"accuracy": same, "error": same, "loss": {}, "reward": {"random_walk": {"size": (0.1, 0.2)}}}
    )
    assert sorted(places for _, places in prior.latent_runs) == [[0, 1], [2], [3]]
    again = General.from_parameters(prior.parameters())
    assert again == prior and again.parameters() == prior.parameters()
    one, other = (law.sample_runs(50, 40, 4, generator=generator()) for law in (prior, again))
    assert torch.equal(one.y, other.y)


def test_rewards_have_a_law_of_their_own_unless_another_is_given() -> None:
    usual, agents = General().latent_runs
    assert usual == (LatentRun(), [0, 1, 2]) and agents == (LatentRun().changed(REWARDS), [3])
    assert General(by_metric={}).latent_runs == [(LatentRun(), [0, 1, 2, 3])]
