"""A file that came from somewhere runs nothing: no route imports what the header of a checkpoint names."""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import PAPER, TINY, random_network

import lcpfn
from lcpfn import cli
from lcpfn.calibration import calibrate
from lcpfn.mcmc import verify
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.priors.names import built_in

MODULE = """
from pathlib import Path
import torch
(Path(__file__).parent / "marker").write_text("this code ran")

def prior(n, t, *, generator):
    return 0.2 + 0.6 * torch.rand(n, 1, generator=generator) * (1 - 1 / t)

"""
NAMES = (
    "planted:prior",
    "planted:",
    "planted",
    "planted:prior.__class__",
    "planted.prior",
    ":planted",
    "./planted.py:x",
)
Y = [0.2, 0.34, 0.41, 0.48, 0.5]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module that a hostile header names, where the user stands and on the path besides."""
    (tmp_path / "planted.py").write_text(MODULE)
    (tmp_path / "log.csv").write_text("epoch,val_acc\n" + "".join(f"{i + 1},{y}\n" for i, y in enumerate(Y)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("planted", None)


def planted(path: Path, name: object = "planted:prior", *, coordinates=PAPER, **facts: object) -> Path:
    """A checkpoint that works, whose header names a module."""
    network = random_network(TINY, coordinates)
    weights = {key: value.detach().numpy() for key, value in network.named_parameters()}
    config = {"model": dataclasses.asdict(TINY), "coordinates": dataclasses.asdict(coordinates)}
    told = {
        "prior": {"name": name, "parameters": {}, "bounds": [0.0, 1.0]},
        **dict.fromkeys(("seed", "commit", "curves_seen", "scores", "versions")),
        **facts,
    }
    Checkpoint(config, weights, told).write(path)
    return path


def clean(place: Path) -> bool:
    return not (place / "marker").exists() and "planted" not in sys.modules


COMMANDS = [
    "predict log.csv --horizon 20 --bounds 0,1",
    "predict log.csv --horizon 20 --bounds 0,1 --json",
    "info",
    "info --json",
    "demo --out picture.png",
    "verify log.csv --at 10 --particles 16 --runs 2",
    "calibrate --curves 10 --draws 0",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_imports_what_a_header_names(command: str, name: str, place: Path) -> None:
    path = planted(place / "hostile.safetensors", name)
    first, *rest = command.split()
    code = cli.main([first, *rest, "--checkpoint", str(path)] if first != "info" else [first, str(path), *rest])
    assert code in (0, 2) and clean(place)


def test_the_two_that_need_a_prior_say_what_to_do(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(planted(place / "hostile.safetensors"))
    assert cli.main(["verify", "log.csv", "--at", "10", "--checkpoint", path]) == 2
    assert "not imported on a file's word" in capsys.readouterr().err
    assert cli.main(["calibrate", "--checkpoint", path]) == 2
    assert "give --prior planted:prior, or --trust-prior" in capsys.readouterr().err
    assert clean(place)


@pytest.mark.parametrize("trust", [["--prior", "planted:prior"], ["--trust-prior"]])
def test_calibrate_imports_what_its_user_names(
    trust: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(planted(place / "hostile.safetensors"))
    assert cli.main(["calibrate", "--checkpoint", path, "--curves", "10", "--draws", "0", *trust]) == 0
    err = capsys.readouterr().err
    assert (place / "marker").exists() and ("importing 'planted:prior'" in err) == (trust == ["--trust-prior"])


def test_training_that_begins_with_a_file_imports_nothing_of_it(place: Path) -> None:
    path = planted(place / "hostile.safetensors")
    flags = (
        "--preset tiny --steps 1 --batch 4 --questions 4 --threads 1 --precision float32 --validation-curves 0".split()
    )
    sizes = f"--width {TINY.width} --layers {TINY.layers} --heads {TINY.heads} --hidden {TINY.hidden}".split()
    sizes += f"--decoder {TINY.decoder} --components {TINY.components}".split()
    sizes += "--alarm-curves 0 --validation-curves 0".split()
    assert cli.main(["train", "--init", str(path), *flags, *sizes]) == 0
    assert clean(place)
    made = Checkpoint.read(place / "runs" / "train" / "checkpoint.safetensors").provenance
    assert made["prior"]["name"] == "paper" and made["parent"]["prior"]["name"] == "planted:prior"


ROUTES: dict[str, Callable[[lcpfn.PFN], object]] = {
    "predict": lambda pfn: pfn.predict(Y, horizon=10),
    "replay": lambda pfn: pfn.replay(Y, 10),
    "surprise": lambda pfn: pfn.surprise(Y),
    "stream": lambda pfn: pfn.stream().predict(20),
    "repr": repr,
    "calibration": lambda pfn: calibrate(
        pfn,
        np.tile(np.linspace(0.1, 0.6, 30), (20, 1)),
        cuts=(5,),
        generator=np.random.default_rng(0),
        draws=0,
    ),
}


@pytest.mark.parametrize("route", ROUTES)
def test_no_method_imports_what_a_header_names(route: str, place: Path) -> None:
    pfn = lcpfn.load(planted(place / "hostile.safetensors"))
    ROUTES[route](pfn)
    assert clean(place)


def test_verify_refuses_before_it_imports(place: Path) -> None:
    pfn = lcpfn.load(planted(place / "hostile.safetensors"))
    with pytest.raises(ValueError, match=r"names a prior of somebody's own, 'planted:prior', .* name one with prior="):
        verify(pfn, Y, [10])
    assert clean(place)


def test_a_prior_of_this_package_is_taken_from_a_header() -> None:
    assert built_in("paper", {"horizon": 50}).parameters()["horizon"] == 50
    for name, parameters in [("planted:prior", None), (3, None), (None, None), (["paper"], None)]:
        with pytest.raises(ValueError, match="a prior is one of"):
            built_in(name, parameters)
    for wrong in ([1], "horizon", {"horizon": "x"}, {"nobody": 1}, {"horizon": {}}):
        with pytest.raises(ValueError):
            built_in("paper", wrong)


def test_the_marker_works(place: Path) -> None:
    """The tests above can fail: importing the module writes the file."""
    module = importlib.import_module("planted")

    assert (place / "marker").exists() and module.prior(2, torch.arange(1.0, 4.0), generator=torch.Generator()).shape
