"""The network of the LC-PFN paper and the ablations' choices, which are in benchmarks/opponents/original, for tests."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    answers, bars, config, network, train = (
        importlib.import_module(f"opponents.original.{name}")
        for name in ("answers", "bars", "config", "network", "train")
    )
    methods = importlib.import_module("opponents.networks")

Bars = bars.Bars
OriginalConfig, UnitCoordinates = config.OriginalConfig, config.UnitCoordinates
OriginalAnswers = answers.OriginalAnswers
