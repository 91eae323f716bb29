"""A synthetic benchmark: what its ranks would have written, with numbers that follow from formulas."""

from experiments.bench.plan import BenchPlan, Contestant, schedule
from experiments.bench.results import make_rows, with_ratios
from experiments.machine.bandwidth_limits import Limits

LIMITS = Limits(copy=10e9, stream=4e9, streams=2, cores=2)
RING, SERVER = Contestant("ring", "ipc", "ipc", False), Contestant("ps-bsp", "ipc", "ipc", True)
ENGINE = Contestant("star", "ipc", "gloo", False)  # as if it were an engine
LINK = {"alpha": 1e-4, "beta": 1e-9, "gamma": 1e-10}


def spec(contestants=(RING, SERVER), *, sizes=(4000, 40000), workers=4, repeats=3, transports=("ipc",), **more):
    """A benchmark of 4 workers, and 2 servers if any contestant has them."""
    servers = 2 if any(one.servers for one in contestants) else 0
    return BenchPlan(tuple(contestants), transports, sizes, workers, servers, repeats, "127.0.0.1", 60.0, 1, **more)


def seconds(block, rank):
    """What an exchange took: longer for later contestants, larger vectors, repeats and ranks."""
    return (1 + block.contestant) * block.nbytes * 1e-9 * (10 + block.repeat) + rank * 1e-9


def lines(spec, *, wrong=()):
    """What every rank wrote; `wrong` are (rank, contestant, elements)."""
    found = {rank: {} for rank in range(spec.ranks)}
    for at, block in enumerate(schedule(spec)):
        for rank, mine in found.items():
            if (record := _record(spec, block, rank, wrong)) is not None:
                mine[at] = {"block": at, **record}
    return found


def _record(spec, block, rank, wrong):
    if block.kind == "link":
        return LINK if rank == 0 else None
    one = spec.contestants[block.contestant]
    serves = rank >= spec.workers
    if serves and not one.servers:
        return None
    if block.kind == "verify":
        bad = sum(count for who, which, count in wrong if (who, which) == (rank, block.contestant))
        return {} if serves else {"wrong": bad}
    half = block.nbytes // 2
    if serves:  # half of the parameters to each worker
        return {"sent": {str(worker): half for worker in range(spec.workers)}}
    peers = range(spec.workers, spec.ranks) if one.servers else [(rank + 1) % spec.workers]
    each = half if one.servers else 2 * block.nbytes * (spec.workers - 1) // spec.workers
    return {"seconds": seconds(block, rank), "iterations": 7, "sent": {str(peer): each for peer in peers}}


def document(spec, **more):
    """What bench.json would hold."""
    rows = with_ratios(make_rows(spec, lines(spec, **more), LIMITS), spec.contestants[0].strategy)
    environment = {"cores": 2, "cpu": "a processor"}
    return {
        "rows": rows,
        "baseline": spec.contestants[0].strategy,
        "limits": LIMITS.record(),
        "environment": environment,
    }
