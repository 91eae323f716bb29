"""Every all-reduce algorithm gives NumPy's sum, the same bits on all ranks, for the bytes and seconds it promises."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allreduce.broadcast import broadcast, receivers
from allreduce.chunks import bounds, split
from allreduce.direct import Direct
from allreduce.double_tree import CHUNK_BYTES, MOST_CHUNKS, DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.hierarchical import Hierarchical
from allreduce.noop import Noop
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.single import Single
from allreduce.star import Star
from allreduce.strategy import AllReduce
from allreduce.tree import Tree
from common.strategy import Bucket, Link
from common.transport.virtual import Network, simulate


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
    """The largest power of two up to n: how many ranks are not folded."""
    return 2 ** floor_log2(n)


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

    return simulate(program, len(xs), network=net or Network(), deadline=1000.0)


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
    first, second = ([split(x, 2)[half] for x in xs] for half in range(2))
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


@pytest.mark.parametrize("algorithm", [Direct, HalvingDoubling])
@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_as_few_bytes_as_a_ring_are_possible_in_fewer_steps(algorithm, n):
    assert bytes_sent(algorithm, n, 60 * n) == bytes_sent(Ring, n, 60 * n)


@every_n
def test_in_a_direct_exchange_everyone_sends_the_least_possible(n):
    assert bytes_sent(Direct, n, 60 * n) == [2 * (n - 1) * 240] * n
    meters = all_reduce(Direct, np.zeros((n, 60))).meters
    assert [meter.messages_to for meter in meters] == [dict.fromkeys(set(range(n)) - {rank}, 2) for rank in range(n)]


@every_n
def test_folding_costs_the_folded_and_those_who_stand_for_them_one_vector_each(n):
    p = stay(n)
    extra = [(rank + p < n) * 240 for rank in range(p)]
    assert bytes_sent(RecursiveDoubling, n, 60) == [floor_log2(p) * 240 + more for more in extra] + [240] * (n - p)
    assert sum(bytes_sent(HalvingDoubling, n, 60)) == 2 * (p - 1) * 240 + 2 * sum(extra)


@every_n
def test_in_a_double_tree_nobody_sends_more_than_twice_the_vector(n):
    sent = bytes_sent(DoubleTree, n, 60)
    assert max(sent) <= 2 * 240
    assert sum(sent) == 2 * (n - 1) * 240  # every link of both trees, up and down, half of it


@every_n
def test_between_hosts_only_leaders_speak(n):
    meters = all_reduce(TwoToAHost, np.zeros((n, 60))).meters
    leaders = range(0, n, 2)
    for rank, meter in enumerate(meters):
        abroad = {peer for peer in meter.messages_to if peer // 2 != rank // 2}
        assert abroad <= set(leaders if rank in leaders else ())


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
    Direct: lambda n, M, a, b, g: 2 * a * (n > 1) + 2 * (n - 1) / n * M * b + (n - 1) / n * M * g,
    RecursiveDoubling: lambda n, M, a, b, g: floor_log2(n) * (a + M * b + M * g) + folding(n, M, a, b, g),
    HalvingDoubling: lambda n, M, a, b, g: (
        2 * floor_log2(n) * a + (stay(n) - 1) / stay(n) * M * (2 * b + g) + folding(n, M, a, b, g)
    ),
    DoubleTree: lambda n, M, a, b, g: pipelined(n, min(MOST_CHUNKS, max(1, M // (2 * CHUNK_BYTES))), M, a, b, g),
    ThreeChunks: lambda n, M, a, b, g: pipelined(n, 3, M, a, b, g),
    TwoToAHost: lambda n, *link: TEXTBOOK[Star](min(n, 2), *link) + TEXTBOOK[Ring](math.ceil(n / 2), *link),
}
TEXTBOOK[Hierarchical] = TEXTBOOK[Star]  # on one host


def folding(n, M, a, b, g):
    """There and back for the ranks that are too many."""
    return 2 * (a + M * b) + M * g if n > stay(n) else 0.0


def pipelined(n, k, M, a, b, g):
    """Two trees of k chunks each: of the last chunk, and of those that fill the pipeline."""
    return 2 * floor_log2(n) * a + (floor_log2(n) + k - 1) / k * min(2, n - 1) / 2 * M * (2 * b + g)


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


@pytest.mark.parametrize("algorithm", [Star, Tree, Direct, Hierarchical, TwoToAHost])
@every_n
@pytest.mark.parametrize("size", [0, 1, 97, 4096])
def test_where_some_wait_less_it_takes_at_most_what_is_predicted(algorithm, n, size):
    size *= math.lcm(n, math.ceil(n / 2))  # equal chunks
    assert measured(algorithm, n, size) <= algorithm().seconds(n, 0, 4 * size, LINK) * (1 + 1e-12)


@pytest.mark.parametrize("n", range(2, 10))
def test_a_direct_exchange_adds_a_chunk_while_the_next_one_comes(n):
    chunk = 4000  # bytes
    both_ways = 2 * (LINK.alpha + (n - 1) * chunk * LINK.beta)
    assert measured(Direct, n, n * chunk // 4) == pytest.approx(both_ways + chunk * LINK.gamma)


@pytest.mark.parametrize("algorithm", FOLDING)
@pytest.mark.parametrize("n", [1, 2, 4, 8])
@pytest.mark.parametrize("share", [0, 1, 1000])
def test_a_power_of_two_takes_exactly_what_is_predicted(algorithm, n, share):
    assert measured(algorithm, n, n * share) == pytest.approx(algorithm().seconds(n, 0, 4 * n * share, LINK))


@pytest.mark.parametrize("algorithm", FOLDING)
@pytest.mark.parametrize("n", [3, 5, 6, 7, 9])
@pytest.mark.parametrize("size", [0, 1, 97, 4099])
def test_folding_takes_what_is_predicted_give_or_take_a_vector_on_its_way(algorithm, n, size):
    nbytes = 4 * size
    early = LINK.alpha + nbytes * LINK.beta + nbytes * LINK.gamma
    assert measured(algorithm, n, size) == pytest.approx(algorithm().seconds(n, 0, nbytes, LINK), abs=early)


@pytest.mark.parametrize("n", [3, 4, 7, 8, 9, 16, 33])
@pytest.mark.parametrize("chunks", [1, 4, 16, 64])
def test_a_double_tree_takes_about_what_is_predicted(n, chunks):
    link = Link(alpha=2.0**-14, beta=2.0**-20)  # less than a chunk takes
    took = all_reduce(lambda: DoubleTree(chunks), np.zeros((n, 16384), np.float32), network(link)).seconds
    assert 0.7 <= took / DoubleTree(chunks).seconds(n, 0, 65536, link) <= 1.1


@pytest.mark.parametrize("algorithm", UNPIPELINED)
def test_two_ranks_take_exactly_what_is_predicted(algorithm):
    assert measured(algorithm, 2, 1000) == pytest.approx(algorithm().seconds(2, 0, 4000, LINK))


def hops(n):
    """How often x is passed on, on its longest way down a binomial tree: ⌈log₂n⌉ if n is a power of two."""
    return max(rank.bit_count() for rank in range(n))


@pytest.mark.parametrize("algorithm", [each for each in UNPIPELINED if each not in FOLDING])
@every_n
def test_small_messages_cost_exactly_their_steps(algorithm, n):
    there_and_back = 2 * (n > 1)
    steps = {
        Star: there_and_back,
        Ring: 2 * (n - 1),
        Tree: 2 * hops(n),
        Direct: there_and_back,
        DoubleTree: 2 * floor_log2(n),
        Hierarchical: there_and_back,
        TwoToAHost: there_and_back + 2 * (math.ceil(n / 2) - 1),
    }
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
