"""Shards cover every parameter once, in order, evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ps.sharding import even

SIZES, SERVERS = st.integers(0, 5000), st.integers(1, 40)


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


@pytest.mark.parametrize("size", [0, 1, 2])
def test_with_more_servers_than_parameters_some_have_none(size):
    sizes = [piece.stop - piece.start for piece in even(size, 5)]
    assert sorted(sizes) == [0] * (5 - size) + [1] * size
