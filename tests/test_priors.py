"""Priors against slow implementations of their definitions, and the contract of every prior."""

import dataclasses
import doctest
import importlib
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from contracts import check_prior
from scipy import stats
from statistical import Z, differs_from_law, laws_differ, mean_differs

import lcpfn.priors
from lcpfn.priors import Curves, Domhan, Paper, by_name
from lcpfn.priors.laws import LCPFN, Law, LogNormal, Uniform
from lcpfn.priors.rejection import acceptable

GRID = torch.arange(1.0, 101.0)
TENTH = math.log(1.1)  # added to the mean of a logarithm: 10 % more
PRIORS = [
    Paper(),
    Paper(noise=LogNormal(-3, 0.5), horizon=50),
    Domhan(),
    Domhan(families=("mmf", "exp4"), terms=1),
    Domhan(terms=11, weight=Uniform(0, 0.3)),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: f"{prior.name}-{prior.terms}-{prior.horizon}")
def test_contract(prior: Paper | Domhan) -> None:
    check_prior(prior)


@pytest.mark.gpu
@pytest.mark.parametrize("prior", [Paper(), Domhan()], ids=lambda prior: prior.name)
def test_contract_on_an_accelerator(prior: Paper | Domhan) -> None:
    check_prior(prior, device="cuda")


# -- the paper's prior against its definition, one curve and one time after the other


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """15,000 draws from the definition, in plain Python; keys as in `Paper.draw`, and what `summary` adds."""
    source = random.Random(0)
    times = range(1, 101)

    def draw() -> dict[str, float] | None:
        w1, w2, w3 = (source.uniform(0, 1) for _ in range(3))
        c, a, alpha = source.uniform(0, 1.25), source.uniform(-0.6, 0.6), source.lognormvariate(0, 2)
        offset, drop = source.uniform(0, 1), source.uniform(-0.5, 0.5)
        end, start, rate, bend = (
            source.uniform(0, 1),
            source.uniform(0, 2),
            source.lognormvariate(-2, 1),
            source.lognormvariate(0, 0.5),
        )

        def f(t: int) -> float:
            power = c - a * t**-alpha
            inverse = offset - drop / math.log(t + 1)
            return w1 * power + w2 * inverse + w3 * (end - (end - start) * math.exp(-rate * t**bend))

        first, last = f(1), f(100)
        if last <= first or first < 0 or last > 1 or not all(0 <= f(t) <= 1 for t in times):
            return None
        names = ["weight", "c", "a", "alpha", "weight", "c", "a", "weight", "a", "b", "k", "d"]
        values = [w1, c, a, alpha, w2, offset, drop, w3, end, start, rate, bend]
        owners = ["pow3"] * 4 + ["ilog2"] * 3 + ["janoschek"] * 5
        parameters = {f"{owner}.{name}": value for owner, name, value in zip(owners, names, values)}
        return {**parameters, "f(1)": first, "f(10)": f(10), "f(100)": last}

    draws: list[dict[str, float]] = []
    proposed = 0
    while len(draws) < 15_000:
        one = draw()
        proposed += 1
        if one:
            draws.append(one)
    table = {key: np.array([each[key] for each in draws]) for key in draws[0]}
    return comparable({**table, "proposed": np.array(proposed)})


def comparable(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draws with logarithms of heavy-tailed parameters, and with how much is learned early and late."""
    heavy = {"pow3.alpha", "janoschek.k", "janoschek.d"}
    table = {key: np.log(values) if key in heavy else values for key, values in draws.items()}
    return {**table, "early": table["f(10)"] - table["f(1)"], "late": table["f(100)"] - table["f(10)"]}


def drawn(prior: Paper, n: int = 50_000) -> dict[str, np.ndarray]:
    """Draws with the keys of `reference`, and the logarithm of sigma."""
    parameters = prior.draw(n, generator=generator())
    signal = prior.signal(parameters, torch.tensor([1.0, 10.0, 100.0])).double().numpy()
    table = {key: values.double().numpy() for key, values in parameters.items()}
    table["log sigma"] = np.log(table.pop("sigma"))
    return comparable({**table, "f(1)": signal[:, 0], "f(10)": signal[:, 1], "f(100)": signal[:, 2]})


def test_paper_is_its_definition(reference: dict[str, np.ndarray]) -> None:
    fast = drawn(Paper())
    keys = reference.keys() - {"proposed"}
    assert len(keys) == 17
    assert [key for key in sorted(keys) if laws_differ(fast[key], reference[key])] == []
    assert not differs_from_law(fast["log sigma"], stats.norm(-4, 1).cdf)


def with_law(family: str, parameter: str, law: Law) -> Paper:
    return Paper(laws={**Paper().laws, family: {**Paper().laws[family], parameter: law}})


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("pow3.weight", Paper(weight=Uniform(0, 1.1))),
        ("pow3.c", with_law("pow3", "c", Uniform(0, 1.375))),
        ("pow3.a", with_law("pow3", "a", Uniform(-0.66, 0.66))),
        ("pow3.alpha", with_law("pow3", "alpha", LogNormal(0, 2.2))),
        ("ilog2.c", with_law("ilog2", "c", Uniform(0, 1.1))),
        ("ilog2.a", with_law("ilog2", "a", Uniform(-0.55, 0.55))),
        ("janoschek.a", with_law("janoschek", "a", Uniform(0, 1.1))),
        ("janoschek.b", with_law("janoschek", "b", Uniform(0, 2.2))),
        ("janoschek.k", with_law("janoschek", "k", LogNormal(-2 + TENTH, 1))),
        ("janoschek.d", with_law("janoschek", "d", LogNormal(TENTH, 0.5))),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_law_that_is_wrong_by_a_tenth_is_noticed(key: str, wrong: Paper, reference: dict[str, np.ndarray]) -> None:
    assert laws_differ(drawn(wrong)[key], reference[key])


@pytest.mark.parametrize("wrong", [LogNormal(-4 + TENTH, 1), LogNormal(-4, 1.1)])
def test_noise_that_is_wrong_by_a_tenth_is_noticed(wrong: LogNormal) -> None:
    assert differs_from_law(drawn(Paper(noise=wrong))["log sigma"], stats.norm(-4, 1).cdf)


def test_paper_accepts_about_a_fifth(reference: dict[str, np.ndarray]) -> None:
    def share(prior: Paper) -> float:
        return float(acceptable(prior.signal(prior.propose(60_000, generator=generator()), GRID)).float().mean())

    expected = 15_000 / float(reference["proposed"])
    error = math.sqrt(expected * (1 - expected) * (1 / 60_000 + expected / 15_000))
    assert 0.20 < expected < 0.21
    assert abs(share(Paper()) - expected) < Z * error
    assert abs(share(Paper(weight=Uniform(0, 1.1))) - expected) > Z * error


# -- noise, bounds, accuracy, times


@pytest.fixture(scope="module", params=[Paper(), Domhan()], ids=lambda prior: prior.name)
def batch(request: pytest.FixtureRequest) -> tuple[Any, dict[str, torch.Tensor], Curves]:
    """A prior, its parameters and its curves, of the same draws."""
    prior = request.param
    n = 5_000
    return prior, prior.draw(n, generator=generator(3)), prior.sample(n, GRID, generator=generator(3))


def test_curves_are_acceptable(batch: tuple) -> None:
    _, _, curves = batch
    assert acceptable(curves.signal).all()
    assert curves.seen.all()
    assert ((curves.y < 0) | (curves.y > 1)).any(), "noise is not cut off"


def test_noise_is_normal_and_independent(batch: tuple) -> None:
    _, parameters, curves = batch
    scaled = ((curves.y - curves.signal) / parameters["sigma"][:, None]).double().numpy()
    assert not differs_from_law(scaled[:, ::10].ravel(), stats.norm.cdf)
    assert differs_from_law(1.1 * scaled[:, ::10].ravel(), stats.norm.cdf)
    assert not mean_differs((scaled[:, 1:] * scaled[:, :-1]).mean(axis=1), 0)  # between times
    assert not mean_differs((scaled[1:] * scaled[:-1]).mean(axis=1)[::2], 0)  # between curves
    smooth = (scaled[:, 1:] + 0.1 * scaled[:, :-1]) / math.hypot(1, 0.1)
    assert mean_differs((smooth[:, 1:] * smooth[:, :-1]).mean(axis=1), 0)


def test_signal_is_accurate_in_single_precision(batch: tuple) -> None:
    prior, parameters, curves = batch
    exact = prior.signal({key: values.double() for key, values in parameters.items()}, GRID.double())
    assert float((curves.signal - exact).abs().max()) < 3e-6


def test_one_signal_whatever_the_times(batch: tuple) -> None:
    prior, parameters, curves = batch
    some = torch.tensor([3.0, 10.0, 99.0])
    subset = prior.sample(len(curves), some, generator=generator(3))
    assert torch.equal(subset.signal, curves.signal[:, [2, 9, 98]])
    between = prior.sample(len(curves), torch.tensor([1.0, 2.5, 250.0]), generator=generator(3)).signal
    torch.testing.assert_close(between[:, 0], curves.signal[:, 0], rtol=0, atol=1e-6)
    torch.testing.assert_close(between, prior.signal(parameters, torch.tensor([1.0, 2.5, 250.0])))


def test_many_blocks_are_joined() -> None:
    n = 30_000  # the first block of proposals holds half of them
    signal = Paper().sample(n, GRID, generator=generator()).signal
    assert len(signal) == n
    assert acceptable(signal).all()
    assert not laws_differ(signal[: n // 2, -1].double().numpy(), signal[n // 2 :, -1].double().numpy())


def test_parameters_work_in_numpy() -> None:
    parameters = Domhan().draw(50, generator=generator())
    in_numpy = Domhan().signal({key: values.numpy() for key, values in parameters.items()}, GRID.numpy())
    np.testing.assert_allclose(in_numpy, Domhan().signal(parameters, GRID).numpy(), rtol=0, atol=3e-6)


# -- the eleven families


def test_domhan_with_the_papers_families_is_the_papers_prior() -> None:
    same = Domhan(families=("pow3", "ilog2", "janoschek"))
    assert torch.equal(
        same.sample(100, GRID, generator=generator()).y, Paper().sample(100, GRID, generator=generator()).y
    )


def test_every_choice_of_families_is_equally_likely_to_be_proposed() -> None:
    n = 60_000
    proposed = Domhan().propose(n, generator=generator())
    takes_part = torch.stack([proposed[f"{family}.weight"] > 0 for family in LCPFN], dim=1).numpy()  # (n, 11)
    # A weight of exactly 0 has probability 2^-24.
    assert (takes_part.sum(axis=1) != 3).mean() < 1e-3
    together = takes_part.astype(float).T @ takes_part / n
    expected = np.where(np.eye(11) > 0, 3 / 11, 3 / 11 * 2 / 10)
    assert (np.abs(together - expected) < Z * np.sqrt(expected * (1 - expected) / n)).all()
    weights = proposed["mmf.weight"].numpy()[takes_part[:, list(LCPFN).index("mmf")]]
    assert not differs_from_law(weights, stats.uniform(0, 1).cdf)


def test_every_family_is_in_a_share_of_the_curves() -> None:
    parameters = Domhan().draw(20_000, generator=generator())
    shares = {family: float((parameters[f"{family}.weight"] > 0).float().mean()) for family in LCPFN}
    assert 0.12 < shares.pop("exp4") < 0.14  # ten standard errors wide, as printed in the docstring
    assert all(0.22 < share < 0.34 for share in shares.values()), shares


def definition(family: str, rng: np.random.Generator, n: int, heaviest: float) -> dict[str, np.ndarray]:
    """Weights and values of weighted curves of a family, (n,) each, acceptable or not."""
    t = np.array([1.0, 10.0, 100.0])  # every family is monotone: what is acceptable here is so everywhere

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1))

    def normal(mean: float, sd: float) -> np.ndarray:
        return rng.normal(mean, sd, (n, 1))

    def log_normal(mean: float, sd: float) -> np.ndarray:
        return np.exp(normal(mean, sd))

    def between(start: np.ndarray, end: np.ndarray, left: np.ndarray) -> np.ndarray:
        return end - (end - start) * left

    curves: dict[str, Callable[[], np.ndarray]] = {
        "log_power": lambda: normal(0.8, 0.1) / (1 + (t / log_normal(1, 1)) ** uniform(-3, 0)),
        "weibull": lambda: between(
            uniform(0, 1), uniform(0, 1.5), np.exp(-((log_normal(-2, 1) * t) ** log_normal(0, 0.5)))
        ),
        "mmf": lambda: between(
            normal(0.2, 0.1), normal(0.8, 0.1), 1 / (1 + (log_normal(0, 2) * t) ** log_normal(0, 1))
        ),
        "vap": lambda: np.exp(uniform(-2, 0) + uniform(-4, 0) / t + np.exp(uniform(-8, 0)) * np.log(t)),
        "loglog_linear": lambda: np.log(log_normal(-2, 1) * np.log(t) + np.exp(uniform(0, 1))),
        "exp4": lambda: normal(0.8, 0.1) - np.exp(log_normal(0, 0.5) - log_normal(-2, 1) * t ** log_normal(0, 1)),
        "pow4": lambda: (
            1 - np.exp(uniform(-5, 0)) - (log_normal(-3, 2) * t + np.exp(uniform(0, 1))) ** -log_normal(0, 1)
        ),
        "hill": lambda: normal(0.8, 0.1) / (1 + (log_normal(1, 2) / t) ** log_normal(1, 1)),
    }
    weight = uniform(0, heaviest)
    with np.errstate(over="ignore"):
        f = weight * curves[family]()
    return {"weight": weight[:, 0], "f(1)": f[:, 0], "f(10)": f[:, 1], "f(100)": f[:, 2]}


@pytest.mark.parametrize("family", [family for family in LCPFN if family not in Paper().families])
def test_each_family_of_domhan_is_its_definition(family: str) -> None:
    def acceptable_ones(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        # Curves that rise by less than single precision resolves are acceptable in double precision only.
        keep = (draws["f(1)"] >= 0) & (draws["f(100)"] <= 1) & (draws["f(100)"] > draws["f(1)"] + 1e-6)
        kept = {key: np.round(values[keep], 6) for key, values in draws.items()}
        return {**kept, "rise": kept["f(100)"] - kept["f(10)"]}

    def slow(heaviest: float = 1.0) -> dict[str, np.ndarray]:
        n = 300_000 if family == "exp4" else 20_000  # 2 % are acceptable
        return acceptable_ones(definition(family, np.random.default_rng(0), n, heaviest))

    prior = Domhan(families=(family,), terms=1)
    parameters = prior.draw(10_000, generator=generator())
    signal = prior.signal(parameters, torch.tensor([1.0, 10.0, 100.0])).double().numpy()
    values = {"f(1)": signal[:, 0], "f(10)": signal[:, 1], "f(100)": signal[:, 2]}
    fast = acceptable_ones({"weight": parameters[f"{family}.weight"].double().numpy(), **values})

    right, wrong = slow(), slow(heaviest=1.1)
    assert [key for key in fast if laws_differ(fast[key], right[key])] == []
    assert laws_differ(fast["weight"], wrong["weight"])


# -- names, JSON, errors, examples


def test_exports() -> None:
    assert lcpfn.priors.__all__ == sorted(lcpfn.priors.__all__)
    assert all(hasattr(lcpfn.priors, name) for name in lcpfn.priors.__all__)


def test_by_name() -> None:
    assert by_name("paper") == Paper()
    assert by_name("domhan", {"terms": 2}) == Domhan(terms=2)
    assert by_name("paper") != by_name("domhan")
    changed = with_law("pow3", "c", Uniform(0, 1))
    assert by_name("paper", changed.parameters()) == changed != Paper()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: by_name("ifbo"), r"a prior is one of \['domhan', 'general', 'paper'\], got 'ifbo'"),
        (lambda: by_name("paper", {"sigma": 1}), r"has the parameters .*'noise'.*, got \['sigma'\]"),
        (lambda: Domhan(families=("mmf", "mmf"), terms=1), "each family may take part once"),
        (lambda: Domhan(families=("mmf", "pow5"), terms=1), "got 'pow5'"),
        (lambda: Domhan(terms=12), r"terms must lie in 1\.\.11"),
        (lambda: Paper(horizon=1), "horizon must be at least 2"),
        (lambda: Paper(laws={}), "none for 'pow3'"),
        (lambda: with_law("pow3", "b", Uniform(0, 1)), r"pow3 has the parameters \['c', 'a', 'alpha'\]"),
        (lambda: Paper().sample(1, torch.tensor([0.0, 1.0]), generator=generator()), "times, 1 or later"),
        (lambda: Paper().sample(1, torch.ones(2, 3), generator=generator()), r"got shape \(2, 3\)"),
        (lambda: Paper().sample(1, torch.tensor([1, math.nan]), generator=generator()), "times, 1 or later"),
        (lambda: Paper().sample(-1, GRID, generator=generator()), "n must be a number of curves, got -1"),
        (
            lambda: Domhan(families=("hill",), terms=1, weight=Uniform(-2, -1)).draw(1, generator=generator()),
            "none of [0-9]+ drawn did so",
        ),
    ],
)
def test_errors_say_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_curves_check_their_shapes() -> None:
    y = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="must share one shape"):
        Curves(t=GRID, y=y, signal=y, seen=y == 0)
    with pytest.raises(ValueError, match="seen must be bool"):
        Curves(t=y, y=y, signal=y, seen=y)
    assert dataclasses.fields(Curves(t=y, y=y, signal=y, seen=y == 0).to("cpu"))[0].name == "t"


@pytest.mark.parametrize("module", ["curves", "domhan", "families", "laws", "names", "paper", "rejection"])
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"lcpfn.priors.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
