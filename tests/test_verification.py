"""A forecast beside its posterior: a good network passes, a wrong one is found, and doubt is said."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from networks import random_pfn

import lcpfn
from lcpfn import Metric, cli
from lcpfn.mcmc import SMC
from lcpfn.mcmc.diagnostics import Diagnostics
from lcpfn.mcmc.verification import Verification, verify
from lcpfn.priors import Paper

Y = [0.20, 0.34, 0.41, 0.48, 0.50, 0.55, 0.56, 0.60, 0.59, 0.62]
SMALL = SMC(particles=512, runs=2, moves=4, threshold=0.5)


@pytest.fixture(scope="module")
def told() -> Verification:
    return verify(lcpfn.load("paper"), Y, [11, 20, 50, 100], sampler=SMALL)


def test_the_shipped_network_is_close_to_the_posterior(told: Verification) -> None:
    assert told.network.shape == told.reference.shape == told.gap.shape == told.odds.shape == (4,)
    np.testing.assert_array_equal(told.network.t, told.reference.t)
    assert (np.abs(told.gap) < 0.3).all() and (told.odds < 0.2).all()
    assert np.isfinite(told.spread) and told.spread > 0


def test_a_wrong_network_is_found(told: Verification) -> None:
    wrong = verify(random_pfn(), Y, [11, 20, 50, 100], prior=Paper(), sampler=SMALL)
    assert wrong.gap.mean() > 0.8 > 5 * abs(told.gap.mean())
    assert wrong.odds.max() > 0.35 > 2 * told.odds.max()
    assert wrong.verdict.startswith("do not trust it here")


def test_the_gap_is_the_divergence_of_the_two_laws(told: Verification) -> None:
    """By numerical integration, at the last time."""
    x = np.linspace(1e-9, 1 - 1e-9, 20_001)  # the whole support: the metric's bounds cut both off
    logs = [belief[-1].log_prob(x) for belief in (told.reference, told.network)]
    exact = np.trapezoid(np.exp(logs[0]) * (logs[0] - logs[1]), x)
    assert abs(told.gap[-1] - exact) < 4 * told.gap_se[-1]


def test_a_loss_is_judged_in_its_own_direction() -> None:
    loss = verify(
        lcpfn.load("paper"), 100 * (1 - np.array(Y)), [50], metric=Metric("min", bounds=(0, 100)), sampler=SMALL
    )
    rising = verify(lcpfn.load("paper"), Y, [50], sampler=SMALL)
    np.testing.assert_allclose(loss.reference.median(), 100 * (1 - rising.reference.median()), rtol=1e-6)
    np.testing.assert_allclose(loss.odds, rising.odds, atol=1e-6)


def _with(told: Verification, *, gap: float, spread: float) -> Verification:
    names = [field.name for field in dataclasses.fields(Diagnostics)]
    numbers = Diagnostics(**{name: np.full(4, spread if name == "spread" else np.nan) for name in names})
    reference = dataclasses.replace(told.reference, diagnostics=numbers)
    return dataclasses.replace(told, reference=reference, gap=np.full(4, gap), spread=spread)


@pytest.mark.parametrize(
    ("gap", "spread", "verdict"),
    [
        (0.01, 0.01, "trust it here"),
        (0.01, 0.05, "close"),
        (0.04, 0.02, "close"),
        (0.5, 0.05, "do not trust it here"),
        (0.22, 0.05, "not quite"),
        (0.01, 0.3, "undecided"),
        (0.5, 0.3, "undecided"),
        (0.01, np.nan, "undecided"),
    ],
)
def test_the_verdict_leaves_room_for_the_references_own_error(
    told: Verification, gap: float, spread: float, verdict: str
) -> None:
    one = _with(told, gap=gap, spread=spread)
    assert one.verdict.startswith(verdict)
    assert one.is_reference == (spread <= 0.02)


def test_wrong_questions_are_refused() -> None:
    pfn = lcpfn.load("paper")
    with pytest.raises(ValueError, match="one curve"):
        verify(pfn, [Y, Y], [50])
    with pytest.raises(ValueError, match="at least one time"):
        verify(pfn, Y, [])
    with pytest.raises(ValueError, match="a prior is one of"):
        verify(random_pfn(), Y, [50])


@pytest.mark.slow
def test_the_command_prints_a_verdict_and_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, picture = tmp_path / "log.txt", tmp_path / "fans.png"
    log.write_text("\n".join(map(str, Y)))
    flags = ["verify", str(log), "--observe", "8", "--particles", "512", "--runs", "2"]
    assert cli.main([*flags, "--plot", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert "8 points seen; checkpoint paper beside 2 runs of 512 particles" in out
    assert "the reference itself is sure to" in out and "points of its odds" in out
    assert picture.read_bytes().startswith(b"\x89PNG") and str(picture) in err
    assert cli.main([*flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["t"] == [9.0, 10.0] and len(document["gap"]) == len(document["reference"]) == 2
    assert document["verdict"] in out


def test_the_command_refuses_a_single_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n".join(map(str, Y)))
    assert cli.main(["verify", str(log), "--horizon", "50", "--runs", "1"]) == 2
    assert "cannot tell how sure it is" in capsys.readouterr().err
