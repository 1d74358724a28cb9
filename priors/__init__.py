"""Laws of learning curves: to train on, and to compare with."""

from lcpfn.priors import families, laws
from lcpfn.priors.curves import Curves, Prior
from lcpfn.priors.domhan import Domhan
from lcpfn.priors.names import by_name
from lcpfn.priors.paper import Paper

__all__ = ["Curves", "Domhan", "Paper", "Prior", "by_name", "families", "laws"]
