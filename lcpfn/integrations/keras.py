"""A callback for Keras: `model.fit(..., callbacks=[LearningCurveStopping("val_loss", min_delta=0.01)])`."""

from __future__ import annotations

import warnings
from typing import Any, Unpack

from lcpfn.integrations.run import Run
from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Stopper
from lcpfn.stopping.options import Judging
from lcpfn.stopping.spelling import spelled

try:
    from keras.callbacks import Callback
except ImportError as error:
    raise ImportError(
        "lcpfn.integrations.keras needs Keras 3 and one of its backends: install this project with '.[keras]', and "
        "torch, jax or tensorflow"
    ) from error

__all__ = ["LearningCurveStopping"]


@spelled
class LearningCurveStopping(Callback):
    """Ends the fit when it is unlikely to get better by min_delta, or with a stopper, to beat the runs that it knows.

    Judged at the end of each epoch; epochs without validation are left out. A run that is to survive a restart needs
    a stopper with a file: Keras saves no state of callbacks. A value that is not finite ends the fit. The end of the
    fit finishes the trial; an exception does not.

    Args:
        monitor: name of a metric in the fit's history.
        stopper: knows the other runs; without it the run is judged alone, by `lcpfn.stopping.Converged`.
        trial: name of the run to the stopper.
        horizon: last epoch of a run that is judged alone; by default the fit's.
        metric: of a run that is judged alone; by default what the name stands for, see `lcpfn.names`.
        min_delta: the gain that is worth going on for, in units of the metric; a run that is judged alone needs it.
        level: of a run that is judged alone, the probability of such a gain at which it stops; 0.05 by default.
        **options: engine, min_points, every, first_step, nan, alarm, target and stretch_time of
            `lcpfn.stopping.Policy` for a run that is judged alone.

    Attributes:
        decision: the latest one.

    Raises:
        ValueError: from the fit too, if the metric is not logged, or nothing says its direction.

    Example:
        >>> import keras, numpy as np
        >>> x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
        >>> y = x + 0.5 * (-1) ** np.arange(64)[:, None]
        >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(keras.optimizers.SGD(0.3), "mse")
        >>> stopping = LearningCurveStopping("val_loss", min_delta=0.05)
        >>> data = dict(x=x, y=y, batch_size=64, validation_data=(x, y))
        >>> fit = model.fit(**data, epochs=100, verbose=0, callbacks=[stopping])
        >>> stopping.decision.reason, len(fit.epoch) < 50
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
        super().__init__()
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

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins the run."""
        self._run.begin(horizon=self.params["epochs"])
        self.decision = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges the run."""
        logs, name = logs or {}, self._run.monitor
        if not self._run.going:
            return
        if name in logs:
            self.decision = self._run.update(epoch + 1, logs[name])
            if self.decision is not None and self.decision.stop:
                self.model.stop_training = True
        elif not name.startswith("val_") or any(other.startswith("val_") for other in logs):
            self._run.missing(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Finishes the run; warns if nothing was ever validated."""
        if self._run.going and self.decision is None:
            warnings.warn(
                f"{self._run.monitor} was never measured, so the run was not judged: give validation_data", stacklevel=2
            )
        self._run.finish()
