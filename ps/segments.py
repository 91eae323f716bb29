"""Segments: what a server receives, updates and sends back at a time, while the next ones still come in.

Every segment is a shard with clocks of its own. Large segments leave the server idle until the first is in, and the
workers until the first is back. Small ones cost a message each, on every side. docs/performance.md has measurements on
a network and on one host.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from common.strategy import Bucket
from common.types import FLOAT_BYTES, Vector
from ps.sharding import Sharding, even

BYTES = 1 << 20  # of a segment, by default: it stays in a core's cache while it is summed and updated
AHEAD = 2 * BYTES  # that a worker pushes to each server before it takes the first answer; one segment, if that is more


def elements_ahead(nbytes: int) -> int:
    """Return how many elements a worker pushes to each server, in segments of `nbytes`, before it takes an answer.

    At least one segment: otherwise workers that begin with different servers would wait for each other.
    """
    return max(AHEAD, nbytes) // FLOAT_BYTES


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that this server owns. `params`, float32 of shape (size,), begins at `start` of the whole model.

    `width`: the number of columns if it is a part of a table whose gradient comes by rows; otherwise 0.
    """

    bucket: int
    start: int
    params: Vector
    width: int = 0

    @property
    def longest(self) -> int:
        """Elements of the longest message that can begin a push of it: a gradient, or the numbers of rows."""
        return self.params.size // self.width if self.width else self.params.size


def cut(pieces: Sequence[slice], nbytes: int) -> list[slice]:
    """Return the pieces of a bucket that a server owns, of at most `nbytes`; at least one, perhaps empty."""
    parts = []
    for piece in pieces:
        size = piece.stop - piece.start
        count = -(-size // (nbytes // FLOAT_BYTES))
        edges = [piece.start + part * size // max(count, 1) for part in range(count + 1)]
        parts += [slice(low, high) for low, high in pairwise(edges)]
    return parts or [slice(0, 0)]


def owned(buckets: Sequence[Bucket], sharding: Sharding, nbytes: int, server: int, servers: int) -> list[Segment]:
    """Return all segments of a server, of at most `nbytes`, in the order of the pushes; one of a table by rows."""
    segments = []
    for bucket in buckets:
        if bucket.rows is None:
            width, parts = 0, cut(sharding(bucket.start, bucket.params.size)[server], nbytes)
        else:
            width = bucket.rows.width
            rows = even(bucket.params.size // width, servers)[server]
            parts = [slice(rows.start * width, rows.stop * width)]
        segments += [Segment(bucket.index, bucket.start + part.start, bucket.params[part], width) for part in parts]
    return segments


def route(bucket: Bucket, sharding: Sharding, nbytes: int, worker: int = 0) -> list[tuple[int, slice]]:
    """Return where `worker` pushes a bucket: (number of the server, part of the bucket), the servers taking turns.

    So every server soon has work; each gets its own segments in their order. Every worker begins with another server,
    so that they do not all crowd round one.
    """
    parts = [cut(pieces, nbytes) for pieces in sharding(bucket.start, bucket.params.size)]
    servers = [(worker + i) % len(parts) for i in range(len(parts))]
    turns = range(max(map(len, parts)))
    return [(server, parts[server][turn]) for turn in turns for server in servers if turn < len(parts[server])]
