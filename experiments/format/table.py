"""Tables from columns: for terminals, where the least important go first, and as markdown, with all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.table import Table
from rich.text import Text

Row = TypeVar("Row")
DASH = "–"
_COLOURS = {"✓": "green", "✗": "red"}


@dataclass(frozen=True)
class Column(Generic[Row]):
    """What a column shows of a row."""

    header: str  # of at most two lines
    cell: Callable[[Row], str]  # never empty
    words: bool = False  # set left, and broken where it must be

    @property
    def name(self) -> str:
        return self.header.replace("\n", " ")


def terminal_table(
    columns: Sequence[Column[Row]],
    rows: Sequence[Row],
    *,
    width: int,
    spare: Sequence[str],
    dim: Callable[[Row], bool],
    caption: str = "",
) -> Table:
    """One line a row; columns in `spare`, the first of them first, are left out until it fits into `width`."""
    kept = list(columns)
    for name in spare:
        if sum(_wide(column, rows) + 1 for column in kept) - 1 <= width:
            break
        kept = [column for column in kept if column.name != name]
    shown = Text(caption) if caption else None
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, caption=shown, caption_justify="left")
    for column in kept:
        table.add_column(Text(column.header), justify="left" if column.words else "right", no_wrap=not column.words)
    for row in rows:
        cells = [Text(cell, style=_COLOURS.get(cell[0], "")) for cell in (column.cell(row) for column in kept)]
        table.add_row(*cells, style="dim" if dim(row) else "")
    return table


def _wide(column: Column[Row], rows: Sequence[Row]) -> int:
    return max(map(len, [*column.header.split("\n"), *map(column.cell, rows)]))


def markdown_table(columns: Sequence[Column[Row]], rows: Collection[Row]) -> str:
    """The same as GitHub markdown; ends with a newline."""
    lines = [[column.name for column in columns], [":--" if column.words else "--:" for column in columns]]
    lines += [[column.cell(row).replace("|", "\\|") for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
