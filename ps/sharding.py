"""Which parameters live on which server.

A sharding is a function of `start` and `size`. For the bucket at [start, start + size) of the flat model it returns,
for each server, the contiguous pieces that live there, as slices relative to the bucket, in order, none of them empty.
Every element of the bucket lives on one server. All ranks compute the same.

    even        each bucket in equal parts, tensors cut where a boundary falls: the best balance possible
    by-tensor   whole tensors, the largest first, each to the server that has least so far (LPT, Graham 1969): the
                largest server has at most the mean and one largest tensor
    hashed      whole tensors, each on the server that a hash of its index names: independent of the other tensors
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from zlib import crc32

from common.errors import suggest

Sharding = Callable[[int, int], list[list[slice]]]  # workers and servers make the same one, so agree without a message


def even(size: int, servers: int) -> list[slice]:
    """Return `size` parameters cut into one contiguous slice a server, whose sizes differ by one at most."""
    return [slice(i * size // servers, (i + 1) * size // servers) for i in range(servers)]


def evenly(sizes: Sequence[int], servers: int) -> Sharding:
    """Cut every bucket into equal parts, one a server, whatever the `sizes` of the tensors."""
    return lambda start, size: [[piece] if piece.start < piece.stop else [] for piece in even(size, servers)]


def by_tensor(sizes: Sequence[int], servers: int) -> Sharding:
    """Balance whole tensors greedily; among equal servers, and equal tensors, the first is taken."""
    loads, owners = [0] * servers, [0] * len(sizes)
    for tensor in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        owners[tensor] = loads.index(min(loads))
        loads[owners[tensor]] += sizes[tensor]
    return _whole_tensors(sizes, owners, servers)


def hashed(sizes: Sequence[int], servers: int) -> Sharding:
    """Place each tensor by the CRC-32 of its index in the model, written in decimal."""
    return _whole_tensors(sizes, [crc32(b"%d" % index) % servers for index in range(len(sizes))], servers)


def _whole_tensors(sizes: Sequence[int], owners: Sequence[int], servers: int) -> Sharding:
    """Place tensors of `sizes` elements on `owners`. ValueError for a bucket outside the model."""
    edges = [0, *accumulate(sizes)]

    def pieces(start: int, size: int) -> list[list[slice]]:
        stop = start + size
        if start < 0 or stop > edges[-1]:
            raise ValueError(f"a bucket at [{start}, {stop}) of a model of {edges[-1]} parameters")
        found: list[list[slice]] = [[] for _ in range(servers)]
        for owner, (first, last) in zip(owners, pairwise(edges), strict=True):
            low, high = max(first, start) - start, min(last, stop) - start
            if low >= high:
                continue
            if found[owner] and found[owner][-1].stop == low:  # neighbouring tensors of one server are one piece
                low = found[owner].pop().start
            found[owner].append(slice(low, high))
        return found

    return pieces


SHARDINGS = {"even": evenly, "by-tensor": by_tensor, "hashed": hashed}


def check_name(name: str) -> str:
    """Return the name of a sharding unchanged; ValueError for an unknown name."""
    if name not in SHARDINGS:
        raise ValueError(f"unknown sharding {name!r}: {suggest(str(name), SHARDINGS)}")
    return name
