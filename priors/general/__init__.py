"""The prior of any metric at any times, part by part; `prior` puts them together."""

from lcpfn.priors.general.prior import General

__all__ = ["General"]
