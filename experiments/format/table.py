"""One model of a table, and its renderers for terminals, markdown, HTML and CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")
DASH = "–"
_MARKS = {"✓": "green", "✗": "red"}  # colour of a cell, by its first letter
_STYLES = {"refused": "dim", "failed": "dim", "best": "bold"}  # of a row in a terminal, by its kind


@dataclass(frozen=True)
class Column(Generic[Row]):
    """`show(value(row))` by row, or a dash for None. Narrow terminals leave out columns by `spare`, highest first."""

    header: str  # of at most two lines
    value: Callable[[Row], Any]
    show: Callable[[Any], str] = str
    words: bool = False  # aligned left, and broken into lines if it must be
    spare: int = 0

    @property
    def name(self) -> str:
        """The header in one line; a word that is divided there is whole."""
        return self.header.replace("-\n", "").replace("\n", " ")

    def cell(self, row: Row) -> str:
        """Return the text of this column for the row."""
        value = self.value(row)
        return DASH if value is None else self.show(value)


@dataclass(frozen=True)
class Table(Generic[Row]):
    """Columns and rows. `kind` is a word on what a row is, for its style; `remark` a sentence below it, in HTML."""

    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    title: str = ""
    caption: str = ""  # below the table
    kind: Callable[[Row], str] = field(default=lambda row: "")
    remark: Callable[[Row], str] = field(default=lambda row: "")


def filled(columns: Iterable[Column[Row]], rows: Sequence[Row]) -> list[Column[Row]]:
    """Return the columns that show more than dashes."""
    return [column for column in columns if any(column.cell(row) != DASH for row in rows)]


def terminal_table(table: Table[Row], width: int) -> Any:
    """Return the table as rich prints it, for a terminal of `width` columns."""
    from rich import box  # late, all three: --help prints no tables
    from rich.table import Table as RichTable
    from rich.text import Text

    columns = list(table.columns)
    for spare in sorted((column for column in columns if column.spare), key=lambda column: -column.spare):
        if sum(_width(column, table.rows) + 1 for column in columns) - 1 <= width:
            break
        columns.remove(spare)
    shown = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
        title=Text(table.title, style="bold") if table.title else None,
        title_justify="left",
        caption=Text(table.caption) if table.caption else None,
        caption_justify="left",
    )
    for column in columns:
        shown.add_column(Text(column.header), justify="left" if column.words else "right", no_wrap=not column.words)
    for row in table.rows:
        cells = [column.cell(row) for column in columns]
        style = _STYLES.get(table.kind(row), "")
        shown.add_row(*(Text(cell, style=_MARKS.get(cell[:1], "")) for cell in cells), style=style)
    return shown


def _width(column: Column[Row], rows: Sequence[Row]) -> int:
    return max(map(len, [*column.header.split("\n"), *map(column.cell, rows)]))


def markdown_table(table: Table[Row]) -> str:
    """Return GitHub markdown, and a paragraph for each line of the caption. Ends with a newline."""
    lines = [[column.name for column in table.columns], [":--" if column.words else "--:" for column in table.columns]]
    lines += [[column.cell(row).replace("|", "\\|") for column in table.columns] for row in table.rows]
    paragraphs = [f"\n{line}\n" for line in table.caption.splitlines()]
    return "".join([*(f"| {' | '.join(line)} |\n" for line in lines), *paragraphs])


def html_table(table: Table[Row]) -> str:
    """Return a `<table>`. Of a row, the first column is the heading, and the kind its class and a small word."""
    heads = "".join(f'<th scope="col">{escape(column.name)}</th>' for column in table.columns)
    body = "\n".join(_html_row(table, row) for row in table.rows)
    caption = f"<caption>{escape(table.title)}</caption>\n" if table.title else ""
    return f"<table>\n{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _html_row(table: Table[Row], row: Row) -> str:
    kind, remark = escape(table.kind(row)), escape(table.remark(row))
    head, *cells = (escape(column.cell(row)) for column in table.columns)
    small = f" <small>{kind}</small>" if kind and not remark else ""
    look = f' class="{kind}"' if kind else ""
    line = f'<tr{look}><th scope="row">{head}{small}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    if remark:
        line += f'\n<tr class="remark"><td colspan="{len(table.columns)}"><div>{remark}</div></td></tr>'
    return line


def csv_table(table: Table[Row]) -> str:
    """Return a line of names and a line of values for each row; an unknown value is empty. Empty without rows."""
    text = io.StringIO()
    if table.rows:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in table.columns])
        writer.writerows([column.value(row) for column in table.columns] for row in table.rows)
    return text.getvalue()
