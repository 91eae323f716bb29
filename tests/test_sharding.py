"""Shardings cover every parameter once, in order: evenly, or in whole tensors."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.pipeline.buckets import bucket_slices
from ps.sharding import SHARDINGS, by_tensor, check_name, even, evenly, hashed

SIZES, SERVERS = st.integers(0, 5000), st.integers(1, 40)
TENSORS = st.lists(st.integers(0, 300), max_size=30)
every = pytest.mark.parametrize("name", SHARDINGS)
whole = pytest.mark.parametrize("kind", [by_tensor, hashed])


def owners(shards, start, size):
    """Return the server of each element of a bucket; fail if an element has none, or two."""
    found = np.full(size, -1)
    for server, pieces in enumerate(shards(start, size)):
        for piece in pieces:
            assert (found[piece] == -1).all(), "an element lives on two servers"
            found[piece] = server
    assert (found >= 0).all(), "an element lives nowhere"
    return found


def loads(shards, size, servers):
    """Return the number of elements of each server."""
    return np.bincount(owners(shards, 0, size), minlength=servers)


# --- even ---


@given(SIZES, SERVERS)
def test_every_parameter_lives_on_exactly_one_server_in_order(size, servers):
    x = np.arange(size)
    shards = [x[piece] for piece in even(size, servers)]
    assert len(shards) == servers
    assert np.array_equal(np.concatenate(shards), x)


@given(SIZES, SERVERS)
def test_sizes_differ_by_one_at_most(size, servers):
    sizes = [piece.stop - piece.start for piece in even(size, servers)]
    assert max(sizes) - min(sizes) <= 1


@given(SIZES, SERVERS)
def test_shards_are_views_without_a_copy(size, servers):
    x = np.zeros(size)
    for piece in even(size, servers):
        x[piece] += 1.0
    assert (x == 1.0).all()


def test_one_server_has_everything():
    assert even(10, 1) == [slice(0, 10)]
    assert evenly((), 1)(5, 10) == [[slice(0, 10)]]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_some_servers_own_nothing_if_they_outnumber_the_parameters(size):
    sizes = [piece.stop - piece.start for piece in even(size, 5)]
    assert sorted(sizes) == [0] * (5 - size) + [1] * size
    assert sorted(map(len, evenly((), 5)(0, size))) == [0] * (5 - size) + [1] * size


@given(SIZES, SIZES, SERVERS)
def test_even_cuts_every_bucket_alike_wherever_it_lies(start, size, servers):
    pieces = evenly((), servers)(start, size)
    expected = [each for each in even(size, servers) if each.start < each.stop]
    assert [piece for of_one in pieces for piece in of_one] == expected


# --- all of them ---


@every
@given(TENSORS, SERVERS, st.data())
def test_every_element_lives_on_one_server_in_sorted_pieces_that_do_not_touch(name, tensors, servers, data):
    start = data.draw(st.integers(0, sum(tensors)))
    size = data.draw(st.integers(0, sum(tensors) - start))
    shards = SHARDINGS[name](tensors, servers)
    pieces = shards(start, size)
    assert len(pieces) == servers
    owners(shards, start, size)
    for mine in pieces:
        assert all(piece.start < piece.stop for piece in mine)
        assert all(one.stop < other.start for one, other in pairwise(mine))


@every
@given(TENSORS, SERVERS)
def test_all_ranks_compute_the_same(name, tensors, servers):
    one, other = (SHARDINGS[name](list(tensors), servers)(0, sum(tensors)) for _ in range(2))
    assert one == other


@every
def test_a_model_without_parameters_has_no_pieces(name):
    assert SHARDINGS[name]([], 3)(0, 0) == [[], [], []]
    assert SHARDINGS[name]([0, 0], 3)(0, 0) == [[], [], []]


def test_an_unknown_name_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"unknown sharding 'by-tensors': did you mean by-tensor\?"):
        check_name("by-tensors")


# --- whole tensors ---


@whole
@given(TENSORS, SERVERS, st.integers(4, 2000))
def test_tensors_stay_whole_on_the_same_server_whatever_the_buckets(kind, tensors, servers, nbytes):
    shards = kind(tensors, servers)
    found = owners(shards, 0, sum(tensors))
    for edge, size in zip(np.cumsum([0, *tensors]), tensors, strict=False):
        assert len(set(found[edge : edge + size])) <= 1
    for bucket in bucket_slices(tensors, nbytes):
        assert np.array_equal(owners(shards, bucket.start, bucket.stop - bucket.start), found[bucket])


@given(TENSORS, SERVERS)
def test_the_largest_server_has_at_most_the_mean_and_one_largest_tensor(tensors, servers):
    size = sum(tensors)
    assert loads(by_tensor(tensors, servers), size, servers).max() <= size / servers + max(tensors, default=0)


def test_by_tensor_gives_the_largest_first_to_the_server_that_has_least():
    assert loads(by_tensor([1, 7, 3, 4, 5], 2), 20, 2).tolist() == [10, 10]  # 7 | 5, 5+4 | 7+3, 1
    assert owners(by_tensor([2, 2, 2], 2), 0, 6).tolist() == [0, 0, 1, 1, 0, 0]


@whole
def test_more_servers_than_tensors_leave_some_without_any(kind):
    pieces = kind([5, 5], 7)(0, 10)
    assert sum(map(bool, pieces)) <= 2


@given(TENSORS, st.lists(st.integers(0, 300), max_size=5), SERVERS)
def test_a_hashed_tensor_stays_where_it_is_when_the_model_grows(tensors, more, servers):
    size = sum(tensors)
    small, large = hashed(tensors, servers), hashed([*tensors, *more], servers)
    assert np.array_equal(owners(small, 0, size), owners(large, 0, size))


def test_a_hash_spreads_many_tensors_over_all_servers():
    assert (loads(hashed([1] * 1000, 4), 1000, 4) > 200).all()


@whole
def test_a_bucket_outside_the_model_is_an_error(kind):
    with pytest.raises(ValueError, match=r"a bucket at \[8, 12\) of a model of 10 parameters"):
        kind([5, 5], 2)(8, 4)
