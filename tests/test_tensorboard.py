"""TensorBoard events say what the step records say; where it is not installed, a line says so beforehand."""

import importlib.util

import pytest
from runs import BATCH, SECONDS, fail, loss_at, write_run

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from experiments.runs import tensorboard
from experiments.runs.find import load_run

STEP = sum(SECONDS.values())


def test_each_step_has_means_over_the_workers(tmp_path):
    run = load_run(write_run(tmp_path, steps=5))
    told = list(tensorboard.scalars(run))
    assert [step for step, _, _ in told] == list(range(5))
    late = 0.003  # of the last of four workers
    for step, seconds, values in told:
        assert seconds == pytest.approx(1 + (step + 1) * STEP + late)
        assert values["loss"] == pytest.approx(loss_at(step) + 0.015)
        assert values["samples_per_second"] == pytest.approx(BATCH / (STEP + (late if step == 0 else 0)))
        assert {stage: values[f"seconds/{stage}"] for stage in STAGES} == pytest.approx(SECONDS)


def test_unknown_values_are_left_out(tmp_path):
    assert list(tensorboard.scalars(load_run(write_run(tmp_path, steps=0)))) == []
    run = load_run(write_run(tmp_path, steps=1, name="failed", **fail()))
    assert run.summary.samples_per_second is None
    assert len(list(tensorboard.scalars(run))) == 1


@pytest.mark.extras("tensorboard")
def test_the_events_can_be_read_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = load_run(write_run(tmp_path, steps=5))
    folder = tensorboard.write(run)
    assert folder == run.path / "tensorboard"
    found = EventAccumulator(str(folder)).Reload()
    assert set(found.Tags()["scalars"]) == {"loss", "samples_per_second", *(f"seconds/{stage}" for stage in STAGES)}
    losses = found.Scalars("loss")
    assert [event.step for event in losses] == list(range(5))
    assert [event.value for event in losses] == pytest.approx([loss_at(step) + 0.015 for step in range(5)])
    assert [event.wall_time for event in losses] == pytest.approx(
        [seconds for _, seconds, _ in tensorboard.scalars(run)]
    )


def test_without_tensorboard_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'syncbench\[tensorboard\]'"):
        tensorboard.check()


def test_a_broken_tensorboard_is_refused_before_the_run(monkeypatch):
    def broken(name):
        raise TypeError("Descriptors cannot be\ncreated directly")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ConfigError, match=r"TypeError: Descriptors cannot be created directly\): pip install 'syncb"):
        tensorboard.check()
