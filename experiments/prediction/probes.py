"""What one rank of a calibration does: both patterns at every size; returns what it saw of them.

A pattern is timed three ways: with messages of one element, and with a vector of each size, once moved and once added
up as it comes. Worker 0 chooses the rounds of each, from a first look, so that a sample lasts long enough. All that is
then visited several times in turns, so that a moment in which the machine is slow is not taken for one size's nature:
means of each visit, as what an exchange waits for now and then is part of its time, and the median of the visits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from common.context import Context
from common.link_probe import PIECE, relay, relay_server, shift
from common.runtime.job import DEDICATED
from common.types import FLOAT_BYTES, Array

SIZES = tuple(1 << exponent for exponent in (16, 20, 22, 24, 25, 26))  # of the vector, bytes: 64 KiB to 64 MiB
SAMPLE_SECONDS = 0.02  # that a sample should last
MOST_ROUNDS = 500
VISITS, SAMPLES = 5, 3  # samples in each visit, after one to warm up

Timed = Callable[[int, str, int, int], list[float]]  # seconds of a round: bytes, moved or added, rounds, samples
Raw = dict[str, Any]  # pattern: {"tiny": s, "moved": [s], "added": [s], "scatter": share}, one value a size


def primitives(ctx: Context, sizes: Sequence[int] = SIZES) -> Raw | None:
    """Measure with all workers of `ctx` and its one server, the hub; seconds by this rank's clock. Blocks.

    `shift` has an entry for two workers or more, `relay` if there is a hub. None for the hub, which only serves.
    """
    workers = Context(ctx.endpoint, workers=len(ctx.workers))
    memory = [ctx.alloc(max(sizes) // FLOAT_BYTES, np.float32) for _ in range(2 if ctx.servers else 1)]
    found: Raw = {}
    if ctx.rank in ctx.workers and len(ctx.workers) > 1:
        found["shift"] = _pattern(workers, lambda *how: _shift(workers, memory[0], *how), sizes)
    if ctx.servers:
        found["relay"] = _pattern(ctx, lambda *how: _relay(ctx, memory, *how), sizes)
    return found if ctx.rank in ctx.workers else None


def _pattern(ctx: Context, timed: Timed, sizes: Sequence[int]) -> Raw:
    """What there is to know of one pattern; the rounds of each cell are worker 0's, on all ranks."""
    cells = [
        ((ctx.size + 1) * FLOAT_BYTES, "moved"),
        *((nbytes, how) for nbytes in sizes for how in ("moved", "added")),
    ]
    rounds = [_told(ctx, _rounds(timed(nbytes, how, 1, 1))) for nbytes, how in cells]
    seen: list[list[float]] = [[] for _ in cells]
    for _ in range(VISITS):
        for number, (nbytes, how) in enumerate(cells):
            _told(ctx, 0)  # all begin together, about
            seen[number].append(fmean(timed(nbytes, how, rounds[number], SAMPLES)))
    tiny, *rest = map(median, seen)
    return {"tiny": tiny, "moved": rest[::2], "added": rest[1::2], "scatter": max(map(scatter, seen))}


def scatter(visits: Sequence[float]) -> float:
    """How far the middle one of the visits is from their median, as a share of that: half of them are further off."""
    middle = median(visits)
    return median(abs(each - middle) for each in visits) / middle if middle else 0.0


def _rounds(first: Sequence[float]) -> int:
    seconds = sum(first)
    return max(1, min(MOST_ROUNDS, round(SAMPLE_SECONDS / seconds))) if seconds > 0 else 1


def _told(ctx: Context, number: int) -> int:
    """Worker 0's number, on every rank. Blocks."""
    word = np.array([number], np.int64)
    if ctx.rank == 0:
        for rank in range(1, ctx.size):
            ctx.send(rank, word)
    else:
        ctx.recv_into(0, word)
    return int(word[0])


def _shift(ctx: Context, memory: Array, nbytes: int, how: str, rounds: int, samples: int) -> list[float]:
    """A vector goes in pieces, one more than there are workers, each of which is passed on once it is here."""
    size = nbytes // FLOAT_BYTES // (ctx.size + 1)
    parts = [memory[i * size : (i + 1) * size] for i in range(ctx.size + 1)]
    receive = ctx.recv_into if how == "moved" else ctx.recv_add
    return shift(ctx, parts, parts[1:] + parts[:1], receive, rounds, samples)


def _relay(ctx: Context, memory: Sequence[Array], nbytes: int, how: str, rounds: int, samples: int) -> list[float]:
    """The hub moves what comes into its vector, or takes the mean off it, as a server does with plain SGD."""
    x, into = (each[: nbytes // FLOAT_BYTES] for each in memory)
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


@dataclass(frozen=True, slots=True)
class CalibrationSpec:
    """`workers` and one hub, a process each, over one transport; vectors of `sizes` bytes."""

    transport: str
    workers: int
    servers: int = 1
    sizes: tuple[int, ...] = SIZES
    interface: str = "127.0.0.1"
    deadline: float = 60.0
    threads: int = 1
    placement: str = DEDICATED

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CalibrationSpec:
        """The inverse of `to_dict`."""
        return cls(**{**values, "sizes": tuple(values["sizes"])})
