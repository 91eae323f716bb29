"""How charts look: a colour and a marker for each strategy, the same in all of them, and matplotlib's settings."""

import zlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

Marker = Any  # of matplotlib: a letter, or (points, kind, degrees)
STYLES: dict[str, tuple[str, Marker]] = {  # Okabe and Ito's, then Tol's muted ones; double-tree's is far from tree's
    "single": ("#000000", "."),
    "noop": ("#7A7A7A", "X"),
    "ps-bsp": ("#D55E00", "s"),
    "ps-ssp": ("#E69F00", "D"),
    "ps-async": ("#CC79A7", "v"),
    "ps-backup": ("#882255", "p"),
    "star": ("#B39B1E", "*"),
    "ring": ("#0072B2", "o"),
    "direct": ("#8C510A", (5, 0, 180)),
    "tree": ("#009E73", "^"),
    "double-tree": ("#78AB00", "<"),
    "halving-doubling": ("#56B4E9", "h"),
    "hierarchical": ("#117733", "P"),
    "local-sgd": ("#661100", "8"),
    "gloo": ("#332288", "H"),
    "ddp": ("#AA4499", (4, 1, 45)),
    "nccl": ("#999933", ">"),
    "mpi": ("#6699CC", "d"),
}
_OTHERS = (("#CC6677", "o"), ("#5F4690", "D"), ("#1D6996", "s"), ("#94346E", "^"), ("#0F8554", "v"), ("#805500", "P"))
_SIZES = {"*": 12.0, ".": 12.0, "X": 8.5}  # points of markers on a line, so that all look about as large
INK, FAINT, REFUSED, ALARM = "#222222", "#6B6B6B", "#BDBDBD", "#B00020"
SIZE = (8.0, 4.5)  # inches: text of 11 points can still be read where the chart takes half the width of a page
DPI = 200
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))  # of those that share a colour
RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#B5B5B5",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "font.size": 10.5,
    "grid.color": "#E6E6E6",
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.hashsalt": "syncbench",
    "text.color": INK,
    "text.parse_math": False,  # names and notes are shown as they are
} | dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color"), FAINT)


@dataclass(frozen=True)
class Look:
    """How an entry looks in every chart: the colour and marker of its strategy; grey if it is not comparable."""

    colour: str  # of bars and lines
    ink: str  # of text
    marker: Marker
    size: float  # of the marker, in points
    dashes: Any  # of lines: entries that share a colour differ
    bar: dict[str, Any]  # hollow for the yardstick and the ceiling, which are not among those compared


def look(row: Any) -> Look:
    """Return the look of a row that has `strategy`, `refused` and `twin`."""
    colour, marker = style(row.strategy)
    own = REFUSED if row.refused else colour
    face = "white" if row.strategy in ("single", "noop") and not row.refused else own
    return Look(
        colour=own,
        ink=FAINT if row.refused else colour,
        marker=marker,
        size=_SIZES.get(marker, 7.5) if isinstance(marker, str) else 10.0,
        dashes=":" if row.refused else DASHES[row.twin % len(DASHES)],
        bar={"facecolor": face, "edgecolor": own, "linewidth": 1.4},
    )


def records(frame: pd.DataFrame) -> list[Any]:
    """Return the rows, whose columns are attributes; `Index` is the place."""
    return list(frame.itertuples())


def style(strategy: str) -> tuple[str, Marker]:
    """(colour, marker) of a strategy: the same in every chart, whatever else is shown."""
    return STYLES.get(strategy) or _OTHERS[zlib.crc32(strategy.encode()) % len(_OTHERS)]
