"""Tunes a small network with Syne Tune, stopping trials that are unlikely to beat the best finished one.

`python examples/syne_tune_scheduler.py` needs `pip install -e '.[syne-tune]'` and about half a minute, most of it for
starting processes: data and network are NumPy.
"""

import logging

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import PythonBackend
from syne_tune.config_space import loguniform
from syne_tune.optimizer.baselines import RandomSearch

from lcpfn.integrations.syne_tune import LearningCurveScheduler

EPOCHS = 30
RATES = [0.3, 0.003, 3.0, 0.03, 0.001, 0.01]


def train(rate: float, epochs: int) -> None:
    """Reports the validation accuracy of a network with one hidden layer; in a process that knows nothing else."""
    import numpy as np
    from syne_tune import Reporter

    report, random, classes, width = Reporter(), np.random.default_rng(0), 4, 128
    x = random.normal(size=(6300, 10))
    label = (np.tanh(x @ random.normal(size=(10, 20))) @ random.normal(size=(20, classes))).argmax(axis=1)
    w, v = random.normal(size=(10, width)) / 3, np.zeros((width, classes))
    for epoch in range(1, epochs + 1):
        for batch in random.permutation(6000).reshape(-1, 30):
            hidden = np.tanh(x[batch] @ w)
            logits = hidden @ v
            slope = np.exp(logits - logits.max(axis=1, keepdims=True))
            slope /= slope.sum(axis=1, keepdims=True)
            slope[np.arange(30), label[batch]] -= 1
            back = (slope @ v.T) * (1 - hidden**2)
            v -= rate / 30 * hidden.T @ slope
            w -= rate / 30 * x[batch].T @ back
        guess = (np.tanh(x[6000:] @ w) @ v).argmax(axis=1)
        report(epoch=epoch, accuracy=float((guess == label[6000:]).mean()))


def main() -> None:
    """Prints Syne Tune's account, and the incumbent."""
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    space = {"rate": loguniform(1e-3, 10), "epochs": EPOCHS}
    search = RandomSearch(
        space, ["accuracy"], do_minimize=False, random_seed=0, points_to_evaluate=[{"rate": rate} for rate in RATES]
    )
    scheduler = LearningCurveScheduler(search, max_t=EPOCHS, time_attr="epoch", bounds=(0, 1))
    tuner = Tuner(
        trial_backend=PythonBackend(train, space),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_finished=len(RATES) - 1),  # it ends once there are more
        n_workers=1,
        sleep_time=0.1,
    )
    tuner.run()
    print(f"the best trial: {scheduler.stopper.incumbent}")


if __name__ == "__main__":
    main()
