"""Parts of the general prior alone: trends, divergence, grids and scales."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from parts import N, generator, progress, sampler
from scipy import stats
from statistical import differs_from_law, share_differs

from lcpfn.priors.general.divergence import Divergence
from lcpfn.priors.general.measurement_times import MeasurementTimes, at_given_times
from lcpfn.priors.general.scales import METRIC_MAPS, Scales, capped, warp
from lcpfn.priors.general.trends import SETBACKS, SHAPES, Trends, from_start_to_end

# -- sampler


def test_dice_follow_their_laws():
    assert not differs_from_law(sampler().uniform(2, 5)[:, 0].numpy(), stats.uniform(2, 3).cdf)
    logs = sampler().log_uniform(1e-3, 10)[:, 0].log10().double().numpy()
    assert not differs_from_law(logs, stats.uniform(-3, 4).cdf)
    assert differs_from_law(logs, stats.uniform(-3, 4.8).cdf), "a law that is wrong must be found"


def test_choices_have_their_shares():
    shares = {"a": 1.0, "never": 0.0, "b": 3.0}
    chosen = sampler().categorical(shares)
    assert not (chosen == 1).any()
    count = int((chosen == 2).sum())
    assert not share_differs(count, N, 0.75)
    assert share_differs(count, N, 0.65)


def test_mixed_rows_come_from_the_shape_they_chose():
    shapes = {"low": lambda p, sampler: p * 0 - 1, "high": lambda p, sampler: p * 0 + sampler.uniform()}
    values, chosen = sampler(50).mixed(progress(50), shapes, {"low": 0.5, "high": 0.5})
    assert ((values < 0).all(1) == (chosen == 0)).all()
    assert len(values[chosen == 1][:, 0].unique()) == int((chosen == 1).sum())


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (lambda: Trends(shapes={"spiral": 1.0}), "shapes are among"),
        (lambda: Trends(setbacks={"none": 0.0}), "sum to more than 0"),
        (lambda: Scales(metrics={"height": 1.0}), "metrics are among"),
        (lambda: MeasurementTimes(short=(1, 9)), "at least 2 points"),
        (lambda: Divergence(to_nan=1.5), r"shares lie in \[0, 1\]"),
    ],
)
def test_laws_that_cannot_be_are_refused(made, rule):
    with pytest.raises(ValueError, match=rule):
        made()


# -- trends


@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"flat"}))
def test_a_rise_goes_from_zero_to_one(name):
    values = SHAPES[name](progress(), sampler())
    assert torch.isfinite(values).all()
    torch.testing.assert_close(values[:, -1], torch.ones(N), atol=2e-3, rtol=0)
    if name != "stairs":  # its first step may lie before the first point
        torch.testing.assert_close(values[:, 0], torch.zeros(N), atol=2e-3, rtol=0)
    rises = (torch.diff(values, dim=1) >= -1e-3).all(1).float().mean()
    assert rises > 0.97  # a few families of Domhan et al. are not monotone


def test_shapes_differ_in_what_they_are_for():
    halfway = {name: shape(progress(), sampler())[:, 30] for name, shape in SHAPES.items()}
    assert halfway["power"].mean() > 0.75 > halfway["late_rise"].mean()
    late = SHAPES["delayed"](progress(), sampler())
    assert ((late[:, 6] == 0).float().mean() > 0.4) and (late[:, -1] > 0.9).all()
    assert SHAPES["flat"](progress(), sampler()).abs().max() < 0.11


def test_half_of_the_gain_can_lie_in_the_first_points():
    early = SHAPES["power"](progress(points=100), sampler())[:, 2]
    assert (early > 0.5).float().mean() > 0.25 and (early < 0.1).float().mean() > 0.1


def test_what_is_saturated_stays():
    p = progress(points=100)
    values = SHAPES["saturated"](p, sampler())
    over = (values[:, 50] > 0.999).float().mean()
    assert 0.8 < float(over) < 0.95  # log(0.5 / 0.01) / log(100) of them are over by then, others nearly
    assert float((SHAPES["power"](p, sampler())[:, 50] > 0.999).float().mean()) < 0.3


@pytest.mark.parametrize("name", sorted(SETBACKS))
def test_setbacks_are_losses(name):
    values = SETBACKS[name](progress(), sampler())
    assert torch.isfinite(values).all() and (values >= 0).all()
    assert (name == "none") == bool((values == 0).all())


def test_overfitting_sets_in_and_grows():
    values = SETBACKS["overfit"](progress(), sampler())
    assert (torch.diff(values, dim=1) >= 0).all() and (values[:, 0] == 0).all() and (values[:, -1] > 0).all()


def test_a_kick_comes_with_the_first_step_and_wears_off():
    values = SETBACKS["kick"](progress(), sampler())
    assert (values[:, 0] == 0).all() and (torch.diff(values[:, 1:], dim=1) <= 0).all()
    assert 50 < float(values.max()) <= 100 and float((values[:, -1] < 0.5 * values[:, 1]).float().mean()) > 0.4
    stays = (values[:, -1] - values[:, -2]).abs() < 1e-3 * values[:, 1]
    assert float((stays & (values[:, -1] > 0.2 * values[:, 1])).float().mean()) > 0.2
    kicked = Trends(shapes={"flat": 1.0}, setbacks={"kick": 1.0}, reversed=0).sample(progress(), generator=generator())
    assert float(kicked.min()) < -3, "who learns nothing can be kicked all the same"
    overfit = Trends(shapes={"flat": 1.0}, setbacks={"overfit": 1.0}, reversed=0).sample(
        progress(), generator=generator()
    )
    assert float(overfit.min()) > -0.4, "but has nothing to lose else"


def test_most_of_the_kicked_learn_nothing_afterwards():
    law = Trends(shapes={"power": 1.0}, setbacks={"kick": 1.0}, reversed=0, stuck=0.7)
    above = law.sample(progress(), generator=generator())[:, -1] > 0.15  # flat trends drift by 0.1 at most
    assert 0.05 < float(above.float().mean()) < 0.28
    none = dataclasses.replace(law, stuck=1.0).sample(progress(), generator=generator())
    assert float(none.amax()) <= 0.1 + 1e-6
    with pytest.raises(ValueError, match="stuck must lie in"):
        Trends(stuck=1.1)


def test_trends_have_the_shares_they_are_told():
    only = Trends(shapes={"flat": 1.0, "power": 1.0}, setbacks={"none": 1.0}, reversed=0.0)
    moved = (only.sample(progress(), generator=generator())[:, -1] > 0.5).sum()
    assert not share_differs(int(moved), N, 0.5)
    turned = Trends(shapes={"power": 1.0}, setbacks={"none": 1.0}, reversed=0.3)
    assert not share_differs(int((turned.sample(progress(), generator=generator())[:, -1] < 0.5).sum()), N, 0.3)


def test_what_hardly_changes_becomes_a_line():
    drawn = torch.tensor([[1.0, 1.0, 1.0], [0.0, float("nan"), 2.0], [1.0, 4.0, 5.0]])
    values = from_start_to_end(drawn, torch.tensor([[0.0, 0.3, 1.0]]).expand(3, -1))
    torch.testing.assert_close(values[:, 0], torch.tensor([0.3, 0.3, 0.75]))


# -- divergence


def test_a_run_that_broke_off_does_not_come_back():
    seen = torch.arange(30).expand(N, -1) < torch.randint(3, 31, (N, 1), generator=generator(1))
    left, broken = Divergence(to_nan=0.4).breaks(seen, generator=generator())
    assert (left <= seen).all() and left[:, 0].all()
    assert (torch.diff(left.int(), dim=1) <= 0).all(), "NaN is absorbing"
    assert ((left.sum(1) < seen.sum(1)) == broken).all()
    assert 0.3 < float(broken.float().mean()) < 0.4


def test_explosions_have_their_share_and_never_heal():
    law = Divergence(finite=0.3, height=(1.0, 1e6))
    worse, dead = law.explosion(progress(), generator=generator())
    assert torch.isfinite(worse).all() and (worse >= 0).all() and (torch.diff(worse, dim=1) >= 0).all()
    assert float(worse.max()) <= 1.001e6
    ends = worse[:, -1] > 0
    assert not share_differs(int(dead[:, -1].sum()), int(ends.sum()), law.dead)
    last = worse[dead[:, -1]]
    assert ((last == 0) | (last == last[:, -1:])).all(), "what is dead does not move"
    assert 0.25 < float((worse[:, -1] > 0).float().mean()) < 0.31


# -- grids


def test_times_increase_and_points_that_are_missing_come_last():
    grid = MeasurementTimes().sample(N, 50, 12, generator=generator())
    steps, seen = torch.diff(grid.t, dim=1), grid.seen[:, 1:]
    assert (steps[seen] > 0).all() and (torch.diff(grid.seen.int(), dim=1) <= 0).all()
    assert (grid.progress >= 0).all() and (grid.progress <= 1).all()
    assert (torch.diff(grid.progress, dim=1)[seen] >= 0).all()
    assert (grid.t[grid.seen] <= (grid.end[:, None] * (1 + 1e-5)).expand_as(grid.t)[grid.seen]).all()
    assert (grid.seen.sum(1) >= 2).all()


def test_long_runs_are_thinned_and_go_on_after_what_is_shown():
    law = MeasurementTimes(
        share_long=1.0, long=(1000, 1000), spacings={"linear": 1.0}, at_zero=0, late=0, moved=0, gap=(1, 1.0001)
    )
    grid = law.sample(200, 50, 12, generator=generator())
    whole = grid.seen.sum(1) == 50
    assert 0.1 < float(whole.float().mean()) < 0.35
    assert (grid.seen[~whole].sum(1) <= 62).all() and (grid.seen[:, :50]).all()
    assert (grid.progress[:, 49][whole] > 0.999).all() and (grid.progress[:, 61][~whole] > 0.999).all()
    strides = grid.stride[:, 1:50]
    assert (strides.amax(1) - strides.amin(1) <= 1).all()


def test_usual_spacings_occur():
    sqrt2 = MeasurementTimes(spacings={"geometric": 1.0}, share_long=0, short=(12, 12), at_zero=0, late=0, moved=0)
    t = sqrt2.sample(N, 20, 2, generator=generator()).t[:, :12]
    gaps = torch.diff(t, dim=1)
    ratio = gaps[:, 1:] / gaps[:, :-1]
    torch.testing.assert_close(ratio[:, 0], ratio[:, -1], rtol=2e-2, atol=0)
    assert float(((ratio[:, 3] - 2**0.5).abs() < 1e-2).float().mean()) > 0.1
    at_zero = MeasurementTimes(at_zero=1.0, late=0, moved=0).sample(100, 20, 2, generator=generator())
    assert (at_zero.t[:, 0] == 0).all() and (at_zero.progress[:, 0] == 0).all()


def test_runs_on_growing_gaps_learn_at_the_pace_of_their_measurements():
    def halfway(even, spacing):
        law = MeasurementTimes(
            spacings={spacing: 1.0}, share_long=0, short=(41, 41), at_zero=0, late=0, moved=0, even=even
        )
        return law.sample(N, 50, 2, generator=generator()).progress[:, 20]

    assert float(halfway(0.0, "geometric").median()) < 0.1 < 0.2 < float(halfway(1.0, "geometric").median()) < 0.5
    torch.testing.assert_close(halfway(1.0, "linear"), halfway(0.0, "linear"))
    changed = halfway(0.3, "log_then_linear") > halfway(0.0, "log_then_linear") + 1e-6
    assert not share_differs(int(changed.sum()), N, 0.3)


def test_given_times_stay_as_they_are():
    t = torch.tensor([1.0, 4.0, 9.0])
    grid = at_given_times(t, 5, generator=generator())
    assert torch.equal(grid.t, t.expand(5, -1)) and grid.seen.all() and (grid.progress[:, -1] == 1).all()


# -- scales


def test_a_warp_is_monotone_and_keeps_its_ends():
    g = torch.linspace(-0.5, 1.5, 400).expand(100, -1)
    bent = warp(g, sampler(100).log_uniform(0.5, 2), sampler(100, 1).log_uniform(0.5, 2))
    assert (torch.diff(bent, dim=1) >= -1e-6).all()
    assert torch.equal(bent[g <= 0], g[g <= 0]) and torch.equal(bent[g >= 1], g[g >= 1])


@pytest.mark.parametrize("name", sorted(METRIC_MAPS))
def test_metrics_keep_their_bounds_and_improve_in_their_direction(name):
    p = progress()
    noise = 0.3 * sampler().normal(p.shape[1])
    made = METRIC_MAPS[name](p, noise, torch.zeros_like(p), sampler())
    for values in (made.y, made.signal):
        assert torch.isfinite(values).all()
        assert (values >= made.lower).all() and (values <= made.upper).all()
    assert (made.sign * (made.signal[:, -1:] - made.signal[:, :1]) >= 0).all()
    assert (made.unit > 0).all()
    assert {"accuracy": (made.sign == 1).all(), "reward": (made.sign == 1).any()}.get(name, (made.sign == -1).all())


def test_a_cap_is_felt_from_below_alone():
    v = torch.linspace(-5, 5, 101).expand(3, -1)
    top, bend = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[0.01], [0.1], [0.5]])
    bent = capped(v, top, bend)
    assert (torch.diff(bent, dim=1) >= 0).all() and (bent <= top).all()
    torch.testing.assert_close(bent[:, :50], v[:, :50], atol=1e-3, rtol=0)
    torch.testing.assert_close(bent[0, -30:], torch.ones(30))


def test_success_rates_start_at_none_and_many_end_at_all():
    g = torch.linspace(0, 1, 60).expand(N, -1)
    law = {"metrics": {"accuracy": 0.5, "error": 0.5}, "warped": 0.0}
    none, half, every = (
        Scales(**law, success=share).sample(g, g * 0, g * 0, generator=generator()) for share in (0.0, 0.5, 1.0)
    )

    def perfect(made):
        last = made.y[:, -1]
        return float(torch.where(made.sign[:, 0] > 0, (last == 1) | (last == 100), last == 0).float().mean())

    assert perfect(every) == pytest.approx(0.75 + 0.25 * perfect(none), abs=0.04)
    assert perfect(none) < perfect(half) < perfect(every)
    worst = torch.where(every.sign > 0, every.y[:, :1] == 0, (every.y[:, :1] == 1) | (every.y[:, :1] == 100))
    assert worst.all()
    levels = [len(torch.unique(row)) for row in every.y[:300]]
    assert max(levels) <= 60 and sum(levels) / 300 < 35, "of few attempts"


def test_the_noise_of_rewards_rises_with_them_in_a_share():
    def spread(rising):
        g = torch.cat([torch.zeros(N, 30), torch.ones(N, 30)], 1)
        e = torch.randn(N, 60, generator=generator(3)) * 0.01
        made = Scales(metrics={"reward": 1.0}, warped=0.0, rising=rising).sample(g, e, g * 0, generator=generator())
        stds = [part.std(1) / made.unit[:, 0] for part in (made.y[:, :30], made.y[:, 30:])]
        free = (made.lower.isinf() & made.upper.isinf())[:, 0] & (stds[1] > 5e-3)  # neither at 0 nor at a ceiling
        return (stds[0] / stds[1])[free]

    assert spread(0.0).median() == pytest.approx(1.0, abs=0.05)
    assert spread(1.0).max() < 0.6 and spread(1.0).median() < 0.1
    assert (spread(0.4) < 0.6).float().mean() == pytest.approx(0.4, abs=0.06)


def test_rewards_run_into_ceilings_in_their_share():
    p = 2 * progress()  # far beyond any ceiling
    made = METRIC_MAPS["reward"](p, p * 0, p * 0, sampler())
    still = (made.signal[:, -1] - made.signal[:, -10]).abs() < 0.1 * made.unit[:, 0]
    assert not share_differs(int(still.sum()), N, 0.4)
    assert share_differs(int(still.sum()), N, 0.3)


def left_of_losses(**law):
    """What losses have left in the end, as a share of their start."""
    p = progress()
    p = torch.cat([torch.zeros_like(p[:, :1]), p, torch.ones_like(p[:, :1])], 1)
    made = Scales(metrics={"loss": 1.0}, warped=0.0, **law).sample(p, p * 0, p * 0, generator=generator())
    return made.signal[:, -1] / made.signal[:, 0]


@pytest.mark.parametrize("least", [0.1, 0.25, 0.5])
def test_most_losses_keep_part_of_their_height(least):
    """All of the 65 % whose share is uniform; the others gain anything, mostly little."""
    left = left_of_losses(left=least, vanishing=0.0)
    less = 0.35 * math.log(1 / (1 - least)) / math.log(1000)  # 1 - log-uniform(1e-3, 1) below least
    assert not share_differs(int((left < least).sum()), N, less)


def test_a_share_of_losses_vanishes():
    tiny = [int((left_of_losses(left=0.5, vanishing=share) < 0.02).sum()) for share in (0.0, 0.5)]
    deep = math.log(20) / math.log(300)  # of log-uniform(1e-3, 0.3) below 0.02
    beside = 0.35 * math.log(1 / 0.98) / math.log(1000)
    assert not share_differs(tiny[0], N, beside)
    assert not share_differs(tiny[1], N, 0.5 * deep + 0.5 * beside)


def test_losses_span_six_decades():
    p = progress()
    made = METRIC_MAPS["loss"](p, torch.zeros_like(p), torch.zeros_like(p), sampler())
    start = made.signal[:, 0].log10()
    assert float(start.min()) < -2.8 and float(start.max()) > 2.8
    assert (made.signal > 0).all()
    moved = 1 - made.signal[:, -1] / made.signal[:, 0]
    assert float((moved < 0.02).float().mean()) > 0.1


def test_explosions_go_to_the_bad_side_and_stay_finite():
    p = progress(500)
    bad = torch.where(p > 0.5, 1e6, 0.0)
    for name, kind in METRIC_MAPS.items():
        made = kind(p, torch.zeros_like(p), bad, sampler(500))
        upward = made.sign * made.signal
        assert (upward[:, -1] <= upward[:, 0] + 1e-6).all() and torch.isfinite(made.y).all(), name


def test_quantised_accuracies_are_counts():
    p = progress()
    made = METRIC_MAPS["accuracy"](p, 0.1 * sampler().normal(p.shape[1]), torch.zeros_like(p), sampler())
    y = (made.y / torch.where(made.y.amax(1, keepdim=True) > 1, 100.0, 1.0)).double().numpy()
    tenths = (np.abs(10 * y - np.round(10 * y)) < 1e-5).all(1).mean()
    assert 0.01 < tenths < 0.1  # 0.4 * 0.2 / 3 of them, by the settings, and those that stay at a bound


def test_metrics_have_their_shares():
    p = progress(points=5)
    made = Scales(metrics={"accuracy": 0.7, "loss": 0.3}).sample(p, p * 0, p * 0, generator=generator())
    assert not share_differs(int((made.sign < 0).sum()), N, 0.3)
    known = made.lower[made.sign < 0]
    assert not share_differs(int((known == 0).sum()), len(known), 0.75)
    assert math.isinf(float(known.min()))
