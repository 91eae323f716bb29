"""calibration.json: written, read, refused, found."""

import json
import math

import pytest

from common.errors import ConfigError
from experiments.prediction.calibration_file import document, newest_calibration, read_calibration, write_calibration
from experiments.prediction.cost_model import Calibration, Curve, Figures
from experiments.schema.documents import Environment

MIB = 1 << 20


def curve(sizes=(MIB, 16 * MIB), beta=(1e-9, 3e-9), gamma=(0.0, 1e-10), alpha=1e-5):
    return Curve(alpha, sizes, beta, gamma)


def figures(transport="shm", workers=4, **more):
    return Figures(transport, workers, curve(**more), curve(**more))


def test_a_calibration_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "calibration.json"
    write_calibration(path, Calibration((figures(), figures("tcp", 2)), Environment(cores=2)))
    found = read_calibration(path)
    assert found.figures == (figures(), figures("tcp", 2))
    assert (found.environment, found.name) == (Environment(cores=2), str(path))
    assert read_calibration(tmp_path) == found  # the folder will do
    saved = json.loads(path.read_text())
    assert saved["schema"] == 1
    assert {"transport", "workers", "alpha", "beta", "gamma"} <= saved["figures"][0].keys()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no calibration at .*: no such file"),
        ("{", "is not valid JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"schema": 2}', "has schema 2; this version reads schema 1"),
        ('{"schema": 1}', r"is damaged: \$\.figures is missing"),
        ('{"schema": 1, "figures": []}', r"is damaged: \$\.figures: .*length >= 1"),
        ('{"schema": 1, "figures": [{"transport": "shm", "workers": 2}]}', r"figures\[0\]\.exchange is missing"),
        ('{"schema": 1, "figures": [3]}', r"is damaged: \$\.figures\[0\]"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "calibration.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=complaint) as refusal:
        read_calibration(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("change", [{"beta": [1.0]}, {"sizes": [2, 1]}, {"alpha": math.nan}, {"gamma": [-1.0, 0.0]}])
def test_a_curve_that_cannot_be_is_refused(tmp_path, change):
    values = document(Calibration((figures(),)))["figures"][0]
    values["exchange"] |= change
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"schema": 1, "figures": [values]}))
    with pytest.raises(ConfigError, match=r"is damaged: \$\.figures\[0\]\.exchange"):
        read_calibration(path)


def test_the_newest_calibration_is_found(tmp_path):
    for stamp in ("20250101T000000Z", "20260101T000000Z", "20250601T000000Z"):
        folder = tmp_path / f"{stamp}-calibration-abc"
        folder.mkdir()
        (folder / "calibration.json").write_text("{}")
    assert newest_calibration(tmp_path).parent.name.startswith("2026")
    with pytest.raises(ConfigError, match=r"no calibration in .*nowhere: run syncbench calibrate first"):
        newest_calibration(tmp_path / "nowhere")
