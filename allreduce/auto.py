"""Auto: measure the links when a run begins, then use the algorithm with the smallest predicted time.

All workers time steps of a ring, which give the terms of Hockney (1994). A step of one element gives α. A step of 4 MiB
gives β. A step of 4 MiB that is added up on arrival gives γ, unless plain adding takes longer. All workers measure at
once, as they will exchange at once, so the figures include the contention for cores and memory. Worker 0 sends its
figures to all, so all workers choose the same algorithm. They choose once for each size of x.

Steps, bytes, time and order of additions are those of the chosen algorithm. The slowest link sets the pace of a ring:
if links differ, choose `--strategy hierarchical`.
"""

from collections.abc import Sequence
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
from common.context import Context
from common.link_probe import shifts
from common.strategy import Link
from common.types import Array, Vector

ALGORITHMS: dict[str, type[AllReduce]] = {  # the first of equally fast ones is picked
    "direct": Direct,
    "recursive-doubling": RecursiveDoubling,
    "halving-doubling": HalvingDoubling,
    "ring": Ring,
    "tree": Tree,
    "star": Star,
    "double-tree": DoubleTree,
    "hierarchical": Hierarchical,
}
ROUNDING = 1e-6  # predictions that differ by less are equal


class Auto(AllReduce):
    """The all-reduce among `candidates` that measured latency and bandwidth predict to be fastest, by size."""

    def __init__(self, candidates: Sequence[str] = tuple(ALGORITHMS)) -> None:
        names: list[str] = list(candidates) if isinstance(candidates, list | tuple) else []
        if not names or any(name not in list(ALGORITHMS) for name in names):
            raise ValueError(
                f"candidates is {candidates!r}: give a list, like [ring, tree], of {', '.join(ALGORITHMS)}"
            )
        self.candidates = {name: ALGORITHMS[name]() for name in names}
        self.link = Link()  # until `setup` has measured it
        self.picked: dict[int, str] = {}  # by bytes of x

    def setup(self, ctx: Context, params: Vector) -> None:
        """Give every worker the parameters of worker 0 and the α, β and γ that it measures. Blocks."""
        super().setup(ctx, params)
        for candidate in self.candidates.values():
            candidate.setup(ctx, params[:0])
        self.link = measure(ctx)
        self.picked.clear()

    def all_reduce(self, ctx: Context, x: Array) -> None:
        self._candidate(len(ctx.workers), x.nbytes).all_reduce(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        self._candidate(len(ctx.workers), x.nbytes).mean(ctx, x)

    def _candidate(self, workers: int, nbytes: int) -> AllReduce:
        """Return the fastest candidate by its formula and the measured figures; the first of equally fast ones."""
        if nbytes not in self.picked:
            family = self.candidates.items()
            times = {name: predicted(algorithm, workers, nbytes, self.link) for name, algorithm in family}
            fastest = min(times.values()) * (1 + ROUNDING)
            self.picked[nbytes] = next(name for name, seconds in times.items() if seconds <= fastest)
        return self.candidates[self.picked[nbytes]]

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        return min(predicted(algorithm, workers, nbytes, link) for algorithm in self.candidates.values())

    def notes(self) -> dict[str, Any]:
        """Return the measured figures, the choice for each size, and both in words."""
        link = self.link
        choices = [f"{name} for {_size(nbytes)}" for nbytes, name in self.picked.items()]
        figures = f"α {1e6 * link.alpha:.3g} µs, β {1e9 * link.beta:.3g} ns/B, γ {1e9 * link.gamma:.3g} ns/B"
        return {
            "in_words": f"picked {', '.join(choices) or 'nothing'} ({figures})",
            "picked": [{"bytes": nbytes, "algorithm": name} for nbytes, name in self.picked.items()],
            "alpha_seconds": link.alpha,
            "beta_seconds_per_byte": link.beta,
            "gamma_seconds_per_byte": link.gamma,
        }


def _size(nbytes: int) -> str:
    return f"{nbytes / 1024:.1f} KiB" if nbytes < 1 << 20 else f"{nbytes / (1 << 20):.3g} MiB"


def predicted(algorithm: AllReduce, workers: int, nbytes: int, link: Link) -> float:
    """Return the seconds by the algorithm's formula, which each of the family has."""
    seconds = algorithm.seconds(workers, 0, nbytes, link)
    assert seconds is not None
    return seconds


def measure(ctx: Context) -> Link:
    """Return α, β and γ as worker 0 measures them, on every worker; zeros for a worker alone. Blocks."""
    figures = np.zeros(3)
    if len(ctx.workers) > 1:
        figures[:] = shifts(ctx)
    broadcast(ctx, figures)
    ctx.settle()
    return Link(*map(float, figures))
