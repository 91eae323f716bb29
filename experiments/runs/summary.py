"""Make the summary of a run: what was asked for, what came of it, and how it ended."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from common.runtime.job import Job
from common.runtime.placement import ranks_by_process
from experiments.config import Plan
from experiments.launch.supervisor import JobOutcome
from experiments.metrics.staleness import PushTotals, read_pushes
from experiments.metrics.step_totals import StepTotals, add_up, last_steps
from experiments.metrics.traffic import between, servers_detail
from experiments.schema.documents import ComputeCosts, ErrorRecord, PerRank, PerWorker, Restart, Status, Summary
from experiments.schema.records import StageSeconds

SOON_READ = 50 << 20  # bytes of step records that are read in about a second
_IN_SUMMARY = frozenset(Summary.__struct_fields__) - {"placement", "restarts"}  # restarts: those that happened
ASKED_FOR = tuple(
    field.name for field in dataclasses.fields(Job) if field.name in _IN_SUMMARY
)  # what the user asked for
PROMISED = ("consistency", "replicas_equal", "own_transport", "synchronizes_in")  # of the traits
_INTERRUPTED = {**dict.fromkeys(("rank", "role", "stage", "step")), "type": "KeyboardInterrupt", "cause": "interrupted"}


def summary(plan: Plan, folder: Path, ended: JobOutcome, status: Status, restarts: Sequence[Restart]) -> Summary:
    """Return the summary of the run in `folder`, whose step records are read. `restarts` are those of servers."""
    job, traits = plan.job, plan.traits
    reports = {rank: report for rank, report in enumerate(ended.reports) if report is not None}
    costs = next((report["costs"] for report in reports.values() if "costs" in report), None)
    # A colocated server and its worker are in one process, so both have the same peak.
    memory = [None if report is None else report.get("peak_memory_bytes") for report in ended.reports]
    parameters = folder / "params.npy"
    error = ended.error.record() if ended.error else _INTERRUPTED if status == "partial" else None
    return Summary(
        schema=Summary.VERSION,
        status=status,
        **{key: getattr(job, key) for key in ASKED_FOR},
        **{key: getattr(traits, key) for key in PROMISED},
        automatic=tuple(plan.automatic),
        placement=job.placement if job.servers else None,
        processes=len(ranks_by_process(plan.processes, job.servers, job.placement)),
        **_recorded(plan, folder, ended, whole=status == "ok"),
        **_traffic(plan, ended, {rank: report for rank, report in reports.items() if "error" not in report}),
        costs=msgspec.convert(costs, ComputeCosts | None),
        parameters=int(np.load(parameters, mmap_mode="r").size) if parameters.exists() else None,
        peak_memory_bytes=_per_rank(memory, plan),
        wall_seconds=ended.seconds,
        deaths=tuple(ended.deaths),
        incarnations=1 + max((restart.incarnation for restart in restarts), default=0),
        restarts=tuple(restarts),
        error=msgspec.convert(error, ErrorRecord | None),
        results_dir=str(folder),
    )


def _recorded(plan: Plan, folder: Path, ended: JobOutcome, *, whole: bool) -> dict[str, Any]:
    """Return the fields that follow from the records of workers and servers, and from all workers' reports."""
    job, warmup, departed = plan.job, warmup_steps(plan.job.steps), {death.rank for death in ended.deaths}
    files = [folder / "ranks" / f"{rank}-worker.jsonl" for rank in range(plan.processes)]
    histories = [folder / "ranks" / f"{plan.processes + number}-server.events.jsonl" for number in range(job.servers)]
    # Of a long run that was cut short only the last rows are read, because its user waits for the prompt.
    if whole or sum(file.stat().st_size for file in [*files, *histories] if file.exists()) < SOON_READ:
        pushes = read_pushes(histories, job.workers, plan.traits.consistency)
        totals = add_up(files, warmup, pushes, departed)
    else:
        pushes, totals = PushTotals(), StepTotals(steps=last_steps(files))
    finished = [report for report in ended.reports[: plan.processes] if report is not None and "error" not in report]
    if len(finished) < plan.processes - len(departed):
        finished = []
    judge = next((report for report in finished if report["test_accuracy"] is not None), {})
    digests = {report.get("data_sha256") for report in finished}
    rate = totals.steps_per_second
    return {
        "warmup_steps": warmup,
        "steps_done": totals.steps,
        "steps_skipped": PerWorker(per_worker=_each(totals.skipped, plan) if finished else ()),
        "samples_per_second": None if rate is None else rate * job.batch / plan.processes,
        "final_loss": totals.loss,
        "ledger_sha256": totals.ledger_sha256,
        "stage_seconds": StageSeconds(**totals.stage_seconds),
        "hidden_synchronize_seconds": totals.hidden_seconds,
        **pushes.summary(job.workers),
        "test_accuracy": judge.get("test_accuracy"),
        "data_sha256": digests.pop() if len(digests) == 1 else None,
        "strategy_notes": judge.get("strategy_notes", {}),
        "params_sha256": _each([worker["params_sha256"] for worker in finished], plan),
    }


def warmup_steps(steps: int) -> int:
    """Return the number of steps at the start that `samples_per_second` leaves out, because they initialise things."""
    return min(10, steps // 5)


def _traffic(plan: Plan, ended: JobOutcome, metered: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields on payload bytes and messages, from the reports of the ranks that came to their end.

    Received bytes are known only if all ranks reported, because senders report them. An engine with its own transport
    does not pass our meter, so all its figures are None.
    """
    if plan.traits.own_transport is not None:
        metered = {}
    ranks = range(plan.processes + plan.job.servers)
    every = len(metered) == len(ranks)
    counts = {
        "bytes_sent": [sum(metered[rank]["bytes_to"].values()) if rank in metered else None for rank in ranks],
        "messages_sent": [sum(metered[rank]["messages_to"].values()) if rank in metered else None for rank in ranks],
        "bytes_received": [
            sum(report["bytes_to"].get(str(to), 0) for report in metered.values()) if every else None for to in ranks
        ],
    }
    figures = {name: _per_rank(values, plan) for name, values in counts.items()}
    bytes_to = {rank: report["bytes_to"] for rank, report in metered.items()}
    return {
        **figures,
        "bytes_between": between(bytes_to, plan.processes) if every else None,
        "servers_detail": servers_detail(plan, ended.reports, figures["bytes_sent"], figures["bytes_received"]),
    }


def _each(values: Sequence[Any], plan: Plan) -> tuple[Any, ...]:
    """Return one entry a worker. The entry of a process that stands for all workers counts for all of them."""
    return tuple(values) * (plan.job.workers if plan.traits.one_process else 1)


def _per_rank(values: Sequence[int | None], plan: Plan) -> PerRank:
    return PerRank(per_worker=_each(values[: plan.processes], plan), per_server=tuple(values[plan.processes :]))
