"""The cost model: α, β and γ, the terms of the strategies' formulas, as measured or as a link has them.

Bytes in a cache cost less, so β and γ are curves over the size: linear over its logarithm, flat beyond the ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from common.errors import ConfigError
from common.link_probe import PIECE
from common.strategy import Link
from experiments.config.options.network import virtual_network
from experiments.schema.documents import Environment

LARGE = 4 << 20  # bytes of the vector whose β and γ stand for all where a reader gets one figure only
Cost = Annotated[float, Meta(ge=0)]
Costs = NDArray[np.float64]  # seconds, one for each size


class Curve(Struct, frozen=True):
    """Seconds a message, and a byte by size of the vector. ValueError unless sizes ascend and fit β and γ."""

    alpha: Cost
    sizes: tuple[int, ...]
    beta: tuple[Cost, ...]
    gamma: tuple[Cost, ...]

    def __post_init__(self) -> None:
        if not len(self.sizes) == len(self.beta) == len(self.gamma) > 0:
            raise ValueError("a curve needs as many β and γ as sizes")
        if self.sizes[0] < 1 or any(low >= high for low, high in pairwise(self.sizes)):
            raise ValueError("the sizes of a curve ascend, from 1")

    def link(self, nbytes: int) -> Link:
        """Return the terms of the formulas for a vector of `nbytes` bytes."""
        at, sizes = math.log(max(nbytes, 1)), np.log(self.sizes)
        return Link(self.alpha, float(np.interp(at, sizes, self.beta)), float(np.interp(at, sizes, self.gamma)))


class Figures(Struct, frozen=True):
    """The costs of a transport, or a `link`, with one number of workers; `scatter` of its samples, None: unknown."""

    transport: str
    workers: int
    exchange: Curve
    hub: Curve
    link: str | None = None
    scatter: float | None = None


def constant(link: Link, words: str | None = None) -> Figures:
    """Return the figures of a network whose α, β and γ are the same for all sizes and patterns."""
    curve = Curve(link.alpha, (LARGE,), (link.beta,), (link.gamma,))
    return Figures("virtual", 0, curve, curve, words)


def among_neighbours(workers: int, sizes: Sequence[int], tiny: float, moved: Costs, added: Costs) -> Curve:
    """Return the curve of the pattern `shift`, from seconds of one step, whose messages are 1/(n + 1) of the vector.

    If adding up costs no more than moving, γ is 0 and β is the mean of both: an all-reduce adds half of what it moves.
    """
    piece = np.array(sizes) // 4 // (workers + 1) * 4
    step = np.where(added > moved, moved, (moved + added) / 2)
    return _curve(tiny, sizes, (step - tiny) / piece, (added - moved) / piece)


def through_a_hub(workers: int, sizes: Sequence[int], tiny: float, moved: Costs, added: Costs) -> Curve:
    """Return the curve of the pattern `relay`, from seconds in which all workers push and pull.

    In k segments that takes 2α + (1 + 1/k)·n·Mβ, as in the formula of a server, and n·Mγ more if the server adds up.
    """
    busy = workers * np.array(sizes)
    fill = 1 + 1 / np.maximum(1, -(-np.array(sizes) // PIECE))
    return _curve(tiny / 2, sizes, (np.minimum(moved, added) - tiny) / (fill * busy), (added - moved) / busy)


def _curve(alpha: float, sizes: Sequence[int], beta: Costs, gamma: Costs) -> Curve:
    """Return the curve; a cost below 0, which is noise, becomes 0."""
    return Curve(alpha, tuple(sizes), tuple(np.maximum(0.0, beta).tolist()), tuple(np.maximum(0.0, gamma).tolist()))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured on one machine; `name` is the file that it was read from."""

    figures: tuple[Figures, ...]
    environment: Environment | None = None
    name: str = ""

    def nearest(self, transport: str | None, workers: int) -> tuple[Figures, str | None]:
        """Return the nearest figures, and a note if they are of another number of workers. ConfigError if unclear."""
        known = list(dict.fromkeys(figures.transport for figures in self.figures))
        if transport is None:
            if len(known) > 1:
                raise ConfigError(f"{self.name} has {' and '.join(known)}: say which with --transport")
            (transport,) = known
        here = [figures for figures in self.figures if figures.transport == transport]
        if not here:
            raise ConfigError(
                f"{self.name or 'the calibration'} has {', '.join(known)}, not {transport}: "
                f"run syncbench calibrate --transport {transport} --workers {workers}"
            )
        found = min(here, key=lambda one: (abs(math.log(max(one.workers, 1) / workers)), one.workers))
        if found.workers in (0, workers):
            return found, None
        return found, f"{workers} workers are predicted from figures measured with {found.workers} over {transport}"


def link_terms(given: str) -> Link:
    """Return `1gbit,50us` as α, with any overhead a message, and β; γ = 0. ConfigError if it is no link."""
    asked = virtual_network(given)
    return Link(asked.latency + asked.overhead, 1 / asked.bandwidth)
