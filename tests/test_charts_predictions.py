"""The charts of predictions hold what was predicted and what was measured."""

import pytest
from charts import table, texts

from common.strategy import Link
from experiments.charts.layout import blank
from experiments.charts.predictions import _crossovers, plot_ahead, plot_beside
from experiments.prediction.cost_model import constant
from experiments.prediction.crossovers import FastestRange
from experiments.prediction.predict import PredictedExchange
from experiments.prediction.residuals import Residual

SIZES = (1024, 1 << 20)


def test_measured_and_predicted_are_beside_each_other(tmp_path):
    rows = [
        Residual(name, "ipc", 4, 0, nbytes, nbytes * 1e-9, None, nbytes * 2e-9, "exchange")
        for name in ("ring", "tree")
        for nbytes in SIZES
    ]
    files = plot_beside(rows, "error: 50 % of 4 exchanges", tmp_path / "new")
    assert [file.name for file in files] == ["residuals.csv", "residuals.png", "residuals.svg"]
    assert [float(row["measured_seconds"]) for row in table(files[0])] == [row.measured for row in rows]
    assert [float(row["residual"]) for row in table(files[0])] == pytest.approx([-0.5] * 4)
    assert {"ring", "tree", "ipc, 4 workers"} <= set(texts(files[2]))


def test_crossovers_are_named(tmp_path):
    cells = [PredictedExchange(name, 4, 0, nbytes, nbytes * 1e-9) for name in ("ring", "tree") for nbytes in SIZES]
    fastest_ranges = {4: [FastestRange("tree", 1024, 5000), FastestRange("ring", 5000, 1 << 20)]}
    files = plot_ahead(cells, fastest_ranges, {4: constant(Link(50e-6, 8e-9))}, tmp_path)
    assert [file.name for file in files] == ["prediction.csv", "prediction.png", "prediction.svg"]
    assert len(table(files[0])) == len(cells)
    assert any("ring from 4.9 KiB" in text for text in texts(files[2]))


def test_names_of_crossovers_that_are_close_stand_at_opposite_ends():
    """Names 1 % of the width apart would overlap."""
    axes = blank().subplots()
    found = [
        FastestRange("a", 1e3, 1e4),
        FastestRange("b", 1e4, 1.1e4),
        FastestRange("c", 1.1e4, 1e8),
        FastestRange("d", 1e8, 1e9),
    ]
    _crossovers(axes, found, 1e6)
    assert [(text.get_text().split()[0], text.get_va()) for text in axes.texts] == [
        ("b", "bottom"),
        ("c", "top"),
        ("d", "bottom"),
    ]
