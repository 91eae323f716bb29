"""Ranks of one process share memory, and a colocated server shares the parameters of its worker."""

import threading

import numpy as np
import pytest
from transports import JOB, in_threads, private_folder

from common.context import Context
from common.errors import FINISH, PeerFailed, ProtocolError
from common.place import Place
from common.strategy import Bucket
from common.testing.trial import SGD
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

TRANSPORTS = ("shm", "ipc", "tcp")
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
BIG = 1 << 18  # elements: beyond what a transport sends in one piece


def as_crews(transport, program, crews, servers=0, deadline=10.0, **more):
    """Return the results of `program(ctx)`, a thread for each rank; `crews` are the ranks of each pretended process."""
    ranks = sum(map(len, crews))

    def life(folder, rank):
        crew = next(crew for crew in crews if rank in crew)
        end = connect(transport, Place(rank), ranks, folder, job=JOB, deadline=deadline, crew=crew)
        try:
            return program(Context(MeteredEndpoint(end), workers=ranks - servers, servers=servers, **more))
        finally:
            end.close(linger=2.0)

    with private_folder() as folder:
        return in_threads([lambda rank=rank: life(folder, rank) for rank in range(ranks)])


@every_transport
def test_colocated_ranks_are_those_of_the_same_process(transport):
    assert as_crews(transport, lambda ctx: ctx.fast.colocated, [[0, 2, 3], [1]]) == [{2, 3}, set(), {0, 3}, {0, 2}]


@every_transport
def test_shared_memory_is_the_same_memory_in_the_wanted_shape(transport):
    def program(ctx):
        if ctx.rank == 0:
            mine = ctx.alloc(12, np.float32)
            ctx.fast.share(1, mine)
            ctx.recv_into(1, np.empty(1))
            return mine.copy()
        if ctx.rank == 1:
            theirs = ctx.fast.recv_shared(0, np.empty((3, 4), np.float32))
            assert theirs.shape == (3, 4)
            theirs[1, 2] = 7
            ctx.send(0, np.ones(1))
        return None

    assert as_crews(transport, program, [[0, 1], [2]])[0].tolist() == [0] * 6 + [7] + [0] * 5


@every_transport
def test_shared_memory_is_lent_to_others_in_place(transport):
    """If the owner receives it, nothing is copied: its own later writes stay."""
    lent = threading.Event()

    def program(ctx):
        like = np.zeros(BIG, np.float32)
        if ctx.rank == 0:
            mine = ctx.alloc(BIG, np.float32)
            ctx.fast.share(1, mine)
            assert lent.wait(10)
            mine[5] = 9
            ctx.recv_into(1, mine)
            return mine[5]
        if ctx.rank == 1:
            theirs = ctx.fast.recv_shared(0, like)
            theirs[:] = 3
            ctx.lend(0, theirs)
            ctx.lend(2, theirs)
            lent.set()
            ctx.settle()
            return None
        out = ctx.recv(1, like)
        return out[0], out[-1]

    assert as_crews(transport, program, [[0, 1], [2]]) == [9, None, (3, 3)]


@every_transport
def test_shared_memory_outlives_the_rank_that_received_it(transport):
    def program(ctx):
        like = np.zeros(BIG, np.float32)
        if ctx.rank == 0:
            mine = ctx.alloc(BIG, np.float32)
            ctx.fast.share(1, mine)
            ctx.recv_into(2, np.empty(1))  # rank 1 has closed by then
            mine[:] = 4
            ctx.lend(2, mine)
            ctx.settle()
        elif ctx.rank == 1:
            ctx.fast.recv_shared(0, like)
            ctx.endpoint.close()
            gone.set()
        else:
            assert gone.wait(10)
            ctx.send(0, np.ones(1))
            return ctx.recv(0, like)[-1]
        return None

    gone = threading.Event()
    assert as_crews(transport, program, [[0, 1], [2]])[2] == 4


def test_sharing_the_same_memory_again_takes_no_more_files():
    def program(ctx):
        mine = ctx.alloc(12, np.float32)
        for _ in range(3):
            if ctx.rank == 0:
                ctx.fast.share(1, mine)
            else:
                ctx.fast.recv_shared(0, mine)
        ctx.settle()
        return len(ctx.endpoint.inner._memory.arenas)

    assert as_crews("shm", program, [[0, 1]]) == [1, 2]


@every_transport
def test_only_memory_of_alloc_is_shared_and_only_inside_a_process(transport):
    def program(ctx):
        if ctx.rank == 0:
            with pytest.raises(ValueError, match="rank 2 does not share memory with rank 0"):
                ctx.fast.share(2, ctx.alloc(3, np.float32))
            with pytest.raises(ValueError, match="rank 2 does not share memory with rank 0"):
                ctx.fast.recv_shared(2, np.zeros(3, np.float32))
            with pytest.raises(ValueError, match="only memory of `alloc`"):
                ctx.fast.share(1, np.zeros(3, np.float32))
            ctx.lend(1, ctx.alloc(3, np.float32))
            ctx.settle()
        elif ctx.rank == 1:
            with pytest.raises(ProtocolError, match="expected memory to share from rank 0"):
                ctx.fast.recv_shared(0, np.zeros(3, np.float32))
            ctx.recv_into(0, np.zeros(3, np.float32))
        return None

    as_crews(transport, program, [[0, 1], [2]])


def test_a_rank_that_shared_memory_and_is_gone_is_named():
    def program(ctx):
        if ctx.rank == 0:
            mine = ctx.alloc(3, np.float32)
            ctx.lend(1, mine)
            ctx.settle()  # so rank 1 knows this memory
            ctx.fast.share(1, mine)
            ctx.endpoint.close()
            gone.set()
        elif ctx.rank == 1:
            ctx.recv_into(0, np.zeros(3, np.float32))
            assert gone.wait(10)
            with pytest.raises(PeerFailed, match="lost rank 0"):
                ctx.fast.recv_shared(0, np.zeros(3, np.float32))

    gone = threading.Event()
    as_crews("shm", program, [[0, 1]])


@every_transport
def test_lent_parts_of_shared_memory_outlive_its_owner(transport):
    def program(ctx):
        like = np.zeros(BIG, np.float32)
        if ctx.rank == 0:
            ctx.fast.share(1, ctx.alloc(BIG, np.float32))
            ctx.settle()
            ctx.endpoint.close()
            gone.set()
        elif ctx.rank == 1:
            theirs = ctx.fast.recv_shared(0, like)
            theirs[:] = 4
            assert gone.wait(10)
            ctx.lend(2, theirs)
            ctx.settle()
        else:
            return ctx.recv(1, like)[-1]
        return None

    gone = threading.Event()
    assert as_crews(transport, program, [[0, 1], [2]])[2] == 4


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_sockets_alone_share_no_memory(transport):
    def program(ctx):
        with pytest.raises(ValueError, match=f"rank {1 - ctx.rank} does not share memory"):
            ctx.fast.recv_shared(1 - ctx.rank, np.zeros(3, np.float32))

    as_crews(transport, program, [[0], [1]])


# --- the parameter server ---


def train(make, transport, crews, servers, size=1000, steps=3, **more):
    """Return each worker's final parameters, and by server the workers in whose parameters its own lie."""
    workers = sum(map(len, crews)) - servers
    params = dict.fromkeys(range(workers))
    beside = {}

    def program(ctx):
        strategy = make()
        mine = ctx.alloc(size, np.float32)
        mine[:] = ctx.rank + np.arange(size)
        grad = ctx.alloc(size, np.float32)
        if ctx.rank in ctx.servers:

            def optimizer(shard):
                lies = [rank for rank, theirs in params.items() if np.shares_memory(shard, theirs)]
                beside[ctx.rank] = lies
                return SGD(shard)

            ctx._optimizer = optimizer
            strategy.serve(ctx, mine, [Bucket(grad, mine)])
            return None
        params[ctx.rank] = mine
        strategy.setup(ctx, mine)
        for ctx.place.step in range(steps):
            grad[:] = (ctx.rank + 1) * (ctx.place.step + 1) + np.arange(size)
            strategy.synchronize(ctx, Bucket(grad, mine))
        ctx.place.step = FINISH
        strategy.finish(ctx)
        return mine.copy()

    return as_crews(transport, program, crews, servers, **more)[:workers], beside


@every_transport
@pytest.mark.parametrize(
    "crews",
    [[[0, 2], [1, 3]], [[0, 2, 4], [1, 3]], [[0, 2], [1]]],
    ids=["one each", "three servers", "one server"],
)
def test_a_colocated_server_shares_its_workers_parameters_and_the_bits_are_the_same(transport, crews):
    servers = sum(map(len, crews)) - 2
    apart, outside = train(PsBsp, transport, [[rank] for rank in range(2 + servers)], servers)
    together, inside = train(PsBsp, transport, crews, servers)
    nowhere = {rank: [] for rank in range(2, 2 + servers)}
    assert outside == nowhere
    assert inside == {server: crew[:1] for crew in crews for server in crew[1:]}
    assert {each.tobytes() for each in apart} == {each.tobytes() for each in together}


@pytest.mark.parametrize("make", [PsSsp, PsAsync, PsBackup])
def test_parameters_are_not_shared_if_workers_read_them_while_others_push(make):
    _, inside = train(make, "shm", [[0, 2], [1, 3]], 2)
    assert inside == {2: [], 3: []}


def test_parameters_are_not_shared_if_backward_may_read_them():
    _, inside = train(PsBsp, "shm", [[0, 2], [1, 3]], 2, overlaps=True)
    assert inside == {2: [], 3: []}


def test_parameters_are_shared_with_a_staleness_of_zero():
    _, inside = train(lambda: PsSsp(0), "shm", [[0, 2], [1, 3]], 2)
    assert inside == {2: [0], 3: [1]}
