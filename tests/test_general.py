"""The general prior as a whole, what training makes of it, and what the engine makes of that."""

import dataclasses
import json
import math
import time

import numpy as np
import pytest
import torch
from contracts import check_prior
from networks import random_pfn
from scipy import stats
from statistical import RATE

from lcpfn import Metric
from lcpfn.context import read_context
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.pfn import PFN
from lcpfn.prepare import tamed
from lcpfn.priors import Curves, General, Paper, RunPrior, by_name
from lcpfn.priors.general.divergence import Divergence
from lcpfn.priors.general.lcpfn_runs import LcpfnRuns
from lcpfn.query import KINDS
from lcpfn.training import PRESETS, Options, Run
from lcpfn.training.questions import EXPLOSION, QuestionLaw, draw
from lcpfn.training.randomness import generator

ANY = Coordinates(times="relative", clock=None, bounded=False, ends=True)
TINY = dict(
    prior="general",
    model=PRESETS["tiny"],
    coordinates=ANY,
    batch=32,
    questions=24,
    precision="float32",
    threads=1,
    validation_curves=100,
    alarm_curves=0,
    log_every_s=1e9,
)


def quiet(line):
    """In the place of print."""


def runs(n=2000, points=100, later=28, seed=0, prior=None):
    return (prior or General()).sample_runs(n, points, later, generator=generator(seed))


def test_contract():
    check_prior(General())
    check_prior(General(stopped=0.5, divergence=Divergence(to_nan=0.3, finite=0.2)))


@pytest.mark.gpu
def test_contract_on_an_accelerator():
    check_prior(General(), device="cuda")
    assert General().sample_runs(9, 50, 8, generator=torch.Generator("cuda")).y.device.type == "cuda"


def test_settings_travel_and_wrong_ones_are_refused():
    prior = General(stopped=0.2, divergence=Divergence(to_nan=0.5))
    assert by_name("general", json.loads(json.dumps(prior.parameters()))) == prior
    for wrong in ({"spirals": 1}, {"noise": {"colour": "pink"}}):
        with pytest.raises(ValueError, match="does not have these parameters"):
            by_name("general", wrong)


def test_only_priors_of_runs_are_priors_of_runs():
    assert isinstance(General(), RunPrior) and not isinstance(Paper(), RunPrior)


def test_runs_are_well_formed():
    curves = runs()
    assert curves.y.shape == (2000, 128) and torch.isfinite(curves.y).all() and torch.isfinite(curves.signal).all()
    assert (torch.diff(curves.seen.int(), dim=1) <= 0).all() and curves.seen[:, 0].all()
    inside = (curves.y >= curves.lower[:, None]) & (curves.y <= curves.upper[:, None])
    assert inside.all()
    assert (torch.diff(curves.t, dim=1)[curves.seen[:, 1:]] > 0).all()
    last = torch.where(curves.seen, curves.t, -math.inf).amax(1)
    known = torch.isfinite(curves.horizon)
    assert (curves.horizon[known] >= last[known] * (1 - 1e-5)).all()
    assert (curves.unit > 0).all() and set(curves.sign.tolist()) == {-1.0, 1.0}


def test_runs_are_those_of_the_generator():
    first, again, other = runs(50), runs(50), runs(50, seed=1)
    for field in dataclasses.fields(Curves):
        torch.testing.assert_close(
            getattr(first, field.name), getattr(again, field.name), rtol=0, atol=0, equal_nan=True
        )
    assert not torch.equal(first.y, other.y)


@pytest.mark.parametrize(("field", "share"), [("horizon_known", 0.7), ("horizon_known", 0.2)])
def test_horizons_are_known_in_their_share(field, share):
    known = torch.isfinite(runs(prior=General(**{field: share})).horizon).sum()
    assert stats.binomtest(int(known), 2000, share).pvalue > RATE
    assert stats.binomtest(int(known), 2000, share + 0.1).pvalue < RATE


def test_runs_that_stop_end_with_their_best():
    curves = runs(500, prior=General(stopped=1.0)).upward()
    count = curves.seen.sum(1)
    whole = General(stopped=0.0)
    shorter = count < runs(500, prior=whole).seen.sum(1)
    assert shorter.float().mean() > 0.2
    for i in torch.nonzero(shorter & ~curves.diverged)[:50, 0].tolist():
        y = curves.y[i, : count[i]]
        assert y[-1] >= y[2:].max() - 1e-6 * abs(float(y[-1]))


def test_values_span_decades():
    size = runs().unit.log10()
    assert float(size.min()) < -3 and float(size.max()) > 3


def test_upward_turns_what_falls():
    curves = runs(200)
    turned = curves.upward()
    falls = curves.sign < 0
    torch.testing.assert_close(turned.y[falls], -curves.y[falls])
    torch.testing.assert_close(turned.y[~falls], curves.y[~falls])
    torch.testing.assert_close(turned.upper[falls], -curves.lower[falls])
    assert (
        turned.sign is None and (turned.y >= turned.lower[:, None]).all() and (turned.y <= turned.upper[:, None]).all()
    )


def test_drawing_is_fast():
    torch.set_num_threads(1)
    runs(2000)
    began = time.perf_counter()
    runs(2000)
    assert time.perf_counter() - began < 2.0  # 0.05 s on one free core: 40,000 curves/s; shown, not gated


# -- questions


def test_answers_are_the_truth_about_what_was_seen():
    curves = runs(300).upward()
    asked = draw(curves, QuestionLaw(questions=30, shares=(0.5, 0.25, 0.25)), 100, generator=generator(1))
    count = curves.seen.sum(1)
    checked = dict.fromkeys(KINDS, 0)
    for b in range(300):
        for p in range(30):
            if not asked.valid[b, p]:
                continue
            after, kind = int(asked.after[b, p]), KINDS[int(asked.kinds[p])]
            (place,) = np.flatnonzero(curves.t[b, : count[b]].numpy() == float(asked.t_query[b, p]))
            truth = {
                "value": curves.y[b, place],
                "signal": curves.signal[b, place],
                "best": curves.y[b, after : place + 1].max() if place >= after else math.nan,
            }[kind]
            assert float(asked.answer[b, p]) == float(truth)
            assert kind == "signal" or place >= after
            assert 0 <= after <= 100 and (after > 0 or torch.isfinite(curves.upper[b] - curves.lower[b]))
            checked[kind] += 1
    assert min(checked.values()) > 1000


def test_explosions_and_what_was_never_measured_are_not_asked():
    curves = runs(1000, prior=General(divergence=Divergence(to_nan=0.3, finite=0.5, height=(1e3, 1e6)))).upward()
    asked = draw(curves, QuestionLaw(questions=24, shares=(0.6, 0.2, 0.2)), 100, generator=generator(1))
    seen_worst = curves.y.cummin(1).values.gather(1, (asked.after - 1).clamp(min=0))
    fall = (seen_worst - asked.answer) / curves.unit[:, None]
    rounding = 3e-7 * asked.answer.abs() / curves.unit[:, None]  # a unit is nothing beside 1e6 of them in float32
    assert float((fall - rounding)[asked.valid].max()) <= EXPLOSION * 1.001
    last = torch.where(curves.seen, curves.t, -math.inf).amax(1, keepdim=True)
    assert (asked.t_query <= last).expand_as(asked.valid)[asked.valid].all()
    assert 0.5 < float(asked.valid.float().mean()) < 0.99


# -- training and the engine


def test_a_run_has_the_prior_that_it_was_told_and_goes_on_with_no_other(tmp_path):
    told = Options(**(TINY | {"validation_curves": 0}), prior_parameters='{"lcpfn_runs": {"share": 0.3}}', steps=2)
    Run(told, tmp_path, say=quiet).run()
    prior = Checkpoint.read(tmp_path / "checkpoint.safetensors").provenance["prior"]
    assert by_name(prior["name"], prior["parameters"]) == General(lcpfn_runs=LcpfnRuns(share=0.3)) != General()
    with pytest.raises(ValueError, match="--resume needs the prior_parameters that the run began with"):
        Run(dataclasses.replace(told, prior_parameters="{}"), tmp_path, say=quiet, resume=True)


def test_training_learns_and_the_engine_runs_what_it_learnt(tmp_path):
    run = Run(Options(**TINY, steps=80, lr=5e-3, warmup=10), tmp_path, say=quiet)
    before = run.validate(run.examined)
    last = run.run()
    assert set(before) == set(KINDS)
    assert all(last["scores"][kind] > before[kind] + 0.1 for kind in before), (before, last["scores"])
    pfn = PFN(Checkpoint.read(tmp_path / "checkpoint.safetensors"))
    assert pfn.checkpoint.provenance["prior"] == {
        "name": "general",
        "parameters": General().parameters(),
        "bounds": [None, None],
    }
    y = 2 + 3 * np.exp(-np.arange(20) / 6)
    for scale in (1e-3, 1.0, 1e3):
        belief = pfn.predict(scale * y, horizon=40, metric=Metric("min"), run_end=40)
        assert belief.shape == (20,) and np.isfinite(belief.mean()).all() and (belief.crps(2 * scale) >= 0).all()


@pytest.mark.parametrize(
    "coordinates", [Coordinates(), Coordinates(times="relative"), Coordinates(bounded=False)], ids=str
)
def test_runs_need_coordinates_for_any_metric_and_grid(coordinates, tmp_path):
    with pytest.raises(ValueError, match="--times relative --no-bounded"):
        Run(Options(**(TINY | {"coordinates": coordinates}), steps=1), tmp_path, say=quiet)


def test_training_and_engine_see_the_same(tmp_path):
    """The log density that training computes is that of the engine's belief."""
    run = Run(Options(**TINY, steps=1), tmp_path, say=quiet)
    run.run()
    pfn = PFN(Checkpoint.read(tmp_path / "checkpoint.safetensors"))
    curves = runs(40, seed=3)
    upward = curves.upward()
    asked = draw(upward, QuestionLaw(questions=6, shares=(1.0, 0.0, 0.0)), 100, generator=generator(1))
    with torch.no_grad():
        ours = run.objective(upward, asked.after, asked.t_query, asked.answer, asked.kinds)
    compared = 0
    for b in range(40):
        lower, upper = float(curves.lower[b]), float(curves.upper[b])
        bounds = (lower if math.isfinite(lower) else None, upper if math.isfinite(upper) else None)
        metric = Metric("max" if curves.sign[b] > 0 else "min", bounds=bounds, overshoot=True)
        end = float(curves.horizon[b])
        for p in range(6):
            after, answer = int(asked.after[b, p]), float(asked.answer[b, p] * curves.sign[b])
            if not asked.valid[b, p] or after < 2:
                continue
            t, y = curves.t[b, :after].double().numpy(), curves.y[b, :after].double().numpy()
            context = read_context(y, t=t, metric=metric)
            if tamed(context.y, context.count, metric) is not context.y:  # training sees wild starts as they are
                continue
            belief = pfn.predict(
                y,
                [float(asked.t_query[b, p])],
                t=t,
                metric=metric,
                run_end=end,
            )
            theirs = float(belief.log_prob(answer)[0]) + math.log(float(curves.unit[b]))
            if abs(float(ours[b, p])) < 20:  # beyond, training cuts off
                assert float(ours[b, p]) == pytest.approx(theirs, abs=2e-3)
                compared += 1
    assert compared > 100


# -- the end of a run


def test_the_end_of_a_run_is_an_input_and_may_be_unknown():
    pfn = random_pfn(coordinates=ANY)
    y = np.array([0.1, 0.4, 0.5, 0.55])
    unknown = pfn.predict(y, [8, 12])
    for known, same in ((np.nan, True), (12.0, False)):
        belief = pfn.predict(y, [8, 12], run_end=known)
        assert np.array_equal(belief.mean(), unknown.mean()) == same
    many = pfn.predict([y, y, y], [8, 12], run_end=[12.0, np.nan, 20.0])
    np.testing.assert_allclose(many.median()[0], pfn.predict(y, [8, 12], run_end=12).median(), rtol=1e-5)
    np.testing.assert_allclose(many.median()[1], unknown.median(), rtol=1e-5)
    stream = pfn.stream(run_end=12)
    for t, value in enumerate(y, 1):
        stream.observe(t, value)
    np.testing.assert_allclose(
        stream.predict([8, 12]).median(), pfn.predict(y, [8, 12], run_end=12).median(), rtol=1e-4
    )
    replay = pfn.replay(y, [12], run_end=12)
    np.testing.assert_allclose(replay.belief.median()[-1], pfn.predict(y, [12], run_end=12).median(), rtol=1e-4)


@pytest.mark.parametrize("end", [3.0, np.inf, [9.0, 9.0], "soon"])
def test_ends_that_cannot_be_are_refused(end):
    with pytest.raises((ValueError, TypeError), match="run_end"):
        random_pfn(coordinates=ANY).predict([0.1, 0.4, 0.5, 0.55], [8], run_end=end)


def test_ends_need_relative_times():
    with pytest.raises(ValueError, match="ends needs times"):
        Coordinates(ends=True)


@pytest.mark.parametrize("kind", KINDS)
def test_invariances_with_an_end_are_exact(kind):
    pfn = random_pfn(ModelConfig(width=32, layers=2, heads=2, hidden=64, decoder=48, components=5), ANY)
    y, t = np.array([0.3, 0.5, 0.45, 0.6, 0.64]), np.array([1.0, 2.0, 4.0, 5.0, 7.0])
    ahead, end = np.array([8.0, 20.0]), 30.0
    plain = pfn.predict(y, ahead, t=t, kind=kind, run_end=end)
    levels = [0.1, 0.5, 0.9]
    for scale, shift in ((1e-3, 0.0), (1e3, 0.0), (4.0, 2.0), (0.5, -8.0)):
        moved = pfn.predict(scale * y + shift, ahead, t=t, kind=kind, run_end=end)
        np.testing.assert_allclose(moved.quantile(levels), scale * plain.quantile(levels) + shift, rtol=1e-4)
    mirrored = pfn.predict(-y, ahead, t=t, kind=kind, run_end=end, metric=Metric("min"))
    np.testing.assert_allclose(mirrored.quantile(levels), -plain.quantile(levels)[:, ::-1], rtol=1e-6)
    slower = pfn.predict(y, 1e4 * ahead, t=1e4 * t, kind=kind, run_end=1e4 * end)
    np.testing.assert_allclose(slower.quantile(levels), plain.quantile(levels), rtol=1e-5)


def test_nothing_is_known_of_the_clock_before_the_first_point():
    t = torch.tensor([[5.0, 6.0, 8.0]]).double()
    asked, after = torch.tensor([[5.0, 9.0]]).double(), torch.zeros(1, 2, dtype=torch.int64)
    features = ANY.query(t, asked, after, torch, torch.tensor([10.0]).double())
    assert torch.isfinite(features).all()
    later = ANY.query(t + 1, asked, after, torch, torch.tensor([10.0]).double())
    assert torch.equal(features, later), "the times of points that were not seen must not show"
