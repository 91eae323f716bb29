"""One run, from plan to result folder."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from common.board import Status as RankStatus
from common.errors import RunError
from common.job import Job
from common.placement import crews
from common.stages import STAGES
from experiments.agent import Agent
from experiments.balance import servers_detail
from experiments.config import Plan
from experiments.environment import environment
from experiments.folders import new_folder, unwritable, write_json
from experiments.progress import Status
from experiments.pushes import Pushes, read_pushes
from experiments.restarts import Restarts
from experiments.results import SCHEMA, Run, load_run
from experiments.rows import Totals, add_up, last_steps
from experiments.surroundings import signals_deferred
from experiments.watch import Ended

Show = Callable[[Status], None]
SOON_READ = 50 << 20  # bytes of step records that are read in about a second


class RunFailed(Exception):
    """A run ended with an error; its folder says the same. `traceback` is that of a rank that raised, if one did."""

    def __init__(self, run: Run, error: RunError, traceback: str | None) -> None:
        super().__init__(str(error))
        self.run, self.error, self.traceback = run, error, traceback


def execute(plan: Plan, agent: Agent, parent: Path, show: Show) -> Run:
    """Run `plan` in a new folder under `parent`; blocks. Raises RunFailed, KeyboardInterrupt, ConfigError.

    Whatever happens, the folder's summary.json is written last and says how it ended.
    """
    try:
        return _execute(plan, agent, parent, show)
    except OSError as error:
        raise unwritable(parent, error) from None


def _execute(plan: Plan, agent: Agent, parent: Path, show: Show) -> Run:
    job = plan.job
    folder = new_folder(parent, f"{_slug(job.strategy)}-w{job.workers}")
    ended = Ended([])
    status = "failed"
    restarts = Restarts(job.restarts, folder / "checkpoints", plan.traits.on_server_death == "rollback")
    try:
        (folder / "ranks").mkdir()
        (folder / "config.yaml").write_text(_config(job))
        write_json(folder / "env.json", {**environment(job.threads), "transport": job.transport, "link": None})
        ended = agent.run(
            job,
            plan.processes,
            folder,
            lambda ranks, seconds: show(_progress(job.batch, ranks, seconds, len(restarts.done))),
            launcher=plan.traits.launcher,
            restarts=restarts,
            on_worker_death=job.on_worker_death,
        )
        status = "ok" if ended.error is None else "failed"
        if status == "ok":
            shutil.rmtree(restarts.checkpoints, ignore_errors=True)
    except KeyboardInterrupt:
        status = "partial"
        raise
    finally:
        with signals_deferred():
            write_json(folder / "summary.json", _summary(plan, folder, ended, status, restarts.done))
    run = load_run(folder)
    if ended.error is not None:
        raise RunFailed(run, ended.error, ended.traceback)
    return run


def _config(job: Job) -> str:
    """The job in the words of the command line, so that `run --config` repeats it."""
    values = json.loads(json.dumps(job.to_dict()))
    del values["sparse"]  # follows from the strategy, the model and the optimizer
    spec = values.pop("optimizer")
    spec.pop("steps")  # the job's
    return str(yaml.safe_dump({**values, "optimizer": spec.pop("name"), **spec}, sort_keys=False))


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)


def _progress(batch: int, ranks: Sequence[RankStatus], elapsed: float, restarts: int) -> Status:
    """What the board says, for the display: the slowest worker's steps, means over the workers."""
    steps = min(rank.steps_done for rank in ranks)
    seconds = {stage: sum(rank.stage_seconds[stage] for rank in ranks) / len(ranks) for stage in STAGES}
    busy = sum(seconds.values())
    return Status(
        step=steps,
        samples_per_second=steps * batch / busy if busy else math.nan,
        loss=sum(rank.loss for rank in ranks) / len(ranks) if steps else math.nan,
        stage_seconds=seconds,
        elapsed=elapsed,
        restarts=restarts,
    )


def warmup_steps(steps: int) -> int:
    """Steps at the start that `samples_per_second` leaves out: first-use initialisation is no steady state."""
    return min(10, steps // 5)


def _summary(plan: Plan, folder: Path, ended: Ended, status: str, restarts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    job = plan.job
    warmup = warmup_steps(job.steps)
    files = [folder / "ranks" / f"{rank}-worker.jsonl" for rank in range(plan.processes)]
    histories = [folder / "ranks" / f"{plan.processes + number}-server.events.jsonl" for number in range(job.servers)]
    departed = {entry["rank"] for entry in ended.deaths}
    totals, pushes = _totals(files, histories, warmup, departed, whole=status == "ok")
    workers = [report for report in ended.reports[: plan.processes] if report is not None and "error" not in report]
    complete = len(workers) == plan.processes - len(departed)
    first = next((report for report in workers if report["test_accuracy"] is not None), {})
    traffic = _traffic(plan, ended)
    return {
        "schema": SCHEMA,
        "status": status,
        "strategy": job.strategy,
        "strategy_options": job.strategy_options,
        "strategy_notes": first.get("strategy_notes", {}) if complete else {},
        "consistency": plan.traits.consistency,
        "replicas_equal": plan.traits.replicas_equal,
        "own_transport": plan.traits.own_transport,
        "synchronizes_in": plan.traits.synchronizes_in,
        "workers": job.workers,
        "servers": job.servers,
        "placement": job.placement if job.servers else None,
        "processes": len(crews(plan.processes, job.servers, job.placement)),
        "steps": job.steps,
        "steps_done": totals.steps,
        "steps_skipped": {"per_worker": _each(totals.skipped, plan) if complete else []},
        "batch": job.batch,
        "seed": job.seed,
        "data": job.data,
        "model": job.model,
        "parameters": _parameters(folder),
        "transport": job.transport,
        "hosts": job.hosts,
        "bucket": job.bucket,
        "overlap": job.overlap,
        "checkpoint_every": job.checkpoint_every,
        "incarnations": 1 + max((entry["incarnation"] for entry in restarts), default=0),
        "restarts": list(restarts),
        "slow_worker": job.slow_worker,
        "jitter": job.jitter,
        "train_seconds": job.train_seconds,
        "optimizer": job.to_dict()["optimizer"],
        "sparse": job.sparse,
        "samples_per_second": _samples_per_second(totals, job.batch / plan.processes),
        "warmup_steps": warmup,
        "final_loss": totals.loss,
        "test_accuracy": first.get("test_accuracy") if complete else None,
        "params_sha256": _each([worker["params_sha256"] for worker in workers], plan) if complete else [],
        "ledger_sha256": totals.ledger_sha256,
        "stage_seconds": totals.stage_seconds,
        "hidden_synchronize_seconds": totals.hidden_seconds,
        **pushes.summary(job.workers),
        **traffic,
        "servers_detail": servers_detail(plan, ended.reports, traffic),
        "peak_memory_bytes": _peak_memory(plan, ended),
        "wall_seconds": ended.seconds,
        "deaths": list(ended.deaths),
        "error": ended.error.record() if ended.error is not None else _interrupted(status),
        "results_dir": str(folder),
    }


def _interrupted(status: str) -> dict[str, Any] | None:
    if status != "partial":
        return None
    return {
        "type": "KeyboardInterrupt",
        "rank": None,
        "role": None,
        "stage": None,
        "step": None,
        "cause": "interrupted",
    }


def _parameters(folder: Path) -> int | None:
    """How many parameters the model has, from the size of what it ended with."""
    import numpy as np

    path = folder / "params.npy"
    return int(np.load(path, mmap_mode="r", allow_pickle=False).size) if path.exists() else None


def _totals(
    files: Sequence[Path], histories: Sequence[Path], warmup: int, departed: set[int], *, whole: bool
) -> tuple[Totals, Pushes]:
    """What the rows add up to. A long run that was cut short is not read through: its user waits for the prompt."""
    if whole or sum(file.stat().st_size for file in [*files, *histories] if file.exists()) < SOON_READ:
        pushes = read_pushes(histories)
        return add_up(files, warmup, pushes, departed), pushes
    return Totals(steps=last_steps(files)), Pushes()


def _samples_per_second(totals: Totals, samples: float) -> float | None:
    """`samples` are those of one step of one process."""
    return None if totals.steps_per_second is None else totals.steps_per_second * samples


def _each(values: list[Any], plan: Plan) -> list[Any]:
    """One entry a worker: where one process stands for all workers, its entry does too."""
    return values * plan.job.workers if plan.traits.one_process else values


def _peak_memory(plan: Plan, ended: Ended) -> dict[str, Any]:
    """The most memory that each rank had in use, bytes: its own, and what it has read in place of its peers'.

    A rank's is that of its process: a colocated server's is its worker's too, the same bytes once more.
    """
    peaks = [None if report is None else report.get("peak_memory_bytes") for report in ended.reports]
    return {"per_worker": _each(peaks[: plan.processes], plan), "per_server": peaks[plan.processes :]}


def _traffic(plan: Plan, ended: Ended) -> dict[str, Any]:
    """Payload bytes and messages of all steps, per rank: sent, and received by whom they were sent to.

    None where a rank did not live to report it; what was received is known only if all of them did. None everywhere
    for an engine with its own transport, whose bytes do not pass our meter.
    """
    ranks = range(plan.processes + plan.job.servers)
    reports = ended.reports if plan.traits.own_transport is None else []
    good = {rank: report for rank, report in enumerate(reports) if report is not None and "error" not in report}
    sent = [sum(good[rank]["bytes_to"].values()) if rank in good else None for rank in ranks]
    messages = [sum(good[rank]["messages_to"].values()) if rank in good else None for rank in ranks]
    received: list[int | None] = [None] * len(ranks)
    if len(good) == len(ranks):
        received = [sum(report["bytes_to"].get(str(to), 0) for report in good.values()) for to in ranks]
    return {
        name: {"per_worker": _each(values[: plan.processes], plan), "per_server": values[plan.processes :]}
        for name, values in (("bytes_sent", sent), ("messages_sent", messages), ("bytes_received", received))
    }
