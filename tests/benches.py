"""A synthetic benchmark: the blocks that its ranks would have written, with numbers that follow from formulas."""

from experiments.bench.plan import BenchPlan, Contestant, schedule
from experiments.bench.results import make_rows, with_ratios
from experiments.schema.documents import Bench, BenchLimits, Environment
from experiments.schema.records import BenchBlock

LIMITS = BenchLimits(copy_GBps_per_core=10.0, tcp_stream_GBps=4.0, tcp_streams=2, cores=2)
RING, SERVER = Contestant("ring", "ipc", "ipc", False), Contestant("ps-bsp", "ipc", "ipc", True)
ENGINE = Contestant("star", "ipc", "gloo", False)  # as if it were an engine
LINK = {"alpha": 1e-4, "beta": 1e-9, "gamma": 1e-10}


def plan(contestants=(RING, SERVER), *, sizes=(4000, 40000), workers=4, repeats=3, transports=("ipc",), **more):
    """A benchmark of 4 workers, and 2 servers if any contestant has them."""
    servers = 2 if any(one.servers for one in contestants) else 0
    return BenchPlan(tuple(contestants), transports, sizes, workers, servers, repeats, "127.0.0.1", 60.0, 1, **more)


def seconds(block, rank):
    """Seconds of an exchange: longer for later contestants, larger vectors, later repeats and higher ranks."""
    return (1 + block.contestant) * block.nbytes * 1e-9 * (10 + block.repeat) + rank * 1e-9


def blocks(plan, *, wrong=()):
    """The blocks that every rank wrote; `wrong` are (rank, contestant, elements)."""
    found = {rank: {} for rank in range(plan.ranks)}
    for number, block in enumerate(schedule(plan)):
        for rank, mine in found.items():
            if (record := _record(plan, block, rank, wrong)) is not None:
                mine[number] = BenchBlock(block=number, **record)
    return found


def _record(plan, block, rank, wrong):
    if block.kind == "link":
        return LINK if rank == 0 else None
    one = plan.contestants[block.contestant]
    serves = rank >= plan.workers
    if serves and not one.servers:
        return None
    if block.kind == "verify":
        bad = sum(count for who, which, count in wrong if (who, which) == (rank, block.contestant))
        return {} if serves else {"wrong": bad}
    half = block.nbytes // 2
    if serves:  # half of the parameters to each worker
        return {"sent": dict.fromkeys(range(plan.workers), half)}
    peers = range(plan.workers, plan.ranks) if one.servers else [(rank + 1) % plan.workers]
    each = half if one.servers else 2 * block.nbytes * (plan.workers - 1) // plan.workers
    return {"seconds": seconds(block, rank), "iterations": 7, "sent": dict.fromkeys(peers, each)}


def document(plan, *, wrong=()):
    """The content of bench.json."""
    baseline = plan.contestants[0].strategy
    return Bench(
        schema=1,
        status="ok",
        baseline=baseline,
        rows=tuple(with_ratios(make_rows(plan, blocks(plan, wrong=wrong), LIMITS), baseline)),
        limits=LIMITS,
        environment=Environment(cores=2, cpu="a processor"),
    )
