"""Tunes a small network with Ray Tune, stopping trials that are unlikely to beat the best finished one.

`python examples/ray_scheduler.py` needs `pip install -e '.[ray]'` and about half a minute, most of it for starting
processes: data and network are NumPy.
"""

import logging
import tempfile

import numpy as np
import ray
from ray import tune

from lcpfn.integrations.ray import LearningCurveScheduler

EPOCHS, CLASSES = 30, 4
RATES = [0.3, 0.003, 3.0, 0.03, 0.001, 0.01]


def train(config: dict[str, float]) -> None:
    """Reports the validation accuracy of a network with one hidden layer, trained by gradient descent."""
    random, width = np.random.default_rng(0), 32
    x = random.normal(size=(1200, 10))
    label = (np.tanh(x @ random.normal(size=(10, 20))) @ random.normal(size=(20, CLASSES))).argmax(axis=1)
    w, v = random.normal(size=(10, width)) / 3, np.zeros((width, CLASSES))
    for _ in range(EPOCHS):
        for batch in random.permutation(900).reshape(-1, 30):
            hidden = np.tanh(x[batch] @ w)
            logits = hidden @ v
            slope = np.exp(logits - logits.max(axis=1, keepdims=True))
            slope /= slope.sum(axis=1, keepdims=True)
            slope[np.arange(30), label[batch]] -= 1
            back = (slope @ v.T) * (1 - hidden**2)
            v -= config["rate"] / 30 * hidden.T @ slope
            w -= config["rate"] / 30 * x[batch].T @ back
        guess = (np.tanh(x[900:] @ w) @ v).argmax(axis=1)
        tune.report({"accuracy": float((guess == label[900:]).mean())})


def main() -> None:
    """Prints what became of each trial."""
    if not ray.is_initialized():
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:  # name a place of your own to restore the experiment from
        tuner = tune.Tuner(
            train,
            param_space={"rate": tune.grid_search(RATES)},
            tune_config=tune.TuneConfig(
                metric="accuracy",
                mode="max",
                scheduler=LearningCurveScheduler(max_t=EPOCHS, bounds=(0, 1)),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
    for result in results:
        epochs, accuracy = result.metrics["training_iteration"], result.metrics["accuracy"]
        print(f"rate {result.config['rate']:<5}: {epochs:>2} epochs, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
