"""The normal law on an interval: mass, quantiles and moments that stay right far out in the tails."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri_exp

from lcpfn.distributions.transform import forward

Array = NDArray[np.float64]

HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(32)  # error below 1e-12 over half a normal, tilted or not
_WHOLE = 9.0  # standard deviations beyond which a cut changes no digit
_DROP = 45.0  # beyond a density of exp(-45) of its highest value nothing is left to integrate


def log_sum(values: Array) -> Array:
    """log of the sum of exp(values) over the last axis; -inf where all are -inf."""
    top = values.max(axis=-1, keepdims=True)
    top = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - top).sum(axis=-1)) + top[..., 0]


def interval_log_mass(alpha: Array, beta: Array) -> Array:
    """log P(alpha < Z < beta) of a standard normal Z, accurate in relative terms in both tails.

    Args:
        alpha: lower ends, any shape, may be -inf.
        beta: upper ends, broadcastable against alpha, may be inf.

    Returns:
        The log masses; -inf where alpha >= beta.
    """
    flip = alpha > -beta  # more of the interval lies above zero than below: count from the other side
    low, high = np.where(flip, -beta, alpha), np.where(flip, -alpha, beta)
    log_high = log_ndtr(high)
    with np.errstate(all="ignore"):  # empty intervals give anything
        mass = log_high + np.log(-np.expm1(log_ndtr(low) - log_high))
    return np.where((low >= high) | np.isneginf(log_high), -np.inf, mass)


def interval_quantile(alpha: Array, beta: Array, log_lower: Array, log_upper: Array) -> Array:
    """Quantile of a standard normal Z given alpha < Z < beta.

    Args:
        alpha: lower ends, may be -inf.
        beta: upper ends, may be inf.
        log_lower: log of the wanted probability below.
        log_upper: log of the rest above; given apart, since 1 - p has no digits left where p is tiny.

    Returns:
        Quantiles in the broadcast shape, within [alpha, beta].
    """
    flip = alpha > -beta
    low, high = np.where(flip, -beta, alpha), np.where(flip, -alpha, beta)
    log_p = np.where(flip, log_upper, log_lower)
    with np.errstate(invalid="ignore"):
        z = ndtri_exp(np.minimum(np.logaddexp(log_ndtr(low), log_p + interval_log_mass(low, high)), 0.0))
    z = np.clip(z, low, high)
    return np.where(flip, -z, z)


def moments(transform: str, mean: Array, std: Array) -> tuple[Array, Array]:
    """Mean and variance of g(U), U normal with the given mean and std.

    Source:
        sinh: E sinh U = exp(std^2 / 2) sinh(mean), and the variance in a form without cancellation.
    """
    square = std * std
    if transform == "identity":
        return mean, square
    with np.errstate(over="ignore", invalid="ignore"):
        variance = 0.5 * np.expm1(square) * (np.exp(square) * np.cosh(2 * mean) + 1)
        return np.exp(square / 2) * np.sinh(mean), variance


def interval_moments(transform: str, mean: Array, std: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
    """Mean and variance of g(U), U = mean + std * Z normal, given alpha < Z < beta.

    Closed forms (partial exponential moments) where at least half of the normal is inside. They cancel for a slice of
    a tail, and the variance of sinh(U) for a small std: there, Gauss-Legendre over the part that has mass.

    Args:
        transform: "identity" or "sinh".
        mean: means of U, any shape.
        std: standard deviations of U; this and the ends have the shape of mean.
        alpha: lower ends in units of std, may be -inf.
        beta: upper ends in units of std, may be inf.

    Returns:
        Means and variances of g(U).
    """
    centre, variance = (np.array(part) for part in moments(transform, mean, std))
    margin = _WHOLE + 2 * std
    cut = (alpha > -margin) | (beta < margin)
    if cut.any():
        centre[cut], variance[cut] = _cut_moments(transform, mean[cut], std[cut], alpha[cut], beta[cut])
    return centre, variance


def _cut_moments(transform: str, mean: Array, std: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mass = _mass(alpha, beta)
        if transform == "sinh":
            first, second = (
                [
                    0.5 * np.exp(c * mean + 0.5 * (c * std) ** 2) * _mass(alpha - c * std, beta - c * std) / mass
                    for c in (order, -order)
                ]
                for order in (1, 2)
            )
            centre = first[0] - first[1]
            variance = 0.5 * (second[0] + second[1] - 1) - centre * centre
            hard = (mass <= 0.5) | (std < 0.01)
        else:
            ends = np.clip(alpha, -40, 40), np.clip(beta, -40, 40)  # finite where nothing changes any more
            density = [np.exp(-0.5 * z * z - HALF_LOG_2PI) / mass for z in ends]
            shift = density[0] - density[1]
            centre = mean + std * shift
            variance = std * std * (1 + ends[0] * density[0] - ends[1] * density[1] - shift * shift)
            hard = mass <= 0.5
    if hard.any():
        centre[hard], variance[hard] = _by_nodes(transform, mean[hard], std[hard], alpha[hard], beta[hard])
    return centre, variance


def _mass(alpha: Array, beta: Array) -> Array:
    flip = alpha > -beta
    return ndtr(np.where(flip, -alpha, beta)) - ndtr(np.where(flip, -beta, alpha))


def _by_nodes(transform: str, mean: Array, std: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
    # The square of sinh(U) grows like exp(2 |U|), which moves the peak of what is integrated by twice the std.
    tilt: Any = 2 * std if transform == "sinh" else 0.0
    peak = np.minimum(beta, -tilt)
    start = np.maximum(alpha, peak - _reach(-peak - tilt))
    peak = np.maximum(alpha, tilt)
    stop = np.minimum(beta, peak + _reach(peak - tilt))
    origin = np.clip(0.0, start, stop)[..., None]  # where the density is highest
    half = (stop - start)[..., None] / 2
    offset = (start[..., None] - origin) + half * (1 + _NODES)  # (N, nodes), exact where alpha is huge
    weights = _NODE_WEIGHTS * np.exp(-offset * (offset + 2 * origin) / 2)
    weights /= weights.sum(axis=-1, keepdims=True)
    values = forward(transform, mean[..., None] + std[..., None] * origin + std[..., None] * offset)
    centre = (weights * values).sum(axis=-1)
    return centre, (weights * (values - centre[..., None]) ** 2).sum(axis=-1)


def _reach(slope: Array) -> Array:
    """How far exp(-slope * z - z^2 / 2) takes to fall by _DROP."""
    return 2 * _DROP / (slope + np.sqrt(slope * slope + 2 * _DROP))
