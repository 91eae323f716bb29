"""What the model of costs predicts for the entries of a comparison, where their runs have a calibration beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.comparison.contest import Comparison, Contest, Entry

if TYPE_CHECKING:
    from experiments.prediction import Calibration

Predictions = Mapping[tuple[int, str], float]  # samples/s by the contest's place and the entry's label


def predictions(comparison: Comparison) -> Predictions:
    """The predicted samples/s of each entry that contends, where there are figures for it.

    Those of a calibration in its run's folder or the sweep's; in virtual time the link says all. Raises ConfigError if
    a calibration cannot be read.
    """
    from experiments.prediction.files import calibration_beside

    found: dict[tuple[int, str], float] = {}
    read: dict[Path | None, Calibration | None] = {None: None}
    for place, contest in enumerate(comparison.contests):
        for entry in contest.entries:
            file = calibration_beside(entry.run.path)
            if entry.refused or not entry.contends or (file is None and not contest.setting.get("link")):
                continue
            from experiments.prediction import predicted_rate, read_calibration

            if file not in read and file is not None:
                read[file] = read_calibration(file)
            if rate := predicted_rate(entry, contest, read[file]):
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


def residual(entry: Entry, predicted: float | None) -> float | None:
    """How far what was measured is above (+) or below (-) what was predicted, as a part of that."""
    return entry.rate.middle / predicted - 1 if predicted and entry.rates else None
