"""The charts of a report, as elements that stand in the page itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from experiments.launch.job_folder import private_folder
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


@dataclass(frozen=True)
class Plates:
    """All charts, and in a sentence or two which are not there, and why."""

    drawn: tuple[Plate, ...]
    absent: str = ""


def plates(comparison: Comparison, predicted: Mapping[tuple[int, str], float]) -> Plates:
    """All charts of `comparison` that there is something for, drawn now, with the `predicted` samples/s."""
    from experiments.charts import plot_all, predictions

    try:
        with private_folder() as folder:
            plotted = plot_all(comparison, folder, predictions=predictions(comparison, predicted))
            drawn = [plate(picture) for picture in plotted.pictures]
    except Exception as error:  # the numbers are worth reading without their pictures
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Plates((), f"The charts could not be drawn: {why}")
    reasons = "; ".join(f"{name.replace('_', ' ')} ({why})" for name, why in plotted.absent.items())
    return Plates(tuple(fitting(drawn)), f"Not drawn: {reasons}." if reasons else "")


def plate(picture: Picture) -> Plate:
    """A picture as a drawing, or as an image if a large drawing is smaller so."""
    found = drawing(picture.svg.read_text(encoding="utf-8"), f"{picture.name}-", picture.title, picture.note)
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
