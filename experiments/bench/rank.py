"""One rank of a benchmark: goes through the blocks of the schedule as rank 0 announces them, and records each.

All ranks, servers too, hear of every block over an endpoint of their own, the control channel: so nobody's deadline
runs out in an exchange that others have not begun, and barriers are not counted as an exchange's bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.context import Context
from common.errors import SETUP
from common.link_probe import shifts
from common.pipeline.engine import EngineStrategy
from common.place import Place
from common.records.stage_clock import STAGES
from common.runtime.engine_host import EngineHost
from common.runtime.placement import ranks_in_process_of
from common.runtime.status_board import PostedPlace, StatusBoard
from common.strategy import Bucket, SyncStrategy
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from common.types import FLOAT_BYTES, Vector
from experiments.bench.exchanges import (
    AllReduceAndUpdate,
    AllReduceExchange,
    BufferPool,
    Exchange,
    ServerExchange,
    SubtractGradient,
)
from experiments.bench.plan import BenchPlan, Block, Contestant, schedule
from experiments.config.strategies import create_call
from experiments.launch.rank_process import LINGER, live, overdue, writing

CONTROL = "ipc"  # benchmarks run on one machine
LINK_ROUNDS = 100, 8  # of a tiny and of a large message, to find α, β and γ
BLOCK_SECONDS = 0.3  # that a block of timed iterations should last
FEWEST, MOST = 2, 1000  # iterations of a block
PILOT_BYTES, PILOTS = 4 << 20, (2, 20)  # untimed iterations from which the number is found: fewer of long ones
VERIFIED = 2  # exchanges whose results are compared: the second one meets buffers that were used before
IDLE = 10  # deadlines that who has nothing to do in a block waits for the next one; the agent ends it if it never comes


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the benchmark described in `folder`/job.json."""
    live(folder, rank, _bench)


def _bench(order: dict[str, Any], home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    rank = BenchRank(BenchPlan.from_dict(order["job"]), board, place, order["id"])
    linger = 0.0
    try:
        rank.open(home, Path(order["results"]))
        rank.run()
        linger = LINGER
    finally:
        rank.close(linger)
    return {}


def iterations_for(seconds: float) -> int:
    """How many iterations of `seconds` each make a block."""
    return max(FEWEST, min(MOST, round(BLOCK_SECONDS / seconds))) if seconds > 0 else MOST


def pilots(nbytes: int) -> int:
    """How many iterations run, untimed, to find how long one takes."""
    return min(PILOTS[1], max(PILOTS[0], PILOT_BYTES // nbytes))


def warm_up(iterations: int) -> int:
    """How many iterations run, untimed, before those that are timed."""
    return max(2, min(10, iterations // 10))


class BenchRank:
    """The parts of one rank: an endpoint for each transport, a context on it for each contestant."""

    def __init__(self, spec: BenchPlan, board: StatusBoard, place: PostedPlace, job: int) -> None:
        torch.set_num_threads(spec.threads)
        self.spec, self.board, self.place, self.job = spec, board, place, job
        self.file: int | None = None
        self.endpoints: list[MeteredEndpoint] = []
        self.meters: dict[str, MeteredEndpoint] = {}
        self.pools: dict[str, BufferPool] = {}
        self.contests: dict[int, Exchange] = {}
        self.chosen: dict[tuple[int, int], int] = {}  # iterations, by contestant and bytes; rank 0's
        self.took_part = True

    def open(self, home: Path, results: Path) -> None:
        """Open this rank's file in `results`, and in `home` an endpoint for each transport. Raises RunError."""
        place, spec = self.place, self.spec
        self.engine_host = EngineHost(home, spec.ranks, place, spec.deadline, overdue(home, place))
        with writing(place):
            path = results / "ranks" / f"{place.rank}-{place.role}.jsonl"
            self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self.control = self._connect(CONTROL, home / "control", Place(place.rank, place.role))
        self.everyone = Context(self.control, workers=spec.ranks)
        self.workers = Context(self.control, workers=spec.workers)
        for transport in spec.transports:
            self.meters[transport] = self._connect(transport, home / transport, place)
            self.pools[transport] = BufferPool(self.meters[transport].alloc, max(spec.sizes))

    def _connect(self, transport: str, home: Path, place: Place) -> MeteredEndpoint:
        home.mkdir(exist_ok=True)
        spec = self.spec
        more: dict[str, Any] = {"job": self.job, "deadline": spec.deadline, "interface": spec.interface}
        more["crew"] = ranks_in_process_of(place.rank, spec.workers, spec.servers, spec.placement)
        self.endpoints.append(MeteredEndpoint(connect(transport, place, spec.ranks, home, watch=self._watch, **more)))
        return self.endpoints[-1]

    def _watch(self) -> None:
        if (culprit := self.board.culprit()) is not None:
            raise culprit

    def run(self) -> None:
        """Do all blocks. Raises RunError."""
        for index, block in enumerate(schedule(self.spec)):
            iterations = self._announced(index, block)
            if (found := self._do(block, iterations)) is not None:
                self._record(index, found)
            self.board.done(self.place.rank, index + 1, 0.0, [0.0] * len(STAGES))
        for contest in self.contests.values():
            contest.close()
        self.everyone.barrier()

    def close(self, linger: float) -> None:
        """Close everything that was opened, whatever one of them raises."""
        with contextlib.ExitStack() as undo:
            if self.file is not None:
                undo.callback(os.close, self.file)
            for endpoint in self.endpoints:
                undo.callback(endpoint.close, linger=linger)

    def _announced(self, index: int, block: Block) -> int:
        """Wait until rank 0 begins this block; returns the number of iterations to time."""
        word = np.array([index, self.chosen.get((block.contestant, block.nbytes), 0)], np.int64)
        if self.place.rank == 0:
            for rank in range(1, self.spec.ranks):
                self.control.send(rank, word)
        else:
            self.control.inner.deadline = self.spec.deadline * (1 if self.took_part else IDLE)
            self.control.recv_into(0, word)
            self.control.inner.deadline = self.spec.deadline
        assert word[0] == index, f"rank 0 is at block {word[0]}, this rank at {index}"
        return int(word[1])

    def _do(self, block: Block, iterations: int) -> dict[str, Any] | None:
        """This rank's part in a block, and what there is to record of it; None if it has no part."""
        self.place.step, self.place.bucket = SETUP, 0
        self.place.enter("synchronize")
        self.pools[block.transport].begin()
        self.took_part = True
        if block.kind == "link":
            return self._link(block.transport)
        contestant = self.spec.contestants[block.contestant]
        if self.place.role == "server":
            self.took_part = contestant.servers
            return self._serve(contestant, block) if contestant.servers else None
        contest = self._contest(block)
        contest.begin(block.nbytes // FLOAT_BYTES)
        found = self._verify(contest, block) if block.kind == "verify" else self._time(contest, block, iterations)
        contest.end()
        if contestant.servers:  # before anybody reuses memory that a server of its own process may still be lending
            self.workers.barrier()
        return found

    def _link(self, transport: str) -> dict[str, Any] | None:
        self.took_part = self.place.rank < self.spec.workers
        if not self.took_part:
            return None
        figures = shifts(self._context(transport, servers=0), *LINK_ROUNDS)
        return dict(zip(("alpha", "beta", "gamma"), figures, strict=True)) if self.place.rank == 0 else None

    def _context(self, transport: str, servers: int) -> Context:
        return Context(self.meters[transport], workers=self.spec.workers, servers=servers)

    def _create(self, call: str) -> SyncStrategy:
        strategy = create_call(call)
        if isinstance(strategy, EngineStrategy):
            strategy.host = self.engine_host
        return strategy

    def _contest(self, block: Block) -> Exchange:
        if block.contestant not in self.contests:
            one = self.spec.contestants[block.contestant]
            all_reduce = AllReduceAndUpdate if self.spec.update else AllReduceExchange
            kind: type[Exchange] = ServerExchange if one.servers else all_reduce
            ctx = self._context(one.transport, self.spec.servers if one.servers else 0)
            self.contests[block.contestant] = kind(partial(self._create, one.strategy), ctx, self.pools[one.transport])
        return self.contests[block.contestant]

    def _verify(self, contest: Exchange, block: Block) -> dict[str, Any]:
        wrong = 0
        for step in range(VERIFIED):
            contest.fill(step)
            self._exchange(contest, step, 1)
            wrong += contest.wrong(step)
        contest.clear()
        self.workers.barrier()
        seconds = self._exchange(contest, VERIFIED, pilots(block.nbytes))
        self.chosen[block.contestant, block.nbytes] = iterations_for(seconds)
        said = contest.strategy.notes().get("in_words") if self.place.rank == 0 else None
        return {"wrong": wrong, **({"notes": said} if said else {})}

    def _time(self, contest: Exchange, block: Block, iterations: int) -> dict[str, Any]:
        warm = warm_up(iterations)
        self._exchange(contest, 0, warm)
        meter = self.meters[block.transport]
        self.workers.barrier()
        meter.reset()
        seconds = self._exchange(contest, warm, iterations)
        return {"seconds": seconds, "iterations": iterations, "sent": _each(meter.bytes_to, iterations)}

    def _exchange(self, contest: Exchange, first: int, times: int) -> float:
        """Exchange `times` times, as steps from `first`; returns the mean seconds of one."""
        place, exchange = self.place, contest.exchange
        began = time.perf_counter()
        for step in range(first, first + times):
            place.step = step
            exchange()
        return (time.perf_counter() - began) / times

    def _serve(self, one: Contestant, block: Block) -> dict[str, Any]:
        """A server's whole life, which is one block; its bytes are counted from its first update on."""
        meter, updates, optimizers = self.meters[block.transport], 0, 0

        def optimizer(params: Vector) -> SubtractGradient:
            nonlocal optimizers
            optimizers += 1  # one a segment
            return SubtractGradient(params, updated)

        def updated() -> None:
            nonlocal updates
            if not updates:
                meter.reset()
            updates += 1

        ctx = Context(meter, workers=self.spec.workers, servers=self.spec.servers, optimizer=optimizer)
        params, grad = (self.pools[block.transport].alloc(block.nbytes // FLOAT_BYTES, np.float32) for _ in range(2))
        create_call(one.strategy).serve(ctx, params, [Bucket(grad, params)])
        return {"sent": _each(meter.bytes_to, updates // max(optimizers, 1))} if block.kind == "time" else {}

    def _record(self, index: int, found: dict[str, Any]) -> None:
        """A line for this block, in one call, so that a rank that is killed leaves whole lines."""
        line = (json.dumps({"block": index, **found}) + "\n").encode()
        assert self.file is not None
        with writing(self.place):
            if os.write(self.file, line) != len(line):
                raise OSError("no room for a whole row; is the disk full?")


def _each(bytes_to: Mapping[int, int], times: int) -> dict[str, float]:
    """Bytes sent to each peer in one of `times` exchanges; the keys are text, as JSON's are."""
    return {str(peer): count / times for peer, count in bytes_to.items()} if times else {}
