"""Measure what a message, a byte and the adding of a byte cost on a transport, in the patterns that strategies use.

    shift   every worker sends to its right neighbour and receives from its left: a step of a ring
    relay   every worker pushes a vector to the server, which adds up what comes, and pulls as much, piece by piece

All workers measure at once, as in an exchange, so the figures include what they share: cores and memory above all.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from statistics import median

import numpy as np

from common.context import Context
from common.types import Array

SAMPLES = 5
LARGE = 4 << 20  # bytes: a bucket; less would stay in a cache, and say that bytes cost next to nothing
PIECE = 1 << 20  # bytes that go through the server at a time
AHEAD = 2  # pieces that a worker pushes before it waits for the first to come back

Receive = Callable[[int, Array], None]
Take = Callable[[Sequence[int], Array], None]


def shifts(ctx: Context, tiny_rounds: int = 8, large_rounds: int = 1) -> tuple[float, float, float]:
    """Return α, β and γ as this worker sees them, none below zero. All workers call it together. Blocks."""
    x, into = np.zeros(1, np.float32), np.zeros(1, np.float32)
    first = median(shift(ctx, [x], [into], ctx.recv_into, tiny_rounds))
    x, into = ctx.alloc(LARGE // 4, np.float32), ctx.alloc(LARGE // 4, np.float32)
    moved = median(shift(ctx, [x], [into], ctx.recv_into, large_rounds))
    added = median(shift(ctx, [x], [into], ctx.recv_add, large_rounds))
    return first, max(0.0, moved - first) / LARGE, max(0.0, added - moved, addition(ctx, x, into)) / LARGE


def addition(ctx: Context, x: Array, into: Array) -> float:
    """Return the median seconds of adding x to `into`, while the other workers do the same; 0 in virtual time."""
    seconds = []
    for _ in range(SAMPLES):
        began = ctx.now()
        np.add(into, x, into)
        seconds.append(ctx.now() - began)
    return median(seconds)


def shift(
    ctx: Context, out: Sequence[Array], into: Sequence[Array], receive: Receive, rounds: int, samples: int = SAMPLES
) -> list[float]:
    """Return samples of the seconds that one step of a ring takes: lend to the right, receive from the left. Blocks.

    Step k lends out[k] and receives into[k], modulo their number; all are zeros. With `into` one ahead of `out`, every
    worker passes on what has just come, as algorithms do; with more than n of them, nothing is overwritten before it
    was read. Each of the `samples` is the mean of `rounds` steps; as many steps before the first sample warm up.
    """
    n = len(ctx.workers)
    right, left, seconds = (ctx.rank + 1) % n, (ctx.rank - 1) % n, []
    steps = cycle(zip(out, into, strict=True))
    for _ in range(samples + 1):
        began = ctx.now()
        for x, target in islice(steps, rounds):
            ctx.lend(right, x)
            receive(left, target)
        seconds.append((ctx.now() - began) / rounds)
    ctx.settle()
    return seconds[1:]


def relay(ctx: Context, x: Array, into: Array, rounds: int, samples: int) -> list[float]:
    """Return samples, as `shift` does, of the seconds to push all of x to the one server and to pull `into`. Blocks."""
    (server,), seconds = ctx.servers, []
    out, back = pieces(x), pieces(into)
    for _ in range(samples + 1):
        began = ctx.now()
        for _ in range(rounds):
            for i, piece in enumerate(out):
                ctx.lend(server, piece)
                if i >= AHEAD:
                    ctx.recv_into(server, back[i - AHEAD])
            for piece in back[-AHEAD:]:
                ctx.recv_into(server, piece)
        seconds.append((ctx.now() - began) / rounds)
    ctx.settle()
    return seconds[1:]


def relay_server(ctx: Context, x: Array, take: Take, rounds: int, samples: int) -> None:
    """The server's part in `relay`: `take` each piece from all workers into x, then lend it to all. Blocks."""
    for _ in range(rounds * (samples + 1)):
        for piece in pieces(x):
            take(ctx.workers, piece)
            for worker in ctx.workers:
                ctx.lend(worker, piece)
    ctx.settle()


def pieces(x: Array) -> list[Array]:
    """Return x, flat, in equal pieces of at most `PIECE` bytes; at least one piece."""
    count = max(1, -(-x.nbytes // PIECE))
    return [x[i * x.size // count : (i + 1) * x.size // count] for i in range(count)]
