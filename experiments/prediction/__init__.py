"""Prediction: what a message and a byte cost here is measured, and what an exchange then should take is computed."""

from experiments.prediction.calibration_file import newest_calibration, read_calibration, write_calibration
from experiments.prediction.cost_model import Calibration, Curve, Figures, constant
from experiments.prediction.predict import (
    LOCKSTEP,
    Predicted,
    in_lockstep,
    predicted_exchange_seconds,
    predicted_rate,
    predicted_step_exchange,
)

__all__ = [
    "LOCKSTEP",
    "Calibration",
    "Curve",
    "Figures",
    "Predicted",
    "constant",
    "in_lockstep",
    "newest_calibration",
    "predicted_exchange_seconds",
    "predicted_rate",
    "predicted_step_exchange",
    "read_calibration",
    "write_calibration",
]
