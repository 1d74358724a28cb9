"""What a rule is worth on a table of runs: speed, harm, false stops, its place beside the front of i-Epoch.

Letters: O orders, G budgets, I numbers of epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stopping.baselines import TOP
from stopping.replay import Rule, Sequential, cost, take, trace
from stopping.table import Table

BUDGET = 20.0  # whole runs
POOL = 100  # runs that are offered where nobody counts the budget
NOISE = 2.0  # standard errors of a paired difference over orders that count as noise
STEP = 0.01  # of a whole run: the grid of budgets

Pair = tuple[np.ndarray, np.ndarray]


def grid(budget: float) -> np.ndarray:
    """(G,) budgets at which the regret is read off."""
    return np.arange(1, round(budget / STEP) + 1) * STEP


@dataclass(frozen=True, eq=False)
class Played:
    """A rule on a table.

    Attributes:
        regret: (O, G) regret within each budget.
        pool: (O,) work, (O,) regret after a pool of runs, whatever it takes.
        winners: runs that would have beaten what stood when they began.
        lost: those of them that were stopped before they did.
        tried: runs that were begun within the budget, mean over orders.
    """

    regret: np.ndarray
    pool: Pair
    winners: int
    lost: int
    tried: float


def played(rule: Rule, table: Table, orders: Sequence[np.ndarray], *, budget: float) -> Played:
    """The rule in each order, within the budget, and on a pool of the order's first runs."""
    budgets, regrets, pools, tried, size = grid(budget), [], [], [], min(POOL, len(table.runs))
    before = len(rule.seen) if isinstance(rule, Sequential) else 0
    for order in orders:
        least = size if isinstance(rule, Sequential) else 0
        stretches = take(table, rule.play(table, order, budget), budget, least=least)
        regrets.append(table.regret(trace(table, stretches).at(budgets)))
        spent = np.cumsum([cost(table, stretch) for stretch in stretches])
        tried.append(len({stretch.run for stretch in stretches[: int(np.searchsorted(spent, budget)) + 1]}))
        whole = stretches[:size] if least else rule.play(table, order[:size], None)
        pools.append(outcome(table, whole, order[:size]))
    seen = rule.seen[before:] if isinstance(rule, Sequential) else []
    winners, lost = (sum(count(each) for each in seen) for count in (len, sum))
    return Played(np.array(regrets), (*np.array(pools).T,), winners, lost, float(np.mean(tried)))


def outcome(table: Table, stretches: Any, pool: np.ndarray) -> tuple[float, float]:
    """Work of all stretches, and the regret of the best value against the best run of the pool."""
    work, best = 0.0, -np.inf
    for stretch in stretches:
        work += cost(table, stretch)
        best = max(best, float(table.records[stretch.run][stretch.last - 1]))
    return work, float(table.regret(np.array(best), top=float(table.finals[pool].max())))


def front(table: Table, orders: Sequence[np.ndarray]) -> Pair:
    """(I, O) work and (I, O) regret of i-Epoch on the pools, for every i below the number of points.

    What playing `Epochs(i)` gives, for all i at once.
    """
    size, longest = min(POOL, len(table.runs)), table.longest
    records, works = (np.stack([_lasting(part, longest) for part in parts]) for parts in _parts(table))
    found = []
    for order in orders:
        pool = order[:size]
        record, work = records[pool, : longest - 1], works[pool, : longest - 1]  # (runs, I)
        top = np.argsort(-record, axis=0, kind="stable")[:TOP]
        rest = works[pool, -1][top] - np.take_along_axis(work, top, axis=0)
        best = np.maximum(record.max(axis=0), records[pool, -1][top].max(axis=0))
        found.append((work.sum(axis=0) + rest.sum(axis=0), table.regret(best, top=float(table.finals[pool].max()))))
    work, regret = np.moveaxis(np.array(found), 0, -1)
    return work, regret


def _parts(table: Table) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return table.records, [run.work for run in table.runs]


def _lasting(values: np.ndarray, length: int) -> np.ndarray:
    """(length,) the values (T,), the last one from there on."""
    return values[np.minimum(np.arange(length), len(values) - 1)]


def speed_up(none: np.ndarray, own: np.ndarray) -> float:
    """The work that no stopping needs over that of the rule, for the regret that both reach within the budget.

    That is the higher of the two final regrets: where the rule ends below no stopping, how much sooner it gets where
    no stopping ends; where it ends above, below 1: how much sooner no stopping gets where the rule ends.

    Args:
        none: (O, G) regrets without stopping.
        own: (O, G) regrets of the rule.
    """
    curves = [each.mean(axis=0) for each in (none, own)]
    bar = max(curve[-1] for curve in curves) + 1e-12
    first = [int(np.argmax(curve <= bar)) + 1 for curve in curves]
    return first[0] / first[1]


def difference(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean of own - other over orders (O,), and its standard error."""
    apart = own - other
    return float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart))) if len(apart) > 1 else 0.0


def harmed(none: np.ndarray, own: np.ndarray) -> bool:
    """Whether the rule ends worse than no stopping, beyond noise."""
    mean, error = difference(own[:, -1], none[:, -1])
    return mean > NOISE * error and mean > 0


def place(own: Pair, epochs: Pair) -> str:
    """Where a rule lies beside the front of i-Epoch: "beyond", "on" or "behind".

    The front is the lower convex hull of the means, which a coin between two i would reach. "Beyond": a lower regret
    than the front at the same work, beyond noise. "On": not worse beyond noise, or cheaper than any i-Epoch. Where the
    rule works more than the best i-Epoch does, it has to be better than that: else it is behind.

    Args:
        own: (O,) work, (O,) regret.
        epochs: (I, O) of each.
    """
    work, regret = (part.mean(axis=1) for part in epochs)
    ends = hull(work, regret)
    mine = own[0].mean()
    if mine < work[ends[0]]:
        return "on"
    after = int(np.searchsorted(work[ends], mine))
    if after == len(ends):
        line, late = epochs[1][ends[-1]], True
    else:
        left, right = ends[max(after - 1, 0)], ends[after]
        share = 0.0 if left == right else (mine - work[left]) / (work[right] - work[left])
        line, late = (1 - share) * epochs[1][left] + share * epochs[1][right], False
    mean, error = difference(own[1], line)
    if mean < -NOISE * error:
        return "beyond"
    return "behind" if late or mean > NOISE * error else "on"


def hull(work: np.ndarray, regret: np.ndarray) -> list[int]:
    """Places of the corners of the lower convex hull, from the least work to the least regret."""
    corners: list[int] = []
    for i in np.lexsort((regret, work)):
        if corners and regret[i] >= regret[corners[-1]]:
            continue
        while len(corners) > 1:
            a, b = corners[-2:]
            rise = (regret[b] - regret[a]) * (work[i] - work[a])
            if rise < (regret[i] - regret[a]) * (work[b] - work[a]):
                break
            corners.pop()
        corners.append(int(i))
    return corners
