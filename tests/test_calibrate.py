"""The command `lcpfn calibrate`: its table, its JSON, its pictures, and what it says when it cannot."""

import json
from pathlib import Path

import pytest

from lcpfn.calibration.study import CUTS
from lcpfn.cli import main
from lcpfn.cli.parser import parser

FEW = ["calibrate", "--curves", "30", "--draws", "3", "--cuts", "5,50"]


def test_the_table_says_who_was_asked_about_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "--kind", "all", "--checkpoint", "paper"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("30 curves of the prior paper, checkpoint paper\n")
    for kind in ("value", "signal", "best"):
        assert f"{kind}: truth inside central intervals" in out
    rows = [line.split()[0] for line in out.splitlines() if "-" in line and "(" in line and line.startswith("   ")]
    assert rows == ["5", "50", "all"] * 3
    assert out.count("TARP, 3 draws") == 1 and "checks are outside" in out


def test_json_is_the_report_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "--json", "--seed", "7", "--draws", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["prior"], told["checkpoint"], told["seed"], told["curves"]) == ("paper", "paper", 7, 30)
    (value,) = told["kinds"]
    assert value["kind"] == "value" and value["joint"] is None and len(value["coverage"]) == 4 * 3
    assert main([*FEW, "--json", "--seed", "7", "--draws", "0"]) == 0
    assert json.loads(capsys.readouterr().out) == told, "one seed, two answers"
    assert main([*FEW, "--json", "--seed", "8", "--draws", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["kinds"] != told["kinds"]


def test_pictures_are_drawn_into_a_new_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "pictures"
    assert main([*FEW, "--kind", "value", "--out", str(folder)]) == 0
    names = [f"value-{name}.png" for name in ("coverage", "ecdf", "joint", "reliability")]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in folder.iterdir())
    assert capsys.readouterr().err.count("picture: ") == 4


def test_the_cut_offs_are_those_of_the_library() -> None:
    assert parser().parse_args(["calibrate"]).cuts == CUTS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--curves", "5"], "10 curves at least"),
        (["--cuts", "100"], "from 1 to 99"),
        (["--cuts", "10,x"], "whole number from 0, got 'x'"),
        (["--prior", "nobody"], "nobody"),
        (["--prior", "general"], "priors whose curves share their bounds, as paper and domhan, got general"),
        (["--checkpoint", "nobody"], "nobody"),
        (["--kind", "worst"], "invalid choice: 'worst'"),
        (["--curves", "many"], "whole number"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("lcpfn.cli.inputs.installed", lambda name: False)
    assert main([*FEW, "--out", "nowhere"]) == 2
    assert "[train]" in capsys.readouterr().err
    assert not Path("nowhere").exists()
