"""A callback for Lightning: `Trainer(callbacks=[LearningCurveStopping("val_loss", min_delta=0.01)])`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

from lcpfn.integrations.run import Run
from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Stopper
from lcpfn.stopping.options import Judging
from lcpfn.stopping.spelling import spelled

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise ImportError(
        "lcpfn.integrations.lightning needs Lightning: install this project with '.[lightning]'"
    ) from error

__all__ = ["LearningCurveStopping"]


@spelled
class LearningCurveStopping(Callback):
    """Ends the fit when it is unlikely to get better by min_delta, or with a stopper, to beat the runs that it knows.

    Judged after each validation, or after each epoch where nothing validates or the metric is one of training. The
    run's steps are epochs, counted from 1; optimizer steps where max_steps limits the fit or it validates within
    epochs. The points are in the trainer's checkpoints. Rank 0 decides for all, and alone writes the stopper's file. A
    value that is not finite ends the fit. The end of the fit finishes the trial; an exception does not.

    Args:
        monitor: name of a logged metric.
        stopper: knows the other runs; without it the run is judged alone, by `lcpfn.stopping.Converged`.
        trial: name of the run to the stopper.
        horizon: last step of a run that is judged alone; by default max_epochs or the number of optimizer steps.
        metric: of a run that is judged alone; by default what the name stands for, see `lcpfn.names`.
        min_delta: the gain that is worth going on for, in units of the metric; a run that is judged alone needs it.
        level: of a run that is judged alone, the probability of such a gain at which it stops; 0.05 by default.
        **options: engine, min_points, every, first_step, nan, alarm, target and stretch_time of
            `lcpfn.stopping.Policy` for a run that is judged alone.

    Attributes:
        decision: the latest one; on ranks other than 0 without its beliefs.

    Raises:
        ValueError: from the fit too, if the metric is not logged, or nothing says its direction or when the run ends.

    Example:
        >>> import lightning, torch
        >>> class Module(lightning.LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(1, 1)
        ...     def training_step(self, batch):
        ...         return self.layer(batch).square().mean()
        ...     def validation_step(self, batch):
        ...         self.log("val_loss", 0.3 + 2.0 / (self.current_epoch + 1) ** 2)
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> stopping = LearningCurveStopping("val_loss", min_delta=0.05)
        >>> trainer = lightning.Trainer(
        ...     max_epochs=50, callbacks=[stopping], accelerator="cpu", logger=False, enable_checkpointing=False,
        ...     enable_progress_bar=False, enable_model_summary=False,
        ... )
        >>> batches = torch.utils.data.DataLoader(torch.ones(8, 1))
        >>> trainer.fit(Module(), batches, batches)
        >>> stopping.decision.reason, trainer.current_epoch < 25
        ('converged', True)
    """

    def __init__(
        self,
        monitor: str,
        *,
        stopper: Stopper | None = None,
        trial: str | int | None = None,
        horizon: float | None = None,
        metric: Metric | None = None,
        min_delta: float | None = None,
        level: float | None = None,
        **options: Unpack[Judging],
    ) -> None:
        self.decision: Decision | None = None
        self._run = Run(
            monitor,
            stopper=stopper,
            trial=trial,
            horizon=horizon,
            metric=metric,
            min_delta=min_delta,
            level=level,
            **options,
        )
        self._resumed: dict[float, float] = {}
        self._in_epochs = True
        self._missed = self._of_training = False

    @property
    def state_key(self) -> str:
        """What tells the callback from others of its kind in a checkpoint."""
        return str(self._generate_state_key(monitor=self._run.monitor, trial=self._run.trial))

    def state_dict(self) -> dict[str, Any]:
        """The points of the run; what is known of other runs is the stopper's."""
        return {"points": dict(self._run.points)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the points that `state_dict` gave."""
        self._resumed = state_dict["points"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins the run, or resumes it from a checkpoint."""
        self._missed = self._of_training = False
        if trainer.fast_dev_run:
            return
        whole = isinstance(trainer.val_check_interval, float) and trainer.val_check_interval == 1.0
        self._in_epochs = trainer.max_steps == -1 and whole and trainer.check_val_every_n_epoch is not None
        horizon = trainer.max_epochs if self._in_epochs else trainer.estimated_stepping_batches
        self._run.begin(horizon=horizon, points=self._resumed if trainer.is_global_zero else None)
        self.decision, self._resumed = self._run.decision, {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judges the run."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING or self._of_training:
            return
        if self._run.monitor in trainer.callback_metrics:
            self._judge(trainer)
        else:  # a training metric comes at the end of the epoch, after validation
            self._missed = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judges the run where nothing validates, or where what it is judged by is no metric of validation."""
        if not trainer.enable_validation or self._of_training:
            self._judge(trainer)
        elif self._missed:
            self._missed = False
            self._judge(trainer)  # which says what is logged, if this one is not
            self._of_training = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finishes the run."""
        if trainer.is_global_zero:
            self._run.finish()

    def _judge(self, trainer: Trainer) -> None:
        if not self._run.going:
            return
        answer: Any = None
        if trainer.is_global_zero:
            try:
                answer = self._answer(trainer)
            except Exception as error:  # the other ranks wait for an answer
                answer = error
        light = replace(answer, run=None, verdict=None) if isinstance(answer, Decision) else answer
        received = trainer.strategy.broadcast(light)
        if isinstance(received, Exception):
            raise received
        self.decision = received if answer is None else answer
        if received is not None and received.stop:
            trainer.should_stop = True

    def _answer(self, trainer: Trainer) -> Decision | None:
        metrics, name = trainer.callback_metrics, self._run.monitor
        if name not in metrics:
            self._run.missing(metrics)
        return self._run.update(trainer.current_epoch + 1 if self._in_epochs else trainer.global_step, metrics[name])
