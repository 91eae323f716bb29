"""α, β and γ of a transport, between the ranks of the benchmark itself: what its predictions are computed from."""

from __future__ import annotations

import statistics
import time

import numpy as np

from common.context import Array, Context
from common.strategy import Link

SMALL, SMALL_ROUNDS = 1, 200  # elements of float32, there-and-backs
LARGE, LARGE_ROUNDS = 1 << 20, 8
LINK_BYTES = 4 * LARGE  # of the largest vector used here
WARM = 3  # rounds at the start that are not counted


def measure_link(ctx: Context) -> Link | None:
    """Rank 0 and rank 1 play ping-pong; rank 0 gets the result, the others None. Blocks.

    α is half a round trip of 4 bytes; β is what each byte of half a round trip of 4 MiB takes beyond α; γ is one
    `numpy.add` of 4 MiB, per byte. Medians. Two ranks alone on the machine, so a prediction for more ranks than cores
    is for a machine that had a core for each.
    """
    small, large = ctx.alloc(SMALL, np.float32), ctx.alloc(LARGE, np.float32)
    alpha, whole = _half_trip(ctx, small, SMALL_ROUNDS), _half_trip(ctx, large, LARGE_ROUNDS)
    if ctx.rank:
        return None
    return Link(alpha, max(0.0, whole - alpha) / large.nbytes, _add(large))


def _half_trip(ctx: Context, x: Array, rounds: int) -> float:
    peer, seconds = 1 - ctx.rank, []
    for _ in range(rounds + WARM):
        began = time.perf_counter()
        for sends in (ctx.rank == 0, ctx.rank == 1):
            if sends:
                ctx.lend(peer, x)
            else:
                ctx.recv_into(peer, x)
        seconds.append((time.perf_counter() - began) / 2)
    ctx.settle()
    return statistics.median(seconds[WARM:])


def _add(x: Array) -> float:
    other, seconds = x.copy(), []
    for _ in range(LARGE_ROUNDS + WARM):
        began = time.perf_counter()
        np.add(x, other, out=x)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM:]) / x.nbytes
