"""The summary of a run: what was asked for, what came of it, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

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
ASKED = (  # of a job
    "strategy",
    "strategy_options",
    "workers",
    "servers",
    "steps",
    "batch",
    "seed",
    "data",
    "model",
    "hidden",
    "partition",
    "preprocess",
    "optimizer",
    "sparse",
    "transport",
    "link",
    "hosts",
    "bucket",
    "overlap",
    "slow_worker",
    "jitter",
    "train_seconds",
    "checkpoint_every",
    "trace",
)
PROMISED = ("consistency", "replicas_equal", "own_transport", "synchronizes_in")  # of the traits


def summary(plan: Plan, folder: Path, ended: JobOutcome, status: Status, restarts: Sequence[Restart]) -> Summary:
    """The whole summary; reads the step records in `folder`. `restarts` are those of servers."""
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
    """What the records of workers and the histories of servers add up to."""
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
    """What the workers said of the result, if all did that were not to be missed."""
    workers = _finished(plan, ended)
    judge = next((report for report in workers if report["test_accuracy"] is not None), {})
    return {
        "test_accuracy": judge.get("test_accuracy"),
        "data_sha256": _agreed([worker.get("data_sha256") for worker in workers]),
        "strategy_notes": judge.get("strategy_notes", {}),
        "params_sha256": _each([worker["params_sha256"] for worker in workers], plan),
    }


def _finished(plan: Plan, ended: JobOutcome) -> list[dict[str, Any]]:
    """The reports of the workers, but for departed ones; none unless all of them came to their end."""
    good = [report for report in ended.reports[: plan.processes] if report is not None and "error" not in report]
    return good if len(good) == plan.processes - len(_departed(ended)) else []


def _agreed(values: Sequence[str | None]) -> str | None:
    """What all of them say; None if they do not say the same, or nothing."""
    return values[0] if len(set(values)) == 1 else None


def _costs(ended: JobOutcome) -> ComputeCosts | None:
    """In virtual time: the seconds that computing was made to take; None where they were what they were."""
    told = (report["costs"] for report in ended.reports if report is not None and "costs" in report)
    return msgspec.convert(next(told, None), ComputeCosts | None)


def _departed(ended: JobOutcome) -> set[int]:
    return {death.rank for death in ended.deaths}


def warmup_steps(steps: int) -> int:
    """Steps at the start that `samples_per_second` leaves out: first-use initialisation is no steady state."""
    return min(10, steps // 5)


def _interrupted(status: Status) -> ErrorRecord | None:
    if status != "partial":
        return None
    return ErrorRecord(type="KeyboardInterrupt", rank=None, role=None, stage=None, step=None, cause="interrupted")


def _parameters(folder: Path) -> int | None:
    """How many parameters the model has, from the size of what it ended with."""
    path = folder / "params.npy"
    return int(np.load(path, mmap_mode="r", allow_pickle=False).size) if path.exists() else None


def _totals(
    plan: Plan, files: Sequence[Path], histories: Sequence[Path], departed: set[int], *, whole: bool
) -> tuple[StepTotals, PushTotals]:
    """What the rows add up to. A long run that was cut short is not read through: its user waits for the prompt."""
    if whole or sum(file.stat().st_size for file in [*files, *histories] if file.exists()) < SOON_READ:
        pushes = read_pushes(histories, plan.job.workers, plan.traits.consistency)
        return add_up(files, warmup_steps(plan.job.steps), pushes, departed), pushes
    return StepTotals(steps=last_steps(files)), PushTotals()


def _each(values: Sequence[Any], plan: Plan) -> tuple[Any, ...]:
    """One entry a worker: where one process stands for all workers, its entry does too."""
    return tuple(values) * (plan.job.workers if plan.traits.one_process else 1)


def _per_rank(values: Sequence[int | None], plan: Plan) -> PerRank:
    return PerRank(per_worker=_each(values[: plan.processes], plan), per_server=tuple(values[plan.processes :]))


def _peak_memory(plan: Plan, ended: JobOutcome) -> PerRank:
    """The most memory that each rank had in use, bytes: its own, and what it has read in place of its peers'.

    A rank's is that of its process: a colocated server's is its worker's too, the same bytes once more.
    """
    return _per_rank([None if report is None else report.get("peak_memory_bytes") for report in ended.reports], plan)


def _traffic(plan: Plan, ended: JobOutcome) -> dict[str, PerRank]:
    """Payload bytes and messages of all steps, per rank: sent, and received by whom they were sent to.

    None where a rank did not live to report it; what was received is known only if all of them did. None everywhere
    for an engine with its own transport, whose bytes do not pass our meter.
    """
    ranks = range(plan.processes + plan.job.servers)
    good = _metered(plan, ended)
    sent = [sum(good[rank]["bytes_to"].values()) if rank in good else None for rank in ranks]
    messages = [sum(good[rank]["messages_to"].values()) if rank in good else None for rank in ranks]
    received: list[int | None] = [None] * len(ranks)
    if len(good) == len(ranks):
        received = [sum(report["bytes_to"].get(str(to), 0) for report in good.values()) for to in ranks]
    figures = {"bytes_sent": sent, "messages_sent": messages, "bytes_received": received}
    return {name: _per_rank(values, plan) for name, values in figures.items()}


def _bytes_between(plan: Plan, ended: JobOutcome) -> dict[str, dict[str, int]] | None:
    """Payload bytes by sender and receiver; None unless all ranks reported them."""
    good = _metered(plan, ended)
    if len(good) < plan.processes + plan.job.servers:
        return None
    return between({rank: report["bytes_to"] for rank, report in good.items()}, plan.processes)


def _metered(plan: Plan, ended: JobOutcome) -> dict[int, dict[str, Any]]:
    """The reports by rank that say what was sent: none of an engine with its own transport."""
    reports = ended.reports if plan.traits.own_transport is None else []
    return {rank: report for rank, report in enumerate(reports) if report is not None and "error" not in report}
