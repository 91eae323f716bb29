"""A chart as files: PNG for slides, SVG for pages, and the numbers that it shows as CSV."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from experiments.charts.style import DPI, RC

IMAGE_DPI = 160  # of an image in a page: 1,250 pixels wide


@dataclass(frozen=True)
class Picture:
    """One chart that was written. `note` says what it lacks and what limits it; empty if nothing does."""

    name: str
    title: str
    files: tuple[Path, Path, Path]  # .png, .svg, .csv
    note: str


@dataclass(frozen=True)
class Sheet:
    """A chart before it is written: a `figure`, its texts, and the `frame` of the numbers that it shows."""

    figure: Figure
    title: str
    conditions: str  # what was run
    frame: pd.DataFrame
    note: str = ""


def write(name: str, sheet: Sheet, out: Path) -> Picture:
    """Write `name`.png, .svg and .csv into `out`, which is there already. The same sheet gives the same bytes."""
    files = (*draw_files(name, sheet.figure, sheet.title, out), out / f"{name}.csv")
    write_csv(sheet.frame, files[-1])
    return Picture(name, sheet.title, files, sheet.note)


def draw_files(name: str, figure: Figure, title: str, out: Path) -> tuple[Path, Path]:
    """Write `name`.png and .svg into `out` and return them."""
    png, svg = out / f"{name}.png", out / f"{name}.svg"
    with mpl.rc_context(RC):
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None, "Creator": None, "Title": title})
    return png, svg


def image(sheet: Sheet) -> bytes:
    """Return the drawing of `sheet` as PNG, without its texts, for a page that has them as text."""
    for text in sheet.figure.texts:
        text.set_visible(False)
    png = io.BytesIO()
    save: dict[str, Any] = {"dpi": IMAGE_DPI, "metadata": {"Software": None}, "pil_kwargs": {"optimize": True}}
    with mpl.rc_context(RC):
        sheet.figure.savefig(png, bbox_inches="tight", pad_inches=0.05, **save)
    return png.getvalue()


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a line a row, with a heading. A cell of several numbers has spaces between; an unknown one is empty."""
    cells = frame.map(lambda value: " ".join(map(str, value)) if isinstance(value, tuple | list) else value)
    cells.to_csv(path, index=False)
