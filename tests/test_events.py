"""Parts of the general prior alone: what schedules do, spikes, and the noise of measurements."""

import pytest
import torch
from parts import N, generator, progress, sampler
from scipy import stats
from statistical import RATE, differs_from_law, mean_differs, share_differs

from lcpfn.priors.general.events import EFFECTS, Events, spikes
from lcpfn.priors.general.noise import Noise, correlated
from lcpfn.priors.general.trends import SHAPES

# -- events


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_effects_gain_and_quieten(name):
    made = EFFECTS[name](progress(), sampler())
    assert (made.gain >= -1e-6).all() and (made.quiet > 0).all() and (made.quiet <= 1).all()
    assert made.total.shape == (N, 1)
    if name in ("drops", "annealed"):
        torch.testing.assert_close(made.gain[:, -1:], made.total, atol=1e-4, rtol=1e-3)
        assert (made.quiet[:, -1] < 1).float().mean() > 0.9


def test_a_schedule_gains_nothing_where_nothing_is_learnt():
    made = EFFECTS["annealed"](progress(), sampler())
    learnt = SHAPES["power"](progress(), sampler())
    shown = made.on(learnt)
    torch.testing.assert_close(shown[:, -1], torch.ones(N), atol=2e-3, rtol=0)
    assert float((shown - learnt).abs().amax(1).mean()) > 0.1
    flat = 0.01 * progress()
    assert float(made.on(flat).max()) <= 0.011 * (1 + float(made.total.max())) and not made.on(0 * flat).any()
    assert EFFECTS["annealed"](flat[:, :0], sampler()).on(flat[:, :0]).shape == (N, 0)


def test_annealing_rises_late_and_ends_quietly():
    made = EFFECTS["annealed"](progress(), sampler())
    share = (made.gain[:, 30] / made.total[:, 0])[made.total[:, 0] > 0]  # a run may end before its rate falls
    assert 0.2 < float(share.median()) < 0.6
    assert float((made.quiet[:, -1] / made.quiet[:, 0]).median()) < 0.2


def test_a_drop_jumps_within_a_few_points():
    gain = EFFECTS["drops"](progress(points=200), sampler()).gain
    step = torch.diff(gain, dim=1).amax(1) / gain.amax(1).clamp(min=1e-6)
    assert float((step > 0.3).float().mean()) > 0.25


def test_spikes_recover():
    values = spikes(progress(500, points=400), sampler(500))
    assert (values >= 0).all() and (values.amax(1) > 0).float().mean() > 0.95
    assert float(values.median()) < 0.05 * float(values.amax(1).median())


# -- noise


def test_noise_levels_span_four_decades():
    level = Noise().level(progress(), sampler())[:, 0]
    quiet, loud = level[level > 0].log10().quantile(torch.tensor([0.03, 0.97]))
    assert loud - quiet > 4
    assert not share_differs(int((level == 0).sum()), N, Noise().levels["none"])


def test_noise_shrinks_and_grows_in_its_shares():
    level = Noise(levels={"ordinary": 1.0}).level(progress(), sampler())
    ratio = level[:, -1] / level[:, 0]
    assert not share_differs(int((ratio < 1 - 1e-6).sum()), N, Noise().shrinking)
    assert not share_differs(int((ratio > 1 + 1e-6).sum()), N, Noise().growing)
    assert 0.019 < float(ratio.min()) and float(ratio.max()) < 3.01


@pytest.mark.parametrize("rho", [0.3, 0.9])
def test_correlated_noise_keeps_its_variance(rho):
    z = correlated(sampler(20_000).normal(40), rho)
    for column in (0, 1, 20, 39):
        assert not mean_differs(z[:, column].square().numpy(), 1.0)
    products = (z[:, 20] * z[:, 21]).numpy()
    assert not mean_differs(products, rho)
    assert mean_differs(products, rho + 0.1)


def test_heavy_tails_are_heavy():
    plain = Noise(heavy=0.0, correlated=0.0).standard(progress(), sampler())
    heavy = Noise(heavy=1.0, correlated=0.0).standard(progress(), sampler())
    assert not differs_from_law(plain.flatten()[:20_000].double().numpy(), stats.norm.cdf)
    assert stats.kurtosis(heavy.flatten().numpy()) > 4


def test_noise_is_tied_to_what_a_schedule_gains_in_its_share():
    """And where it is, the larger the gain the louder the noise; what is tied begins at the level that it was told."""
    law = Events(schedules={"annealed": 1.0}, tied=0.7, ratio=(0.1, 0.4))
    effect, told, _ = law.sample(progress(), generator=generator())
    tied = ~told[:, 0].isnan()
    assert not share_differs(int(tied.sum()), N, 0.7) and share_differs(int(tied.sum()), N, 0.8)
    whole = (effect.total / (1 + effect.total))[tied, 0]
    ratio = told[tied, 0] / whole
    assert 0.1 <= float(ratio.min()) < 0.11 and 0.39 < float(ratio.max()) <= 0.4 * (1 + 1e-6)
    assert stats.spearmanr(told[tied, 0], whole).statistic > 0.6

    level = Noise().level(progress(), sampler(), told)
    torch.testing.assert_close(level[tied, :1], told[tied])
    free, drawn = level[~tied, 0], Noise().level(progress(), sampler())[:, 0]
    assert stats.ks_2samp(free, drawn).pvalue > RATE > stats.ks_2samp(level[tied, 0], drawn).pvalue


def test_noise_is_free_without_a_schedule():
    _, told, _ = Events(schedules={"constant": 1.0}, tied=1.0).sample(progress(), generator=generator())
    assert told.isnan().all()


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"tied": 1.1}, "tied must lie in"),
        ({"tied": -0.1}, "tied must lie in"),
        ({"ratio": (0.5, 0.1)}, "ratio must be two numbers above 0"),
        ({"ratio": (0.0, 0.1)}, "ratio must be two numbers above 0"),
        ({"schedules": {"drops": -1.0, "constant": 2.0}}, "must not be negative"),
    ],
)
def test_laws_that_cannot_be_are_refused(wrong, rule):
    with pytest.raises(ValueError, match=rule):
        Events(**wrong)
