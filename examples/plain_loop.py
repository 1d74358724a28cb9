"""Trains a small network with several learning rates in a plain loop, and lets each run go on only while it may win.

`python examples/plain_loop.py` needs nothing but `pip install -e .` and a second: data and network are NumPy.
"""

from collections.abc import Iterator

import numpy as np

import lcpfn
from lcpfn.stopping import Stopper

EPOCHS, CLASSES, WIDTH = 50, 4, 32
RATES = (1.0, 0.1, 0.01, 0.003, 10.0, 3.0, 0.3, 0.03)


def training(rate: float) -> Iterator[float]:
    """The validation accuracy of a network with one hidden layer after each epoch of gradient descent."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1200, 10))
    label = (np.tanh(x @ random.normal(size=(10, 20))) @ random.normal(size=(20, CLASSES))).argmax(axis=1)
    w, v = random.normal(size=(10, WIDTH)) / 3, np.zeros((WIDTH, CLASSES))
    for _ in range(EPOCHS):
        for batch in random.permutation(900).reshape(-1, 30):
            hidden = np.tanh(x[batch] @ w)
            logits = hidden @ v
            slope = np.exp(logits - logits.max(axis=1, keepdims=True))
            slope /= slope.sum(axis=1, keepdims=True)
            slope[np.arange(30), label[batch]] -= 1
            back = (slope @ v.T) * (1 - hidden**2)
            v -= rate / 30 * hidden.T @ slope
            w -= rate / 30 * x[batch].T @ back
        yield float(((np.tanh(x[900:] @ w) @ v).argmax(axis=1) == label[900:]).mean())


def main() -> None:
    """Prints what became of each run."""
    stopper = Stopper(metric=lcpfn.Metric("max", bounds=(0, 1)), horizon=EPOCHS)  # path="runs.json" survives a restart
    for rate in RATES:
        for epoch, accuracy in enumerate(training(rate), 1):
            decision = stopper.update(f"rate {rate}", epoch, accuracy)
            if decision.stop:
                break
        stopper.finish(f"rate {rate}")
        print(f"rate {rate:5}: accuracy {accuracy:.3f} after {epoch:2} of {EPOCHS} epochs, {decision.reason}")
    print(f"best: {stopper.incumbent}")


if __name__ == "__main__":
    main()
