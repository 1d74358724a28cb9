"""The weights in the package: their predictions stay what they were, and `paper` is calibrated on its prior.

`python tests/test_shipped.py` writes the golden predictions anew, after a checkpoint was replaced on purpose.
"""

import json
from pathlib import Path

import numpy as np
import torch

import lcpfn
from lcpfn.priors import General, Paper, by_name
from lcpfn.query import KINDS

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


def test_the_defaults_of_the_priors_are_those_of_the_weights():
    """Who trains on a prior by its name trains on the one that the shipped weights know."""
    for prior in (General(), Paper()):
        named = lcpfn.load(prior.name).checkpoint.provenance["prior"]
        assert by_name(named["name"], named["parameters"]) == prior  # headers hold the names of their day


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


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(predictions(), indent=1) + "\n")
