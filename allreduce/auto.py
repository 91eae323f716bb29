"""Auto: measures the links when a run begins, then takes the algorithm with the smallest predicted time.

All workers time steps of a ring: of one element, which gives α; of 4 MiB, which adds β; and of 4 MiB that is added up
as it comes, which adds γ, or what plain adding takes, if that is more (the terms of Hockney 1994). All at once, as an
all-reduce will: what they share, cores and memory above all, is in the figures. Worker 0 tells everyone its figures, so
all decide alike, for each size of x the first time it comes.

The steps, bytes, time and reduction order are those of the algorithm picked. The slowest link sets the pace of a ring:
where links differ, say so with `--strategy hierarchical`.
"""

from __future__ import annotations

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
    """Seconds by the algorithm's formula; all of the family have one."""
    seconds = algorithm.seconds(workers, 0, nbytes, link)
    assert seconds is not None
    return seconds


def measure(ctx: Context) -> Link:
    """α, β and γ of a step in which all workers take part: worker 0's figures, on every worker. Blocks. 0 if alone."""
    figures = np.zeros(3)
    if ctx.size > 1:
        figures[:] = shifts(ctx)
    broadcast(ctx, figures)
    ctx.settle()
    return Link(*map(float, figures))
