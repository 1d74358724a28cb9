"""Divergence as an outcome: questions with true answers, learnt odds, and what a belief says of them."""

import dataclasses

import numpy as np
import pytest
import torch
from networks import FREE, TINY, random_pfn

from lcpfn import Checkpoint, Metric
from lcpfn.belief import Belief
from lcpfn.cli.answer import Answer
from lcpfn.curve import Curve
from lcpfn.distributions.mixture import Mixture
from lcpfn.network.config import OUTCOMES
from lcpfn.pfn import PFN
from lcpfn.prepare import tamed
from lcpfn.priors import Curves, General, Paper
from lcpfn.priors.general.divergence import Divergence
from lcpfn.training import PRESETS, Options, Run, train
from lcpfn.training.objective import Objective
from lcpfn.training.parent import Parent
from lcpfn.training.questions import EXPLOSION, QuestionLaw, draw, draw_outcomes

KNOWING = dataclasses.replace(TINY, divergence=True)
TRAINED = dict(
    batch=32, questions=12, precision="float32", threads=1, validation_curves=64, log_every_s=1e9, alarm_curves=0
)


def runs(n: int = 4000, seed: int = 0, **law: float) -> Curves:
    generator = torch.Generator().manual_seed(seed)
    return General(divergence=Divergence(**law)).sample_runs(n, 100, 28, generator=generator).upward()


def test_outcomes_are_what_happened() -> None:
    curves = runs(300, to_nan=0.4, finite=0.4)
    asked = draw_outcomes(curves, 8, 100, generator=torch.Generator().manual_seed(1))
    assert asked.outcome is not None and asked.valid is not None
    assert curves.diverged is not None and curves.unit is not None and curves.end is not None
    told = set()
    for b in range(300):
        y, t = (part[b][curves.seen[b]].numpy() for part in (curves.y, curves.t))
        for p in range(8):
            after, when = int(asked.after[b, p]), float(asked.t_query[b, p])
            if not asked.valid[b, p]:
                continue
            assert after <= len(y) - (not curves.diverged[b])
            assert t[:after].max(initial=0) < when <= float(curves.end[b]) * (1 + 1e-6)
            outcome = "goes on"
            later = y[after:][t[after:] <= when]
            if after and len(later) and later.min() < y[:after].min() - EXPLOSION * float(curves.unit[b]):
                outcome = "exploded"
            if curves.diverged[b] and when > t[-1]:
                outcome = "broke off"
            assert OUTCOMES[asked.outcome[b, p]] == outcome
            told.add(outcome)
    assert told == set(OUTCOMES)


def test_points_seen_and_asked_times_say_nothing_of_what_came() -> None:
    """Given that a run of 30 to 100 points reached its third, the odds of breaking off are those of its law."""
    curves = runs(20_000, to_nan=0.5, finite=0.0)
    asked = draw_outcomes(curves, 4, 100, generator=torch.Generator().manual_seed(1))
    assert asked.valid is not None and curves.planned is not None and curves.diverged is not None
    count = curves.seen.sum(1)
    ours = (asked.after == 3) & asked.valid
    middling = (curves.planned >= 30) & (curves.planned <= 100)
    among = middling[:, None] & ours
    there = middling & (count >= 3)
    said = float(curves.diverged[:, None].expand_as(among)[among].float().mean())
    true = float(curves.diverged[there].float().mean())
    n = int(among.sum())
    assert n > 400 and abs(said - true) < 4 * (true * (1 - true) / n) ** 0.5
    naive = draw(
        curves, QuestionLaw(questions=12, shares=(1.0, 0.0, 0.0)), 100, generator=torch.Generator().manual_seed(1)
    )
    assert naive.valid is not None  # the bias that this is about: cut-offs drawn among the points that came
    few = (naive.after == 3) & naive.valid & middling[:, None]
    biased = float(curves.diverged[:, None].expand_as(few)[few].float().mean())
    assert biased - true > 8 * (true * (1 - true) / int(few.sum())) ** 0.5


def test_a_prior_that_does_not_say_what_was_planned_is_refused() -> None:
    curves = dataclasses.replace(runs(5), planned=None)
    with pytest.raises(ValueError, match="planned"):
        draw_outcomes(curves, 2, 100, generator=torch.Generator())
    with pytest.raises(ValueError, match="whole runs"):
        Run(Options(steps=1, prior=Paper().name, model=KNOWING), folder=None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PFN:
    """A tiny network after a few steps with a prior in which most runs break off within the first few points."""
    folder = tmp_path_factory.mktemp("outcome")
    model = dataclasses.replace(PRESETS["tiny"], divergence=True)
    coordinates = dataclasses.replace(FREE, ends=True)
    prior = General(divergence=Divergence(to_nan=0.9, finite=0.3))
    told = Options(prior="general", steps=150, model=model, coordinates=coordinates, **TRAINED)  # type: ignore[arg-type]
    line = train(told, folder, prior=prior, say=lambda _: None)
    assert set(line["scores"]) == {"value", "signal", "best", "outcome"}
    assert line["scores"]["outcome"] > np.log(1 / 3)
    return PFN(Checkpoint.read(folder / "checkpoint.safetensors"))


def test_training_learns_that_runs_diverge_early(trained: PFN) -> None:
    y = np.array([2.0, 1.5, 1.3, 1.2, 1.15, 1.1, 1.08, 1.06, 1.05, 1.04])
    young, old = (
        trained.predict(y[:seen], [100.0], metric=Metric("min"), run_end=100).prob_diverged()[0] for seen in (1, 10)
    )
    assert young > old + 0.05 > 0.05


def test_fine_tuning_grows_the_output(trained: PFN, tmp_path) -> None:
    plain = random_pfn(PRESETS["tiny"], dataclasses.replace(FREE, ends=True))
    plain.checkpoint.write(tmp_path / "plain.safetensors")
    told = dict(prior="general", init=str(tmp_path / "plain.safetensors"), coordinates=plain.inference.coordinates)
    model = dataclasses.replace(PRESETS["tiny"], divergence=True)
    run = Run(Options(steps=1, model=model, **told, **TRAINED), tmp_path, say=lambda _: None)  # type: ignore[arg-type]
    run.save(scores={})
    grown = PFN(Checkpoint.read(tmp_path / "checkpoint.safetensors"))
    y = [0.2, 0.5, 0.4]
    ours, theirs = (each.predict(y, [5.0, 9.0]) for each in (grown, plain))
    np.testing.assert_array_equal(ours.median(), theirs.median())
    assert theirs.outcome is None and (ours.prob_diverged() > 0).all() and (ours.prob_diverged() < 0.05).all()


@pytest.mark.parametrize("larger", [{"layers": 4}, {"hidden": 96}, {"layers": 3, "hidden": 80}])
def test_fine_tuning_grows_the_network(larger: dict[str, int], tmp_path) -> None:
    plain = random_pfn(PRESETS["tiny"], FREE)
    plain.checkpoint.write(tmp_path / "plain.safetensors")
    told = dict(prior="general", init=str(tmp_path / "plain.safetensors"), coordinates=FREE)
    model = dataclasses.replace(PRESETS["tiny"], **larger)
    run = Run(Options(steps=3, model=model, **told, **TRAINED), tmp_path, say=lambda _: None)  # type: ignore[arg-type]
    run.save(scores={})
    grown = PFN(Checkpoint.read(tmp_path / "checkpoint.safetensors"))
    y = [0.2, 0.5, 0.4]
    ours, theirs = (each.predict(y, [5.0, 9.0]) for each in (grown, plain))
    np.testing.assert_allclose(ours.median(), theirs.median(), rtol=1e-6)
    before = {name: weight.copy() for name, weight in grown.checkpoint.weights.items()}
    run.run()
    after = Checkpoint.read(tmp_path / "checkpoint.safetensors").weights
    still = [name for name in before if np.array_equal(before[name], after[name])]
    assert not [name for name in still if "down" in name or "out" in name], "what was added has to learn"
    with pytest.raises(ValueError, match="needs the network"):
        Parent.of(
            dataclasses.replace(run.options, model=PRESETS["tiny"], init=str(tmp_path / "checkpoint.safetensors"))
        )


@pytest.mark.parametrize("device", [None, "cpu"])
def test_every_way_to_ask_says_the_same(device: str | None) -> None:
    pfn = random_pfn(KNOWING, FREE, device=device)
    y = [0.3, 0.5, 0.4, 0.7]
    belief = pfn.predict([y, y[:2]], [6.0, 9.0])
    assert belief.prob_diverged().shape == (2, 2)
    replayed = pfn.replay(y, [6.0, 9.0]).belief
    np.testing.assert_allclose(replayed[4].prob_diverged(), belief[0].prob_diverged(), rtol=1e-4)
    np.testing.assert_allclose(replayed[2].prob_diverged(), belief[1].prob_diverged(), rtol=1e-4)
    stream = pfn.stream()
    for t, value in enumerate(y, 1):
        stream.observe(t, value)
    streamed = stream.predict([6.0, 9.0])
    np.testing.assert_allclose(streamed.prob_diverged(), belief[0].prob_diverged(), rtol=1e-4)
    assert (belief.prob_diverged(into_nan=True) < belief.prob_diverged()).all()


def test_the_network_that_was_trained_is_the_one_that_answers(trained: PFN) -> None:
    """Log probabilities of the torch twin, from the same questions."""
    curves = runs(40, seed=3)
    asked = draw_outcomes(curves, 4, 100, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global state
        objective = Objective(trained.inference.config, trained.inference.coordinates, General().bounds)
    weights = {f"model.{name}": torch.tensor(value) for name, value in trained.checkpoint.weights.items()}
    objective.load_state_dict(weights, strict=False)
    with torch.no_grad():
        said = objective(curves, asked.after, asked.t_query, asked.answer, asked.kinds, asked.outcome).exp()
    for b in range(40):
        y, t = curves.y[b].double().numpy(), curves.t[b].double().numpy()
        for p in range(4):
            after = int(asked.after[b, p])
            if not asked.valid[b, p] or not after:  # type: ignore[index]
                continue
            low, high = float(curves.lower[b]), float(curves.upper[b])  # type: ignore[index]
            bounds = (low if np.isfinite(low) else None, high if np.isfinite(high) else None)
            end = float(curves.horizon[b])  # type: ignore[index]
            metric = Metric("max", bounds=bounds, overshoot=True)
            if (tamed(y[None, :after], np.array([after]), metric) != y[:after]).any():
                continue  # training sees wild starts as they are
            replay = trained.replay(
                y[:after],
                float(asked.t_query[b, p]),
                t=t[:after],
                metric=metric,
                run_end=end if np.isfinite(end) else None,
            )
            odds = replay.belief.outcome[after, 0]  # type: ignore[index]
            expected = [1 - odds.sum(), *odds][int(asked.outcome[b, p])]  # type: ignore[index]
            assert float(said[b, p]) == pytest.approx(expected, abs=1e-3)


def belief(outcome: object = None) -> Belief:
    law = Mixture([[0.0], [0.0]], means=[[0.5], [0.6]], stds=[[0.1], [0.1]])
    return Belief(law, 0.0, 1.0, metric=Metric(), t=[10, 20], outcome=outcome)  # type: ignore[arg-type]


def test_a_belief_says_how_likely_a_run_diverges() -> None:
    told = belief([[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_allclose(told.prob_diverged(), [0.3, 0.7])
    np.testing.assert_allclose(told[1].prob_diverged(into_nan=True), 0.4)
    with pytest.raises(ValueError, match="trained without"):
        belief().prob_diverged()


@pytest.mark.parametrize("wrong", [[[0.1, 0.2]], [0.1, 0.2], [[0.1, 1.2], [0, 0]], [[-0.1, 0.2], [0, 0]]])
def test_outcomes_that_cannot_be_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="outcome must be two probabilities"):
        belief(wrong)


def test_the_command_says_it_where_it_is_likely() -> None:
    seen, rest = (Curve(None, y, name="loss", clock="epoch") for y in (np.array([1.0, 2.0]), np.zeros(0)))
    likely = Answer(belief([[0.1, 0.2], [0.3, 0.4]]), seen, rest)
    line = likely.danger()
    assert line is not None and "70.0 %" in line and "NaN 40.0 %" in line and "epoch 20" in line
    assert [each["prob_diverged"] for each in likely.forecasts()] == pytest.approx([0.3, 0.7])
    assert Answer(belief([[0.0, 0.0], [0.01, 0.01]]), seen, rest).danger() is None
    silent = Answer(belief(), seen, rest)
    assert silent.danger() is None and silent.forecasts()[0]["prob_diverged"] is None
