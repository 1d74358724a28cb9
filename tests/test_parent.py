"""Fine-tuning with more inputs than the parent has: told apart by name, and silent at first."""

import dataclasses

import numpy as np
import pytest
import torch
from networks import FREE, PAPER, TINY, random_pfn
from originals import OriginalConfig, UnitCoordinates

from lcpfn import PFN, Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.training import Options
from lcpfn.training.command import options, parser
from lcpfn.training.parent import Parent, flag
from lcpfn.training.transformer import Transformer

CURVE = [0.12, 0.31, 0.42, 0.47, 0.55, 0.56]
SHARE = Metric(bounds=(0, 1))


@pytest.fixture
def parents(tmp_path):
    """Paths of two networks with random weights, by their coordinates."""
    paths = {}
    for coordinates in (PAPER, FREE):
        made = random_pfn(TINY, coordinates).checkpoint
        facts = {**made.provenance, "prior": {**made.provenance["prior"], "name": "paper"}, "curves_seen": 0}
        paths[coordinates] = tmp_path / f"{coordinates.times}.safetensors"
        Checkpoint(made.config, made.weights, facts).write(paths[coordinates])
    return paths


def wanted(path, coordinates: Coordinates, model: ModelConfig = TINY) -> Options:
    return Options(steps=1, init=str(path), model=model, coordinates=coordinates)


def child(path, coordinates: Coordinates) -> tuple[PFN, Transformer]:
    parent = Parent.of(wanted(path, coordinates))
    assert parent is not None
    with torch.random.fork_rng(devices=[]):
        network = Transformer(TINY, coordinates)
    parent.into(network)
    config = {"model": dataclasses.asdict(TINY), "coordinates": dataclasses.asdict(coordinates)}
    weights = {name: p.detach().numpy().copy() for name, p in network.named_parameters()}
    return PFN(Checkpoint(config, weights, Checkpoint.read(path).provenance)), network


GROWN = [
    (PAPER, {"tokens": ("log count", *PAPER.tokens)}),
    (PAPER, {"tokens": (*reversed(PAPER.tokens), "inverse count"), "queries": ("gaps ahead", *PAPER.queries)}),
    (FREE, {"ends": True, "queries": ()}),
]


@pytest.mark.parametrize(("coordinates", "more"), GROWN)
def test_a_network_with_more_inputs_says_the_same_at_first_and_can_learn_from_them(parents, coordinates, more):
    grown = dataclasses.replace(coordinates, **more)
    assert grown.token_features + grown.query_features > coordinates.token_features + coordinates.query_features
    pfn, network = child(parents[coordinates], grown)
    before = PFN(Checkpoint.read(parents[coordinates]))
    for kind in ("value", "best"):
        asked = {"metric": SHARE, "kind": kind}
        if grown.ends:
            asked["run_end"] = 30.0
        found = pfn.predict(CURVE, [8, 20], **asked).quantile([0.05, 0.5, 0.95])
        np.testing.assert_allclose(
            found, before.predict(CURVE, [8, 20], metric=SHARE, kind=kind).quantile([0.05, 0.5, 0.95]), rtol=1e-4
        )
    for what, old, weight in (
        ("tokens", coordinates.tokens, network.embed1.weight),
        ("queries", coordinates.queries, network.ask_query.weight),
    ):
        new = [place for place, name in enumerate(getattr(grown, what)) if name not in old]
        assert not weight[:, new].any()
    random = torch.Generator().manual_seed(0)
    states = network.encode(torch.randn(2, 5, grown.token_features, generator=random))
    features = torch.randn(2, 6, grown.query_features, generator=random)
    network.decode(states, features, torch.tensor([0])).square().sum().backward()
    for weight in (network.embed1.weight, network.ask_query.weight):
        assert bool((weight.grad.abs().sum(0) > 0).all()), "each input must be able to gain weight"


def test_an_input_that_the_child_lacks_is_refused_and_the_advice_does(parents):
    fewer = dataclasses.replace(PAPER, tokens=("log count", *PAPER.tokens[1:]))
    with pytest.raises(ValueError, match=r"other tokens .*'log count'.*say --tokens change 'from first'"):
        Parent.of(wanted(parents[PAPER], fewer))
    told = options(parser().parse_args(["--steps", "1", "--tokens", *PAPER.tokens, "--queries", *PAPER.queries]))
    assert told.coordinates == PAPER
    assert flag("tokens", ("change", "from first")) == "--tokens change 'from first'"


def test_a_network_of_the_ablations_begins_with_none_of_the_library(parents):
    model = OriginalConfig(**dataclasses.asdict(TINY))
    with pytest.raises(ValueError, match=r"head \(bars here, mixture there\).*values \(unit here, local"):
        Parent.of(wanted(parents[PAPER], UnitCoordinates(), model))
