"""A chart as files: PNG for slides, SVG for pages, and the numbers that it shows as CSV."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from experiments.charts.style import DPI, RC

Rows = Sequence[Mapping[str, Any]]
_IDS = re.compile(r'( id="|href="#|url\(#)([^")]+)')
_LETTERS = re.compile(r'transform="translate\(([-\d.]+) 0\)"/>')
_INDENTS = re.compile(r"\n *")
_PATHS = re.compile(r'\bd="[^"]*"')
_PLACES = re.compile(r' [xy]="[^"]*"')
_GAPS = re.compile(r"\s*([A-Za-z])\s+(?=[-\d])")  # around the letters of a path
_DECIMALS = re.compile(r"(\.\d\d)\d+")


@dataclass(frozen=True)
class Picture:
    """One chart that was drawn. `note` says what it lacks and what limits it; empty if nothing does."""

    name: str
    title: str
    png: Path
    svg: Path
    csv: Path
    note: str = ""

    @property
    def files(self) -> tuple[Path, Path, Path]:
        return self.png, self.svg, self.csv


@dataclass(frozen=True)
class Sheet:
    """A chart before it is written: `rows` are the numbers that `figure` shows, all with the same keys."""

    figure: Figure
    title: str
    rows: Rows
    note: str = ""


def write(name: str, sheet: Sheet, out: Path) -> Picture:
    """Write `name`.png, .svg and .csv into `out`, which is there already. The same sheet gives the same bytes."""
    png, svg = draw_files(name, sheet.figure, sheet.title, out)
    table = out / f"{name}.csv"
    write_csv(sheet.rows, table)
    return Picture(name, sheet.title, png, svg, table, sheet.note)


def draw_files(name: str, figure: Figure, title: str, out: Path) -> tuple[Path, Path]:
    """Write `name`.png and .svg into `out` and return them."""
    png, svg = out / f"{name}.png", out / f"{name}.svg"
    with mpl.rc_context(RC):
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    svg.write_text(compact(drawn.getvalue(), name), encoding="utf-8")
    return png, svg


def compact(svg: str, name: str) -> str:
    """The same picture, less than half as long, with ids that no chart of another name has on the same page.

    Coordinates are to a hundredth of a point; a letter is placed by `x`, which says the same as its transform.
    """
    prefix = f"c{zlib.crc32(name.encode()) & 0xFFFF:x}-"
    short: dict[str, str] = {}
    svg = _PATHS.sub(lambda path: _GAPS.sub(r"\1", _DECIMALS.sub(r"\1", path[0])), svg)
    svg = _PLACES.sub(lambda place: _DECIMALS.sub(r"\1", place[0]), svg)
    svg = _LETTERS.sub(lambda letter: f'x="{float(letter[1]):.4g}"/>', svg)
    svg = _IDS.sub(lambda found: f"{found[1]}{prefix}{short.setdefault(found[2], str(len(short)))}", svg)
    return _INDENTS.sub("\n", svg)


def write_csv(rows: Rows, path: Path, columns: Iterable[str] | None = None) -> None:
    """A line a row, with a heading; a list of numbers is written with spaces between them, None as nothing."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns or (rows[0] if rows else ())), extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    return " ".join(map(repr, value)) if isinstance(value, tuple | list) else value
