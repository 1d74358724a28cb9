"""Should this run go on? One call after each evaluation, with a stated risk and a state that survives a restart.

stopper = Stopper(rule=Best(level=0.05), metric=Metric("max", bounds=(0, 1)), horizon=50)
for epoch in range(1, 51):
    ...
    if stopper.update("run 7", epoch, accuracy).stop:
        break
stopper.finish("run 7")
"""

from lcpfn.stopping.audit import Audit
from lcpfn.stopping.best import Best
from lcpfn.stopping.converged import Converged
from lcpfn.stopping.decision import Decision
from lcpfn.stopping.paper import Paper
from lcpfn.stopping.policy import Policy
from lcpfn.stopping.rule import Rivals, Rule, Verdict
from lcpfn.stopping.stopper import Incumbent, Stopper
from lcpfn.stopping.worth import Worth

__all__ = [
    "Audit",
    "Best",
    "Converged",
    "Decision",
    "Incumbent",
    "Paper",
    "Policy",
    "Rivals",
    "Rule",
    "Stopper",
    "Verdict",
    "Worth",
]
