"""Curves from text files: every form that is promised, and errors that say where."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn.logs.columns import number
from lcpfn.logs.curves import curve
from lcpfn.logs.table import parse, read

LISTS = {  # the same three values, one missing
    "lines": "0.1\nnan\n0.3\n",
    "one line": "0.1 nan 0.3",
    "commas": "0.1,nan,0.3",
    "commas and spaces": "0.1, NaN, 0.3,",
    "semicolons": "0.1;;0.3",
    "decimal commas": "0,1;;0,3",
    "tabs": "0.1\t\t0.3",
    "comma at each line's end": "0.1,\nnan,\n0.3,\n",
    "comments and empty lines": "# accuracy\n\n0.1\n\n# later\nNA\n0.3",
    "windows": "0.1\r\nnan\r\n0.3\r\n",
    "byte order mark": "\ufeff0.1\nnan\n0.3",
    "json": "[0.1, null, 0.3]",
    "json over lines": "[\n0.1,\nNaN,\n0.3\n]",
    "python": "[0.1, nan, 0.3]",
    "python None": "[0.1, None, 0.3]",
    "numpy": "[0.1 nan\n 0.3]",
    "header": "my metric\n0.1\nn/a\n0.3",
    "quoted": '"loss"\n0.1\n""\n0.3',
    "text beside": "run,metric\na,0.1\na,\na,0.3",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_all_forms_of_one_curve_are_the_same(text: str) -> None:
    found = curve(parse(text))
    np.testing.assert_array_equal(found.y, [0.1, np.nan, 0.3])
    np.testing.assert_array_equal(found.t, [1, 2, 3])


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from([" ", "\n", ",", ";", "\t"])
)
def test_numbers_survive_the_way_through_text(values: list[float], separator: str) -> None:
    np.testing.assert_array_equal(curve(parse(separator.join(map(repr, values)))).y, values)


@given(st.text(max_size=60))
def test_any_text_gives_a_curve_or_a_clear_error(text: str) -> None:
    message = "x.csv"
    try:
        y = curve(parse(text, source="x.csv")).y
    except ValueError as error:
        message, y = str(error), np.zeros(1)
    assert message.startswith("x.csv")
    assert not np.isnan(y).all()


@pytest.mark.parametrize("cell", ["1_000", "0x10", "12%", "1,5", "one", "True", "1 2", "--1", "1e", "."])
def test_what_is_no_number(cell: str) -> None:
    assert number(cell) is None


def test_a_table_has_its_columns_and_lines() -> None:
    table = parse("epoch;loss;acc\n1;2,5;0,1\n\n2;1,5;0,2\n", source="log.csv")
    assert (table.source, table.names, list(table.lines)) == ("log.csv", ("epoch", "loss", "acc"), [2, 4])
    np.testing.assert_array_equal(table.numbers(table.index("loss")), [2.5, 1.5])
    assert table.index("3") == 2


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("epoch,loss,val_accuracy", "val_accuracy"),
        ("epoch,accuracy,val_accuracy", "val_accuracy"),  # validation before training
        ("epoch,loss,Val/Acc", "Val/Acc"),
        ("_step,eval/accuracy,lr", "eval/accuracy"),
    ],
)
def test_a_well_known_column_is_found(header: str, column: str) -> None:
    found = curve(parse(f"{header}\n1,0.3,0.3\n2,0.4,0.4\n"))
    assert found.name == column
    np.testing.assert_array_equal(found.t, [1, 2])


def test_the_only_column_of_numbers_is_found() -> None:
    found = curve(parse("run,epoch,reward\na,1,7\na,2,8\n"))
    assert (found.name, found.clock) == ("reward", "epoch")
    np.testing.assert_array_equal(found.y, [7, 8])
    np.testing.assert_array_equal(
        curve(parse("epoch\n0.5\n0.6")).y, [0.5, 0.6]
    )  # the name alone is no reason to refuse


def test_columns_are_chosen_by_name_or_number() -> None:
    table = parse("1 0.3 9\n2 0.4 8\n")
    found = curve(table, column="2", time_column="1")
    assert found.name == "y"
    np.testing.assert_array_equal(found.y, [0.3, 0.4])
    np.testing.assert_array_equal(found.t, [1, 2])


def test_rows_are_sorted_by_their_times() -> None:
    found = curve(parse("step,acc\n30,0.3\n10,0.1\n20,\n"), time_column="step")
    np.testing.assert_array_equal(found.t, [10, 20, 30])
    np.testing.assert_array_equal(found.y, [0.1, np.nan, 0.3])
    assert len(found[:2]) == 2
    np.testing.assert_array_equal(found[:2].t, [10, 20])


@pytest.mark.parametrize("times", ["0 1 2", "1 2 3"])
def test_epochs_that_count_rows_need_no_time_column(times: str) -> None:
    rows = "\n".join(f"{t},0.5" for t in times.split())
    found = curve(parse(f"epoch,acc\n{rows}"))
    np.testing.assert_array_equal(found.t, [1, 2, 3])
    assert found.clock == "epoch"


@pytest.mark.parametrize("times", ["5 10 15", "2 3 4", "1 2 4", "1 1 2"])
def test_times_that_do_not_count_rows_must_be_settled(times: str) -> None:
    rows = "\n".join(f"{t},0.5" for t in times.split())
    table = parse(f"epoch,acc\n{rows}")
    with pytest.raises(ValueError, match=r"--time-column epoch to use its times, or --time-column rows"):
        curve(table)
    np.testing.assert_array_equal(curve(table, time_column="rows").t, [1, 2, 3])
    np.testing.assert_array_equal(curve(table, time_column="epoch").t, sorted({float(t) for t in times.split()}))


ERRORS = {
    "nothing": ("", None, None, "x.csv is empty"),
    "white space": (" \n\n", None, None, "x.csv is empty"),
    "comments": ("# a\n# b\n", None, None, "comments alone"),
    "empty cells": (",,\n,,\n", None, None, "empty cells alone"),
    "header alone": ("epoch,acc\n", None, None, r"a header \(epoch, acc\) and no row"),
    "objects": ('{"acc": [1]}', None, None, "JSON objects"),
    "lists in a list": ("[[1, 0.5], [2, 0.6]]", None, None, "numbers alone"),
    "truth values": ("[true, false]", None, None, "numbers alone"),
    "empty list": ("[]", None, None, "empty list"),
    "shortened list": ("[0.1 0.2 ... 0.9]", None, None, r"item 3 of the list, '\.\.\.'"),
    "short row": ("a,b\n1,2\n3\n", "a", None, "line 3: 1 cells where the header has 2"),
    "long row": ("1,2\n3,4,5\n", "1", None, "line 2: 3 cells where the first row has 2"),
    "word": ("acc\n0.1\n\noops\n", None, None, "line 4, column acc: 'oops' is not a number"),
    "word in the only candidate": ("epoch,m\n1,0.1\n2,oops\n", None, None, "line 3, column m: 'oops'"),
    "percent": ("acc\n10%\n20%\n", "acc", None, "line 2.*strip the percent signs and say --bounds 0,100"),
    "percent in a list": ("10% 20%", None, None, "line 1.*strip the percent signs"),
    "no such column": ("epoch,acc\n1,0.5\n", "acx", None, "no column 'acx', only epoch, acc"),
    "column 0": ("epoch,acc\n1,0.5\n", "0", None, "no column '0'"),
    "twice": ("acc,acc\n1,0.5\n", "acc", None, "2 columns 'acc': ask by number, 1 or 2"),
    "unclear": ("a,b,c\n1,2,x\n", None, None, "columns of numbers: a, b .*all: a, b, c"),
    "no numbers": ("a,b\nx,y\n", None, None, "columns of numbers: none"),
    "nothing measured": ("acc,b\n,1\nnan,2\n", "acc", None, "column acc holds no number that is finite"),
    "time missing": ("step,acc\n1,0.1\n,0.2\n", None, "step", "line 3: no time in column step"),
    "time is the value": ("step,acc\n1,0.1\n", "acc", "acc", "cannot hold both"),
    "open quote": ('a,b\n1,"2\n3,4', "a", None, "line 3: "),
}


@pytest.mark.parametrize(("text", "column", "time_column", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_where_and_what(text: str, column: str | None, time_column: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        curve(parse(text, source="x.csv"), column=column, time_column=time_column)
    assert str(caught.value).startswith("x.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_in_common_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("épreuve,acc\n1,0.25\n", encoding=encoding)
    assert read(str(path)).names == ("épreuve", "acc")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curve.bin"
    path.write_bytes(b"\x80\x04\x95\x00")
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        read(str(path))
    with pytest.raises(FileNotFoundError, match="absent"):
        read(str(tmp_path / "absent.csv"))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0.1 0.2")))
    np.testing.assert_array_equal(read("-").columns[0].values, [0.1, 0.2])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ValueError, match="standard input is empty"):
        read("-")
