"""One rank of a benchmark: it does the blocks of the schedule when rank 0 announces them, and records each.

Rank 0 announces blocks over an endpoint of its own, the control channel. So no deadline runs out in an exchange that
others have not begun, and barriers do not count as bytes of an exchange.
"""

import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec
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
    ServerExchange,
    SubtractGradient,
)
from experiments.bench.plan import BenchPlan, Block, rank_file, schedule
from experiments.config.strategies import create_call
from experiments.launch.rank_process import LINGER, JobOrder, live, overdue, writing
from experiments.schema.files import to_line
from experiments.schema.records import BenchBlock

CONTROL = "ipc"  # benchmarks run on one machine
LINK_ROUNDS = 100, 8  # exchanges of a tiny and of a large message that measure α, β and γ
BLOCK_SECONDS = 0.3  # intended length of a block of timed iterations
FEWEST, MOST_ITERATIONS = 2, 1000  # iterations of a block
PILOT_BYTES, PILOTS = 4 << 20, (2, 20)  # pilot iterations, at least and at most; large vectors need fewer
VERIFIED = 2  # exchanges whose results are compared; the second one meets used buffers
IDLE_DEADLINES = 10  # how long a rank without work in a block waits for the next one


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the benchmark described in `folder`/job.json."""
    live(folder, rank, _bench)


def _bench(order: JobOrder, home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    with contextlib.ExitStack() as undo:
        rank = BenchRank(msgspec.convert(order.job, BenchPlan), board, place, order.id, undo)
        rank.open(home, Path(order.results))
        rank.run()
    return {}


def iterations_for(seconds: float) -> int:
    """Return how many iterations of `seconds` each make a block."""
    return max(FEWEST, min(MOST_ITERATIONS, round(BLOCK_SECONDS / seconds))) if seconds > 0 else MOST_ITERATIONS


def pilots(nbytes: int) -> int:
    """Return how many untimed iterations measure how long one takes."""
    return min(PILOTS[1], max(PILOTS[0], PILOT_BYTES // nbytes))


def warm_up(iterations: int) -> int:
    """Return how many untimed iterations run before the timed ones."""
    return max(2, min(10, iterations // 10))


class BenchRank:
    """One rank: an endpoint and a pool for each transport, an exchange for each contestant."""

    def __init__(
        self, plan: BenchPlan, board: StatusBoard, place: PostedPlace, job: int, undo: contextlib.ExitStack
    ) -> None:
        torch.set_num_threads(plan.threads)
        self.plan, self.board, self.place, self.job, self.undo = plan, board, place, job, undo
        self.number = -1  # place of the current block in the schedule
        self.meters: dict[str, MeteredEndpoint] = {}
        self.pools: dict[str, BufferPool] = {}
        self.exchanges: dict[int, AllReduceExchange] = {}
        self.chosen: dict[tuple[int, int], int] = {}  # on rank 0: iterations, by contestant and bytes
        self.took_part = True

    def open(self, home: Path, results: Path) -> None:
        """Open this rank's file in `results` and an endpoint for each transport in `home`. Raises RunError."""
        place, plan = self.place, self.plan
        self.engine_host = EngineHost(home, plan.ranks, place, plan.deadline, overdue(home, place))
        with writing(place):
            self.file = LineFile(rank_file(results, place.rank, place.role))
            self.file.open()
        self.undo.callback(self.file.close)
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
        endpoint = MeteredEndpoint(connect(transport, place, plan.ranks, home, watch=self.board.check, **more))
        self.undo.push(lambda error, *_: endpoint.close(linger=0.0 if error else LINGER))
        return endpoint

    def run(self) -> None:
        """Do all blocks. Raises RunError."""
        blocks = schedule(self.plan)
        for self.number, block in enumerate(blocks):
            iterations = self._announced(block)
            if (found := self._do(block, iterations)) is not None:
                with writing(self.place):
                    self.file.append(to_line(found))
            self.board.done(self.place.rank, self.number + 1, 0.0, [0.0] * len(STAGES))
        for exchange in self.exchanges.values():
            exchange.close()
        self.everyone.barrier()

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
        serving = block.kind != "link" and self.plan.contestants[block.contestant].servers
        self.took_part = self.place.role == "worker" or serving
        if not self.took_part:
            return None
        if block.kind == "link":
            alpha, beta, gamma = shifts(Context(self.meters[block.transport], workers=self.plan.workers), *LINK_ROUNDS)
            return BenchBlock(block=self.number, alpha=alpha, beta=beta, gamma=gamma) if self.place.rank == 0 else None
        if self.place.role == "server":
            return self._serve(block, iterations)
        exchange = self._exchange_of(block)
        exchange.begin(block.nbytes // FLOAT_BYTES)
        found = self._verify(exchange, block) if block.kind == "verify" else self._time(exchange, block, iterations)
        exchange.end()
        if serving:  # a server in this process may still lend memory that the next block reuses
            self.workers.barrier()
        return found

    def _exchange_of(self, block: Block) -> AllReduceExchange:
        if block.contestant not in self.exchanges:
            one = self.plan.contestants[block.contestant]
            kind = ServerExchange if one.servers else AllReduceAndUpdate if self.plan.update else AllReduceExchange
            servers = self.plan.servers if one.servers else 0
            context = Context(self.meters[one.transport], workers=self.plan.workers, servers=servers)

            def make() -> SyncStrategy:
                strategy = create_call(one.strategy)
                if isinstance(strategy, EngineStrategy):
                    strategy.host = self.engine_host
                return strategy

            self.exchanges[block.contestant] = kind(make, context, self.pools[one.transport])
        return self.exchanges[block.contestant]

    def _verify(self, exchange: AllReduceExchange, block: Block) -> BenchBlock:
        wrong = 0
        for step in range(VERIFIED):
            exchange.fill(step)
            self._repeat(exchange, step, 1)
            wrong += exchange.wrong(step)
        exchange.x.fill(0)
        self.workers.barrier()
        seconds = self._repeat(exchange, VERIFIED, pilots(block.nbytes))
        self.chosen[block.contestant, block.nbytes] = iterations_for(seconds)
        notes = exchange.strategy.notes().get("in_words") if self.place.rank == 0 else None
        return BenchBlock(block=self.number, wrong=wrong, notes=notes)

    def _time(self, exchange: AllReduceExchange, block: Block, iterations: int) -> BenchBlock:
        warm = warm_up(iterations)
        self._repeat(exchange, 0, warm)
        meter = self.meters[block.transport]
        self.workers.barrier()
        meter.reset()
        seconds = self._repeat(exchange, warm, iterations)
        sent = {peer: count / iterations for peer, count in meter.bytes_to.items()}
        return BenchBlock(block=self.number, seconds=seconds, iterations=iterations, sent=sent)

    def _repeat(self, exchange: AllReduceExchange, first: int, times: int) -> float:
        """Exchange `times` times, as steps from `first`; returns the mean seconds of one exchange."""
        place, exchange_once = self.place, exchange.exchange
        began = time.perf_counter()
        for step in range(first, first + times):
            place.step = step
            exchange_once()
        return (time.perf_counter() - began) / times

    def _serve(self, block: Block, iterations: int) -> BenchBlock:
        """Be a server for one block; its bytes are counted from its first update on."""
        plan, meter, updated = self.plan, self.meters[block.transport], False

        def count_bytes() -> None:
            nonlocal updated
            if not updated:
                meter.reset()
            updated = True

        def optimizer(params: Vector) -> SubtractGradient:
            return SubtractGradient(params, count_bytes)

        context = Context(meter, workers=plan.workers, servers=plan.servers, optimizer=optimizer)
        params, grad = (self.pools[block.transport].alloc(block.nbytes // FLOAT_BYTES, np.float32) for _ in range(2))
        create_call(plan.contestants[block.contestant].strategy).serve(context, params, [Bucket(grad, params)])
        if block.kind == "verify":
            return BenchBlock(block=self.number)
        exchanges = warm_up(iterations) + iterations
        sent = {peer: count / exchanges for peer, count in meter.bytes_to.items()} if updated else {}
        return BenchBlock(block=self.number, sent=sent)
