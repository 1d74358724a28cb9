"""Event files: what TensorBoard's own writers leave, every form of a scalar, and files that were cut off or damaged."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcpfn
from lcpfn import logs
from lcpfn.curve import Reading
from lcpfn.logs.tensorboard import fields, masked_crc, records

LOSS = [0.9, 0.7, 0.5, 0.45]


def counted(curve: lcpfn.Curve) -> bool:
    """Whether the times are 1, 2, 3, ..."""
    return curve.t.tolist() == list(range(1, len(curve) + 1))


def reading(curve: lcpfn.Curve) -> Reading:
    assert curve.reading is not None
    return curve.reading


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | float | bytes) -> bytes:
    """A field of a message: an int as varint, a float as 8 bytes, bytes with their length."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def event(step: int, *values: bytes, wall_time: float = 1.7e9) -> bytes:
    """A record of an Event with a Summary of these values."""
    summary = b"".join(field(1, value) for value in values)
    return record(field(1, wall_time) + field(2, step) + field(5, summary))


def simple(tag: str, value: float) -> bytes:
    return field(1, tag.encode()) + single(2, value)


def tensor(tag: str, data: bytes, *, plugin: str | None = "scalars") -> bytes:
    metadata = b"" if plugin is None else field(9, field(1, field(1, plugin.encode())))
    return field(1, tag.encode()) + field(8, data) + metadata


def write(
    folder: Path, *events: bytes, name: str = "events.out.tfevents.1700000000.host.1.0", begun: float = 1.7e9
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(record(field(1, begun) + field(3, b"brain.Event:2")) + b"".join(events))
    return path


def epochs(tag: str, values: list[float], *, start: int = 0) -> list[bytes]:
    return [event(step, simple(tag, value)) for step, value in enumerate(values, start)]


def test_scalars_of_a_file_and_of_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *epochs("val/loss", LOSS), *epochs("val/acc", [0.1, 0.2]))
    for source in (path, path.parent, str(tmp_path)):
        curve = logs.read(source, metric="val_loss")
        assert (curve.name, curve.clock, counted(curve)) == ("val/loss", "step", True)
        np.testing.assert_array_equal(curve.y, np.float32(LOSS))
        assert curve.metric is not None and (curve.metric.direction, curve.metric.bounds) == ("min", (0, None))
    assert logs.read(path).name == "val/acc"
    found = logs.runs(path.parent)
    assert found is not None and [(run.name, run.metrics) for run in found] == [("run", ("val/loss", "val/acc"))]


FORMS = {  # TensorProto: dtype (1), tensor_shape (2), tensor_content (4), float_val (5), double_val (6), ...
    "float_val": (field(1, 1) + field(2, b"") + field(5, struct.pack("<f", 0.75)), 0.75),
    "float_val, not packed": (field(1, 1) + single(5, 0.75), 0.75),
    "float content": (field(1, 1) + field(4, struct.pack("<f", 0.75)), 0.75),
    "double_val": (field(1, 2) + field(6, struct.pack("<d", 1 / 3)), 1 / 3),
    "double_val, not packed": (field(1, 2) + field(6, 1 / 3), 1 / 3),
    "double content": (field(1, 2) + field(4, struct.pack("<d", 1 / 3)), 1 / 3),
    "half_val": (field(1, 19) + field(13, varint(0x3A00)), 0.75),
    "half_val, not packed": (field(1, 19) + field(13, 0x3A00), 0.75),
    "half content": (field(1, 19) + field(4, struct.pack("<e", 0.75)), 0.75),
    "bfloat16": (field(1, 14) + field(13, varint(0x3F40)), 0.75),
    "int_val": (field(1, 3) + field(7, varint(3)), 3),
    "negative int64_val": (field(1, 9) + field(10, varint(-3)), -3),
    "int64 content": (field(1, 9) + field(4, struct.pack("<q", -3)), -3),
    "shape (1,)": (field(1, 1) + field(2, field(2, field(1, 1))) + field(5, struct.pack("<f", 0.75)), 0.75),
    "zero": (field(1, 1) + field(5, struct.pack("<f", 0.0)), 0),
    "nan": (field(1, 1) + field(5, struct.pack("<f", float("nan"))), float("nan")),
    "inf": (field(1, 2) + field(6, struct.pack("<d", float("inf"))), float("inf")),
}


@pytest.mark.parametrize(("data", "value"), FORMS.values(), ids=FORMS)
def test_every_form_of_a_tensor(tmp_path: Path, data: bytes, value: float) -> None:
    plugins = ("scalars", None)  # metadata comes with the first value of a tag alone
    path = write(tmp_path, *(event(step, tensor("m", data, plugin=plugin)) for step, plugin in enumerate(plugins)))
    with_other = [event(2, simple("m", 0.5))]
    path.write_bytes(path.read_bytes() + b"".join(with_other))
    expected = value if np.isfinite(value) else np.nan
    np.testing.assert_array_equal(logs.read(path).y, [expected, expected, 0.5])


@pytest.mark.parametrize(
    "value",
    [
        tensor("x", field(1, 7) + field(8, b"a text"), plugin="text"),
        tensor("x", field(1, 1) + field(4, struct.pack("<2f", 1, 2))),  # two numbers
        tensor("x", field(1, 1) + field(5, struct.pack("<2f", 1, 2))),
        tensor("x", field(1, 9) + field(10, varint(1) + varint(2))),
        tensor("x", field(1, 1) + field(5, struct.pack("<f", 1)), plugin="pr_curves"),
        tensor("x", field(1, 99) + field(5, struct.pack("<f", 1))),
        tensor("x", b""),
        field(1, b"x") + field(4, b"a picture"),
    ],
)
def test_what_is_no_scalar_is_passed_over(tmp_path: Path, value: bytes) -> None:
    path = write(tmp_path, event(0, value), event(0, simple("acc", 0.5)), event(1, value), event(1, simple("acc", 0.6)))
    found = logs.runs(path)
    assert found is not None and found[0].metrics == ("acc",)


def test_large_records_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, *epochs("acc", [0.1]))
    with path.open("ab") as file:
        size = struct.pack("<Q", 3 << 20)
        file.write(size + struct.pack("<I", masked_crc(size)) + bytes((3 << 20) + 4))  # its data is not looked at
        file.write(event(1, simple("acc", 0.2)))
    np.testing.assert_allclose(logs.read(path).y, [0.1, 0.2])


def test_a_last_record_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, *epochs("acc", LOSS))
    whole = path.read_bytes()
    last = len(event(3, simple("acc", LOSS[3])))
    for missing in range(1, last + 1):
        path.write_bytes(whole[:-missing])
        np.testing.assert_array_equal(logs.read(path).y, np.float32(LOSS[:3]))
    path.write_bytes(whole + bytes(40))  # as a file system leaves it after a crash
    np.testing.assert_array_equal(logs.read(path).y, np.float32(LOSS))


def test_a_wrong_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, *epochs("acc", LOSS))
    whole = path.read_bytes()
    for at in range(12, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"byte \d+: the checksum does not match"):
            logs.read(path)


def test_a_file_with_right_checksums_that_is_none_of_tensorboard(tmp_path: Path) -> None:
    path = write(tmp_path, record(b"\x0a\xff"))
    with pytest.raises(ValueError, match=r"record 2: no protobuf message: .*; the file is damaged, or none of"):
        logs.read(path)


@pytest.mark.parametrize("content", [b"", record(field(1, 1.7e9) + field(3, b"brain.Event:2")), b"\0" * 64, b"\x18"])
def test_a_file_without_scalars(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no number yet"):
        logs.read(path, metric="acc")
    with pytest.raises(ValueError, match="holds no log that can be read: no event file"):
        logs.read(tmp_path)


def test_a_restart_counts_from_its_first_step(tmp_path: Path) -> None:
    """The order of files is that of their first events; by name it would be another one here."""
    write(tmp_path, *epochs("acc", [0.1, 0.2, 0.3, 0.4, 0.5]), name="events.out.tfevents.9.host", begun=1.0)
    write(tmp_path, *epochs("acc", [0.35, 0.45], start=2), name="events.out.tfevents.10.host", begun=2.0)
    curve = logs.read(tmp_path, metric="acc")
    np.testing.assert_allclose(curve.y, [0.1, 0.2, 0.35, 0.45])  # 0.5 at step 4 belongs to what was given up
    write(tmp_path, *epochs("acc", [0.48], start=4), name="events.out.tfevents.11.host", begun=3.0)
    np.testing.assert_allclose(logs.read(tmp_path, metric="acc").y, [0.1, 0.2, 0.35, 0.45, 0.48])


def test_a_session_that_starts_at_a_step_purges_what_follows(tmp_path: Path) -> None:
    start = record(field(1, 1.7e9) + field(2, 1) + field(7, field(1, 1)))
    path = write(tmp_path, *epochs("acc", [0.1, 0.2, 0.3]), start, *epochs("acc", [0.25], start=1))
    np.testing.assert_allclose(logs.read(path).y, [0.1, 0.25])


def test_steps_in_any_order_and_again(tmp_path: Path) -> None:
    steps = [(0, 0.1), (2, 0.3), (1, 0.9), (1, 0.2), (3, 0.4)]
    path = write(tmp_path, *(event(step, simple("acc", value)) for step, value in steps))
    curve = logs.read(path)
    np.testing.assert_allclose(curve.y, [0.1, 0.2, 0.3, 0.4])
    far = write(tmp_path / "far", *(event(100 * step + 99, simple("acc", value)) for step, value in steps))
    with pytest.raises(ValueError, match="say --time-column step to use its times, or --time-column rows"):
        logs.read(far)
    np.testing.assert_array_equal(logs.read(far, clock="step").t, [99, 199, 299, 399])
    np.testing.assert_allclose(logs.read(far, clock="rows").y, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("tag", ["epoch", "train/epoch"])  # of Lightning, of Hugging Face
def test_epochs_that_were_logged_are_times(tmp_path: Path, tag: str) -> None:
    events = []
    for epoch in range(3):
        for step in (10 * epoch + 4, 10 * epoch + 9):
            events += [event(step, simple("train_loss", 1 / (1 + step))), event(step, simple(tag, epoch))]
        events += [event(10 * epoch + 9, simple("val_acc", 0.1 * epoch)), event(10 * epoch + 9, simple(tag, epoch))]
    path = write(tmp_path, *events)
    curve = logs.read(path, metric="val_acc")
    assert (curve.clock, counted(curve)) == ("epoch", True)
    np.testing.assert_allclose(curve.y, [0, 0.1, 0.2])
    with pytest.raises(ValueError, match=r"column step goes 4, 9, 14\.\.\."):  # epochs stand still
        logs.read(path, metric="train_loss")
    assert len(logs.read(path, metric="train_loss", clock="step")) == 6


def test_folders_of_keras_are_runs(tmp_path: Path) -> None:
    write(tmp_path / "train", *epochs("epoch_accuracy", [0.3, 0.5]), *epochs("epoch_lr", [0.1, 0.1]))
    write(tmp_path / "validation", *epochs("epoch_accuracy", [0.2, 0.4]))
    with pytest.raises(ValueError, match="2 runs with epoch_accuracy: train, validation; say --run NAME"):
        logs.read(tmp_path, metric="epoch_accuracy")
    np.testing.assert_allclose(logs.read(tmp_path, metric="epoch_accuracy", run="validation").y, [0.2, 0.4])
    np.testing.assert_allclose(logs.read(tmp_path, metric="epoch_lr").y, [0.1, 0.1])  # one run alone has it
    with pytest.raises(ValueError, match="no metric 'epoch_loss', only epoch_accuracy, epoch_lr"):
        logs.read(tmp_path, metric="epoch_loss")
    with pytest.raises(ValueError, match="no run 'test', only train, validation"):
        logs.read(tmp_path, metric="epoch_accuracy", run="test")


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 40))
def test_any_records_come_back_as_far_as_they_are_whole(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], missing: int
) -> None:
    path = tmp_path_factory.mktemp("records") / "x"
    data = b"".join(map(record, contents))
    path.write_bytes(data[: max(len(data) - missing, 0)])
    whole, left = 0, len(path.read_bytes())
    while whole < len(contents) and left >= len(record(contents[whole])):
        left -= len(record(contents[whole]))
        whole += 1
    assert list(records(path)) == contents[:whole]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    found, message = [], "no protobuf message"
    try:
        found = list(fields(data))
    except ValueError as error:
        message = str(error)
    assert message.startswith("no protobuf message")
    assert all(number >= 0 for number, _ in found)


def test_what_tensorboards_own_writer_leaves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.summary import Writer

    writer = Writer(str(tmp_path))
    for step, value in enumerate(LOSS):
        writer.add_scalar("val/loss", np.float64(value), step)  # a tensor of floats
        writer.add_scalar("val/acc", 1 - value, step)
    writer.close()
    curve = logs.read(tmp_path, metric="val/loss")
    np.testing.assert_array_equal(curve.y, np.float32(LOSS))
    np.testing.assert_array_equal(logs.read(tmp_path).y, np.float32(1 - np.array(LOSS)))


def test_what_torchs_writer_leaves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    tensorboard: Any = pytest.importorskip("torch.utils.tensorboard")

    def run(values: list[float], start: int, **options: Any) -> None:
        writer = tensorboard.SummaryWriter(str(tmp_path), **options)
        for step, value in enumerate(values, start):
            writer.add_scalar("val/loss", value, step)
            writer.add_scalar("new", value, step, new_style=True)
            writer.add_histogram("weights", np.arange(10.0), step)
            writer.add_text("note", "a text", step)
        writer.close()

    run([*LOSS, 9.0], 0)
    run([0.4, 0.3], 4, purge_step=4, filename_suffix=".again")
    for metric in ("val/loss", "new"):
        np.testing.assert_array_equal(logs.read(tmp_path, metric=metric).y, np.float32([*LOSS, 0.4, 0.3]))
    found = logs.runs(tmp_path)
    assert found is not None and found[0].metrics == ("val/loss", "new")
