"""The engine: one forward pass from observed points to beliefs.

Letters: B curves, T observed points, Q query points, P queries of one curve in one pass.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lcpfn.belief import Belief
from lcpfn.inference import Inference, certain, filled
from lcpfn.metric import Metric
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.others.given import Given
from lcpfn.prepare import Prepared, prepare
from lcpfn.query import KIND, check_kind
from lcpfn.stream import Stream
from lcpfn.surprise import RATE, NullDistribution, Surprise

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
        valid: same shape; False where the curve has fewer than c points, the asked time is not after point c (but
            kind "signal" may ask about the past), or c is 0 and the metric lacks a bound, so that nothing says what to
            expect. The belief there is finite and means nothing.
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
        self.inference = Inference.of(checkpoint, device)
        told = checkpoint.provenance.get("prior") or {}
        bounds = told.get("bounds") if self.inference.coordinates.bounded else None
        self.metric = Metric("max", bounds=bounds) if bounds else Metric("max")
        self._world = self.inference.world(self.metric)
        try:
            self.null = NullDistribution(**(checkpoint.provenance.get("alarm") or {}))
        except TypeError as error:
            raise ValueError(f'the header\'s "alarm" must be as `lcpfn train` writes it: {error}') from error

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(PFN, device=self.inference.device), (self.checkpoint,)  # a module, of arrays, does not pickle

    def __repr__(self) -> str:
        size = sum(values.size for values in self.checkpoint.weights.values())
        prior = self.checkpoint.provenance.get("prior", {}).get("name", "unknown")
        return f"PFN(prior={prior!r}, parameters={size:,}, device={self.inference.device or 'numpy'!r})"

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
            y: a `lcpfn.Curve`, or a list of them, which bring their times, metric and end of run; or (T,) values of
                one curve, (B, T) with NaN for missing values, or a list of 1-D sequences; the unit is the metric's.
                An empty y gives the prior predictive.
            t_query: (Q,) times to ask about, or (B, Q); either this or horizon.
            horizon: ask about every later step up to this one.
            t: times of values, same forms; 1..T if not given.
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
            trained on are thinned, see `lcpfn.context.thin`; wild values at the start of a curve without both bounds
            are tamed, see `lcpfn.prepare.tamed`. Where a curve says that its run has diverged, the belief's outcome is
            certain.

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
        asked = prepare(
            self._world,
            y,
            t_query,
            horizon=horizon,
            t=t,
            kind=kind,
            metric=metric,
            run_end=run_end,
            stretch_time=stretch_time,
        )
        after = np.broadcast_to(asked.points.count[:, None], asked.asked.shape)
        self.inference.check_empty(asked.points, asked.metric)
        belief = self.inference.answer(asked, after, kind)
        belief = certain(belief, asked.points.diverged)
        return belief[0] if asked.points.single else belief

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
            horizon: ask about every step from the first point up to this one. With neither, every prefix is asked
                about the next observed point.
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
        asked = prepare(
            self._world,
            y,
            t_query,
            horizon=horizon,
            t=t,
            kind=check_kind(kind).name,
            metric=metric,
            run_end=run_end,
            stretch_time=stretch_time,
            replay=True,
        )
        if t_query is None and horizon is None:
            return self._replay_next(asked, kind)
        points = asked.points
        (b, q), length = asked.asked.shape, points.t.shape[1]
        shape = (b, length + 1, q)
        clocked, times = (np.broadcast_to(part[:, None, :], shape) for part in (asked.asked, asked.asked_user))
        after = np.broadcast_to(np.arange(length + 1)[None, :, None], shape)
        reached = np.concatenate([np.full((b, 1), -np.inf), np.nan_to_num(points.t, nan=np.inf)], axis=1)
        valid = after <= points.count[:, None, None]
        if KIND[kind].ahead:
            valid = valid & (clocked > reached[:, :, None])
        return self._replay(asked, after, clocked, times, valid, kind)

    def surprise(
        self,
        y: Any,
        *,
        t: Any = None,
        metric: Metric | None = None,
        run_end: Any = None,
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
            run_end: as for `predict`; with stretch_time it is the last time on the clock.
            stretch_time: as for `predict`.
            rate: of false alarms per curve under the prior: by how high evidence climbs on curves of the prior, as the
                checkpoint's header says under "alarm"; without that, as far as the network is calibrated
                (`benchmarks/real/alarm.py` measures it).

        Raises:
            ValueError: as for `predict`, or if rate is not between 0 and 1.

        Example:
            >>> import lcpfn
            >>> calm = [0.10, 0.35, 0.48, 0.55, 0.59, 0.62, 0.64, 0.66]
            >>> told = lcpfn.load("paper").surprise([*calm, 0.2, 0.7, 0.1, 0.6])
            >>> bool(told.alarm), float(told.since)
            (True, 11.0)
        """
        asked = prepare(self._world, y, t=t, metric=metric, run_end=run_end, stretch_time=stretch_time, replay=True)
        points = asked.points
        belief = self._replay_next(asked, "value").belief[..., :-1, 0]
        times, values = (part[0] if points.single else part for part in (asked.t_user, points.y))
        if values.size and self.inference.knows_nothing(asked.metric):  # nothing says what the first value may be
            values = np.concatenate([np.full_like(values[..., :1], np.nan), values[..., 1:]], axis=-1)
        return Surprise.of(belief, values, t=times, rate=rate, null=self.null)

    def stream(self, *, metric: Metric | None = None, run_end: float | None = None) -> Stream:
        """An empty stream: feed it points one by one, ask in between; each point costs one token.

        Args:
            metric: as for `predict`.
            run_end: as for `predict`.
        """
        return Stream(self.inference, self._world, metric, run_end)

    def given(self, runs: Iterable[Any], *, metric: Metric | None = None) -> Given:
        """The engine that also knows these other runs of the same search.

        Args:
            runs: curves, or pairs (t, y): finished, stopped early or still going, on their own grids.
            metric: of all runs; by default what the curves say, else the checkpoint's own.

        Returns:
            lcpfn.others.given.Given, an engine like this one; with no runs it answers exactly as this one does.

        Raises:
            ValueError: if the runs are of several metrics, or their times cannot be of one search.
        """
        return Given(self, runs, metric=metric)

    def _replay_next(self, asked: Prepared, kind: str) -> Replay:
        points = asked.points
        # (B, T + 1, 1): the time of the point that follows each prefix; the last one is not valid
        clocked, t = (_and_one_more(filled(part), self.inference.first_time) for part in (points.t, asked.t_user))
        after = np.broadcast_to(np.arange(clocked.shape[1])[None, :, None], clocked.shape)
        return self._replay(asked, after, clocked, t, after < points.count[:, None, None], kind)

    def _replay(
        self, asked: Prepared, after: np.ndarray, clocked: np.ndarray, t: np.ndarray, valid: np.ndarray, kind: str
    ) -> Replay:
        points, rows = asked.points, len(clocked)
        if self.inference.knows_nothing(asked.metric):
            valid = valid & (after > 0)
        after = np.minimum(after, points.count[:, None, None]).reshape(rows, -1)
        belief = self.inference.answer(replace(asked, asked=clocked.reshape(rows, -1)), after, kind, t=t)
        return Replay(belief[0], valid[0]) if points.single else Replay(belief, valid)


def _and_one_more(t: np.ndarray, first: float) -> np.ndarray:
    """(B, T + 1, 1) times (B, T) and one after the last of them."""
    last = t[:, -1:] if t.shape[1] else np.full((len(t), 1), first)
    return np.concatenate([t, last + 1.0], axis=1)[..., None]


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
