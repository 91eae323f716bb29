"""Of a file that a killed process wrote, the whole lines are read and what it was at is not."""

import pytest

from common.records.lines import whole_lines


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
