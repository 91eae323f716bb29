"""Which parameters live on which server."""

from __future__ import annotations

from typing import Protocol


class Placement(Protocol):
    """Workers and servers ask the same one, so they agree without a word."""

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """For each server, its contiguous pieces of the bucket at `start` of the model, of `size` elements.

        The slices count from the start of the bucket and are in order; each element is in exactly one of them.
        """


class Even:
    """Every server has an equal part of every bucket, so all are at work on it at once; tensors may be cut."""

    def __init__(self, servers: int) -> None:
        self.servers = servers

    def pieces(self, start: int, size: int) -> list[list[slice]]:
        """One piece a server, wherever the bucket is; sizes differ by one at most."""
        return [[piece] for piece in even(size, self.servers)]


def even(size: int, servers: int) -> list[slice]:
    """`size` parameters cut into one contiguous slice a server, sizes differing by one at most.

    Tensors are cut where the boundary falls; with more servers than parameters some shards are empty.
    """
    return [slice(i * size // servers, (i + 1) * size // servers) for i in range(servers)]
