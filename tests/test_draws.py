"""The same seed and the same parameters give the same curves, whatever the code is called and wherever it lies.

The parameters are the defaults and those in the headers of the shipped checkpoints, their parents included, which
older versions wrote. `python tests/test_draws.py` prints the numbers anew, for a prior that is changed on purpose.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lcpfn.priors import Curves, General, by_name, families
from lcpfn.priors.general.old_names import OLD_NAMES
from lcpfn.priors.general.trends import Trends
from lcpfn.priors.laws import DOMHAN, LCPFN, Uniform

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
PINNED: dict[str, list[float]] = {
    "paper": [22101.27, 293419.0, 133674.42, 172.34223, 276.90723],
    "domhan": [22101.27, 293419.0, 144699.19, -129.24672, 276.90723],
    "general": [46987.628, 139967.0, 188328.72, -10256.196, 397.87857],
    "general-small, 0 before": [49741.476, 133499.0, 463103.12, -1258.0343, 415.24892],
    "general-small, 1 before": [49741.476, 122169.0, 478109.13, -8533.2517, 423.3491],
    "general-small, 2 before": [49741.476, 138524.0, 451103.56, -4992.362, 419.66326],
    "general-small, 3 before": [49741.476, 138524.0, 451103.56, -4992.362, 419.66326],
    "general-small, 4 before": [49741.476, 136505.0, 622013.37, 18005.226, 423.38867],
    "general-small, 5 before": [49741.476, 136505.0, 622013.37, 18005.226, 423.38867],
    "general-small, 6 before": [49741.476, 134955.0, 138127.05, 4143.1532, 429.47799],
    "general-small, 7 before": [49741.476, 134955.0, 138127.05, 4143.1532, 429.47799],
    "general-small, 8 before": [49741.476, 130663.0, 156010.97, 4198.2457, 426.10294],
    "general-small, 9 before": [49741.476, 125931.0, 397035.23, 2759.7326, 426.18372],
    "paper-small, 0 before": [22101.27, 293419.0, 139259.08, 172.34213, 276.90723],
}


def headers() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is drawn, name and parameters of its prior: of the shipped checkpoints, and of their parents in turn."""
    for path in sorted(CHECKPOINTS.glob("*.safetensors")):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            facts = json.loads(json.loads(file.read(length))["__metadata__"]["lcpfn"])
        generation = 0
        while facts:
            yield f"{path.stem}, {generation} before", facts["prior"]["name"], facts["prior"]["parameters"]
            facts, generation = facts.get("parent"), generation + 1


CASES = {name: (name, None) for name in ("paper", "domhan", "general")}
CASES |= {label: (name, parameters) for label, name, parameters in headers()}


def fingerprint(curves: Curves) -> list[float]:
    """Five numbers that all draws enter: the times, what is seen, values by their place, noise, ends."""
    n, length = curves.y.shape
    weight = 1 + torch.arange(n * length, dtype=torch.float64).reshape(n, length) % 97
    y, noise = (part.double().sign() * part.double().abs().log1p() for part in (curves.y, curves.y - curves.signal))
    end = curves.t[:, -1] if curves.end is None else curves.end
    numbers = (curves.t.double().abs().log1p().sum(), (weight * curves.seen).sum(), (weight * y).sum())
    return [float(number) for number in (*numbers, (weight * noise).sum(), end.double().abs().log1p().sum())]


def drawn(label: str) -> list[float]:
    name, parameters = CASES[label]
    prior, generator = by_name(name, parameters), torch.Generator().manual_seed(7)
    if name == "general":
        return fingerprint(prior.sample_runs(60, 100, 28, generator=generator))
    return fingerprint(prior.sample(60, torch.arange(1.0, 101.0), generator=generator))


@pytest.mark.parametrize("label", CASES)
def test_draws_stay_as_they_were(label: str) -> None:
    """To the rounding of another processor; a draw more or less anywhere changes every number."""
    assert drawn(label) == pytest.approx(PINNED[label], rel=1e-5)


@pytest.mark.parametrize("name", ["general", "domhan"])
def test_a_family_that_is_added_changes_no_draw_of_a_prior_that_does_not_name_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, parameters = drawn(name), by_name(name).parameters()
    monkeypatch.setattr(families, "straight", lambda t, a: a * t / 100, raising=False)
    monkeypatch.setitem(LCPFN, "straight", {"a": Uniform(0.0, 1.0)})
    assert by_name(name).parameters() == parameters and drawn(name) == before


def test_a_prior_that_names_another_family_draws_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn follows the names, in `saturated` and `mixture` too; and parameters tell the difference."""
    monkeypatch.setattr(families, "step", lambda t, a: (t > 2).float() + 0 * a, raising=False)
    monkeypatch.setitem(LCPFN, "step", {"a": Uniform(0.0, 1.0)})
    for shape in ("family", "saturated", "mixture"):
        one, other = (
            Trends(shapes={shape: 1.0}, setbacks={"none": 1.0}, reversed=0.0, families=names)
            for names in (DOMHAN, ("step",))
        )
        p = torch.linspace(0, 1, 50).expand(400, -1)
        values = [law.sample(p, generator=torch.Generator().manual_seed(0)) for law in (one, other)]
        assert not torch.equal(*values)
        assert General(trends=one).parameters() != General(trends=other).parameters()


@pytest.mark.parametrize("names", [(), ("pow3", "pow3"), ("nobody",)])
def test_families_that_cannot_be_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="families are some of"):
        Trends(families=names)


def test_every_family_of_the_general_prior_is_named_in_its_parameters() -> None:
    assert General().parameters()["trends"]["families"] == list(DOMHAN) == list(LCPFN)


def test_old_names_are_those_of_the_headers_and_give_the_prior_of_the_new_ones() -> None:
    named = set()
    for _, name, parameters in headers():
        if name == "general":
            named |= set(parameters) & set(OLD_NAMES)
            prior = by_name(name, parameters)
            assert not set(prior.parameters()) & set(OLD_NAMES)
            assert by_name(name, prior.parameters()) == prior
            for old, new in OLD_NAMES.items():
                if old in parameters:
                    part = prior.parameters()[new]
                    assert {key: part[key] for key in parameters[old]} == parameters[old]
    assert named == set(OLD_NAMES), "each was written by some version"


def test_a_part_under_both_of_its_names_is_refused() -> None:
    with pytest.raises(ValueError, match=r"may come once, got \['wander'\] beside \['random_walk'\]"):
        by_name("general", {"wander": {"share": 0.1}, "random_walk": {"share": 0.2}})


if __name__ == "__main__":
    print(json.dumps({label: [float(f"{number:.8g}") for number in drawn(label)] for label in CASES}, indent=4))
