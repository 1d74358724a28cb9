"""The weights in the package: their predictions stay what they were, and they are calibrated on their own prior.

`python tests/test_shipped.py` writes the golden predictions anew, after a checkpoint was replaced on purpose.
"""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr, ndtri

import lcpfn
from lcpfn.config import KINDS
from lcpfn.priors import General, Paper
from lcpfn.training.questions import EXPLODED

GOLDEN = Path(__file__).parent / "golden.json"
CURVES = {
    "one point": [0.3],
    "rising": [0.12, 0.31, 0.42, 0.47, 0.55, 0.56, 0.60, 0.61],
    "flat": [0.5] * 30,
    "noisy": [0.2, 0.6, 0.1, 0.7, 0.3, 0.55, 0.4, 0.65, 0.35, 0.5],
}
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


SHARE = lcpfn.Metric(bounds=(0, 1))


def predictions() -> dict[str, list[list[float]]]:
    """Quantiles at LEVELS of the beliefs at two times, for every checkpoint, curve and kind."""
    return {
        f"{checkpoint}, {name}, {kind}": lcpfn.load(checkpoint)
        .predict(y, [60, 100], kind=kind, metric=SHARE)
        .quantile(LEVELS)
        .tolist()
        for checkpoint in ("paper", "general")
        for name, y in CURVES.items()
        for kind in KINDS
    }


def test_the_default_is_the_general_checkpoint():
    assert lcpfn.load().checkpoint.provenance["prior"]["name"] == "general"
    assert lcpfn.load("paper").checkpoint.provenance["prior"]["name"] == "paper"


def test_predictions_are_the_golden_ones():
    golden = json.loads(GOLDEN.read_text())
    found = predictions()
    assert found.keys() == golden.keys()
    for name, wanted in golden.items():
        np.testing.assert_allclose(found[name], wanted, atol=1e-5, err_msg=name)


def coverage(shift: float) -> dict[str, float]:
    """Share of truths in the 80 % interval after 10 and 40 points of 2,000 fresh curves, off by `shift` in scale."""
    curves = Paper().sample(2000, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(20))
    y, signal = curves.y.numpy().astype(float), curves.signal.numpy().astype(float)
    metric = lcpfn.Metric(bounds=(0, 1), overshoot=True)
    pfn, found = lcpfn.load("paper"), {}
    for cut in (10, 40):
        truths = {"value": y[:, 99], "signal": signal[:, 99], "best": y[:, cut:].max(axis=1)}
        for kind, truth in truths.items():
            belief = pfn.predict(y[:, :cut], [100], kind=kind, metric=metric)
            middle = belief.median()[:, 0]
            pit = belief.cdf((middle + (truth - middle) * shift)[:, None])[:, 0]
            found[f"{kind} after {cut}"] = float((np.abs(pit - 0.5) < 0.4).mean())
    return found


def allowed() -> float:
    """How far from 0.8 a share of 2,000 may lie: sampling at a false-alarm rate of 1e-6, and one point of error."""
    return 5.3 * (0.8 * 0.2 / 2000) ** 0.5 + 0.01  # 5.3 sd: two-sided, six shares


def test_the_paper_weights_are_calibrated_on_their_prior():
    for name, share in coverage(1.0).items():
        assert abs(share - 0.8) < allowed(), (name, share)


def test_the_calibration_test_finds_intervals_that_are_too_narrow():
    assert any(abs(share - 0.8) > allowed() for share in coverage(1.4).values())


def general_pits() -> np.ndarray:
    """(N,) cdf of the truth at the last column of fresh runs of the general prior, after ten points each.

    Truths at a known bound are left out: they are atoms of the prior, and a belief with a density cannot hold them. So
    are those of runs that have exploded, of which `prob_diverged` speaks.
    """
    pfn, found = lcpfn.load("general"), []
    runs = General().sample_runs(700, 100, 28, generator=torch.Generator().manual_seed(21))
    for i in range(len(runs)):
        measured = np.flatnonzero(runs.seen[i].numpy())
        if len(measured) < 12:
            continue
        t, y = (part[i].numpy().astype(float)[measured] for part in (runs.t, runs.y))
        low, high = (float(bound[i]) if torch.isfinite(bound[i]) else None for bound in (runs.lower, runs.upper))
        unit, sign = float(runs.unit[i]), float(runs.sign[i])
        if any(bound is not None and abs(y[-1] - bound) <= 1e-6 * unit for bound in (low, high)):
            continue
        if sign * y[-1] < (sign * y[:10]).min() - EXPLODED * unit:
            continue
        metric = lcpfn.Metric("max" if sign > 0 else "min", bounds=(low, high))
        belief = pfn.predict(y[:10], [t[-1]], t=t[:10], metric=metric, run_end=float(runs.horizon[i]))
        found.append(float(belief.cdf(y[-1])[0]))
    return np.array(found)


def test_the_general_weights_are_calibrated_on_their_prior():
    pits = general_pits()
    assert len(pits) > 300
    for level in (0.5, 0.8, 0.9):
        share = np.mean(np.abs(pits - 0.5) <= level / 2)
        room = 5 * (level * (1 - level) / len(pits)) ** 0.5 + 0.02  # values on a coarse lattice count as inside
        assert abs(share - level) < room, (level, share)
    narrow = ndtr(1.7 * ndtri(np.clip(pits, 1e-9, 1 - 1e-9)))  # of intervals too narrow by that
    assert abs(np.mean(np.abs(narrow - 0.5) <= 0.25) - 0.5) > 5 * (0.25 / len(pits)) ** 0.5 + 0.02


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(predictions(), indent=1) + "\n")
