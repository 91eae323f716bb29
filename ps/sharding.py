"""Which parameters live on which server."""

from __future__ import annotations


def even(size: int, servers: int) -> list[slice]:
    """`size` parameters cut into one contiguous slice a server, sizes differing by one at most.

    Tensors are cut where the boundary falls; with more servers than parameters some shards are empty.
    """
    return [slice(i * size // servers, (i + 1) * size // servers) for i in range(servers)]
