"""Tunes a small network with Optuna, without pruning and with it, on the same trials.

`python examples/optuna_pruner.py` needs nothing but `pip install -e '.[optuna]'` and a few seconds: data and network
are NumPy.
"""

import numpy as np
import optuna

import lcpfn
from lcpfn.integrations.optuna import LearningCurvePruner

EPOCHS, TRIALS, CLASSES = 50, 30, 4


def objective(trial: optuna.Trial) -> float:
    """The best validation accuracy of a network with one hidden layer, trained by gradient descent on minibatches."""
    rate = trial.suggest_float("rate", 1e-3, 10.0, log=True)
    width = trial.suggest_int("width", 2, 64, log=True)
    random = np.random.default_rng(0)
    x = random.normal(size=(1200, 10))
    label = (np.tanh(x @ random.normal(size=(10, 20))) @ random.normal(size=(20, CLASSES))).argmax(axis=1)
    train, valid = slice(0, 900), slice(900, None)
    w, v = random.normal(size=(10, width)) / 3, np.zeros((width, CLASSES))
    accuracies = []
    for epoch in range(EPOCHS):
        for batch in random.permutation(900).reshape(-1, 30):
            hidden = np.tanh(x[train][batch] @ w)
            logits = hidden @ v
            slope = np.exp(logits - logits.max(axis=1, keepdims=True))
            slope /= slope.sum(axis=1, keepdims=True)
            slope[np.arange(30), label[train][batch]] -= 1
            back = (slope @ v.T) * (1 - hidden**2)
            v -= rate / 30 * hidden.T @ slope
            w -= rate / 30 * x[train][batch].T @ back
        guess = (np.tanh(x[valid] @ w) @ v).argmax(axis=1)
        accuracies.append(float((guess == label[valid]).mean()))
        trial.report(accuracies[-1], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return max(accuracies)


def main() -> None:
    """Prints the best accuracy and the epochs that it took."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {
        "no pruning": optuna.pruners.NopPruner(),
        "median": optuna.pruners.MedianPruner(),
        "learning curves": LearningCurvePruner(horizon=EPOCHS, metric=lcpfn.Metric("max", bounds=(0, 1))),
    }
    for name, pruner in pruners.items():
        sampler = optuna.samplers.RandomSampler(seed=0)  # the same trials for all; use TPESampler for your own
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        study.optimize(objective, n_trials=TRIALS)
        epochs = sum(len(trial.intermediate_values) for trial in study.trials)
        print(f"{name:>16}: best accuracy {study.best_value:.3f}, {epochs} epochs")


if __name__ == "__main__":
    main()
