"""Trains with Keras at several learning rates; the runs share a stopper, so each goes on only while it may win.

`KERAS_BACKEND=torch python examples/keras_stopping.py` needs `pip install -e '.[train,keras]'` and some seconds on a
CPU; the backends jax and tensorflow do as well.
"""

import logging

import keras
import numpy as np

import lcpfn
from lcpfn.integrations.keras import LearningCurveStopping
from lcpfn.stopping import Stopper

EPOCHS, CLASSES = 30, 4
RATES = (0.3, 0.03, 1.0, 0.1, 0.01)


def main() -> None:
    """Prints what became of each run."""
    logging.getLogger("lcpfn").setLevel(logging.ERROR)  # it says why a run ends; here the last column does
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = random.normal(size=(1200, 10)).astype("float32")
    label = (np.tanh(x @ random.normal(size=(10, 20))) @ random.normal(size=(20, CLASSES))).argmax(axis=1)
    data = {"x": x[:900], "y": label[:900], "batch_size": 30, "validation_data": (x[900:], label[900:])}
    stopper = Stopper(metric=lcpfn.Metric("max", bounds=(0, 1)), horizon=EPOCHS)  # path="runs.json" survives a restart
    for rate in RATES:
        layers = [keras.layers.Dense(32, activation="tanh"), keras.layers.Dense(CLASSES, activation="softmax")]
        model = keras.Sequential([keras.layers.Input((10,)), *layers])
        model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        stopping = LearningCurveStopping("val_accuracy", stopper=stopper, trial=f"rate {rate}")
        accuracies = model.fit(**data, epochs=EPOCHS, verbose=0, callbacks=[stopping]).history["val_accuracy"]
        epochs, reason = len(accuracies), stopping.decision.reason
        print(f"rate {rate:4}: accuracy {accuracies[-1]:.3f} after {epochs:2} of {EPOCHS} epochs, {reason}")
    print(f"best: {stopper.incumbent}")


if __name__ == "__main__":
    main()
