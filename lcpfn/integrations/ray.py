"""A scheduler and a stopper for Ray Tune: `tune.TuneConfig(scheduler=LearningCurveScheduler(max_t=50, ...))`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from lcpfn.files import write
from lcpfn.metric import Metric
from lcpfn.stopping import Stopper
from lcpfn.stopping.checks import is_real
from lcpfn.stopping.options import Comparing
from lcpfn.stopping.spelling import spelled

try:
    from ray import tune
    from ray.tune.experiment import Trial
    from ray.tune.result import DEFAULT_METRIC, DONE
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler
    from ray.tune.utils import flatten_dict
except ImportError as error:
    raise ImportError("lcpfn.integrations.ray needs Ray Tune: install this project with '.[ray]'") from error

__all__ = ["LearningCurveScheduler", "LearningCurveStopper"]

Bounds = tuple[float | None, float | None]
LOOKED_FOR = 20  # results; evaluations may be rare
STATE = "lcpfn-stopper.json"  # beside Ray's own files of an experiment, which travel with it


@spelled
class LearningCurveStopper(tune.Stopper):
    """Ends a trial that is unlikely to beat the best finished one, in `tune.RunConfig(stop=...)`, with any scheduler.

    For a scheduler that does the same and survives `Tuner.restore`, see `LearningCurveScheduler`.

    Args:
        metric: name of what is reported; nested ones as "eval/loss".
        mode: "max" or "min".
        max_t: time at which a whole trial ends, in units of time_attr. A trial that gets there is finished and ended.
        time_attr: name of the reported time.
        bounds: lowest and highest possible value of the metric, None where there is no such bound.
        **options: others of `lcpfn.stopping.Stopper`: rule, engine, min_points, every, nan, alarm, stretch_time,
            audit, seed, first_step (0 if the time does not begin at 1, as seconds do not), and target: by default
            "last", the value that `ResultGrid.get_best_result` ranks trials by.

    Attributes:
        stopper: the `lcpfn.stopping.Stopper` behind it, with its `incumbent` and `report`.

    Example:
        >>> stopper = LearningCurveStopper(metric="accuracy", mode="max", max_t=30, bounds=(0, 1))
        >>> [stopper("a", {"training_iteration": t, "accuracy": 0.9 - 0.5 / t}) for t in range(1, 31)].index(True)
        29
        >>> [stopper("b", {"training_iteration": t, "accuracy": 0.5 - 0.3 / t}) for t in range(1, 31)].index(True) < 15
        True
        >>> stopper.stopper.incumbent.trial
        'a'
    """

    def __init__(
        self,
        *,
        metric: str,
        mode: str,
        max_t: float,
        time_attr: str = "training_iteration",
        bounds: Bounds = (None, None),
        **options: Unpack[Comparing],
    ) -> None:
        options.setdefault("target", "last")
        self.stopper = Stopper(horizon=max_t, metric=Metric(mode, bounds=bounds), **options)
        self._metric, self._time_attr = metric, time_attr
        self._missed: int | None = 0  # results without metric or time, until one has both

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether the trial is to end; a result without the metric or the time, or with None, is passed over.

        Raises:
            TypeError: if the metric or the time is no number.
            ValueError: if the metric is outside of its bounds.
        """
        flat = flatten_dict(dict(result))
        step, value, over = flat.get(self._time_attr), flat.get(self._metric), bool(flat.get(DONE))
        self._watch(flat, over or (is_real(step) and step >= self.stopper.policy.horizon))
        if step is not None and value is not None:
            if self.stopper.update(trial_id, step, value).stop:
                return True
            over = over or step >= self.stopper.policy.horizon
        if over and trial_id in self.stopper:
            self.stopper.finish(trial_id)
        return over

    def _watch(self, flat: Mapping[str, Any], over: bool) -> None:
        """Warns, once, where no result has had the metric or the time when a trial ends or after LOOKED_FOR results."""
        missing = [name for name in (self._metric, self._time_attr) if flat.get(name) is None]
        if self._missed is None or not missing:
            self._missed = None
            return
        self._missed += 1
        if over or self._missed == LOOKED_FOR:
            self._missed = None
            names = sorted(name for name, value in flat.items() if is_real(value))
            warnings.warn(
                f"{missing[0]!r} was in none of the results so far, so nothing is judged; they have {', '.join(names)}",
                stacklevel=3,
            )

    def stop_all(self) -> bool:
        """False: it judges trials, not the experiment."""
        return False


@spelled
class LearningCurveScheduler(FIFOScheduler):
    """Stops a trial that is unlikely to beat the best finished one within max_t.

    What it knows is kept beside Ray's own files of the experiment, so that `tune.Tuner.restore` goes on where it was.
    Trials that failed are no rivals to beat. A value that is NaN or infinite stops a trial.

    Args:
        max_t: as of `LearningCurveStopper`.
        metric: as of `LearningCurveStopper`, or left to `tune.TuneConfig`.
        mode: as of `LearningCurveStopper`, or left to `tune.TuneConfig`.
        time_attr: as of `LearningCurveStopper`.
        bounds: as of `LearningCurveStopper`.
        **options: as of `LearningCurveStopper`: rule, engine, min_points and so on.

    Example:
        >>> def objective(config):
        ...     for epoch in range(1, 31):
        ...         tune.report({"accuracy": config["top"] - 0.4 / epoch})
        >>> scheduler = LearningCurveScheduler(max_t=30, bounds=(0, 1))
        >>> tuner = tune.Tuner(
        ...     objective,
        ...     param_space={"top": tune.grid_search([0.9, 0.5, 0.6])},
        ...     tune_config=tune.TuneConfig(
        ...         metric="accuracy", mode="max", scheduler=scheduler, max_concurrent_trials=1
        ...     ),
        ...     run_config=tune.RunConfig(verbose=0),
        ... )
        >>> results = tuner.fit()  # doctest: +ELLIPSIS
        ╭──...
        >>> [result.metrics["training_iteration"] < 15 for result in results]
        [False, True, True]
    """

    def __init__(
        self,
        *,
        max_t: float,
        metric: str | None = None,
        mode: str | None = None,
        time_attr: str = "training_iteration",
        bounds: Bounds = (None, None),
        **options: Unpack[Comparing],
    ) -> None:
        super().__init__()
        self._made = partial(LearningCurveStopper, max_t=max_t, time_attr=time_attr, bounds=bounds, **options)
        self._metric, self._mode = metric, mode
        self._file: Path | None = None  # known with the first trial
        self._judge = self._made(
            metric=metric or DEFAULT_METRIC, mode=mode or "max"
        )  # its errors belong here, not into a running experiment

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Takes what `tune.TuneConfig` says; False, which is an error to Ray, if both of you said it."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._mode = mode or self._mode
        self._metric = metric or self._metric or DEFAULT_METRIC
        self._judge = self._made(metric=self._metric, mode=self._mode or "max")
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Picks up what is known of an experiment that goes on, as its first trial is added."""
        if self._mode is None:
            raise ValueError(
                'mode must be "max" or "min": give it to tune.TuneConfig(metric=..., mode=...) or to this scheduler'
            )
        if self._file is None:
            self._file = Path(trial.local_experiment_path) / STATE
            if self._file.exists():
                self.restore(self._file)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """STOP or CONTINUE."""
        if not self._judge(trial.trial_id, result):
            return str(TrialScheduler.CONTINUE)
        self._keep()
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> None:
        """Takes note that the trial is over; if it was not stopped, its best value counts from now on."""
        self._judge(trial.trial_id, {**result, DONE: True})
        self._keep()

    def save(self, checkpoint_path: str | os.PathLike[str]) -> None:
        """Writes what is known of the trials to this file, as JSON."""
        write(Path(checkpoint_path), self.stopper.to_json())

    def restore(self, checkpoint_path: str | os.PathLike[str]) -> None:
        """Reads what `save` wrote.

        Raises:
            ValueError: if it is cut off, of another version, or of another mode or max_t.
        """
        self.stopper.load_json(Path(checkpoint_path).read_text(encoding="utf-8"))

    def debug_string(self) -> str:
        """One line for Ray's progress report."""
        return f"Using learning curves: the incumbent is {self.stopper.incumbent}"

    @property
    def stopper(self) -> Stopper:
        """The stopper behind it, with its `incumbent` and `report`."""
        return self._judge.stopper

    def _keep(self) -> None:
        if self._file is not None:
            self.save(self._file)
