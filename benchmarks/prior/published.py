"""Mean log densities after 10, 20, 40 and 80 points: what others report on the same prior, what we want to reach."""

from __future__ import annotations

from typing import Any

SOURCE = "Adriaensen et al. 2023 (arXiv 2310.20447)"  # on draws of their own from the same prior
PUBLISHED: tuple[dict[str, Any], ...] = (
    {
        "name": "LC-PFN P1",
        "parameters": 700_000,
        "curves_seen": 10_000_000,
        "log_density": [1.585, 1.989, 2.282, 2.431],
    },
    {
        "name": "LC-PFN P2",
        "parameters": 2_200_000,
        "curves_seen": 10_000_000,
        "log_density": [1.654, 2.044, 2.347, 2.493],
    },
    {
        "name": "LC-PFN P3",
        "parameters": 26_000_000,
        "curves_seen": 10_000_000,
        "log_density": [1.758, 2.133, 2.403, 2.519],
    },
    {"name": "MCMC M3", "parameters": None, "curves_seen": None, "log_density": [1.642, 1.956, 2.285, 2.486]},
)
TARGET = {"name": "our target", "log_density": [1.795, 2.165, 2.437, 2.560]}
