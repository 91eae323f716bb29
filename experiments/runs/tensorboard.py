"""A run's step records as TensorBoard events, in `tensorboard/` of its folder; written when the run has ended."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from experiments.runs.run import Run
from experiments.schema.records import StepRow

INSTALL = "pip install 'syncbench[tensorboard]'"


def check() -> None:
    """ConfigError where TensorBoard is not installed, or not so that it can be used."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(f"--tensorboard needs a package that is not here: {INSTALL}")
    try:  # what torch takes of it, which wants the right protobuf: known now, not when the run is over
        importlib.import_module("tensorboard.compat.proto.event_pb2")
        importlib.import_module("tensorboard.summary.writer.event_file_writer")
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"--tensorboard needs a package that is here and does not work ({why}): {INSTALL}") from None


def write(run: Run) -> Path:
    """Loss, samples/s and the seconds of each stage, step by step, means over the workers; returns the folder.

    Times are those of the step records, seconds since the job began, so that "relative" is the job's own time.
    Raises OSError if the folder cannot be written, ConfigError if the records cannot be read.
    """
    from torch.utils.tensorboard.writer import SummaryWriter

    folder = run.path / "tensorboard"
    with SummaryWriter(str(folder)) as writer:
        for step, seconds, values in scalars(run):
            for tag, value in values.items():
                writer.add_scalar(tag, value, step, walltime=seconds)
    return folder


def scalars(run: Run) -> Iterator[tuple[int, float, dict[str, float]]]:
    """(step, seconds since the job began, values by tag) of every step, from the rows of the workers that did it."""
    by_step: dict[int, list[StepRow]] = {}
    for rows in run.worker_rows.values():
        for row in rows:
            by_step.setdefault(row.step, []).append(row)
    batch = run.summary.batch
    before = min((row.began for those in by_step.values() for row in those), default=0.0)
    for step, those in sorted(by_step.items()):
        ended = max(row.ended for row in those)
        took, before = ended - before, ended
        values = {f"seconds/{stage}": _mean([row.seconds.of(stage) for row in those]) for stage in STAGES}
        losses = [row.loss for row in those if row.loss is not None and not row.skipped]
        if losses:
            values["loss"] = _mean(losses)
        if took > 0:
            values["samples_per_second"] = batch / took
        yield step, ended, values


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
