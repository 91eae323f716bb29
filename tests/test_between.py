"""The traffic between ranks adds up, whatever the number of ranks, and workers never share a row with servers."""

import json

import pytest

from experiments.metrics.between import MOST, between, groups


def test_pairs_without_traffic_are_left_out():
    assert between({0: {"1": 10, "2": 0}, 1: {"0": 4}, 2: {}}, 2) == {"0": {"1": 10}, "1": {"0": 4}, "2": {}}


@pytest.mark.parametrize(("workers", "servers"), [(1, 0), (31, 1), (32, 1), (64, 3), (1000, 24), (4096, 0)])
def test_groups_are_few_hold_every_rank_once_and_never_mix_roles(workers, servers):
    names = groups(workers, servers)
    assert len(names) == workers + servers
    assert len(set(names)) <= MOST
    assert set(names[:workers]).isdisjoint(names[workers:])
    for rank, name in enumerate(names):
        first, _, last = name.partition("-")
        assert int(first) <= rank <= int(last or first)
    assert groups(MOST - 1, 1) == [str(rank) for rank in range(MOST)]


def test_every_byte_is_in_it_however_many_ranks_there_are():
    ranks = 300
    sent = {rank: {str((rank + 1) % ranks): rank + 1} for rank in range(ranks)}
    found = between(sent, ranks)
    assert sum(count for row in found.values() for count in row.values()) == ranks * (ranks + 1) // 2
    assert len(json.dumps(between({r: {str(to): 10**9 for to in range(ranks)} for r in range(ranks)}, ranks))) < 25_000
