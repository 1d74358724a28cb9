"""A callback for the Trainer of Hugging Face: `Trainer(callbacks=[LearningCurveCallback(min_delta=0.01)])`."""

from __future__ import annotations

from typing import Any, Unpack

from lcpfn.integrations.run import Direction, Run
from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Stopper
from lcpfn.stopping.options import Judging
from lcpfn.stopping.spelling import spelled

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise ImportError(
        "lcpfn.integrations.transformers needs Transformers: install this project with '.[transformers]'"
    ) from error

__all__ = ["LearningCurveCallback"]


@spelled
class LearningCurveCallback(TrainerCallback):
    """Ends training when it is unlikely to get better by min_delta, or with a stopper, to beat the runs that it knows.

    Judged after each evaluation, at optimizer steps. The points are those of `state.log_history`, which is in the
    trainer's checkpoints. Every process decides, alike, from what the trainer gathered. A value that is not finite ends
    training. The end of training finishes the trial; an exception does not.

    Args:
        monitor: name of a metric, with `eval_` before it or without; by default the trainer's metric_for_best_model.
            If it is that metric, its direction is the trainer's greater_is_better.
        stopper: knows the other runs; without it the run is judged alone, by `lcpfn.stopping.Converged`.
        trial: name of the run to the stopper.
        horizon: last step of a run that is judged alone; by default the trainer's, in optimizer steps.
        metric: of a run that is judged alone; by default what the name stands for, see `lcpfn.names`.
        min_delta: the gain that is worth going on for, in units of the metric; a run that is judged alone needs it.
        level: of a run that is judged alone, the probability of such a gain at which it stops; 0.05 by default.
        **options: engine, min_points, every, first_step, nan, alarm, target and stretch_time of
            `lcpfn.stopping.Policy` for a run that is judged alone.

    Attributes:
        decision: the latest one.

    Raises:
        ValueError: from training too, if nothing is evaluated, the metric is not among what is, or nothing says its
            direction, or another direction than greater_is_better.

    Example:
        >>> import tempfile, torch
        >>> from transformers import PrinterCallback, Trainer, TrainingArguments
        >>> class Model(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.slope = torch.nn.Parameter(torch.zeros(1))
        ...     def forward(self, x, labels):
        ...         return {"loss": (self.slope * x - labels).square().mean(), "logits": self.slope * x}
        >>> data = [{"x": torch.tensor([i / 8]), "labels": torch.tensor([i / 8 + 0.1 * (-1) ** i])} for i in range(8)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     args = TrainingArguments(
        ...         folder, num_train_epochs=100, optim="sgd", learning_rate=0.2, eval_strategy="epoch",
        ...         save_strategy="no", logging_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
        ...     )
        ...     stopping = LearningCurveCallback("loss", min_delta=0.02)
        ...     trainer = Trainer(Model(), args, train_dataset=data, eval_dataset=data, callbacks=[stopping])
        ...     trainer.remove_callback(PrinterCallback)
        ...     steps = trainer.train().global_step
        >>> stopping.decision.reason, steps < 60
        ('converged', True)
    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        stopper: Stopper | None = None,
        trial: str | int | None = None,
        horizon: float | None = None,
        metric: Metric | None = None,
        min_delta: float | None = None,
        level: float | None = None,
        **options: Unpack[Judging],
    ) -> None:
        self.monitor = monitor
        self.decision: Decision | None = None
        self._run = Run(
            "",
            stopper=stopper,
            trial=trial,
            horizon=horizon,
            metric=metric,
            min_delta=min_delta,
            level=level,
            **options,
        )
        self._missed: list[str] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begins the run, or resumes it from the log of a checkpoint."""
        best = args.metric_for_best_model
        if (name := self.monitor or best) is None:
            raise ValueError("monitor must be given where the trainer has no metric_for_best_model")
        if args.eval_strategy == "no":
            raise ValueError('judging a run needs evaluations, got eval_strategy="no"; give "epoch" or "steps"')
        self._run.monitor = _prefixed(name)
        direction: Direction | None = None
        if best is not None and _prefixed(best) == _prefixed(name) and args.greater_is_better is not None:
            direction = "max" if args.greater_is_better else "min"
        self._run.begin(horizon=state.max_steps, points=self._logged(state), direction=direction)
        self.decision, self._missed = self._run.decision, []

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Judges the run; each of several data sets has an evaluation of its own at a step."""
        if not self._run.going:
            return
        points = self._logged(state)
        self._missed = [] if state.global_step in points else sorted(kwargs["metrics"])
        if state.global_step in points:
            self.decision = self._run.update(state.global_step, points[state.global_step])
            if self.decision is not None and self.decision.stop:
                control.should_training_stop = True

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raises ValueError if the metric was in none of the evaluations at the last step."""
        if self._missed:
            self._run.missing(self._missed)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Finishes the run."""
        self._run.finish()

    def _logged(self, state: TrainerState) -> dict[float, Any]:
        name = self._run.monitor
        return {row["step"]: row[name] for row in state.log_history if name in row}


def _prefixed(name: str) -> str:
    return name if name.startswith("eval_") else f"eval_{name}"
