"""A run as it is read from its folder.

The folder holds `summary.json`, `env.json`, `params.npy` (the flat float32 parameters of worker 0) and
`ranks/<rank>-<role>.jsonl`, one line a step. The summary is written last: a folder without it is half-written.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
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
    """One result folder. Rows and `env` are read on first use; ConfigError if their files are damaged."""

    path: Path
    summary: Summary

    @cached_property
    def worker_rows(self) -> dict[int, tuple[StepRow, ...]]:
        """The steps of each worker that left a file, by rank."""
        return {rank: read_lines(file, StepRow) for rank, file in self.rank_files("worker.jsonl").items()}

    @cached_property
    def server_rows(self) -> dict[int, tuple[ServerStepRow, ...]]:
        """The updates of each server that left a file, by rank."""
        return {rank: read_lines(file, ServerStepRow) for rank, file in self.rank_files("server.jsonl").items()}

    @cached_property
    def env(self) -> Environment:
        """The environment of the run; all of it None without a file."""
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
        """Whether synchronisation is part of stage train, so that its time is unknown."""
        return self.summary.synchronizes_in == "train"

    def rank_files(self, ending: str) -> dict[int, Path]:
        """Return the files `ranks/<rank>-<ending>`, by rank."""
        files = {file.name.removesuffix(f"-{ending}"): file for file in self.path.glob(f"ranks/*-{ending}")}
        return dict(sorted((int(rank), file) for rank, file in files.items() if rank.isdecimal()))

    def sent_per_step(self, role: Role) -> list[float]:
        """Return the payload bytes that each rank of this role sent in a step, on average; empty if unknown."""
        sent, steps = self.summary.bytes_sent, self.summary.steps_done
        if sent is None or not steps:
            return []
        return [count / steps for count in sent.of(role) if count is not None]

    def leaving_per_step(self) -> list[float]:
        """Return the mean bytes a step that leave each process with a colocated server; empty if unknown."""
        sent, steps, servers = self.summary.bytes_sent, self.summary.steps_done, self.summary.servers_detail
        if self.summary.placement != COLOCATED or sent is None or not steps:
            return []
        within = [0] * len(sent.per_worker) + [server.bytes_within_process for server in servers]
        counts = list(zip((*sent.per_worker, *sent.per_server), within, strict=False))
        leaving = [count - inside for count, inside in counts if count is not None and inside is not None]
        if len(leaving) < len(sent.per_worker) + len(sent.per_server):
            return []
        processes = ranks_by_process(len(sent.per_worker), len(sent.per_server), COLOCATED)
        return [sum(leaving[rank] for rank in ranks) / steps for ranks in processes]


def stage_seconds_per_step(run: Run) -> dict[str, float] | None:
    """Return seconds by stage in a step, without warm-up if steps are recorded; None if unknown."""
    if workers := _after_warmup(run):
        return {stage: fmean(fmean(row.seconds.of(stage) for row in rows) for rows in workers) for stage in STAGES}
    total, steps = run.summary.stage_seconds, run.summary.steps_done
    return {stage: total.of(stage) / steps for stage in STAGES} if total and steps else None


def hidden_seconds_per_step(run: Run) -> float:
    """Return the seconds of synchronisation in one step that ran beside stage train; means and source as above."""
    if workers := _after_warmup(run):
        return fmean(fmean(row.hidden_seconds for row in rows) for rows in workers)
    total, steps = run.summary.hidden_synchronize_seconds, run.summary.steps_done
    return total / steps if total and steps else 0.0


def _after_warmup(run: Run) -> list[tuple[StepRow, ...]]:
    warmup = run.summary.warmup_steps
    return [rows[warmup:] for rows in run.worker_rows.values() if len(rows) > warmup]
