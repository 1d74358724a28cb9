"""Calibration: whether an engine's beliefs mean what they say. Known curves are cut off, asked about, and compared.

`calibrate` does all of it; its parts are here as well, for beliefs and draws of your own.

Letters: B curves, T points, C cut-offs, Q queries of one curve, N curves that are judged at a cut-off.
"""

from lcpfn.calibration.ecdf import EcdfDifference, ecdf_bands, ecdf_difference
from lcpfn.calibration.intervals import Coverage, coverage, one_each, pit, sharpness
from lcpfn.calibration.plot import coverage_plot, ecdf_plot, reliability_plot
from lcpfn.calibration.ranks import Sbc, joint_draws, sbc, sbc_ranks, tarp
from lcpfn.calibration.reliability import Reliability, reliability
from lcpfn.calibration.report import Calibration, Report
from lcpfn.calibration.study import calibrate

__all__ = [
    "Calibration",
    "Coverage",
    "EcdfDifference",
    "Reliability",
    "Report",
    "Sbc",
    "calibrate",
    "coverage",
    "coverage_plot",
    "ecdf_bands",
    "ecdf_difference",
    "ecdf_plot",
    "joint_draws",
    "one_each",
    "pit",
    "reliability",
    "reliability_plot",
    "sbc",
    "sbc_ranks",
    "sharpness",
    "tarp",
]
