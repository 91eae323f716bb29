"""What the model of costs predicts for the entries of a comparison, where their runs have a calibration beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ConfigError
from experiments.comparison.model import Comparison, Contest, Entry

if TYPE_CHECKING:
    from experiments.prediction import Calibration

Predictions = Mapping[tuple[int, str], float]  # samples/s by the contest's place and the entry's label


def predictions(comparison: Comparison) -> Predictions:
    """The predicted samples/s of each entry that contends, where there are figures for it.

    Those of a calibration in its run's folder or the sweep's, if it can be read (see `unreadable`); in virtual time the
    link says all.
    """
    from experiments.prediction.calibration_file import calibration_beside

    found: dict[tuple[int, str], float] = {}
    read = _calibrations(comparison)
    for place, contest in enumerate(comparison.contests):
        for entry in contest.entries:
            calibration = read.get(calibration_beside(entry.run.path))
            if isinstance(calibration, ConfigError):
                calibration = None
            if entry.refused or not entry.contends or (calibration is None and not contest.setting.get("link")):
                continue
            from experiments.prediction import predicted_rate

            if rate := predicted_rate(entry, contest, calibration):
                found[place, entry.label] = rate
    return found


def unpredicted(contest: Contest, predicted: Collection[str]) -> str:
    """Of a contest in which the labels `predicted` have predictions, who has none since nobody waits for him, and why.

    Empty if there is nobody.
    """
    if not predicted:
        return ""
    from experiments.prediction import LOCKSTEP, in_lockstep

    asked = [one for one in contest.entries if one.contends and one.refused is None and one.label not in predicted]
    without = [one.label for one in asked if not in_lockstep(one.run.summary.get("consistency"))]
    return f"not predicted: {', '.join(without)}: {LOCKSTEP}" if without else ""


def unreadable(comparison: Comparison) -> list[str]:
    """A line for each calibration that cannot be read: what was measured is worth as much without its predictions."""
    every = _calibrations(comparison).values()
    return [f"no predictions: {error}" for error in every if isinstance(error, ConfigError)]


def _calibrations(comparison: Comparison) -> dict[Path | None, Calibration | ConfigError]:
    """Those beside the runs of entries that contend, or why one cannot be read."""
    from experiments.prediction.calibration_file import calibration_beside

    entries = [entry for contest in comparison.contests for entry in contest.entries]
    files = dict.fromkeys(calibration_beside(one.run.path) for one in entries if one.contends and not one.refused)
    return {file: _read(file) for file in files if file is not None}


def _read(file: Path) -> Calibration | ConfigError:
    from experiments.prediction import read_calibration

    try:
        return read_calibration(file)
    except ConfigError as error:
        return error


def residual(entry: Entry, predicted: float | None) -> float | None:
    """How far what was measured is above (+) or below (-) what was predicted, as a part of that."""
    return entry.rate.middle / predicted - 1 if predicted and entry.rates else None
