"""Priors of your own, from the function to the checkpoint and back; and networks that begin with another's weights."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts import check_prior
from safetensors.numpy import load_file

from lcpfn import Checkpoint, cli
from lcpfn.network.checkpoint import digest
from lcpfn.pfn import load, locate
from lcpfn.priors import Domhan, RunPrior, by_name
from lcpfn.priors.shared_times import as_runs
from lcpfn.training import PRESETS, Options, Run
from lcpfn.training.alarm import highest
from lcpfn.training.command import main, parser
from lcpfn.training.parent import flag
from lcpfn.training.questions import QuestionLaw, draw

ROOT = Path(__file__).resolve().parent.parent
MODULE = """
import torch
from lcpfn.priors import Curves, Domhan, General

def plain(n, t, *, generator, low=0.2):
    return low + (1 - low) * torch.rand(n, 1, generator=generator) * (1 - 1 / t)

def percent(n, t, generator):
    return 100 * plain(n, t, generator=generator)

def scores(n, t, generator):
    return percent(n, t, generator)

def short(n, t, generator):
    return torch.zeros(n, 3)

def broken(n, t, generator):
    y = plain(n, t, generator=generator)
    signal = y.clone()
    y[1, 2] = torch.nan
    return Curves(t=t.expand(n, -1), y=y, signal=signal, seen=y == y)

def lost(n, t, generator):
    return plain(n, t, generator=generator) / torch.where(t == 3, 0.0, 1.0)

def unlike(curves, t, generator): pass
def odd(n, t, *, generator, law=object): pass
def open_ended(n, t, generator): pass

scores.bounds = (0, 100)
open_ended.bounds = (0, float("inf"))
ours, runs, number = Domhan(terms=2), General(), 3

class Fixed:
    name, bounds = "mine", (0.0, 1.0)
    def parameters(self): return {"a": 1}
    def sample(self, n, t, *, generator): return Domhan().sample(n, t, generator=generator)

class Scaled(Fixed):
    def __init__(self, top): self.top = top
    def parameters(self): return {"top": self.top}
    @classmethod
    def from_parameters(cls, parameters): return cls(parameters["top"])

fixed, scaled = Fixed(), Scaled(0.5)
"""
TINY = [*"--preset tiny --steps 2 --batch 8 --questions 12 --precision float32 --threads 1".split()]
TINY += ["--validation-curves", "0"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of priors, where the user stands."""
    (tmp_path / "my_priors.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("my_priors", "own_prior"):  # the next test has a folder of its own
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["plain", "scores"])
def test_a_function_is_a_prior_as_any_other(name: str, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.syspath_prepend(str(place))  # pickles find it there
    check_prior(by_name(f"my_priors:{name}"))


def test_the_example_is_a_prior_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    check_prior(by_name("own_prior:prior"))
    assert len((ROOT / "examples" / "own_prior.py").read_text().splitlines()) <= 32


def test_parameters_are_what_the_function_is_called_with() -> None:
    def lowest(prior):
        return float(prior.sample(50, torch.arange(1.0, 9.0), generator=torch.Generator().manual_seed(0)).y.min())

    assert by_name("my_priors:plain").parameters() == {"low": 0.2}
    changed = by_name("my_priors:plain", {"low": 0.5})
    assert changed.parameters() == {"low": 0.5} and changed != by_name("my_priors:plain")
    assert lowest(changed) == 0.5 and lowest(by_name("my_priors:plain")) == pytest.approx(0.2)
    assert os.getcwd() not in sys.path


def test_an_object_is_a_prior_under_its_path() -> None:
    ours, runs = by_name("my_priors:ours"), by_name("my_priors:runs")
    assert ours.name == "my_priors:ours" and ours.parameters()["terms"] == 2 and ours.bounds == (0.0, 1.0)
    assert by_name("my_priors:ours", ours.parameters()) == ours != by_name("my_priors:ours", {"terms": 3})
    assert isinstance(runs, RunPrior) and not isinstance(ours, RunPrior)
    drawn = runs.sample_runs(4, 20, 5, generator=torch.Generator().manual_seed(0))
    assert drawn.y.shape == (4, 25)
    assert by_name("my_priors:fixed", {"a": 1}).parameters() == {"a": 1}


@pytest.mark.parametrize(("name", "parameters"), [("ours", Domhan(terms=2).parameters()), ("scaled", {"top": 0.5})])
def test_an_object_is_trained_on_as_it_is_unless_parameters_are_given(
    name: str, parameters: dict, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def prior_of(run: str) -> dict:
        return Checkpoint.read(place / "runs" / run / "checkpoint.safetensors").provenance["prior"]

    flags = [*TINY, "--prior", f"my_priors:{name}", "--alarm-curves", "0"]
    assert main(flags) == 0
    assert prior_of("train")["parameters"] == json.loads(json.dumps(parameters))
    other = json.dumps(parameters | ({"terms": 1} if name == "ours" else {"top": 0.25}))
    assert main([*flags, "--name", "other", "--prior-parameters", other]) == 0
    assert prior_of("other")["parameters"] == json.loads(other)
    assert main([*flags, "--resume", "--prior-parameters", other]) == 2
    assert "--resume needs the prior_parameters that the run began with: None" in capsys.readouterr().err


def test_parameters_that_an_object_cannot_take_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"the prior 'my_priors:scaled' does not take the parameters {'height': 1}: 'top'"
    ):
        by_name("my_priors:scaled", {"height": 1})


def test_runs_of_an_older_version_are_resumed_where_the_prior_is_the_same(place: Path) -> None:
    """It stored {} where nothing was given: for the library's own priors that means the same, for an object not."""
    for name, code in (("paper", 0), ("my_priors:ours", 2)):
        flags = [*TINY, "--prior", name, "--alarm-curves", "0", "--name", name.replace(":", "-")]
        assert main([*flags, "--prior-parameters", "{}"]) == 0
        assert main([*flags, "--resume"]) == code


@pytest.mark.parametrize(
    ("path", "parameters", "message"),
    [
        ("nobody:prior", None, r"'nobody:prior' cannot be found: No module named 'nobody'; run this in the folder of"),
        ("my_priors:nobody", None, "my_priors has no 'nobody'"),
        ("my_priors:", None, "must be module:object, as in my_module:prior, got 'my_priors:'"),
        ("./my_priors.py:plain", None, "must be module:object"),
        ("my_priors:plain", {"high": 1}, r"has the parameters \['low'\], got \['high'\]"),
        ("my_priors:fixed", {"a": 2}, r"other parameters now, {'a': 1}, than asked for, {'a': 2}"),
        ("my_priors:unlike", None, r"function \(n, t, \*, generator\) .* got \(curves, t, generator\)"),
        ("my_priors:odd", None, "storable as JSON"),
        ("my_priors:open_ended", None, r"two finite numbers low < high, got \(0.0, inf\); .*sample_runs"),
        ("my_priors:Fixed", None, "got a class; name an object made of it"),
        ("my_priors:number", None, "got int"),
        ("subprocess:Popen", {"args": ["false"]}, "got a class"),  # a header of a checkpoint must not start programs
        ("shutil:rmtree", {"path": "x"}, r"function \(n, t, \*, generator\)"),
    ],
)
def test_what_is_no_prior_is_refused(path: str, parameters: dict | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_name(path, parameters)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("percent", r"signals in \[0, 1\], got y=.* at curve 0, point 0; .*`percent.bounds = \(low, high\)`"),
        ("short", r"must return \(5, 8\) values, got \(5, 3\)"),
        ("lost", r"must draw finite values.* y=inf, .* at curve 0, point 2"),
    ],
)
def test_what_is_no_curve_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_name(f"my_priors:{name}").sample(5, torch.arange(1.0, 9.0), generator=torch.Generator().manual_seed(0))


def test_points_that_are_not_seen_may_be_anything() -> None:
    drawn = by_name("my_priors:broken").sample(5, torch.arange(1.0, 9.0), generator=torch.Generator().manual_seed(0))
    assert int((~drawn.seen).sum()) == 1


def test_from_the_example_to_a_calibrated_checkpoint(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / "examples")
    flags = ["--preset", "tiny", "--threads", "1", "--validation-curves", "100", "--runs", str(place)]
    flags += ["--alarm-curves", "200"]
    code = cli.main(["train", "--prior", "own_prior:prior", *flags, "--steps", "80", "--warmup", "10"])
    out = capsys.readouterr().out.splitlines()
    assert code == 0
    path = Path(out[-1])
    checkpoint = Checkpoint.read(path)
    assert checkpoint.provenance["prior"] == {
        "name": "own_prior:prior",
        "parameters": {"first": 20.0, "last": 80.0},
        "bounds": [0.0, 1.0],
    }
    untrained = Run(Options(prior="own_prior:prior", steps=1, model=PRESETS["tiny"], validation_curves=100), place)
    before = untrained.validate(untrained.examined)
    after = checkpoint.provenance["scores"]
    assert all(after[cut] > before[cut] + 0.2 for cut in before), (before, after)
    pfn = load(path)
    assert pfn.predict([0.2, 0.3, 0.4], horizon=100).shape == (97,)
    assert pfn.null.curves == 200 and len(pfn.null.highest) == 20
    own = highest(pfn, by_name("own_prior:prior"), 400, random=torch.Generator().manual_seed(0))
    assert (pfn.null.p_value(own) <= 0.05).mean() < 0.05 + 3 * (0.05 / 200) ** 0.5, "of either draw, three errors"
    ask = ["calibrate", "--checkpoint", str(path), "--curves", "20", "--draws", "0", "--json"]
    assert cli.main(ask) == 2 and "--trust-prior" in capsys.readouterr().err
    ask.append("--trust-prior")
    assert cli.main(ask) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["prior"] == "own_prior:prior" and told["curves"] == 20
    monkeypatch.chdir(place)
    monkeypatch.delitem(sys.modules, "own_prior")
    assert cli.main(ask) == 2
    assert "'own_prior:prior' cannot be found: No module named 'own_prior'" in capsys.readouterr().err
    assert cli.main(["verify", str(place / "my_priors.py"), "--checkpoint", str(path), "--at", "50"]) == 2


def test_a_new_process_finds_the_module_beside_the_user(place: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; sys.path = sys.path[1:]; from lcpfn.cli import main; sys.exit(main())",
    ]
    done = subprocess.run([*command, "train", "--prior", "my_priors:plain", *TINY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Checkpoint.read(place / "runs" / "train" / "checkpoint.safetensors").provenance["prior"]["name"]


def test_training_begins_with_the_parents_weights(place: Path) -> None:
    assert main([*TINY, "--name", "parent"]) == 0
    parent = place / "runs" / "parent" / "checkpoint.safetensors"
    told = ["--init", str(parent), "--name", "child", "--prior", "my_priors:plain", "--seed", "5", "--lr", "1e-9"]
    assert main([*TINY, *told]) == 0
    child = place / "runs" / "child" / "checkpoint.safetensors"
    for name, values in load_file(parent).items():
        np.testing.assert_allclose(load_file(child)[name], values, atol=1e-6, err_msg=name)
    facts = Checkpoint.read(child).provenance
    theirs = Checkpoint.read(parent).provenance
    expected = {"file": parent.name, "sha256": digest(parent), "prior": theirs["prior"], "curves_seen": 16}
    assert facts["parent"] == expected and "parent" not in theirs
    assert facts["training"]["init"] == str(parent) and facts["curves_seen"] == 16

    grandchild = ["--init", str(child), "--name", "grandchild", "--ema", "0.9"]
    assert main([*TINY, *grandchild]) == 0
    facts = Checkpoint.read(place / "runs" / "grandchild" / "checkpoint.safetensors").provenance
    assert facts["parent"]["sha256"] == digest(child) and facts["parent"]["parent"] == expected


def test_a_resumed_run_remembers_its_parent(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--name", "parent"]) == 0
    parent = place / "runs" / "parent" / "checkpoint.safetensors"
    assert main([*TINY, "--init", str(parent)]) == 0
    capsys.readouterr()
    assert main([*TINY, "--resume"]) == 2
    assert "--resume needs the init that the run began with" in capsys.readouterr().err
    sha256 = digest(parent)
    parent.write_bytes(b"")  # not needed any more
    assert main([*TINY, "--init", str(parent), "--resume"]) == 0
    made = Checkpoint.read(place / "runs" / "train" / "checkpoint.safetensors")
    assert made.provenance["parent"]["sha256"] == sha256


def test_a_shipped_checkpoint_can_be_fine_tuned(place: Path) -> None:
    (place / "run").mkdir()
    options = Options(init="paper", steps=1, batch=4, questions=12, precision="float32", threads=1, validation_curves=0)
    run = Run(options, place / "run")
    weights = Checkpoint.read(locate("paper")).weights
    for name, parameter in run.objective.model.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), weights[name], err_msg=name)
    assert run.parent["sha256"] == digest(locate("paper")) and run.parent["prior"]["name"] == "paper"


def test_another_network_is_refused_by_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--init", "paper", "--times", "relative"]) == 2
    err = capsys.readouterr().err
    assert "the network and coordinates of the checkpoint paper, got other width (32 here, 128 there), layers" in err
    assert "times (relative here, absolute there); say --width 128 --layers 4" in err and "clock" not in err
    advice = shlex.split(err.split("say ")[1])
    assert main([*TINY, "--init", "paper", *advice]) == 0, "the advice must do"
    assert main([*TINY, "--init", "nobody", "--name", "other"]) == 2
    assert "no checkpoint 'nobody'" in capsys.readouterr().err


def test_flags_of_all_kinds() -> None:
    fields = {"decoder": 64, "bounded": False, "ends": True, "clock": (1.0, 100.0)}
    flags = [flag(name, value) for name, value in fields.items()]
    assert flags == ["--decoder 64", "--no-bounded", "--ends", "--clock 1 100"]
    told = parser().parse_args([word for flag in flags for word in flag.split()])
    assert {name: getattr(told, name) for name in fields} == fields | {"clock": [1.0, 100.0]}


def test_points_that_were_never_measured_are_not_learnt_from() -> None:
    """They come after all others, their values are nothing that a question may be about."""
    runs = as_runs(by_name("my_priors:broken")).sample_runs(5, 100, 28, generator=torch.Generator().manual_seed(0))
    assert not runs.seen[1, -1] and int((~runs.seen).sum()) == 1 and bool(torch.isfinite(runs.y).all())
    assert runs.t[1, -1] == 3 and (torch.diff(runs.t[1, :-1]) > 0).all()
    asked = draw(runs, QuestionLaw(questions=90, early=1.0, final=0.0), 100, generator=torch.Generator().manual_seed(0))
    assert not (asked.valid[1] & (asked.t_query[1] == 3)).any() and asked.valid[0].all()
