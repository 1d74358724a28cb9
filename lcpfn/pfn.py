"""The engine: one forward pass from observed points to beliefs.

Letters: B curves, T observed points, Q query points, P queries of one curve in one pass.
"""

from __future__ import annotations

import importlib
import importlib.resources
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.context import Context, read_context, read_end, read_query, thin
from lcpfn.inference import Engine, filled
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.stream import Stream
from lcpfn.surprise import RATE, NullDistribution, Surprise
from lcpfn.taming import tamed

SHIPPED = {
    "default": "general-small",
    "general": "general-small",
    "paper": "paper-small",
}  # short names of checkpoints in lcpfn.checkpoints


@dataclass(frozen=True, eq=False)
class Replay:
    """Beliefs after every prefix of one or several curves.

    Attributes:
        belief: batch (T + 1, Q) for one curve, (B, T + 1, Q) for several; index c is "after c points".
        valid: same shape; False where the curve has fewer than c points, or the asked time is not after point c
            (for kind "signal": only the former). The belief there is finite and means nothing.
    """

    belief: Belief
    valid: np.ndarray


class PFN:
    """A prior-data fitted network with a checkpoint's weights.

    Args:
        checkpoint: weights and config.
        device: None for NumPy; "cpu", "cuda" or another torch device for torch, which pays off for large batches.

    Attributes:
        checkpoint: as given.
        metric: what y is taken for when `predict` is not told: for a checkpoint that knows bounds, "max" within the
            bounds of its prior; else "max" without bounds.
        null: null distribution of the highest evidence, for `surprise`; none if the checkpoint does not say.

    Raises:
        ImportError: if device is given and torch is not installed.
        ValueError: if the checkpoint's config is not one that this version can run.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | None = None) -> None:
        self.checkpoint = checkpoint
        self.engine = Engine.of(checkpoint, device)
        bounds = checkpoint.provenance.get("prior", {}).get("bounds") if self.engine.coordinates.bounded else None
        self.metric = Metric("max", bounds=tuple(bounds)) if bounds else Metric("max")
        self.null = NullDistribution(**(checkpoint.provenance.get("alarm") or {}))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(PFN, device=self.engine.device), (self.checkpoint,)  # a module, of arrays, does not pickle

    def __repr__(self) -> str:
        size = sum(values.size for values in self.checkpoint.weights.values())
        prior = self.checkpoint.provenance.get("prior", {}).get("name", "unknown")
        return f"PFN(prior={prior!r}, parameters={size:,}, device={self.engine.device or 'numpy'!r})"

    def predict(
        self,
        y: Any,
        t_query: Any = None,
        *,
        horizon: float | None = None,
        t: Any = None,
        kind: str = "value",
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
    ) -> Belief:
        """The belief about later times, given the points seen so far.

        Args:
            y: (T,) values of one curve, (B, T) with NaN for missing values, or a list of 1-D sequences; the unit is the
                metric's. An empty y gives the prior predictive.
            t_query: (Q,) times to ask about, or (B, Q); either this or horizon.
            horizon: ask about every time after the last point up to this one.
            t: times of y, same forms; 1..T if not given.
            kind: "value": what will be measured; "signal": what it is worth without measurement noise, also in the
                past; "best": the best measurement after the last point up to the asked time.
            metric: direction and bounds of y; the checkpoint's own by default.
            run_end: the time at which the run will end, or (B,) of them with NaN for unknown, if its budget is fixed:
                a schedule may raise a curve towards its end. Read by checkpoints whose coordinates have `ends`;
                the others know no more than the clock.
            stretch_time: map [first time, last asked time] linearly onto the checkpoint's clock, for runs that are not
                counted from 1 to 100.

        Returns:
            Belief of batch (Q,) for one curve, (B, Q) for several. Curves with more points than the network was
            trained on are thinned, see `lcpfn.context.thin`; wild values at the start of a curve without bounds are
            tamed, see `lcpfn.taming.tamed` (not in `replay` and `stream`, which see each point as it comes).

        Raises:
            ValueError: if y, t or the queries are not in the world that the checkpoint knows; the message says what
                to do.
            TypeError: if they are not numbers.

        Example:
            >>> import lcpfn
            >>> belief = lcpfn.load("paper").predict([0.10, 0.35, 0.48, 0.55, 0.59], horizon=50)
            >>> belief.shape, bool(0.55 < belief.median()[-1] < 0.95)
            ((45,), True)
        """
        metric = self._check_metric(metric)
        context = read_end(run_end, read_context(y, t=t, metric=metric))
        self.engine.check_empty(context, metric)
        asked = read_query(t_query, horizon, context, kind)
        context, clocked = self.engine.clock(context, asked, stretch=stretch_time)
        if not self.engine.coordinates.bounded:
            context = tamed(context, metric)
        context = thin(context, self.engine.config.limit)
        after = np.broadcast_to(context.count[:, None], asked.shape)
        belief = self.engine.answer(context, after, clocked, asked, kind, metric)
        return belief[0] if context.single else belief

    def replay(
        self,
        y: Any,
        t_query: Any = None,
        *,
        horizon: float | None = None,
        t: Any = None,
        kind: str = "value",
        metric: Metric | None = None,
        run_end: Any = None,
        stretch_time: bool = False,
    ) -> Replay:
        """The beliefs after every prefix of the curves, in one pass.

        Args:
            y: as for `predict`; curves longer than the network's limit are thinned as a whole, then replayed.
            t_query: (Q,) or (B, Q) times asked after every prefix, also times that y reaches.
            horizon: the same for one time. With neither, every prefix is asked about the next observed point.
            t: times of y.
            kind: as for `predict`.
            metric: as for `predict`.
            run_end: as for `predict`.
            stretch_time: as for `predict`.

        Returns:
            The beliefs and which of them mean something.

        Raises:
            ValueError: as for `predict`.
        """
        metric = self._check_metric(metric)
        context = read_end(run_end, read_context(y, t=t, metric=metric))
        if t_query is not None and horizon is not None:
            raise ValueError("give t_query, horizon or neither, got both")
        if t_query is None and horizon is None:
            context, _ = self.engine.clock(
                thin(context, self.engine.config.limit), context.t[:, :0], stretch=stretch_time
            )
            return self._replay_next(context, kind, metric)
        asked = read_query(horizon if t_query is None else t_query, None, context, "signal")
        context, clocked = self.engine.clock(context, asked, stretch=stretch_time)
        context = thin(context, self.engine.config.limit)
        b, length, q = len(context.count), context.t.shape[1], asked.shape[1]
        prefixes = np.arange(length + 1)
        shape = (b, length + 1, q)
        spread = [np.broadcast_to(times[:, None, :], shape) for times in (clocked, asked)]
        after = np.broadcast_to(prefixes[None, :, None], shape)
        reached = np.concatenate([np.full((b, 1), -np.inf), np.nan_to_num(context.t, nan=np.inf)], axis=1)
        valid = after <= context.count[:, None, None]
        if kind != "signal":
            valid = valid & (spread[0] > reached[:, :, None])
        return self._replay(context, after, spread[0], spread[1], valid, kind, metric)

    def surprise(
        self,
        y: Any,
        *,
        t: Any = None,
        metric: Metric | None = None,
        run_end: Any = None,
        horizon: float | None = None,
        stretch_time: bool = False,
        rate: float = RATE,
    ) -> Surprise:
        """How well each point was foreseen by the points before it, and whether an alarm rings, in one pass.

        Where it does, the curve is unlike anything that the network was trained on, and its forecasts may be wrong by
        more than they say. Look after every epoch: the rate of false alarms holds for all looks together, as long as
        the curve has no more points than the network's limit (longer ones are thinned, differently at each look; then
        it holds for each look).

        Args:
            y: as for `predict`.
            t: times of y.
            metric: as for `predict`.
            run_end: as for `predict`.
            horizon: with stretch_time, the last time that forecasts are asked about.
            stretch_time: as for `predict`.
            rate: of false alarms per curve under the prior: by how high evidence climbs on curves of the prior, as the
                checkpoint's header says under "alarm"; without that, as far as the network is calibrated
                (`benchmarks/alarm.py` measures it).

        Raises:
            ValueError: as for `predict`, or if rate is not between 0 and 1.

        Example:
            >>> import lcpfn
            >>> calm = [0.10, 0.35, 0.48, 0.55, 0.59, 0.62, 0.64, 0.66]
            >>> told = lcpfn.load("paper").surprise([*calm, 0.2, 0.7, 0.1, 0.6])
            >>> bool(told.alarm), float(told.since)
            (True, 11.0)
        """
        metric = self._check_metric(metric)
        context = thin(read_end(run_end, read_context(y, t=t, metric=metric)), self.engine.config.limit)
        ends = context.t[:, :0] if horizon is None else read_query(horizon, None, context, "signal")
        clocked, _ = self.engine.clock(context, ends, stretch=stretch_time)
        belief = self._replay_next(clocked, "value", metric).belief[..., :-1, 0]
        times, values = (part[0] if context.single else part for part in (context.t, context.y))
        if values.size and None in metric.bounds:  # nothing says what the first value may be
            values = np.concatenate([np.full_like(values[..., :1], np.nan), values[..., 1:]], axis=-1)
        return Surprise.of(belief, values, t=times, rate=rate, null=self.null)

    def stream(self, *, metric: Metric | None = None, run_end: float | None = None) -> Stream:
        """An empty stream: feed it points one by one, ask in between; each point costs one token.

        Args:
            metric: as for `predict`.
            run_end: as for `predict`.
        """
        return Stream(self.engine, self._check_metric(metric), run_end)

    def given(self, runs: Any, *, metric: Metric | None = None) -> Any:
        """The engine that also knows these other runs of the same search.

        Args:
            runs: curves, or pairs (t, y): finished, stopped early or still going, on their own grids.
            metric: of all runs; by default what the curves say, else the checkpoint's own.

        Returns:
            lcpfn.others.given.Given, an engine like this one; with no runs it answers exactly as this one does.

        Raises:
            ValueError: if the runs are of several metrics, or their times cannot be of one search.
        """
        # By name: it knows this engine.
        return importlib.import_module("lcpfn.others.given").Given(self, runs, metric=metric)

    def verify(self, y: Any, t_query: Any = None, **question: Any) -> Any:
        """The forecast of one curve beside the posterior that it stands for, found by sampling; takes seconds.

        It answers "did the network compute here what its prior implies?". Needs the extra `mcmc`.

        Args:
            y: (T,) one curve.
            t_query: as for `predict`.
            **question: of `lcpfn.mcmc.verification.verify`: horizon, t, kind, metric, stretch_time, prior, sampler,
                seed.

        Returns:
            lcpfn.mcmc.verification.Verification, with a `verdict`.

        Raises:
            ImportError: if jax or numpyro are missing.
            ValueError: as for `predict`, if y is not one curve, or if the prior has no density to sample.
        """
        # By name: samplers know this engine, this engine no sampler.
        return importlib.import_module("lcpfn.mcmc.verification").verify(self, y, t_query, **question)

    def _replay_next(self, context: Context, kind: str, metric: Metric) -> Replay:
        times = filled(context.t)
        length = times.shape[1]
        last = times[:, -1:] if length else np.full((len(times), 1), self.engine.first_time)
        asked = np.concatenate([times, last + 1.0], axis=1)[..., None]  # (B, T + 1, 1); the last one is not valid
        after = np.broadcast_to(np.arange(length + 1)[None, :, None], asked.shape)
        return self._replay(context, after, asked, asked, after < context.count[:, None, None], kind, metric)

    def _replay(
        self,
        context: Context,
        after: np.ndarray,
        clocked: np.ndarray,
        asked: np.ndarray,
        valid: np.ndarray,
        kind: str,
        metric: Metric,
    ) -> Replay:
        after = np.minimum(after, context.count[:, None, None])
        rows = len(asked)
        belief = self.engine.answer(context, after.reshape(rows, -1), clocked.reshape(rows, -1), asked, kind, metric)
        return Replay(belief[0], valid[0]) if context.single else Replay(belief, valid)

    def _check_metric(self, metric: Metric | None) -> Metric:
        if metric is None:
            return self.metric
        if not isinstance(metric, Metric):
            raise TypeError(f'metric must be a lcpfn.Metric, got {metric!r}; write Metric("min", bounds=(0, 1))')
        if self.engine.coordinates.bounded and None in metric.bounds:
            raise ValueError(
                f"this checkpoint needs both bounds of a metric, got bounds={metric.bounds}; give them, as in "
                'Metric("min", bounds=(0, 1)); it cannot take metrics without bounds'
            )
        if self.engine.coordinates.values == "unit" and (metric.direction, metric.bounds) != ("max", (0.0, 1.0)):
            raise ValueError(
                f"this checkpoint knows rising curves in [0, 1] alone, got {metric}; "
                'rescale y to Metric("max", bounds=(0, 1))'
            )
        return metric


def load(name: str | os.PathLike[str] = "default", *, device: str | None = None) -> PFN:
    """The engine with shipped weights, or with yours.

    Args:
        name: "default" (the best general-purpose choice), "paper" (the best one of the LC-PFN prior), the name of a
            file in lcpfn.checkpoints without its suffix, or a path.
        device: None for NumPy; a torch device such as "cuda" for torch.

    Raises:
        FileNotFoundError: if there is no such checkpoint; the message lists the shipped ones.
        ImportError: if device is given and torch is not installed.

    Example:
        >>> load("paper").predict([0.2, 0.4], horizon=100).shape
        (98,)
    """
    return PFN(Checkpoint.read(locate(name)), device=device)


def locate(name: str | os.PathLike[str]) -> Path:
    """The file that `load` reads.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
    """
    folder = Path(str(importlib.resources.files("lcpfn.checkpoints")))
    shipped = folder / f"{SHIPPED.get(str(name), name)}.safetensors"
    is_path = isinstance(name, os.PathLike) or os.sep in str(name) or str(name).endswith(".safetensors")
    path = Path(name) if is_path else shipped
    if not path.exists():
        files = {file.stem for file in folder.glob("*.safetensors")}
        names = sorted(files | {alias for alias, file in SHIPPED.items() if file in files})
        raise FileNotFoundError(f"there is no checkpoint {str(name)!r}: shipped are {', '.join(names)}; or give a path")
    return path
