"""Execute one run, from its plan to its result folder."""

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from statistics import fmean

import yaml

from common.errors import ConfigError, JobFailed, RunError
from common.records.stage_clock import STAGES
from common.runtime.job import VIRTUAL, Job
from common.runtime.status_board import Status as RankStatus
from experiments.config import Plan
from experiments.launch.agent import ENTRY, Agent
from experiments.launch.inheritance import signals_deferred
from experiments.launch.recovery import Restarts
from experiments.launch.supervisor import JobOutcome
from experiments.machine.environment import environment
from experiments.runs.files import new_folder, writing
from experiments.runs.find import load_run
from experiments.runs.progress import Status
from experiments.runs.run import Run
from experiments.runs.summary import summary
from experiments.schema.documents import Status as RunStatus
from experiments.schema.files import write_document
from experiments.trace.perfetto import write_trace

Show = Callable[[Status], None]


class RunFailed(JobFailed):
    """A run ended with an error."""

    def __init__(self, run: Run, error: RunError, traceback: str | None) -> None:
        super().__init__(str(error), error, traceback, run.summary, f"what was recorded is in {run.path}")
        self.run = run


def execute(plan: Plan, agent: Agent, parent: Path, show: Show) -> Run:
    """Run `plan` in a new folder of `parent`; blocks; writes `summary.json` last. RunFailed, ConfigError."""
    with writing(parent):
        return _execute(plan, agent, parent, show)


def _execute(plan: Plan, agent: Agent, parent: Path, show: Show) -> Run:
    job = plan.job
    slug = re.sub(r"[^\w.-]", "-", job.strategy)
    folder = new_folder(parent, f"{slug}-w{job.workers}")
    ended = JobOutcome([])
    status: RunStatus = "failed"
    virtual = job.transport == VIRTUAL
    restarts = Restarts(job.restarts, folder / "checkpoints", plan.traits.on_server_death == "rollback")
    try:
        (folder / "ranks").mkdir()
        (folder / "config.yaml").write_text(_config(job))
        write_document(folder / "env.json", environment(job.threads, job.transport, job.link))
        ended = agent.run(
            job,
            plan.processes,
            folder,
            lambda ranks, seconds: show(_progress(job.batch, ranks, seconds, len(restarts.done))),
            entry="experiments.ranks.virtual_job" if virtual else ENTRY,
            launcher="together" if virtual else plan.traits.launcher,
            restarts=restarts,
            on_worker_death=job.on_worker_death,
        )
        status = "ok" if ended.error is None else "failed"
        if job.trace:
            with nullcontext() if ended.error is None else suppress(ConfigError):  # a killed rank leaves no trace
                write_trace(folder)
        if status == "ok":
            shutil.rmtree(restarts.checkpoints, ignore_errors=True)
    except KeyboardInterrupt:
        status = "partial"
        raise
    finally:
        with signals_deferred():
            write_document(folder / "summary.json", summary(plan, folder, ended, status, restarts.done))
    run = load_run(folder)
    if ended.error is not None:
        raise RunFailed(run, ended.error, ended.traceback)
    return run


def _config(job: Job) -> str:
    """Return the job as a configuration file, so that `run --config` repeats it."""
    values = json.loads(json.dumps(job.to_dict()))
    del values["sparse"]  # follows from the strategy, the model and the optimizer
    spec = values.pop("optimizer")
    spec.pop("steps")  # the job's
    return str(yaml.safe_dump({**values, "optimizer": spec.pop("name"), **spec}, sort_keys=False))


def _progress(batch: int, ranks: Sequence[RankStatus], elapsed: float, restarts: int) -> Status:
    """Return the status of the job: the steps of the slowest worker, means over the workers."""
    steps = min(rank.steps_done for rank in ranks)
    seconds = {stage: fmean(rank.stage_seconds[stage] for rank in ranks) for stage in STAGES}
    busy = sum(seconds.values())
    return Status(
        step=steps,
        samples_per_second=steps * batch / busy if busy else math.nan,
        loss=fmean(rank.loss for rank in ranks) if steps else math.nan,
        stage_seconds=seconds,
        elapsed=elapsed,
        restarts=restarts,
    )
