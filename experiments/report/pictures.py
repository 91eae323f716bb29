"""The charts of a report, as elements that stand in the page itself."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.report.svg import drawing

if TYPE_CHECKING:
    from experiments.charts import Picture
    from experiments.comparison import Comparison

LARGE = 250_000  # bytes: above this a drawing is looked at twice, as one of many points is smaller as an image
BUDGET = 1_700_000  # bytes for all of them; the page may have 2 MB


@dataclass(frozen=True)
class Plate:
    """A chart in the page. `markup` is HTML that is safe as it is; empty where the chart did not fit."""

    name: str
    title: str
    conditions: str
    markup: str
    note: str


def plates(comparison: Comparison) -> tuple[list[Plate], str]:
    """All charts of `comparison`, drawn now, and why there are none (empty where there are)."""
    from experiments.charts import plot_comparison

    with tempfile.TemporaryDirectory(prefix="syncbench-report-") as folder:
        try:
            drawn = [plate(picture) for picture in plot_comparison(comparison, Path(folder))]
        except Exception as error:  # the numbers are worth reading without their pictures
            return [], f"The charts could not be drawn: {type(error).__name__}: {' '.join(str(error).split())}"
    return fitting(drawn), ""


def plate(picture: Picture) -> Plate:
    """A picture as a drawing, or as an image if a large drawing is smaller so."""
    found = drawing(picture.svg.read_text(encoding="utf-8"), f"{picture.name}-", picture.title)
    markup = found.markup
    if len(markup) > LARGE:
        data = base64.b64encode(picture.png.read_bytes()).decode()
        image = f'<img src="data:image/png;base64,{data}" alt="{escape(picture.title)}">'
        markup = min(markup, image, key=len)
    return Plate(picture.name, picture.title, found.conditions, markup, picture.note)


def fitting(drawn: Sequence[Plate], budget: int = BUDGET) -> list[Plate]:
    """The same, with the largest left out until the others fit into `budget` bytes; their notes say so."""
    kept = list(drawn)
    while sum(len(each.markup.encode()) for each in kept) > budget:
        largest = max(range(len(kept)), key=lambda index: len(kept[index].markup))
        note = "Left out, as it is too large for this page: syncbench plot draws it into a file of its own."
        kept[largest] = replace(kept[largest], markup="", note=note)
    return kept
