"""Should this run go on? One call after each evaluation, with a stated risk and a state that survives a restart.

stopper = Stopper(metric=Metric("max", bounds=(0, 1)), horizon=50)
for epoch in range(1, 51):
    ...
    if stopper.update("run 7", epoch, accuracy).stop:
        break
stopper.finish("run 7")
"""

from lcpfn.stopping.audit import Audit
from lcpfn.stopping.decision import Decision
from lcpfn.stopping.policy import Policy
from lcpfn.stopping.question import Rivals
from lcpfn.stopping.stopper import Incumbent, Stopper

__all__ = ["Audit", "Decision", "Incumbent", "Policy", "Rivals", "Stopper"]
