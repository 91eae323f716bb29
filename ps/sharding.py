"""Which parameters live on which server.

A sharding answers `pieces(start, size)` for the bucket at [start, start + size) of the flat model: for each server the
contiguous pieces of the bucket that live there, as slices relative to the bucket, in order, none of them empty. Every
element of the bucket lives on one server. All ranks compute the same.

    even        each bucket in equal parts, tensors cut where a boundary falls: the best balance possible
    by-tensor   whole tensors, the largest first, each to the server that has least so far (LPT, Graham 1969): the
                largest server has at most the mean and one largest tensor
    hashed      whole tensors, each on the server that a hash of its index names: independent of the other tensors
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Protocol
from zlib import crc32

from common.errors import suggest

SHARDINGS = ("even", "by-tensor", "hashed")


class Sharding(Protocol):
    """Workers and servers make the same one, so they agree without a message."""

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """Return for each server its pieces of the bucket of `size` elements at `start` of the flat model."""


def even(size: int, servers: int) -> list[slice]:
    """Return `size` parameters cut into one contiguous slice a server, whose sizes differ by one at most."""
    return [slice(i * size // servers, (i + 1) * size // servers) for i in range(servers)]


class Even:
    """Every bucket in equal parts, one a server."""

    def __init__(self, servers: int) -> None:
        self.servers = servers

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        return [[piece] if piece.start < piece.stop else [] for piece in even(size, self.servers)]


class WholeTensors:
    """Tensors of `sizes` elements, each whole on the server that `owners` names for it: one of `servers`."""

    def __init__(self, sizes: Sequence[int], owners: Sequence[int], servers: int) -> None:
        self.owners, self.servers = owners, servers
        self._edges = [0, *accumulate(sizes)]

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """Neighbouring tensors of one server are one piece. ValueError for a bucket outside the model."""
        stop = start + size
        if start < 0 or stop > self._edges[-1]:
            raise ValueError(f"a bucket at [{start}, {stop}) of a model of {self._edges[-1]} parameters")
        found: list[list[slice]] = [[] for _ in range(self.servers)]
        for owner, (first, last) in zip(self.owners, pairwise(self._edges), strict=True):
            low, high = max(first, start) - start, min(last, stop) - start
            if low >= high:
                continue
            if found[owner] and found[owner][-1].stop == low:
                low = found[owner].pop().start
            found[owner].append(slice(low, high))
        return found


def by_tensor(sizes: Sequence[int], servers: int) -> WholeTensors:
    """Balance whole tensors greedily; among equal servers, and equal tensors, the first is taken."""
    loads, owners = [0] * servers, [0] * len(sizes)
    for tensor in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        owners[tensor] = loads.index(min(loads))
        loads[owners[tensor]] += sizes[tensor]
    return WholeTensors(sizes, owners, servers)


def hashed(sizes: Sequence[int], servers: int) -> WholeTensors:
    """Place each tensor by the CRC-32 of its index in the model, written in decimal."""
    return WholeTensors(sizes, [crc32(b"%d" % index) % servers for index in range(len(sizes))], servers)


def check_name(name: str) -> str:
    """Return the name of a sharding unchanged; ValueError for an unknown name."""
    if name not in SHARDINGS:
        raise ValueError(f"unknown sharding {name!r}: {suggest(str(name), SHARDINGS)}")
    return name


def sharding(name: str, tensor_sizes: Sequence[int], servers: int) -> Sharding:
    """Return the sharding `name` of a model whose tensors have `tensor_sizes` elements; ValueError if it is unknown."""
    if check_name(name) == "even":
        return Even(servers)
    return (by_tensor if name == "by-tensor" else hashed)(tensor_sizes, servers)
