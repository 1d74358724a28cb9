"""Records the learning curves of `lcpfn demo`: small networks that learn to read noisy digits.

Run it with `python benchmarks/data/demo.py` (needs scikit-learn, a few seconds): it prints the numbers that stand in
`lcpfn/cli/demo.py` and says whether they are the same. Settings and seed were chosen by the shape of the curves alone,
before any forecast of them: "slow" is far from done after 20 of its 100 epochs, "fast" has little left to gain by then,
"noisy" jumps.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folders of benchmarks/ are packages

import json
import platform
import textwrap
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from lcpfn.cli.demo import CURVES

EPOCHS = 100
SEED = 0


@dataclass(frozen=True)
class Run:
    """How one network is trained."""

    hidden: tuple[int, ...]  # widths of the hidden layers
    learning_rate: float  # of SGD with momentum 0.9, constant
    batch: int
    blur: float  # standard deviation of the noise on each pixel (0 to 1), fresh in every epoch


RUNS = {
    "slow": Run((64, 32), 0.002, 64, 0.3),
    "fast": Run((64,), 0.002, 32, 0.3),
    "noisy": Run((64,), 0.01, 16, 0.5),
}


def record(run: Run) -> tuple[list[int], int]:
    """Validation images read correctly after each epoch, and how many there are."""
    images, digits = load_digits(return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(
        images / 16.0, digits, test_size=0.5, random_state=SEED, stratify=digits
    )
    valid_x = valid_x + np.random.default_rng([SEED, 1]).normal(0.0, run.blur, valid_x.shape)
    generator = np.random.default_rng([SEED, 0])
    network = MLPClassifier(
        run.hidden,
        solver="sgd",
        momentum=0.9,
        learning_rate_init=run.learning_rate,
        batch_size=run.batch,
        random_state=SEED,
    )
    correct = []
    for _ in range(EPOCHS):
        noisy = train_x + generator.normal(0.0, run.blur, train_x.shape)
        network.partial_fit(noisy, train_y, classes=np.arange(10))
        correct.append(int((network.predict(valid_x) == valid_y).sum()))
    return correct, len(valid_y)


def main() -> int:
    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch at a time never converges
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__}
    same = True
    for name, run in RUNS.items():
        correct, images = record(run)
        stored = CURVES.get(name)
        equal = stored is not None and list(stored.correct) == correct and stored.images == images
        same &= equal
        print(f"{name}: {json.dumps(asdict(run))}, {images} images, {'as stored' if equal else 'NOT as stored'}")
        print(textwrap.fill(", ".join(map(str, correct)), 112, initial_indent="    ", subsequent_indent="    "))
    print(f"seed {SEED}, {json.dumps(versions)}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
