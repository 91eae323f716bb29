"""Every all-reduce algorithm gives NumPy's sum, the same bits on all ranks, for the bytes and seconds it promises."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allreduce.broadcast import broadcast, receivers
from allreduce.chunks import bounds, split
from allreduce.noop import Noop
from allreduce.ring import Ring
from allreduce.single import Single
from allreduce.star import Star
from allreduce.strategy import AllReduce
from allreduce.tree import Tree
from common.strategy import Bucket, Link
from common.transport.virtual import Network, simulate

ALGORITHMS = [Star, Ring, Tree]
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
every_n = pytest.mark.parametrize("n", range(1, 10))

LINK = Link(alpha=2.0**-10, beta=2.0**-20, gamma=2.0**-23)


def log2(n):
    """⌈log₂n⌉."""
    return math.ceil(math.log2(n))


def network(link, **more):
    """The virtual network with the costs of `link`."""
    return Network(latency=link.alpha, bandwidth=1 / link.beta, reduce=link.gamma, **more)


def all_reduce(algorithm, xs, net=None):
    """The outcome of all-reducing row r of `xs` at rank r; the results are what each rank then holds."""

    def program(ctx):
        x = xs[ctx.rank].copy()
        algorithm().all_reduce(ctx, x)
        ctx.settle()
        return x

    return simulate(program, len(xs), network=net or Network())


@st.composite
def jobs(draw):
    """n ranks, an awkward size, a seed."""
    n = draw(st.integers(1, 9))
    size = draw(st.sampled_from([0, 1, n - 1, n, n + 1, 97, 4099]))
    return n, size, draw(st.integers(0, 2**32 - 1))


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
    pieces = [split(x, n) for x in xs]
    return np.concatenate([in_turn([pieces[(c + i) % n][c] for i in range(n)]) for c in range(n)])


def tree_order(xs):
    """By rounds: neighbours, then pairs, then fours, the lower rank first."""
    sums = list(xs)
    while len(sums) > 1:
        sums = [in_turn(sums[i : i + 2]) for i in range(0, len(sums), 2)]
    return sums[0]


@pytest.mark.parametrize(("algorithm", "order"), [(Star, star_order), (Ring, ring_order), (Tree, tree_order)])
@every_n
def test_the_additions_are_made_in_the_documented_order(algorithm, order, n):
    xs = np.random.default_rng(n).standard_normal((n, 1000)).astype(np.float32)
    for x in all_reduce(algorithm, xs).results:
        assert x.tobytes() == order(xs).tobytes()


# --- bytes ---


@every_algorithm
@given(job=jobs(), dtype=st.sampled_from([np.float32, np.float64]))
def test_every_rank_sends_the_bytes_that_it_promised(algorithm, job, dtype):
    n, size, _ = job
    meters = all_reduce(algorithm, np.zeros((n, size), dtype)).meters
    itemsize = np.dtype(dtype).itemsize
    promised = [algorithm().bytes_sent(rank, n, 0, size, itemsize) for rank in range(n)]
    assert [meter.bytes_sent for meter in meters] == promised


def bytes_sent(algorithm, n, size):
    """What each rank promises to send of `size` float32."""
    return [algorithm().bytes_sent(rank, n, 0, size) for rank in range(n)]


def messages(meter):
    """How many messages a rank sent."""
    return sum(meter.messages_to.values())


@every_n
def test_in_a_star_the_centre_sends_to_all_and_the_others_once(n):
    assert bytes_sent(Star, n, 60) == [(n - 1) * 240] + [240] * (n - 1)


@every_n
def test_in_a_ring_everyone_sends_the_least_possible(n):
    assert bytes_sent(Ring, n, 60 * n) == [2 * (n - 1) * 240] * n


@every_n
def test_in_a_ring_of_uneven_chunks_the_bytes_add_up(n):
    assert sum(bytes_sent(Ring, n, 61)) == 2 * (n - 1) * 244


@every_n
def test_in_a_tree_the_root_sends_in_every_round_and_a_leaf_once(n):
    sent = bytes_sent(Tree, n, 60)
    assert sent[0] == max(sent) == log2(n) * 240
    assert sum(sent) == 2 * (n - 1) * 240
    assert set(sent[(n + 1) // 2 :]) <= {240}


@every_n
def test_in_a_ring_everyone_sends_2_n_minus_1_messages(n):
    meters = all_reduce(Ring, np.zeros((n, 60))).meters
    assert [messages(meter) for meter in meters] == [2 * (n - 1)] * n
    assert all(set(meter.messages_to) <= {(rank + 1) % n} for rank, meter in enumerate(meters))


# --- seconds ---


def measured(algorithm, n, size, link=LINK):
    """Seconds of one all-reduce of `size` float32 on the virtual network."""
    return all_reduce(algorithm, np.zeros((n, size), np.float32), network(link)).seconds


TEXTBOOK = {
    Star: lambda n, M, a, b, g: 2 * (a + (n - 1) * M * b) + (n - 1) * M * g if n > 1 else 0.0,
    Ring: lambda n, M, a, b, g: 2 * (n - 1) * a + 2 * (n - 1) / n * M * b + (n - 1) / n * M * g,
    Tree: lambda n, M, a, b, g: 2 * log2(n) * (a + M * b) + log2(n) * M * g,
}


@every_algorithm
@given(
    n=st.integers(1, 1024),
    nbytes=st.integers(0, 10**9),
    link=st.builds(Link, *[st.floats(0, 1e-3)] * 3),
)
def test_the_prediction_is_the_textbooks(algorithm, n, nbytes, link):
    expected = TEXTBOOK[algorithm](n, nbytes, link.alpha, link.beta, link.gamma)
    assert algorithm().seconds(n, 0, nbytes, link) == pytest.approx(expected)


@every_n
@pytest.mark.parametrize("share", [0, 1, 1000])
def test_a_ring_takes_exactly_what_is_predicted(n, share):
    assert measured(Ring, n, n * share) == pytest.approx(Ring().seconds(n, 0, 4 * n * share, LINK))


@pytest.mark.parametrize("algorithm", [Star, Tree])
@every_n
@pytest.mark.parametrize("size", [0, 1, 97, 4099])
def test_a_star_and_a_tree_take_at_most_what_is_predicted(algorithm, n, size):
    assert measured(algorithm, n, size) <= algorithm().seconds(n, 0, 4 * size, LINK) * (1 + 1e-12)


@every_algorithm
def test_two_ranks_take_exactly_what_is_predicted(algorithm):
    assert measured(algorithm, 2, 1000) == pytest.approx(algorithm().seconds(2, 0, 4000, LINK))


def hops(n):
    """How often x is passed on, on its longest way down a binomial tree: ⌈log₂n⌉ if n is a power of two."""
    return max(rank.bit_count() for rank in range(n))


@every_algorithm
@every_n
def test_small_messages_cost_exactly_their_steps(algorithm, n):
    steps = {Star: 2 * (n > 1), Ring: 2 * (n - 1), Tree: 2 * hops(n)}
    assert measured(algorithm, n, 0) == steps[algorithm] * LINK.alpha


# --- broadcast ---


def run_broadcast(n, size, net):
    """The outcome of a broadcast of 0, 1, 2, … from rank 0; the others begin with -1."""

    def program(ctx):
        x = np.arange(size) if ctx.rank == 0 else np.full(size, -1)
        broadcast(ctx, x)
        ctx.settle()
        return x.tolist()

    return simulate(program, n, network=net)


@given(jobs())
def test_a_broadcast_gives_everyone_what_rank_0_has(job):
    n, size, _ = job
    outcome = run_broadcast(n, size, Network())
    assert outcome.results == [list(range(size))] * n
    assert [messages(meter) for meter in outcome.meters] == [receivers(rank, n) for rank in range(n)]


@pytest.mark.parametrize("n", range(1, 34))
def test_a_broadcast_reaches_every_rank_once(n):
    assert sum(receivers(rank, n) for rank in range(n)) == n - 1
    assert receivers(0, n) == log2(n)


@every_n
def test_a_broadcast_takes_at_most_log2_n_rounds(n):
    size = 100
    one_round = LINK.alpha + np.arange(size).nbytes * LINK.beta
    assert run_broadcast(n, size, network(LINK)).seconds <= log2(n) * one_round
    assert run_broadcast(n, 0, network(LINK)).seconds == hops(n) * LINK.alpha


# --- chunks ---


@given(size=st.integers(0, 5000), n=st.integers(1, 40))
def test_chunks_are_contiguous_views_whose_sizes_differ_by_one_at_most(size, n):
    x = np.arange(size)
    chunks = split(x, n)
    sizes = [chunk.size for chunk in chunks]
    assert len(chunks) == n
    assert max(sizes) - min(sizes) <= 1
    assert np.array_equal(np.concatenate(chunks), x)
    assert all(chunk.base is x for chunk in chunks)
    assert bounds(size, n) == [0, *np.cumsum(sizes)]


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
def test_setup_gives_everyone_the_parameters_of_worker_0(algorithm, n):
    def program(ctx):
        params = np.arange(5, dtype=np.float32) + ctx.rank
        algorithm().setup(ctx, params)
        return params.tolist()

    assert simulate(program, n).results == [[0.0, 1.0, 2.0, 3.0, 4.0]] * n


@every_n
def test_without_synchronisation_nothing_is_sent_or_predicted(n):
    assert bytes_sent(Noop, n, 60) == [0] * n
    assert Noop().seconds(n, 0, 4000, LINK) == 0.0


def test_all_reduce_promises_synchronous_equal_replicas_and_updates_at_the_workers():
    traits = AllReduce.traits
    assert (traits.exchanges, traits.update, traits.consistency) == ("gradients", "worker", "bsp")
    assert traits.replicas_equal
    assert not traits.servers


def test_only_the_yardstick_is_one_process():
    assert Single.traits.one_process
    assert not any(each.traits.one_process for each in [*ALGORITHMS, Noop])


def test_an_all_reduce_without_an_algorithm_cannot_be_made():
    with pytest.raises(TypeError, match="all_reduce"):
        AllReduce()
