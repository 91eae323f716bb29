"""What the model of costs predicts for the entries of a comparison, where their runs have a calibration beside them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from experiments.comparison.contest import Comparison, Entry

Predictions = Mapping[tuple[int, str], float]  # samples/s by the contest's place and the entry's label
CALIBRATION = "calibration.json"


def predictions(comparison: Comparison) -> Predictions:
    """The predicted samples/s of each entry that there is a calibration for: in its run's folder, or the sweep's."""
    found: dict[tuple[int, str], float] = {}
    read: dict[Path, object] = {}
    for place, contest in enumerate(comparison.contests):
        for entry in contest.entries:
            if (file := calibration_of(entry)) is None:
                continue
            if importlib.util.find_spec("experiments.prediction") is None:
                return {}
            prediction = importlib.import_module("experiments.prediction")
            if file not in read:
                read[file] = prediction.read_calibration(file)
            if rate := prediction.predicted_rate(entry, contest, read[file]):
                found[place, entry.label] = float(rate)
    return found


def calibration_of(entry: Entry) -> Path | None:
    """The calibration that belongs to the run in the middle; None if there is none."""
    run = entry.run.path
    return next((file for folder in (run, run.parent) if (file := folder / CALIBRATION).is_file()), None)


def residual(entry: Entry, predicted: float | None) -> float | None:
    """How far what was measured is above (+) or below (-) what was predicted, as a part of that."""
    return entry.rate.middle / predicted - 1 if predicted and entry.rates else None
