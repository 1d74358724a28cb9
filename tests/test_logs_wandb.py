"""Runs of Weights & Biases: a file as its package writes it, live ones, and damaged ones."""

import base64
import json
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn import cli, logs
from lcpfn.logs.run import Run
from lcpfn.logs.wandb import BLOCK, is_wandb, read_wandb, records

# What wandb 0.31 wrote offline for three calls of wandb.log, packed with zlib and base85.
REAL = (
    "c-qC3PiPZC6vp$?HccmK8;7>k6-DBIW41fH$?k0RAiau31QqHbY-TrR+az5#8*MFWn@Z94AXpFnLxkSEdeK9BC>}hCy?GK;@aUo9!JCsPn5|SI"
    "7M$A~=6&z?eFJas-2S2WD*?77oIe?WFsw!q3L9Bw5?M(-g`-GE1Cpo^QA&_>j<PIEQ(_X9W;v!>3dyN7o1$6MBnq>bY??B|AxYFEQOYbI(e820"
    "U=_OJ(cBfwbw@4tf=S1GL*}9Ks}R76??9a>l(}q_%xo2cQ&$l}!Gc?b7D*&S5oQ#M$$~LvC6!Ug&qFl)^4;^dq1cn9hcDm(91=QqLmnKM28f3g"
    "kq}Wk9Qxs4G+MArm5Jm8RWoYpxU+Cy;CL-^AL>Cd*Sc7-U8`u7yt3#`c>S>W=GpQff6(f~9cg~T(wFUaf(x_>2T(8mX$iNxm6B%{ttx<ox==XN"
    "P@nj?@MxBIgoNv8A4Zwlec3aLP8It27+sZgq7gN%%9QHVN=Q2D#|;V*9+4(%Dphn1MQ~fD>{(8I5HBoeoaO7qHr(d9hF!v~h4FHkU&*K&w_h>}"
    "0|sODpp~h$mFYQ7(vD}~uba1)9S3GcULULl8E!hro@>SRT96$)$Od}yJ3ZM*pZ+twqEk)VgkDiNJf)5F<jmR6=q4vYcozOM3J!*0eeG+k7G<RA"
    "C~qV`$ai^1RJaX|a&n^^8O1la!IG$MIDUJ>#xUCJx7X{lmy)TznY*;4>3XW;)SO-0Fr9c2wp{$*yz;DrJ0FjoKF0C7{0k%@L}Jk73c2-a`djV0"
    "x|{y4?5AC55ATT8x2`AUCrc?iZ%#7DM{x%N-vKOOes%"
)
HEAD = bytes.fromhex("3a572642e1be00")


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def item(name: str | list[str], value: Any) -> bytes:
    keys = field(1, name.encode()) if isinstance(name, str) else b"".join(field(2, part.encode()) for part in name)
    return field(1, keys + field(16, (value if isinstance(value, str) else json.dumps(value)).encode()))


def history(step: int, **values: Any) -> bytes:
    return field(2, b"".join(item(name, value) for name, value in {"_step": step, **values}.items()))


def log(*records: bytes, head: bytes = HEAD) -> bytes:
    """A file with these records, cut at the ends of blocks."""
    out = bytearray(head)
    for record in records:
        kinds = [1]
        parts = [record]
        room = BLOCK - len(out) % BLOCK
        if room < 7:
            out += bytes(room)
            room = BLOCK
        if len(record) > room - 7:
            parts, rest = [record[: room - 7]], record[room - 7 :]
            parts += [rest[i : i + BLOCK - 7] for i in range(0, len(rest), BLOCK - 7)]
            kinds = [2, *[3] * (len(parts) - 2), 4]
        for kind, part in zip(kinds, parts):
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
    return bytes(out)


def read(tmp_path: Path, data: bytes) -> Run:
    path = tmp_path / "run-abc.wandb"
    path.write_bytes(data)
    (run,) = read_wandb(path, name="run-abc.wandb")
    return run


def column(run: Run, metric: str) -> dict[float, float]:
    """The values of a metric by step."""
    table = run.table(metric)
    return dict(zip(table.numbers(table.index("_step")), table.numbers(table.index(metric))))


def test_a_file_that_the_package_wrote(tmp_path: Path) -> None:
    run = read(tmp_path, zlib.decompress(base64.b85decode(REAL)))
    assert (run.name, run.metrics) == ("calm-lake-3/abcd1234", ("train.loss", "val/acc"))
    assert column(run, "train.loss") == {0: 2.0, 1: 1.0, 2: 2 / 3}
    found = column(run, "val/acc")
    assert list(found.values())[:2] == [0.3, 0.5] and math.isnan(found[2])  # logged as float("nan")


def test_only_numbers_are_metrics(tmp_path: Path) -> None:
    rows = [
        history(0, acc=0.5, note="hello", flag=True, none=None, hist={"_type": "histogram", "bins": [1, 2]}),
        history(1, acc="Infinity", huge=10**400, small=1e-300),
    ]
    run = read(tmp_path, log(*rows))
    assert run.metrics == ("acc", "small")
    assert column(run, "acc") == {0: 0.5, 1: math.inf}


def test_a_step_may_stand_beside_the_items(tmp_path: Path) -> None:
    """As older versions write it: HistoryRecord.step."""
    rows = [field(2, item("acc", y) + field(2, bytes([8]) + varint(step))) for step, y in ((0, 0.1), (300, 0.2))]
    assert column(read(tmp_path, log(*rows)), "acc") == {0: 0.1, 300: 0.2}


def test_records_of_any_length(tmp_path: Path) -> None:
    """A record may end a few bytes before a block's end, where no header has room, and span many blocks."""
    path = tmp_path / "a.wandb"
    for length in (*range(BLOCK - 40, BLOCK + 10), 5 * BLOCK):
        written = [bytes([i]) * n for i, n in ((1, length), (2, 40), (3, 5))]
        path.write_bytes(log(*written))
        assert list(records(path)) == written


def test_what_was_not_yet_written_in_full_is_left_out(tmp_path: Path) -> None:
    """A live run: any length of the file reads, and no record comes that the whole file has not."""
    whole = log(*(history(i, acc=i / 10) for i in range(5)), bytes(2 * BLOCK), history(5, acc=0.5))
    path = tmp_path / "a.wandb"
    path.write_bytes(whole)
    everything = list(records(path))
    ends = 0
    for length in (*range(7, 400), *range(400, len(whole), 997), len(whole)):
        path.write_bytes(whole[:length])
        found = list(records(path))
        assert found == everything[: len(found)] and len(found) >= ends
        ends = len(found)
        path.write_bytes(whole[:length] + bytes(100_000 if length == len(whole) else 0))
    assert ends == len(everything) == 7
    assert list(records(path)) == everything  # zeros to the end, as a file system leaves them after a crash


WRONG = {
    "another magic": (log(history(0, acc=1), head=b":W&B\xe1\xbf\0"), "no file of Weights & Biases"),
    "a later version": (log(history(0, acc=1), head=HEAD[:-1] + b"\1"), "is of version 1 of W&B's format"),
    "a piece past its block": (HEAD + struct.pack("<IHB", 0, 0xFFFF, 1), "byte 7: 65535 bytes where the block has"),
    "a piece without a beginning": (
        HEAD + struct.pack("<IHB", zlib.crc32(b"\4a"), 1, 4) + b"a",
        "byte 7: a record begins inside another, or goes on that never began",
    ),
    "no protobuf": (log(b"\x13\xff"), "record 1: no protobuf message"),
    "an unknown kind": (HEAD + struct.pack("<IHB", zlib.crc32(b"\7a"), 1, 7) + b"a", "byte 7: .*does not match"),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_errors_name_the_file_and_the_place(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"run-abc\.wandb.*{message}"):
        read(tmp_path, data)


@given(at=st.integers(0, 1530), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_read_as_a_value(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    """It is an error, or, where it made the last piece seem cut off, the end."""
    data = bytearray(zlib.decompress(base64.b85decode(REAL)))
    data[at % len(data)] ^= 1 << bit
    path = tmp_path_factory.mktemp("flipped") / "a.wandb"
    path.write_bytes(data)
    found, problem = [], ""
    try:
        found = read_wandb(path, name="a")
    except ValueError as error:
        problem = str(error)
    assert not problem or re.search(r"a\.wandb", problem)
    for run in found:
        values = [y for y in column(run, "val/acc").values() if y == y]
        assert values == [0.3, 0.5][: len(values)]


def test_hostile_values_do_not_end_in_other_errors(tmp_path: Path) -> None:
    """JSON that is too deep or too long inside an item that claims to be a number."""
    for text in ("-" * 50, "1" * 5000, "1e999", "\u00ff", "nan"):
        rows = [history(0, acc=1.0), field(2, item("_step", 1) + item("odd", text))]
        assert read(tmp_path, log(*rows)).metrics[0] == "acc"


def test_a_file_is_known_by_its_first_bytes() -> None:
    assert is_wandb(log()) and not is_wandb(b"_step,acc") and not is_wandb(b"")


def test_runs_are_told_apart_and_read_by_every_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, lift in ((1, 0.0), (2, 0.1)):
        folder = tmp_path / "wandb" / f"offline-run-2026113{number}_120000-id{number}"
        (folder / "logs").mkdir(parents=True)
        (folder / "logs" / "debug.log").write_text("2026-11-30 INFO started\n")
        about = field(17, field(1, f"id{number}".encode()) + field(8, f"lake-{number}".encode()))
        rows = [history(i, **{"val/acc": 0.3 + lift + i / 20}) for i in range(4)]
        (folder / f"run-id{number}.wandb").write_bytes(log(about, *rows))
    (tmp_path / "wandb" / "latest-run").symlink_to(folder)
    with pytest.raises(ValueError, match="holds 2 runs with val_acc: lake-1/id1, lake-2/id2; say --run NAME"):
        logs.read(tmp_path / "wandb", metric="val_acc")
    for run in ("lake-2", "id2", "lake-2/id2"):
        assert logs.read(tmp_path, metric="val_acc", run=run).y[0] == 0.4
    for where in (folder, folder / "run-id2.wandb"):
        assert cli.main(["predict", str(where), "--horizon", "9", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["column"], document["observed"]["count"]) == ("val/acc", 4)
        assert document["metric"] == {"direction": "max", "bounds": [0, 1]}
