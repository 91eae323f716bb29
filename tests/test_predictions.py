"""The predicted throughput of a run in a comparison."""

from pathlib import Path

import pytest
from runs import summary

from experiments.comparison.model import Contest, Entry
from experiments.comparison.predictions import predicted_rate
from experiments.metrics.intervals import Interval
from experiments.prediction.cost_model import (
    Calibration,
    Curve,
    Figures,
)
from experiments.prediction.predict import predicted_step_exchange
from experiments.runs.run import Run

MIB = 1 << 20


def curve(sizes=(MIB, 16 * MIB), beta=(1e-9, 3e-9), gamma=(0.0, 1e-10), alpha=1e-5):
    return Curve(alpha, sizes, beta, gamma)


SUMMARY = summary("ring", transport="shm", parameters=1 << 20, bucket=1 << 40)


FLAT = Calibration((Figures("shm", 4, Curve(1e-3, (4,), (1e-9,), (0.0,)), curve()),))


def test_a_rate_is_the_batch_by_the_ceilings_step_and_the_exchange():
    def entry(strategy, rate, **more):
        return Entry(strategy, strategy, (Run(Path(), SUMMARY),), (rate,), Interval(rate, rate, rate), **more)

    def contest(*entries):
        return Contest({}, entries, "ring")

    ring, noop = entry("ring", 1000.0), entry("noop", 128 / 0.01)
    expected = 128 / (0.01 + predicted_step_exchange(SUMMARY, FLAT))
    assert predicted_rate(ring, contest(ring, noop), FLAT) == pytest.approx(expected)
    assert predicted_rate(ring, contest(ring), FLAT) is None
    assert predicted_rate(ring, contest(ring, entry("noop", 128 / 0.01, refused="did other work")), FLAT) is None
    assert predicted_rate(ring, contest(ring, noop), None) is None
