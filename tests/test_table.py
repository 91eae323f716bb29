"""A table says the same in a terminal, as markdown, as HTML and as CSV."""

import csv
import io

from rich.console import Console

from experiments.format.table import (
    DASH,
    Column,
    Table,
    csv_table,
    filled,
    html_table,
    markdown_table,
    terminal_table,
)

ROWS = [("ring", 0.5, None), ("a|b <c>", None, None)]
COLUMNS = [
    Column("strategy", lambda row: row[0], words=True),
    Column("of\nceiling", lambda row: row[1], "{:.0%}".format, spare=1),
    Column("staleness in steps", lambda row: row[2], spare=2),
]
TABLE = Table(COLUMNS, ROWS, title="4 workers", kind=lambda row: "" if row[1] else "refused")


def shown(table, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(table, width))
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_an_unknown_value_is_a_dash_for_people_and_nothing_in_a_file():
    assert [column.cell(ROWS[1]) for column in COLUMNS] == ["a|b <c>", DASH, DASH]
    lines = list(csv.reader(io.StringIO(csv_table(TABLE))))
    assert lines == [["strategy", "of ceiling", "staleness in steps"], ["ring", "0.5", ""], ["a|b <c>", "", ""]]
    assert csv_table(Table(COLUMNS, [])) == ""


def test_a_narrow_terminal_leaves_out_the_columns_that_can_be_spared_first():
    wide, narrow, tiny = (shown(TABLE, width) for width in (60, 20, 12))
    assert ["ring", "50%", DASH] in wide
    assert ["ring", "50%"] in narrow
    assert ["ring"] in tiny


def test_markdown_has_all_columns_and_the_caption_below():
    table = Table(COLUMNS, ROWS, caption="one\ntwo")
    assert markdown_table(table) == (
        "| strategy | of ceiling | staleness in steps |\n| :-- | --: | --: |\n"
        "| ring | 50% | – |\n| a\\|b <c> | – | – |\n\none\n\ntwo\n"
    )


def test_html_escapes_names_and_marks_rows_by_their_kind():
    page = html_table(TABLE)
    assert "<caption>4 workers</caption>" in page
    assert '<tr><th scope="row">ring</th><td>50%</td><td>–</td></tr>' in page
    assert '<tr class="refused"><th scope="row">a|b &lt;c&gt; <small>refused</small></th>' in page
    explained = html_table(Table(COLUMNS, ROWS[1:], kind=lambda row: "refused", remark=lambda row: "other samples"))
    assert "<small>" not in explained
    assert '<tr class="remark"><td colspan="3"><div>other samples</div></td></tr>' in explained


def test_columns_that_show_only_dashes_can_be_left_out():
    assert [column.name for column in filled(COLUMNS, ROWS)] == ["strategy", "of ceiling"]
