"""Placement: every rank is in one process and on one host, a colocated server with its worker."""

from hypothesis import given
from hypothesis import strategies as st

from common.runtime.placement import ranks_by_host, ranks_by_process, ranks_in_process_of

WORKERS, SERVERS = st.integers(1, 20), st.integers(0, 50)


@given(WORKERS, SERVERS)
def test_dedicated_servers_have_their_own_processes(workers, servers):
    assert ranks_by_process(workers, servers, "dedicated") == [[rank] for rank in range(workers + servers)]


@given(WORKERS, SERVERS)
def test_colocated_servers_are_distributed_in_turn_over_the_workers(workers, servers):
    together = ranks_by_process(workers, servers, "colocated")
    assert [crew[0] for crew in together] == list(range(workers))
    assert sorted(rank for crew in together for rank in crew) == list(range(workers + servers))
    for server in range(servers):
        assert ranks_in_process_of(workers + server, workers, servers, "colocated") == together[server % workers]
    assert all(crew == sorted(crew) for crew in together)


@given(WORKERS, SERVERS, st.integers(1, 20))
def test_a_colocated_server_is_on_the_host_of_its_worker(workers, servers, hosts):
    hosts = min(hosts, workers)
    parts = ranks_by_host(workers, servers, hosts, "colocated")
    assert sorted(rank for part in parts for rank in part) == list(range(workers + servers))
    assert [[rank for rank in part if rank < workers] for part in parts] == ranks_by_host(workers, 0, hosts)
    for part in parts:
        for rank in part:
            assert set(ranks_in_process_of(rank, workers, servers, "colocated")) <= set(part)
