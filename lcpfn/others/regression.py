"""Outcomes regressed on where runs stand, by Gaussian processes whose hyperparameters are averaged over.

An expert says what is regressed: errors of the network's forecast, movements, or levels. All share one family of
kernels over the features of a question, so that one set of inverses serves them and their leave-one-out forecasts.

Letters: n other runs, E experts, C kernels, J components of a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, gammaln, ndtr

from lcpfn.others.question import NARROW, Question, spread

Array = NDArray[np.float64]

KERNELS = np.array(list(product((1.0,), (0.0, 0.3, 2.0), (0.0, 1.0), (0.01, 0.1, 0.5, 2.0))))  # (C, 4) variances:
# what all runs share, linear in the features, smooth in them, noise
SHAPE = 1.5  # of the inverse gamma prior of the squared scale: a weight of three outcomes
UNSURE = 0.5  # variance of an outcome that is known by half, in units of what all runs share
FAR = 5.0  # robust standard deviations beyond which an outcome counts as that far
KEPT = 3  # kernels of an expert that a forecast keeps
SPLIT = 2  # normals that stand for a Student law


@dataclass(frozen=True, eq=False)
class Regression:
    """Mixtures of normals: forecasts of the outcome by each expert.

    Attributes:
        names: E experts.
        weights: (n + 1, E, J) that sum to one over J; row 0 for the asked run, the rest for each other run without
            itself.
        means: (n + 1, E, J).
        stds: (n + 1, E, J).
    """

    names: tuple[str, ...]
    weights: Array
    means: Array
    stds: Array

    @classmethod
    def of(cls, question: Question) -> Regression:
        """By the outcomes that are known; needs one of them. One alone says nothing of movements and levels."""
        targets = _targets(question)
        add = np.stack([each[0] for each in targets.values()], axis=1)  # (n + 1, E)
        unit = np.stack([each[1] for each in targets.values()], axis=1)
        ratio = _pulled((question.truth[:, None] - add[1:]) / unit[1:])
        weights, means, scales, freedom = _students(question.features(), ratio, question.known)
        keep = np.argsort(-weights, axis=-1)[..., :KEPT]
        weights, means, scales = (np.take_along_axis(part, keep, axis=-1) for part in (weights, means, scales))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        # A Student law is a normal whose precision is drawn from a gamma law: SPLIT equal shares of that.
        levels = (np.arange(SPLIT) + 0.5) / SPLIT
        widths = np.sqrt(freedom[:, None] / (2 * gammaincinv(freedom[:, None] / 2, levels)))  # (n + 1, SPLIT)
        shape = (*weights.shape, SPLIT)
        flat = (*weights.shape[:2], -1)
        stds = unit[:, :, None, None] * scales[..., None] * widths[:, None, None, :]
        means = np.broadcast_to((add[:, :, None] + unit[:, :, None] * means)[..., None], shape)
        weights = np.broadcast_to(weights[..., None] / SPLIT, shape)
        return cls(tuple(targets), weights.reshape(flat), means.reshape(flat), stds.reshape(flat))

    def cdf(self, values: Array) -> Array:
        """(n + 1, E, G) probabilities of less than values (G,)."""
        out = np.zeros((*self.means.shape[:2], len(values)))
        for j in range(self.means.shape[2]):  # a loop over components: all of them at once do not fit into the cache
            z = (values - self.means[..., j, None]) / self.stds[..., j, None]
            out += self.weights[..., j, None] * ndtr(z)
        return out


def _targets(question: Question) -> dict[str, tuple[Array, Array]]:
    """For each expert what it adds to its unit's multiple: (n + 1,) each."""
    n = len(question.truth)
    typical = question.typical
    relative = np.maximum(question.width / typical, NARROW)
    moved = float(np.median(np.abs(question.truth - question.now[1:]))) + 0.1 * typical
    ends = spread(question.truth) + NARROW * typical
    every = np.ones(n + 1)
    errors = {
        "error": (question.centre, typical * every),
        "error, half relative": (question.centre, typical * relative**0.5),
        "error, relative": (question.centre, typical * relative),
    }
    if n < 2:  # how much runs differ cannot be told from one
        return errors
    return errors | {
        "movement": (question.now, moved * every),
        "movement, half relative": (question.now, moved * relative**0.5),
        "level": (np.median(question.truth) * every, ends * every),
    }


def _pulled(ratio: Array) -> Array:
    """(n, E) outliers pulled to FAR robust standard deviations."""
    if len(ratio) < 4:
        return ratio
    centre = np.median(ratio, axis=0)
    reach = FAR * spread(ratio)
    return np.asarray(np.clip(ratio, centre - reach, centre + reach))


def _students(features: Array, ratio: Array, known: Array) -> tuple[Array, Array, Array, Array]:
    """Student forecasts (n + 1, E, C): posterior weights of the kernels, means and scales; degrees of freedom (n + 1,).

    Source:
        Rasmussen and Williams 2006, sections 2.7 and 5.4.2 (leave one out); the scale is integrated out.
    """
    n = len(ratio)
    shared, linear, smooth, noise = (part[:, None, None] for part in KERNELS.T)
    square = ((features[:, None] - features[None]) ** 2).mean(axis=-1)
    kernel = shared + linear * (features @ features.T) / features.shape[1] + smooth * np.exp(-0.5 * square)
    unsure = UNSURE * (1 / known - 1)
    inner = kernel[:, 1:, 1:] + (noise + 1e-6) * np.eye(n) + np.diag(unsure)
    inverse = np.linalg.inv(inner)
    log_det = np.linalg.slogdet(inner)[1][:, None]
    alpha = inverse @ ratio  # (C, n, E)
    fit = (alpha * ratio).sum(axis=1)  # (C, E)
    shape, rate = SHAPE + n / 2, SHAPE + fit / 2
    evidence = SHAPE * np.log(SHAPE) - shape * np.log(rate) - log_det / 2 + gammaln(shape) - gammaln(SHAPE)

    across = kernel[:, 0, 1:]  # (C, n)
    mean = np.einsum("cn,cne->ec", across, alpha)
    variance = kernel[:, 0, 0] + noise[:, 0, 0] - np.einsum("cn,cnm,cm->c", across, inverse, across)
    scale = np.sqrt(np.maximum(variance, 1e-9) * (rate / shape).T)

    diagonal = np.einsum("cnn->cn", inverse)[..., None]
    left_mean = ratio - alpha / diagonal  # (C, n, E)
    left_shape = shape - 0.5
    left_rate = SHAPE + (fit[:, None] - alpha**2 / diagonal) / 2
    # Of an outcome that is known in full, for all: what is unsure of another is no part of its forecast.
    left_scale = np.sqrt(np.maximum(1 / diagonal - unsure[:, None], 1e-9) * left_rate / left_shape)
    exact = np.sqrt(left_rate / left_shape / diagonal)
    density = (
        gammaln(left_shape + 0.5)
        - gammaln(left_shape)
        - 0.5 * np.log(2 * np.pi * left_shape)
        - np.log(exact)
        - (left_shape + 0.5) * np.log1p(((ratio - left_mean) / exact) ** 2 / (2 * left_shape))
    )
    logs = np.concatenate([evidence.T[None], np.moveaxis(evidence[:, None] - density, 0, -1)])  # (n + 1, E, C)
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    means = np.concatenate([mean[None], np.moveaxis(left_mean, 0, -1)])
    scales = np.concatenate([scale[None], np.moveaxis(left_scale, 0, -1)])
    return weights, means, scales, np.concatenate([[2 * shape], np.full(n, 2 * left_shape)])
