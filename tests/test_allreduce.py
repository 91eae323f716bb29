"""Every all-reduce algorithm gives NumPy's sum, the same bits on all ranks, added in the order that it documents."""

from functools import reduce

import numpy as np
import pytest
from allreduces import (
    ALGORITHMS,
    ThreeChunks,
    TwoToAHost,
    all_reduce,
    every_algorithm,
    every_n,
    jobs,
    stay,
)
from hypothesis import given
from hypothesis import strategies as st

from allreduce.auto import Auto
from allreduce.chunks import Chunks
from allreduce.direct import Direct
from allreduce.double_tree import DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.hierarchical import Hierarchical
from allreduce.noop import Noop, Single
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.sparse_all_gather import SparseAllGather, mean_rows
from allreduce.star import Star
from allreduce.strategy import AllReduce
from allreduce.tree import Tree
from common.pipeline.engine import engine_traits
from common.simulate import simulate
from common.strategy import Bucket
from common.transport.virtual.network import Network
from common.types import Rows

# --- the sum ---


@every_algorithm
@given(job=jobs(), dtype=st.sampled_from([np.int64, np.float32, np.float64]))
def test_the_sum_of_whole_numbers_is_exact_on_every_rank(algorithm, job, dtype):
    n, size, seed = job
    xs = np.random.default_rng(seed).integers(-1000, 1000, (n, size)).astype(dtype)
    for x in all_reduce(algorithm, xs).results:
        assert x.dtype == dtype
        assert np.array_equal(x, xs.sum(axis=0))


@every_algorithm
@every_n
def test_every_rank_counts_once(algorithm, n):
    xs = np.array([[10**rank] * 5 for rank in range(n)])
    for x in all_reduce(algorithm, xs).results:
        assert x.tolist() == [int("1" * n)] * 5


@every_algorithm
@given(job=jobs(), dtype=st.sampled_from([np.float32, np.float64]))
def test_all_ranks_hold_the_same_bits_whatever_arrives_first(algorithm, job, dtype):
    n, size, seed = job
    xs = np.random.default_rng(seed).standard_normal((n, size)).astype(dtype)
    quiet = all_reduce(algorithm, xs).results
    jittery = all_reduce(algorithm, xs, Network(latency=1.0, jitter=9.0, seed=seed)).results
    assert len({x.tobytes() for x in quiet + jittery}) == 1


def in_turn(terms):
    """The sum of arrays, from left to right."""
    return reduce(np.add, terms)


def star_order(xs):
    """Rank 0, 1, … n-1."""
    return in_turn(xs)


def ring_order(xs):
    """Chunk c: rank c, c+1, … c-1 (mod n)."""
    n = len(xs)
    pieces = [Chunks(x, n) for x in xs]
    return np.concatenate([in_turn([pieces[(c + i) % n][c] for i in range(n)]) for c in range(n)])


def tree_order(xs):
    """By rounds: neighbours, then pairs, then fours, the lower rank first."""
    sums = list(xs)
    while len(sums) > 1:
        sums = [in_turn(sums[i : i + 2]) for i in range(0, len(sums), 2)]
    return sums[0]


def folded(xs):
    """The sums that remain when ranks p … have been added to ranks 0 …"""
    p = stay(len(xs))
    return [in_turn([x, *xs[p + i : p + i + 1]]) for i, x in enumerate(xs[:p])]


def doubling_order(xs):
    """Extra ranks first; then neighbours, pairs, fours."""
    return tree_order(folded(xs))


def halving_order(xs):
    """Extra ranks first; then those furthest apart."""
    sums = folded(xs)
    while half := len(sums) // 2:
        sums = [sums[i] + sums[i + half] for i in range(half)]
    return sums[0]


def in_tree(xs, first):
    """The sum of a subtree with the places `first` …: the root's own, then left, then right.

    The root is the place with the most factors of two.
    """
    root = max(range(len(xs)), key=lambda i: (first + i) & -(first + i))
    sides = [(xs[:root], first), (xs[root + 1 :], first + root + 1)]
    return in_turn([xs[root], *(in_tree(*side) for side in sides if side[0])])


def double_tree_order(xs):
    """The first half from rank 0 to n-1; the second from the other end if n is even, and from rank 1 if it is odd."""
    n = len(xs)
    first, second = ([Chunks(x, 2)[half] for x in xs] for half in range(2))
    second = second[1:] + second[:1] if n % 2 else second[::-1]
    return np.concatenate([in_tree(first, 1), in_tree(second, 1)])


def two_to_a_host_order(xs):
    """Pairs, then a ring over them."""
    return ring_order([in_turn(xs[i : i + 2]) for i in range(0, len(xs), 2)])


ORDER = {
    Star: star_order,
    Ring: ring_order,
    Tree: tree_order,
    Direct: ring_order,
    DoubleTree: double_tree_order,
    ThreeChunks: double_tree_order,
    RecursiveDoubling: doubling_order,
    HalvingDoubling: halving_order,
    Hierarchical: star_order,
    TwoToAHost: two_to_a_host_order,
}


@every_algorithm
@every_n
def test_the_additions_are_made_in_the_documented_order(algorithm, n):
    xs = np.random.default_rng(n).standard_normal((n, 1000)).astype(np.float32)
    for x in all_reduce(algorithm, xs).results:
        assert x.tobytes() == ORDER[algorithm](list(xs)).tobytes()


# --- in a job with servers ---


@pytest.mark.parametrize("strategy", [*ALGORITHMS, Auto, SparseAllGather])
@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("n", [1, 3, 4])
def test_only_the_workers_take_part_in_a_job_that_has_servers_too(monkeypatch, strategy, n, servers):
    monkeypatch.setattr("common.link_probe.LARGE", 1 << 12)

    def program(ctx):
        if ctx.rank in ctx.servers:
            return None
        made, params, grad = strategy(), np.full(7, ctx.rank, np.float32), np.full(7, 10**ctx.rank, np.float32)
        made.setup(ctx, params)
        made.synchronize(ctx, Bucket(grad, params))
        return params.tolist(), grad

    outcome = simulate(program, n + servers, servers=servers)
    for params, mean in outcome.results[:n]:
        assert params == [0] * 7
        np.testing.assert_allclose(mean, int("1" * n) / n, rtol=1e-6)
    assert all(peer < n for meter in outcome.meters for peer in meter.messages_to)


def test_only_the_workers_gather_rows_in_a_job_that_has_servers_too():
    def program(ctx):
        if ctx.rank in ctx.servers:
            return None
        rows = Rows(2, np.array([ctx.rank, 3]), np.ones((2, 2), np.float32))
        mean_rows(ctx, rows, most=4)
        return rows.index.tolist(), rows.values[:, 0].tolist()

    assert simulate(program, 4, servers=2).results[:2] == [([0, 1, 3], [0.5, 0.5, 1.0])] * 2


# --- strategies ---


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, Noop])
@given(job=jobs())
def test_synchronize_leaves_the_mean_and_does_not_touch_the_parameters(algorithm, job):
    n, size, seed = job
    # Multiples of n: their mean is a whole number.
    grads = n * np.random.default_rng(seed).integers(-50, 50, (n, size)).astype(np.float32)

    def program(ctx):
        bucket = Bucket(grads[ctx.rank].copy(), np.full(size, ctx.rank, np.float32))
        algorithm().synchronize(ctx, bucket)
        return bucket

    for rank, bucket in enumerate(simulate(program, n).results):
        expected = grads[rank] if algorithm is Noop else grads.sum(axis=0) / n
        np.testing.assert_allclose(bucket.grad, expected, rtol=1e-6)
        assert (bucket.params == rank).all()


@every_algorithm
@every_n
def test_setup_gives_every_worker_the_parameters_of_worker_0(algorithm, n):
    def program(ctx):
        params = np.arange(5, dtype=np.float32) + ctx.rank
        algorithm().setup(ctx, params)
        return params.tolist()

    assert simulate(program, n).results == [[0.0, 1.0, 2.0, 3.0, 4.0]] * n


def test_all_reduce_promises_synchronous_equal_replicas_and_updates_at_the_workers():
    traits = AllReduce.traits
    assert (traits.exchanges, traits.update, traits.consistency) == ("gradients", "worker", "bsp")
    assert traits.replicas_equal
    assert not traits.servers


def test_only_single_is_one_process():
    assert Single.traits.one_process
    assert not any(engine_traits(each.traits).one_process for each in [*ALGORITHMS, Noop])


def test_an_all_reduce_without_an_algorithm_cannot_be_made():
    with pytest.raises(TypeError, match="all_reduce"):
        AllReduce()
