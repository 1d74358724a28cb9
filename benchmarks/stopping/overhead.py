"""What a decision costs: asked cold, streamed, and out of a replay of whole runs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lcpfn.metric import Metric
from lcpfn.pfn import load
from lcpfn.stopping import Policy, Rivals

POINTS = 50
RUNS = 200
UNIT = Metric("max", bounds=(0.0, 1.0))


def measure(checkpoint: str, *, count: int) -> dict[str, Any]:
    """Seconds of one thread for a decision about a run of POINTS points, by how it is asked.

    Args:
        checkpoint: of the rule `best`.
        count: decisions that are timed, after one that is not.
    """
    engine, draw = load(checkpoint), np.random.default_rng(0)
    t = np.arange(1.0, POINTS + 1)
    y = np.clip(0.9 - 0.6 / np.sqrt(t) + draw.normal(0, 0.01, (RUNS, POINTS)), 0, 1)
    policy, rivals = Policy(horizon=2.0 * POINTS, metric=UNIT, engine=engine), Rivals((0.85,), 10)
    cold = []
    for i in range(count + 1):
        seen = 10 + i % (POINTS - 10)
        began = time.perf_counter()
        policy.decide(list(t[:seen]), list(y[i % RUNS, :seen]), rivals)
        cold.append(time.perf_counter() - began)
    streamed = []
    stream = engine.stream(metric=UNIT, run_end=policy.horizon)
    for step, value in zip(t, y[0]):
        began = time.perf_counter()
        stream.observe(float(step), float(value))
        stream.predict(policy.horizon, kind="best").prob_better(0.85)
        streamed.append(time.perf_counter() - began)
    began = time.perf_counter()
    replay = engine.replay(y, policy.horizon, kind="best", metric=UNIT, run_end=policy.horizon)
    replay.belief.prob_better(0.85)
    replayed = (time.perf_counter() - began) / (RUNS * POINTS)
    return {
        "points": POINTS,
        "decisions": count,
        "cold_s": float(np.median(cold[1:])),
        "streamed_s": float(np.median(streamed[1:])),
        "replayed_s": replayed,
    }
