"""Trains with Hugging Face's Trainer at several learning rates; each run goes on only while it may beat the others.

`python examples/transformers_stopping.py` needs `pip install -e '.[transformers]'` and some seconds on a CPU. The model
is a small network, so that nothing is downloaded.
"""

import logging
import tempfile

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

import lcpfn
from lcpfn.integrations.transformers import LearningCurveCallback
from lcpfn.stopping import Stopper

EPOCHS, CLASSES, STEPS = 30, 4, 30  # steps an epoch
RATES = (0.3, 0.03, 1.0, 0.1, 0.01)


class Classifier(torch.nn.Module):
    """A network with one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.Tanh(), torch.nn.Linear(32, CLASSES))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss and logits of a batch, as the Trainer wants them."""
        logits = self.layers(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def main() -> None:
    """Prints what became of each run."""
    logging.getLogger("lcpfn").setLevel(logging.ERROR)  # it says why a run ends; here the last column does
    set_seed(0)
    x = torch.randn(1200, 10)
    label = (torch.tanh(x @ torch.randn(10, 20)) @ torch.randn(20, CLASSES)).argmax(dim=1)
    data = [{"x": a, "labels": b} for a, b in zip(x, label, strict=True)]
    metric = lcpfn.Metric("max", bounds=(0, 1))
    stopper = Stopper(metric=metric, horizon=EPOCHS * STEPS)  # path="runs.json" survives a restart
    for rate in RATES:
        stopping = LearningCurveCallback("accuracy", stopper=stopper, trial=f"rate {rate}")
        with tempfile.TemporaryDirectory() as folder:
            args = TrainingArguments(
                folder,
                num_train_epochs=EPOCHS,
                per_device_train_batch_size=30,
                per_device_eval_batch_size=300,
                optim="sgd",
                learning_rate=rate,
                lr_scheduler_type="constant",
                eval_strategy="epoch",
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
            )
            trainer = Trainer(
                Classifier(),
                args,
                train_dataset=data[:900],
                eval_dataset=data[900:],
                compute_metrics=lambda scored: {
                    "accuracy": float((scored.predictions.argmax(axis=1) == scored.label_ids).mean())
                },
                callbacks=[stopping],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        accuracy = next(row["eval_accuracy"] for row in reversed(trainer.state.log_history) if "eval_accuracy" in row)
        step, reason = trainer.state.global_step, stopping.decision.reason
        print(f"rate {rate:4}: accuracy {accuracy:.3f} after {step:3} of {EPOCHS * STEPS} steps, {reason}")
    print(f"best: {stopper.incumbent}")


if __name__ == "__main__":
    main()
