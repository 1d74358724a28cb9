"""Arguments of stoppers and rules: checked at once, misspelt ones refused with the list of those that exist."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from trials import stopper

from lcpfn.stopping import Best, Converged, Paper, Policy, Stopper, Worth
from lcpfn.stopping.options import Comparing, Judging


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (dict(horizon=1), "horizon must be"),
        (dict(horizon=math.inf), "horizon must be"),
        (dict(every=1.5), "every must be a whole number"),
        (dict(rule=Paper(), min_points=1), "Paper takes 2 points at least"),
        (dict(target="mean"), "target must be one of best, last"),
        (dict(nan="ignore"), "nan must be one of stop, skip"),
        (dict(audit=1.0), "audit must be a share"),
        (dict(audit=0.1, rule=Converged(min_delta=0.1)), "audit compares with an incumbent"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        stopper(**fields)


@pytest.mark.parametrize(
    ("rule", "fields", "match"),
    [
        (Best, dict(level=5), "level must lie between 0 and 1, got 5; divide percentages by 100"),
        (Best, dict(rank=0), "rank must be a whole number"),
        (Best, dict(start="last"), "start must be one of own, runs, higher"),
        (Best, dict(cap=0), "cap must be a probability above 0"),
        (Best, dict(min_delta=-1), "min_delta must be a finite number"),
        (Paper, dict(level=math.nan), "level must lie between"),
        (Worth, dict(min_rate=math.inf), "min_rate must be a finite number"),
        (Worth, dict(rank=True), "rank must be a whole number"),
        (Converged, dict(min_delta=0), "min_delta, the gain worth going on for, must be above 0"),
        (Converged, dict(min_delta=0.1, level=0), "level must lie between"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: Any, fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        rule(**fields)


def test_rules_are_values() -> None:
    assert Best(level=0.1) == Best(level=0.1) != Best()
    assert pickle.loads(pickle.dumps(Best(level=0.1))) == Best(level=0.1)
    assert Policy(horizon=9).rule == Best() and hash(Worth(min_rate=1.0)) == hash(Worth(min_rate=1.0))


@pytest.mark.parametrize(
    ("make", "name", "match"),
    [
        (Stopper, "evry", r"Stopper takes no argument 'evry', did you mean 'every'\? it takes horizon, rule"),
        (Stopper, "level", r"Stopper takes no argument 'level': level belongs to a rule, write rule=Best\(level="),
        (Stopper, "min_dleta", "min_delta belongs to a rule"),
        (Stopper, "n_startup_trials", "'n_startup_trials'; it takes horizon, rule, metric, path"),
        (Policy, "metrics", "Policy takes no argument 'metrics', did you mean 'metric'"),
        (Best, "levle", "Best takes no argument 'levle', did you mean 'level'.* it takes level, start, cap"),
    ],
)
def test_a_misspelt_argument_is_refused_with_the_list_of_those_that_exist(make: Any, name: str, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        make(**{"horizon": 30, name: 1} if make is not Best else {name: 1})


@pytest.mark.parametrize("rule", ["best", Best, 0.05])
def test_a_rule_by_its_name_is_refused(rule: Any) -> None:
    with pytest.raises(TypeError, match=r"as in rule=Best\(level=0.05\), got"):
        stopper(rule=rule)


def test_what_adapters_take_is_what_a_policy_takes() -> None:
    """The options are typed in a dictionary of their own, as a signature cannot be shared."""
    fields = set(Policy.__dataclass_fields__) - {"horizon", "metric", "rule"}
    assert set(Judging.__annotations__) == fields
    assert set(Comparing.__annotations__) == fields | {"rule", "audit", "seed"}
