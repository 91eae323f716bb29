"""Runs as tidy pandas frames: what every chart and table is made from, and what a user analyses.

Nothing on the way to `--help` imports this module, because pandas takes half a second to load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.records.stage_clock import STAGES
from experiments.runs.columns import columns_of
from experiments.runs.find import find_runs
from experiments.runs.run import Run
from experiments.schema.documents import Environment, PerRank, Summary
from experiments.schema.files import iter_lines, read_events, to_builtins
from experiments.schema.records import AnsweredEvent, PushEvent, ServerStepRow, StepRow

_EVENT_FILE = re.compile(r"(\d+)-server\.events\.jsonl")
_ROLES = pd.CategoricalDtype(["worker", "server"])
_OUTCOMES = pd.CategoricalDtype(["applied", "dropped", "duplicate"])
_STEP = np.dtype(
    [
        ("step", np.int32),
        ("began", np.float64),
        ("ended", np.float64),
        ("loss", np.float64),
        ("skipped", np.bool_),
        *((f"seconds.{stage}", np.float64) for stage in STAGES),
        ("hidden_seconds", np.float64),
    ]
)
_PUSH = np.dtype(
    [
        ("worker", np.int32),
        ("step", np.int32),
        ("at", np.float64),
        ("applied", np.int32),
        ("staleness", np.int32),
        ("version", np.int64),
        ("waited", np.float64),
    ]
)
_RANK = {
    "role": _ROLES,
    "rank": "int32",
    **dict.fromkeys(("bytes_sent", "messages_sent", "bytes_received", "peak_memory_bytes", "steps_skipped"), "Int64"),
    "waited_seconds": "float64",
    **dict.fromkeys(("parameters", "bytes", "optimizer_state_bytes", "bytes_within_process"), "Int64"),
    **dict.fromkeys(("held_share", "load_share"), "float64"),
}
_MESSAGE = {"sender": "string", "receiver": "string", "sender_role": _ROLES, "receiver_role": _ROLES, "bytes": "int64"}


@dataclass(frozen=True)
class RunFrames:
    """The frames of some runs, each made when it is first asked for. ConfigError then if a file is damaged.

    Columns have the names of `schema.py` and `records.py`; a dot joins the names of nested structures. The column
    `run`, a category, is in all frames: the name of the run's folder, or its path where two folders have one name.
    What is unknown is NaN or NA. Do not change a frame in place: others read it too.
    """

    of: tuple[Run, ...]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run: `run`, `path`, then the fields of `Summary`, then those of `Environment`.

        stage_seconds.<stage>, optimizer.<field>, pushes.<outcome>, costs.<field>, error.<field>   nested fields
        environment.<field>                     what env.json says
        deaths, restarts                        how many
        strategy_options, strategy_notes, hidden, automatic, params_sha256, error.peers, environment.versions   as JSON

        Units are those of the schema: seconds, bytes, samples_per_second. What is one number a rank is in `ranks`,
        `bytes_between` is in `messages`, and staleness histograms follow from `pushes`.
        """
        paths = pd.Series([str(run.path) for run in self.of], dtype="string")
        known = columns_of(Summary, [run.summary for run in self.of])
        known |= columns_of(Environment, [run.env for run in self.of], "environment.")
        return pd.DataFrame({"run": self._runs, "path": paths, **known})

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """One row a (run, role, rank): its totals over all steps. Ranks of servers follow those of workers.

        role              worker or server, a category
        bytes_sent, bytes_received, messages_sent   payload
        peak_memory_bytes of the rank's process
        steps_skipped     a worker's steps that it was too late for
        waited_seconds    that servers held back a worker's answers, mean over the servers
        parameters, bytes, optimizer_state_bytes    what a server holds
        bytes_within_process   of a server, to and from the worker in its process
        held_share, load_share a server's `bytes`, and its bytes sent and received, over the mean of all servers
        """
        entries = [_rank_rows(run.summary) for run in self.of]
        return self._of_rows(entries, _RANK)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a (run, role, rank, step): a step of a worker, or an update of a server.

        role               worker or server, a category
        began, ended       seconds since the start of the job
        loss               of a worker; NaN if it is not finite or the step was skipped
        skipped            the worker was too late for the step
        seconds.<stage>    seconds in each of the six stages
        hidden_seconds     seconds of synchronisation beside stage train, which contains them
        """
        parts = []
        for number, run in enumerate(self.of):
            for rank, file in run.step_files("worker").items():
                values = np.fromiter(_worker_steps(file), _STEP)
                parts.append(self._part(number, values, role="worker", rank=rank))
            for rank, file in run.step_files("server").items():
                values = np.fromiter(_server_steps(file), _STEP)
                parts.append(self._part(number, values, role="server", rank=rank))
        empty = self._part(0, np.empty(0, _STEP), role="worker", rank=0)
        return _joined(parts, empty, {"role": _ROLES, "rank": "int32"})

    @cached_property
    def pushes(self) -> pd.DataFrame:
        """One row a push at a server. With several servers a worker's push is at each of them.

        server, worker   ranks
        step             in which the worker computed the gradient
        at               seconds since the start of the job, when the server wrote the event
        applied          the highest step that any worker had pushed by then
        staleness        steps: `applied` - `step`
        version          updates that the server had applied before this push
        waited           seconds from the push to its answer; NaN where pushes wait unread in their queues (BSP)
        outcome          applied, dropped (too late) or duplicate, a category
        """
        parts = []
        for number, run in enumerate(self.of):
            for file in sorted(run.path.glob("ranks/*-server.events.jsonl")):
                if match := _EVENT_FILE.fullmatch(file.name):
                    values, outcomes = _pushes_of(file)
                    parts.append(self._part(number, values, server=int(match[1])).assign(outcome=outcomes))
        empty = self._part(0, np.empty(0, _PUSH), server=0).assign(outcome=[])
        return _joined(parts, empty, {"server": "int32", "outcome": _OUTCOMES})

    @cached_property
    def messages(self) -> pd.DataFrame:
        """One row a (run, sender, receiver) between which anything was sent, in all steps together.

        sender, receiver             a rank such as `3`; in large jobs a group of neighbours such as `0-15`
        sender_role, receiver_role   worker or server, categories
        bytes                        payload
        """
        return self._of_rows([list(_message_rows(run.summary)) for run in self.of], _MESSAGE)

    @cached_property
    def _runs(self) -> pd.Categorical[str]:
        names = [run.path.name for run in self.of]
        keys = [str(run.path) if names.count(run.path.name) > 1 else run.path.name for run in self.of]
        return pd.Categorical(keys, categories=keys)

    def _of_rows(self, rows: list[list[dict[str, Any]]], dtypes: dict[str, Any]) -> pd.DataFrame:
        """A frame of the rows of each run, with these columns after `run`."""
        flat = [row for of_run in rows for row in of_run]
        run = np.repeat(np.arange(len(rows)), [len(of_run) for of_run in rows])
        columns = {name: pd.Series([row.get(name) for row in flat], dtype=dtype) for name, dtype in dtypes.items()}
        return pd.DataFrame({"run": self._runs.take(run), **columns})

    def _part(self, number: int, values: NDArray[Any], **same: str | int) -> pd.DataFrame:
        """The frame of one file. The run with this `number`, and what is the `same` in every row, come first."""
        frame = pd.DataFrame(values)
        runs = pd.Categorical.from_codes(np.full(len(frame), number), dtype=self._runs.dtype)
        frame.insert(0, "run", pd.Series(runs))
        for place, (name, value) in enumerate(same.items(), 1):
            frame.insert(place, name, value)
        return frame


def load_runs(paths: str | Path | Iterable[str | Path]) -> RunFrames:
    """Return the runs in these folders as frames.

    A folder of runs or of a sweep stands for its runs, and a pattern such as `results/*-ring-*` for those that it
    finds. ConfigError if a path is no run and holds none, or if a summary cannot be read.
    """
    wanted = [paths] if isinstance(paths, str | Path) else list(paths)
    return RunFrames(tuple(find_runs(wanted)))


def _joined(parts: list[pd.DataFrame], empty: pd.DataFrame, dtypes: dict[str, Any]) -> pd.DataFrame:
    return pd.concat([part.astype(dtypes) for part in parts or [empty]], ignore_index=True)


def _worker_steps(file: Path) -> Iterator[tuple[Any, ...]]:
    for row in iter_lines(file, StepRow):
        loss = math.nan if row.loss is None else row.loss
        yield row.step, row.began, row.ended, loss, row.skipped, *_stages(row), row.hidden_seconds


def _server_steps(file: Path) -> Iterator[tuple[Any, ...]]:
    for row in iter_lines(file, ServerStepRow):
        yield row.step, row.began, row.ended, math.nan, False, *_stages(row), row.hidden_seconds


def _stages(row: StepRow | ServerStepRow) -> tuple[float, ...]:
    """In the order of STAGES. Written out, because it is called for every step of long runs."""
    spent = row.seconds
    return spent.preprocess, spent.partition, spent.load, spent.train, spent.synchronize, spent.update


def _pushes_of(file: Path) -> tuple[NDArray[Any], list[str]]:
    """The pushes of one server, and their outcomes."""
    rows: list[tuple[Any, ...]] = []
    outcomes: list[str] = []
    newest: dict[int, int] = {}  # by worker: the place of its newest push in `rows`
    longer: dict[int, float] = {}  # by place: seconds that an answer took beyond those of the push's own event
    for event in read_events(file):
        if isinstance(event, PushEvent):
            newest[event.worker] = len(rows)
            at, waited = (math.nan if value is None else value for value in (event.at, event.waited))
            rows.append((event.worker, event.step, at, event.applied, event.staleness, event.version, waited))
            outcomes.append(event.outcome)
        elif isinstance(event, AnsweredEvent) and (place := newest.get(event.worker)) is not None:
            longer[place] = longer.get(place, 0.0) + event.waited
    values = np.array(rows, _PUSH)
    values["waited"][list(longer)] += list(longer.values())
    return values, outcomes


def _rank_rows(summary: Summary) -> list[dict[str, Any]]:
    counts = {
        name: getattr(summary, name) or PerRank()
        for name in ("bytes_sent", "messages_sent", "bytes_received", "peak_memory_bytes")
    }
    of_workers = {
        **{name: count.per_worker for name, count in counts.items()},
        "steps_skipped": summary.steps_skipped.per_worker,
        "waited_seconds": summary.waited_seconds or (),
    }
    rows: list[dict[str, Any]] = []
    for rank in range(summary.workers):
        known = {name: values[rank] for name, values in of_workers.items() if rank < len(values)}
        rows.append({"role": "worker", "rank": rank, **known})
    for number in range(summary.servers):
        detail = to_builtins(summary.servers_detail[number]) if number < len(summary.servers_detail) else {}
        known = {name: count.per_server[number] for name, count in counts.items() if number < len(count.per_server)}
        rows.append({**detail, "role": "server", "rank": detail.get("rank", summary.workers + number), **known})
    return rows


def _message_rows(summary: Summary) -> Iterator[dict[str, Any]]:
    between = summary.bytes_between or {}
    last = max((int(name.rpartition("-")[2]) for name in between), default=-1)
    first_server = last + 1 - summary.servers

    def role(name: str) -> str:
        return "server" if int(name.partition("-")[0]) >= first_server else "worker"

    for sender, receivers in between.items():
        for receiver, count in receivers.items():
            roles = {"sender_role": role(sender), "receiver_role": role(receiver)}
            yield {"sender": sender, "receiver": receiver, **roles, "bytes": count}
