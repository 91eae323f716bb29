"""How charts look: a colour and a marker for each strategy, the same in all of them, and matplotlib's settings."""

from __future__ import annotations

import zlib
from typing import Any

STYLES = {  # strategy: (colour, marker); the colours are Okabe and Ito's, then Tol's muted ones
    "single": ("#000000", "."),
    "noop": ("#7A7A7A", "X"),
    "ps-bsp": ("#D55E00", "s"),
    "ps-ssp": ("#E69F00", "D"),
    "ps-async": ("#CC79A7", "v"),
    "ps-backup": ("#882255", "p"),
    "star": ("#B39B1E", "*"),
    "ring": ("#0072B2", "o"),
    "tree": ("#009E73", "^"),
    "double-tree": ("#44AA99", "<"),
    "halving-doubling": ("#56B4E9", "h"),
    "hierarchical": ("#117733", "P"),
    "local-sgd": ("#661100", "8"),
    "gloo": ("#332288", "H"),
    "ddp": ("#AA4499", "D"),
    "nccl": ("#999933", ">"),
    "mpi": ("#6699CC", "d"),
}
_OTHERS = (("#CC6677", "o"), ("#5F4690", "D"), ("#1D6996", "s"), ("#94346E", "^"), ("#0F8554", "v"), ("#805500", "P"))
INK, FAINT = "#222222", "#6B6B6B"
RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#B5B5B5",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "font.size": 11,
    "grid.color": "#E6E6E6",
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "svg.hashsalt": "syncbench",
    "text.color": INK,
    "text.parse_math": False,  # names and notes are shown as they are
} | dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color"), FAINT)
FORMATS: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def style(strategy: str) -> tuple[str, str]:
    """(colour, marker) of a strategy: the same in every chart, whatever else is shown."""
    return STYLES.get(strategy) or _OTHERS[zlib.crc32(strategy.encode()) % len(_OTHERS)]
