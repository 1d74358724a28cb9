"""Runs whose rest outdoes what was seen by far are rarer, as often as the law says, and nothing else is chosen by."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats
from statistical import RATE

from lcpfn.priors import General, by_name
from lcpfn.priors.general.acceptance import Acceptance
from lcpfn.priors.general.scales import Measured

PROGRESS = torch.linspace(0, 1, 21)
LAW = Acceptance(places=(0.2,), rise=(2.0,), fall=0.5, least=0.05)


def curve(last: float, *, seen: float = 1.0) -> list[float]:
    """A curve that rises by `seen` in its first fifth and by `last` from there."""
    return [min(p / 0.2, 1) * seen + max(p - 0.2, 0) / 0.8 * last for p in np.linspace(0, 1, 21).round(6)]


@pytest.mark.parametrize(
    ("gain", "chance"), [(0.0, 1.0), (2.0, 1.0), (4.0, 0.5), (-0.4, 1.0), (-2.0, 0.25), (100.0, 0.05), (-1e6, 0.05)]
)
def test_the_chance_to_stay(gain: float, chance: float) -> None:
    for unit in (1e-6, 1.0, 1e6):
        y = unit * torch.tensor([curve(gain)], dtype=torch.float64)
        assert float(LAW.chances(y, PROGRESS[None])) == pytest.approx(chance, rel=1e-3)


def test_of_several_places_the_least_chance_counts() -> None:
    law = dataclasses.replace(LAW, places=(0.2, 0.6), rise=(2.0, 0.5))
    y = torch.tensor([curve(4.0)], dtype=torch.float64)  # at 0.6: 2 to come after a range of 3
    assert float(law.chances(y, PROGRESS[None])) == pytest.approx(0.5, rel=1e-3)
    law = dataclasses.replace(law, rise=(2.0, 0.1))
    assert float(law.chances(y, PROGRESS[None])) == pytest.approx(0.15, rel=1e-3)


def test_a_prefix_without_a_range_says_nothing() -> None:
    assert float(LAW.chances(torch.tensor([curve(5.0, seen=0.0)]), PROGRESS[None])) == 1.0


def test_runs_stay_as_often_as_the_law_says() -> None:
    kinds = torch.tensor([curve(0.0), curve(8.0)])  # chances 1 and 1 / 4, drawn alike: four fifths and one fifth stay
    random, n = torch.Generator().manual_seed(0), 20_000

    def draw(progress: torch.Tensor) -> Measured:
        y = kinds[torch.randint(2, (len(progress),), generator=random)]
        column = torch.ones(len(progress), 1)
        return Measured(y, y, -math.inf * column, math.inf * column, column, column)

    made = LAW.drawn(draw, PROGRESS.expand(n, -1), generator=random)
    high = int((made.y[:, -1] > 5).sum())
    low, up = stats.binom.ppf([RATE / 2, 1 - RATE / 2], n, 0.2)
    assert low <= high <= up, (high, low, up)


def test_a_metric_to_be_minimised_is_turned() -> None:
    column, seen = torch.ones(1, 1), []

    class Law(Acceptance):
        def chances(self, upward: torch.Tensor, progress: torch.Tensor) -> torch.Tensor:
            seen.append(upward)
            return torch.ones(len(upward))

    y = torch.tensor([curve(1.0)])
    Law().drawn(lambda p: Measured(y, y, -column, column, -column, column), PROGRESS[None], generator=torch.Generator())
    assert torch.equal(seen[0], -y)


def test_the_general_prior_has_fewer_such_runs() -> None:
    def far(prior: General) -> np.ndarray:
        runs = prior.sample_runs(4000, 100, 28, generator=torch.Generator().manual_seed(1)).upward()
        progress = torch.linspace(0, 1, 128).expand(len(runs), -1)
        return (Acceptance(least=0.01).chances(runs.y.double(), progress) < 0.3).double().numpy()

    free, held = far(General(acceptance=Acceptance(least=1.0))), far(General())
    error = math.sqrt(2 * free.mean() * (1 - free.mean()) / len(free))
    assert free.mean() - held.mean() > 4 * error, (free.mean(), held.mean())
    assert held.mean() > 0, "rarer, not impossible"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"places": (0.1, 0.2)}, "each with its rise"),
        ({"places": (0.1, 0.2, 1.0)}, r"lie in \(0, 1\)"),
        ({"fall": 0.0}, "must be above 0"),
        ({"least": 0.0}, r"least in \(0, 1\]"),
    ],
)
def test_wrong_laws_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Acceptance(**wrong)


def test_it_travels_as_json() -> None:
    prior = General(acceptance=Acceptance(places=(0.3,), rise=(5.0,)))
    assert by_name("general", prior.parameters()) == prior != General()
    assert prior.parameters()["acceptance"] == {"places": [0.3], "rise": [5.0], "fall": 0.3, "least": 0.06}
