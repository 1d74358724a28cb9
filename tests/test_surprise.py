"""The alarm rings no more often than it says on curves of the prior, and soon on curves that are not of it."""

import io
import json
import sys

import numpy as np
import pytest
import torch
from networks import FREE, random_pfn
from scipy import stats
from scipy.special import expit
from statistical import RATE as CHANCE

from lcpfn import cli
from lcpfn.metric import Metric
from lcpfn.pfn import load
from lcpfn.priors import Paper
from lcpfn.surprise import POINT_RATE, TAIL, NullDistribution, Surprise, log_wealth

NOISY = Metric("max", bounds=(0, 1), overshoot=True)  # as the curves of the prior
CALM = [0.10, 0.35, 0.48, 0.55, 0.59, 0.62, 0.64, 0.66, 0.67, 0.68]
EVENT, CURVES = 50, 40  # when something happens, to how many curves


@pytest.fixture(scope="module")
def drawn():
    """400 curves of the prior of the shipped checkpoint, and their signals."""
    curves = Paper().sample(400, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(5))
    return curves.y.double().numpy(), curves.signal.double().numpy()


@pytest.fixture(scope="module")
def told(drawn):
    return load("paper").surprise(drawn[0], metric=NOISY)


def too_many(alarms, rate):
    """Whether so many of independent curves cannot ring at this rate."""
    return bool(alarms.sum() > stats.binom.isf(CHANCE, len(alarms), rate))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_alarms_are_as_rare_as_it_says(told, rate):
    def rings(pit):
        return Surprise(told.t, pit, log_wealth(pit), rate).alarm

    assert not too_many(rings(told.pit), rate)
    narrow = stats.norm.cdf(1.5 * stats.norm.ppf(np.clip(told.pit, 1e-9, 1 - 1e-9)))
    assert too_many(rings(narrow), rate), "beliefs that are too sure by half must be found"
    assert too_many(rings(told.pit**1.5), rate), "beliefs that are too optimistic must be found"


def test_what_the_evidence_of_the_prior_was_makes_up_for_beliefs_that_are_too_sure(told):
    narrow = stats.norm.cdf(1.5 * stats.norm.ppf(np.clip(told.pit, 1e-9, 1 - 1e-9)))
    known, fresh = narrow[::2], narrow[1::2]
    null = NullDistribution.of(log_wealth(known).max(-1))
    for rate in (0.02, 0.05):
        rings = Surprise(told.t[1::2], fresh, log_wealth(fresh), rate, null).alarm
        assert not too_many(rings, rate) and rings.any()
    calm = NullDistribution.of(np.zeros(200))
    assert too_many(Surprise(told.t[1::2], fresh, log_wealth(fresh), 0.05, calm).alarm, 0.05), "Ville's bound stays"


def test_the_p_value_is_the_share_of_curves_that_climbed_as_high():
    null = NullDistribution.of(np.arange(100.0))
    assert null.highest.tolist() == [float(log_e) for log_e in range(99, 89, -1)]
    np.testing.assert_allclose(null.p_value(np.array([99.0, 98.5, 90.0])), [2 / 101, 2 / 101, 11 / 101])
    np.testing.assert_allclose(null.p_value(np.array([50.0, 1.0, -2.0])), [11 / 101, np.exp(-1), 1.0])
    np.testing.assert_allclose(null.p_value(np.array([99.001, 100.0, 109.0])), np.exp([-0.001, -1, -10]) / 101)
    np.testing.assert_allclose(NullDistribution().p_value(np.array([-1.0, 0.0, 3.0])), np.exp([0.0, 0.0, -3.0]))
    with pytest.raises(ValueError, match="must fall"):
        NullDistribution(5, np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="one number a curve"):
        NullDistribution(1, np.array([2.0, 1.0]))


def test_points_of_the_prior_are_rarely_surprising(told):
    n, count = told.pit.size, int(told.surprising.sum())
    ends = stats.binom.ppf([CHANCE / 2, 1 - CHANCE / 2], n, POINT_RATE)
    assert ends[0] <= count <= ends[1], (count, n * POINT_RATE)


def test_the_wealth_is_a_fair_game():
    x = (np.arange(5000) + 0.5) / 100 - 25
    p, weight = expit(x), expit(x) * expit(-x) / 100  # uniform p by quadrature over its log odds
    for before in ([], [0.5], [0.001, 0.999], [0.2] * 30):
        start = np.exp(log_wealth(np.array(before))[-1]) if before else 1.0
        after = np.exp(log_wealth(np.column_stack([np.tile(before, (len(p), 1)), p]))[:, -1])
        assert after @ weight == pytest.approx(start, rel=1e-4)
        assert after.min() < start < after.max()
    far = log_wealth(np.array([[0.0], [TAIL], [1.0]]))
    assert far[0] == far[1] == pytest.approx(far[2], abs=1e-6)


def events(drawn):
    """Curves of the prior to which something happens after EVENT points, by what it is; with the points it may take."""
    y, signal = drawn
    noise = y - signal
    calm = np.flatnonzero(noise.std(1) < 0.05)[:CURVES]
    y, signal, noise = y[calm], signal[calm], noise[calm]
    later = np.arange(y.shape[1]) >= EVENT
    drop = 8 * noise.std(1, keepdims=True)
    return {
        "a drop by eight standard deviations": (np.where(later, y - drop, y), 3),
        "a jump by as much": (np.where(later, y + drop, y), 3),
        "a collapse": (np.where(later, 0.05 + noise, y), 3),
        "five times the noise": (np.where(later, signal + 5 * noise, y), 20),
    }


@pytest.mark.parametrize("what", ["a drop by eight standard deviations", "a jump by as much", "a collapse"])
def test_what_the_prior_does_not_know_is_found_within_three_points(drawn, what):
    y, points = events(drawn)[what]
    told = load("paper").surprise(y, metric=NOISY)
    assert told.alarm.all()
    late = told.since - EVENT  # points since it happened
    assert ((late >= 1) & (late <= points)).mean() >= 0.9, late


def test_a_burst_of_noise_is_found_within_twenty_points(drawn):
    y, points = events(drawn)["five times the noise"]
    told = load("paper").surprise(y, metric=NOISY)
    assert told.alarm.all() and (told.since <= EVENT + points).mean() >= 0.9, told.since


def test_one_wild_point_is_surprising_but_no_alarm():
    y = [*CALM, 0.3, 0.69, 0.69, 0.70, 0.70]
    told = load("paper").surprise(y)
    assert told.t[told.surprising].tolist() == [11.0] and not told.alarm
    assert np.isnan(told.since) and told.p_value[-1] > 0.01


def test_direction_makes_no_difference(drawn):
    y = events(drawn)["a collapse"][0]
    up = load("paper").surprise(y, metric=NOISY)
    down = load("paper").surprise(-y, metric=Metric("min", bounds=(-1, 0), overshoot=True))
    for name in ("pit", "log_e", "p_value", "alarm", "since", "surprising"):
        np.testing.assert_array_equal(getattr(up, name), getattr(down, name), err_msg=name)


def test_a_look_after_every_epoch_sees_the_same():
    y = [*CALM, 0.2, 0.7, 0.1, 0.6]
    whole = load("paper").surprise(y)
    looks = [load("paper").surprise(y[:n]) for n in range(1, len(y) + 1)]
    np.testing.assert_allclose([look.log_e[-1] for look in looks], whole.log_e, atol=1e-3)
    assert [bool(look.alarm) for look in looks] == list(whole.t >= whole.since)
    assert (np.diff(whole.p_value) <= 0).all()


def test_batches_missing_values_and_short_curves():
    pfn = load("paper")
    gap = np.array(CALM)
    gap[3] = np.nan
    told = pfn.surprise([gap, [0.2, 0.3], []])
    assert told.alarm.shape == (3,) and told.pit.shape == (3, len(CALM) - 1)
    assert told.t[0].tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    alone = pfn.surprise(CALM[:3] + CALM[4:], t=told.t[0])
    np.testing.assert_allclose(told.log_e[0], alone.log_e, atol=1e-4)
    assert np.isnan(told.t[1, 2:]).all() and np.isnan(told.pit[1, 2:]).all()
    assert np.ptp(told.log_e[1, 1:]) < 1e-12 and np.ptp([0, *told.log_e[2]]) < 1e-12
    for empty in ([], np.empty((2, 0))):
        nothing = pfn.surprise(empty)
        assert not nothing.alarm.any() and nothing.pit.size == 0 and np.isnan(nothing.since).all()


def test_a_value_on_a_bound_is_no_wonder_next_to_it():
    pfn = load("paper")
    assert not pfn.surprise([0.5, 0.8, 0.95, 0.99, 1.0, 0.995, 1.0, 1.0]).alarm
    assert pfn.surprise([*CALM, 1.0, 1.0]).surprising[-2]


def test_the_first_value_of_a_metric_without_bounds_is_no_surprise():
    told = random_pfn(coordinates=FREE).surprise([[3.0, 2.0, 1.5], [-1e30, 1.0, 2.0]], metric=Metric("min"))
    assert (
        np.isnan(told.pit[:, 0]).all() and np.abs(told.log_e[:, 0]).max() < 1e-12 and np.isfinite(told.pit[:, 1:]).all()
    )


def test_a_stretched_run_has_its_own_times():
    y = [*CALM, 0.2, 0.7, 0.1, 0.6]
    t = np.arange(1, len(y) + 1) * 1000
    told = load("paper").surprise(y, t=t, run_end=100_000, stretch_time=True)
    assert told.alarm and told.since in t
    np.testing.assert_array_equal(told.t, t)
    with pytest.raises(ValueError, match=r"times must lie in \[1, 100\]"):
        load("paper").surprise(y, t=t)


@pytest.mark.parametrize("rate", [0, 1, 5])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="rate must lie between 0 and 1"):
        load("paper").surprise(CALM, rate=rate)


def test_nothing_can_be_changed():
    told = load("paper").surprise(CALM)
    for name in ("t", "pit", "log_e"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(told, name)[0] = 0.5


def test_the_command_warns(monkeypatch, capsys):
    def predict(y, *flags):
        monkeypatch.setattr(sys, "stdin", io.StringIO(" ".join(map(str, y))))
        assert cli.main(["predict", "-", "--at", "50", "--checkpoint", "paper", *flags]) == 0
        return capsys.readouterr().out

    assert "warning" not in predict(CALM)
    strange = [*CALM, 0.1, 0.1, 0.1]
    line = predict(strange).splitlines()[1]
    assert line.startswith("warning: this curve is unlike anything in the prior, noticed at t 12 (p = ")
    record = json.loads(predict(strange, "--json"))["surprise"]
    told = load("paper").surprise(strange)
    assert record["alarm"] and record["since"] == 12.0 and record["surprising"] == [11.0]
    assert record["p_value"] == pytest.approx(told.p_value[-1], rel=1e-9)
    assert json.loads(predict(CALM, "--observe", "0", "--json"))["surprise"]["p_value"] == 1.0
