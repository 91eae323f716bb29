"""Which ranks share a process, and which a host."""

from common.runtime.job import COLOCATED, DEDICATED


def ranks_by_process(workers: int, servers: int, placement: str) -> list[list[int]]:
    """Return the ranks of each process, ascending. Each rank has its own process if servers are `dedicated`.

    If they are `colocated`, server i is in the process of worker i mod `workers`.
    """
    if placement != COLOCATED:
        return [[rank] for rank in range(workers + servers)]
    return [[worker, *range(workers + worker, workers + servers, workers)] for worker in range(workers)]


def ranks_in_process_of(rank: int, workers: int, servers: int, placement: str) -> list[int]:
    """Return the ranks that share the process of `rank`, including `rank`."""
    return next(ranks for ranks in ranks_by_process(workers, servers, placement) if rank in ranks)


def ranks_by_host(workers: int, servers: int, hosts: int, placement: str = DEDICATED) -> list[list[int]]:
    """Return the ranks of each of `hosts` hosts: equal parts of consecutive workers and of consecutive servers.

    If servers are `colocated`, each is on the host of its worker.
    """

    def part(total: int, host: int) -> range:
        return range(host * total // hosts, (host + 1) * total // hosts)

    if placement == COLOCATED:
        processes = ranks_by_process(workers, servers, placement)
        return [sorted(rank for worker in part(workers, host) for rank in processes[worker]) for host in range(hosts)]
    return [[*part(workers, host), *(workers + server for server in part(servers, host))] for host in range(hosts)]
