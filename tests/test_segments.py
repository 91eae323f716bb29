"""Segments cover every element of a bucket once, in equal parts; workers and servers agree on their order."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.strategy import Bucket
from ps.segments import cut, owned, route
from ps.sharding import evenly

MOST = 40  # bytes: 10 elements


class Scattered:
    """A sharding in which the servers take turns element by element: as many pieces as elements."""

    def __init__(self, servers):
        self.servers = servers

    def __call__(self, start, size):
        return [[slice(i, i + 1) for i in range(server, size, self.servers)] for server in range(self.servers)]


@pytest.mark.parametrize(
    ("pieces", "sizes"),
    [
        ([slice(0, 10)], [10]),
        ([slice(5, 16)], [5, 6]),
        ([slice(0, 30)], [10, 10, 10]),
        ([slice(0, 31)], [7, 8, 8, 8]),
        ([slice(0, 3), slice(7, 19)], [3, 6, 6]),
        ([slice(0, 0)], [0]),
        ([], [0]),
        ([slice(2, 2), slice(4, 5)], [1]),
    ],
)
def test_a_piece_is_cut_into_parts_of_equal_size(pieces, sizes):
    assert [part.stop - part.start for part in cut(pieces, MOST)] == sizes


@given(st.integers(0, 100), st.integers(1, 7), st.sampled_from([partial(evenly, ()), Scattered]))
def test_workers_push_the_segments_that_servers_own_in_the_same_order(size, servers, sharding):
    params = np.arange(2 * size, dtype=np.float32)
    buckets = [Bucket(params[size:], params[size:], 0, size), Bucket(params[:size], params[:size], 1, 0)]
    way = [(server, bucket, part) for bucket in buckets for server, part in route(bucket, sharding(servers), MOST)]
    for server in range(servers):
        pushed = [
            (bucket.index, bucket.start + part.start, bucket.params[part]) for who, bucket, part in way if who == server
        ]
        own = [
            (each.bucket, each.start, each.params) for each in owned(buckets, sharding(servers), MOST, server, servers)
        ]
        assert [each[:2] for each in own] == [each[:2] for each in pushed]
        assert all(np.array_equal(a[2], b[2]) for a, b in zip(own, pushed, strict=True))
    seen = np.concatenate([bucket.params[part] for _, bucket, part in way])
    assert sorted(seen.tolist()) == params.tolist()


def test_servers_take_turns():
    bucket = Bucket(np.zeros(60, np.float32), np.zeros(60, np.float32))
    assert [server for server, _ in route(bucket, evenly((), 2), MOST)] == [0, 1] * 3


def test_every_worker_begins_with_another_server():
    bucket = Bucket(np.zeros(60, np.float32), np.zeros(60, np.float32))
    ways = [[server for server, _ in route(bucket, evenly((), 3), MOST, worker)] for worker in range(4)]
    assert ways == [[0, 1, 2] * 2, [1, 2, 0] * 2, [2, 0, 1] * 2, [0, 1, 2] * 2]


def test_a_server_that_owns_nothing_of_a_bucket_still_gets_a_message():
    bucket = Bucket(np.zeros(1, np.float32), np.zeros(1, np.float32))
    assert [(server, part.stop - part.start) for server, part in route(bucket, evenly((), 3), MOST)] == [
        (0, 0),
        (1, 0),
        (2, 1),
    ]
