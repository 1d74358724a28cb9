"""One learning curve as a value: what was measured when, of what, and what else is known of the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcpfn.arrays import numbers
from lcpfn.metric import Metric

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What was found in a log besides the values of a curve; nothing is left out in silence.

    Attributes:
        source: the file or folder.
        read: values of the metric that the log holds.
        replaced: of these, values that are left out because a later attempt came to their time or to one before it.
        not_finite: values that are NaN or infinite.
        abandoned: of those replaced, values at times that no later attempt has come to again.
        other_runs: values that belong to other runs of the same table.
        notices: what else a reader of the forecast should know, in sentences.
        direction: which is better, "max" or "min", where the log itself says so.
    """

    source: str = ""
    read: int = 0
    replaced: int = 0
    not_finite: int = 0
    abandoned: int = 0
    other_runs: int = 0
    notices: tuple[str, ...] = ()
    direction: str | None = None


@dataclass(frozen=True, eq=False)
class Curve:
    """A learning curve. A value: nothing can be changed; `curve[:5]` is the curve of its first five points.

    Arrays of any library that NumPy can read are welcome. NaN in y marks a time without a measurement.

    Attributes:
        t: (T,) times, in any order; None at construction stands for 1..T.
        y: (T,) values in the metric's unit.
        metric: direction and bounds of y; None leaves it to the engine that is asked.
        run_end: the time at which the run will end, if its budget is fixed; None where nobody knows.
        diverged_at: the time at which a value was measured that was NaN or infinite, and after which none was
            finite; None for a run that goes on.
        name: of the run or metric, for tables and plots.
        clock: what t counts ("epoch", "step", "seconds"); "" where nobody said.
        config: hyperparameters of the run, numbers and categories by name.
        reading: what the log held besides, for a curve that was read from one.

    Raises:
        TypeError: if t or y are not numbers, or metric is no Metric.
        ValueError: if t and y are not 1-D of one length, or a time is not finite where a value was measured.

    Example:
        >>> curve = Curve(None, [9.1, 6.2, 5.0], metric=Metric("min", bounds=(0, None)), run_end=50)
        >>> len(curve), curve.t, curve[:2].y
        (3, array([1., 2., 3.]), array([9.1, 6.2]))
    """

    t: Array
    y: Array
    _: KW_ONLY
    metric: Metric | None = None
    run_end: float | None = None
    diverged_at: float | None = None
    name: str = ""
    clock: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    reading: Reading | None = None

    def __post_init__(self) -> None:
        y = _column(self.y, "y")
        t = np.arange(1.0, len(y) + 1) if self.t is None else _column(self.t, "t")
        if len(t) != len(y):
            raise ValueError(f"t must have one time for each point of y, got {len(t)} times for {len(y)} points")
        if (bad := ~np.isnan(y) & ~np.isfinite(t)).any():
            i = int(bad.argmax())
            raise ValueError(
                f"t must be finite, got {t[i]} at point {i}; drop the point, or mark its y as missing with NaN"
            )
        if self.metric is not None and not isinstance(self.metric, Metric):
            raise TypeError(f'metric must be a Metric, got {self.metric!r}; write Metric("max") or Metric("min")')
        for name, value in (("t", t), ("y", y)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        for name in ("run_end", "diverged_at"):
            object.__setattr__(self, name, _time(getattr(self, name), name))
        if not isinstance(self.config, Mapping):
            raise TypeError(f"config must map names to numbers or categories, got {type(self.config).__name__}")
        object.__setattr__(self, "config", MappingProxyType(dict(self.config)))

    def __len__(self) -> int:
        return len(self.y)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return zip(self.t.tolist(), self.y.tolist())

    def __getitem__(self, index: slice) -> Curve:
        if not isinstance(index, slice):
            raise TypeError(
                f"a curve is cut with a slice, as in curve[:5], got {index!r}; points are in curve.t, curve.y"
            )
        return replace(self, t=self.t[index], y=self.y[index])

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "_"}
        return _made, ({**values, "config": dict(self.config)},)  # a mapping proxy does not pickle

    def __repr__(self) -> str:
        span = f", t={self.t[0]:g}..{self.t[-1]:g}" if len(self) else ""
        what = f" {self.name!r}" if self.name else ""
        return f"Curve({len(self)} points{span}{what})"


def _made(values: dict[str, Any]) -> Curve:
    return Curve(**values)


def _column(values: Any, name: str) -> Array:
    column = numbers(values, name)
    if isinstance(column, list) or column.ndim != 1:
        shape = "a list of curves" if isinstance(column, list) else f"shape {column.shape}"
        raise ValueError(f"{name} of one curve must be 1-D, got {shape}; several curves are a list of them")
    return column  # a copy: `numbers` makes one


def _time(value: Any, name: str) -> float | None:
    """A time, or None for None and NaN."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number or None, got {value!r} of type {type(value).__name__}")
    number = float(value)
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise ValueError(f"{name} must be finite, got {number}; leave it out if nobody knows")
    return number
