"""Figures of what each server holds and moves, a warning of imbalance, and traffic between ranks."""

import json

import pytest
from msgspec import structs
from runs import summary

from experiments.config import RunOptions, plan
from experiments.metrics.traffic import MOST_GROUPS, between, groups, imbalance, servers_detail
from experiments.schema.documents import PerRank, ServerDetail


def detail(held, moved, workers=2, placement="dedicated", **changes):
    """Of servers that hold `held` parameters, send and receive `moved` bytes each; workers send each of them 10."""
    planned = plan(RunOptions(strategy="ps-bsp", workers=workers, servers=len(held), placement=placement))
    ranks = range(workers, workers + len(held))
    reports = [{"bytes_to": {str(rank): 10 for rank in ranks}} for _ in range(workers)]
    reports += [{"parameters": each, "optimizer_state_bytes": each, "bytes_to": {"0": 7}} for each in held]
    for rank, report in changes.get("reports", {}).items():
        reports[rank] = report
    counts = PerRank(per_server=tuple(moved))
    return servers_detail(planned, reports, counts, counts)


def with_servers(servers, **options):
    return structs.replace(summary("ps-bsp"), servers_detail=tuple(servers), strategy_options=options)


def test_shares_are_of_the_mean():
    one, other = detail([300, 100], [30, 50])
    assert one == ServerDetail(
        rank=2,
        process_of=2,
        parameters=300,
        bytes=1200,
        optimizer_state_bytes=300,
        bytes_within_process=0,
        bytes_sent=30,
        bytes_received=30,
        held_share=1.5,
        load_share=0.75,
    )
    assert (other.rank, other.held_share, other.load_share) == (3, 0.5, 1.25)


def test_a_colocated_server_names_its_worker_and_the_bytes_within_their_process():
    servers = detail([100, 100, 100], [1, 1, 1], placement="colocated")
    assert [server.process_of for server in servers] == [0, 1, 0]
    assert [server.bytes_within_process for server in servers] == [17, 10, 17]


@pytest.mark.parametrize("report", [None, {"error": {}}])
def test_without_the_figures_of_one_server_there_are_no_shares(report):
    servers = detail([300, 100], [30, None], reports={3: report})
    assert (servers[1].parameters, servers[1].bytes) == (None, None)
    assert [(server.held_share, server.load_share) for server in servers] == [(None, None)] * 2
    assert imbalance(with_servers(servers)) is None


def test_an_empty_model_is_balanced():
    assert imbalance(with_servers(detail([0, 0], [0, 0]))) is None


@pytest.mark.parametrize(("largest", "warns"), [(120, False), (121, True)])
def test_up_to_a_fifth_above_the_mean_is_fair(largest, warns):
    line = imbalance(with_servers(detail([largest, 200 - largest], [1, 1]), sharding="by-tensor"))
    assert (line is not None) == warns


def test_the_warning_names_the_server_its_share_and_a_remedy():
    servers = detail([300, 100], [1, 1])
    assert imbalance(with_servers(servers, sharding="hashed")) == (
        "server rank 2 holds 75% of the model's bytes, 1.5 times the mean of the 2 servers; instead of hashed, "
        "--strategy.sharding even would balance them"
    )
    assert imbalance(with_servers(servers)).endswith("1.5 times the mean of the 2 servers")  # it is even already


def test_servers_that_hold_equal_parts_may_have_unequal_loads():
    line = imbalance(with_servers(detail([100, 100], [10, 30])))
    assert line == "server rank 3 sends and receives 1.5 times the mean of the 2 servers"


def test_a_run_without_servers_has_nothing_to_balance():
    assert imbalance(summary("ring")) is None


# --- between pairs of ranks ---


def test_pairs_without_traffic_are_left_out():
    assert between({0: {"1": 10, "2": 0}, 1: {"0": 4}, 2: {}}, 2) == {"0": {"1": 10}, "1": {"0": 4}, "2": {}}


@pytest.mark.parametrize(("workers", "servers"), [(1, 0), (31, 1), (32, 1), (64, 3), (1000, 24), (4096, 0)])
def test_groups_are_few_hold_every_rank_once_and_never_mix_roles(workers, servers):
    names = groups(workers, servers)
    assert len(names) == workers + servers
    assert len(set(names)) <= MOST_GROUPS
    assert set(names[:workers]).isdisjoint(names[workers:])
    for rank, name in enumerate(names):
        first, _, last = name.partition("-")
        assert int(first) <= rank <= int(last or first)
    assert groups(MOST_GROUPS - 1, 1) == [str(rank) for rank in range(MOST_GROUPS)]


def test_every_byte_is_in_it_however_many_ranks_there_are():
    ranks = 300
    sent = {rank: {str((rank + 1) % ranks): rank + 1} for rank in range(ranks)}
    found = between(sent, ranks)
    assert sum(count for row in found.values() for count in row.values()) == ranks * (ranks + 1) // 2
    assert len(json.dumps(between({r: {str(to): 10**9 for to in range(ranks)} for r in range(ranks)}, ranks))) < 25_000
