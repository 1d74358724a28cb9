"""Which columns count time, which tell runs apart, and which are neither and no metric: by their names."""

from __future__ import annotations

import re
from functools import lru_cache

from lcpfn.names import metric_named, plain

# Times that are looked for by name, best first.
TIMES = (
    *("epoch", "epochs", "step", "steps", "global_step", "iteration", "iterations", "iter", "time", "t", "tokens"),
    *("training_iteration", "timesteps_total", "total_timesteps", "time_total_timesteps", "time_total_s"),
)
# Last words of other names that count time, as in `env_step`, `consumed_samples`, `size_train` (which begins with one).
_ENDINGS = (
    *("iteration", "iterations", "iter", "iters", "tokens", "samples", "round", "rounds", "steps", "epochs"),
    *("timestep", "timesteps", "frames", "batches", "updates", "episodes", "examples", "images"),
    *("train_size", "size_train", "sampled_lifetime", "n_estimators", "wall_time", "timestamp", "runtime"),
)
# What may stand before "step" and "epoch": Lightning adds these two to the names of metrics, as in `x_loss_epoch`.
_COUNTED = frozenset(
    "global env environment train training trainer total optimizer agent num n gradient policy".split()
)
SECONDS = frozenset("time seconds timestamp runtime wall elapsed hours minutes".split())
# Columns that tell several runs of one table apart.
IDS = frozenset(
    "trial trial_id trial_number trial_name run run_id run_name run_uuid seed random_seed fold cv_fold split repeat "
    "replicate experiment experiment_id experiment_name job job_id worker_id member model_id config_id".split()
)
_ID_ENDINGS = ("_trial_id", "_run_id", "_seed", "_fold", "_trial", "_run")
_SETTING = re.compile(r"(.*_)?(lr|learning_rate|lr_.*|learning_rate_.*|lr\d+|momentum|weight_decay|batch_size)")


@lru_cache(maxsize=4096)  # asked of each name in each record
def is_time(name: str) -> bool:
    """Whether a column of this name counts time.

    >>> is_time("train/global_step"), is_time("size_train"), is_time("val_step_acc")
    (True, True, False)
    """
    short = plain(name)
    if short in TIMES:
        return True
    *before, last = short.split("_")
    if last in ("step", "epoch") and set(before) <= _COUNTED:
        return True
    known = any(short == end or short.endswith("_" + end) for end in _ENDINGS)
    return known and metric_named(name) is None and not is_setting(name)


def rank(name: str) -> int:
    """Where a time stands in the order of preference; names outside of `TIMES` come last."""
    short = plain(name)
    return TIMES.index(short) if short in TIMES else len(TIMES)


def is_wall_clock(name: str) -> bool:
    """Whether a time is that of a clock on the wall, which goes on from run to run."""
    return bool(SECONDS & set(plain(name).split("_")))


@lru_cache(maxsize=4096)  # asked of each name in each record
def is_id(name: str) -> bool:
    """Whether a column of this name says which run a row is of.

    >>> is_id("trial_id"), is_id("cfg/Seed"), is_id("run_time")
    (True, True, False)
    """
    short = plain(name)
    return short in IDS or short.endswith(_ID_ENDINGS)


def is_setting(name: str) -> bool:
    """Whether a column of this name is a setting of the optimiser, as `lr-Adam` and `train/learning_rate` are."""
    return _SETTING.fullmatch(plain(name)) is not None


def may_be_time(name: str) -> bool:
    """Whether a column that only ever rises may be a time: its name says nothing else."""
    return is_time(name) or not (is_id(name) or is_setting(name) or metric_named(name) is not None)
