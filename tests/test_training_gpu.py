"""Training on a GPU: the same curves in law, the same answers, no waiting. All but the last two also run on the CPU."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from statistical import laws_differ
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lcpfn import Checkpoint
from lcpfn.network.coordinates import Coordinates
from lcpfn.priors import Curves, by_name
from lcpfn.training import PRESETS, Options, Run
from lcpfn.training.ahead import Ahead, tensors

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
PRIORS = ["paper", "domhan", "general"]
TINY = dict(
    model=PRESETS["tiny"],
    batch=32,
    questions=24,
    threads=1,
    validation_curves=100,
    log_every_s=1e9,
    warmup=10,
    lr=5e-3,
    alarm_curves=0,
)
GENERAL = dict(
    prior="general",
    model=dataclasses.replace(PRESETS["tiny"], divergence=True),
    coordinates=Coordinates(times="relative", bounded=False, ends=True),
)
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "unique_dim", "is_nonzero", "equal")


def quiet(line: str) -> None:
    """In the place of print."""


def begin(folder: Path, *, device: str = "cpu", resume: bool = False, prior: str = "paper", **told: object) -> Run:
    chosen = TINY | (GENERAL if prior == "general" else {"prior": prior}) | told
    folder.mkdir(exist_ok=True)
    return Run(Options(device=device, **chosen), folder, resume=resume, say=quiet)


def moments(curves: Curves) -> dict[str, np.ndarray]:
    """Light-tailed numbers of curves, one of each for each curve."""
    y, count = curves.upward().y.double().cpu(), curves.seen.sum(1).cpu()
    last = y.gather(1, (count - 1)[:, None])[:, 0]
    first, middle = y[:, 0], y.gather(1, (count // 2)[:, None])[:, 0]
    signal = curves.upward().signal.double().cpu()
    numbers = {
        "gain": torch.asinh(last - first),
        "late": torch.asinh(last - middle),
        "level": torch.asinh(first),
        "noise": (y - signal)[:, 0].abs().add(1e-9).log(),
        "points": count.double().log(),
    }
    return {name: values.numpy() for name, values in numbers.items()}


def draw(name: str, device: str, seed: int, n: int = 20_000) -> dict[str, np.ndarray]:
    prior, generator = by_name(name), torch.Generator(device).manual_seed(seed)
    if name == "general":
        return moments(prior.sample_runs(n, 100, 28, generator=generator))
    return moments(prior.sample(n, torch.arange(1.0, 101.0), generator=generator))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", PRIORS)
def test_curves_have_one_law_on_all_devices(name: str, device: str) -> None:
    here, there = draw(name, "cpu", 0), draw(name, device, 1)
    assert not [key for key in here if laws_differ(here[key], there[key])]
    for key in ("gain", "level"):  # 10 % more spread would be noticed
        wrong = there[key] + 0.1 * (there[key] - there[key].mean())
        assert laws_differ(here[key], wrong), key


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_gives_the_same_curves(device: str, tmp_path: Path) -> None:
    one, other = (begin(tmp_path, device=device, steps=9, prior="general") for _ in range(2))
    for a, b in zip(tensors(one.batch(3)), tensors(other.batch(3)), strict=True):
        assert torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) and a.device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_batches_drawn_ahead_are_those_drawn_in_line(device: str, tmp_path: Path) -> None:
    run = begin(tmp_path, device=device, steps=9)
    ahead = Ahead(run.batch, run.device)
    for n in (0, 1, 2, 7, 8, 3):  # in order, and after a jump
        for a, b in zip(tensors(ahead(n)), tensors(run.batch(n)), strict=True):
            assert torch.equal(a, b), n
    ahead.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        ahead(4)


def test_what_a_prior_raises_reaches_the_step_that_needs_the_batch() -> None:
    def broken(n: int) -> tuple[Curves, object]:
        raise ZeroDivisionError(f"batch {n}")

    with pytest.raises(ZeroDivisionError, match="batch 5"):
        Ahead(broken, torch.device("cpu"))(5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("prior", ["paper", "general"])
def test_the_loss_falls(device: str, prior: str, tmp_path: Path) -> None:
    run = begin(tmp_path, device=device, prior=prior, steps=60, stored="float16")
    before = run.validate(run.examined)
    last = run.run()
    assert sum(last["scores"].values()) > sum(before.values()) + 0.2, (before, last["scores"])
    assert ("peak_gb" in last) is (device == "cuda")
    made = tmp_path / "checkpoint.safetensors"
    size = sum(values.size for values in Checkpoint.read(made).weights.values())
    assert made.stat().st_size < 2 * size + 20_000, "two bytes for each weight"


@pytest.mark.parametrize("device", DEVICES)
def test_a_resumed_run_ends_where_the_whole_one_does(device: str, tmp_path: Path) -> None:
    def last(folder: Path, parts: tuple[int, ...]) -> dict[str, np.ndarray]:
        for part, until in enumerate(parts):
            run = begin(folder, device=device, steps=8, precision="float32", resume=part > 0)
            while run.step < until:
                run.learn(run.options.learning_rate(run.step / 8, run.step))
                run.step += 1
            run.save()
        return Checkpoint.read(folder / "checkpoint.safetensors").weights

    whole, parts = last(tmp_path / "whole", (8,)), last(tmp_path / "parts", (3, 8))
    for name in whole:  # sums in an order of the device's choice: no equal bits on a GPU
        np.testing.assert_allclose(parts[name], whole[name], atol=0 if device == "cpu" else 1e-3, err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("prior", ["paper", "general"])
def test_bfloat16_gives_the_loss_and_the_direction_of_float32(device: str, prior: str, tmp_path: Path) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        run = begin(tmp_path / precision, device=device, prior=prior, steps=30, precision="float32")
        for _ in range(20):
            run.learn(5e-3)
            run.step += 1
        run.options = dataclasses.replace(run.options, precision=precision)
        loss = run.differentiate(*run.batch(25))
        gradient = torch.cat([p.grad.flatten() for p in run.objective.parameters() if p.grad is not None])
        found[precision] = loss.item(), gradient.cpu()
    (exact, right), (rough, near) = found.values()
    assert exact != rough and rough == pytest.approx(exact, abs=0.02)
    assert torch.cosine_similarity(right, near, dim=0) > 0.98


class Waits(TorchDispatchMode):
    """Collects operations whose result the host needs, or whose shape depends on values: on a GPU they wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        masks = [part for part in (args[1] if name in ("index", "index_put", "index_put_") else ()) if part is not None]
        if name in WAITS or any(isinstance(part, Tensor) and part.dtype == torch.bool for part in masks):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("prior", ["paper", "general"])
def test_no_operation_of_an_update_has_to_wait(prior: str, tmp_path: Path) -> None:
    run = begin(tmp_path, prior=prior, steps=9, ema=0.9)
    run.learn(1e-3)
    batch = run.batch(1)
    with Waits() as seen:
        run.differentiate(*batch)
        run.descend(1e-3)
    assert not seen.found
    with Waits() as seen:
        run.batch(2)
    assert seen.found, "a prior that rejects or sorts curves waits: that is why batches are drawn ahead"


@pytest.mark.gpu
@pytest.mark.parametrize("prior", ["paper", "general"])
def test_an_update_does_not_wait_for_the_gpu(prior: str, tmp_path: Path) -> None:
    run = begin(tmp_path, device="cuda", prior=prior, steps=9, ema=0.9)
    for n in range(2):  # the first steps fill caches
        run.differentiate(*run.batch(n))
        run.descend(1e-3)
    batch = run.batch(2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.differentiate(*batch)
        run.descend(1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler about itself
@pytest.mark.parametrize("prior", ["paper", "general"])
def test_compiled_steps_have_the_losses_of_eager_ones(prior: str, tmp_path: Path) -> None:
    losses = []
    for compiled in (False, True):
        run = begin(tmp_path, device="cuda", prior=prior, steps=9, precision="float32", compile=compiled)
        losses.append([run.differentiate(*run.batch(n)).item() for n in range(3)])
    assert losses[1] == pytest.approx(losses[0], abs=1e-2)
