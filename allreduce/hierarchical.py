"""Hierarchical: reduce inside each host to its leader, ring among the leaders, broadcast inside each host.

Links between hosts are slow, so only the leader of each host uses them. Horovod and NCCL call this a hierarchical
all-reduce. With H hosts of at most g workers:

    steps       2(H-1), and 2 more if g > 1
    bytes sent  M by a worker that is no leader; (g-1)M inside its host and 2(H-1)/H·M between hosts by a leader
    time        2(α + (g-1)Mβ) + (g-1)Mγ inside (a star), 2(H-1)α + 2(H-1)/H·Mβ + (H-1)/H·Mγ between (a ring)
    order       inside a host in the order of its workers, the leader first; then that of a ring over the hosts

The formula uses the same α and β for both kinds of link.
"""

from collections.abc import Sequence

from allreduce.ring import Ring, ring
from allreduce.star import Star
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array, Vector
from common.util.values import whole_number

Hosts = Sequence[Sequence[int]]


def hierarchical(ctx: Context, x: Array, hosts: Hosts) -> None:
    """Sum x over the workers of all `hosts`, leaders first, in place. Blocks. x may still be on loan."""
    leader, *others = next(host for host in hosts if ctx.rank in host)
    if ctx.rank != leader:
        ctx.lend(leader, x)
        ctx.recv_into(leader, x)  # a sum that contains it
        return
    ctx.fast.recv_add_all(others, x)
    ring(ctx.among([host[0] for host in hosts]), x)
    for worker in others:
        ctx.lend(worker, x)


def consecutive(workers: int, group: int) -> Hosts:
    """Return hosts of `group` consecutive workers each; the last one may have fewer."""
    return [range(first, min(first + group, workers)) for first in range(0, workers, group)]


class Hierarchical(AllReduce):
    """A sum inside each host, a ring between hosts: one worker of each host uses the network.

    `group`: workers of a host, taken in their order; by default the hosts are those that the job runs on.
    """

    def __init__(self, group: int | None = None) -> None:
        self.group = None if group is None else whole_number("group", group)
        self.hosts: Hosts | None = None  # the job's, once `setup` has seen them

    def setup(self, ctx: Context, params: Vector) -> None:
        """Give every worker the parameters of worker 0; note the job's hosts, for the formulas."""
        super().setup(ctx, params)
        self.hosts = ctx.hosts

    def all_reduce(self, ctx: Context, x: Array) -> None:
        hierarchical(ctx, x, ctx.hosts if self.group is None else consecutive(len(ctx.workers), self.group))

    def _hosts(self, workers: int) -> Hosts:
        """Return the hosts as far as they are known without a context: before `setup`, one host."""
        return self.hosts if self.group is None and self.hosts else consecutive(workers, self.group or workers)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        hosts = self._hosts(workers)
        number, host = next((i, host) for i, host in enumerate(hosts) if rank in host)
        if rank != host[0]:
            return FLOAT_BYTES * size
        return FLOAT_BYTES * size * (len(host) - 1) + Ring().bytes_sent(number, len(hosts), 0, size)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        hosts = self._hosts(workers)
        inside = Star().seconds(max(map(len, hosts)), 0, nbytes, link)
        return inside + Ring().seconds(len(hosts), 0, nbytes, link)
