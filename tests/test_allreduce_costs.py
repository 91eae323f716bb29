"""Every all-reduce algorithm sends the bytes and takes the seconds that it promises, by the textbook's formulas."""

import math

import numpy as np
import pytest
from allreduces import (
    FOLDING,
    LINK,
    UNPIPELINED,
    ThreeChunks,
    TwoToAHost,
    all_reduce,
    every_algorithm,
    every_n,
    floor_log2,
    hops,
    jobs,
    log2,
    messages,
    network,
    stay,
)
from hypothesis import given
from hypothesis import strategies as st

from allreduce.direct import Direct
from allreduce.double_tree import CHUNK_BYTES, MOST_CHUNKS, DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.hierarchical import Hierarchical
from allreduce.noop import Noop
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.star import Star
from allreduce.tree import Tree
from common.strategy import Link

# --- bytes ---


@every_algorithm
@given(job=jobs(), dtype=st.sampled_from([np.float32, np.float64]))
def test_every_rank_sends_the_bytes_that_it_promised(algorithm, job, dtype):
    n, size, _ = job
    meters = all_reduce(algorithm, np.zeros((n, size), dtype)).meters
    float32s = np.dtype(dtype).itemsize // 4
    promised = [float32s * algorithm().bytes_sent(rank, n, 0, size) for rank in range(n)]
    assert [meter.bytes_sent for meter in meters] == promised


def bytes_sent(algorithm, n, size):
    """Return the bytes that each rank promises to send for `size` float32."""
    return [algorithm().bytes_sent(rank, n, 0, size) for rank in range(n)]


@every_n
def test_in_a_star_the_centre_sends_to_all_and_the_others_once(n):
    assert bytes_sent(Star, n, 60) == [(n - 1) * 240] + [240] * (n - 1)


@every_n
def test_every_worker_of_a_ring_sends_the_least_possible(n):
    assert bytes_sent(Ring, n, 60 * n) == [2 * (n - 1) * 240] * n


@pytest.mark.parametrize("algorithm", [Direct, HalvingDoubling])
@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_as_few_bytes_as_a_ring_are_possible_in_fewer_steps(algorithm, n):
    assert bytes_sent(algorithm, n, 60 * n) == bytes_sent(Ring, n, 60 * n)


@every_n
def test_every_worker_of_a_direct_exchange_sends_the_least_possible(n):
    assert bytes_sent(Direct, n, 60 * n) == [2 * (n - 1) * 240] * n
    meters = all_reduce(Direct, np.zeros((n, 60))).meters
    assert [meter.messages_to for meter in meters] == [dict.fromkeys(set(range(n)) - {rank}, 2) for rank in range(n)]


@every_n
def test_folding_costs_one_vector_at_each_folded_worker_and_its_stand_in(n):
    p = stay(n)
    extra = [(rank + p < n) * 240 for rank in range(p)]
    assert bytes_sent(RecursiveDoubling, n, 60) == [floor_log2(p) * 240 + more for more in extra] + [240] * (n - p)
    assert sum(bytes_sent(HalvingDoubling, n, 60)) == 2 * (p - 1) * 240 + 2 * sum(extra)


@every_n
def test_no_worker_of_a_double_tree_sends_more_than_twice_the_vector(n):
    sent = bytes_sent(DoubleTree, n, 60)
    assert max(sent) <= 2 * 240
    assert sum(sent) == 2 * (n - 1) * 240  # every link of both trees, up and down, half of it


@every_n
def test_only_leaders_send_between_hosts(n):
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
def test_every_worker_of_a_ring_sends_2_n_minus_1_messages(n):
    meters = all_reduce(Ring, np.zeros((n, 60))).meters
    assert [messages(meter) for meter in meters] == [2 * (n - 1)] * n
    assert all(set(meter.messages_to) <= {(rank + 1) % n} for rank, meter in enumerate(meters))


# --- seconds ---


def measured(algorithm, n, size, link=LINK):
    """Return the seconds of one all-reduce of `size` float32 on the virtual network."""
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
    """The seconds of folding: to the stand-in and back."""
    return 2 * (a + M * b) + M * g if n > stay(n) else 0.0


def pipelined(n, k, M, a, b, g):
    """The seconds of two trees of k chunks each: of the last chunk, and of the chunks that fill the pipeline."""
    return 2 * floor_log2(n) * a + (floor_log2(n) + k - 1) / k * min(2, n - 1) / 2 * M * (2 * b + g)


@every_algorithm
@given(
    n=st.integers(1, 1024),
    nbytes=st.integers(0, 10**9),
    link=st.builds(Link, *[st.floats(0, 1e-3)] * 3),
)
def test_the_prediction_is_the_formula_of_the_textbook(algorithm, n, nbytes, link):
    expected = TEXTBOOK[algorithm](n, nbytes, link.alpha, link.beta, link.gamma)
    assert algorithm().seconds(n, 0, nbytes, link) == pytest.approx(expected)


@every_n
@pytest.mark.parametrize("share", [0, 1, 1000])
def test_a_ring_takes_exactly_the_predicted_time(n, share):
    assert measured(Ring, n, n * share) == pytest.approx(Ring().seconds(n, 0, 4 * n * share, LINK))


@pytest.mark.parametrize("algorithm", [Star, Tree, Direct, Hierarchical, TwoToAHost])
@every_n
@pytest.mark.parametrize("size", [0, 1, 97, 4096])
def test_algorithms_with_idle_links_take_at_most_the_predicted_time(algorithm, n, size):
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
def test_a_power_of_two_takes_exactly_the_predicted_time(algorithm, n, share):
    assert measured(algorithm, n, n * share) == pytest.approx(algorithm().seconds(n, 0, 4 * n * share, LINK))


@pytest.mark.parametrize("algorithm", FOLDING)
@pytest.mark.parametrize("n", [3, 5, 6, 7, 9])
@pytest.mark.parametrize("size", [0, 1, 97, 4099])
def test_folding_takes_the_predicted_time_within_one_vector(algorithm, n, size):
    nbytes = 4 * size
    early = LINK.alpha + nbytes * LINK.beta + nbytes * LINK.gamma
    assert measured(algorithm, n, size) == pytest.approx(algorithm().seconds(n, 0, nbytes, LINK), abs=early)


@pytest.mark.parametrize("n", [3, 4, 7, 8, 9, 16, 33])
@pytest.mark.parametrize("chunks", [1, 4, 16, 64])
def test_a_double_tree_takes_about_the_predicted_time(n, chunks):
    link = Link(alpha=2.0**-14, beta=2.0**-20)  # less than a chunk takes
    took = all_reduce(lambda: DoubleTree(chunks), np.zeros((n, 16384), np.float32), network(link)).seconds
    assert 0.7 <= took / DoubleTree(chunks).seconds(n, 0, 65536, link) <= 1.1


@pytest.mark.parametrize("algorithm", UNPIPELINED)
def test_two_ranks_take_exactly_the_predicted_time(algorithm):
    assert measured(algorithm, 2, 1000) == pytest.approx(algorithm().seconds(2, 0, 4000, LINK))


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


@every_n
def test_without_synchronisation_nothing_is_sent_or_predicted(n):
    assert bytes_sent(Noop, n, 60) == [0] * n
    assert Noop().seconds(n, 0, 4000, LINK) == 0.0
