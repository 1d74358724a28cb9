"""Trains with Lightning at several learning rates; the runs share a stopper, so each goes on only while it may win.

`python examples/lightning_stopping.py` needs `pip install -e '.[lightning]'` and some seconds on a CPU.
"""

import logging
import warnings

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import lcpfn
from lcpfn.integrations.lightning import LearningCurveStopping
from lcpfn.stopping import Stopper

EPOCHS, CLASSES = 30, 4
RATES = (0.3, 0.03, 1.0, 0.1, 0.01)


class Classifier(lightning.LightningModule):
    """A network with one hidden layer."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.layers = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.Tanh(), torch.nn.Linear(32, CLASSES))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """The loss of a batch."""
        return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        """Logs the accuracy, which the callback looks at."""
        self.log("val_accuracy", (self.layers(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def main() -> None:
    """Prints what became of each run."""
    for name in ("lightning.pytorch", "lcpfn"):  # they say why a run ends; here the last column does
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")  # of too few workers for so little data
    lightning.seed_everything(0, verbose=False)
    x = torch.randn(1200, 10)
    label = (torch.tanh(x @ torch.randn(10, 20)) @ torch.randn(20, CLASSES)).argmax(dim=1)
    train = DataLoader(TensorDataset(x[:900], label[:900]), batch_size=30, shuffle=True)
    valid = DataLoader(TensorDataset(x[900:], label[900:]), batch_size=300)
    stopper = Stopper(metric=lcpfn.Metric("max", bounds=(0, 1)), horizon=EPOCHS)  # path="runs.json" survives a restart
    for rate in RATES:
        stopping = LearningCurveStopping("val_accuracy", stopper=stopper, trial=f"rate {rate}")
        trainer = lightning.Trainer(
            max_epochs=EPOCHS,
            callbacks=[stopping],
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Classifier(rate), train, valid)
        accuracy, reason = trainer.callback_metrics["val_accuracy"], stopping.decision.reason
        print(f"rate {rate:4}: accuracy {accuracy:.3f} after {trainer.current_epoch:2} of {EPOCHS} epochs, {reason}")
    print(f"best: {stopper.incumbent}")


if __name__ == "__main__":
    main()
