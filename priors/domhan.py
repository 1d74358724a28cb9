"""A prior with the eleven families of Domhan et al. 2015."""

from dataclasses import dataclass
from typing import ClassVar

from lcpfn.priors.combination import Combination
from lcpfn.priors.laws import DOMHAN


@dataclass(frozen=True, kw_only=True)
class Domhan(Combination):
    """The paper's prior with any three of eleven families in place of the same three.

    Domhan et al. 2015 sum all eleven families, with uninformative laws of the parameters. Weights are not normalised,
    so the more terms, the fewer sums stay below 1: of one, two, ... five terms 65, 49, 31, 17 and 8 % are acceptable,
    of all eleven 0.1 %. Three terms are cheap and keep curves varied, and with
    `families=("pow3", "ilog2", "janoschek")` this *is* the paper's prior. Normalised weights would let eleven terms
    pass, but averages of so many curves look alike.

    Families whose curves are seldom acceptable are rarer among the curves than among the proposals: a curve contains
    exp4 with probability 0.13, each of the others with 0.24 to 0.32.

    Source: families from Domhan et al. 2015, Table 1; laws of the parameters from LC-PFN's released code, see
    `lcpfn.priors.laws.LCPFN`; the number of terms is ours.

    Example:
        >>> import torch
        >>> parameters = Domhan().draw(1, generator=torch.Generator().manual_seed(0))
        >>> sum(float(parameters[f"{family}.weight"]) > 0 for family in Domhan().families)
        3
    """

    name: ClassVar[str] = "domhan"

    families: tuple[str, ...] = DOMHAN
    terms: int = 3
