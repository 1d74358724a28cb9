"""End to end: a tiny network trained on a prior with a closed-form posterior finds that posterior."""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from originals import OriginalAnswers, OriginalConfig, UnitCoordinates, network

from lcpfn import PFN, Checkpoint, Metric
from lcpfn.network.coordinates import Coordinates
from lcpfn.priors import Curves
from lcpfn.training import PRESETS, Options, train
from lcpfn.training.transformer import Transformer

MEAN, SPREAD, NOISE = 0.5, 0.1, 0.05  # of the level, and of the noise around it


@dataclass(frozen=True)
class Level:
    """y = level + noise: level ~ N(MEAN, SPREAD), noise ~ N(0, NOISE)."""

    name: ClassVar[str] = "level"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def parameters(self):
        return {}

    def sample(self, n, t, *, generator):
        level = MEAN + SPREAD * torch.randn(n, 1, generator=generator)
        signal = level.expand(n, len(t)).contiguous()
        y = signal + NOISE * torch.randn(signal.shape, generator=generator)
        return Curves(t=t.expand(n, -1), y=y, signal=signal, seen=torch.ones_like(y, dtype=torch.bool))


@pytest.mark.parametrize("values", ["local", "unit"])
def test_a_trained_network_finds_the_closed_form_posterior(tmp_path, values):
    local, model = values == "local", PRESETS["tiny"]
    told = Options(
        steps=500, batch=32, questions=32, lr=6e-3, warmup=20, threads=1, precision="float32", validation_curves=0,
        alarm_curves=0, irregular=0.0, log_every_s=1e9, coordinates=Coordinates() if local else UnitCoordinates(),
        model=model if local else OriginalConfig(**asdict(model), head="mixture", layout="causal"),
    )  # fmt: skip
    kind_of_network = Transformer if local else network.CausalTransformer
    train(told, tmp_path, prior=Level(), say=lambda line: None, network=kind_of_network)
    checkpoint = Checkpoint.read(tmp_path / "checkpoint.safetensors")
    pfn = PFN(checkpoint) if local else OriginalAnswers(checkpoint)
    metric = Metric(bounds=(0, 1), overshoot=True)
    curves = Level().sample(400, torch.arange(1.0, 101.0), generator=torch.Generator().manual_seed(1))
    y = curves.y.numpy().astype(float)
    for seen in (3, 10, 50):
        precision = SPREAD**-2 + seen * NOISE**-2
        mean = (MEAN * SPREAD**-2 + y[:, :seen].sum(axis=1) * NOISE**-2) / precision
        variance = {"value": 1 / precision + NOISE**2, "signal": 1 / precision}
        truth = {"value": y[:, 99], "signal": curves.signal.numpy()[:, 99].astype(float)}
        for kind, v in variance.items():
            exact = -0.5 * (truth[kind] - mean) ** 2 / v - 0.5 * np.log(2 * np.pi * v)
            found = pfn.predict(y[:, :seen], [100], kind=kind, metric=metric).log_prob(truth[kind][:, None])[:, 0]
            gap = exact - found  # its mean is the divergence between the exact belief and the network's, plus noise
            error = gap.std() / len(gap) ** 0.5
            assert gap.mean() < 0.1 + 5 * error, (seen, kind, gap.mean())
            wider = exact - (-0.5 * (truth[kind] - MEAN) ** 2 / SPREAD**2 - 0.5 * np.log(2 * np.pi * SPREAD**2))
            assert wider.mean() > 0.1 + 5 * wider.std() / len(gap) ** 0.5, "an answer that ignores the curve must fail"
