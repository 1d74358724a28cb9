"""Names that parts of the general prior had in older versions, as headers of checkpoints and old commands give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLD_NAMES = {
    "grids": "measurement_times",
    "wander": "random_walk",
    "sums": "lcpfn_runs",
    "hindsight": "acceptance",
}


def renamed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a general prior under the names of this version, also those inside `by_metric`.

    Raises:
        ValueError: If a part comes under its old name and its new one.

    Example:
        >>> renamed({"wander": {"share": 0.2}, "by_metric": {"reward": {"wander": {"share": 0.6}}}})
        {'random_walk': {'share': 0.2}, 'by_metric': {'reward': {'random_walk': {'share': 0.6}}}}
    """
    if both := sorted(old for old, new in OLD_NAMES.items() if old in parameters and new in parameters):
        raise ValueError(
            f"a part of the prior 'general' may come once, got {both} beside {[OLD_NAMES[old] for old in both]}; "
            "leave the old name out"
        )
    values = {OLD_NAMES.get(name, name): value for name, value in parameters.items()}
    if isinstance(values.get("by_metric"), Mapping):
        values["by_metric"] = {
            metric: renamed(changes) if isinstance(changes, Mapping) else changes
            for metric, changes in values["by_metric"].items()
        }
    return values
