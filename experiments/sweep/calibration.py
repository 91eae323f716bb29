"""Calibration before a sweep: the cost of a message and a byte, so that results can stand beside predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import RunError
from common.runtime.job import TRANSPORTS
from experiments.prediction.calibrate import calibrate_all, plan_calibration
from experiments.prediction.calibration_file import NAME, write_calibration
from experiments.sweep.grid import Cell
from experiments.sweep.spec import CEILING


def calibrate(folder: Path, cells: Sequence[Cell], say: Callable[[str], None]) -> None:
    """Measure each transport with each number of workers that `cells` use it with. Blocks, some seconds for each.

    An earlier calibration is kept. If a transport cannot be measured, a line says so, and the sweep runs without.
    """
    asked = pairs(cells)
    if not asked or (folder / NAME).is_file():
        return
    job = cells[0].plan.job
    specs = [
        spec
        for transport, workers in asked
        for spec in plan_calibration([transport], [workers], job.interface, job.deadline, job.threads)
    ]
    try:
        found = calibrate_all(specs, lambda spec: say(f"calibrating {spec.transport}, {spec.workers} workers"))
        write_calibration(folder / NAME, found)
    except RunError as error:
        say(f"warning: no predictions, as the transport could not be measured: {error}")


def pairs(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    """Return each transport with each number of workers that exchange data over it, in the order of the cells."""
    found: dict[tuple[str, int], None] = {}
    for cell in cells:
        job, traits = cell.plan.job, cell.plan.traits
        silent = traits.one_process or traits.own_transport is not None or cell.strategy == CEILING
        if not silent and job.workers > 1 and job.transport in TRANSPORTS:
            found[job.transport, job.workers] = None
    return list(found)
