"""The all-reduce algorithms under test, and helpers that run them in virtual time."""

import math

import pytest
from hypothesis import strategies as st

from allreduce.direct import Direct
from allreduce.double_tree import DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.hierarchical import Hierarchical
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.star import Star
from allreduce.tree import Tree
from common.simulate import simulate
from common.strategy import Link
from common.transport.virtual.network import Network


class ThreeChunks(DoubleTree):
    """A pipeline also for the small vectors of these tests."""

    def __init__(self):
        super().__init__(chunks=3)


class TwoToAHost(Hierarchical):
    """Pairs, and the last worker by itself if their number is odd."""

    def __init__(self):
        super().__init__(group=2)


FOLDING = [RecursiveDoubling, HalvingDoubling]
UNPIPELINED = [Star, Ring, Tree, Direct, DoubleTree, *FOLDING, Hierarchical, TwoToAHost]
ALGORITHMS = [*UNPIPELINED, ThreeChunks]
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
every_n = pytest.mark.parametrize("n", range(1, 10))

LINK = Link(alpha=2.0**-10, beta=2.0**-20, gamma=2.0**-23)


def log2(n):
    """⌈log₂n⌉."""
    return math.ceil(math.log2(n))


def floor_log2(n):
    """⌊log₂n⌋."""
    return math.floor(math.log2(n))


def stay(n):
    """Return the largest power of two up to n: how many ranks are not folded."""
    return 2 ** floor_log2(n)


def network(link, **more):
    """The virtual network with the costs of `link`."""
    return Network(latency=link.alpha, bandwidth=1 / link.beta, reduce=link.gamma, **more)


def all_reduce(algorithm, xs, net=None):
    """All-reduce row r of `xs` at rank r; return the outcome, whose results are the ranks' vectors."""

    def program(ctx):
        x = xs[ctx.rank].copy()
        algorithm().all_reduce(ctx, x)
        ctx.settle()
        return x

    return simulate(program, len(xs), network=net or Network(), deadline=1000.0)


@st.composite
def jobs(draw):
    """n ranks, an awkward size, a seed."""
    n = draw(st.integers(1, 9))
    size = draw(st.sampled_from([0, 1, n - 1, n, n + 1, 97, 4099]))
    return n, size, draw(st.integers(0, 2**32 - 1))


def messages(meter):
    """Return how many messages a rank sent."""
    return sum(meter.messages_to.values())


def hops(n):
    """Return the number of links of the longest path down a binomial tree: ⌈log₂n⌉ if n is a power of two."""
    return max(rank.bit_count() for rank in range(n))
