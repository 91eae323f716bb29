"""Typed files: recorded folders round-trip, and every kind of damage is one line that says where and what."""

import json
import math
from pathlib import Path

import msgspec
import pytest
from runs import default_summary, fail, worker_row, write_run

from common.errors import ConfigError, DeadlineExceeded
from common.records.recorder import StepRecord
from common.records.stage_clock import STAGES
from experiments.machine.environment import environment
from experiments.schema.documents import Bench, Environment, ErrorRecord, PerRank, Summary
from experiments.schema.files import (
    iter_lines,
    read_document,
    read_events,
    read_lines,
    to_builtins,
    to_line,
    write_document,
)
from experiments.schema.records import (
    BenchBlock,
    JournalEntry,
    LostEvent,
    PushEvent,
    ServerStepRow,
    StageSeconds,
    StepRow,
)

SECONDS = dict.fromkeys(STAGES, 0.25)
RECORDED = Path(__file__).parent / "recorded"
REFERENCE = Path(__file__).parent.parent / "results" / "reference"
DOCUMENTS = {"summary.json": Summary, "env.json": Environment, "bench.json": Bench}
FILES = [file for root in (RECORDED, REFERENCE) for file in sorted(root.rglob("*.json*"))]
HARMLESS = {"loss": None, "samples": [], "skipped": False, "transport": None, "link": None}  # may be absent


def kind_of(file):
    if file.name in DOCUMENTS:
        return DOCUMENTS[file.name]
    if file.name == "cells.jsonl":
        return JournalEntry
    if (file.parent.parent / "bench.json").exists():
        return BenchBlock
    return StepRow if file.stem.endswith("worker") else ServerStepRow


def plain(value):
    """Without keys whose absence means the same as their value."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if not (key in HARMLESS and each == HARMLESS[key])}
    return [plain(each) for each in value] if isinstance(value, list) else value


def journal(tmp_path, text):
    file = tmp_path / "cells.jsonl"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def written(tmp_path, name="summary.json", **changes):
    file = tmp_path / name
    file.write_text(json.dumps({**default_summary("ring", 3, SECONDS), **changes}))
    return file


def refusal(read):
    with pytest.raises(ConfigError) as raised:
        read()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(file.parts[-3:]))
def test_every_recorded_file_is_read_and_written_again_with_the_same_content(file, tmp_path):
    if file.name in DOCUMENTS:
        write_document(tmp_path / "copy.json", read_document(file, kind_of(file)))
        pairs = [(json.loads(file.read_text()), json.loads((tmp_path / "copy.json").read_text()))]
    else:
        found = read_events(file) if file.name.endswith(".events.jsonl") else iter_lines(file, kind_of(file))
        lines = file.read_text().splitlines()
        pairs = [(json.loads(line), json.loads(to_line(record))) for line, record in zip(lines, found, strict=True)]
    for before, after in pairs:
        assert plain(after) == plain(before)


def test_the_environment_and_the_rows_that_this_version_writes_are_read(tmp_path):
    write_document(tmp_path / "env.json", environment())
    assert read_document(tmp_path / "env.json", Environment) == environment()
    file = tmp_path / "0-worker.jsonl"
    file.write_text(StepRecord(3, "worker", 7, 1.0, 2.0, SECONDS, 0.5, ["ab"], skipped=True).line())
    (row,) = read_lines(file, StepRow)
    seconds = StageSeconds(**SECONDS)
    assert row == StepRow(
        step=3, worker=7, loss=0.5, samples=("ab",), began=1.0, ended=2.0, seconds=seconds, skipped=True
    )
    file.write_text(StepRecord(3, "server", 7, 1.0, 2.0, SECONDS).line())
    assert read_lines(file, ServerStepRow) == (ServerStepRow(step=3, server=7, began=1.0, ended=2.0, seconds=seconds),)


def test_the_stages_are_the_fields_of_their_seconds_in_order():
    assert StageSeconds.__struct_fields__ == STAGES
    assert StageSeconds(load=2.0).by_stage() == {**dict.fromkeys(STAGES, 0.0), "load": 2.0}


def test_an_error_has_the_keys_that_it_is_recorded_with(tmp_path):
    place = {"rank": 1, "role": "worker", "stage": "train", "step": 3}
    for record in (
        DeadlineExceeded("late", peers=(2, 3), bucket=1, **place).record(),
        {"type": "KeyboardInterrupt", **dict.fromkeys(place), "cause": "interrupted"},
    ):
        summary = read_document(written(tmp_path, error=record), Summary)
        assert to_builtins(summary)["error"] == record
    assert isinstance(summary.error, ErrorRecord)


def test_a_failed_run_is_read_and_counts_are_by_rank(tmp_path):
    summary = read_document(write_run(tmp_path, "ps-bsp", **fail()) / "summary.json", Summary)
    assert (summary.status, summary.error.rank, summary.bytes_sent, summary.stage_seconds) == ("failed", 2, None, None)
    counts = {"per_worker": [1, None], "per_server": []}
    summary = read_document(written(tmp_path, bytes_sent=counts), Summary)
    assert summary.bytes_sent == PerRank(per_worker=(1, None))


def test_unknown_keys_are_ignored(tmp_path):
    summary = read_document(written(tmp_path, later={"a": 1}, error={**fail()["error"], "later": 2}), Summary)
    assert summary.error.cause == "killed by signal 9"


def test_numbers_that_json_cannot_hold_are_none_and_are_written_as_null(tmp_path):
    file = written(tmp_path, samples_per_second=math.inf, final_loss=math.nan, staleness_histogram={"2": 5})
    summary = read_document(file, Summary)
    assert (summary.samples_per_second, summary.final_loss, summary.staleness_histogram) == (None, None, {2: 5})
    write_document(file, msgspec.structs.replace(summary, final_loss=math.nan))
    assert "NaN" not in file.read_text()
    assert read_document(file, Summary) == summary
    rows = tmp_path / "0-worker.jsonl"
    rows.write_text("".join(json.dumps(worker_row(step, 0, SECONDS) | {"loss": math.nan}) + "\n" for step in (0, 1)))
    assert [(row.step, row.loss) for row in read_lines(rows, StepRow)] == [(0, None), (1, None)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": "two"}, "is damaged: $.workers: expected int, got str"),
        ({"batch": True}, "is damaged: $.batch: expected int, got bool"),
        ({"workers": None}, "is damaged: $.workers: expected int, got null"),
        ({"parameters": 10**400}, "is damaged: $.parameters: expected int <= 9223372036854775807"),
        ({"steps": -1}, "is damaged: $.steps: expected int >= 0"),
        (
            {"bytes_sent": {"per_worker": ["x"]}},
            "is damaged: $.bytes_sent.per_worker[0]: expected int | null, got str",
        ),
        ({"deaths": {}}, "is damaged: $.deaths: expected array, got object"),
        ({"error": {}}, "is damaged: $.error.type is missing and must be there"),
        (
            {"status": "f\no"},
            "is damaged: $.status: invalid enum value 'f\\no'; expected 'failed', 'ok', 'partial'",
        ),
        ({"schema": 2}, "has schema 2; this version reads schema 1"),
        ({"schema": 2, "workers": "two"}, "has schema 2; this version reads schema 1"),
        ({"schema": "x"}, "is damaged: $.schema: expected int | null, got str"),
    ],
)
def test_a_summary_of_another_kind_is_refused_by_key(tmp_path, changes, words):
    file = written(tmp_path, **changes)
    assert refusal(lambda: read_document(file, Summary)) == f"{file} {words}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; a JSON object is expected"),
        (b" \n", "is empty; a JSON object is expected"),
        (b"{", "is not valid JSON: input data was truncated"),
        (b"\xe9", "is not valid JSON: invalid character (byte 0)"),
        (b'{"schema": 1, "status": "\xe9"}', "is not valid JSON: invalid UTF-8 encoded string"),
        (b'{"schema": 1} {', "is not valid JSON: trailing characters (byte 15)"),
        (b'{"schema": NaN', "is not valid JSON: expecting"),
        (b"[]", "does not hold a JSON object: expected object, got array"),
        (b"{}", "is damaged: $.schema is missing and must be there"),
        (b'{"schema": 1, "a": ' + b"[" * 100_000, "is not valid JSON: maximum recursion depth exceeded"),
    ],
)
def test_a_document_that_is_no_json_object_is_refused(tmp_path, data, words):
    file = tmp_path / "summary.json"
    file.write_bytes(data)
    assert refusal(lambda: read_document(file, Summary)).startswith(f"{file} {words}")


@pytest.mark.parametrize("key", ["status", "strategy", "workers", "processes", "transport"])
def test_a_missing_key_is_named(tmp_path, key):
    summary = default_summary("ring", 3, SECONDS)
    del summary[key]
    file = tmp_path / "summary.json"
    file.write_text(json.dumps(summary))
    assert refusal(lambda: read_document(file, Summary)) == f"{file} is damaged: $.{key} is missing and must be there"


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    words = "cannot be read: no such file or directory"
    assert words in refusal(lambda: read_document(tmp_path / "summary.json", Summary))
    assert words in refusal(lambda: read_lines(tmp_path / "0-worker.jsonl", StepRow))
    assert "cannot be read: is a directory" in refusal(lambda: read_document(tmp_path, Summary))


@pytest.mark.parametrize("rest", ['{"cell": "b", "rep', '{"cell": "b"}', '"é', b"\xc3", "\x00"])
def test_a_last_line_that_was_cut_short_is_left_out(tmp_path, rest):
    entry = JournalEntry(cell="a", repeat=1, status="ok", folder="f", error=None, seconds=2)
    rest = rest.encode() if isinstance(rest, str) else rest
    assert read_lines(journal(tmp_path, to_line(entry) + rest), JournalEntry) == (entry,)
    assert read_lines(journal(tmp_path, rest), JournalEntry) == ()
    assert read_lines(journal(tmp_path, ""), JournalEntry) == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rubbish", "is not valid JSON: invalid character (byte 0)"),
        ('{"cell": "b", "rep', "is not valid JSON: input data was truncated"),
        ("[1, 2]", "does not hold a JSON object: expected object, got array"),
        ("{}", "is damaged: $.cell is missing and must be there"),
        ('{"cell": 1}', "is damaged: $.cell: expected str, got int"),
        ('{"cell": "b", "repeat": 1, "status": "odd"}', "invalid enum value 'odd'; expected 'failed', 'ok'"),
    ],
)
def test_a_line_that_is_damaged_is_refused_with_its_number(tmp_path, line, words):
    good = to_line(JournalEntry(cell="a", repeat=1, status="ok", folder="f", error=None, seconds=2)).decode()
    file = journal(tmp_path, f"{good}\n{good}{line}\n{good}")
    said = refusal(lambda: read_lines(file, JournalEntry))
    assert said.startswith(f"{file}, line 4 ")
    assert words in said


def test_the_number_of_a_line_counts_from_the_start_of_a_long_file(tmp_path):
    line = to_line(ServerStepRow(step=1, server=0, began=0.0, ended=1.0, seconds=StageSeconds()))
    several = 20_000
    file = tmp_path / "0-server.jsonl"
    file.write_bytes(line * several)
    assert sum(1 for _ in iter_lines(file, ServerStepRow)) == several
    file.write_bytes(line * several + b"{}\n" + line)
    assert f"line {several + 1} is damaged: $.step is missing" in refusal(lambda: read_lines(file, ServerStepRow))


def test_events_that_a_strategy_named_itself_are_passed_over_and_damaged_ones_are_not(tmp_path):
    push = PushEvent(worker=1, step=2, applied=2, staleness=0, version=2, waited=None, outcome="applied", at=0.5)
    lost = LostEvent(worker=1, step=2, pushes=3)
    file = tmp_path / "4-server.events.jsonl"
    file.write_bytes(to_line(push) + b'{"at": 1.0, "event": "elected", "worker": "me"}\n' + to_line(lost))
    assert list(read_events(file)) == [push, lost]
    for damage, words in (
        (b'{"event": "lost", "worker": 1}', "$.step is missing"),
        (b'{"worker": 1}', "$.event is missing"),
        (to_line(push).strip().replace(b'"applied"}', b'"odd"}'), "odd"),
    ):
        file.write_bytes(to_line(push) + damage + b"\n")
        said = refusal(lambda: list(read_events(file)))
        assert "4-server.events.jsonl, line 2 is damaged: $." in said
        assert words in said
