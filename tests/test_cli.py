"""The command `lcpfn`: what it prints, writes and ends with."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lcpfn
from lcpfn.cli import commands, parser
from lcpfn.cli.demo import CURVES
from lcpfn.metric import Metric
from lcpfn.pfn import load
from lcpfn.query import KINDS

Y = CURVES["slow"].accuracy
SEEN = 12
COUNTS = ("replaced", "not_finite", "abandoned", "other_runs")  # of what a log holds besides
SHARE = Metric("max", bounds=(0, 1))  # what the name of an accuracy says


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log of SEEN epochs: accuracy, error and percent of one run."""
    path = tmp_path / "log.csv"
    rows = [f"{epoch},{y},{1 - y},{100 * y},run a" for epoch, y in enumerate(Y[:SEEN], 1)]
    path.write_text("\n".join(["epoch,val_accuracy,val_error,percent,note", *rows]))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = parser.main(argv)
    return code, *capsys.readouterr()


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    """What --json prints, read by a parser that knows no NaN."""
    code, out, err = run(capsys, *argv, "--json")
    assert (code, err) == (0, "")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(out, parse_constant=refuse)


def column(document: dict[str, Any], *keys: str) -> np.ndarray:
    values = document["forecast"]
    for key in keys:
        values = [value[key] for value in values]
    return np.array(values, dtype=float)


def test_json_is_the_belief(capsys: pytest.CaptureFixture[str], log: str) -> None:
    document = answer(capsys, "predict", log, "--horizon", "30")
    belief = load().predict(Y[:SEEN], horizon=30, metric=SHARE)
    np.testing.assert_array_equal(column(document, "t"), belief.t)
    for q in (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975):
        np.testing.assert_allclose(column(document, "quantiles", str(q)), belief.quantile(q), rtol=1e-9)
    np.testing.assert_allclose(column(document, "mean"), belief.mean(), rtol=1e-9)
    np.testing.assert_allclose(column(document, "std"), belief.std(), rtol=1e-9)
    better = belief.prob_better(Y[:SEEN].max())
    np.testing.assert_allclose(column(document, "prob_better_than_best_seen"), better, rtol=1e-9)


def test_keys_of_json_are_stable(capsys: pytest.CaptureFixture[str], log: str) -> None:
    document = answer(capsys, "predict", log, "--at", "20")
    (forecast,) = document.pop("forecast")
    assert document == {
        "format": 1,
        "source": log,
        **{"checkpoint": "default", "decision": None},
        "column": "val_accuracy",
        "metric": {"direction": "max", "bounds": [0.0, 1.0]},
        "assumed": {"direction": "name", "bounds": "name"},
        "kind": "value",
        "observed": {
            "count": SEEN,
            "last": {"t": float(SEEN), "y": Y[SEEN - 1]},
            "best": {"t": float(Y[:SEEN].argmax() + 1), "y": Y[:SEEN].max()},
            "diverged_at": None,
        },
        "reading": {"read": SEEN, "notices": [], **dict.fromkeys(COUNTS, 0)},
        "run_end_by_log": None,
        "incumbent": None,
        "surprise": {"alarm": False, "since": None, "p_value": 1.0, "rate": 0.01, "surprising": []},
    }
    keys = "t mean std quantiles prob_better_than_best_seen prob_incumbent_beaten_by_then prob_diverged truth"
    assert list(forecast) == keys.split()
    assert list(forecast["quantiles"]) == ["0.025", "0.1", "0.25", "0.5", "0.75", "0.9", "0.975"]
    assert forecast["truth"] is None
    assert forecast["prob_incumbent_beaten_by_then"] is None


def test_the_table_shows_a_few_steps_of_the_same_belief(capsys: pytest.CaptureFixture[str], log: str) -> None:
    code, out, err = run(capsys, "predict", log, "--horizon", "52", "--incumbent", "0.9")
    assert (code, err) == (0, "")
    assert out.isascii()
    about, empty, header, *rows = out.split("\n\nSTOP")[0].split("\n\ngo on")[0].splitlines()
    best = Y[:SEEN].max()
    what = "val_accuracy (higher is better, from 0 to 1: by its name)"
    assert about.startswith(f"{what}: 12 values seen up to epoch 12, the best {best:.5g} at")
    assert not empty
    assert re.split(r"\s{2,}", header.strip()) == [
        *("epoch", "median", "50 %", "80 %", "95 %", f"P(> {best:.5g})", "P(> 0.9 by then)")
    ]
    cells = [re.split(r"\s{2,}", row.strip()) for row in rows]
    assert [row[0] for row in cells] == ["13", "22", "32", "42", "52"]
    belief = load().predict(Y[:SEEN], [13, 22, 32, 42, 52], metric=SHARE)
    np.testing.assert_allclose([float(row[1]) for row in cells], belief.median(), atol=1e-3)
    for place, level in ((2, 0.5), (3, 0.8), (4, 0.95)):
        ends = [[float(end) for end in row[place].split(" to ")] for row in cells]
        np.testing.assert_allclose(ends, belief.interval(level), atol=1e-3)


FORMS = {
    "one line": " ".join(map(repr, Y[:SEEN].tolist())),
    "json": json.dumps(Y[:SEEN].tolist()),
    "csv with a gap": "acc\n" + "\n".join(map(str, Y[:SEEN])) + "\n",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_standard_input_gives_the_same_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, log: str, text: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    ours = answer(capsys, "predict", "-", "--at", "20,30", "--bounds", "0,1")
    assert ours["forecast"] == answer(capsys, "predict", log, "--at", "20,30")["forecast"]
    assert ours["source"] == "-"


def test_direction_and_bounds_are_passed_on(capsys: pytest.CaptureFixture[str], log: str) -> None:
    up = answer(capsys, "predict", log, "--at", "50")
    down = answer(capsys, "predict", log, "--at", "50", "--column", "val_error", "--direction", "min")
    percent = answer(capsys, "predict", log, "--at", "50", "--column", "4", "--bounds", "0,100")
    np.testing.assert_allclose(column(down, "quantiles", "0.1"), 1 - column(up, "quantiles", "0.9"), atol=1e-5)
    np.testing.assert_allclose(column(percent, "quantiles", "0.1"), 100 * column(up, "quantiles", "0.1"), rtol=1e-5)
    for other in (down, percent):
        ours, theirs = (column(document, "prob_better_than_best_seen") for document in (up, other))
        np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert down["metric"] == {"direction": "min", "bounds": [0.0, 1.0]}
    assert down["observed"]["best"]["y"] == pytest.approx(1 - Y[:SEEN].max())


def test_what_was_not_observed_is_truth(capsys: pytest.CaptureFixture[str], log: str) -> None:
    document = answer(capsys, "predict", log, "--observe", "8")
    assert document["observed"]["count"] == 8
    np.testing.assert_array_equal(column(document, "t"), np.arange(9, SEEN + 1))  # to the end of the file
    np.testing.assert_array_equal(column(document, "truth"), Y[8:SEEN])
    belief = load().predict(Y[:8], horizon=SEEN, metric=SHARE)
    np.testing.assert_allclose(column(document, "mean"), belief.mean(), rtol=1e-9)
    _, out, _ = run(capsys, "predict", log, "--observe", "8")
    assert out.splitlines()[2].split()[:3] == ["epoch", "truth", "median"]


def test_observe_counts_values_not_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("epoch,acc\n1,0.1\n2,\n3,0.3\n4,\n5,0.4\n6,0.45\n")
    document = answer(capsys, "predict", str(path), "--observe", "3")
    point = {"t": 5, "y": 0.4}
    assert document["observed"] == {"count": 3, "last": point, "best": point, "diverged_at": None}
    belief = load().predict([0.1, 0.3, 0.4], 6, t=[1, 3, 5], metric=SHARE)
    np.testing.assert_allclose(column(document, "mean"), belief.mean(), rtol=1e-6)


def test_nothing_observed_gives_the_prior(capsys: pytest.CaptureFixture[str], log: str) -> None:
    document = answer(capsys, "predict", log, "--observe", "0", "--incumbent", "0.5")
    assert document["observed"] == {"count": 0, "last": None, "best": None, "diverged_at": None}
    assert len(document["forecast"]) == SEEN
    assert document["forecast"][0]["prob_better_than_best_seen"] is None
    assert 0 < document["forecast"][0]["prob_incumbent_beaten_by_then"] < 1
    _, out, _ = run(capsys, "predict", log, "--observe", "0")
    assert "nothing seen yet" in out


def test_a_time_column_is_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "sparse.csv"
    path.write_text("epoch,acc\n10,0.4\n5,0.2\n15,0.5\n")
    document = answer(capsys, "predict", str(path), "--time-column", "epoch", "--horizon", "30")
    np.testing.assert_array_equal(column(document, "t"), [20, 25, 30])
    belief = load().predict([0.2, 0.4, 0.5], [20, 25, 30], t=[5, 10, 15], metric=SHARE)
    np.testing.assert_allclose(column(document, "mean"), belief.mean(), rtol=1e-9)


def test_times_are_stretched_when_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("step,acc\n" + "\n".join(f"{1000 * t},{0.1 * t}" for t in range(1, 5)))
    arguments = ("predict", str(path), "--time-column", "step", "--horizon", "10000", "--checkpoint", "paper")
    code, _, err = run(capsys, *arguments)
    assert (code, "stretch" in err) == (2, True)
    both = answer(capsys, *arguments, "--stretch-time", "--at", "6000,5000")
    steps = answer(capsys, *arguments, "--stretch-time")
    np.testing.assert_array_equal(column(both, "t"), [6000, 5000])  # in the order asked for
    # ... and on the clock that the horizon sets, not on one that ends at 6000
    np.testing.assert_allclose(column(both, "mean"), column(steps, "mean")[[1, 0]], rtol=1e-6)


@pytest.mark.parametrize(("column_name", "direction"), [("val_accuracy", "max"), ("val_error", "min")])
def test_the_incumbent_is_judged_by_the_best_until_then(
    capsys: pytest.CaptureFixture[str], log: str, column_name: str, direction: str
) -> None:
    arguments = ("predict", log, "--column", column_name, "--direction", direction, "--at", "20,60")
    document = answer(capsys, *arguments, "--incumbent", "0.5")
    metric = Metric(direction, bounds=(0, 1))
    y = Y[:SEEN] if direction == "max" else 1 - Y[:SEEN]
    best = load().predict(y, [20, 60], kind="best", metric=metric)
    np.testing.assert_allclose(column(document, "prob_incumbent_beaten_by_then"), best.prob_better(0.5), rtol=1e-9)
    assert document["incumbent"] == 0.5

    beaten = answer(capsys, *arguments, "--incumbent", "0.2" if direction == "max" else "0.8")
    np.testing.assert_array_equal(column(beaten, "prob_incumbent_beaten_by_then"), [1, 1])


def test_the_past_is_asked_for_its_signal(capsys: pytest.CaptureFixture[str], log: str) -> None:
    document = answer(capsys, "predict", log, "--kind", "signal", "--at", "3,20", "--incumbent", "0.5")
    past, future = document["forecast"]
    assert past["prob_incumbent_beaten_by_then"] is None  # nothing is still to come there
    assert 0 < future["prob_incumbent_beaten_by_then"] < 1
    assert document["kind"] == "signal"


@pytest.mark.parametrize(
    "arguments",
    [("--horizon", "40"), ("--at", "20,40"), ("--at", "20", "--horizon", "40"), ("--kind", "signal", "--at", "2,9")],
    ids=" ".join,
)
def test_a_picture_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path, log: str, arguments: tuple) -> None:
    path = tmp_path / "out.png"
    code, out, err = run(capsys, "predict", log, *arguments, "--incumbent", "0.9", "--plot", str(path))
    assert (code, err) == (0, f"picture: {path}\n")
    assert out
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(path.read_bytes()) > 10_000


def test_a_picture_shows_what_was_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: str
) -> None:
    from lcpfn import plot

    drawn: dict[str, Any] = {}
    fan = plot.fan

    def spy(belief: Any, **given: Any) -> Any:
        drawn.update(given, belief=belief)
        return fan(belief, **given)

    monkeypatch.setattr(plot, "fan", spy)
    picture = str(tmp_path / "out.svg")
    run(capsys, "predict", log, "--observe", "8", "--horizon", "10", "--incumbent", "0.7", "--plot", picture)
    np.testing.assert_array_equal(drawn["belief"].t, [9, 10])
    np.testing.assert_array_equal(drawn["observed"], [np.arange(1, 9), Y[:8]])
    np.testing.assert_array_equal(drawn["truth"], [[9, 10], Y[8:10]])  # as far as the fan goes
    assert (drawn["incumbent"], drawn["name"], drawn["clock"]) == (0.7, "val_accuracy", "epoch")


PAPER = ("--checkpoint", "paper")  # knows bounds and a clock
ERRORS = {
    "no file": (("absent.csv", "--horizon", "50"), r"absent.csv: No such file"),
    "folder": (("empty", "--horizon", "50"), r"empty holds no log that can be read"),
    "no question": (("LOG",), r"say what to forecast: all steps up to --horizon 100"),
    "no column": (("LOG", "--column", "acc", "--horizon", "50"), r"no column 'acc', only epoch, val_accuracy"),
    "text": (("LOG", "--column", "note", "--horizon", "50"), r"line 2, column note: 'run a' is not a number"),
    "loss": (("losses.csv", "--column", "loss_scaled", "--at", "9"), r"lower seems to be better: say --direction min"),
    "percent": (("LOG", "--column", "percent", "--at", "50", *PAPER), r"percentages by 100, or use --bounds 0,100"),
    "past": (("LOG", "--horizon", "5"), r"horizon"),
    "past and present": (("LOG", "--at", "20", "--horizon", "5"), r"horizon"),
    "beyond": (("LOG", "--horizon", "500", *PAPER), r"\[1, 100\].*use --stretch-time to"),
    "open": (("LOG", "--horizon", "50", "--bounds", "0,", *PAPER), r"as in --direction min --bounds 0,1"),
    "observe": (("LOG", "--observe", "13"), r"--observe 13 asks for more values than the 12"),
    "checkpoint": (("LOG", "--horizon", "50", "--checkpoint", "no such"), r"no such"),
    "bounds": (("LOG", "--horizon", "50", "--bounds", "1,0"), r"bounds must increase"),
    "picture": (("LOG", "--horizon", "50", "--plot", "out.docx"), r"docx"),
    "place": (("LOG", "--horizon", "50", "--plot", "absent/out.png"), r"absent"),
}


@pytest.mark.parametrize(("argv", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    log: str,
    argv: tuple,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("losses.csv").write_text("epoch,loss_scaled\n1,0.5\n2,0.3\n")
    code, _, err = run(capsys, "predict", *(log if word == "LOG" else word for word in argv))
    assert code == 2
    assert re.match(r"lcpfn: .*\n\Z", err)
    assert re.search(message, err)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("forecast",),
        ("predict",),
        ("predict", "x", "--horizon", "soon"),
        ("predict", "x", "--horizon", "nan"),
        ("predict", "x", "--at", "1,,2"),
        ("predict", "x", "--bounds", "1"),
        ("predict", "x", "--observe", "-1"),
        ("predict", "x", "--kind", "mean"),
        ("predict", "x", "--hor", "50"),  # no abbreviations: a new flag must not break a script
        ("demo", "--curve", "lucky"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_code_2(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("usage: lcpfn")
    assert "error: " in err


@pytest.mark.parametrize(
    "argv", [("--help",), ("predict", "--help"), ("demo", "--help"), ("info", "--help")], ids=" ".join
)
def test_help(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    assert out.startswith("usage: lcpfn")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"lcpfn {lcpfn.__version__}\n", "")


def test_open_bounds() -> None:
    assert parser._bounds("0,") == (0.0, None)
    assert parser._bounds(",1e3") == (None, 1000.0)
    assert parser._bounds("-1,1") == (-1.0, 1.0)


def test_an_interrupt_is_code_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(options: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "demo", interrupt)
    assert run(capsys, "demo") == (130, "", "lcpfn: interrupted\n")


def test_mistakes_of_our_own_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: Any) -> int:
        raise KeyError("ours")

    monkeypatch.setattr(commands, "demo", broken)
    with pytest.raises(KeyError):
        parser.main(["demo"])


def test_the_command_knows_every_kind_of_question() -> None:
    assert parser.KINDS == KINDS
