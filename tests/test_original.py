"""The original layout: who sees whom, cut-offs, and that the training's loop takes it."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
import torch
from originals import OriginalAnswers, OriginalConfig, UnitCoordinates, methods
from originals import network as layouts
from originals import train as script
from torch.nn import functional as F

from lcpfn import Checkpoint, Metric, load
from lcpfn.network.coordinates import Coordinates, Frame
from lcpfn.priors import Paper
from lcpfn.query import KINDS
from lcpfn.training import PRESETS, Options, Run, train
from lcpfn.training.objective import Objective
from lcpfn.training.questions import QuestionLaw, draw
from lcpfn.training.randomness import BATCH, generator
from lcpfn.training.scores import unseen_log_density

CONFIG = OriginalConfig(width=32, layers=2, heads=2, hidden=64, decoder=48, components=5, head="mixture")
UNIT, LOCAL = UnitCoordinates(), Coordinates()
OriginalTransformer = layouts.OriginalTransformer
Module = TypeVar("Module", bound=torch.nn.Module)
VALUE, SIGNAL, BEST = range(len(KINDS))


@pytest.fixture
def curves():
    return Paper().sample(6, torch.arange(1.0, 101.0), generator=generator(0, BATCH, 0))


def randomise(module: torch.nn.Module) -> None:
    """All weights at work: the zeros of the first state would hide mistakes."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=random) * spread)


def built(make: Callable[[], Module]) -> Module:
    """What `make` makes, with random weights; torch's layers draw their first ones from the global state."""
    with torch.random.fork_rng():
        made = make()
    randomise(made)
    return made.eval()


def network(coordinates: Coordinates, config: OriginalConfig = CONFIG) -> OriginalTransformer:
    return built(lambda: OriginalTransformer(config, coordinates))


def objective(coordinates: Coordinates, config: OriginalConfig = CONFIG) -> Objective:
    return built(lambda: Objective(config, coordinates, (0.0, 1.0), network=layouts.network_of(config)))


def view_of(coordinates: Coordinates, t: torch.Tensor, y: torch.Tensor) -> Frame:
    t, y = t.double(), y.double()
    return coordinates.frame(t, y, t.new_zeros(len(t)), t.new_ones(len(t)), torch)


def ask(made: OriginalTransformer, t, y, after: list[int], times: list[float], kinds: list[int]) -> torch.Tensor:
    """(B, P, outputs) answers to the same questions about all curves."""
    view, t = view_of(made.coordinates, t, y), t.double()
    shape = len(y), len(times)
    cuts, asked = torch.tensor(after).expand(shape), torch.tensor(times, dtype=torch.float64).expand(shape)
    with torch.no_grad():
        return made.raw(view, t, cuts, asked, torch.tensor(kinds))


def test_attention_is_that_of_a_mask_over_all_tokens():
    layer = built(lambda: layouts.OriginalAttention(CONFIG))
    seen, asked = 7, 4
    x = torch.randn(3, seen + asked, CONFIG.width, generator=torch.Generator().manual_seed(1))
    q, k, v = layer.qkv(x).view(3, seen + asked, 3, CONFIG.heads, -1).permute(2, 0, 3, 1, 4)
    allowed = torch.eye(seen + asked, dtype=torch.bool)
    allowed[:, :seen] = True
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    expected = layer.out(mixed.transpose(1, 2).reshape(x.shape))
    torch.testing.assert_close(layer(x, seen), expected)


def test_observed_points_are_a_set(curves):
    """No causal mask, and no place but what a token says of its time: tokens may come in any order."""
    made, order = network(LOCAL), torch.randperm(30, generator=torch.Generator().manual_seed(0))
    tokens = view_of(LOCAL, curves.t[:, :30], curves.y[:, :30]).tokens.float()
    times, kinds = torch.linspace(-1, 1, 6).reshape(1, 2, 3).expand(6, -1, -1), torch.tensor([VALUE, BEST])
    with torch.no_grad():
        plain, mixed = made(tokens, times, kinds), made(tokens[:, order], times, kinds)
    torch.testing.assert_close(mixed, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("coordinates", [UNIT, LOCAL])
def test_what_lies_after_the_cut_off_is_not_seen(curves, coordinates):
    made, later = network(coordinates), curves.y.clone()
    plain = ask(made, curves.t, curves.y, [20] * 2, [30.0, 60.0], [VALUE, BEST])
    later[:, 20:] = 0.123
    assert torch.equal(ask(made, curves.t, later, [20] * 2, [30.0, 60.0], [VALUE, BEST]), plain)
    later[:, 19] = 0.456
    assert not torch.allclose(ask(made, curves.t, later, [20] * 2, [30.0, 60.0], [VALUE, BEST]), plain, atol=1e-3)


def test_a_query_does_not_see_the_others(curves):
    made = network(LOCAL)
    times, kinds = [30.0, 60.0, 60.0, 99.0], [VALUE, VALUE, SIGNAL, BEST]
    together = ask(made, curves.t, curves.y, [20] * 4, times, kinds)
    assert not torch.allclose(together[:, 1], together[:, 2], atol=1e-3), "a kind must make a difference"
    for i in range(4):
        alone = ask(made, curves.t, curves.y, [20], [times[i]], [kinds[i]])
        torch.testing.assert_close(alone[:, 0], together[:, i], rtol=1e-4, atol=1e-5)


def test_several_cut_offs_in_one_call_keep_their_order(curves):
    made = network(LOCAL)
    cuts, times, kinds = [40, 0, 40, 7, 0, 99], [50.0, 1.0, 90.0, 8.0, 30.0, 100.0], [0, 1, 2, 0, 0, 1]
    together = ask(made, curves.t, curves.y, cuts, times, kinds)
    assert together.shape == (6, 6, CONFIG.outputs) and together.dtype == torch.float32
    for i, (cut, time, kind) in enumerate(zip(cuts, times, kinds)):
        alone = ask(made, curves.t[:, :cut], curves.y[:, :cut], [cut], [time], [kind])
        torch.testing.assert_close(alone[:, 0], together[:, i], rtol=1e-4, atol=1e-5)


def test_a_query_is_told_its_own_time_alone(curves):
    t = curves.t.double()
    features = [LOCAL.query(t, t, torch.full(t.shape, after), torch)[..., layouts.TIME] for after in (0, 1, 50)]
    assert torch.equal(features[0], features[1])
    assert torch.equal(features[0], features[2])
    assert features[0].diff(dim=1).abs().sum(-1).min() > 0, "times must differ"


def test_curves_of_a_batch_must_share_their_cut_offs(curves):
    made, t = network(LOCAL), curves.t.double()
    view = view_of(LOCAL, curves.t, curves.y)
    after = torch.arange(1, 7)[:, None]
    with pytest.raises(ValueError, match="one_cut=True"):
        made.raw(view, t, after, torch.full((6, 1), 50.0).double(), torch.tensor([VALUE]))


def test_times_must_be_absolute():
    with pytest.raises(ValueError, match="times=\"absolute\", got 'relative'"):
        OriginalTransformer(CONFIG, Coordinates(times="relative", clock=None, bounded=False))


@pytest.mark.parametrize(("head", "components"), [("mixture", 5), ("bars", 50)])
@pytest.mark.parametrize("coordinates", [UNIT, LOCAL])
@pytest.mark.parametrize(
    ("layout", "cls"), [("original", layouts.OriginalTransformer), ("causal", layouts.CausalTransformer)]
)
def test_its_log_densities_are_densities(curves, coordinates, head, components, layout, cls):
    asked_of = objective(coordinates, dataclasses.replace(CONFIG, head=head, components=components, layout=layout))
    assert isinstance(asked_of.model, cls)
    with torch.no_grad():  # tame spreads and means, so that the grid below holds all of the mass
        for parameter in asked_of.model.head.parameters():
            parameter.mul_(0.1)
    u = np.linspace(-12, 12, 40_001) if coordinates.transform == "sinh" else np.linspace(-8, 9, 40_001)
    one = curves[:1]
    view = view_of(coordinates, one.t, one.y)
    location, scale = float(view.location[0, 20]), float(view.scale[0, 20])
    y = location + scale * (np.sinh(u) if coordinates.transform == "sinh" else u)
    grid = torch.tensor(y)[None]
    after, asked = torch.full(grid.shape, 20), torch.full(grid.shape, 60.0)
    with torch.no_grad():
        log_density = asked_of(one, after, asked, grid, torch.tensor([VALUE]))
    assert np.trapezoid(log_density[0].double().exp().numpy(), y) == pytest.approx(1, abs=2e-3)


def test_the_loop_trains_it_and_numpy_refuses_it(tmp_path):
    model = OriginalConfig(**dataclasses.asdict(PRESETS["tiny"]) | {"components": 100})
    told = Options(
        steps=40, batch=32, questions=12, lr=5e-3, precision="float32", threads=1, model=model,
        warmup=5, validation_curves=20, log_every_s=1e9, alarm_curves=0,
    )  # fmt: skip
    run = Run(told, tmp_path, say=lambda line: None, network=OriginalTransformer)
    before = run.validate(run.examined)
    last = run.run()
    assert all(last["scores"][cut] > before[cut] + 0.3 for cut in before)
    assert Checkpoint.read(tmp_path / "checkpoint.safetensors").config["model"]["layout"] == "original"
    with pytest.raises(ValueError, match=r"head='mixture', got 'bars'.*opponents\.original"):
        load(tmp_path / "checkpoint.safetensors")
    told = dataclasses.replace(told, steps=1, alarm_curves=2)
    train(told, tmp_path / "whole", say=lambda line: None, network=OriginalTransformer)
    assert "alarm" not in Checkpoint.read(tmp_path / "whole" / "checkpoint.safetensors").provenance, "it has none"


def test_gradients_reach_every_weight(curves):
    made = objective(LOCAL)
    asked = draw(
        curves,
        QuestionLaw(questions=12, shares=(0.4, 0.3, 0.3), early=1.0, final=0.0, one_cut=True),
        100,
        generator=generator(1),
    )
    made(curves, asked.after, asked.t_query, asked.answer, asked.kinds).mean().backward()
    dead = [name for name, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_scores_ask_it_about_several_cut_offs(curves):
    made = objective(LOCAL)

    def log_density(part, after, t, answer):
        with torch.no_grad():
            return made(part, after, t, answer, torch.tensor([VALUE]))

    together = unseen_log_density(log_density, curves)
    for cut, scores in together.items():
        torch.testing.assert_close(unseen_log_density(log_density, curves, cuts=(cut,))[cut], scores)


@pytest.mark.parametrize("wrong", [{"head": "softmax"}, {"layout": "rnn"}, {"divergence": True}, {"width": 0}])
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OriginalConfig(**wrong)
    with pytest.raises(ValueError, match='values must be "unit" here'):
        UnitCoordinates(values="local")


@pytest.mark.parametrize("points", [0, 1, 20])
def test_unit_coordinates_read_the_same_from_numpy_and_torch(points):
    random = np.random.default_rng(0)
    t = np.cumsum(random.uniform(0.5, 2.0, (3, points)), axis=1)
    parts = t, random.uniform(0, 1, (3, points)), np.zeros(3), np.ones(3)
    ours, theirs = UNIT.frame(*parts, np), UNIT.frame(*(torch.tensor(part) for part in parts), torch)
    for numpy_part, torch_part in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(numpy_part, torch_part.numpy(), rtol=1e-9, atol=1e-12)
    assert ours.tokens.shape == (3, points, UNIT.token_features) == (3, points, 5)
    np.testing.assert_array_equal(ours.tokens[..., 0], parts[1])
    assert (ours.location == 0).all() and (ours.scale == 1).all()


@pytest.mark.parametrize("layout", ["causal", "original"])
@pytest.mark.parametrize("head", ["mixture", "bars"])
@pytest.mark.parametrize("coordinates", [UNIT, LOCAL])
def test_answers_are_those_of_the_training(curves, layout, head, coordinates):
    """Log densities of the belief that a file gives, against the objective's, for all kinds."""
    config = dataclasses.replace(CONFIG, layout=layout, head=head, components=30)
    made = objective(coordinates, config)
    with torch.no_grad():
        for parameter in made.model.head.parameters():
            parameter.mul_(0.2)
    header = {"model": dataclasses.asdict(config), "coordinates": dataclasses.asdict(coordinates)}
    weights = {name: p.detach().numpy() for name, p in made.model.named_parameters()}
    answers = OriginalAnswers(Checkpoint(header, weights))
    times = np.array([30.0, 90.0])
    y, wanted = curves.y[:, :20].double().numpy(), curves.y[:, [29, 89]]
    for kind in KINDS:
        belief = answers.predict(y, times, kind=kind, metric=Metric(bounds=(0, 1), overshoot=True))
        asked = torch.tensor(times).expand(len(y), -1)
        with torch.no_grad():
            expected = made(curves, torch.full((len(y), 2), 20), asked, wanted, torch.tensor([KINDS.index(kind)]))
        np.testing.assert_allclose(belief.log_prob(wanted.numpy()), expected, rtol=1e-3, atol=1e-3)


def test_answers_about_a_metric_that_falls_are_turned(curves):
    config = dataclasses.asdict(CONFIG)
    weights = {name: p.detach().numpy() for name, p in network(UNIT).named_parameters()}
    answers = OriginalAnswers(Checkpoint({"model": config, "coordinates": dataclasses.asdict(UNIT)}, weights))
    y = curves.y[:1, :20].double().numpy()
    rising = Metric(bounds=(0, 1), overshoot=True)
    up = answers.predict(y, [50.0], t=[np.arange(1.0, 21.0)], kind="value", metric=rising)
    down = answers.predict(-y, [50.0], kind="value", metric=Metric("min", bounds=(-1, 0), overshoot=True))
    np.testing.assert_allclose(down.mean(), -up.mean())
    with pytest.raises(ValueError, match=r"as many points in every curve, got \[20, 19\]"):
        answers.predict([y[0], y[0, :19]], [50.0], kind="value", metric=rising)


def test_the_published_one_is_trained_by_its_script(tmp_path, capsys):
    told = ["--preset", "tiny", "--components", "50", "--steps", "2", "--batch", "4", "--threads", "1"]
    told += ["--validation-curves", "0", "--runs", str(tmp_path), "--name", "x"]
    assert script.main(told) == 0
    checkpoint = Checkpoint.read(tmp_path / "x" / "checkpoint.safetensors")
    model = checkpoint.config["model"]
    assert (model["head"], model["layout"], model["components"]) == ("bars", "original", 50)
    assert checkpoint.config["coordinates"]["values"] == "unit"
    assert checkpoint.provenance["training"]["shares"] == [1.0, 0.0, 0.0]
    assert script.main([*told, "--steps", "3", "--resume"]) == 0
    assert script.main([*told, "--steps", "3", "--resume", "--layout", "causal"]) == 2
    assert "--resume needs the model that the run began with" in capsys.readouterr().err


def test_the_method_of_a_published_checkpoint_forecasts_any_metric(tmp_path):
    told = ["--preset", "tiny", "--components", "50", "--steps", "1", "--batch", "2", "--threads", "1"]
    assert script.main([*told, "--validation-curves", "0", "--runs", str(tmp_path), "--name", "x"]) == 0
    method = methods.original(tmp_path / "x" / "checkpoint.safetensors")
    y, later = [np.geomspace(3.0, 1.0, 30), np.linspace(2.0, 1.5, 9)], [np.array([40.0, 60.0]), np.array([12.0])]
    t = [np.arange(1.0, len(each) + 1) for each in y]
    beliefs = method.predict(y, later, t=t, kind="best", metric=Metric("min", bounds=(0, None)), horizon=[60.0, 20.0])
    assert [belief.shape for belief in beliefs] == [(2,), (1,)]
    for belief, asked in zip(beliefs, later):
        assert belief.kind == "best" and np.isfinite(belief.quantile([0.05, 0.5, 0.95])).all()
        np.testing.assert_array_equal(belief.t, asked)
