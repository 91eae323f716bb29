"""The read side of a result folder, and the colours of the stages.

A run folder holds `summary.json` (written last: without it the run never ended), `params.npy` (flat float32
parameters of worker 0) and `ranks/<rank>-<role>.jsonl`, one line a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from common.records.stage_clock import STAGES
from common.runtime.job import COLOCATED
from common.runtime.placement import ranks_by_process
from experiments.schema.documents import Environment, Status, Summary
from experiments.schema.files import read_document, read_lines
from experiments.schema.records import ServerStepRow, StepRow

Role = Literal["worker", "server"]


@dataclass(frozen=True)
class Run:
    """One result folder. Rows and `env` are read on first use, and raise ConfigError if their files are damaged."""

    path: Path
    summary: Summary

    @cached_property
    def worker_rows(self) -> dict[int, tuple[StepRow, ...]]:
        """The step records of each worker that left a file, by rank, in the order they were written."""
        return {rank: read_lines(file, StepRow) for rank, file in self.rank_files("worker.jsonl").items()}

    @cached_property
    def server_rows(self) -> dict[int, tuple[ServerStepRow, ...]]:
        """The step records of each server that left a file, by rank, in the order they were written."""
        return {rank: read_lines(file, ServerStepRow) for rank, file in self.rank_files("server.jsonl").items()}

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

    def rank_files(self, ending: str) -> dict[int, Path]:
        """Return the files `ranks/<rank>-<ending>`, by rank."""
        ranks = {file.name.removesuffix(f"-{ending}"): file for file in self.path.glob(f"ranks/*-{ending}")}
        return dict(sorted((int(rank), file) for rank, file in ranks.items() if rank.isdecimal()))

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
