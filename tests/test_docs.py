"""README and docs: blocks of code run, commands parse, output that is shown is what comes, links lead somewhere."""

import importlib
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from loops import random_states_kept

from lcpfn import cli
from lcpfn.cli.parser import parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
NEEDS = {"keras", "lightning", "ray", "syne_tune", "transformers"}  # pages of these names; environments of their own
SLOW = {"calibration", "mcmc"}
DOORS = ("lcpfn", "lcpfn.logs", "lcpfn.stopping", "lcpfn.calibration", "lcpfn.mcmc", "lcpfn.priors")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, code and line of every fenced block."""
    text = page.read_text()
    return [(m["language"], m["code"], text.count("\n", 0, m.start()) + 2) for m in FENCE.finditer(text)]


def commands(page: Path, *languages: str) -> Iterator[tuple[int, list[str], str]]:
    """Line, arguments and standard input of every command `lcpfn`."""
    for language, code, line in blocks(page):
        for i, text in enumerate(code.splitlines()) if language in languages else ():
            echoed, _, piped = text.removeprefix("$ ").partition(" | ")
            words = shlex.split(piped if echoed.startswith("echo ") else text.removeprefix("$ "), comments=True)
            if words[:1] == ["torchrun"]:
                words = ["lcpfn", "train", *words[words.index("lcpfn.training") + 1 :]]
            if words[:1] == ["lcpfn"]:
                yield line + i, words[1:], echoed.removeprefix("echo ") if piped else ""


def _page(path: Path) -> object:
    marks = [pytest.mark.frameworks] if path.stem in NEEDS else [pytest.mark.slow] if path.stem in SLOW else []
    return pytest.param(path, marks=marks, id=name(path))


@pytest.mark.parametrize("page", [_page(page) for page in PAGES if {"python", "bash"} & {b[0] for b in blocks(page)}])
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From top to bottom, as one who follows the page would type it, in an empty folder."""
    if page.stem in NEEDS and importlib.util.find_spec(page.stem) is None:
        pytest.skip(f"{page.stem} is not installed")
    monkeypatch.chdir(tmp_path)
    shared: dict[str, object] = {"__name__": "page"}
    with random_states_kept() if page.stem in NEEDS else nullcontext():  # importing keras moves one
        _follow(page, shared, monkeypatch, capsys)


def _follow(
    page: Path, shared: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ""
    for language, code, line in blocks(page):
        if language == "python":
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), shared)
        elif language == "bash":
            shown = _run(code, monkeypatch, capsys)
        elif language == "text":
            _same(shown, code, f"{name(page)}:{line}")


def _run(code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the commands of a block print; those of other programs are passed over."""
    shown = ""
    for text in code.splitlines():
        echoed, _, piped = text.partition(" | ")
        words = shlex.split(piped if echoed.startswith("echo ") else text, comments=True)
        if words[:1] != ["lcpfn"]:
            continue
        monkeypatch.setattr(sys, "stdin", io.StringIO(echoed.removeprefix("echo ")))
        capsys.readouterr()
        assert cli.main(words[1:]) == 0, text
        shown += capsys.readouterr().out
    return shown


def _same(came: str, shown: str, where: str) -> None:
    """Fails unless the lines that are shown came, numbers alike to what platforms differ by."""
    start = came.find(shown.split("(")[0])
    assert start >= 0, f"{where}: {came}"
    part = came[start:]
    assert NUMBER.sub("#", part).startswith(NUMBER.sub("#", shown).rstrip("\n")), f"{where}: {part}"
    told, found = ([float(number) for number in NUMBER.findall(text)] for text in (shown, part))
    np.testing.assert_allclose(found[: len(told)], told, rtol=2e-3, err_msg=where)


def test_a_changed_number_or_word_is_seen() -> None:
    shown = "go on: promising (P = 0.0189)\n  best 0.584\n"
    _same("a table\n" + shown, shown, "here")
    for other in (shown.replace("0.0189", "0.0199"), shown.replace("best", "last"), shown.replace("go on", "STOP")):
        with pytest.raises(AssertionError):
            _same(other, shown, "here")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_a_page_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that take too long to run, or read what is not here."""
    for line, words, _ in commands(page, "bash", "console"):
        try:
            if words[0] == "train":
                pytest.importorskip("torch")
                importlib.import_module("lcpfn.training.command").parser().parse_args(words[1:])
            else:
                parser().parse_args(words)
        except SystemExit:
            pytest.fail(f"{name(page)}:{line}: {capsys.readouterr().err}")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = FENCE.sub("", page.read_text())
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    wrong = []
    for match in LINK.finditer(FENCE.sub("", page.read_text())):
        target = (page.parent / match["path"]).resolve() if match["path"] else page
        if not target.exists():
            wrong.append(f"{name(page)}: no file {match['path']}")
        elif match["anchor"] and match["anchor"] not in anchors(target):
            wrong.append(f"{name(page)}: no heading #{match['anchor']} in {match['path']}")
    assert not wrong, "\n".join(wrong)


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    listed = set(re.findall(r"^\.\. auto\w+:: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    public = {f"{door}.{each}" for door in DOORS for each in importlib.import_module(door).__all__}
    assert public <= listed


def test_every_page_of_a_framework_shows_its_example() -> None:
    for example in sorted((ROOT / "examples").glob("*.py")):
        assert any(f"examples/{example.name}\n:language" in page.read_text() for page in PAGES), example.name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
