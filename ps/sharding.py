"""Which parameters live on which server.

A sharding answers `pieces(start, size)` for the bucket at [start, start + size) of the flat model: for each server the
contiguous pieces of it that live there, as slices relative to the bucket, in order, none of them empty. Every element
of the bucket lies in one piece of one server. All ranks compute the same.

    even        each bucket in equal parts, tensors cut where a boundary falls: the best balance there is
    by-tensor   whole tensors, the largest first, each to the server that has least so far (LPT, Graham 1969): the
                largest server has at most the mean and one largest tensor
    hashed      whole tensors, each where a hash of its index says: a tensor's place does not depend on the others
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Protocol
from zlib import crc32

from common.errors import suggest

SHARDINGS = ("even", "by-tensor", "hashed")


class Sharding(Protocol):
    """Workers and servers ask the same one, so they agree without a word."""

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """For each server, its pieces of the bucket of `size` elements that begins at `start` of the flat model."""


def even(size: int, servers: int) -> list[slice]:
    """`size` parameters cut into one contiguous slice a server, sizes differing by one at most.

    Tensors are cut where the boundary falls; with more servers than parameters some shards are empty.
    """
    return [slice(i * size // servers, (i + 1) * size // servers) for i in range(servers)]


class Even:
    """Every bucket in equal parts, one a server."""

    def __init__(self, servers: int) -> None:
        self.servers = servers

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """One piece a server, if there is an element for it."""
        return [[piece] if piece.start < piece.stop else [] for piece in even(size, self.servers)]


class WholeTensors:
    """Tensors of `sizes` elements, each whole on the server that `owners` names for it: one of `servers`."""

    def __init__(self, sizes: Sequence[int], owners: Sequence[int], servers: int) -> None:
        self.owners, self.servers = owners, servers
        self._edges = [0, *accumulate(sizes)]

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """Neighbouring tensors of one server are one piece. ValueError for a bucket that reaches out of the model."""
        stop = start + size
        if start < 0 or stop > self._edges[-1]:
            raise ValueError(f"a bucket at [{start}, {stop}) of a model of {self._edges[-1]} parameters")
        found: list[list[slice]] = [[] for _ in range(self.servers)]
        for owner, (first, last) in zip(self.owners, pairwise(self._edges), strict=True):
            low, high = max(first, start) - start, min(last, stop) - start
            if low >= high:
                continue
            mine = found[owner]
            if mine and mine[-1].stop == low:
                low = mine.pop().start
            mine.append(slice(low, high))
        return found


class ByTensor(WholeTensors):
    """Greedy balance over whole tensors; of servers with as little, the first is taken, and so of tensors as large."""

    def __init__(self, sizes: Sequence[int], servers: int) -> None:
        loads, owners = [0] * servers, [0] * len(sizes)
        for tensor in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
            owners[tensor] = loads.index(min(loads))
            loads[owners[tensor]] += sizes[tensor]
        super().__init__(sizes, owners, servers)


class Hashed(WholeTensors):
    """By the CRC-32 of a tensor's index in the model, written in decimal."""

    def __init__(self, sizes: Sequence[int], servers: int) -> None:
        super().__init__(sizes, [crc32(b"%d" % index) % servers for index in range(len(sizes))], servers)


def check_name(name: str) -> str:
    """The name of a sharding as it is; ValueError if there is none of that name."""
    if name not in SHARDINGS:
        raise ValueError(f"unknown sharding {name!r}: {suggest(str(name), SHARDINGS)}")
    return name


def sharding(name: str, tensor_sizes: Sequence[int], servers: int) -> Sharding:
    """The sharding `name` of a model whose tensors have `tensor_sizes` elements. ValueError for an unknown name."""
    match check_name(name):
        case "by-tensor":
            return ByTensor(tensor_sizes, servers)
        case "hashed":
            return Hashed(tensor_sizes, servers)
    return Even(servers)
