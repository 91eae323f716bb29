"""Two complementary binary trees (Sanders, Speck, Träff 2009; NCCL 2.4), each for half of x, pipelined in chunks.

A tree reduces its half of x to its root, then broadcasts the sum. Every worker is an inner node of at most one tree and
a leaf of the other. A leaf sends and receives little, so both trees can use a worker's links at the same time. With
h = ⌊log₂n⌋ and k chunks a half:

    steps       2(h + k - 1)
    bytes sent  2M at most: half of x to each of two parents and of two children
    time        2hα + (h + k - 1)/k·(2Mβ + Mγ), half of the second term if n = 2; less where adding overlaps
    order       at each inner node its own x, then the sum of its left subtree, then that of its right one

With many chunks the time is nearly 2hα + 2Mβ + Mγ: the latency of a tree, and twice the least possible bytes. A chunk
should take longer than α, or the trees wait for each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from allreduce.chunks import Chunks, bounds
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array
from common.util.values import whole_number

CHUNK_BYTES = 1 << 18  # smaller ones cost more, by their messages, than they gain, by the pipeline
MOST_CHUNKS = 64


@dataclass(frozen=True, slots=True)
class Node:
    """A rank's neighbours in one tree: its parent (none at the root), its children (none at a leaf)."""

    parent: tuple[int, ...]
    children: tuple[int, ...]


def double_tree(ctx: Context, x: Array, chunks: int) -> None:
    """Sum x over all workers, in place, in `chunks` chunks of each half. Blocks.

    In the reduce, a worker is h chunks further as a leaf than as an inner node; in the broadcast, h chunks less far. So
    neither tree waits for the other. A chunk lent to a parent is overwritten by its sum, which proves that it was read.
    The chunks lent to children are still on loan at the end: call `ctx.settle` before changing x.
    """
    halves = [Chunks(half, chunks) for half in Chunks(x, 2)]
    both = zip(trees(ctx.rank, len(ctx.workers)), halves, strict=True)
    (inner, inner_chunk), (leaf, leaf_chunk) = sorted(both, key=lambda tree: not tree[0].children)
    h = height(len(ctx.workers))
    for step in range(chunks + h):  # reduce
        if step < chunks:
            lend_all(ctx, leaf.parent, leaf_chunk[step])
        if step >= h:
            ctx.fast.recv_add_all(inner.children, inner_chunk[step - h])
            lend_all(ctx, inner.parent, inner_chunk[step - h])
    for step in range(chunks + h):  # broadcast
        if step < chunks:
            recv_all(ctx, inner.parent, inner_chunk[step])
            lend_all(ctx, inner.children, inner_chunk[step])
        if step >= h:
            recv_all(ctx, leaf.parent, leaf_chunk[step - h])


def lend_all(ctx: Context, peers: tuple[int, ...], chunk: Array) -> None:
    """Lend `chunk` to each of `peers`."""
    for peer in peers:
        ctx.lend(peer, chunk)


def recv_all(ctx: Context, peers: tuple[int, ...], chunk: Array) -> None:
    """Receive `chunk` from each of `peers`: one, or none. Blocks."""
    for peer in peers:
        ctx.recv_into(peer, chunk)


def trees(rank: int, n: int) -> tuple[Node, Node]:
    """Return the rank's node in the first and in the second tree: an inner node of at most one of them.

    Inner nodes stand at even places. In the first tree rank r stands at place r + 1, so its inner nodes are odd ranks.
    In the second tree even ranks stand at even places: r at n - r if n is even, and at r (0 at n) if n is odd.
    """
    first = node(rank + 1, n, lambda place: place - 1)
    if n % 2:
        return first, node(rank or n, n, lambda place: place % n)
    return first, node(n - rank, n, lambda place: n - place)


def node(place: int, n: int, rank: Callable[[int], int]) -> Node:
    """Return the node at `place` of a tree that has the places 1 … n in order from left to right, odd ones as leaves.

    `rank` gives the rank at a place. The lowest set bit of a place is its reach. The children are half a reach away: of
    4 they are 2 and 6. If 6 is more than n, the right child is 5. The parent is a reach away: it has twice the reach.
    """
    reach = place & -place
    parent = (place - reach) | (2 * reach)  # place - reach or place + reach: the odd multiple of 2 * reach
    if parent > n:
        parent = place - reach
    left, right = place - reach // 2, place + reach // 2
    while right > n:
        reach //= 2
        right = place + reach // 2
    children = [child for child in (left, right) if child != place]
    return Node((rank(parent),) if parent else (), tuple(map(rank, children)))


def height(n: int) -> int:
    """Return the number of links from the root to the lowest leaf: ⌊log₂n⌋."""
    return n.bit_length() - 1


class DoubleTree(AllReduce):
    """Two trees, a half of the vector each, pipelined: logarithmic latency, twice the least bytes.

    `chunks`: into how many chunks each half is cut; by default a chunk has 256 KiB, and there are at most 64.
    """

    def __init__(self, chunks: int | None = None) -> None:
        self.chunks = None if chunks is None else whole_number("chunks", chunks)

    def all_reduce(self, ctx: Context, x: Array) -> None:
        double_tree(ctx, x, self._chunks(x.nbytes))

    def _chunks(self, nbytes: int) -> int:
        return self.chunks or min(MOST_CHUNKS, max(1, nbytes // 2 // CHUNK_BYTES))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        edge = bounds(size, 2)
        messages = [len(tree.parent) + len(tree.children) for tree in trees(rank, workers)]
        return FLOAT_BYTES * sum(count * (edge[i + 1] - edge[i]) for i, count in enumerate(messages))

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        h, k = height(workers), self._chunks(nbytes)
        children = min(2, workers - 1)
        rate = children / 2 * nbytes * (2 * link.beta + link.gamma)
        return 2 * h * link.alpha + (h + k - 1) / k * rate
