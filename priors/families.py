"""Parametric families of learning curves, each written once.

Every family takes times t >= 1 and parameters that broadcast against t, as arrays of one library (torch, jax or numpy;
plain numbers go with any), and returns the values in that library. Nothing here imports torch or jax.

The eleven families are those of Domhan, Springenberg, Hutter 2015, "Speeding up Automatic Hyperparameter Optimization
of Deep Neural Networks by Extrapolation of Learning Curves", Table 1. The laws of their parameters stand in
`lcpfn.priors.laws`; under them no family overflows or returns NaN, in float32 either.
"""

import sys
from typing import Any

import numpy as np

Array = Any  # torch.Tensor, jax.Array (a tracer too), numpy.ndarray or a number: they share no useful type


def namespace(*arrays: Array) -> Any:
    """Returns the module (torch, jax.numpy or numpy) whose functions take these arrays.

    One array of torch or jax decides; numpy arrays and plain numbers give way.

    Example:
        >>> namespace(2.0, np.ones(3)).__name__
        'numpy'
    """
    torch = sys.modules.get("torch")  # if nobody has imported it, no array is its
    for array in arrays:
        if torch is not None and isinstance(array, torch.Tensor):
            return torch  # tensors have no __array_namespace__
        if hasattr(array, "__array_namespace__") and not isinstance(array, np.ndarray | np.generic):
            return array.__array_namespace__()
    return np


def _log(x: Array) -> Array:
    return namespace(x).log(x)


def _exp(x: Array) -> Array:
    return namespace(x).exp(x)


def _logistic(x: Array) -> Array:
    """Returns 1 / (1 + exp(-x)) by way of tanh, which none of the libraries lets overflow, nor its gradient."""
    return 0.5 + 0.5 * namespace(x).tanh(0.5 * x)


def _power(t: Array, exponent: Array) -> Array:
    """Returns t^exponent for t > 0; by way of logarithms in jax, whose power is seven times slower on a CPU."""
    xp = namespace(t, exponent)
    return t**exponent if xp is np or xp.__name__ == "torch" else xp.exp(exponent * xp.log(t))


def pow3(t: Array, c: Array, a: Array, alpha: Array) -> Array:
    """Returns the power law c - a t^-alpha: c - a at t = 1, and c in the end.

    Source: Domhan et al. 2015, Table 1, "pow3".

    Example:
        >>> pow3(4.0, c=0.9, a=0.5, alpha=0.5)
        0.65
    """
    return c - a * _power(t, -alpha)


def pow4(t: Array, c: Array, a: Array, b: Array, alpha: Array) -> Array:
    """Returns the shifted power law c - (a t + b)^-alpha, which ends at c.

    Source: Domhan et al. 2015, Table 1, "pow4".
    """
    return c - _power(a * t + b, -alpha)


def log_power(t: Array, a: Array, b: Array, c: Array) -> Array:
    """Returns the logistic of log t, a / (1 + (t / e^b)^c): for c < 0 it rises to a and passes a / 2 at t = e^b.

    Source: Domhan et al. 2015, Table 1, "log power".
    """
    return a * _logistic(c * (b - _log(t)))


def loglog_linear(t: Array, a: Array, b: Array) -> Array:
    """Returns log(a log t + b): log b at t = 1, and without an upper bound for a > 0.

    Source: Domhan et al. 2015, Table 1, "log log linear".
    """
    return _log(a * _log(t) + b)


def mmf(t: Array, alpha: Array, beta: Array, kappa: Array, delta: Array) -> Array:
    """Returns the Morgan-Mercer-Flodin curve alpha - (alpha - beta) / (1 + (kappa t)^delta), from beta to alpha.

    Source: Domhan et al. 2015, Table 1, "MMF". kappa must be positive.
    """
    return alpha - (alpha - beta) * _logistic(-delta * (_log(kappa) + _log(t)))


def exp4(t: Array, c: Array, a: Array, b: Array, alpha: Array) -> Array:
    """Returns the stretched exponential c - exp(-a t^alpha + b), which ends at c.

    Source: Domhan et al. 2015, Table 1, "exp4".
    """
    return c - _exp(b - a * _power(t, alpha))


def janoschek(t: Array, a: Array, b: Array, k: Array, d: Array) -> Array:
    """Returns the growth curve a - (a - b) exp(-k t^d), from b at t = 0 to a in the end.

    Source: Domhan et al. 2015, Table 1, "Janoschek" (there alpha, beta, kappa, delta).
    """
    return a - (a - b) * _exp(-k * _power(t, d))


def weibull(t: Array, alpha: Array, beta: Array, kappa: Array, delta: Array) -> Array:
    """Returns the growth curve alpha - (alpha - beta) exp(-(kappa t)^delta), from beta at t = 0 to alpha in the end.

    Source: Domhan et al. 2015, Table 1, "Weibull". It is `janoschek` with k = kappa^delta: another law of the rate.
    """
    return alpha - (alpha - beta) * _exp(-_power(kappa * t, delta))


def ilog2(t: Array, c: Array, a: Array) -> Array:
    """Returns the inverse logarithm c - a / log(t + 1).

    Source: Domhan et al. 2015, Table 1, "ilog2", who print log t, infinite at t = 1; their code and LC-PFN's add 1.
    """
    return c - a / _log(t + 1)


def hill(t: Array, theta: Array, eta: Array, kappa: Array) -> Array:
    """Returns the Hill curve theta t^eta / (kappa^eta + t^eta): it rises to theta and passes theta / 2 at t = kappa.

    Source: Domhan et al. 2015, Table 1, "Hill3". kappa must be positive.
    """
    return theta * _logistic(eta * (_log(t) - _log(kappa)))


def vap(t: Array, a: Array, b: Array, c: Array) -> Array:
    """Returns the vapour pressure curve exp(a + b / t + c log t): e^(a + b) at t = 1.

    Source: Domhan et al. 2015, Table 1, "vapor pressure".
    """
    return _exp(a + b / t + c * _log(t))


# The parameters in which a family is affine, the others held fixed: given those others, a sum of families is a linear
# model, which samplers of the posterior make use of. A test holds this against the formulas.
LINEAR: dict[str, tuple[str, ...]] = {
    "pow3": ("c", "a"),
    "ilog2": ("c", "a"),
    "janoschek": ("a", "b"),
    "log_power": ("a",),
    "weibull": ("alpha", "beta"),
    "mmf": ("alpha", "beta"),
    "exp4": ("c",),
    "pow4": ("c",),
    "hill": ("theta",),
}
