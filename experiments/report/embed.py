"""The charts of a report as images in the page itself, with their words beside them as text."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.comparison.model import Comparison

BUDGET = 1_700_000  # bytes for all of them; the page may have 2 MB


@dataclass(frozen=True)
class Plate:
    """A chart in the page. `source` is the address of its image; empty where the chart did not fit."""

    name: str
    title: str
    conditions: str
    source: str
    note: str


@dataclass(frozen=True)
class Plates:
    """All charts, and a sentence that names the missing charts and the reasons; empty if none is missing."""

    drawn: tuple[Plate, ...]
    absent: str = ""


def plates(comparison: Comparison) -> Plates:
    """Draw all charts of `comparison` that its runs have data for."""
    from experiments.charts import Absent, ChartData, draw_all, image

    drawn: list[Plate] = []
    absent: list[str] = []
    try:
        for name, sheet in draw_all(ChartData(comparison)):
            if isinstance(sheet, Absent):
                absent.append(f"{name.replace('_', ' ')} ({sheet})")
            else:
                source = "data:image/png;base64," + base64.b64encode(image(sheet)).decode()
                drawn.append(Plate(name, sheet.title, sheet.conditions, source, sheet.note))
    except Exception as error:  # the numbers are worth reading without their charts
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Plates((), f"The charts could not be drawn: {why}")
    return Plates(tuple(fitting(drawn)), f"Not drawn: {'; '.join(absent)}." if absent else "")


def fitting(drawn: Sequence[Plate], budget: int = BUDGET) -> list[Plate]:
    """Return the charts, the largest left out until the others fit into `budget` bytes; their notes say so."""
    kept = list(drawn)
    while sum(len(plate.source) for plate in kept) > budget:
        largest = max(range(len(kept)), key=lambda index: len(kept[index].source))
        note = "Left out, as it is too large for this page: syncbench plot draws it into a file of its own."
        kept[largest] = replace(kept[largest], source="", note=note)
    return kept
