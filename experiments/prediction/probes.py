"""One rank of a calibration, a worker or the server: measure both patterns of communication at every size.

A pattern is timed with messages of one element, and with vectors of each size, once moved and once added up. Worker 0
decides from a first sample how many rounds each of these cells needs. All cells are visited several times in turns, so
that a slow moment of the machine is no property of one size. A visit gives a mean, the visits a median.
"""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
import numpy as np

from common.context import Context
from common.link_probe import PIECE, relay, relay_server, shift
from common.runtime.job import DEDICATED
from common.runtime.status_board import PostedPlace, StatusBoard
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from common.types import FLOAT_BYTES, Array
from experiments.launch.rank_process import LINGER, JobOrder, live

SIZES = tuple(1 << exponent for exponent in (16, 20, 22, 24, 25, 26))  # bytes of the vector: 64 KiB to 64 MiB
SAMPLE_SECONDS = 0.02  # that a sample should last
MOST_ROUNDS = 500
VISITS, SAMPLES = 5, 3  # samples in each visit, after one to warm up

Timed = Callable[[int, str, int, int], list[float]]  # seconds of a round: bytes, moved or added, rounds, samples
Raw = dict[str, Any]  # pattern: {"tiny": s, "moved": [s], "added": [s], "scatter": share}, one value a size


class CalibrationSpec(msgspec.Struct, frozen=True):
    """One calibration: `workers` and one server, a process each, over one transport; vectors of `sizes` bytes."""

    transport: str
    workers: int
    servers: int = 1
    sizes: tuple[int, ...] = SIZES
    interface: str = "127.0.0.1"
    deadline: float = 60.0
    threads: int = 1
    placement: str = DEDICATED

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON values."""
        return msgspec.structs.asdict(self)


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the calibration in `folder`. Its report has the result of `primitives`."""
    live(folder, rank, _measure)


def _measure(order: JobOrder, home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    import torch

    spec = msgspec.convert(order.job, CalibrationSpec)
    torch.set_num_threads(spec.threads)

    more: dict[str, Any] = {"job": order.id, "deadline": spec.deadline, "interface": spec.interface}
    endpoint = connect(spec.transport, place, order.ranks, home, crew=[place.rank], watch=board.check, **more)
    try:
        place.enter("synchronize")
        metered = MeteredEndpoint(endpoint)  # as in a training run: counting is part of what a message costs
        found = primitives(Context(metered, workers=spec.workers, servers=spec.servers), spec.sizes)
    except BaseException:
        endpoint.close(linger=0.0)
        raise
    endpoint.close(linger=LINGER)
    return {"measured": found}


def primitives(ctx: Context, sizes: Sequence[int] = SIZES) -> Raw | None:
    """Measure `shift` among workers and `relay` through a server, in seconds; the server returns None. Blocks."""
    workers = Context(ctx.endpoint, workers=len(ctx.workers))
    memory = [ctx.alloc(max(sizes) // FLOAT_BYTES, np.float32) for _ in range(2 if ctx.servers else 1)]
    found: Raw = {}
    if ctx.rank in ctx.workers and len(ctx.workers) > 1:
        found["shift"] = _pattern(workers, lambda *how: _shift(workers, memory[0], *how), sizes)
    if ctx.servers:
        found["relay"] = _pattern(ctx, lambda *how: _relay(ctx, memory, *how), sizes)
    return found if ctx.rank in ctx.workers else None


def _pattern(ctx: Context, timed: Timed, sizes: Sequence[int]) -> Raw:
    """Measure one pattern. All ranks make as many rounds of each cell as worker 0 decides."""
    cells = [((ctx.size + 1) * FLOAT_BYTES, "moved"), *product(sizes, ("moved", "added"))]
    rounds = []
    for nbytes, how in cells:
        (seconds,) = timed(nbytes, how, 1, 1)
        enough = round(SAMPLE_SECONDS / seconds) if seconds > 0 else 1
        rounds.append(_from_worker_0(ctx, max(1, min(MOST_ROUNDS, enough))))
    seen: list[list[float]] = [[] for _ in cells]
    for _ in range(VISITS):
        for number, (nbytes, how) in enumerate(cells):
            _from_worker_0(ctx, 0)  # makes all ranks begin at about the same time
            seen[number].append(fmean(timed(nbytes, how, rounds[number], SAMPLES)))
    tiny, *rest = map(median, seen)
    return {"tiny": tiny, "moved": rest[::2], "added": rest[1::2], "scatter": max(map(scatter, seen))}


def scatter(visits: Sequence[float]) -> float:
    """Return the median distance of the visits from their median, as a share of that median."""
    middle = median(visits)
    return median(abs(seconds - middle) for seconds in visits) / middle if middle else 0.0


def _from_worker_0(ctx: Context, number: int) -> int:
    """Return worker 0's number on every rank. Blocks."""
    word = np.array([number], np.int64)
    if ctx.rank == 0:
        for rank in range(1, ctx.size):
            ctx.send(rank, word)
    else:
        ctx.recv_into(0, word)
    return int(word[0])


def _shift(ctx: Context, memory: Array, nbytes: int, how: str, rounds: int, samples: int) -> list[float]:
    """Pass a vector on in pieces, one more than there are workers, each as soon as it has arrived."""
    size = nbytes // FLOAT_BYTES // (ctx.size + 1)
    parts = [memory[i * size : (i + 1) * size] for i in range(ctx.size + 1)]
    receive = ctx.recv_into if how == "moved" else ctx.recv_add
    return shift(ctx, parts, parts[1:] + parts[:1], receive, rounds, samples)


def _relay(ctx: Context, memory: Sequence[Array], nbytes: int, how: str, rounds: int, samples: int) -> list[float]:
    """Push to the server and pull. It stores what arrives, or subtracts the mean, as a server with plain SGD does."""
    x, into = (array[: nbytes // FLOAT_BYTES] for array in memory)
    if ctx.rank in ctx.workers:
        return relay(ctx, x, into, rounds, samples)
    total = np.zeros(min(nbytes, PIECE) // FLOAT_BYTES, np.float32)

    def move(workers: Sequence[int], piece: Array) -> None:
        for worker in workers:
            ctx.recv_into(worker, piece)

    def apply(workers: Sequence[int], piece: Array) -> None:
        mean = total[: piece.size]
        ctx.fast.recv_sum(workers, mean)
        np.divide(mean, np.float32(len(workers)), mean)
        np.subtract(piece, mean, piece)

    relay_server(ctx, x, move if how == "moved" else apply, rounds, samples)
    return [0.0]
