"""The shared-memory endpoint: what is read in place, and who is woken."""

import numpy as np
import pytest
from transports import endpoints, on

from common.errors import DeadlineExceeded, RunError
from common.transport.base import address
from common.transport.shm import mailbox_endpoint
from common.transport.shm.blockwise_sum import BLOCK_BYTES
from common.transport.shm.mailbox import GROWTH, SLOTS

ZEROS = np.zeros(8, np.float32)


# --- what is copied and what is read in place ---


def test_allocating_more_memory_than_the_machine_has_is_an_error():
    with endpoints("shm", 1) as (end,), pytest.raises(RunError, match="no more shared memory"):
        end.alloc(1 << 50, np.float32)


def read_in_place(ctx, from_, like):
    """Return the address at which the receiver reads a message, and the content."""
    message = ctx.endpoint._message(from_, like)
    found_at, content = address(message), message.copy()
    ctx.endpoint._mark_taken(from_)
    return found_at, content


def test_a_loan_from_shared_memory_is_read_in_place():
    def program(ctx):
        if ctx.rank:
            before, _ = read_in_place(ctx, 0, ZEROS)
            ctx.send(0, ZEROS)  # the owner writes after this
            ctx.recv(0, ZEROS)
            seen = np.ndarray(8, np.float32, ctx.endpoint._peers[0].arenas[max(ctx.endpoint._peers[0].arenas)])
            return before, address(seen), seen.tolist()
        shared = ctx.alloc(8, np.float32)
        ctx.lend(1, shared)
        ctx.recv(1, ZEROS)
        shared[:] = 5
        ctx.lend(1, shared)
        ctx.settle()

    read_at, lies_at, seen = on("shm", program, 2)[1]
    assert read_at == lies_at
    assert seen == [5.0] * 8


def test_a_loan_from_other_memory_is_over_at_once():
    def program(ctx):
        array = np.ones(100_000, np.float32)
        if ctx.rank == 2:
            ctx.recv(0, ZEROS)
            ctx.send(1, ZEROS)
        elif ctx.rank == 1:
            ctx.recv(2, ZEROS)  # rank 0 has settled and overwritten its loan
            return ctx.recv(0, array).sum()
        else:
            ctx.lend(1, array)
            ctx.settle()
            array[:] = 0
            ctx.send(2, ZEROS)

    assert on("shm", program, 3)[1] == 100_000


def test_more_messages_than_slots_leave_at_once_and_arrive_in_order():
    count = 5 * SLOTS * GROWTH

    def program(ctx):
        other = 1 - ctx.rank
        for number in range(count):
            ctx.send(other, np.array([number]))
        got = [ctx.recv(other, np.zeros(1, int)).item() for _ in range(count)]
        ctx.settle()
        return got

    assert on("shm", program, 2) == [list(range(count))] * 2


@pytest.mark.parametrize("size", [1, 1000, 3 * BLOCK_BYTES // 4 + 1])
def test_several_messages_are_added_in_the_requested_order(size):
    """The sum of these floats depends on the order."""

    def addend(rank):
        return np.random.default_rng(rank).standard_normal(size, np.float32) * np.float32(10.0**rank)

    def program(ctx):
        mine = ctx.alloc(size, np.float32)
        mine[:] = addend(ctx.rank)
        if ctx.rank:
            ctx.lend(0, mine)
            ctx.settle()
            return None
        ctx.fast.recv_add_all((3, 1, 2), mine)
        return mine

    got = on("shm", program, 4)[0]
    assert np.array_equal(got, ((addend(0) + addend(3)) + addend(1)) + addend(2))


def test_an_answer_is_written_over_the_exposed_array_and_the_sum_is_not_lent():
    """Rank 1 takes its answer only after rank 0 has overwritten the sum."""

    def program(ctx):
        x = ctx.alloc(100_000, np.float32)
        x[:] = 1
        if ctx.rank == 0:
            ctx.fast.recv_add_answer((1,), x, lambda part: None)
            x[:] = -1
            ctx.send(2, x[:0])
        elif ctx.rank == 1:
            ctx.fast.expose(0, x)
            ctx.recv(2, x[:0])
            assert (x == 2).all()
            assert read_in_place(ctx, 0, x)[0] == address(x), "the answer would be copied"
        else:
            ctx.recv(0, x[:0])
            ctx.send(1, x[:0])
        return x[0], x[-1]

    assert on("shm", program, 3) == [(-1, -1), (2, 2), (1, 1)]


def test_two_messages_of_one_rank_can_be_added_in_one_call():
    def program(ctx):
        array = np.ones(BLOCK_BYTES, np.float32)
        if ctx.rank:
            ctx.send(0, array)
            ctx.send(0, 10 * array)
        else:
            ctx.fast.recv_add_all((1, 1), array)
        return array[0], array[-1]

    assert on("shm", program, 2)[0] == (12, 12)


def test_a_copy_is_kept_until_it_is_read_even_when_the_lane_moves():
    with endpoints("shm", 2) as (sender, receiver):
        for number in range(SLOTS):
            sender.send(1, np.full(16, number, np.float32))
        out = np.zeros(16, np.float32)
        for _ in range(SLOTS - 1):
            receiver.recv_into(0, out)
        assert receiver.has(0)  # steps over the slot that moves the lane
        sender.send(1, np.full(1024, -7, np.float32))
        receiver.recv_into(0, out)
    assert out.tolist() == [SLOTS - 1] * 16


# --- waiting ---


def test_no_rank_sleeps_through_a_message(monkeypatch):
    """Every wait sleeps at once and is ended by the doorbell, never by the end of its time slice."""
    monkeypatch.setattr(mailbox_endpoint, "LOOKS", 0)
    monkeypatch.setattr(mailbox_endpoint, "WAIT_SLICE", 20.0)  # a missed ring takes longer than the deadline

    def program(ctx):
        array = ctx.alloc(100, np.float32)
        for number in range(3000):
            if number % 2 == ctx.rank:
                ctx.lend(1 - ctx.rank, array)
                ctx.settle()
            else:
                ctx.recv_add(1 - ctx.rank, array)
        return True

    assert on("shm", program, 2) == [True, True]


def test_no_rank_sleeps_through_an_answer(monkeypatch):
    """The rank that answers sends nothing else that could wake the other."""
    monkeypatch.setattr(mailbox_endpoint, "LOOKS", 0)
    monkeypatch.setattr(mailbox_endpoint, "WAIT_SLICE", 20.0)

    def program(ctx):
        array = ctx.alloc(100, np.float32)
        for _ in range(1000):
            if ctx.rank:
                ctx.fast.expose(0, array)
                ctx.recv_into(0, array)
            else:
                ctx.fast.recv_add_answer((1,), array, lambda part: None)
        return True

    assert on("shm", program, 2) == [True, True]


def test_recv_any_wakes_for_each_of_its_senders(monkeypatch):
    monkeypatch.setattr(mailbox_endpoint, "LOOKS", 0)
    monkeypatch.setattr(mailbox_endpoint, "WAIT_SLICE", 20.0)

    def program(ctx):
        for _ in range(300):
            if ctx.rank:
                ctx.send(0, ZEROS)
                ctx.recv(0, ZEROS)
            else:
                for _ in range(2):
                    ctx.send(ctx.recv_any((1, 2), ZEROS.copy()).sender, ZEROS)
        return True

    assert on("shm", program, 3) == [True] * 3


def test_settle_ends_at_the_deadline_and_names_the_rank_that_has_not_read():
    def program(ctx):
        if ctx.rank:
            return
        ctx.lend(1, ctx.alloc(8, np.float32))
        ctx.settle()

    with pytest.raises(DeadlineExceeded, match="rank 1 to take what was sent to it") as caught:
        on("shm", program, 2, deadline=0.2)
    assert caught.value.peers == (1,)


def test_one_deadline_holds_for_all_waits_of_a_call():
    """Two ranks read one after the other, each within the deadline, but together they take longer."""

    def program(ctx):
        if ctx.rank == 0:
            for peer in (1, 2):
                ctx.send(peer, ZEROS)  # the others begin when rank 0 does
                ctx.lend(peer, ctx.alloc(8, np.float32))
            ctx.settle()
        else:
            ctx.recv(0, ZEROS)
            ctx.sleep((0.0, 0.9, 2.0)[ctx.rank])
            ctx.recv(0, ZEROS)

    with pytest.raises(DeadlineExceeded, match="rank 2 to take what was sent to it"):
        on("shm", program, 3, deadline=1.2)


@pytest.mark.parametrize("call", ["lend", "expose"])
def test_an_answered_sum_has_one_deadline_too(call):
    """Two ranks send one after the other, each within the deadline, but together they take longer; a third is early."""

    def program(ctx):
        x = ctx.alloc(8, np.float32)
        if ctx.rank == 0:
            for peer in (1, 2, 3):
                ctx.send(peer, ZEROS)  # the others begin when rank 0 does
            ctx.fast.recv_add_answer((1, 2, 3), x, lambda part: None)
        else:
            ctx.recv(0, ZEROS)
            ctx.sleep((0.0, 0.0, 0.9, 2.0)[ctx.rank])
            (ctx.lend if ctx.rank == 2 and call == "lend" else ctx.fast.expose)(0, x)

    with pytest.raises(DeadlineExceeded, match="for rank 3"):
        on("shm", program, 4, deadline=1.2)
