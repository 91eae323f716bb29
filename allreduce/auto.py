"""Auto: measures the links when a run begins, then takes the algorithm with the smallest predicted time.

Workers 0 and 1 time a ping-pong (Hockney 1994) of one element, which gives α; of 1 MiB, which adds β; and of 1 MiB
that is added up as it comes, which adds γ. Each figure is a median of several rounds. Worker 0 tells everyone its
figures, so all decide alike, for each size of x the first time it comes.

The steps, bytes, time and reduction order are those of the algorithm picked. One pair of workers stands for all: where
links differ, say so with `--strategy hierarchical`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from allreduce.broadcast import broadcast
from allreduce.direct import Direct
from allreduce.double_tree import DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.hierarchical import Hierarchical
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.star import Star
from allreduce.strategy import AllReduce
from allreduce.tree import Tree
from common.context import Array, Context
from common.strategy import Link, Vector

FAMILY: dict[str, type[AllReduce]] = {  # of equally fast ones the first is picked
    "direct": Direct,
    "recursive-doubling": RecursiveDoubling,
    "halving-doubling": HalvingDoubling,
    "ring": Ring,
    "tree": Tree,
    "star": Star,
    "double-tree": DoubleTree,
    "hierarchical": Hierarchical,
}
ROUNDS = 5
LARGE = 1 << 20  # bytes
ROUNDING = 1e-6  # predictions that differ by less are equal


class Auto(AllReduce):
    """Whichever all-reduce the measured latency and bandwidth predict to be the fastest, by size.

    `candidates`: names of the algorithms to choose from; all of the family by default.
    """

    def __init__(self, candidates: Sequence[str] = tuple(FAMILY)) -> None:
        names: list[str] = list(candidates) if isinstance(candidates, list | tuple) else []
        if not names or any(name not in list(FAMILY) for name in names):
            raise ValueError(f"candidates is {candidates!r}: give a list, like [ring, tree], of {', '.join(FAMILY)}")
        self.candidates = {name: FAMILY[name]() for name in names}
        self.link = Link()  # until `setup` has measured it
        self.picked: dict[int, str] = {}  # by bytes of x

    def setup(self, ctx: Context, params: Vector) -> None:
        """Everyone takes the parameters of worker 0, and the figures that it measures. Blocks."""
        super().setup(ctx, params)
        for candidate in self.candidates.values():
            candidate.setup(ctx, params[:0])
        self.link = measure(ctx)
        self.picked.clear()

    def all_reduce(self, ctx: Context, x: Array) -> None:
        self._candidate(ctx.size, x.nbytes).all_reduce(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        self._candidate(ctx.size, x.nbytes).mean(ctx, x)

    def _candidate(self, workers: int, nbytes: int) -> AllReduce:
        if nbytes not in self.picked:
            self.picked[nbytes] = self._pick(workers, nbytes)
        return self.candidates[self.picked[nbytes]]

    def _pick(self, workers: int, nbytes: int) -> str:
        """The fastest candidate by its formula and the measured figures; of equals, but for rounding, the first."""
        times = {name: predicted(each, workers, nbytes, self.link) for name, each in self.candidates.items()}
        fast = min(times.values()) * (1 + ROUNDING)
        return next(name for name, seconds in times.items() if seconds <= fast)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        return min(predicted(each, workers, nbytes, link) for each in self.candidates.values())

    def notes(self) -> dict[str, Any]:
        """What was measured, what was picked for which size, and the same in words."""
        link = self.link
        choices = [f"{name} for {nbytes / 1024:.1f} KiB" for nbytes, name in self.picked.items()]
        figures = f"α {1e6 * link.alpha:.3g} µs, β {1e9 * link.beta:.3g} ns/B, γ {1e9 * link.gamma:.3g} ns/B"
        return {
            "in_words": f"picked {', '.join(choices) or 'nothing'} ({figures})",
            "picked": [{"bytes": nbytes, "algorithm": name} for nbytes, name in self.picked.items()],
            "alpha_seconds": link.alpha,
            "beta_seconds_per_byte": link.beta,
            "gamma_seconds_per_byte": link.gamma,
        }


def predicted(algorithm: AllReduce, workers: int, nbytes: int, link: Link) -> float:
    """Seconds by the algorithm's formula; all of the family have one."""
    seconds = algorithm.seconds(workers, 0, nbytes, link)
    assert seconds is not None
    return seconds


def measure(ctx: Context) -> Link:
    """α, β and γ of the link between workers 0 and 1: the same figures on every worker. Blocks. Zeros if alone."""
    figures = np.zeros(3)
    if ctx.size > 1 and ctx.rank < 2:
        figures[:] = ping_pongs(ctx)
    broadcast(ctx, figures)
    ctx.settle()
    return Link(*map(float, figures))


def ping_pongs(ctx: Context, tiny_rounds: int = ROUNDS, large_rounds: int = ROUNDS) -> tuple[float, float, float]:
    """This rank's view of α, β and γ, on ranks 0 and 1, which both call it; none is below zero. Blocks."""
    tiny, large = np.zeros(1, np.float32), ctx.alloc(LARGE // 4, np.float32)
    first = ping_pong(ctx, tiny, ctx.recv_into, tiny_rounds)
    moved = ping_pong(ctx, large, ctx.recv_into, large_rounds)
    added = ping_pong(ctx, large, ctx.recv_add, large_rounds)
    return first, max(0.0, moved - first) / LARGE, max(0.0, added - moved) / LARGE


def ping_pong(ctx: Context, x: Array, receive: Callable[[int, Array], None], rounds: int) -> float:
    """Median seconds that x takes one way between ranks 0 and 1, over `rounds`, after one to warm up.

    x is zeros, and stays so.
    Each receives into the x that it has lent: the answer proves that it was read.
    """
    seconds, other = [], 1 - ctx.rank
    for _ in range(rounds + 1):
        began = ctx.now()
        if ctx.rank == 0:
            ctx.lend(other, x)
            receive(other, x)
        else:
            receive(other, x)
            ctx.lend(other, x)
        seconds.append((ctx.now() - began) / 2)
    ctx.settle()
    return median(seconds[1:])
