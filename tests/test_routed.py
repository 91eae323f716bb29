"""The routed endpoint: shared memory inside a host or process, sockets elsewhere."""

import numpy as np
import pytest
import zmq
from transports import JOB, in_threads, private_folder

from allreduce.direct import Direct
from allreduce.hierarchical import Hierarchical
from allreduce.ring import Ring
from allreduce.star import Star
from common.context import Context
from common.errors import DeadlineExceeded, RunError
from common.place import Place
from common.runtime.placement import ranks_by_host
from common.strategy import Bucket
from common.transport.connect import connect
from common.transport.routed import RoutedEndpoint
from common.transport.shm.endpoint import ShmEndpoint
from common.transport.wrappers.metered import MeteredEndpoint

HOSTS = ((0, 1), (2, 3))
ZEROS = np.zeros(8, np.float32)


def on_hosts(program, hosts=HOSTS, deadline=10.0):
    """Return what `program(ctx)` returns on each rank; `shm` inside hosts, tcp between them."""
    ranks = sum(map(len, hosts))

    def run_rank(folder, rank):
        end = connect("shm", Place(rank), ranks, folder, job=JOB, deadline=deadline, hosts=hosts)
        try:
            return program(Context(MeteredEndpoint(end), workers=ranks, hosts=hosts))
        finally:
            end.close(linger=2.0)

    with private_folder() as folder:
        return in_threads([lambda rank=rank: run_rank(folder, rank) for rank in range(ranks)])


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_every_pair_of_ranks_uses_the_right_transport(size):
    def program(ctx):
        end = ctx.endpoint.inner
        for peer in set(range(4)) - {ctx.rank}:
            ctx.send(peer, np.full(size, 10 * ctx.rank + peer, np.float32))
        got = {peer: ctx.recv(peer, np.zeros(size, np.float32))[-1] for peer in set(range(4)) - {ctx.rank}}
        return got, sorted(end.near._outboxes), sorted(end.far._outgoing)

    for rank, (got, near, far) in enumerate(on_hosts(program)):
        mine = next(host for host in HOSTS if rank in host)
        assert got == {peer: 10 * peer + rank for peer in got}
        assert near == [peer for peer in mine if peer != rank]
        assert far == [peer for peer in range(4) if peer not in mine]


def test_recv_any_takes_all_messages_of_near_and_far_ranks():
    count = 20

    def program(ctx):
        if ctx.rank:
            for number in range(count):
                ctx.send(0, np.array([number]))
            return None
        seen = {1: [], 2: [], 3: []}
        for _ in range(3 * count):
            out = np.zeros(1, int)
            seen[ctx.recv_any((3, 1, 2), out).sender].append(out.item())
        return seen

    assert on_hosts(program)[0] == {rank: list(range(count)) for rank in (1, 2, 3)}


def test_a_stranger_at_the_socket_does_not_hide_messages_of_the_own_host():
    def program(ctx):
        if ctx.rank == 1:
            ctx.send(0, ZEROS + 5)
        if ctx.rank == 0:
            far = ctx.endpoint.inner.far
            with zmq.Context() as context, context.socket(zmq.PUSH) as stranger:
                stranger.connect(far._incoming[2].address)
                stranger.send(b"junk")
                while not far._incoming[2].socket.poll(100):
                    pass
                ctx.recv_any((1, 2), out := ZEROS.copy())
            return out[0]

    assert on_hosts(program, deadline=3.0)[0] == 5


def test_recv_any_ends_at_the_deadline_and_names_near_and_far_ranks():
    def program(ctx):
        if ctx.rank == 0:
            ctx.recv_any((1, 2), ZEROS.copy())

    with pytest.raises(DeadlineExceeded, match=r"waited 0.2 s for rank 1 or rank 2") as caught:
        on_hosts(program, deadline=0.2)
    assert caught.value.peers == (1, 2)


@pytest.mark.parametrize("strategy", [Ring, Hierarchical, Direct, Star])
def test_a_strategy_sums_over_near_and_far_ranks(strategy):
    def program(ctx):
        grad = ctx.alloc(100_001, np.float32)
        grad[:] = np.arange(grad.size) + ctx.rank
        strategy().synchronize(ctx, Bucket(grad, grad))
        return grad

    for grad in on_hosts(program):
        assert np.array_equal(grad, np.arange(100_001) + np.float32(1.5))


def test_a_large_loan_between_hosts_moves_while_its_rank_waits_inside_a_host():
    """Rank 2 waits for a loan of rank 1 that no socket buffer holds, and rank 1 waits for rank 0 in shared memory."""
    size = 20 << 20

    def program(ctx):
        x = ctx.alloc(4 * size // 4, np.float32)
        x[:] = ctx.rank
        Ring().all_reduce(ctx, x)
        ctx.settle()
        return x[0], x[-1]

    assert on_hosts(program, deadline=30.0) == [(6, 6)] * 4


def test_abandon_ends_waits_for_near_and_for_far_ranks():
    def program(ctx):
        if ctx.rank:
            return None
        ctx.fast.abandon()
        with pytest.raises(RunError, match="given up") as near:
            ctx.recv_into(1, ZEROS.copy())
        with pytest.raises(RunError, match="given up") as far:
            ctx.recv_into(2, ZEROS.copy())
        return type(near.value), type(far.value)

    assert on_hosts(program, deadline=60.0)[0] == (RunError, RunError)


def test_only_leaders_send_between_hosts_in_a_hierarchy():
    def program(ctx):
        grad = ctx.alloc(1000, np.float32)
        Hierarchical().synchronize(ctx, Bucket(grad, grad))
        return dict(ctx.endpoint.bytes_to)

    assert on_hosts(program) == [{1: 4000, 2: 4000}, {0: 4000}, {3: 4000, 0: 4000}, {2: 4000}]


CREWS = ((0, 4), (1, 5), (2,), (3,))  # workers 0 to 3, two of them with a server


def in_crews(transport, program, deadline=10.0):
    """Return what `program(ctx)` returns on each of 4 workers and 2 colocated servers."""

    def run_rank(folder, rank):
        crew = next(crew for crew in CREWS if rank in crew)
        end = connect(transport, Place(rank), 6, folder, job=JOB, deadline=deadline, crew=crew)
        try:
            return program(Context(MeteredEndpoint(end), workers=4, servers=2))
        finally:
            end.close(linger=2.0)

    with private_folder() as folder:
        return in_threads([lambda rank=rank: run_rank(folder, rank) for rank in range(6)])


def exchange_with_all(ctx):
    """Exchange a message with every rank; return the ranks that each part of the endpoint reached."""
    x = np.full(100_000, ctx.rank, np.float32)
    for peer in set(range(6)) - {ctx.rank}:
        ctx.lend(peer, x)
    got = {peer: ctx.recv(peer, x)[-1] for peer in set(range(6)) - {ctx.rank}}
    ctx.settle()
    assert got == {peer: peer for peer in got}
    end = ctx.endpoint.inner
    return (
        (sorted(end.near._outboxes), sorted(end.far._outgoing))
        if isinstance(end, RoutedEndpoint)
        else ([], sorted(end._outgoing))
    )


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_ranks_of_one_process_use_memory_and_all_others_use_sockets(transport):
    for rank, (near, far) in enumerate(in_crews(transport, exchange_with_all)):
        crew = next(crew for crew in CREWS if rank in crew)
        assert near == [peer for peer in crew if peer != rank]
        assert far == [peer for peer in range(6) if peer not in crew]


def test_sockets_carry_everything_if_memory_cannot_be_shared(monkeypatch):
    monkeypatch.setattr("common.transport.connect.reason_against", lambda: "it needs Linux")
    for rank, (near, far) in enumerate(in_crews("tcp", exchange_with_all)):
        assert (near, far) == ([], [peer for peer in range(6) if peer != rank])


def test_the_shm_transport_does_not_route_ranks_of_one_process():
    def program(ctx):
        return type(ctx.endpoint.inner)

    assert set(in_crews("shm", program)) == {ShmEndpoint}


def test_a_server_wakes_for_its_own_worker_and_for_workers_of_other_processes():
    """Each worker waits for an answer before its next message, so a missed wake-up would exceed the deadline."""
    rounds = 50

    def program(ctx):
        if ctx.rank == 4:
            count, senders = np.zeros(1), set()
            for _ in range(4 * rounds):
                sender = ctx.recv_any(ctx.workers, count).sender
                ctx.send(sender, count)
                senders.add(sender)
            return senders
        for number in range(rounds if ctx.rank < 4 else 0):
            ctx.send(4, np.array([float(number)]))
            assert ctx.recv(4, np.zeros(1)) == number

    assert in_crews("tcp", program, deadline=5.0)[4] == {0, 1, 2, 3}


def test_one_host_opens_no_sockets():
    with private_folder() as folder:
        end = connect("shm", Place(0), 1, folder, job=JOB, deadline=1.0, hosts=[[0]])
        end.close()
    assert isinstance(end, ShmEndpoint)
    assert not isinstance(end, RoutedEndpoint)


@pytest.mark.parametrize(
    ("shape", "hosts"),
    [
        ((4, 0, 1), [[0, 1, 2, 3]]),
        ((4, 0, 2), [[0, 1], [2, 3]]),
        ((5, 0, 2), [[0, 1], [2, 3, 4]]),
        ((4, 2, 2), [[0, 1, 4], [2, 3, 5]]),
        ((2, 3, 2), [[0, 2], [1, 3, 4]]),
    ],
)
def test_hosts_get_equal_parts_of_consecutive_ranks(shape, hosts):
    assert ranks_by_host(*shape) == hosts
