"""Synthetic run folders: what a run leaves behind, with numbers that follow from formulas."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from common.records.stage_clock import STAGES
from experiments.schema.documents import Summary

WORKERS, BATCH, PARAMETERS = 4, 128, 4810
PLACE = ("rank", "role", "stage", "step")  # keys of an error record
SECONDS = {  # of one step of one worker
    "preprocess": 0.0001,
    "partition": 0.0001,
    "load": 0.0002,
    "train": 0.002,
    "synchronize": 0.0014,
    "update": 0.0002,
}


def loss_at(step: int) -> float:
    """The loss of worker 0 at this step; worker w's is w hundredths higher."""
    return 2.4 / (1 + step)


def write_run(
    parent: Path,
    strategy: str = "ring",
    *,
    steps: int = 20,
    seconds: Mapping[str, float] | None = None,
    params: Sequence[float] | None = None,
    name: str | None = None,
    **changes: Any,
) -> Path:
    """Write a complete run folder below `parent` and return it; `changes` overrides fields of summary.json.

    `seconds` overrides those of some stages; of `train`, "hidden" of them are synchronisation's too.
    """
    folder = parent / (name or f"20250102T030405Z-{strategy.rpartition(':')[2]}-w{WORKERS}-abcd")
    (folder / "ranks").mkdir(parents=True)
    seconds = {**SECONDS, **(seconds or {})}
    streams = 1 if strategy == "single" else WORKERS
    for worker in range(streams):
        rows = [worker_row(step, worker, seconds, WORKERS // streams) for step in range(steps)]
        write_rows(folder, worker, rows)
    np.save(folder / "params.npy", np.array(params or [3.0, 4.0], dtype=np.float32))
    fields = default_summary(strategy, steps, seconds) | {"results_dir": str(folder)} | changes
    (folder / "summary.json").write_text(json.dumps(fields))
    return folder


def worker_row(step: int, worker: int, seconds: Mapping[str, float], logical: int = 1) -> dict[str, Any]:
    """One step record; the job's clock stands at 1 s when the first step begins, and worker w ends w ms late."""
    took = math.fsum(seconds[stage] for stage in STAGES)
    return {
        "step": step,
        "worker": worker,
        "loss": loss_at(step) + worker / 100,
        "samples": [f"{step:04x}{worker + k:04x}" for k in range(logical)],
        "began": 1 + step * took,
        "ended": 1 + (step + 1) * took + worker / 1000,
        "seconds": {stage: seconds[stage] for stage in STAGES},
        "hidden_seconds": seconds.get("hidden", 0.0),
    }


def write_rows(folder: Path, rank: int, rows: Sequence[Mapping[str, Any]], role: str = "worker") -> None:
    """Write one rank's step records."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "ranks" / f"{rank}-{role}.jsonl").write_text(lines)


def default_summary(strategy: str, steps: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The summary of a run in which all went well."""
    model = 4 * PARAMETERS
    servers = 1 if strategy.startswith("ps-") else 0
    workers = 1 if strategy == "single" else WORKERS
    a_step = {  # payload bytes: (each worker's, each server's)
        "single": ([0], []),
        "noop": ([0] * workers, []),
        "star": ([3 * model, model, model, model], []),
    }.get(strategy, ([model] * workers, [model * workers]) if servers else ([model * 3 // 2] * workers, []))
    counts = {"per_worker": [n * steps for n in a_step[0]], "per_server": [n * steps for n in a_step[1]]}
    step_seconds = math.fsum(seconds[stage] for stage in STAGES)
    consistency = {"noop": "none", "ps-async": "asp", "ps-ssp": "ssp(3)", "local-sgd": "none"}
    return {
        "schema": 1,
        "status": "ok",
        "strategy": strategy,
        "strategy_options": {},
        "workers": WORKERS,
        "servers": servers,
        "processes": workers + servers,
        "steps": steps,
        "steps_done": steps,
        "batch": BATCH,
        "seed": 0,
        "data": "digits",
        "model": "mlp",
        "parameters": PARAMETERS,
        "transport": "ipc",
        "samples_per_second": BATCH / step_seconds,
        "warmup_steps": 5,
        "final_loss": loss_at(max(steps - 1, 0)),
        "test_accuracy": 0.975,
        "params_sha256": ["ab12"] * WORKERS,
        "ledger_sha256": "cd34",
        "stage_seconds": {stage: seconds[stage] * steps for stage in STAGES},
        "hidden_synchronize_seconds": seconds.get("hidden", 0.0) * steps,
        "bytes_sent": counts,
        "messages_sent": {key: [6 * steps for _ in values] for key, values in counts.items()},
        "bytes_received": counts,
        "wall_seconds": step_seconds * steps + 1,
        "consistency": consistency.get(strategy, "bsp"),
        "replicas_equal": consistency.get(strategy, "bsp") == "bsp",
        "error": None,
    }


def summary(strategy: str = "ring", **changes: Any) -> Summary:
    """The summary of a run in which all went well, with these changes, as it is read from its file."""
    return msgspec.convert({**default_summary(strategy, 20, SECONDS), **changes}, Summary, str_keys=True)


def fail(error: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a summary that a failed run leaves differently."""
    nothing = ("samples_per_second", "final_loss", "test_accuracy", "ledger_sha256", "stage_seconds", "bytes_sent")
    cause = error or {
        "type": "PeerFailed",
        "rank": 2,
        "role": "worker",
        "stage": "train",
        "step": 3,
        "cause": "killed by signal 9",
    }
    return {"status": "failed", "steps_done": 3, **dict.fromkeys(nothing), "params_sha256": [], "error": cause}
