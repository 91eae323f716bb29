"""Damaged results: every verb that reads them says in one line which file and which key is damaged."""

import json
import subprocess

import pytest
from runs import write_run
from sweeps import entry, pretend

from experiments.schema.files import to_line

READERS = ("compare", "plot", "report")


def edit(file, **changes):
    """Change keys of a JSON file; a key that becomes `...` is removed."""
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": ...}, "is damaged: $.workers is missing and must be there"),
        ({"batch": "many"}, "is damaged: $.batch: expected int, got str"),
        ({"bytes_sent": {"per_worker": ["x"]}}, "$.bytes_sent.per_worker[0]: expected int | null, got str"),
        ({"status": "odd"}, "$.status: invalid enum value 'odd'; expected 'failed', 'ok', 'partial'"),
        ({"schema": 2}, "has schema 2; this version reads schema 1"),
    ],
)
def test_a_damaged_summary_is_one_line_with_the_file_and_the_key(tmp_path, answer, verb, changes, words):
    write_run(tmp_path, "single", name="1")
    bad = write_run(tmp_path, "ring", name="2")
    edit(bad / "summary.json", **changes)
    code, out, err = answer(verb, tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"syncbench: {bad / 'summary.json'} ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", READERS)
def test_a_cut_summary_is_one_line_with_the_file(tmp_path, answer, verb):
    folder = write_run(tmp_path, "ring")
    file = folder / "summary.json"
    file.write_text(file.read_text()[:100])
    assert answer(verb, folder) == (2, "", f"syncbench: {file} is not valid JSON: input data was truncated\n")


@pytest.mark.parametrize("verb", READERS)
def test_records_whose_last_line_was_cut_short_are_read_without_it(tmp_path, answer, verb):
    folder = write_run(tmp_path, "ring")
    file = folder / "ranks" / "0-worker.jsonl"
    file.write_text(file.read_text()[:-10])
    assert answer(verb, folder)[0] == 0


@pytest.mark.parametrize("verb", READERS)
def test_a_damaged_record_is_one_line_with_the_file_and_the_line(tmp_path, answer, verb):
    folder = write_run(tmp_path, "ring")
    file = folder / "ranks" / "0-worker.jsonl"
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text(first.replace('"began"', '"gone"') + "".join(rest))
    said = f"syncbench: {file}, line 1 is damaged: $.began is missing and must be there\n"
    assert answer(verb, folder) == (2, "", said)


@pytest.fixture
def begun(answer, tmp_path, monkeypatch):
    """The folder of a sweep of which nothing was run yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pretend)
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    assert answer("sweep", "--strategies", "ring", "--repeats", "1", "--results", "r")[0] == 0
    (folder,) = (tmp_path / "r").iterdir()
    return folder


@pytest.mark.parametrize("verb", [("sweep", "--resume"), ("compare",)])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"cell": "ring"}\n', "is damaged: $.repeat is missing and must be there"),
        ('{"cell": "ring", "rep\n', "is not valid JSON: input data was truncated"),
        (to_line(entry("ring", 1, "f")).decode().replace('"ok"', '"odd"'), "$.status: invalid enum value 'odd'"),
    ],
)
def test_a_damaged_journal_is_one_line_with_the_file_and_the_line(begun, answer, verb, line, words):
    write_run(begun, "ring")
    (begun / "cells.jsonl").write_text(line)
    code, out, err = answer(*verb, begun)
    assert (code, out) == (2, "")
    assert f"{begun / 'cells.jsonl'}, line 1 " in err
    assert words in err
    assert err.count("\n") == 1


def test_a_journal_whose_last_line_was_cut_short_is_resumed_without_it(begun, answer):
    def runs_left():
        """The runs left of each cell; the seconds of a plan are measured anew each time."""
        plan = json.loads(answer("sweep", "--resume", begun, "--dry-run", "--json")[1])
        return {cell["cell"]: cell["runs_left"] for cell in plan["cells"]}

    planned = runs_left()
    first = next(iter(planned))
    whole = to_line(entry(first, 1, "f")).decode()
    (begun / "cells.jsonl").write_text(whole[:-5])
    assert runs_left() == planned
    (begun / "cells.jsonl").write_text(whole)
    assert runs_left() == {**planned, first: 0}
