"""Runs as tidy pandas frames: the source of every chart, and what a user analyses.

Nothing on the way to `--help` imports this module, because pandas takes half a second to load.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct, structs

from experiments.runs.find import find_runs
from experiments.runs.run import Run
from experiments.schema.documents import Environment, PerRank, Summary
from experiments.schema.files import iter_lines, read_events
from experiments.schema.records import AnsweredEvent, PushEvent, ServerStepRow, StepRow

_ROLE = pd.CategoricalDtype(["worker", "server"])
_COUNTS = ("bytes_sent", "bytes_received", "messages_sent", "peak_memory_bytes")  # one number a rank
_HELD = ("parameters", "bytes", "optimizer_state_bytes", "bytes_within_process")  # of a server
_SHARES = ("held_share", "load_share")  # of a server
_RANKS = {"role": _ROLE, "rank": "int64", **dict.fromkeys((*_COUNTS, "steps_skipped"), "Int64")}
_RANKS |= {"waited_seconds": "float64", **dict.fromkeys(_HELD, "Int64"), **dict.fromkeys(_SHARES, "float64")}
_MESSAGES = {"sender": "string", "receiver": "string", "sender_role": _ROLE, "receiver_role": _ROLE, "bytes": "int64"}
_ELSEWHERE = {*_COUNTS, "steps_skipped", "waited_seconds", "servers_detail", "bytes_between"}  # in `ranks`, `messages`
_COUNTED = {"deaths", "restarts"}  # the column says how many
_DTYPES = {int: ("int64", "Int64"), bool: ("bool", "boolean"), float: ("float64", "float64")}  # known, maybe unknown


@dataclass(frozen=True)
class RunFrames:
    """The frames of some runs, each made when it is first asked for. ConfigError then if a file is damaged.

    Columns have the names of the typed structures of a result; a dot joins those of nested structures. The column `run`
    of all frames, a category, is the name of the run's folder, or its path where two folders have one name. What is
    unknown is NaN or NA. Do not change a frame in place: other code reads it too.
    """

    of: tuple[Run, ...]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run: `run`, `path`, the fields of `Summary`, and those of `Environment`.

        Nested fields are such as `stage_seconds.train` and `environment.cores`. Lists and mappings are JSON, but
        `deaths` and `restarts` say how many. Numbers by rank are in `ranks`, and those by pair of ranks in `messages`.
        """
        paths = pd.Series([str(run.path) for run in self.of], dtype="string")
        summaries = _columns(Summary, [run.summary for run in self.of])
        environments = _columns(Environment, [run.env for run in self.of], "environment.")
        return pd.DataFrame({"run": self._names, "path": paths, **summaries, **environments})

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """One row a (run, role, rank), workers first: the numbers by rank of `Summary` and `ServerDetail`."""
        return self._joined(_RANKS, [_ranks(run.summary) for run in self.of])

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a (run, role, rank, step) as in `StepRow`, also for updates of servers. The loss may be NaN."""
        blocks = [
            (place, {"role": role, "rank": rank}, list(_steps(file, role)))
            for place, run in enumerate(self.of)
            for role in _ROLE.categories
            for rank, file in run.rank_files(f"{role}.jsonl").items()
        ]
        return self._frame(StepRow, blocks, role=_ROLE, rank="int64").drop(columns=["worker", "samples"])

    @cached_property
    def pushes(self) -> pd.DataFrame:
        """One row a push at a `server` (a rank) as in `PushEvent`; `waited` includes what later events add."""
        blocks = [
            (place, {"server": rank}, _pushes(file))
            for place, run in enumerate(self.of)
            for rank, file in run.rank_files("server.events.jsonl").items()
        ]
        return self._frame(PushEvent, blocks, server="int64")

    @cached_property
    def messages(self) -> pd.DataFrame:
        """One row a (run, sender, receiver) with traffic: names such as `3` or `0-15`, roles, bytes of all steps."""
        return self._joined(_MESSAGES, [_messages(run.summary) for run in self.of])

    @cached_property
    def _names(self) -> pd.Categorical[str]:
        names = [run.path.name for run in self.of]
        keys = [str(run.path) if names.count(run.path.name) > 1 else run.path.name for run in self.of]
        return pd.Categorical(keys, categories=keys)

    def _joined(self, dtypes: dict[str, Any], blocks: Sequence[list[dict[str, Any]]]) -> pd.DataFrame:
        """Return a frame with these columns of a block of rows for each run."""
        frame = pd.DataFrame([row for rows in blocks for row in rows], columns=list(dtypes), dtype=object)
        frame.insert(0, "run", pd.Series(self._names.repeat([len(rows) for rows in blocks])))
        return frame.astype(dtypes)

    def _frame(
        self, kind: type[Struct], blocks: Sequence[tuple[int, dict[str, Any], Sequence[Struct]]], **same: Any
    ) -> pd.DataFrame:
        """Return a frame of blocks, each with its run's place, its values of the columns `same` (dtypes), its rows."""
        lengths = [len(rows) for _, _, rows in blocks]
        places = np.repeat([place for place, _, _ in blocks], lengths).astype(int)
        columns: dict[str, Any] = {"run": self._names.take(places)}
        for name, dtype in same.items():
            columns[name] = pd.Series([values[name] for _, values, _ in blocks], dtype=dtype).repeat(lengths).array
        return pd.DataFrame({**columns, **_columns(kind, [row for _, _, rows in blocks for row in rows])})


def load_runs(paths: str | Path | Iterable[str | Path]) -> RunFrames:
    """Return the runs that `find_runs` finds as frames: of folders, and of patterns such as `results/*-ring-*`."""
    return RunFrames(tuple(find_runs([paths] if isinstance(paths, str | Path) else paths)))


def _columns(
    kind: type[Any], values: Sequence[Any], prefix: str = "", *, lacking: bool = False
) -> dict[str, pd.Series[Any]]:
    """Return a column for every field of `kind`; `values` are rows. `lacking`: some are None, with fields unknown."""
    columns: dict[str, pd.Series[Any]] = {}
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) is ClassVar or (kind is Summary and name in _ELSEWHERE):
            continue
        cells: list[Any] = [None if value is None else getattr(value, name) for value in values]
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        first, optional = next(each for each in kinds if each is not NoneType), lacking or NoneType in kinds
        if isinstance(first, type) and (issubclass(first, Struct) or dataclasses.is_dataclass(first)):
            columns |= _columns(first, cells, f"{prefix}{name}.", lacking=optional)
            continue
        dtype: Any = "string"
        if name in _COUNTED:
            cells, dtype = [len(cell) for cell in cells], "int64"
        elif get_origin(first) is Literal:
            dtype = pd.CategoricalDtype(list(get_args(first)))
        elif first in _DTYPES:
            dtype = _DTYPES[first][optional]
        else:
            cells = [cell if cell is None or isinstance(cell, str) else msgspec.json.encode(cell) for cell in cells]
            cells = [cell.decode() if isinstance(cell, bytes) else cell for cell in cells]
        columns[prefix + name] = pd.Series(cells, dtype=dtype)
    return columns


def _steps(file: Path, role: str) -> Iterator[StepRow]:
    if role == "worker":
        yield from iter_lines(file, StepRow)
        return
    for row in iter_lines(file, ServerStepRow):
        fields = structs.asdict(row)
        del fields["server"]
        yield StepRow(loss=None, **fields)


def _pushes(file: Path) -> list[PushEvent]:
    """Return the pushes at one server. A later event may say that an answer took longer than its push says."""
    pushes: list[PushEvent] = []
    newest: dict[int, int] = {}  # by worker: the place of its newest push in `pushes`
    for event in read_events(file):
        if isinstance(event, PushEvent):
            newest[event.worker] = len(pushes)
            pushes.append(event)
        elif isinstance(event, AnsweredEvent) and (place := newest.get(event.worker)) is not None:
            push = pushes[place]
            if push.waited is not None:
                pushes[place] = structs.replace(push, waited=push.waited + event.waited)
    return pushes


def _ranks(summary: Summary) -> list[dict[str, Any]]:
    counts = {name: getattr(summary, name) or PerRank() for name in _COUNTS}
    of_workers = {name: count.per_worker for name, count in counts.items()}
    of_workers |= {"steps_skipped": summary.steps_skipped.per_worker, "waited_seconds": summary.waited_seconds or ()}
    of_servers = {name: count.per_server for name, count in counts.items()}
    of_servers |= {name: [getattr(each, name) for each in summary.servers_detail] for name in (*_HELD, *_SHARES)}
    rows = []
    for role, first, count, known in (
        ("worker", 0, summary.workers, of_workers),
        ("server", summary.workers, summary.servers, of_servers),
    ):
        for place in range(count):
            figures = {name: values[place] for name, values in known.items() if place < len(values)}
            rows.append({"role": role, "rank": first + place, **figures})
    return rows


def _messages(summary: Summary) -> list[dict[str, Any]]:
    between = summary.bytes_between or {}
    last = max((int(name.rpartition("-")[2]) for name in between), default=-1)
    first_server = last + 1 - summary.servers
    roles = {name: "server" if int(name.partition("-")[0]) >= first_server else "worker" for name in between}
    return [
        {"sender": one, "receiver": other, "sender_role": roles[one], "receiver_role": roles[other], "bytes": count}
        for one, receivers in between.items()
        for other, count in receivers.items()
    ]
