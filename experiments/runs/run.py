"""The read side of a result folder, and the colours of the stages.

A run folder holds `summary.json` (written last: without it the run never ended), `params.npy` (flat float32
parameters of worker 0) and `ranks/<rank>-<role>.jsonl`, one line a step.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from common.runtime.job import COLOCATED
from common.runtime.placement import ranks_by_process
from experiments.schema.documents import Environment, Status, Summary
from experiments.schema.files import read_document, read_lines
from experiments.schema.records import ServerStepRow, StepRow

# One colour a stage wherever stages are shown. The five that no strategy changes are quiet, so that the one that
# differs between runs stands out; neighbours differ in lightness, which no kind of colour blindness hides.
STAGE_COLOURS = {
    "preprocess": "#8C8C8C",
    "partition": "#D0D0D0",
    "load": "#7FB8DA",
    "train": "#2F6690",
    "synchronize": "#E8731A",
    "update": "#F3D38C",
}

Role = Literal["worker", "server"]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One result folder. Rows and `env` are read on first use, and raise ConfigError if their files are damaged."""

    path: Path
    summary: Summary

    @cached_property
    def worker_rows(self) -> dict[int, tuple[StepRow, ...]]:
        """The step records of each worker that left a file, by rank, in the order they were written."""
        return {rank: read_lines(file, StepRow) for rank, file in self.step_files("worker").items()}

    @cached_property
    def server_rows(self) -> dict[int, tuple[ServerStepRow, ...]]:
        """The step records of each server that left a file, by rank, in the order they were written."""
        return {rank: read_lines(file, ServerStepRow) for rank, file in self.step_files("server").items()}

    @cached_property
    def env(self) -> Environment:
        """The environment that the run was made in; all of it None if it is not recorded."""
        file = self.path / "env.json"
        return read_document(file, Environment) if file.is_file() else Environment()

    @property
    def strategy(self) -> str:
        return self.summary.strategy

    @property
    def status(self) -> Status:
        """`ok`, `failed` or `partial`."""
        return self.summary.status

    @property
    def within_train(self) -> bool:
        """Whether its communication is part of `train`, so that nobody can tell how long it took."""
        return self.summary.synchronizes_in == "train"

    def step_files(self, role: Role) -> dict[int, Path]:
        """The files with the step records of this role, by rank."""
        files = self.path.glob(f"ranks/*-{role}.jsonl")
        return dict(sorted((int(rank), file) for file in files if (rank := file.name.partition("-")[0]).isdecimal()))

    def sent_per_step(self, role: Role) -> list[float]:
        """Payload bytes that each rank of this role sent in a step, on average; empty where unknown."""
        sent, steps = self.summary.bytes_sent, self.summary.steps_done
        if sent is None or not steps:
            return []
        counts = sent.per_worker if role == "worker" else sent.per_server
        return [count / steps for count in counts if count is not None]

    def leaving_per_step(self) -> list[float]:
        """Payload bytes that leave each process in a step, on average, where a worker has servers in it.

        What they send each other is left out. Empty where servers are not colocated, or not every rank told its bytes.
        """
        sent, steps = self.summary.bytes_sent, self.summary.steps_done
        if self.summary.placement != COLOCATED or sent is None or not steps:
            return []
        workers = [count for count in sent.per_worker if count is not None]
        servers = [
            count - detail.bytes_within_process
            for count, detail in zip(sent.per_server, self.summary.servers_detail, strict=False)
            if count is not None and detail.bytes_within_process is not None
        ]
        if len(workers) < len(sent.per_worker) or len(servers) < len(sent.per_server):
            return []
        beyond = [*workers, *servers]
        return [
            sum(beyond[rank] for rank in crew) / steps
            for crew in ranks_by_process(len(workers), len(servers), COLOCATED)
        ]


def ceiling(run: Run, runs: Sequence[Run]) -> float | None:
    """Samples/s of the first `noop` among `runs` that did what `run` did, on as many workers; None without one."""
    alike = attrgetter("workers", "batch", "model", "data", "transport")
    for other in runs:
        same = alike(other.summary) == alike(run.summary)
        if other.strategy == "noop" and same and (rate := other.summary.samples_per_second):
            return rate
    return None


def load_run(path: str | Path) -> Run:
    """The run in this folder; raises ConfigError if there is none, or one that cannot be read."""
    path = Path(path)
    if not path.is_dir():
        raise ConfigError(f"no such run folder: {path}")
    file = path / "summary.json"
    if _is_bench(path):
        plots = f"its plots are in {path / 'plots'}" if (path / "plots").is_dir() else "it has no plots"
        raise ConfigError(f"{path} is a benchmark, not a run: {plots}")
    if not file.is_file():
        raise ConfigError(f"half-written run, or not a run folder: {path} has no summary.json")
    return Run(path, read_document(file, Summary))


def find_runs(paths: Iterable[str | Path]) -> list[Run]:
    """The runs in these folders, in order; a folder of runs, or a sweep's, stands for its runs, oldest first.

    A path with `*`, `?` or `[` that names nothing itself is a pattern. Half-written runs inside a folder of runs, or
    found by a pattern, are passed over (`half_written` lists them). Raises ConfigError if a path is neither a run nor a
    folder with at least one complete run, or if a run cannot be read.
    """
    found: dict[Path, Run] = {}  # by resolved path: a run that is named twice counts once
    for path in paths:
        for folder in _matching(path) if _is_pattern(path) else _run_folders(Path(path)):
            found.setdefault(folder.resolve(), load_run(folder))
    return list(found.values())


def _is_pattern(path: str | Path) -> bool:
    return glob.has_magic(str(path)) and not Path(path).exists()


def _matches(pattern: str | Path) -> list[Path]:
    return [path for name in sorted(glob.glob(str(pattern))) if (path := Path(name)).is_dir()]


def _matching(pattern: str | Path) -> list[Path]:
    """The complete runs that a pattern finds, or that are in the folders of runs that it finds."""
    every = _matches(pattern)
    if not every:
        raise ConfigError(f"no file or folder matches {pattern}")
    runs = [path for path in every if (path / "summary.json").is_file()]
    runs += [run for path in every if path not in runs for run in _complete_in(path)]
    if not runs:
        half = len(half_written([pattern]))
        raise ConfigError(f"no complete run matches {pattern}" + (f" ({half} half-written)" if half else ""))
    return runs


def half_written(paths: Iterable[str | Path]) -> list[Path]:
    """The folders in these folders of runs, or found by a pattern, where a run started and never wrote its summary."""
    inside: list[Path] = []
    for path in paths:
        folders = [Path(path)]
        if _is_pattern(path):
            folders = _matches(path)
            inside += folders
        inside += [child for folder in folders if folder.is_dir() for child in sorted(folder.iterdir())]
    begun = [child for child in dict.fromkeys(inside) if (child / "ranks").is_dir() and not _is_bench(child)]
    return [child for child in begun if not (child / "summary.json").is_file()]


def _is_bench(path: Path) -> bool:
    return (path / "bench.json").is_file() and not (path / "summary.json").is_file()


def _run_folders(path: Path) -> list[Path]:
    if not path.is_dir() or (path / "summary.json").is_file() or (path / "ranks").is_dir() or _is_bench(path):
        return [path]  # a run folder, or what load_run explains best
    if not (folders := _complete_in(path)):
        raise ConfigError(f"no complete run in {path}{_what_else(path)}")
    return folders


def _complete_in(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if (child / "summary.json").is_file())


def _what_else(folder: Path) -> str:
    """What is in a folder without a complete run, where that helps."""
    if half := len(half_written([folder])):
        return f" ({half} half-written)"
    if within := [child for child in sorted(folder.iterdir()) if child.is_dir() and _complete_in(child)]:
        return f" itself: name the folder in it, such as {within[0]}"
    return "" if any(folder.iterdir()) else ": it is empty"


def loss_curve(run: Run) -> tuple[Floats, Floats, Floats]:
    """(samples, seconds, loss), one value a step, each of shape (steps,).

    `loss` is the mean over the workers that recorded the step, `samples` counts the whole job's, and `seconds` run
    from the begin of the first step to when the last of those workers ended this one. Empty where nothing was
    recorded.
    """
    steps: dict[int, list[StepRow]] = {}
    for rows in run.worker_rows.values():
        for row in rows:
            steps.setdefault(row.step, []).append(row)
    if not steps:
        return np.empty(0), np.empty(0), np.empty(0)
    order = sorted(steps)
    began = min(row.began for row in steps[order[0]])
    loss = [_mean_loss(steps[step]) for step in order]
    ended = [max(row.ended for row in steps[step]) - began for step in order]
    samples = (np.array(order, dtype=np.float64) + 1) * run.summary.batch
    # A worker that died leaves later steps to the others; the clock of the job still does not run backwards.
    return samples, np.maximum.accumulate(np.array(ended, dtype=np.float64)), np.array(loss, dtype=np.float64)


def _mean_loss(rows: Sequence[StepRow]) -> float:
    """Over the workers that trained; NaN if one of them has no finite loss, or all skipped the step."""
    trained = [math.nan if row.loss is None else row.loss for row in rows if not row.skipped]
    return math.fsum(trained) / len(trained) if trained else math.nan


def smooth(values: Floats) -> Floats:
    """A centred moving average over a twenty-fifth of the run; values that are not finite are left out."""
    kernel, good = np.ones(max(1, len(values) // 25)), np.isfinite(values)
    count = np.convolve(good, kernel, "same")
    total = np.convolve(np.where(good, values, 0.0), kernel, "same")
    return np.where(count > 0.5, total / np.maximum(count, 1.0), np.nan)


def stage_seconds_per_step(run: Run) -> dict[str, float] | None:
    """Seconds of each stage in one step, mean over steps and workers, without warm-up; None where unknown.

    From the step records; where those are missing, from the summary, whose totals include warm-up.
    """
    if workers := _after_warmup(run):
        means = [
            {stage: math.fsum(row.seconds.of(stage) for row in rows) / len(rows) for stage in STAGES}
            for rows in workers
        ]
        return {stage: math.fsum(mean[stage] for mean in means) / len(means) for stage in STAGES}
    total, steps = run.summary.stage_seconds, run.summary.steps_done
    if total is None or not steps:
        return None
    return {stage: total.of(stage) / steps for stage in STAGES}


def hidden_seconds_per_step(run: Run) -> float:
    """Seconds of synchronisation in one step that ran beside `train`; means and source as for the stages."""
    if workers := _after_warmup(run):
        means = [math.fsum(row.hidden_seconds for row in rows) / len(rows) for rows in workers]
        return math.fsum(means) / len(means)
    total, steps = run.summary.hidden_synchronize_seconds, run.summary.steps_done
    return total / steps if total and steps else 0.0


def _after_warmup(run: Run) -> list[tuple[StepRow, ...]]:
    """The rows of each worker that did steps after its warm-up, without those of the warm-up."""
    skip = run.summary.warmup_steps
    return [rows[skip:] for rows in run.worker_rows.values() if len(rows) > skip]
