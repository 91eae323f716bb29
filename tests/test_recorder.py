"""Recorded rows are whole lines in the file at once, and no other file is touched."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.records.recorder import EventLog, Recorder, StepRecord, whole_lines
from common.records.stage_clock import STAGES

SECONDS = dict(zip(STAGES, (0.5, 0.25, 0.125, 2.0, 4.0, 8.0), strict=True))
WORKER = StepRecord(
    3, "worker", 1, began=100.5, ended=115.375, seconds=SECONDS, loss=2.5, samples=["ab", "cd"], hidden_seconds=0.25
)
SERVER = StepRecord(0, "server", 4, began=101.0, ended=102.0, seconds=SECONDS)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.floats(0.0, 1e6)


@pytest.fixture
def recorder(tmp_path):
    recorder = Recorder(tmp_path / "0.jsonl")
    yield recorder
    recorder.close()


# --- records ---


def test_a_workers_record_says_step_rank_loss_samples_and_times():
    assert json.loads(WORKER.line()) == {
        "step": 3,
        "worker": 1,
        "loss": 2.5,
        "samples": ["ab", "cd"],
        "began": 100.5,
        "ended": 115.375,
        "seconds": SECONDS,
        "hidden_seconds": 0.25,
    }


def test_a_step_that_was_skipped_says_so_and_has_samples_and_no_loss():
    row = json.loads(StepRecord(3, "worker", 1, 1.0, 2.0, SECONDS, samples=["ab"], skipped=True).line())
    assert (row["skipped"], row["loss"], row["samples"]) == (True, None, ["ab"])


def test_a_servers_record_has_neither_loss_nor_samples():
    row = json.loads(SERVER.line())
    assert (row["step"], row["server"], row["loss"], row["samples"]) == (0, 4, None, [])
    assert "worker" not in row


def test_times_are_counted_from_the_epoch_and_stages_are_not():
    row = json.loads(WORKER.line(epoch=100.0))
    assert (row["began"], row["ended"]) == (0.5, 15.375)
    assert row["seconds"] == SECONDS


@given(st.integers(-2, 2**62), st.integers(0, 2**16), MOMENTS, st.lists(MOMENTS, min_size=6, max_size=6), FINITE)
def test_a_record_is_one_line_of_json_whatever_its_numbers(step, rank, moment, seconds, loss):
    record = StepRecord(step, "worker", rank, moment, moment, dict(zip(STAGES, seconds, strict=True)), loss, ["ab"] * 9)
    line = record.line()
    row = json.loads(line)
    assert line.count("\n") == 1
    assert line.endswith("}\n")
    assert (row["step"], row["worker"], row["loss"], row["samples"]) == (step, rank, loss, ["ab"] * 9)
    assert list(row["seconds"].values()) == pytest.approx(seconds, abs=1e-7)


# --- the file ---


def test_every_record_is_a_line_in_order_that_can_be_read_at_once(recorder):
    for count, record in enumerate((WORKER, SERVER, WORKER), start=1):
        recorder.write(record)
        assert recorder.path.read_text().count("\n") == count
    assert recorder.path.read_text() == WORKER.line() + SERVER.line() + WORKER.line()


def test_the_file_counts_from_its_epoch(tmp_path):
    recorder = Recorder(tmp_path / "0.jsonl", epoch=100.0)
    recorder.write(WORKER)
    recorder.close()
    assert recorder.path.read_text() == WORKER.line(100.0)


def test_each_record_is_one_call_to_the_operating_system(recorder, monkeypatch):
    written = []
    monkeypatch.setattr(os, "write", lambda fd, line: written.append(line) or len(line))
    for record in (WORKER, SERVER):
        recorder.write(record)
    assert written == [WORKER.line().encode(), SERVER.line().encode()]


def test_an_existing_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "0.jsonl"
    path.write_text("precious\n")
    with pytest.raises(FileExistsError):
        Recorder(path)
    assert path.read_text() == "precious\n"


def test_a_link_to_nowhere_is_refused_too(tmp_path):
    link = tmp_path / "0.jsonl"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        Recorder(link)
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_is_an_error(recorder):
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, recorder._fd)
    finally:
        os.close(full)
    with pytest.raises(OSError, match="No space left"):
        recorder.write(WORKER)


def test_a_disk_that_had_room_for_half_a_record_is_an_error(recorder, monkeypatch):
    monkeypatch.setattr(os, "write", lambda fd, line: len(line) - 1)
    with pytest.raises(OSError, match=r"0\.jsonl: no room for a whole row"):
        recorder.write(WORKER)


def test_a_closed_recorder_lets_go_of_its_file(tmp_path):
    recorder = Recorder(tmp_path / "0.jsonl")
    fd = recorder._fd
    recorder.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_events_are_lines_of_json_with_the_time_since_the_epoch(tmp_path):
    events = EventLog(tmp_path / "e.jsonl", lambda: 12.5, epoch=10.0)
    assert not events.path.exists()
    events.write({"worker": 3})
    events.write({"worker": 4, "step": 7})
    events.close()
    rows = [json.loads(line) for line in events.path.read_text().splitlines()]
    assert rows == [{"at": 2.5, "worker": 3}, {"at": 2.5, "worker": 4, "step": 7}]


def test_events_never_go_into_a_file_that_is_there(tmp_path):
    (tmp_path / "e.jsonl").write_text("")
    with pytest.raises(FileExistsError):
        EventLog(tmp_path / "e.jsonl", lambda: 0.0).write({})


# --- coming back ---


def records(*steps):
    return [StepRecord(step, "worker", 1, began=1.0, ended=2.0, seconds=SECONDS, loss=0.5) for step in steps]


def steps_in(path):
    return [json.loads(row)["step"] for row in path.read_text().splitlines()]


@pytest.mark.parametrize(("to", "left"), [(0, []), (3, [0, 1, 2]), (9, [0, 1, 2, 3, 4])])
def test_a_rewound_file_goes_on_as_if_the_later_steps_had_not_been(recorder, to, left):
    for record in records(*range(5)):
        recorder.write(record)
    recorder.rewind(to)
    assert steps_in(recorder.path) == left
    recorder.write(*records(to))
    assert steps_in(recorder.path) == [*left, to]


def test_a_rank_that_comes_back_goes_on_in_its_file_without_the_row_that_was_cut_short(recorder):
    for record in records(0, 1):
        recorder.write(record)
    with open(recorder.path, "ab") as file:
        file.write(b'{"step":2,"wor')
    again = Recorder(recorder.path, resumed=True)
    again.rewind(2)
    again.write(*records(2))
    again.close()
    assert steps_in(recorder.path) == [0, 1, 2]


def test_a_rank_that_comes_back_before_it_wrote_anything_makes_its_file(tmp_path):
    Recorder(tmp_path / "0.jsonl", resumed=True).close()
    assert (tmp_path / "0.jsonl").read_bytes() == b""


def test_events_are_rewound_and_go_on_too(tmp_path):
    path = tmp_path / "e.jsonl"
    events = EventLog(path, lambda: 0.0)
    events.rewind(0)
    for step in (0, 0, 1, 1, 2):
        events.write({"step": step})
    events.close()
    again = EventLog(path, lambda: 0.0, resumed=True)
    again.rewind(1)
    again.write({"note": "without a step"})
    again.write({"step": 1})
    again.close()
    assert [json.loads(row).get("step") for row in path.read_text().splitlines()] == [0, 0, None, 1]


# --- reading ---


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"", []),
        (b"{}\n[]\n", [b"{}\n", b"[]\n"]),
        (b"{}\n[1]", [b"{}\n"]),
        (b"\n\xc3", [b"\n"]),
        (b"1\r\x0c\n2\n", [b"1\r\x0c\n", b"2\n"]),
    ],
)
def test_a_line_ends_with_a_newline_or_was_not_written_whole(tmp_path, written, lines):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(written)
    assert list(whole_lines(file)) == lines
