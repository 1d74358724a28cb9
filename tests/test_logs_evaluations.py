"""Evaluations as one JSON document: what boosting libraries, Keras and pandas hand over, and what is damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn import cli, logs
from lcpfn.logs import evaluations

ACC, LOSS = [0.3, 0.45, 0.5, 0.52], [2.0, 1.1, 0.9, 0.8]
FRAME = pd.DataFrame({"epoch": [0, 1, 2, 3], "val_acc": ACC, "val_loss": LOSS, "note": ["a", "b", "c", "d"]})


def write(tmp_path: Path, document: Any, name: str = "history.json") -> Path:
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


DOCUMENTS = {
    "XGBoost": ({"validation_0": {"logloss": [9.0] * 4}, "validation_1": {"logloss": LOSS}}, "validation_1/logloss"),
    "LightGBM": ({"training": {"l2": [9.0] * 4}, "valid_1": {"l2": LOSS, "auc": ACC}}, "valid_1/l2"),
    "Keras": ({"accuracy": ACC, "loss": [9.0] * 4, "val_loss": LOSS, "lr": [0.1] * 4}, "val_loss"),
    "a lone script's": ({"args": {"lr": 0.1, "layers": "x"}, "best": 3, "train": {"loss": LOSS}}, "train/loss"),
    "records inside": ({"args": {"lr": 0.1}, "history": [{"epoch": i, "loss": y} for i, y in enumerate(LOSS)]}, "loss"),
    "pandas, records": (FRAME.to_json(orient="records"), "val_loss"),
    "pandas, columns": (FRAME.to_json(), "val_loss"),
    "pandas, split": (FRAME.to_json(orient="split"), "val_loss"),
    "pandas, index": (FRAME.to_json(orient="index"), "val_loss"),
    "pandas, table": (FRAME.to_json(orient="table"), "val_loss"),
    "pandas, indented": (FRAME.to_json(orient="records", indent=2), "val_loss"),
    "TensorBoard": ([[1.7e9 + i, i, y] for i, y in enumerate(LOSS)], None),
}


@pytest.mark.parametrize(("document", "metric"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_shape_gives_the_values(tmp_path: Path, document: Any, metric: str | None) -> None:
    curve = logs.read(write(tmp_path, document), metric=metric)
    np.testing.assert_array_equal(curve.y, LOSS)
    assert curve.name == (metric or "history")
    if isinstance(document, str):  # pandas: the frame has a column of epochs
        assert curve.clock == "epoch"


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    """The keys of an index are text: "10" comes before "2"."""
    frame = pd.DataFrame({"loss": np.linspace(3, 1, 25)})
    for orient in ("columns", "index"):
        curve = logs.read(write(tmp_path, frame.to_json(orient=orient)))
        np.testing.assert_allclose(curve.y, frame["loss"])


def test_lists_of_different_lengths(tmp_path: Path) -> None:
    """Training is measured at each step, validation at each epoch; times go with those that are as long."""
    path = write(tmp_path, {"epoch": [10, 20], "val_loss": LOSS[:2], "train_loss": [1.0] * 30})
    validation = logs.read(path, metric="val_loss", clock="epoch")
    np.testing.assert_array_equal(validation.t, [10, 20])
    assert len(logs.read(path, metric="train_loss")) == 30


def test_what_is_not_finite_and_what_is_missing(tmp_path: Path) -> None:
    table = evaluations.read_document(write(tmp_path, '{"loss": [1.0, null, NaN, "NaN", Infinity, 1e999]}'), name="a")
    found = table[0].table("loss").numbers(0)
    np.testing.assert_array_equal(found, [1.0, np.nan, np.nan, np.nan, np.inf, np.inf])


def test_a_document_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, DOCUMENTS["XGBoost"][0])
    assert cli.main(["predict", str(path), "--metric", "validation_1/logloss", "--horizon", "9", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metric"]["direction"] == "min" and document["observed"]["last"] == {"t": 4, "y": 0.8}
    assert cli.main(["predict", str(path), "--horizon", "9"]) == 2
    assert "which metric to forecast? Say --metric NAME; there are validation_0/logloss" in capsys.readouterr().err


def test_configurations_in_a_folder_are_no_logs(tmp_path: Path) -> None:
    write(tmp_path, {"betas": [0.9, 0.999], "hidden_sizes": [1, 2, 3]}, "config.json")
    write(tmp_path, "{", "broken.json")
    with pytest.raises(ValueError, match="holds no log that can be read"):
        logs.read(tmp_path)
    write(tmp_path, {"loss": LOSS})
    np.testing.assert_array_equal(logs.read(tmp_path).y, LOSS)


HOSTILE = {
    "deep lists": ('{"a": ' + "[" * 100_000, "nested too deeply|no whole JSON"),
    "deep objects": ('{"a": ' * 100_000, "nested too deeply|no whole JSON"),
    "deep and whole": ('{"a": ' * 900 + "[1, 2]" + "}" * 900, "nested too deeply|holds JSON objects"),
    "cut off": ('{"loss": [1.0, 0.5', "no whole JSON document"),
    "a ragged table": (
        '{"columns": ["a", "b"], "data": [[1, 2], [1]]}',
        "row 2 of data has not the 2 cells of columns",
    ),
    "a long number": ('{"loss": [' + "1" * 5000 + "]}", "no whole JSON document: Exceeds the limit"),
    "no number": ('{"loss": ["high", "low"]}', "holds JSON objects"),
    "no values": ('{"loss": [], "acc": {}}', "holds JSON objects"),
    "nothing measured": ('{"loss": [null, null]}', "holds JSON objects"),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"history\.json.*({message})"):
        logs.read(write(tmp_path, text))


def test_a_document_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    with path.open("wb") as file:  # sparse: it takes no room on the disk
        file.write(b'{"loss": [')
        file.truncate(evaluations.LARGEST + 1)
    with pytest.raises(ValueError, match="a JSON document of 64 MiB, which must be read as a whole"):
        logs.read(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["loss", "epoch", "0", "1", "data", "columns", "schema"]), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_document_gives_runs_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    path = write(tmp_path_factory.mktemp("any"), document)
    found, problem = [], ""
    try:
        found = evaluations.read_document(path, name="a")
        for run in found:
            for metric in run.metrics:
                assert run.table(metric).numbers(len(run.table(metric).names) - 1).size
    except ValueError as error:
        problem = str(error)
    assert not problem or str(path) in problem
