"""Two complementary binary trees (Sanders, Speck, Träff 2009; NCCL 2.4), each for half of x, pipelined in chunks.

A tree reduces its half to its root, then broadcasts the sum. Every worker is an inner node of at most one of the
trees, so what its links have to spare as a leaf serves the other tree. With h = ⌊log₂n⌋ and k chunks a half:

    steps       2(h + k - 1)
    bytes sent  2M at most: half of x to each of two parents and of two children
    time        2hα + (h + k - 1)/k·(2Mβ + Mγ), half of the second term if n = 2; less where adding overlaps

With many chunks that is nearly 2hα + 2Mβ + Mγ: the latency of a tree, and twice the least possible bytes. A chunk
should take longer than α, or the trees wait for each other.
Reduction order: at each inner node its own, then the sum of its left subtree, then that of its right one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allreduce.chunks import bounds, split
from allreduce.options import at_least_one
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import Array

CHUNK_BYTES = 1 << 18  # smaller ones cost more, by their messages, than they gain, by the pipeline
MOST_CHUNKS = 64


@dataclass(frozen=True, slots=True)
class Node:
    """A rank's neighbours in one tree: its parent (none at the root), its children (none at a leaf)."""

    parent: tuple[int, ...]
    children: tuple[int, ...]


def double_tree(ctx: Context, x: Array, chunks: int) -> None:
    """Sum x over all ranks, in place, in `chunks` chunks of each half. Blocks.

    A leaf has nothing to wait for in the reduce, and nobody waits for it in the broadcast: there it runs h chunks
    ahead and here h behind, so that neither tree ever holds up the other one. What was lent to a parent is overwritten
    by its sum: proof that it was read. What was lent to children is still on loan: call `ctx.settle` before changing x.
    """
    first, second = (split(half, chunks) for half in split(x, 2))
    (inner, mine), (leaf, others) = sorted(
        zip(trees(ctx.rank, ctx.size), (first, second), strict=True), key=lambda tree: not tree[0].children
    )
    h = height(ctx.size)
    for step in range(chunks + h):  # reduce
        if step < chunks:
            lend_all(ctx, leaf.parent, others[step])
        if step >= h:
            ctx.fast.recv_add_all(inner.children, mine[step - h])
            lend_all(ctx, inner.parent, mine[step - h])
    for step in range(chunks + h):  # broadcast
        if step < chunks:
            recv_all(ctx, inner.parent, mine[step])
            lend_all(ctx, inner.children, mine[step])
        if step >= h:
            recv_all(ctx, leaf.parent, others[step - h])


def lend_all(ctx: Context, peers: tuple[int, ...], chunk: Array) -> None:
    """Lend `chunk` to each of `peers`."""
    for peer in peers:
        ctx.lend(peer, chunk)


def recv_all(ctx: Context, peers: tuple[int, ...], chunk: Array) -> None:
    """Receive `chunk` from each of `peers`: one, or none. Blocks."""
    for peer in peers:
        ctx.recv_into(peer, chunk)


def trees(rank: int, n: int) -> tuple[Node, Node]:
    """The rank's node in the first and in the second tree: an inner node of at most one of them.

    The first tree numbers the ranks 1 … n, so odd ranks are its inner nodes. The second one makes inner nodes of even
    ranks: it counts from the other end if n is even, and begins with rank 1 if n is odd.
    """
    first = node(rank + 1, n, lambda place: place - 1)
    if n % 2:
        return first, node(rank or n, n, lambda place: place % n)
    return first, node(n - rank, n, lambda place: n - place)


def node(place: int, n: int, rank: Callable[[int], int]) -> Node:
    """A place in the tree that has the places 1 … n in order from left to right, odd ones as leaves.

    The lowest set bit of a place is its reach: the children of 4 are 4 - 2 and 4 + 2, those of 2 are 2 - 1 and 2 + 1.
    Where 4 + 2 would be more than n, the right child is 4 + 1.
    """
    reach = place & -place
    parent = place - reach | 2 * reach
    if parent > n:
        parent = place - reach
    left, right = place - reach // 2, place + reach // 2
    while right > n:
        reach //= 2
        right = place + reach // 2
    children = [child for child in (left, right) if child != place]
    return Node((rank(parent),) if parent else (), tuple(map(rank, children)))


def height(n: int) -> int:
    """How many links it is from the root to the lowest leaf: ⌊log₂n⌋."""
    return n.bit_length() - 1


class DoubleTree(AllReduce):
    """Two trees, a half of the vector each, pipelined: logarithmic latency, twice the least bytes.

    `chunks`: how many each half is cut into; by default so many that a chunk has 256 KiB, and 64 at most.
    """

    def __init__(self, chunks: int | None = None) -> None:
        if chunks is not None:
            at_least_one("chunks", chunks)
        self.chunks = chunks

    def all_reduce(self, ctx: Context, x: Array) -> None:
        double_tree(ctx, x, self._chunks(x.nbytes))

    def _chunks(self, nbytes: int) -> int:
        return self.chunks or min(MOST_CHUNKS, max(1, nbytes // 2 // CHUNK_BYTES))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        edge = bounds(size, 2)
        messages = [len(tree.parent) + len(tree.children) for tree in trees(rank, workers)]
        return itemsize * sum(count * (edge[i + 1] - edge[i]) for i, count in enumerate(messages))

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        h, k = height(workers), self._chunks(nbytes)
        children = min(2, workers - 1)
        rate = children / 2 * nbytes * (2 * link.beta + link.gamma)
        return 2 * h * link.alpha + (h + k - 1) / k * rate
