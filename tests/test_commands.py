"""The subcommands demo, info and train."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcpfn import cli
from lcpfn.cli import inputs
from lcpfn.cli.demo import CURVES
from lcpfn.metric import Metric
from lcpfn.pfn import load, locate
from lcpfn.stopping import Best, Stopper


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(argv)
    return code, *capsys.readouterr()


def test_info_says_what_the_file_is(capsys: pytest.CaptureFixture[str]) -> None:
    path = locate("default")
    code, out, err = run(capsys, "info", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    checkpoint = load().checkpoint
    assert (facts["format"], facts["file"]) == (1, str(path))
    assert facts["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert facts["bytes"] == path.stat().st_size
    assert facts["parameters"] == sum(values.size for values in checkpoint.weights.values())
    assert (facts["config"], facts["provenance"]) == (checkpoint.config, checkpoint.provenance)

    code, text, err = run(capsys, "info", str(path))
    assert (code, err) == (0, "")
    for word in (facts["sha256"], str(path), f"{facts['parameters']:,}", str(checkpoint.provenance["commit"])):
        assert word in text


def test_info_of_what_is_no_checkpoint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"\x80\x04pickle")
    code, out, err = run(capsys, "info", str(path))
    assert (code, out) == (2, "")
    assert "pickle" in err


def test_the_demo_shows_forecast_and_truth(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "demo")
    assert (code, err) == (0, "picture: lcpfn-demo.png\n")
    assert (tmp_path / "lcpfn-demo.png").stat().st_size > 10_000
    rows = [line.split() for line in out.splitlines() if re.match(r"\s*\d+  ", line)]
    assert [row[0] for row in rows] == ["21", "40", "60", "80", "100"]
    np.testing.assert_allclose(
        [float(row[1]) for row in rows], CURVES["slow"].accuracy[[20, 39, 59, 79, 99]], atol=1e-3
    )
    assert re.search(r"One forecast of all 80: [\d.]+ ms, its 7 quantiles: [\d.]+ ms", out)
    low, high = load().predict(CURVES["slow"].accuracy[:20], horizon=100, metric=Metric(bounds=(0, 1))).interval(0.8).T
    inside = 100 * np.mean((low <= CURVES["slow"].accuracy[20:]) & (CURVES["slow"].accuracy[20:] <= high))
    assert f"{inside:.0f} % in the 80 % interval" in out


@pytest.mark.parametrize("curve", CURVES)
def test_the_demo_has_every_recorded_curve(capsys: pytest.CaptureFixture[str], tmp_path: Path, curve: str) -> None:
    path = tmp_path / "demo.svg"
    code, out, err = run(capsys, "demo", "--curve", curve, "--observe", "40", "--out", str(path))
    assert (code, err) == (0, f"picture: {path}\n")
    assert CURVES[curve].about in out
    assert "<svg" in path.read_text()


def test_the_demo_offers_no_other_curve(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "demo", "--help")
    assert "{" + ",".join(CURVES) + "}" in out


@pytest.mark.parametrize("observe", ["0", "100"])
def test_the_demo_needs_something_to_see_and_to_forecast(capsys: pytest.CaptureFixture[str], observe: str) -> None:
    assert run(capsys, "demo", "--observe", observe) == (
        *(2, "", f"lcpfn: --observe must be from 1 to 99 in the demo, got {observe}\n"),
    )


def missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    found = inputs.installed
    monkeypatch.setattr(inputs, "installed", lambda name: name != package and found(name))


def test_without_matplotlib_there_is_a_demo_but_no_picture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing(monkeypatch, "matplotlib")
    monkeypatch.chdir(tmp_path)
    advice = "this needs matplotlib; install this project with its extra: pip install -e '.[plot]'\n"
    code, out, err = run(capsys, "demo")
    assert (code, err) == (0, f"lcpfn: no picture: {advice}")
    assert "median" in out
    for argv in (("demo", "--out", "a.png"), ("predict", "any.csv", "--at", "50", "--plot", "a.png")):
        code, _, err = run(capsys, *argv)
        assert (code, err) == (2, f"lcpfn: {advice}")


def test_training_without_torch_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing(monkeypatch, "torch")
    code, out, err = run(capsys, "train", "--minutes", "1")
    assert (code, out) == (2, "")
    assert err == "lcpfn: this needs torch; install this project with its extra: pip install -e '.[train]'\n"


def test_training_reads_its_own_flags(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    code, out, err = run(capsys, "train", "--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: lcpfn train")
    assert "--minutes" in out


RUN = ("0.31", "0.42", "0.50", "0.55", "0.57", "0.575", "0.58")


def asked(capsys: pytest.CaptureFixture[str], tmp_path: Path, *argv: str) -> str:
    log = tmp_path / "log.csv"
    log.write_text("step,acc\n" + "".join(f"{step},{y}\n" for step, y in enumerate(RUN)))
    code, out, err = run(
        capsys, "predict", str(log), "--time-column", "step", "--bounds", "0,1", "--horizon", "49", *argv
    )
    assert (code, err) == (0, "")
    return out


def test_an_incumbent_brings_a_stop_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same decision as the stopper's, with what would have changed it."""
    for rule, among in ((Best(), ()), (Best(start="higher"), ("--rivals", "1"))):
        stopper = Stopper(rule=rule, horizon=50, metric=Metric(bounds=(0, 1)), first_step=0)
        stopper.update("first", 0, 0.999)
        stopper.finish("first")
        for step, y in enumerate(RUN):
            decision = stopper.update("second", step, float(y))
        assert decision.verdict is not None
        out = asked(capsys, tmp_path, "--incumbent", "0.999", *among)
        assert out.split("\n\n")[-1] == decision.card(name="acc") + "\n"
    document = json.loads(asked(capsys, tmp_path, "--incumbent", "0.999", "--json", *among))["decision"]
    assert (document["stop"], document["reason"]) == (decision.stop, decision.reason)
    turning = document["turning_point"]
    assert turning == pytest.approx(decision.turning_point())
    for incumbent, stop in ((turning - 1e-4, False), (turning + 1e-4, True)):
        told = json.loads(asked(capsys, tmp_path, "--incumbent", f"{incumbent:.6f}", "--json", *among))["decision"]
        assert told["stop"] is stop


def test_rivals_and_level_make_the_card_stricter(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def decision(*argv: str) -> Any:
        return json.loads(asked(capsys, tmp_path, "--incumbent", "0.9", "--json", *argv))["decision"]

    turning = [decision("--rivals", *more)["turning_point"] for more in (["1"], ["20"], ["1", "--level", "0.01"])]
    assert turning[0] < min(turning[1:])
    assert decision()["threshold"] < decision("--rivals", "1")["threshold"], "its own odds alone, which were lower"
    code, _, err = run(
        capsys, "predict", str(tmp_path / "log.csv"), "--horizon", "49", "--incumbent", "1", "--level", "5"
    )
    assert code == 2
    assert "level must lie between 0 and 1" in err
