"""Curve families against their printed formulas in 40 digits, and the laws of their parameters."""

import decimal
import inspect
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats
from statistical import differs_from_law, mean_differs

from lcpfn.priors import families, laws

TIMES = [1.0, 2.0, 7.5, 40.0, 100.0, 1000.0]
# Domhan et al. 2015, Table 1, as printed there; but log(t + 1) in ilog2.
PRINTED: dict[str, Callable[..., Decimal]] = {
    "pow3": lambda t, c, a, alpha: c - a * t**-alpha,
    "pow4": lambda t, c, a, b, alpha: c - (a * t + b) ** -alpha,
    "log_power": lambda t, a, b, c: a / (1 + (t / b.exp()) ** c),
    "loglog_linear": lambda t, a, b: (a * t.ln() + b).ln(),
    "mmf": lambda t, alpha, beta, kappa, delta: alpha - (alpha - beta) / (1 + (kappa * t) ** delta),
    "exp4": lambda t, c, a, b, alpha: c - (-a * t**alpha + b).exp(),
    "janoschek": lambda t, a, b, k, d: a - (a - b) * (-k * t**d).exp(),
    "weibull": lambda t, alpha, beta, kappa, delta: alpha - (alpha - beta) * (-((kappa * t) ** delta)).exp(),
    "ilog2": lambda t, c, a: c - a / (t + 1).ln(),
    "hill": lambda t, theta, eta, kappa: theta * t**eta / (kappa**eta + t**eta),
    "vap": lambda t, a, b, c: (a + b / t + c * t.ln()).exp(),
}


def drawn(family: str, n: int = 40) -> dict[str, np.ndarray]:
    """Parameters from their laws, (n, 1) each, in float32 so that all libraries get the same ones."""
    generator = torch.Generator().manual_seed(0)
    return {key: law.sample((n, 1), generator=generator).numpy() for key, law in laws.LCPFN[family].items()}


def printed(family: str, parameters: dict[str, np.ndarray]) -> np.ndarray:
    """The formula's values, (n, T), by decimal arithmetic."""
    with decimal.localcontext(prec=40):
        rows = [
            [float(PRINTED[family](Decimal(t), **{key: Decimal(float(v)) for key, v in row.items()})) for t in TIMES]
            for row in ({key: v[i, 0] for key, v in parameters.items()} for i in range(40))
        ]
    return np.array(rows)


def test_every_family_has_a_formula_and_laws() -> None:
    for family in PRINTED:
        names = list(inspect.signature(PRINTED[family]).parameters)
        assert names == list(inspect.signature(getattr(families, family)).parameters)
        assert sorted(names[1:]) == sorted(laws.LCPFN[family])
    assert PRINTED.keys() == laws.LCPFN.keys()
    assert len(PRINTED) == 11


@pytest.mark.parametrize("family", PRINTED)
def test_values_are_those_of_the_printed_formula(family: str) -> None:
    formula, parameters = getattr(families, family), drawn(family)
    expected = printed(family, parameters)
    scale = 1 + np.abs(expected) + np.abs(np.broadcast_to(parameters.get("c", 0), expected.shape))
    doubles = {key: value.astype(np.float64) for key, value in parameters.items()}
    times = np.array(TIMES)

    in_numpy = formula(times, **doubles)
    assert isinstance(in_numpy, np.ndarray)
    np.testing.assert_array_less(np.abs(in_numpy - expected) / scale, 2e-14)

    in_torch = formula(torch.tensor(times), **{key: torch.tensor(value) for key, value in doubles.items()})
    assert in_torch.dtype == torch.float64
    np.testing.assert_array_less(np.abs(in_torch.numpy() - expected) / scale, 2e-14)

    singles = {key: torch.tensor(value) for key, value in parameters.items()}
    in_float = formula(torch.tensor(times, dtype=torch.float32), **singles)
    assert in_float.dtype == torch.float32
    np.testing.assert_array_less(np.abs(in_float.numpy() - expected) / scale, 1e-5)

    in_jax = jax.jit(formula)(jnp.array(TIMES), **{key: jnp.array(value) for key, value in parameters.items()})
    assert isinstance(in_jax, jax.Array)
    np.testing.assert_array_less(np.abs(np.asarray(in_jax) - expected) / scale, 1e-5)


@pytest.mark.parametrize("family", PRINTED)
def test_plain_numbers_go_with_every_library(family: str) -> None:
    formula = getattr(families, family)
    row = {key: float(value[3, 0]) for key, value in drawn(family).items()}
    expected = [float(formula(t, **row)) for t in TIMES]
    np.testing.assert_allclose(formula(np.array(TIMES), **row), expected, rtol=1e-13)
    np.testing.assert_allclose(formula(torch.tensor(TIMES, dtype=torch.float64), **row), expected, rtol=1e-13)
    np.testing.assert_allclose(formula(jnp.array(TIMES), **row), expected, rtol=1e-5, atol=1e-6)


def test_numpy_arrays_give_way_to_other_libraries() -> None:
    ones = np.ones(2, dtype=np.float32)
    assert families.namespace(1.0, ones) is np
    assert families.namespace(ones, torch.ones(2)) is torch
    assert families.namespace(ones, jnp.ones(2)) is jnp


@pytest.mark.parametrize("family", PRINTED)
def test_values_and_gradients_are_finite_under_the_laws(family: str) -> None:
    generator = torch.Generator().manual_seed(1)
    t = torch.tensor([1.0, 2.0, 10.0, 100.0])
    parameters = {key: law.sample((20_000, 1), generator=generator) for key, law in laws.LCPFN[family].items()}
    assert torch.isfinite(getattr(families, family)(t, **parameters)).all()
    doubles = {key: value.double().requires_grad_() for key, value in parameters.items()}
    getattr(families, family)(t.double(), **doubles).sum().backward()
    for key, value in doubles.items():
        assert value.grad is not None, key
        assert torch.isfinite(value.grad).all(), key


LAWS = [  # law, the same in SciPy (after the map, if any), and one that is wrong by 10 %
    (laws.Uniform(-1, 2), stats.uniform(-1, 3), None, laws.Uniform(-1, 2.3)),
    (laws.Normal(0.8, 0.1), stats.norm(0.8, 0.1), None, laws.Normal(0.8, 0.11)),
    (laws.LogNormal(-2, 0.5), stats.lognorm(0.5, scale=np.exp(-2)), None, laws.LogNormal(-2, 0.55)),
    (laws.LogUniform(-8, 0), stats.loguniform(np.exp(-8), 1), None, laws.LogUniform(-8, 0.8)),
    (laws.OneMinusLogUniform(-5, 0), stats.uniform(-5, 5), lambda x: np.log1p(-x), laws.OneMinusLogUniform(-5.5, 0)),
]


@pytest.mark.parametrize(("law", "expected", "inverse", "wrong"), LAWS, ids=lambda x: type(x).__name__)
def test_laws_draw_what_they_say(
    law: laws.Law, expected: Any, inverse: Callable[[np.ndarray], np.ndarray] | None, wrong: laws.Law
) -> None:
    def draws(which: laws.Law) -> np.ndarray:
        values = which.sample((100_000,), generator=torch.Generator().manual_seed(0)).double().numpy()
        return inverse(values) if inverse else values

    assert not differs_from_law(draws(law), expected.cdf)
    assert not mean_differs(draws(law), expected.mean())
    assert differs_from_law(draws(wrong), expected.cdf)


@pytest.mark.parametrize("law", [row[0] for row in LAWS], ids=lambda law: type(law).__name__)
def test_laws_travel_as_json(law: laws.Law) -> None:
    assert laws.from_json(json.loads(json.dumps(laws.to_json(law)))) == law


def test_laws_refuse_what_is_no_law() -> None:
    with pytest.raises(ValueError, match="low < high, got low=1, high=1"):
        laws.Uniform(1, 1)
    with pytest.raises(ValueError, match="sd > 0, got sd=0"):
        laws.LogNormal(0, 0)
    with pytest.raises(ValueError, match="a law is one of"):
        laws.from_json({"law": "Cauchy", "mean": 0})
    with pytest.raises(ValueError, match=r"Normal does not have the fields \['high', 'low'\]"):
        laws.from_json({"law": "Normal", "low": 0, "high": 1})
