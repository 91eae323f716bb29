"""Make the summary of a run: what was asked for, what came of it, and how it ended."""

import dataclasses
from collections.abc import Sequence
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
from experiments.schema.documents import (
    ComputeCosts,
    ErrorRecord,
    PerRank,
    PerWorker,
    Restart,
    Status,
    Summary,
)
from experiments.schema.records import StageSeconds

SOON_READ = 50 << 20  # bytes of step records that are read in about a second
_IN_SUMMARY = frozenset(Summary.__struct_fields__) - {"placement", "restarts"}  # restarts: those that happened
ASKED = tuple(field.name for field in dataclasses.fields(Job) if field.name in _IN_SUMMARY)  # what the user asked for
PROMISED = ("consistency", "replicas_equal", "own_transport", "synchronizes_in")  # of the traits


def summary(plan: Plan, folder: Path, ended: JobOutcome, status: Status, restarts: Sequence[Restart]) -> Summary:
    """Return the summary of the run in `folder`, whose step records are read. `restarts` are those of servers."""
    job, traits = plan.job, plan.traits
    traffic = _traffic(plan, ended)
    return Summary(
        schema=Summary.VERSION,
        status=status,
        **{key: getattr(job, key) for key in ASKED},
        **{key: getattr(traits, key) for key in PROMISED},
        automatic=tuple(plan.automatic),
        placement=job.placement if job.servers else None,
        processes=len(ranks_by_process(plan.processes, job.servers, job.placement)),
        **_recorded(plan, folder, ended, whole=status == "ok"),
        **_reported(plan, ended),
        costs=_costs(ended),
        parameters=_parameters(folder),
        bytes_sent=traffic["bytes_sent"],
        messages_sent=traffic["messages_sent"],
        bytes_received=traffic["bytes_received"],
        bytes_between=_bytes_between(plan, ended),
        servers_detail=servers_detail(plan, ended.reports, traffic["bytes_sent"], traffic["bytes_received"]),
        peak_memory_bytes=_peak_memory(plan, ended),
        wall_seconds=ended.seconds,
        deaths=tuple(ended.deaths),
        incarnations=1 + max((restart.incarnation for restart in restarts), default=0),
        restarts=tuple(restarts),
        error=_interrupted(status) if ended.error is None else msgspec.convert(ended.error.record(), ErrorRecord),
        results_dir=str(folder),
    )


def _recorded(plan: Plan, folder: Path, ended: JobOutcome, *, whole: bool) -> dict[str, Any]:
    """Return the fields that follow from the step records of workers and the histories of servers."""
    job = plan.job
    warmup = warmup_steps(job.steps)
    files = [folder / "ranks" / f"{rank}-worker.jsonl" for rank in range(plan.processes)]
    histories = [folder / "ranks" / f"{plan.processes + number}-server.events.jsonl" for number in range(job.servers)]
    totals, pushes = _totals(plan, files, histories, _departed(ended), whole=whole)
    rate = totals.steps_per_second
    return {
        "warmup_steps": warmup,
        "steps_done": totals.steps,
        "steps_skipped": PerWorker(per_worker=_each(totals.skipped, plan) if _finished(plan, ended) else ()),
        "samples_per_second": None if rate is None else rate * job.batch / plan.processes,
        "final_loss": totals.loss,
        "ledger_sha256": totals.ledger_sha256,
        "stage_seconds": StageSeconds(**totals.stage_seconds),
        "hidden_synchronize_seconds": totals.hidden_seconds,
        **pushes.summary(job.workers),
    }


def _reported(plan: Plan, ended: JobOutcome) -> dict[str, Any]:
    """Return the fields that workers reported at their end; unknown unless all of them came to their end."""
    workers = _finished(plan, ended)
    judge = next((report for report in workers if report["test_accuracy"] is not None), {})
    return {
        "test_accuracy": judge.get("test_accuracy"),
        "data_sha256": _agreed([worker.get("data_sha256") for worker in workers]),
        "strategy_notes": judge.get("strategy_notes", {}),
        "params_sha256": _each([worker["params_sha256"] for worker in workers], plan),
    }


def _finished(plan: Plan, ended: JobOutcome) -> list[dict[str, Any]]:
    """Return the reports of the workers that did not depart; none unless all of them came to their end."""
    finished = [report for report in ended.reports[: plan.processes] if report is not None and "error" not in report]
    return finished if len(finished) == plan.processes - len(_departed(ended)) else []


def _agreed(values: Sequence[str | None]) -> str | None:
    """Return the one value that all have; None if they differ."""
    return values[0] if len(set(values)) == 1 else None


def _costs(ended: JobOutcome) -> ComputeCosts | None:
    """Return the seconds that computing takes in virtual time; None in real time."""
    told = (report["costs"] for report in ended.reports if report is not None and "costs" in report)
    return msgspec.convert(next(told, None), ComputeCosts | None)


def _departed(ended: JobOutcome) -> set[int]:
    return {death.rank for death in ended.deaths}


def warmup_steps(steps: int) -> int:
    """Return the number of steps at the start that `samples_per_second` leaves out, because they initialise things."""
    return min(10, steps // 5)


def _interrupted(status: Status) -> ErrorRecord | None:
    if status != "partial":
        return None
    return ErrorRecord(type="KeyboardInterrupt", rank=None, role=None, stage=None, step=None, cause="interrupted")


def _parameters(folder: Path) -> int | None:
    """Return the number of the model's parameters, from the file of the final ones; None without that file."""
    path = folder / "params.npy"
    return int(np.load(path, mmap_mode="r", allow_pickle=False).size) if path.exists() else None


def _totals(
    plan: Plan, files: Sequence[Path], histories: Sequence[Path], departed: set[int], *, whole: bool
) -> tuple[StepTotals, PushTotals]:
    """Return what the records add up to; of a long run that was cut short, only the last rows are read."""
    if whole or sum(file.stat().st_size for file in [*files, *histories] if file.exists()) < SOON_READ:
        pushes = read_pushes(histories, plan.job.workers, plan.traits.consistency)
        return add_up(files, warmup_steps(plan.job.steps), pushes, departed), pushes
    return StepTotals(steps=last_steps(files)), PushTotals()


def _each(values: Sequence[Any], plan: Plan) -> tuple[Any, ...]:
    """Return one entry a worker. The entry of a process that stands for all workers counts for all of them."""
    return tuple(values) * (plan.job.workers if plan.traits.one_process else 1)


def _per_rank(values: Sequence[int | None], plan: Plan) -> PerRank:
    return PerRank(per_worker=_each(values[: plan.processes], plan), per_server=tuple(values[plan.processes :]))


def _peak_memory(plan: Plan, ended: JobOutcome) -> PerRank:
    """Return the most bytes of each rank's process; a colocated server and its worker share theirs."""
    return _per_rank([None if report is None else report.get("peak_memory_bytes") for report in ended.reports], plan)


def _traffic(plan: Plan, ended: JobOutcome) -> dict[str, PerRank]:
    """Return bytes and messages by rank, as sent and as received; None where a rank or an engine does not report."""
    ranks = range(plan.processes + plan.job.servers)
    metered = _metered(plan, ended)
    sent = [sum(metered[rank]["bytes_to"].values()) if rank in metered else None for rank in ranks]
    messages = [sum(metered[rank]["messages_to"].values()) if rank in metered else None for rank in ranks]
    received: list[int | None] = [None] * len(ranks)
    if len(metered) == len(ranks):
        received = [sum(report["bytes_to"].get(str(to), 0) for report in metered.values()) for to in ranks]
    figures = {"bytes_sent": sent, "messages_sent": messages, "bytes_received": received}
    return {name: _per_rank(values, plan) for name, values in figures.items()}


def _bytes_between(plan: Plan, ended: JobOutcome) -> dict[str, dict[str, int]] | None:
    """Return the payload bytes by sender and receiver; None unless all ranks reported."""
    metered = _metered(plan, ended)
    if len(metered) < plan.processes + plan.job.servers:
        return None
    return between({rank: report["bytes_to"] for rank, report in metered.items()}, plan.processes)


def _metered(plan: Plan, ended: JobOutcome) -> dict[int, dict[str, Any]]:
    """Return the reports that say what was sent, by rank; none of an engine with its own transport."""
    reports = ended.reports if plan.traits.own_transport is None else []
    return {rank: report for rank, report in enumerate(reports) if report is not None and "error" not in report}
