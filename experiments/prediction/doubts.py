"""Figures of a calibration that cannot be true: the machine had something else to do."""

from __future__ import annotations

from experiments.format.units import size_name
from experiments.prediction.cost_model import Calibration, Curve, Figures
from experiments.runs.describe import plural

WIDE = 0.3  # scatter from which on a median of a few samples says little: half of them are further off


def doubts(calibration: Calibration) -> str | None:
    """One line about all figures that are not usable, and what to do; None if there are none."""
    found = [doubt for each in calibration.figures for doubt in _of(each)]
    return f"the machine was busy: {'; '.join(found)}: measure again" if found else None


def _of(figures: Figures) -> list[str]:
    where = f"{figures.transport}, {plural(figures.workers, 'worker')}"
    patterns: list[tuple[str, Curve]] = [("through a server", figures.hub)]
    if figures.workers > 1:  # who is alone has no neighbours
        patterns.insert(0, ("among neighbours", figures.exchange))
    found = []
    for name, curve in patterns:
        free = [size_name(size) for size, beta in zip(curve.sizes, curve.beta, strict=True) if beta <= 0]
        if free:
            found.append(f"{where}: bytes {name} cost nothing at {', '.join(free)}")
    if figures.scatter is not None and figures.scatter > WIDE:
        found.append(f"{where}: half of the samples are more than {figures.scatter:.0%} off their median")
    return found
