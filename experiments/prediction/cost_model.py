"""α, β and γ as they were measured, or as a link is said to be: what predictions are made from.

Bytes that lie in a cache cost less than those that do not, so β and γ are curves over the size of the vector, between
whose points they are interpolated, linear over the logarithm of the size; beyond its ends a curve is flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from common.errors import ConfigError
from common.link_probe import PIECE
from common.strategy import Link
from experiments.config.virtual import network

LARGE = 4 << 20  # bytes of the vector whose β and γ stand for all where there is room for one figure only


@dataclass(frozen=True, slots=True)
class Curve:
    """One pattern of communication: seconds a message, and for vectors of these many bytes seconds a byte."""

    alpha: float
    sizes: tuple[int, ...]  # ascending
    beta: tuple[float, ...]
    gamma: tuple[float, ...]

    def link(self, nbytes: int) -> Link:
        """What the formulas take for a vector of so many bytes."""
        return Link(self.alpha, _at(nbytes, self.sizes, self.beta), _at(nbytes, self.sizes, self.gamma))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "alpha": self.alpha,
            "sizes": list(self.sizes),
            "beta": list(self.beta),
            "gamma": list(self.gamma),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Curve:
        """The inverse of `to_dict`; KeyError, TypeError or ValueError for what is none."""
        sizes, beta, gamma = (tuple(values[name]) for name in ("sizes", "beta", "gamma"))
        alpha = float(values["alpha"])
        if not len(sizes) == len(beta) == len(gamma) > 0 or list(sizes) != sorted({int(size) for size in sizes}):
            raise ValueError("a curve needs as many β and γ as sizes, which ascend")
        numbers = [alpha, *map(float, (*beta, *gamma))]
        if sizes[0] < 1 or not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise ValueError("a curve has finite figures from 0")
        return cls(alpha, sizes, tuple(map(float, beta)), tuple(map(float, gamma)))


def _at(nbytes: int, sizes: Sequence[int], values: Sequence[float]) -> float:
    if nbytes <= sizes[0]:
        return values[0]
    for (low, first), (high, second) in pairwise(zip(sizes, values, strict=True)):
        if nbytes <= high:
            return first + (second - first) * math.log(nbytes / low) / math.log(high / low)
    return values[-1]


@dataclass(frozen=True, slots=True)
class Figures:
    """One transport with one number of workers. `exchange`: among neighbours; `hub`: through a server.

    `link` is what the network was said to be, in words; None for a transport as it is. `scatter` is how far a typical
    sample was from the median that stands for it, as a share of that, where that was worst; None where it is not known.
    """

    transport: str
    workers: int
    exchange: Curve
    hub: Curve
    link: str | None = None
    scatter: float | None = None

    @property
    def alpha(self) -> float:
        """Seconds a message among neighbours."""
        return self.exchange.alpha

    @property
    def beta(self) -> float:
        """Seconds a byte of a large vector among neighbours."""
        return self.exchange.link(LARGE).beta

    @property
    def gamma(self) -> float:
        """Seconds to add up one byte of a large vector."""
        return self.exchange.link(LARGE).gamma

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "transport": self.transport,
            "workers": self.workers,
            "link": self.link,
            "scatter": self.scatter,
            "alpha": self.alpha,
            "beta": self.beta,
            "gamma": self.gamma,
            "exchange": self.exchange.to_dict(),
            "hub": self.hub.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Figures:
        """The inverse of `to_dict`; KeyError, TypeError or ValueError for what is none."""
        exchange, hub = Curve.from_dict(values["exchange"]), Curve.from_dict(values["hub"])
        link, scatter = values.get("link"), values.get("scatter")
        spread = None if scatter is None else float(scatter)
        return cls(str(values["transport"]), int(values["workers"]), exchange, hub, link, spread)


def constant(link: Link, transport: str = "virtual", workers: int = 0, words: str | None = None) -> Figures:
    """The figures of a network in which α, β and γ do not depend on anything."""
    curve = Curve(link.alpha, (LARGE,), (link.beta,), (link.gamma,))
    return Figures(transport, workers, curve, curve, words)


def among_neighbours(
    workers: int, sizes: Sequence[int], tiny: float, moved: Sequence[float], added: Sequence[float]
) -> Curve:
    """The curve of `shift`: seconds of one step, whose messages are one of n + 1 pieces of the vector.

    Where adding up costs no more than moving, as in memory that is read in place, γ is nothing, and β the mean of both:
    an all-reduce adds up half of what it moves.
    """
    beta, gamma = [], []
    for nbytes, move, add in zip(sizes, moved, added, strict=True):
        piece = nbytes // 4 // (workers + 1) * 4
        step = move if add > move else (move + add) / 2
        beta.append(max(0.0, step - tiny) / piece)
        gamma.append(max(0.0, add - move) / piece)
    return Curve(tiny, tuple(sizes), tuple(beta), tuple(gamma))


def through_a_hub(
    workers: int, sizes: Sequence[int], tiny: float, moved: Sequence[float], added: Sequence[float]
) -> Curve:
    """The curve of `relay`: seconds for all to push and to pull, in k segments, as in the formula of a server:

    2α + (1 + 1/k)·n·Mβ, and n·Mγ more where the hub adds up and applies.
    """
    beta, gamma = [], []
    for nbytes, move, add in zip(sizes, moved, added, strict=True):
        busy = workers * nbytes
        fill = 1 + 1 / max(1, -(-nbytes // PIECE))
        beta.append(max(0.0, min(move, add) - tiny) / (fill * busy))
        gamma.append(max(0.0, add - move) / busy)
    return Curve(tiny / 2, tuple(sizes), tuple(beta), tuple(gamma))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured on one machine; `environment` as `syncbench env` has it, `name` is where it was read from."""

    figures: tuple[Figures, ...]
    environment: dict[str, Any] | None = None
    name: str = ""

    def nearest(self, transport: str | None, workers: int) -> tuple[Figures, str | None]:
        """The figures for so many workers over `transport`, or over the only one there is if that is None.

        Where it was another number, the nearest, and a word about it. ConfigError if the transport is missing.
        """
        known = list(dict.fromkeys(each.transport for each in self.figures))
        if transport is None:
            if len(known) > 1:
                raise ConfigError(f"{self.name} has {' and '.join(known)}: say which with --transport")
            (transport,) = known
        here = [each for each in self.figures if each.transport == transport]
        if not here:
            raise ConfigError(
                f"{self.name or 'the calibration'} has {', '.join(known)}, not {transport}: "
                f"run syncbench calibrate --transport {transport} --workers {workers}"
            )
        found = min(here, key=lambda each: (abs(math.log(max(each.workers, 1) / workers)), each.workers))
        if found.workers in (0, workers):
            return found, None
        return found, f"{workers} workers are predicted from figures measured with {found.workers} over {transport}"


def parse_link(given: str) -> Link:
    """`1gbit,50us` as α and β; adding costs nothing. ConfigError if it is none.

    An overhead a message is part of α: that several messages of one rank queue for it is not in the formulas.
    """
    asked = network(given)
    return Link(asked.latency + asked.overhead, 1 / asked.bandwidth)
