"""A context among some of the ranks: own numbers, the same links, the job's ranks in errors."""

import numpy as np
import pytest
from greenlet import GreenletExit

from allreduce.ring import ring
from common.errors import ProtocolError
from common.simulate import simulate
from common.transport.base import Message

RANKS = (3, 0, 4)


def among(program, ranks=RANKS, n=6):
    """Return what `program(ctx.among(ranks))` returns on each of `ranks`, in their order."""
    results = simulate(lambda ctx: program(ctx.among(ranks)) if ctx.rank in ranks else None, n).results
    return [results[rank] for rank in ranks]


def test_the_ranks_are_numbered_in_the_order_given():
    assert among(lambda ctx: (ctx.rank, ctx.size, list(ctx.workers), ctx.hosts)) == [
        (number, 3, [0, 1, 2], ((0, 1, 2),)) for number in range(3)
    ]


def test_every_kind_of_message_uses_the_new_numbers():
    def program(ctx):
        zeros = np.zeros(2)
        if ctx.rank:
            for call in (ctx.send, ctx.lend, ctx.send, ctx.fast.expose, ctx.send):
                call(0, zeros + 10**ctx.rank)
            assert ctx.recv(0, zeros)[0] == 111
            return None
        first, second = ctx.recv(1, zeros), ctx.recv(2, zeros)
        ctx.recv_add(1, first)
        ctx.recv_add(2, second)
        ctx.fast.recv_add_all((1, 2), first)
        ctx.fast.recv_add_answer((1, 2), answer := zeros + 1, lambda x: None)
        assert answer[0] == 111
        return first[0], second[0], ctx.recv_any((2,), zeros), ctx.recv_any((1,), zeros)

    assert among(program)[0] == (130.0, 200.0, Message(2, -1, 0, 2), Message(1, -1, 0, 2))


def test_an_algorithm_and_a_barrier_run_as_in_a_separate_job():
    def program(ctx):
        x = np.full(5, 10**ctx.rank)
        ring(ctx, x)
        ctx.settle()
        ctx.barrier()
        return x.tolist()

    assert among(program) == [[111] * 5] * 3


def test_a_subgroup_of_a_subgroup_has_its_own_numbers():
    assert among(lambda ctx: ctx.rank and ctx.among((2, 1)).rank) == [0, 1, 0]


def test_spawn_in_a_subgroup_uses_the_transports_own_tasks():
    """A thread that waits would stop virtual time for ever."""

    def program(ctx):
        got = ctx.fast.queue()

        def beside():
            out = np.zeros(1)
            ctx.recv_into((ctx.rank - 1) % 3, out)
            got.put(out[0])

        task = ctx.fast.spawn(beside)
        ctx.send((ctx.rank + 1) % 3, np.full(1, float(ctx.rank)))
        task.join()
        return got.get()

    assert among(program) == [2, 0, 1]


def test_abandoning_a_subgroup_abandons_the_whole_endpoint():
    def program(ctx):
        if ctx.rank:
            return None
        task = ctx.fast.spawn(lambda: ctx.recv_into(1, np.zeros(1)))
        ctx.sleep(1.0)
        ctx.fast.abandon()
        with pytest.raises(GreenletExit):
            task.join()
        return ctx.now()

    assert among(program, (0, 1), 2)[0] == 1.0  # long before the deadline


def test_a_rank_outside_the_subgroup_gets_no_context():
    with pytest.raises(ValueError, match=r"rank 1 is none of \[0, 2\]"):
        simulate(lambda ctx: ctx.among((0, 2)), 3)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_number_out_of_range_is_refused(number):
    with pytest.raises(ValueError, match=f"there is no number {number} among 3 ranks"):
        among(lambda ctx: ctx.send(number, np.zeros(1)))


def test_an_error_names_the_rank_of_the_job():
    def program(ctx):
        if ctx.rank:
            ctx.send(0, np.zeros(3))
        else:
            ctx.recv_into(1, np.zeros(2))

    with pytest.raises(ProtocolError, match=r"rank 3, .* from rank 0, got"):
        among(program)


@pytest.mark.parametrize("hosts", [[(0, 1)], [(0, 1), (1, 2)], [(0, 1, 2), ()], [(0, 1, 2, 3)]])
def test_hosts_that_are_not_the_workers_are_refused(hosts):
    with pytest.raises(ValueError, match="each of the 3 workers belongs to one host"):
        simulate(lambda ctx: None, 4, servers=1, hosts=hosts)


def test_all_workers_are_on_one_host_by_default():
    assert simulate(lambda ctx: ctx.hosts, 3, servers=1).results == [((0, 1),)] * 3
    assert simulate(lambda ctx: ctx.hosts, 2, hosts=[[1], [0]]).results == [((1,), (0,))] * 2
