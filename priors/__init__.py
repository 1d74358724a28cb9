"""Laws of learning curves: to train on, and to compare with."""

from lcpfn.priors import families, laws
from lcpfn.priors.curves import Curves, Prior, RunPrior
from lcpfn.priors.domhan import Domhan
from lcpfn.priors.general import General
from lcpfn.priors.names import by_name
from lcpfn.priors.paper import Paper

__all__ = ["Curves", "Domhan", "General", "Paper", "Prior", "RunPrior", "by_name", "families", "laws"]
