"""`calibrate` as a user runs it, and what `predict` makes of it."""

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_calibration_is_measured_and_predictions_are_made_from_it(box):
    words = ("--transport", "shm", "--workers", 2, "--results", "results")
    done = box.run("calibrate", *words, "--json")
    assert done.code == 0, done.err
    (figures,) = done.json()["figures"]
    assert (figures["transport"], figures["workers"]) == ("shm", 2)
    for pattern in ("exchange", "hub"):
        assert figures[pattern]["alpha"] > 0
        assert max(figures[pattern]["beta"]) > 0
    there = ("--workers", 2, "--sizes", "64KiB", "--strategies", "ring,ps-bsp", "--results", "results", "--json")
    predicted = box.run("predict", *there)
    assert predicted.code == 0, predicted.err
    assert all(row["formula_seconds"] > 0 for row in predicted.json()["rows"])
