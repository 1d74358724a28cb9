"""The exam on the prior: its curves, its questions, and how answers are judged."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from statistical import Z

from lcpfn.query import KINDS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def exam() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return runpy.run_path(str(ROOT / "benchmarks" / "prior" / "exam.py"))


def test_fewer_curves_are_the_first_of_more(exam: dict[str, Any]) -> None:
    few, more = list(exam["draw"](30)), list(exam["draw"](230))
    assert [len(block.y) for block in more] == [200, 30]
    np.testing.assert_array_equal(few[0].y, more[0].y[:30])
    np.testing.assert_array_equal(few[0].times, more[0].times[:30])
    assert not np.array_equal(more[0].y[:30], more[1].y)


def test_asked_times_lie_after_the_cut_off_and_reach_the_end(exam: dict[str, Any]) -> None:
    drawn = np.concatenate([block.times for block in exam["draw"](1_000)])
    for cut, times in zip(exam["CALIBRATION_CUTS"], drawn.transpose(1, 0, 2)):
        assert set(np.unique(times)) == set(range(cut + 1, 101))  # 5,000 draws miss a time with probability 1e-21


def test_truth_is_what_the_curve_did(exam: dict[str, Any]) -> None:
    (block,) = exam["draw"](50)
    for cut in (5, 90):
        times = np.tile([cut + 1, cut + 4, 100], (50, 1))
        for kind in KINDS:
            found = exam["truth"](block, cut, times, kind)
            for i in range(50):
                for j, t in enumerate(times[i]):
                    past = block.y[i, :t]
                    values = {"value": past[-1], "signal": block.signal[i, t - 1], "best": past[cut:].max()}
                    assert found[i, j] == values[kind]


@pytest.mark.parametrize(("factor", "calibrated"), [(1.0, True), (0.9, False), (1.1, False)])
def test_coverage_sees_intervals_that_are_wrong_by_a_tenth(
    exam: dict[str, Any], factor: float, calibrated: bool
) -> None:
    """PITs of normal answers whose standard deviation is that of the truth times a factor."""
    shape = (len(KINDS), len(exam["CALIBRATION_CUTS"]), 4_000, exam["ASKED"])
    found = ndtr(np.random.default_rng(0).standard_normal(shape) / factor)
    cells = exam["coverage"](found)
    assert len(cells) == len(KINDS) * len(exam["LEVELS"]) * (1 + len(exam["CALIBRATION_CUTS"]))
    right = [abs(cell["mean"] - cell["level"]) < Z * cell["se"] for cell in cells if cell["cut"] is None]
    assert all(right) if calibrated else not any(right)
    assert calibrated or all((cell["mean"] > cell["level"]) == (factor > 1) for cell in cells if cell["cut"] is None)


def test_answers_about_one_curve_are_not_taken_for_independent(exam: dict[str, Any]) -> None:
    """Where all answers about a curve are the same one, the standard error is that of one answer a curve."""
    one = np.random.default_rng(0).random((1, 1, 1_000, 1))
    shape = (len(KINDS), len(exam["CALIBRATION_CUTS"]), 1_000, exam["ASKED"])
    cell = exam["coverage"](np.broadcast_to(one, shape))[0]
    assert cell["se"] == pytest.approx(np.sqrt(cell["mean"] * (1 - cell["mean"]) / 999), rel=1e-6)
