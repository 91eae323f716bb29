"""One rank of a benchmark: it does the blocks of the schedule when rank 0 announces them, and records each.

Rank 0 announces every block to all ranks, servers too, over an endpoint of its own, the control channel. So no deadline
runs out in an exchange that other ranks have not begun, and barriers do not count as bytes of an exchange.
"""

from __future__ import annotations

import contextlib
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
from common.records.recorder import LineFile
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
from experiments.bench.plan import BenchPlan, Block, Contestant, rank_file, schedule
from experiments.config.strategies import create_call
from experiments.launch.job_order import JobOrder
from experiments.launch.rank_process import LINGER, live, overdue, writing
from experiments.schema.files import to_line
from experiments.schema.records import BenchBlock

CONTROL = "ipc"  # benchmarks run on one machine
LINK_ROUNDS = 100, 8  # exchanges of a tiny and of a large message that measure α, β and γ
BLOCK_SECONDS = 0.3  # intended length of a block of timed iterations
FEWEST, MOST = 2, 1000  # iterations of a block
PILOT_BYTES, PILOTS = 4 << 20, (2, 20)  # pilot iterations, at least and at most; large vectors need fewer
VERIFIED = 2  # exchanges whose results are compared; the second one meets used buffers
IDLE_DEADLINES = 10  # how long a rank without work in a block waits for the next one


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the benchmark described in `folder`/job.json."""
    live(folder, rank, _bench)


def _bench(order: JobOrder, home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    rank = BenchRank(BenchPlan.from_dict(order.job), board, place, order.id)
    linger = 0.0
    try:
        rank.open(home, Path(order.results))
        rank.run()
        linger = LINGER
    finally:
        rank.close(linger)
    return {}


def iterations_for(seconds: float) -> int:
    """Return how many iterations of `seconds` each make a block."""
    return max(FEWEST, min(MOST, round(BLOCK_SECONDS / seconds))) if seconds > 0 else MOST


def pilots(nbytes: int) -> int:
    """Return how many untimed iterations measure how long one takes."""
    return min(PILOTS[1], max(PILOTS[0], PILOT_BYTES // nbytes))


def warm_up(iterations: int) -> int:
    """Return how many untimed iterations run before the timed ones."""
    return max(2, min(10, iterations // 10))


class BenchRank:
    """One rank: an endpoint and a pool for each transport, an exchange for each contestant."""

    def __init__(self, plan: BenchPlan, board: StatusBoard, place: PostedPlace, job: int) -> None:
        torch.set_num_threads(plan.threads)
        self.plan, self.board, self.place, self.job = plan, board, place, job
        self.number = -1  # place of the current block in the schedule
        self.file: LineFile | None = None
        self.endpoints: list[MeteredEndpoint] = []
        self.meters: dict[str, MeteredEndpoint] = {}
        self.pools: dict[str, BufferPool] = {}
        self.exchanges: dict[int, Exchange] = {}
        self.chosen: dict[tuple[int, int], int] = {}  # on rank 0: iterations, by contestant and bytes
        self.took_part = True

    def open(self, home: Path, results: Path) -> None:
        """Open this rank's file in `results` and an endpoint for each transport in `home`. Raises RunError."""
        place, plan = self.place, self.plan
        self.engine_host = EngineHost(home, plan.ranks, place, plan.deadline, overdue(home, place))
        with writing(place):
            self.file = LineFile(rank_file(results, place.rank, place.role))
            self.file.open()
        self.control = self._connect(CONTROL, home / "control", Place(place.rank, place.role))
        self.everyone = Context(self.control, workers=plan.ranks)
        self.workers = Context(self.control, workers=plan.workers)
        for transport in plan.transports:
            self.meters[transport] = self._connect(transport, home / transport, place)
            self.pools[transport] = BufferPool(self.meters[transport].alloc, max(plan.sizes))

    def _connect(self, transport: str, home: Path, place: Place) -> MeteredEndpoint:
        home.mkdir(exist_ok=True)
        plan = self.plan
        more: dict[str, Any] = {"job": self.job, "deadline": plan.deadline, "interface": plan.interface}
        more["crew"] = ranks_in_process_of(place.rank, plan.workers, plan.servers, plan.placement)
        self.endpoints.append(MeteredEndpoint(connect(transport, place, plan.ranks, home, watch=self._watch, **more)))
        return self.endpoints[-1]

    def _watch(self) -> None:
        if (culprit := self.board.culprit()) is not None:
            raise culprit

    def run(self) -> None:
        """Do all blocks. Raises RunError."""
        for number, block in enumerate(schedule(self.plan)):
            self.number = number
            iterations = self._announced(block)
            if (found := self._do(block, iterations)) is not None:
                assert self.file is not None
                with writing(self.place):
                    self.file.append(to_line(found))
            self.board.done(self.place.rank, self.number + 1, 0.0, [0.0] * len(STAGES))
        for exchange in self.exchanges.values():
            exchange.close()
        self.everyone.barrier()

    def close(self, linger: float) -> None:
        """Close everything that was opened, even if closing a part of it raises."""
        with contextlib.ExitStack() as undo:
            if self.file is not None:
                undo.callback(self.file.close)
            for endpoint in self.endpoints:
                undo.callback(endpoint.close, linger=linger)

    def _announced(self, block: Block) -> int:
        """Wait until rank 0 begins this block; returns the number of iterations to time."""
        word = np.array([self.number, self.chosen.get((block.contestant, block.nbytes), 0)], np.int64)
        if self.place.rank == 0:
            for rank in range(1, self.plan.ranks):
                self.control.send(rank, word)
        else:
            self.control.inner.deadline = self.plan.deadline * (1 if self.took_part else IDLE_DEADLINES)
            self.control.recv_into(0, word)
            self.control.inner.deadline = self.plan.deadline
        assert word[0] == self.number, f"rank 0 is at block {word[0]}, this rank at {self.number}"
        return int(word[1])

    def _do(self, block: Block, iterations: int) -> BenchBlock | None:
        """Do this rank's part of a block; returns what to record, None if it has no part."""
        self.place.step, self.place.bucket = SETUP, 0
        self.place.enter("synchronize")
        self.pools[block.transport].begin()
        self.took_part = True
        if block.kind == "link":
            return self._link(block.transport)
        contestant = self.plan.contestants[block.contestant]
        if self.place.role == "server":
            self.took_part = contestant.servers
            return self._serve(contestant, block) if contestant.servers else None
        exchange = self._exchange_of(block)
        exchange.begin(block.nbytes // FLOAT_BYTES)
        found = self._verify(exchange, block) if block.kind == "verify" else self._time(exchange, block, iterations)
        exchange.end()
        if contestant.servers:  # a server in this process may still lend memory that the next block reuses
            self.workers.barrier()
        return found

    def _link(self, transport: str) -> BenchBlock | None:
        self.took_part = self.place.rank < self.plan.workers
        if not self.took_part:
            return None
        alpha, beta, gamma = shifts(self._context(transport, servers=0), *LINK_ROUNDS)
        return BenchBlock(block=self.number, alpha=alpha, beta=beta, gamma=gamma) if self.place.rank == 0 else None

    def _context(self, transport: str, servers: int) -> Context:
        return Context(self.meters[transport], workers=self.plan.workers, servers=servers)

    def _create(self, call: str) -> SyncStrategy:
        strategy = create_call(call)
        if isinstance(strategy, EngineStrategy):
            strategy.host = self.engine_host
        return strategy

    def _exchange_of(self, block: Block) -> Exchange:
        if block.contestant not in self.exchanges:
            one = self.plan.contestants[block.contestant]
            all_reduce = AllReduceAndUpdate if self.plan.update else AllReduceExchange
            kind: type[Exchange] = ServerExchange if one.servers else all_reduce
            ctx = self._context(one.transport, self.plan.servers if one.servers else 0)
            self.exchanges[block.contestant] = kind(partial(self._create, one.strategy), ctx, self.pools[one.transport])
        return self.exchanges[block.contestant]

    def _verify(self, exchange: Exchange, block: Block) -> BenchBlock:
        wrong = 0
        for step in range(VERIFIED):
            exchange.fill(step)
            self._repeat(exchange, step, 1)
            wrong += exchange.wrong(step)
        exchange.clear()
        self.workers.barrier()
        seconds = self._repeat(exchange, VERIFIED, pilots(block.nbytes))
        self.chosen[block.contestant, block.nbytes] = iterations_for(seconds)
        notes = exchange.strategy.notes().get("in_words") if self.place.rank == 0 else None
        return BenchBlock(block=self.number, wrong=wrong, notes=notes)

    def _time(self, exchange: Exchange, block: Block, iterations: int) -> BenchBlock:
        warm = warm_up(iterations)
        self._repeat(exchange, 0, warm)
        meter = self.meters[block.transport]
        self.workers.barrier()
        meter.reset()
        seconds = self._repeat(exchange, warm, iterations)
        sent = _per_exchange(meter.bytes_to, iterations)
        return BenchBlock(block=self.number, seconds=seconds, iterations=iterations, sent=sent)

    def _repeat(self, exchange: Exchange, first: int, times: int) -> float:
        """Exchange `times` times, as steps from `first`; returns the mean seconds of one exchange."""
        place, exchange_once = self.place, exchange.exchange
        began = time.perf_counter()
        for step in range(first, first + times):
            place.step = step
            exchange_once()
        return (time.perf_counter() - began) / times

    def _serve(self, one: Contestant, block: Block) -> BenchBlock:
        """Be a server for one block; its bytes are counted from its first update on."""
        meter, updates, optimizers = self.meters[block.transport], 0, 0

        def optimizer(params: Vector) -> SubtractGradient:
            nonlocal optimizers
            optimizers += 1  # one for each segment
            return SubtractGradient(params, updated)

        def updated() -> None:
            nonlocal updates
            if not updates:
                meter.reset()
            updates += 1

        ctx = Context(meter, workers=self.plan.workers, servers=self.plan.servers, optimizer=optimizer)
        params, grad = (self.pools[block.transport].alloc(block.nbytes // FLOAT_BYTES, np.float32) for _ in range(2))
        create_call(one.strategy).serve(ctx, params, [Bucket(grad, params)])
        sent = _per_exchange(meter.bytes_to, updates // max(optimizers, 1))
        return BenchBlock(block=self.number, sent=sent if block.kind == "time" else None)


def _per_exchange(bytes_to: Mapping[int, int], times: int) -> dict[int, float]:
    """Return the bytes sent to each peer in one of `times` exchanges."""
    return {peer: count / times for peer, count in bytes_to.items()} if times else {}
