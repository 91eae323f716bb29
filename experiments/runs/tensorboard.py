"""Write the step records of a run as TensorBoard events, in `tensorboard/` of its folder, when the run has ended."""

import importlib
import importlib.util
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import fmean

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from experiments.runs.run import Run
from experiments.schema.records import StepRow

INSTALL = "pip install 'syncbench[tensorboard]'"


def check() -> None:
    """Raise ConfigError if TensorBoard is not installed, or does not work."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(f"--tensorboard needs a package that is not here: {INSTALL}")
    try:  # the parts that torch uses, which need the right protobuf: found out now, not after the run
        importlib.import_module("tensorboard.compat.proto.event_pb2")
        importlib.import_module("tensorboard.summary.writer.event_file_writer")
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"--tensorboard needs a package that is here and does not work ({why}): {INSTALL}") from None


def write(run: Run) -> Path:
    """Write loss, samples/s and stage seconds a step, means over workers; return the folder. OSError, ConfigError."""
    from torch.utils.tensorboard.writer import SummaryWriter

    folder = run.path / "tensorboard"
    with SummaryWriter(str(folder)) as writer:
        for step, seconds, values in scalars(run):
            for tag, value in values.items():
                writer.add_scalar(tag, value, step, walltime=seconds)
    return folder


def scalars(run: Run) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Yield (step, seconds since the start of the job, values by tag) for every step, means over its workers."""
    by_step: dict[int, list[StepRow]] = {}
    for row in chain.from_iterable(run.worker_rows.values()):
        by_step.setdefault(row.step, []).append(row)
    before = min((row.began for rows in by_step.values() for row in rows), default=0.0)
    for step, rows in sorted(by_step.items()):
        ended = max(row.ended for row in rows)
        took, before = ended - before, ended
        values = {f"seconds/{stage}": fmean(row.seconds.of(stage) for row in rows) for stage in STAGES}
        if losses := [row.loss for row in rows if row.loss is not None and not row.skipped]:
            values["loss"] = fmean(losses)
        if took > 0:
            values["samples_per_second"] = run.summary.batch / took
        yield step, ended, values
